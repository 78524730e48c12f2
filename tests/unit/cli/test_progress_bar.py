"""How far a long reading is, told where nobody looks at a terminal."""

from __future__ import annotations

import pytest

from yolosweep.cli import progress_bar as module


def test_time_left_is_forecast_from_the_first_file_on(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    clock = iter((100.0, 111.0, 115.0, 130.0))
    monkeypatch.setattr(module.time, "monotonic", lambda: next(clock))
    tell = module.progress("reading")
    tell(0, 60)
    tell(1, 60)  # too early for another line
    tell(20, 60)
    told = capsys.readouterr().err.splitlines()
    assert told == [
        "reading: 0 of 60 files",
        "reading: 20 of 60 files, about 32 s left",
    ]
