"""The finals: which trials are trained again, when, with which seeds, and that a resume decides the same. No Ray."""

import itertools
import json
import math
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.tools.placing import take
from typer.testing import CliRunner

from yolosweep.cli.app import app
from yolosweep.errors import ExperimentError
from yolosweep.experiment import Experiment, finals_line, load_experiment
from yolosweep.experiment.trial_settings import resolved
from yolosweep.ledger import Ledger, RunFolder, read_events
from yolosweep.ledger.history import History
from yolosweep.ledger.verdict_evidence import finalists_of
from yolosweep.records import (
    Ending,
    EpochResult,
    FileRef,
    PreparedDataset,
    TrialRecord,
    TrialRequest,
    Validation,
    Verdict,
)
from yolosweep.records.events import CheckpointsDropped, SweepEnded, TrialEnded, TrialStarted, Winner, WinnerSelected
from yolosweep.report.model_card import model_card
from yolosweep.report.sweep_page import render
from yolosweep.report.sweep_summary import summarize
from yolosweep.report.trial_explanations import explain
from yolosweep.report.verified_winner import best_trial
from yolosweep.search.controller import SweepController
from yolosweep.search.finals import finalists
from yolosweep.tracking.winner_values import winner_of

EPOCHS = 4
SPACE = {"lr0": {"min": 0.001, "max": 0.1}, "batch": {"values": [8, 16, 32]}}
DATASET = PreparedDataset(
    task="detect", source="/d/data.yaml", train_on="/d/data.yaml", names={0: "car"}, images={"train": 9, "val": 9},
    fingerprint="f" * 64,
)  # fmt: skip
OPEN: list[SweepController] = []


@pytest.fixture(autouse=True)
def _close_controllers(tmp_path: Path) -> Iterator[None]:  # before its folder is deleted
    yield
    while OPEN:
        OPEN.pop().close()


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


def controller_of(
    folder: RunFolder, clock: Clock | None = None, *, header: dict[str, Any] | None = None, **search: Any
) -> SweepController:
    about = {"parameters": SPACE, "finals": {"top": 2, "seeds": 3}, "searcher": "random", "pruner": "none", **search}
    exp = {"name": "d", "model": "yolo11n.yaml", "data": "/d/data.yaml", "seed": 7, "keep_top": 1, "search": about}
    exp["train"] = {"epochs": EPOCHS, "optimizer": "AdamW"}
    made = SweepController(
        folder.address, experiment=resolved(Experiment.model_validate(exp)).model_dump(mode="json"),
        model="yolo11n.yaml", model_fingerprint="m", dataset=DATASET.model_dump(mode="json"), cpus=1, gpus=0,
        header=header or {}, clock=clock or Clock(),
    )  # fmt: skip
    OPEN.append(made)
    return made


def score_of(request: TrialRequest) -> float:
    """Return what a training scores: a peak at lr0 = 0.03, and the luck of its seed."""
    peak = 0.5 - 0.1 * abs(math.log10(request.settings["lr0"] / 0.03))
    return round(peak + 0.001 * ((request.settings["seed"] * 7 + request.number) % 3), 6)


def train(controller: SweepController, request: TrialRequest, score: float, ending: Ending = Ending.FINISHED) -> None:
    for epoch in range(1, EPOCHS + 1):
        row = EpochResult(
            epoch=epoch, metrics={}, score=score * epoch / EPOCHS, best_score=score * epoch / EPOCHS, best_epoch=epoch,
            epochs_without_gain=0, seconds=1.0, images_per_s=9.0,
        )  # fmt: skip
        if controller.row(request.trial, row, attempt=request.attempt) is not Verdict.CONTINUE:
            ending = Ending.PRUNED
            break
    folder = RunFolder(request.folder)
    local = folder.root / "weights.tmp"
    local.write_bytes(request.trial.encode())
    record = TrialRecord(
        trial=request.trial, number=request.number, ending=ending, reason="r", asked=request.asked, used=request.asked,
        score=row.best_score, epochs=row.epoch, seconds=10.0,
        files={"best.pt": folder.publish(local, folder.trial(request.trial) / "best.pt")},
    )  # fmt: skip
    controller.ended(record, request.attempt)


