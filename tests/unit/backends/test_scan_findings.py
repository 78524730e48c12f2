"""Notes from the label scans of a training: plain text, and nothing that did not happen."""

from __future__ import annotations

from yolosweep.backends.ultralytics import label_cache


def test_they_are_plain_and_true() -> None:
    label_cache.scan_findings()
    line = "\x1b[34m\x1b[1mtrain: \x1b[0m/x/a.jpg: corrupt JPEG restored and saved"
    label_cache._findings.extend([line, line])
    assert label_cache.scan_findings() == ["train: /x/a.jpg: JPEG without an end marker, read as far as it goes"]
    assert label_cache.scan_findings() == []
