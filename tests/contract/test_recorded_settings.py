"""What Ultralytics switches off because of the data is recorded as off: in the record, in its note and in args.yaml."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml
from tests.bench.foreign_data import dataset

from yolosweep.backends.activity_meter import unwatched
from yolosweep.backends.ultralytics.callbacks import TrainingCallbacks
from yolosweep.backends.ultralytics.trainer import _Run
from yolosweep.backends.ultralytics.training_environment import enter
from yolosweep.records import TrialRequest, Verdict

pytestmark = pytest.mark.slow


def test_pose_without_flip_idx_and_rectangular_batches(tmp_path: Path) -> None:
    """Ultralytics writes args.yaml when its trainer is made; nothing is trained here."""
    label = "0 0.5 0.5 0.4 0.4 0.4 0.4 0.6 0.6\n"
    data = dataset(tmp_path / "set", label=label, yaml="kpt_shape: [2, 2]\n", names="[a]")
    settings = {"epochs": 1, "imgsz": 32, "batch": 4, "rect": True, "plots": False, "verbose": False}
    request = TrialRequest(
        sweep="run", trial="t0000", number=0, task="pose", model="yolo11n-pose.yaml", data=str(data),
        settings=settings, asked={"lr0": 0.01}, identity="0" * 16, metric="metrics/mAP50-95(P)",
        folder=str(tmp_path / "run"),
    )  # fmt: skip
    enter()
    scratch = tmp_path / "scratch"
    watch = TrainingCallbacks(request, lambda row, checkpoint: Verdict.CONTINUE, lambda: False, scratch, unwatched)
    run = _Run(request, watch, scratch)
    run.trainer = run._trainer()
    run._remember()
    assert {name: run._used[name] for name in ("fliplr", "mosaic")} == {"fliplr": 0.0, "mosaic": 0.0}
    assert "fliplr 0.5 was set to 0.0: data.yaml has no flip_idx" in run.notes
    written = yaml.safe_load((scratch / "args.yaml").read_text())
    assert (written["fliplr"], written["flipud"], written["mosaic"]) == (0.0, 0.0, 0.0)