def run(controller: SweepController, score: Callable[[TrialRequest], float] = score_of) -> list[TrialRequest]:
    """Run all trials one after the other on one worker."""
    requests = []
    while isinstance(request := take(controller), TrialRequest):
        requests.append(request)
        train(controller, request, score(request))
    return requests


def history_of(folder: RunFolder) -> History:
    return History.of(folder)


@pytest.fixture
def folder(tmp_path: Path) -> RunFolder:
    return RunFolder.create(tmp_path, "d")


@pytest.mark.parametrize("pruner", ["none", "asha", "soft"])
def test_the_best_and_trial_0_are_trained_again_with_the_same_new_seeds(folder: RunFolder, pruner: str) -> None:
    requests = run(controller_of(folder, trials=16, pruner=pruner, **({"grace_epochs": 1} if pruner != "none" else {})))
    assert [request.number for request in requests] == list(range(16))
    searched, repeats = requests[:7], requests[7:]
    assert [request.repeats for request in searched] == [None] * 7
    history = history_of(folder)
    whole = [t for t in history.searched if t.record and t.record.ending is Ending.FINISHED and t.request.number]
    best = sorted(whole, key=lambda trial: -(trial.score or 0))[:2]
    names = ["t0000", *(trial.request.trial for trial in best)]
    assert [(r.repeats, r.seed) for r in repeats] == [(name, seed) for seed in (8, 9, 10) for name in names]
    for request in repeats:
        original = history.trials[str(request.repeats)].request
        assert request.asked == original.asked
        assert {**request.settings, "seed": 7} == original.settings
        assert history.trials[request.trial].status == "finished"  # never pruned
    assert len({request.identity for request in requests}) == 16


def test_a_resume_at_any_moment_of_the_finals_starts_the_same_repeat(folder: RunFolder, tmp_path: Path) -> None:
    search = {"trials": 13, "searcher": "gp", "pruner": "soft", "grace_epochs": 1}
    run(controller_of(folder, **search))
    OPEN.pop().close()
    events = list(read_events(folder.ledger))
    lines = folder.ledger.read_bytes().splitlines(keepends=True)
    starts = [i for i, e in enumerate(events) if isinstance(e, TrialStarted) and e.request.repeats is not None]
    assert len(starts) == 9
    for copy, (start, after) in enumerate(itertools.pairwise(starts)):
        cut = RunFolder.create(tmp_path / f"cut{copy}", "d")
        cut.ledger.write_bytes(b"".join(lines[:after]))
        resumed = controller_of(cut, **search)
        request = take(resumed)
        assert isinstance(request, TrialRequest)
        assert isinstance(expected := events[after], TrialStarted)
        assert (request.trial, request.identity) == (expected.request.trial, expected.request.identity)
        half = RunFolder.create(tmp_path / f"half{copy}", "d")  # killed in the middle of a repeat: it goes on
        half.ledger.write_bytes(b"".join(lines[: start + 2]))
        resumed = controller_of(half, **search)
        request = take(resumed)
        assert isinstance(request, TrialRequest)
        assert isinstance(events[start], TrialStarted)
        assert (request.trial, request.repeats) == (events[start].request.trial, events[start].request.repeats)


@pytest.mark.parametrize("searcher", ["gp", "tpe", "random", "qmc"])
@pytest.mark.slow
def test_the_searcher_does_not_learn_repeats(searcher: str, tmp_path: Path) -> None:
    """With more trials after finals, the next points depend on the searched trials alone."""
    asked = {}
    for luck in (0.0, 0.4):
        folder = RunFolder.create(tmp_path / str(luck), "d")
        run(
            controller_of(folder, trials=17, searcher=searcher),
            lambda request, luck=luck: score_of(request) + (luck if request.repeats else 0.0),
        )
        OPEN.pop().close()
        changes = {"changes": {"search.trials": (17, 40)}}
        more = run(controller_of(folder, trials=40, searcher=searcher, header=changes))
        assert more[0].repeats is None
        asked[luck] = [request.asked for request in more[:3]]
    assert asked[0.0] == asked[0.4]


