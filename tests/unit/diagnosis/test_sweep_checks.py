"""What a sweep's ledger shows: diagnoses, importance, explanations, and the experiment that follows."""

from __future__ import annotations

import json
import math
import random
import shutil
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from yolosweep.cli.app import app
from yolosweep.experiment import load_experiment
from yolosweep.experiment.experiment_changes import next_experiment
from yolosweep.experiment.search_choices import SEARCHERS
from yolosweep.ledger import Ledger, RunFolder
from yolosweep.ledger.history import History
from yolosweep.records import Ending, EpochResult, FileRef, TrialRecord, TrialRequest, Validation, Verdict
from yolosweep.records.diagnosis import Change
from yolosweep.records.events import (
    EpochRecorded,
    Event,
    SweepEnded,
    SweepStarted,
    TrialEnded,
    TrialResumed,
    TrialStarted,
    WinnerSelected,
)
from yolosweep.report import diagnose_sweep, write_report
from yolosweep.search.parameter_importance import importance_of

runner = CliRunner()
METRIC = "metrics/accuracy_top1"
SPACE = {
    "lr0": {"min": 1e-4, "max": 0.1, "distribution": "log_uniform_values"},
    "weight_decay": {"min": 0.0, "max": 0.1},
    "batch": {"values": [4, 16, 64]},
}
Score = Callable[[Mapping[str, Any]], float]


def settled(level: float, epoch: int, epochs: int) -> float:
    return level * (1 - math.exp(-8 * epoch / epochs))


def rising(level: float, epoch: int, epochs: int) -> float:
    return level * epoch / epochs


def write_sweep(path: Path, score: Score, **how: Any) -> RunFolder:
    """Write the ledger of a made sweep."""
    folder = RunFolder.create(path / "runs", "made")
    ledger = Ledger(folder)
    for event in events(score, **how):
        ledger.append(event)
    ledger.close()
    return folder


def history(score: Score, **how: Any) -> History:
    made = History()
    made.extend(events(score, **how))
    return made


