"""What Ultralytics switches off because of the data is recorded as off: in the record, in its note and in args.yaml."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml
from tests.bench.foreign_data import dataset

from yolosweep.backends import trainer_for
from yolosweep.ledger import RunFolder
from yolosweep.records import Ending, TrialRequest, Verdict

pytestmark = pytest.mark.slow


def test_pose_without_flip_idx_and_rectangular_batches(tmp_path: Path) -> None:
    label = "0 0.5 0.5 0.4 0.4 0.4 0.4 0.6 0.6\n"
    data = dataset(tmp_path / "set", label=label, yaml="kpt_shape: [2, 2]\n", names="[a]")
    settings = {"epochs": 1, "imgsz": 32, "batch": 4, "rect": True, "plots": False, "verbose": False, "val": True}
    request = TrialRequest(
        sweep="run", trial="t0000", number=0, task="pose", model="yolo11n-pose.yaml", data=str(data),
        settings=settings, asked={"lr0": 0.01}, identity="0" * 16, metric="metrics/mAP50-95(P)",
        folder=str(tmp_path / "run"), gpus=0,
    )  # fmt: skip
    record = trainer_for(request.model).train(request, lambda row, checkpoint: Verdict.CONTINUE, lambda: False)
    assert record.ending is Ending.FINISHED, record.error
    assert {name: record.used[name] for name in ("fliplr", "mosaic")} == {"fliplr": 0.0, "mosaic": 0.0}
    assert "fliplr 0.5 was set to 0.0: data.yaml has no flip_idx" in record.notes
    kept = RunFolder(request.folder).resolve(record.files["args.yaml"])
    written = yaml.safe_load(kept.read_text())
    assert (written["fliplr"], written["flipud"], written["mosaic"]) == (0.0, 0.0, 0.0)