def test_more_trials_continue_the_search_and_finals_reuse_what_there_is(folder: RunFolder) -> None:
    run(controller_of(folder, trials=14))
    OPEN.pop().close()
    more = run(controller_of(folder, trials=30, header={"changes": {"search.trials": (14, 30)}}))
    searched = [request for request in more if request.repeats is None]
    assert len(searched) == 30 - 14 - 2 * 3  # the seeds of trial 0 are there already
    assert len(history_of(folder).trials) <= 30
    done = [(trial.request.repeats, trial.request.seed) for trial in history_of(folder).repeats()]
    assert len(done) == len(set(done))


def test_without_a_change_of_the_budget_a_resume_does_not_search_on(folder: RunFolder) -> None:
    """Repeats that stop early leave room in the epoch budget: it stays unused."""
    search = {"epoch_budget": 16 * EPOCHS, "finals": {"top": 2, "seeds": 3}}
    controller = controller_of(folder, **search)
    count = 0
    while isinstance(request := take(controller), TrialRequest):
        count += 1
        if request.repeats is None:
            train(controller, request, score_of(request))
            continue
        row = EpochResult(
            epoch=1, metrics={}, score=0.4, best_score=0.4, best_epoch=1, epochs_without_gain=0, seconds=1.0,
            images_per_s=9.0,
        )  # fmt: skip
        controller.row(request.trial, row)
        controller.ended(
            TrialRecord(
                trial=request.trial, number=request.number, ending=Ending.PATIENCE, reason="r", asked=request.asked,
                used=request.asked, score=0.4, epochs=1,
            )
        )  # fmt: skip
    assert count == 7 + 9
    OPEN.pop().close()
    assert take(controller_of(folder, **search)) is None


def test_repeats_of_trial_0_use_workers_that_would_wait(folder: RunFolder) -> None:
    controller = controller_of(folder, trials=13)
    for _ in range(3):
        request = take(controller)
        assert isinstance(request, TrialRequest)
        train(controller, request, score_of(request))
    slow = take(controller)
    assert isinstance(slow, TrialRequest)
    early = []
    while isinstance(request := take(controller), TrialRequest):
        early.append(request.repeats)
        train(controller, request, score_of(request))
    assert (request, early) == ("wait", ["t0000"] * 3)
    assert not controller.over()
    train(controller, slow, score_of(slow))
    request = take(controller)
    assert isinstance(request, TrialRequest)
    assert request.repeats not in ("t0000", None)


def test_a_time_budget_keeps_time_for_the_finals(folder: RunFolder) -> None:
    """Trainings take 10 s: of 300 s, nine are kept for the finals, and one for the training that starts last."""
    clock = Clock()
    controller = controller_of(folder, clock, time_budget=300)
    requests = []
    while isinstance(request := take(controller), TrialRequest):
        requests.append(request)
        clock.now += 10
        train(controller, request, score_of(request))
    assert [request.repeats is None for request in requests] == [True] * 21 + [False] * 9
    assert controller.close() == "the rest of the time budget was for the finals"
    OPEN.clear()


def test_a_time_budget_that_is_too_short_for_finals_is_the_searchs(folder: RunFolder) -> None:
    clock = Clock()
    controller = controller_of(folder, clock, time_budget=200)
    while isinstance(request := take(controller), TrialRequest):
        assert request.repeats is None
        clock.now += 10
        train(controller, request, score_of(request))
    OPEN.pop().close()
    assert any("0 of the 9 trainings of the finals have ended" in note.text for note in history_of(folder).notes)


def test_the_rank_of_a_lucky_trial_follows_the_model(folder: RunFolder) -> None:
    run(controller_of(folder, trials=13), lambda request: {1: 0.45, 2: 0.44, 3: 0.43}.get(request.number, 0.4))
    history = history_of(folder)
    chosen = [[t.request.trial for t in finalists(history, 2, means)] for means in ({}, {1: 0.42, 2: 0.44, 3: 0.43})]
    assert chosen == [["t0000", "t0001", "t0002"], ["t0000", "t0002", "t0003"]]


