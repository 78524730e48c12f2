"""Export of a winner: refused where its score differs, recorded either way, replaced and dropped with its checkpoint.

The exporter is a stand-in that writes a file and says what it scored; tests/e2e/test_yolo_sweep.py has the real one.
"""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from yolosweep import api
from yolosweep.backends.checkpoint_export import ExportedModel, ExportJob
from yolosweep.backends.ultralytics.checkpoint_export import YoloDeployment
from yolosweep.errors import TrainingError, UsageError, VerificationError
from yolosweep.ledger import Ledger, RunFolder
from yolosweep.ledger.history import History
from yolosweep.records import Ending, EpochResult, FileRef, TrialRecord, TrialRequest, Validation
from yolosweep.records.events import EpochRecorded, SweepStarted, TrialEnded, TrialStarted, WinnerSelected
from yolosweep.records.export import Latency
from yolosweep.report.verified_winner import select_winner
from yolosweep.report.winner_exports import drop_stale_exports, exports_of, place_of, record_export

METRIC = "metrics/mAP50-95(B)"


def make_run(tmp_path: Path, model: str = "yolo11n.yaml") -> RunFolder:
    folder = RunFolder.create(tmp_path, "ship")
    (tmp_path / "data.yaml").touch()
    ledger = Ledger(folder)
    experiment = {
        "name": "ship", "task": "detect", "model": model, "data": "/d", "seed": 0, "train": {}, "augmentations": {},
        "search": {"metric": METRIC, "mode": "max", "parameters": {"lr0": {}}},
    }  # fmt: skip
    dataset: Any = {
        "task": "detect", "source": "/d", "names": {"0": "car"}, "images": {"train": 9, "val": 9},
        "fingerprint": "f" * 64, "train_on": str(tmp_path / "data.yaml"),
    }  # fmt: skip
    ledger.append(SweepStarted(sweep=folder.sweep, experiment=experiment, dataset=dataset))
    request = TrialRequest(
        sweep=folder.sweep, trial="t0000", number=0, task="detect", model=model, data="d", settings={"imgsz": 64},
        asked={"lr0": 0.01}, identity="i", metric=METRIC, folder=str(folder.root),
    )  # fmt: skip
    ledger.append(TrialStarted(request=request))
    row = EpochResult(
        epoch=1, metrics={METRIC: 0.6}, score=0.6, best_score=0.6, best_epoch=1, epochs_without_gain=0, seconds=1,
        images_per_s=1,
    )  # fmt: skip
    ledger.append(EpochRecorded(trial="t0000", row=row))
    record = TrialRecord(
        trial="t0000", number=0, ending=Ending.FINISHED, reason="", asked={}, used={}, score=0.6,
        files={"best.pt": folder.publish(b"weights", folder.trial("t0000") / "best.pt")},
    )  # fmt: skip
    ledger.append(TrialEnded(record=record))
    ledger.close()
    return folder


def select(folder: RunFolder) -> None:
    def validate(trial: Any, weights: Path, split: str) -> Validation:
        return Validation(split=split, metrics={METRIC: 0.6})

    winner = select_winner(folder, History.of(folder), validate)
    ledger = Ledger(folder)
    ledger.append(WinnerSelected(**dict(winner)))
    ledger.close()


@pytest.fixture
def scores(monkeypatch: pytest.MonkeyPatch) -> dict[str, float | None]:
    """What the stand-in says that checkpoint and exported model score."""
    scored: dict[str, float | None] = {"checkpoint": 0.61, "exported": 0.61}

    def export(self: YoloDeployment, job: ExportJob, folder: Path) -> ExportedModel:
        assert job.weights.read_bytes() == b"weights"
        path = folder / ("best_openvino_model" if job.format == "openvino" else "best.onnx")
        for file in (path / "best.xml", path / "best.bin") if job.format == "openvino" else (path,):
            file.parent.mkdir(exist_ok=True)
            file.write_text(job.format)
        latency = Latency(
            checkpoint_ms=2, exported_ms=1, checkpoint_device="cpu", exported_device="cpu", passes=3, threads=1,
            imgsz=(64, 64),
        )  # fmt: skip
        both = {name: Validation(split="val", metrics={METRIC: score}) for name, score in scored.items()}
        return ExportedModel(path=path, **both, latency=latency, versions={"onnx": "1"})

    monkeypatch.setattr(YoloDeployment, "export", export)
    monkeypatch.setattr(YoloDeployment, "missing", lambda self, format: ())
    return scored


def bundle(folder: RunFolder) -> Any:
    return json.loads((folder.winner / "winner.json").read_text())


def files_below(folder: Path) -> list[str]:
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())


def test_an_equal_model_is_recorded_beside_the_winner(tmp_path: Path, scores: dict[str, float | None]) -> None:
    folder = make_run(tmp_path)
    select(folder)
    export = api.open(folder.root).export("openvino")
    assert export.is_accepted
    assert (export.difference, export.winner_score) == (0, 0.6)
    assert files_below(folder.winner / "exports") == [
        "openvino/best_openvino_model/best.bin",
        "openvino/best_openvino_model/best.xml",
        "openvino/export.json",
    ]
    assert bundle(folder)["exports"] == {"openvino": export.model_dump(mode="json")}
    assert "| openvino | accepted |" in (folder.winner / "README.md").read_text()


