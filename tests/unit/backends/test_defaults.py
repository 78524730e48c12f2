"""The copy of Ultralytics' defaults, with which experiments are planned and read where the library is missing."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import pytest

from yolosweep.backends import DEFAULT_BACKEND, ArgumentSpace
from yolosweep.backends.ultralytics import arguments


def test_it_is_the_file_of_the_pinned_release() -> None:
    spec = importlib.util.find_spec("ultralytics")
    assert spec is not None
    assert spec.origin is not None
    theirs = Path(spec.origin).parent / "cfg" / "default.yaml"
    assert arguments.DEFAULTS.read_text() == theirs.read_text(), f"copy {theirs} over {arguments.DEFAULTS}"


def test_without_the_library_its_copy_is_read_and_a_note_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    installed = arguments.train_arguments()
    space = ArgumentSpace(model="yolo11n.yaml", task="detect", fixed={"lr0": "fast"}, defaults=installed.defaults)
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    assert arguments.train_arguments.__wrapped__() == installed
    assert DEFAULT_BACKEND.check_arguments(space) == ([], [])
    assert any("Ultralytics is not installed here" in note for note in DEFAULT_BACKEND.notes(space))