def test_the_checkpoint_is_the_best_of_the_best_mean(folder: RunFolder) -> None:
    """The highest score of the search was luck: another trial has the higher mean, and its best repeat is chosen."""
    scores = {0: 0.40, 1: 0.50, 2: 0.48, 3: 0.10}

    def score(request: TrialRequest) -> float:
        if request.repeats is None:
            return scores[request.number]
        return {"t0000": 0.40, "t0001": 0.42, "t0002": 0.47}[request.repeats] + 0.01 * (request.seed == 9)

    run(controller_of(folder, trials=13), score)
    history = history_of(folder)
    assert {one.trial: one.scores for one in finalists_of(history)}["t0002"] == {8: 0.47, 9: 0.48, 10: 0.47}
    trial, passed_over = best_trial(history)
    assert (trial.request.repeats, trial.request.seed) == ("t0002", 9)
    assert passed_over == []
    dropped = [event.trial for event in read_events(folder.ledger) if isinstance(event, CheckpointsDropped)]
    kept = {name for name, one in history.trials.items() if not one.dropped}
    assert len(dropped) == len(set(dropped))
    assert {history.trials[name].request.repeats for name in kept} == {None, "t0000", "t0001", "t0002"}
    assert len(kept) == 5  # trial 0, the best of the search, and the best repeat of each finalist


def test_a_repeat_that_fails_counts_as_missing(folder: RunFolder) -> None:
    controller = controller_of(folder, trials=13)
    while isinstance(request := take(controller), TrialRequest):
        failed = request.repeats == "t0001" and request.seed == 8
        train(
            controller, request, 0.41 if request.repeats == "t0001" else 0.4, Ending.OOM if failed else Ending.FINISHED
        )
    found = {one.trial: one.scores for one in finalists_of(history_of(folder))}
    assert found["t0001"] == {8: None, 9: 0.41, 10: 0.41}


@pytest.mark.slow
def test_every_surface_shows_the_means(folder: RunFolder) -> None:
    def score(request: TrialRequest) -> float:
        luck = 0.0 if request.repeats is None else (0.0, 0.004, 0.002)[(request.seed or 0) - 8]
        base = {0: 0.40, 1: 0.52, 2: 0.47, 3: 0.1}.get(request.number, 0.0)
        return (base or {"t0000": 0.41, "t0001": 0.45, "t0002": 0.48}[str(request.repeats)]) + luck

    run(controller_of(folder, trials=13), score)
    OPEN.pop().close()
    trial, _ = best_trial(history_of(folder))
    val = {"val": Validation(split="val", metrics={"metrics/mAP50-95(B)": 0.484})}
    winner = Winner(
        trial=trial.request.trial, repeats=trial.request.repeats, score=trial.score, metric="metrics/mAP50-95(B)",
        validations=val, file=FileRef(path="winner/best.pt", sha256="0", size=1), settings={}, identity="i",
        model="yolo11n.yaml", data_fingerprint="f",
    )  # fmt: skip
    ledger = Ledger(folder)
    ledger.append(WinnerSelected(**dict(winner)))
    ledger.append(SweepEnded(status="finished", reason="all trials ran"))
    ledger.close()
    history = history_of(folder)
    summary = summarize(history)
    assert (summary.best_trial, summary.best_score, summary.baseline_score) == ("t0002", 0.482, 0.412)
    assert summary.winner is not None
    assert (summary.winner.trial, summary.winner.repeats) == (trial.request.trial, "t0002")
    margin = "± 0.0028"  # standard deviation 0.002, 6 degrees of freedom, 3 seeds
    said = f"Finals, trained again with 3 new seeds: t0002 0.4820 {margin}, the defaults 0.4120 {margin}."
    assert said in summary.verdict.details
    whose = f"{trial.request.trial}, which repeats t0002: the best of its seeds, 0.4840 on val."
    assert f"The checkpoint is that of {whose}" in summary.verdict.details
    page, card = render(history, reproduce="r"), model_card(history, winner, {})
    assert "mean of 3 new seeds" in page
    assert "which repeats t0002 with another seed" in card
    assert "Other seeds of its settings score 0.4820 on average." in card
    shown = CliRunner().invoke(app, ["show", str(folder.root), "--all"]).stdout
    assert re.search(rf"{trial.request.trial}\W+finished\W+t0002\W+9\W+0.4840", shown)
    (listed,) = json.loads(CliRunner().invoke(app, ["ls", str(folder.root.parent), "--json"]).stdout)
    assert (listed["best_trial"], listed["best"]) == ("t0002", 0.482)
    assert winner_of(history)["finals/score"] == 0.482
    again = explain(read_events(folder.ledger))
    assert again.of_trial(trial.request.trial)[0].startswith(
        "Started in the finals: t0002 is trained again with seed 9"
    )
    assert "the best checkpoint of t0002" in " ".join(again.of_sweep())