@pytest.mark.parametrize("score", [0.59, 0.63, None])
def test_another_score_is_refused_and_the_file_is_named_so(
    score: float | None, tmp_path: Path, scores: dict[str, float | None]
) -> None:
    folder = make_run(tmp_path)
    select(folder)
    sweep = api.open(folder.root)
    sweep.export("onnx", quantize=8)
    scores["exported"] = score
    with pytest.raises(VerificationError, match="onnx-8 is refused"):
        sweep.export("onnx", quantize=8)
    assert files_below(folder.winner / "exports") == ["onnx-8/export.json", "onnx-8/refused.onnx"]
    assert bundle(folder)["exports"]["onnx-8"]["is_accepted"] is False
    if score is not None:
        assert sweep.export("onnx", quantize=8, tolerance=0.021).is_accepted
        assert files_below(folder.winner / "exports") == ["onnx-8/best.onnx", "onnx-8/export.json"]


def test_exports_stay_with_their_checkpoint(tmp_path: Path, scores: dict[str, float | None]) -> None:
    folder = make_run(tmp_path)
    select(folder)
    export = api.open(folder.root).export("onnx")
    select(folder)  # the same checkpoint again
    assert bundle(folder)["exports"] == {"onnx": export.model_dump(mode="json")}
    record = folder.winner / "exports" / "onnx" / "export.json"
    record.write_text(record.read_text().replace(export.checkpoint_sha256, "0" * 64))
    select(folder)
    assert bundle(folder)["exports"] == {}
    assert files_below(folder.winner / "exports") == []


def test_exports_are_kept_and_dropped_in_an_object_storage(tmp_path: Path, scores: dict[str, float | None]) -> None:
    local = make_run(tmp_path)
    select(local)
    export = api.open(local.root).export("onnx")
    (tmp_path / "bucket").mkdir()
    run = RunFolder.create(f"file://{tmp_path}/bucket", "ship")
    record_export(run, export)
    run.publish(b"model", place_of(run, "onnx", "best.onnx"))
    shutil.rmtree(run.root)  # on another machine
    stored = tmp_path / "bucket" / run.root.name
    checkpoint = FileRef(path="winner/best.pt", sha256=export.checkpoint_sha256, size=1)
    assert exports_of(run, "yolo11n.yaml", checkpoint) == {"onnx": export}
    assert "winner/exports/onnx/best.onnx" in files_below(stored)
    drop_stale_exports(run, "yolo11n.yaml", checkpoint.model_copy(update={"sha256": "0" * 64}))
    assert exports_of(run, "yolo11n.yaml", checkpoint) == {}
    assert "winner/exports/onnx/best.onnx" not in files_below(stored)


@pytest.mark.parametrize("damage", ["[]", "{", '{"name": "onnx"}', "[" * 100_000])
def test_a_damaged_record_is_no_export(damage: str, tmp_path: Path, scores: dict[str, float | None]) -> None:
    folder = make_run(tmp_path)
    select(folder)
    api.open(folder.root).export("onnx")
    (folder.winner / "exports" / "onnx" / "export.json").write_text(damage)
    (folder.winner / "winner.json").write_text(damage)
    export = api.open(folder.root).export("openvino")
    assert bundle(folder)["exports"] == {"openvino": export.model_dump(mode="json")}
    assert bundle(folder)["trial"] == "t0000"


def test_what_cannot_be_exported_is_refused_with_all_reasons(
    tmp_path: Path, scores: dict[str, float | None], monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = make_run(tmp_path)
    with pytest.raises(TrainingError, match="has no winner yet; select one with: yolosweep best"):
        api.open(folder.root).export("onnx")
    select(folder)
    sweep = api.open(folder.root)
    with pytest.raises(UsageError, match=r"--format edgetpu: choose one of torchscript, onnx, .*; --tolerance 2: "):
        sweep.export("edgetpu", tolerance=2)
    with pytest.raises(UsageError, match="--quantize 8 with --format openvino: choose 16, or leave it out"):
        sweep.export("openvino", quantize=8)
    monkeypatch.setattr(YoloDeployment, "missing", lambda self, format: ("onnx>=1.12.0,<2.0.0", "onnxslim"))
    with pytest.raises(UsageError, match=r"not installed: pip install 'onnx>=1.12.0,<2.0.0' 'onnxslim'"):
        sweep.export("onnx")
    assert not (folder.winner / "exports").exists()


def test_the_toy_and_a_changed_checkpoint_are_refused(tmp_path: Path, scores: dict[str, float | None]) -> None:
    toy, yolo = make_run(tmp_path / "toy", "toy/red"), make_run(tmp_path / "yolo")
    select(toy)
    select(yolo)
    with pytest.raises(UsageError, match="toy/red cannot be exported"):
        api.open(toy.root).export("onnx")
    (yolo.winner / "best.pt").write_bytes(b"other weights")
    with pytest.raises(VerificationError, match="was changed after the training"):
        api.open(yolo.root).export("onnx")
