"""Whole searches for several objectives, driven without Ray: what is learned, kept, ranked and said."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from tests.tools.placing import take
from tests.unit.search.driven_sweeps import controlled, experiment, points, run, train

from yolosweep.errors import TrainingError
from yolosweep.ledger import Ledger, RunFolder, read_events
from yolosweep.ledger.history import History
from yolosweep.records import FileRef, TrialRequest, Verdict
from yolosweep.records.events import SweepEnded
from yolosweep.records.footprint import Footprint
from yolosweep.records.trial_columns import columns_of
from yolosweep.records.verdict import Outcome
from yolosweep.report import summarize
from yolosweep.report.pareto_figure import trade_offs
from yolosweep.report.trial_explanations import explain
from yolosweep.report.verified_winner import best_trial
from yolosweep.search.checkpoint_retention import surplus
from yolosweep.tracking.message_values import summary_of, table_of
from yolosweep.workflows.trial_table import trial_frame

SPACE = {"lr0": {"min": 0.001, "max": 0.1}, "imgsz": {"values": [64, 96, 128, 160]}}
SCORE = {"metric": "metrics/mAP50-95(B)"}
LATENCY = {"metric": "latency_ms"}


def latency(request: TrialRequest) -> Mapping[str, float | None]:
    return {"latency_ms": request.settings["imgsz"] / 8}


def score(request: TrialRequest) -> float:
    """Larger images score more; trial 0, the defaults, has the largest."""
    return float(round(0.3 + request.settings["imgsz"] / 500 - abs(request.settings["lr0"] - 0.03), 6))


def search(*objectives: Mapping[str, Any], **more: Any) -> Any:
    about = {"objectives": [SCORE, *objectives], "parameters": SPACE, "searcher": "gp", "trials": 12, **more}
    return experiment(**about)


def swept(folder: RunFolder, exp: Any) -> History:
    with controlled(folder, exp) as controller:
        run(controller, score=score, objectives=latency)
    return History.of(folder)


@pytest.fixture
def folder(tmp_path: Path) -> RunFolder:
    return RunFolder.create(tmp_path, "many")


@pytest.mark.parametrize("searcher", ["gp", "tpe", "nsga2"])
@pytest.mark.parametrize("limit", [None, 14.0])
@pytest.mark.slow
def test_a_resumed_sweep_suggests_the_same(tmp_path: Path, searcher: str, limit: float | None) -> None:
    exp = search({**LATENCY, "limit": limit}, searcher=searcher)
    whole, cut = RunFolder.create(tmp_path, "whole"), RunFolder.create(tmp_path, "cut")
    with controlled(whole, exp) as controller:
        expected = points(run(controller, score=score, objectives=latency))
    with controlled(cut, exp) as controller:
        run(controller, 9, score=score, objectives=latency)
    with controlled(cut, exp) as controller:
        assert points(run(controller, score=score, objectives=latency)) == expected[9:]


def test_requests_name_the_further_objectives_and_repeats_are_not_measured_again(folder: RunFolder) -> None:
    measured = Footprint(latency_ms=3.0)
    exp = search({**LATENCY, "limit": 15}, trials=14, finals={"top": 2, "seeds": 2}, searcher="random")
    with controlled(folder, exp) as controller:
        for _ in range(14):
            request = take(controller)
            assert isinstance(request, TrialRequest)
            assert request.objectives == ("latency_ms",)
            assert (request.footprint == measured) is (request.repeats is not None)
            ledger_record = {"objectives": lambda _: {"latency_ms": 3.0}}
            train(controller, request, score=score, footprint=measured, **ledger_record)


def test_finals_train_none_but_trials_within_the_limits_again(folder: RunFolder) -> None:
    exp = search({**LATENCY, "limit": 15}, trials=16, finals={"top": 2, "seeds": 2}, searcher="random")
    history = swept(folder, exp)
    again = {one.request.repeats for one in history.repeats()} - {"t0000", None}
    assert len(again) == 2
    assert again <= {one.request.trial for one in history.eligible}
    assert "t0000" in history.standing.outside


def test_the_soft_pruner_does_not_compare_with_trials_beyond_a_limit(folder: RunFolder) -> None:
    """Three trials beyond it score more than the fourth ever will, which goes on all the same."""
    exp = search({**LATENCY, "limit": 1}, pruner="soft", pruner_options={"complete": 3, "protected": 0.0}, trials=4,
                 grace_epochs=1)  # fmt: skip
    with controlled(folder, exp) as controller:
        for place in range(4):
            request = take(controller)
            assert isinstance(request, TrialRequest)
            last = place == 3
            train(
                controller, request, score=lambda _, low=last: 0.01 if low else 0.6,
                objectives=lambda _: {"latency_ms": 2.0},
            )  # fmt: skip
    assert History.of(folder).trials["t0003"].verdict is not Verdict.PRUNE


def test_the_front_keeps_its_checkpoints(folder: RunFolder) -> None:
    history = swept(folder, search(LATENCY, searcher="random"))
    for trial in history.trials.values():
        assert trial.record is not None
        file = FileRef(path=f"trials/{trial.request.trial}/best.pt", sha256="0", size=1)
        trial.record = trial.record.model_copy(update={"files": {"best.pt": file}})
    dropped = {record.trial for record in surplus(history, 1)}
    assert len(history.front) > 2
    assert dropped == {one.request.trial for one in history.searched} - set(history.standing.front) - {"t0000"}


def ended(folder: RunFolder, exp: Any) -> History:
    swept(folder, exp)
    ledger = Ledger(folder)
    ledger.append(SweepEnded(status="finished", reason="all trials ran"))
    ledger.close()
    return History.of(folder)


def test_what_is_shown_where_trial_0_could_not_win(folder: RunFolder) -> None:
    history = ended(folder, search({**LATENCY, "limit": 13}, searcher="random"))
    summary = summarize(history)
    verdict, best = summary.verdict, history.eligible[0].request.trial
    assert verdict.outcome is not Outcome.BETTER
    assert verdict.sentence.startswith(
        f"{best} is the best trial with latency_ms <= 13, which t0000 has not (latency_ms 20)"
    )
    assert "The winner has the highest mAP50-95(B) among the trials with latency_ms <= 13." in verdict.details
    assert summary.best_trial == best
    assert "t0000" not in verdict.ties
    assert summary.best_first[0].trial == best
    assert {one.standing for one in summary.trials} >= {"front", "limit"}


def test_no_trial_keeps_the_limit(folder: RunFolder) -> None:
    history = ended(folder, search({**LATENCY, "limit": 1}, searcher="random"))
    sentence = "No trial keeps latency_ms <= 1, of 12 trials with a score: loosen the limit"
    assert summarize(history).verdict.sentence.startswith(sentence)
    with pytest.raises(TrainingError, match="No trial keeps latency_ms <= 1"):
        best_trial(history)


def test_the_knee_is_said_to_be_one(folder: RunFolder) -> None:
    history = ended(folder, search(LATENCY, searcher="random", select="knee"))
    summary = summarize(history)
    assert summary.best_trial == history.standing.ranking[0] in history.standing.front
    assert "shortest distance" in " ".join(summary.verdict.details)
    assert "is the knee of the Pareto front: it has" in summary.verdict.sentence


def test_tables_figures_and_explanations_have_the_objectives(folder: RunFolder) -> None:
    history = ended(folder, search(LATENCY, searcher="random"))
    summary = summarize(history)
    for surface in ("show", "page", "tracker"):
        assert {"latency_ms", "standing"} <= {one.name for one in columns_of(surface, summary.trials)}  # type: ignore[arg-type]
    columns, rows = table_of(history, str)
    assert [row[columns.index("latency_ms")] for row in rows] == [
        one.objectives["latency_ms"] for one in summary.trials
    ]
    frame = trial_frame(summary)
    assert list(frame.loc[list(summary.front)].index) == list(summary.front)

    [(name, figure)] = trade_offs(summary)
    shown = {trace.get("name"): trace for trace in figure["data"]}
    assert name == "latency_ms"
    assert sorted(shown["on the front"]["text"]) == sorted(summary.front)
    assert shown["selected"]["text"] == [summary.best_trial]
    on_front = summary.front[0]
    sentences = " ".join(explain(read_events(folder.ledger)).of_trial(on_front))
    assert "Its further objectives: latency_ms" in sentences
    assert "it is on the Pareto front" in sentences
    record = history.trials[on_front].record
    assert record is not None
    assert summary_of(record)["latency_ms"] == record.objectives["latency_ms"]


def test_sweeps_with_one_objective_show_nothing_of_it(folder: RunFolder) -> None:
    with controlled(folder, experiment(parameters=SPACE, trials=3)) as controller:
        run(controller, score=score)
    summary = summarize(History.of(folder))
    assert (summary.objectives, summary.front, trade_offs(summary)) == ((), (), [])
    assert not {"standing", "latency_ms"} & {one.name for one in columns_of("show", summary.trials)}