def test_a_foreign_ledger_may_name_anything_as_repeated(folder: RunFolder) -> None:
    run(controller_of(folder, trials=13))
    OPEN.pop().close()
    history = history_of(folder)
    for number, (repeats, seed) in enumerate([("t9999", 1), ("t0013", "x"), ("<script>x", None)], len(history.trials)):
        known = history.trials["t0001"]
        settings = {**known.request.settings, "seed": seed}
        name = f"t{number:04d}"
        request = known.request.model_copy(update={"trial": name, "repeats": repeats, "settings": settings})
        assert known.record is not None
        history.add(TrialStarted(request=request))
        history.add(TrialEnded(record=known.record.model_copy(update={"trial": name, "number": number})))
    assert len(finalists_of(history)) == 3
    assert "<script>x" not in render(history, reproduce="r")


def load(tmp_path: Path, search: str) -> Experiment:
    file = tmp_path / "experiment.yaml"
    file.write_text(
        "name: x\nmodel: toy/red\ntask: classify\ndata: sample:parking\ntrain: {epochs: 5}\n"
        f"search: {{{search}, parameters: {{lr0: {{min: 0.001, max: 0.1}}}}}}\n"
    )
    return load_experiment(file)


@pytest.mark.parametrize(
    ("search", "trainings"),
    [
        ("trials: 60", 12),
        ("trials: 59", 0),
        ("epoch_budget: 300", 12),
        ("trials: 60, epoch_budget: 299", 0),
        ("time_budget: 8h", 12),
        ("trials: 14, finals: {}", 12),
        ("trials: 5, finals: {top: 1, seeds: 1}", None),
        ("trials: 6, finals: {top: 1, seeds: 2}", 4),
        ("trials: 5, finals: {top: 1, seeds: 2}", None),
        ("epoch_budget: 29, finals: {top: 1, seeds: 2}", None),
        ("finals: {top: 9, seeds: 2}", None),
        ("trials: 100, finals: none", 0),
    ],
)
def test_finals_are_part_of_the_budget(search: str, trainings: int | None, tmp_path: Path) -> None:
    if trainings is None:
        with pytest.raises(ExperimentError, match=r"search\.finals"):
            load(tmp_path, search)
        return
    exp = load(tmp_path, search)
    assert (exp.search.finals.trainings if exp.search.finals else 0) == trainings
    assert finals_line(exp).startswith("the best " if trainings else "none")


def test_a_grid_is_tried_completely(tmp_path: Path) -> None:
    file = tmp_path / "experiment.yaml"
    file.write_text(
        "name: x\nmodel: toy/red\ntask: classify\ndata: sample:parking\ntrain: {epochs: 5}\n"
        "search: {searcher: grid, parameters: {lr0: {values: [0.001, 0.01, 0.1]}}}\n"
    )
    assert load_experiment(file).search.trials == 3
    assert load_experiment(file, ["search.finals={top: 1, seeds: 2}"]).search.trials == 3 + 4


def test_a_wrong_key_is_named(tmp_path: Path) -> None:
    with pytest.raises(ExperimentError, match=r"search\.finals\.seed \(line 6\): unknown key; did you mean"):
        load(tmp_path, "trials: 60, finals: {seed: 3}")
    with pytest.raises(ExperimentError, match=r"search\.finals \(line 6\): 'some'"):
        load(tmp_path, "trials: 60, finals: some")
