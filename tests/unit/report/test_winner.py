"""The winner: ranked over all endings, verified byte for byte, validated again, handed over as a bundle."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from yolosweep.backends.toy.trainer import ToyTrainer
from yolosweep.data.samples.parking_dataset import draw_parking
from yolosweep.errors import DataError, TrainingError, VerificationError
from yolosweep.experiment import load_experiment
from yolosweep.ledger import Ledger, RunFolder
from yolosweep.ledger.history import History, TrialHistory
from yolosweep.records import Ending, EpochResult, TrialRecord, TrialRequest, Validation, Verdict
from yolosweep.records.events import EpochRecorded, SweepStarted, TrialEnded, TrialStarted
from yolosweep.report import summarize
from yolosweep.report.verified_winner import best_trial, data_of, select_winner, verify_file
from yolosweep.workflows.winner_selection import select_winner_of

METRIC = "metrics/mAP50-95(B)"


def make_run(
    tmp_path: Path, *trials: tuple[float | None, Ending], weights: tuple[int, ...] | None = None, test: bool = True
) -> RunFolder:
    """Write a run whose trials scored as given; those named in ``weights`` left a checkpoint (all by default)."""
    folder = RunFolder.create(tmp_path, "pick")
    experiment = {
        "name": "pick", "task": "detect", "model": "yolo11n.yaml", "data": "/d/data.yaml", "seed": 3,
        "train": {"epochs": 1}, "augmentations": {},
        "search": {"metric": METRIC, "mode": "max", "parameters": {"lr0": {"min": 0.001, "max": 0.1}}},
    }  # fmt: skip
    images = {"train": 9, "val": 9, **({"test": 3} if test else {})}
    ledger = Ledger(folder)
    ledger.append(
        SweepStarted(sweep=folder.sweep, experiment=experiment, versions={"ray": "2"},
        dataset={
            "task": "detect", "source": "/d/data.yaml", "names": {"0": "car"}, "images": images,
            "fingerprint": "f" * 64, "train_on": str(tmp_path / "data.yaml"),
        },
    ))  # fmt: skip
    for number, (score, ending) in enumerate(trials):
        name = f"t{number:04d}"
        request = TrialRequest(
            sweep=folder.sweep, trial=name, number=number, task="detect", model="yolo11n.yaml", data="d",
            settings={"epochs": 1, "lr0": 0.01}, asked={"lr0": 0.01}, identity=f"i{number}", metric=METRIC,
            folder=str(folder.root),
        )  # fmt: skip
        ledger.append(TrialStarted(request=request))
        if score is not None:
            row = EpochResult(
                epoch=1, metrics={METRIC: score}, score=score, best_score=score, best_epoch=1, epochs_without_gain=0,
                seconds=1, images_per_s=1,
            )  # fmt: skip
            ledger.append(EpochRecorded(trial=name, row=row))
        files = {}
        if score is not None and (weights is None or number in weights):
            local = tmp_path / "local.pt"
            local.write_bytes(f"weights of {name}".encode())
            files = {file: folder.publish(local, folder.trial(name) / file) for file in ("best.pt", "args.yaml")}
        record = TrialRecord(
            trial=name, number=number, ending=ending, reason="because", asked={"lr0": 0.01},
            used={"lr0": 0.01, "batch": 8}, score=score, files=files,
        )  # fmt: skip
        ledger.append(TrialEnded(record=record))
    ledger.close()
    return folder


def scorer(**scores: float) -> Any:
    def validate(trial: TrialHistory, weights: Path, split: str) -> Validation:
        assert weights.is_file()
        return Validation(split=split, metrics={METRIC: scores[split]})

    return validate


def test_the_best_so_far_wins_whatever_the_ending(tmp_path: Path) -> None:
    folder = make_run(tmp_path, (0.3, Ending.FINISHED), (0.6, Ending.PRUNED), (0.5, Ending.PATIENCE))
    trial, passed_over = best_trial(History.of(folder))
    assert trial.request.trial == "t0001"
    assert passed_over == []


def test_a_tie_goes_to_the_earlier_trial(tmp_path: Path) -> None:
    folder = make_run(tmp_path, (0.3, Ending.FINISHED), (0.6, Ending.FINISHED), (0.6, Ending.FINISHED))
    assert best_trial(History.of(folder))[0].request.trial == "t0001"


def test_a_better_trial_without_its_checkpoint_is_told(tmp_path: Path) -> None:
    folder = make_run(tmp_path, (0.3, Ending.FINISHED), (0.6, Ending.FAILED), weights=(0,))
    trial, passed_over = best_trial(History.of(folder))
    assert trial.request.trial == "t0000"
    assert passed_over == ["t0001 scored 0.6000 but left no checkpoint (because)"]


def test_no_score_at_all_says_how_the_trials_ended(tmp_path: Path) -> None:
    folder = make_run(tmp_path, (None, Ending.OOM), (None, Ending.DIVERGED))
    with pytest.raises(TrainingError, match=r"none of 2 trials has a score \(t0000 oom: because; t0001"):
        best_trial(History.of(folder))


def test_the_bundle_holds_what_is_needed_to_trust_and_repeat_it(tmp_path: Path) -> None:
    folder = make_run(tmp_path, (0.3, Ending.FINISHED), (0.6, Ending.FINISHED))
    winner = select_winner(folder, History.of(folder), scorer(val=0.601, test=0.55), pages={"W&B": "http://w/p"})
    bundle = json.loads((folder.winner / "winner.json").read_text())
    assert (folder.winner / "best.pt").read_bytes() == b"weights of t0001"
    assert bundle["trial"] == winner.trial == "t0001"
    assert bundle["validations"]["test"]["metrics"][METRIC] == 0.55
    assert bundle["data_fingerprint"] == "f" * 64
    assert bundle["versions"] == {"ray": "2"}
    assert bundle["pages"] == {"W&B": "http://w/p"}
    assert bundle["reproduce"] == "yolosweep run reproduce.yaml"  # in the folder of winner.json
    assert verify_file(folder, History.of(folder).trials["t0001"].record.files["best.pt"]).is_file()
    again = load_experiment(folder.winner / "reproduce.yaml", ["train.optimizer=AdamW"])
    assert again.seed == 3
    assert again.search.trials == 1
    assert again.search.parameters["lr0"].value == 0.01


def test_without_a_test_split_only_val_is_scored(tmp_path: Path) -> None:
    folder = make_run(tmp_path, (0.3, Ending.FINISHED), test=False)
    assert set(select_winner(folder, History.of(folder), scorer(val=0.3)).validations) == {"val"}


@pytest.mark.parametrize("measured", [0.58, 0.62, float("nan")])
def test_a_score_that_does_not_hold_is_not_selected(tmp_path: Path, measured: float) -> None:
    folder = make_run(tmp_path, (0.6, Ending.FINISHED))
    with pytest.raises(VerificationError, match="t0000 is not selected"):
        select_winner(folder, History.of(folder), scorer(val=measured, test=0.5))
    assert not folder.winner.exists()


def test_changed_and_missing_checkpoints_are_refused(tmp_path: Path) -> None:
    folder = make_run(tmp_path, (0.6, Ending.FINISHED))
    weights = folder.trial("t0000") / "best.pt"
    weights.write_bytes(b"weights of t0009")
    with pytest.raises(VerificationError, match="was changed after the training"):
        select_winner(folder, History.of(folder), scorer(val=0.6, test=0.5))
    weights.unlink()
    with pytest.raises(VerificationError, match="is missing"):
        select_winner(folder, History.of(folder), scorer(val=0.6, test=0.5))


def test_the_data_are_found_in_a_copy_of_the_run(tmp_path: Path) -> None:
    folder = make_run(tmp_path / "a", (0.6, Ending.FINISHED))
    history = History.of(folder)
    with pytest.raises(DataError, match="no longer exist"):
        data_of(folder, history)
    folder.dataset.mkdir()
    (folder.dataset / "data.yaml").write_text("{}")
    shutil.copytree(folder.root, tmp_path / "b")
    copy = RunFolder(tmp_path / "b")
    assert data_of(copy, History.of(copy)) == str(tmp_path / "b" / "data" / "data.yaml")


def toy_sweep(tmp_path: Path, data: Path, *rates: float) -> RunFolder:
    """Train the toy for real in this process, one trial per learning rate, and write the ledger of the sweep."""
    folder = RunFolder.create(tmp_path, "toy")
    ledger = Ledger(folder)
    metric = "metrics/accuracy_top1"
    experiment = {
        "name": "toy", "task": "detect", "model": "toy/red", "data": str(data), "seed": 0, "train": {"epochs": 4},
        "augmentations": {},
        "search": {"metric": metric, "mode": "max", "parameters": {"lr0": {"min": 0.001, "max": 5}}},
    }  # fmt: skip
    dataset = {
        "task": "detect", "source": str(data), "names": {"0": "red_car", "1": "car"}, "train_on": str(data),
        "images": {"train": 30, "val": 30, "test": 20}, "fingerprint": "f" * 64,
    }  # fmt: skip
    ledger.append(SweepStarted(sweep=folder.sweep, experiment=experiment, dataset=dataset))
    for number, rate in enumerate(rates):
        request = TrialRequest(
            sweep=folder.sweep, trial=f"t{number:04d}", number=number, task="detect", model="toy/red", data=str(data),
            settings={"epochs": 4, "lr0": rate}, asked={"lr0": rate}, identity=f"i{number}", metric=metric,
            folder=str(folder.root),
        )  # fmt: skip
        ledger.append(TrialStarted(request=request))

        def report(row: EpochResult, checkpoint: Any, trial: str = request.trial) -> Verdict:
            ledger.append(EpochRecorded(trial=trial, row=row, checkpoint=checkpoint))
            return Verdict.CONTINUE

        ledger.append(TrialEnded(record=ToyTrainer().train(request, report, lambda: False)))
    ledger.close()
    return folder


@pytest.mark.slow
def test_winner_and_trial_0_are_scored_on_the_same_images(tmp_path: Path) -> None:
    images = {"train": 30, "val": 30, "test": 20}
    data = draw_parking(tmp_path / "lot", images=images, size=48, empty_share=0)
    folder = toy_sweep(tmp_path, data, 0.01, 2.0, 0.001)
    winner = select_winner_of(folder)
    assert winner.reference is not None
    assert winner.reference.trial == (
        "t0000" if winner.trial != "t0000" else History.of(folder).ranked()[1].request.trial
    )
    for split in ("val", "test"):
        error = winner.reference.errors[split]
        assert (error.images, error.resamples) == (images[split], 200)
        assert set(winner.validations[split].errors) <= set(winner.validations[split].metrics)
        assert 0 < winner.validations[split].errors["metrics/accuracy_top1"] < 0.5
    verdict = summarize(History.of(folder)).verdict
    assert [(one.split, one.resamples) for one in verdict.comparisons] == [("val", 200), ("test", 200)]
    assert verdict.reference_name == "the defaults"
    assert select_winner_of(folder) == winner  # the same resamples again
    assert "resampled" not in folder.ledger.read_text()
    assert '"answers"' not in folder.ledger.read_text()

    wrong = winner.mistakes["val"]
    assert wrong["labels"] >= images["val"]
    assert 0 < wrong["wrong class"] < wrong["labels"]
    said = summarize(History.of(folder)).mistakes
    assert said is not None
    assert f"{wrong['wrong class']} in the wrong class" in said
    named = {picture.path for picture in winner.pictures}
    others = {path.removeprefix("winner/") for path in named if "/worst/" not in path}  # the toy draws no plots
    files_to_label = ("label-studio.json", "label-studio-interface.xml", "cvat.xml")
    assert others == {"errors.html", *(f"label-next/{name}" for name in files_to_label)}
    files = json.loads((folder.winner / "winner.json").read_text())["files"]
    worst = sorted(folder.winner.glob("worst/*.jpg"))
    assert {name for name in files if name.startswith("worst/")} == {f"worst/{path.name}" for path in worst}
    assert named >= {f"winner/worst/{path.name}" for path in worst}, "trackers send what the ledger names"
    assert sum(path.name[3:].startswith("val-") for path in worst) == 20
    assert sum(path.stat().st_size for path in worst) < 2_000_000
    assert (folder.winner / "errors.html").stat().st_size < 2_000_000
    (folder.winner / "worst" / "99-of-an-earlier-winner.jpg").touch()
    select_winner_of(folder)
    assert sorted(folder.winner.glob("worst/*.jpg")) == worst


def test_pictures_that_cannot_be_written_cost_no_winner(tmp_path: Path) -> None:
    folder = make_run(tmp_path, (0.3, Ending.FINISHED))
    folder.winner.mkdir()
    (folder.winner / "worst").symlink_to(tmp_path)  # links in a run folder are refused
    winner = select_winner(folder, History.of(folder), scorer(val=0.3, test=0.3))
    assert (winner.trial, winner.pictures) == ("t0000", ())
    assert (folder.winner / "winner.json").is_file()


def test_a_trial_0_that_was_changed_does_not_cost_the_winner(tmp_path: Path) -> None:
    folder = make_run(tmp_path, (0.3, Ending.FINISHED), (0.6, Ending.FINISHED))
    (folder.trial("t0000") / "best.pt").write_bytes(b"something else")
    winner = select_winner(folder, History.of(folder), scorer(val=0.6, test=0.5))
    assert winner.reference is not None
    assert winner.reference.validations == {}
    assert "t0000 was not validated: " in (winner.reference.reason or "")
    assert "was changed after the training" in (winner.reference.reason or "")