def events(
    score: Score,
    *,
    trials: int = 30,
    epochs: int = 10,
    curve: Callable[[float, int, int], float] = settled,
    val_images: int = 40_000,
    instances: Mapping[int, int] | None = None,
    per_class: Mapping[str, float] | None = None,
    names: Mapping[int, str] = {0: "car", 1: "bus"},
    leaks: Mapping[str, float] | None = None,
    allowed: tuple[str, ...] = (),
    pruned: Mapping[int, int] | None = None,
    diverged: Callable[[Mapping[str, Any]], bool] = lambda parameters: False,
    restarted: tuple[int, ...] = (),
    data: str = "sample:parking",
    mode: str = "max",
    memorizes: bool = False,
    seed: int = 1,
) -> Iterator[Event]:
    """Yield the events of a sweep whose trials score by a function of their parameters."""
    draw = random.Random(seed)
    experiment = {
        "name": "made", "task": "detect", "model": "toy/red", "data": data, "train": {"epochs": epochs},
        "search": {
            "trials": trials, "metric": METRIC, "mode": mode, "searcher": "tpe", "pruner": "asha", "grace_epochs": 3,
            "reduction_factor": 3, "parameters": SPACE,
        },
    }  # fmt: skip
    dataset = {
        "task": "detect", "source": data, "train_on": "/d", "names": dict(names), "fingerprint": "f" * 64,
        "images": {"train": 160, "val": val_images}, "leaks": dict(leaks or {}), "allowed": allowed,
        "instances": {"train": dict(instances or {0: 300, 1: 300}), "val": {0: val_images // 2, 1: val_images // 2}},
    }  # fmt: skip
    yield SweepStarted(sweep="made", experiment=experiment, dataset=dataset)
    best: tuple[float, str] = (-math.inf, "")
    for number in range(trials):
        asked = {
            "lr0": 0.01 if number == 0 else 10 ** draw.uniform(-4, -1),
            "weight_decay": 0.0005 if number == 0 else draw.uniform(0, 0.1),
            "batch": draw.choice([4, 16, 64]),
        }
        name, level = f"t{number:04d}", score(asked) + draw.gauss(0, 0.002)
        request = TrialRequest(
            sweep="made", trial=name, number=number, task="detect", model="toy/red", data="/d", asked=asked,
            settings={"epochs": epochs, **asked}, identity=name, metric=METRIC, mode=mode,
            folder="/runs/made",
        )  # fmt: skip
        yield TrialStarted(request=request)
        if number in restarted:
            resumed = {"attempt": 1, "cause": "infra", "reason": "its worker died", "from_epoch": 0}
            yield TrialResumed(trial=name, **resumed)
        last = (pruned or {}).get(number, epochs)
        ending = Ending.DIVERGED if diverged(asked) else Ending.FINISHED if last == epochs else Ending.PRUNED
        so_far: list[float] = []
        for epoch in range(1, last + 1):
            so_far.append(curve(level, epoch, epochs))
            loss = 2.0 - so_far[-1]
            train_loss = 2.0 / epoch if memorizes else loss
            row = EpochResult(
                epoch=epoch, metrics={METRIC: so_far[-1], "train/loss": train_loss, "val/loss": loss}, score=so_far[-1],
                best_score=max(so_far), best_epoch=so_far.index(max(so_far)) + 1, epochs_without_gain=0, seconds=1.0,
                images_per_s=9,
            )  # fmt: skip
            verdict = Verdict.PRUNE if epoch == last and ending is Ending.PRUNED else Verdict.CONTINUE
            yield EpochRecorded(trial=name, row=row, verdict=verdict)
        if ending is Ending.FINISHED:
            best = max(best, (max(so_far), name))
        record = TrialRecord(
            trial=name, number=number, ending=ending, reason=f"it {ending.value}", asked=asked, used=asked,
            score=max(so_far), best_epoch=last, epochs=last, seconds=float(last),
        )  # fmt: skip
        yield TrialEnded(record=record)
    classes = {label: {METRIC: value} for label, value in (per_class or {}).items()}
    yield WinnerSelected(
        trial=best[1], score=best[0], metric=METRIC, settings={}, identity="i", model="toy/red",
        validations={"val": Validation(split="val", metrics={METRIC: best[0]}, per_class=classes)},
        file=FileRef(path="winner/best.pt", sha256="0" * 64, size=1), data_fingerprint="f" * 64,
    )  # fmt: skip
    yield SweepEnded(status="finished", reason="all trials ran")


def centred(parameters: Mapping[str, Any]) -> float:
    """The best learning rate is 0.003; nothing else matters."""
    return 0.8 - 0.1 * (math.log10(parameters["lr0"]) + 2.5) ** 2


def upwards(parameters: Mapping[str, Any]) -> float:
    return 0.8 + 0.1 * math.log10(parameters["lr0"])


def flat(parameters: Mapping[str, Any]) -> float:
    return 0.8


CASES: dict[str, tuple[Score, dict[str, Any], str]] = {
    "leaking-splits": (centred, {"leaks": {"val": 0.12}}, "12.0% of val"),
    "diverging": (centred, {"diverged": lambda p: p["lr0"] > 0.02}, "trials diverged"),
    "label-more": (flat, {"val_images": 200, "per_class": {"car": 0.9, "bus": 0.4}}, "weakest class is bus"),
    "too-few-epochs": (centred, {"curve": rising}, "5 of the best 5 trials"),
    "class-imbalance": (
        centred, {"instances": {0: 900, 1: 20}, "per_class": {"car": 0.9, "bus": 0.02}}, "bus scores 0.020",
    ),
    "space-edge": (upwards, {}, "lr0="),
    "within-noise": (flat, {"val_images": 200}, "which val with 200 images"),
    "space-region": (centred, {}, "region of lr0"),
}  # fmt: skip


@pytest.mark.parametrize("code", CASES)
def test_each_check_finds_what_it_is_for(code: str) -> None:
    score, how, told = CASES[code]
    found = {diagnosis.code: diagnosis for diagnosis in diagnose_sweep(history(score, **how))}
    assert told in found[code].sentence
    assert found[code].evidence


def test_trials_of_few_epochs_are_not_said_to_rise() -> None:
    for epochs, words in ((1, "1 epoch is too few"), (2, "2 epochs are too few")):
        found = {diagnosis.code: diagnosis for diagnosis in diagnose_sweep(history(centred, epochs=epochs))}
        assert words in found["too-few-epochs"].sentence
        assert "rising" not in found["too-few-epochs"].sentence


def test_a_sweep_without_trouble_names_none() -> None:
    quiet = {"diverging", "leaking-splits", "label-more", "too-few-epochs", "class-imbalance", "space-edge"}
    found = {diagnosis.code for diagnosis in diagnose_sweep(history(centred))}
    assert not found & quiet


def test_settings_that_matter_are_no_reason_to_stop() -> None:
    """Single trials tie on 48 images, but thirty of them show where the optimum is."""
    found = {diagnosis.code for diagnosis in diagnose_sweep(history(centred, val_images=48))}
    assert "within-noise" in found
    assert "label-more" not in found


def test_noise_alone_is_called_so_and_moves_no_range() -> None:
    for seed in range(25):
        draw = random.Random(seed)
        found = diagnose_sweep(
            history(lambda parameters, draw=draw: 0.8 + draw.gauss(0, 0.015), val_images=300, epochs=3, seed=seed)
        )
        codes = [diagnosis.code for diagnosis in found]
        assert "within-noise" in codes
        assert "space-edge" not in codes
        changes = [change for diagnosis in found for change in diagnosis.changes if isinstance(change.value, dict)]
        assert all("min" not in change.value for change in changes)


def test_importance_names_the_parameter_that_matters_among_comparable_trials() -> None:
    importance = importance_of(history(centred, pruned=dict.fromkeys(range(1, 8), 3)))
    assert importance.trials == 23
    assert next(iter(importance.shares)) == "lr0"
    assert importance.shares["lr0"] > 0.6
    assert sum(importance.shares.values()) == pytest.approx(1, abs=0.001)
    few = importance_of(history(centred, trials=30, pruned=dict.fromkeys(range(1, 22), 3)))
    assert (few.shares, few.trials, few.needed) == ({}, 9, 10)


def test_importance_follows_the_mode() -> None:
    lowest_in_the_middle = history(lambda p: 1 - centred(p), mode="min")
    assert next(iter(importance_of(lowest_in_the_middle).shares)) == "lr0"


def test_the_report_and_show_say_it(tmp_path: Path) -> None:
    folder = write_sweep(tmp_path, upwards)
    page = write_report(folder).read_text()
    shown = runner.invoke(app, ["show", str(folder.root)])
    assert "Diagnosis: Edge of the space" in shown.output
    assert "Edge of the space" in page
    assert "<b>What mattered:</b> lr0 0." in page


def test_explain_gives_reasons_with_numbers(tmp_path: Path) -> None:
    folder = write_sweep(tmp_path, centred, pruned={12: 3}, restarted=(4,))
    told = json.loads(runner.invoke(app, ["explain", str(folder.root), "--json"]).stdout)
    assert "30 trials: 29 finished, 1 pruned" in told["sweep"][0]
    assert any("was chosen: 1st of 30" in sentence for sentence in told["sweep"])
    nearest = "the point of the space that is nearest to the defaults"  # trial 0 of this sweep has other values
    assert told["t0000"][0].startswith(f"Started first, because trial 0 is {nearest}: lr0=0.01")
    assert "tpe decides once 10 trials have ended and 3 had" in told["t0003"][0]
    assert "Restarted from the beginning (infra): its worker died." in told["t0004"]
    assert "Suggested by tpe from 12 trials that had ended" in told["t0012"][0]
    assert "of 13 trials that had come to this epoch" in told["t0012"][1]
    assert "the best 5 continue" in told["t0012"][1]
    one = runner.invoke(app, ["explain", str(folder.root), "t0012"])
    assert one.output.splitlines()[0] == "t0012"
    wrong = runner.invoke(app, ["explain", str(folder.root), "t9"])
    assert wrong.exit_code == 2
    assert "has no trial 't9'; it has t0000 to t0029" in wrong.output


@pytest.mark.parametrize("name", [name for name, choice in SEARCHERS.items() if not choice.learns])
def test_explain_calls_no_point_learned_that_is_not(name: str, tmp_path: Path) -> None:
    """Whatever is registered as a searcher that does not learn."""
    recorded = Path(__file__).resolve().parents[2] / "fixtures" / "run_v1"
    shutil.copytree(recorded, tmp_path / "run")
    ledger = tmp_path / "run" / "ledger.jsonl"
    ledger.write_text(ledger.read_text().replace('"searcher":"tpe"', f'"searcher":"{name}"'))
    told = runner.invoke(app, ["explain", str(tmp_path / "run"), "t0001"]).output
    assert f"Started as the next point of the searcher {name}" in told
    assert "Suggested by" not in told


def test_explain_and_diagnose_read_a_recorded_run(tmp_path: Path) -> None:
    recorded = Path(__file__).resolve().parents[2] / "fixtures" / "run_v1"
    run = shutil.copytree(recorded, tmp_path / "run")
    explained = runner.invoke(app, ["explain", str(run)])
    assert explained.exit_code == 0, explained.output
    assert "t0000" in explained.output
    found = json.loads(runner.invoke(app, ["diagnose", str(run), "--json"]).stdout)
    assert set(found["trials"]) == {"t0000", "t0001", "t0002"}


@pytest.mark.slow
def test_next_writes_an_experiment_that_plan_accepts(
    parking: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    folder = write_sweep(tmp_path, upwards, epochs=20, curve=rising, data=str(parking / "data.yaml"))
    written = runner.invoke(app, ["next", str(folder.root), "-o", "next.yaml"])
    assert written.exit_code == 0, written.output
    text = (tmp_path / "next.yaml").read_text()
    assert text.startswith("# yaml-language-server: $schema=experiment.schema.json\n# Follows ")
    assert (tmp_path / "experiment.schema.json").is_file()
    verdict = json.loads(runner.invoke(app, ["show", str(folder.root), "--json"]).stdout)["verdict"]
    assert verdict["sentence"] in text
    explained = runner.invoke(app, ["explain", str(folder.root)]).stdout
    assert all(sentence in explained for sentence in (verdict["sentence"], *verdict["details"]))
    assert "# was 20: 5 of the best 5 trials were still rising after 20 epochs\n  epochs: 40\n" in text
    assert "the best trials have lr0 near 0.1, the upper end of the range" in text
    exp = load_experiment(tmp_path / "next.yaml")
    assert exp.train["epochs"] == 40
    assert exp.search.grace_epochs == 4  # follows from the epochs
    plan = runner.invoke(app, ["plan", "next.yaml", "--json"])
    assert plan.exit_code == 0, plan.output
    again = runner.invoke(app, ["next", str(folder.root), "-o", "next.yaml"])
    assert again.exit_code == 2
    assert "is not overwritten" in again.output


def memorized(level: float, epoch: int, epochs: int) -> float:
    """Rise quickly, then lose a fifth."""
    return level * (1 - math.exp(-2 * epoch)) * (1 - 0.3 * max(0.0, epoch / epochs - 0.4))


def test_next_takes_over_what_the_best_trial_shows(tmp_path: Path) -> None:
    folder = write_sweep(tmp_path, centred, curve=memorized, epochs=30, memorizes=True)
    text = runner.invoke(app, ["next", str(folder.root)]).stdout
    assert "  # stop 20 epochs after the last gain. t00" in text
    assert "Overfitting: the validation loss rose by" in text
    file = tmp_path / "next.yaml"
    file.write_text(text)
    assert load_experiment(file).train["patience"] == 20


def test_next_narrows_moves_and_fixes(tmp_path: Path) -> None:
    folder = write_sweep(tmp_path, centred, trials=60)
    text = runner.invoke(app, ["next", str(folder.root)]).stdout
    file = tmp_path / "next.yaml"
    file.write_text(text)
    lr0 = load_experiment(file).search.parameters["lr0"]
    assert lr0.min is not None
    assert lr0.max is not None
    assert 1e-4 < lr0.min < 0.003 < lr0.max < 0.1
    assert "was {min: 0.0001, max: 0.1, distribution: log_uniform_values}: the best 15 trials have lr0 from" in text


def test_next_may_say_stop(tmp_path: Path) -> None:
    folder = write_sweep(tmp_path, flat, val_images=200, per_class={"car": 0.9, "bus": 0.4})
    answer = runner.invoke(app, ["next", str(folder.root), "-o", str(tmp_path / "next.yaml")])
    assert answer.exit_code == 0
    assert "Stop sweeping" in answer.output
    assert "label more images with bus" in answer.output
    assert not (tmp_path / "next.yaml").exists()


def test_next_says_stop_where_val_is_too_small_to_compare_anything(tmp_path: Path) -> None:
    few = {"trials": 5, "val_images": 6, "instances": {0: 40, 1: 3}}
    folder = write_sweep(tmp_path, centred, curve=rising, **few)
    page = write_report(folder).read_text()
    assert "<b>Diagnosis:</b> Too few images" in page
    assert "Within noise" not in page  # said once, with the number of images for all reasons
    answer = runner.invoke(app, ["next", str(folder.root), "-o", str(tmp_path / "next.yaml")])
    assert "Too few images: with 6 val images no difference below 0." in answer.output
    assert "stop sweeping and label more images, first with bus (3 objects in train, 3 in val)" in answer.output
    assert not (tmp_path / "next.yaml").exists()


def test_next_names_what_was_waived_and_how_to_split_again(tmp_path: Path) -> None:
    leaking = {"leaks": {"val": 0.3}, "allowed": ("leak-near",), "curve": rising, "data": "/my data/d.yaml"}
    text = runner.invoke(app, ["next", str(write_sweep(tmp_path, centred, **leaking).root)]).stdout
    assert "As that sweep, it needs --allow leak-near." in text
    assert "split again without leaks: yolosweep split '/my data/d.yaml', then name its data.yaml" in text


def test_what_a_small_val_shows_nevertheless_is_no_reason_to_stop() -> None:
    def much_better(parameters: Mapping[str, Any]) -> float:
        return 0.05 if parameters["lr0"] == 0.01 else 0.95

    for score, count in ((much_better, 20), (flat, 40)):
        found = {one.code for one in diagnose_sweep(history(score, trials=5, val_images=count))}
        assert "label-more" not in found


def test_next_says_when_there_is_too_little_evidence(tmp_path: Path) -> None:
    answer = runner.invoke(app, ["next", str(write_sweep(tmp_path, centred, trials=3).root)])
    assert "No change of the experiment is supported by evidence yet." in answer.output
    assert "search.trials=6" in answer.output


def test_names_from_untrusted_data_stay_within_comments_and_lines(tmp_path: Path) -> None:
    hostile = "bus\nmodel: /tmp/evil.pt\r\x1b[2J"
    how = {"names": {0: "car", 1: hostile}, "instances": {0: 900, 1: 20}, "per_class": {"car": 0.9, hostile: 0.02}}
    folder = write_sweep(tmp_path, centred, curve=rising, **how)
    text = runner.invoke(app, ["next", str(folder.root)]).stdout
    assert not any(line.startswith("model: /tmp") for line in text.splitlines())
    assert "\x1b" not in text
    for command in (["diagnose", str(folder.root)], ["explain", str(folder.root)], ["show", str(folder.root)]):
        assert "\x1b" not in runner.invoke(app, command).output


def test_a_ledger_with_an_experiment_of_another_version_is_read(tmp_path: Path) -> None:
    folder = write_sweep(tmp_path, centred)
    text = folder.ledger.read_text()
    folder.ledger.write_text(text.replace('"lr0": {"min": 0.0001', '"lr0": {"least": 0.0001').replace(
        '"lr0":{"min":0.0001', '"lr0":{"least":0.0001'
    ))  # fmt: skip
    for command in ("show", "diagnose", "explain"):
        result = runner.invoke(app, [command, str(folder.root)])
        assert result.exit_code == 0, result.output
    result = runner.invoke(app, ["next", str(folder.root)])
    assert result.exit_code == 7
    assert "does not accept (search.parameters.lr0" in result.output


YOLO = {"lr0": {"min": 1e-4, "max": 1e-2, "distribution": "log_uniform_values"}, "mixup": {"min": 0.0, "max": 0.3}}
EXPERIMENT = {
    "name": "a", "task": "detect", "model": "yolo11n.yaml", "data": "sample:parking",
    "train": {"epochs": 50, "optimizer": "AdamW", "plots": False, "verbose": False},
    "search": {"trials": 9, "metric": "metrics/mAP50-95(B)", "grace_epochs": 5, "parameters": YOLO},
}  # fmt: skip


def test_a_change_that_an_experiment_cannot_take_is_left_out(tmp_path: Path) -> None:
    changes = [
        Change(key="model", value="yolo11s.yaml", how="bigger"),
        Change(key="train.mixup", value=0.1, how="it is searched"),
        Change(key="train.dropout", value=0.1, how="has no effect in detect"),
        Change(key="train.weight_decay", value=0.002, how="first"),
        Change(key="train.weight_decay", value=0.003, how="second"),
        Change(key="data", how="label more"),
        Change(key="search.parameters.mixup", value={"value": 0.1}, how="dead"),
    ]
    made = next_experiment(EXPERIMENT, changes, title="Follows a.")
    assert [change.key for change in made.changes] == ["model", "train.weight_decay", "search.parameters.mixup"]
    assert "# not in this file: data: label more" in made.text
    file = tmp_path / "next.yaml"
    file.write_text(made.text)
    exp = load_experiment(file)
    assert (exp.model, exp.train["weight_decay"], exp.search.parameters["mixup"].value) == ("yolo11s.yaml", 0.002, 0.1)
    assert "plots" not in made.text


def test_the_images_that_are_asked_for_resolve_the_difference_however_few_there_are_now() -> None:
    def noise(count: int) -> Any:
        found = diagnose_sweep(history(lambda parameters: 0.8 if parameters["lr0"] == 0.01 else 0.83, val_images=count))
        return next(one for one in found if one.code == "within-noise")

    for count in (12, 60, 400):
        assert "about 2100 resolve a difference of 0.0380" in noise(count).changes[0].how
    assert noise(2000).evidence["resolution"] == pytest.approx(0.038, rel=0.05)
