"""What surrounds Ultralytics' exporters: packages that are missing, telemetry, and what converters print."""

from __future__ import annotations

import importlib
import os
import subprocess
import sys
import warnings
from pathlib import Path

import pytest

from yolosweep.backends.ultralytics import checkpoint_export
from yolosweep.backends.ultralytics.checkpoint_export import YoloDeployment


def test_missing_packages_are_named_as_pip_takes_them(monkeypatch: pytest.MonkeyPatch) -> None:
    needs = ("numpy>=1", "numpy>=999", "no-such-package>=1.2,<2", "also-none")
    monkeypatch.setitem(checkpoint_export._NEEDS, "onnx", needs)
    monkeypatch.setitem(checkpoint_export._INSTEAD, "also-none", ("numpy",))
    assert YoloDeployment().missing("onnx") == ("numpy>=999", "no-such-package>=1.2,<2")
    assert YoloDeployment().missing("torchscript") == ()


def test_every_format_says_what_it_needs() -> None:
    assert YoloDeployment().formats.keys() == checkpoint_export._NEEDS.keys()


def test_runtimes_send_no_reports(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "openvino_telemetry.py").touch()
    monkeypatch.syspath_prepend(tmp_path)
    importlib.import_module("openvino_telemetry")
    monkeypatch.setitem(sys.modules, "openvino_telemetry", sys.modules["openvino_telemetry"])
    monkeypatch.setenv("ORT_DISABLE_TELEMETRY", "0")
    checkpoint_export._no_telemetry()
    with pytest.raises(ImportError):
        importlib.import_module("openvino_telemetry")
    assert os.environ["ORT_DISABLE_TELEMETRY"] == "1"


def test_what_converters_print_does_not_reach_standard_output(capfd: pytest.CaptureFixture[str]) -> None:
    with checkpoint_export._quiet():
        print("python")
        subprocess.run(["echo", "native"], check=True)
        warnings.warn("deprecated", FutureWarning, stacklevel=1)
    print("after", flush=True)
    assert capfd.readouterr().out == "after\n"


def test_the_card_of_every_task_has_code_that_compiles() -> None:
    for task in ("detect", "segment", "classify", "pose", "obb"):
        facts = YoloDeployment().card(task, {"imgsz": 96})
        compile(facts.usage, task, "exec")
        assert "imgsz=96" in facts.usage
