"""What every searcher keeps to: points of the space, repeatable from what was observed alone."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from pathlib import Path
from typing import Any, ClassVar

import pytest

from yolosweep.errors import ExperimentError
from yolosweep.experiment import Experiment, Parameter, load_experiment
from yolosweep.experiment.search_choices import SEARCHERS, SearcherChoice
from yolosweep.records import Ending, EpochResult, TrialRecord
from yolosweep.records.events import EpochRecorded, Event, TrialEnded, TrialStarted
from yolosweep.records.objectives import Objective
from yolosweep.search.searchers.searcher import MultiObjectiveSearcher, Searcher, searcher_for
from yolosweep.search.trial_generator import Suggestion, TrialGenerator

SPACE = {
    "batch": Parameter(values=[4, 8, 16]),
    "freeze": Parameter(min=0, max=3),
    "scale": Parameter(values=[[0.5, 1.5], 0.5]),
    "box": Parameter(min=1.0, max=3.0, distribution="q_uniform", q=0.5),
    "degrees": Parameter(value=3.0),
}
POINTS = 3 * 4 * 2 * 5

Point = dict[str, Any]


@pytest.fixture(params=sorted(SEARCHERS))
def name(request: pytest.FixtureRequest) -> str:
    return str(request.param)


class TestSearcher:
    def make(self, name: str, seed: int = 0, mode: str = "max") -> Searcher:
        return searcher_for(name, SPACE, seed=seed, mode=mode)

    def walk(self, searcher: Searcher, numbers: range, asked_before: int = 0) -> list[Point]:
        """Let some trials run one after the other; return what was suggested."""
        found = []
        for number in numbers:
            point = searcher.suggest(number)
            if point is None:
                break
            found.append(point)
            searcher.started(number, point)
            searcher.tell(number, point, point["freeze"] / 3)
        return found

    @pytest.mark.slow
    def test_suggestions_are_points_of_the_space(self, name: str) -> None:
        for point in self.walk(self.make(name), range(30)):
            assert point.keys() == SPACE.keys()
            for key, value in point.items():
                assert value in (SPACE[key].grid() or [SPACE[key].value])

    @pytest.mark.slow
    def test_the_same_calls_give_the_same_suggestions(self, name: str) -> None:
        assert self.walk(self.make(name), range(25)) == self.walk(self.make(name), range(25))

    @pytest.mark.parametrize("mode", ["max", "min"])
    def test_a_resumed_search_continues_as_if_it_had_not_stopped(self, name: str, mode: str) -> None:
        """A new searcher that hears what the ledger holds; a grid goes through its points again, all of them tried."""
        whole = self.walk(self.make(name, mode=mode), range(20))
        again = self.make(name, mode=mode)
        for number, point in enumerate(whole[:15]):
            again.started(number, point)
            again.tell(number, point, point["freeze"] / 3)
        tried = [] if not SEARCHERS[name].is_exhaustive else [again.suggest(15) for _ in range(15)]
        assert tried == whole[: len(tried)]
        assert self.walk(again, range(15, 20)) == whole[15:]

    @pytest.mark.parametrize("mode", ["max", "min"])
    @pytest.mark.parametrize("learner", [name for name, choice in SEARCHERS.items() if choice.learns])
    @pytest.mark.slow
    def test_one_that_learns_goes_where_it_was_good(self, learner: str, mode: str) -> None:
        # Three parameters, two of them without effect: a genetic algorithm draws a single one at random.
        space = {name: Parameter(min=0.0, max=1.0) for name in ("mosaic", "mixup", "copy_paste")}
        searcher = searcher_for(learner, space, seed=0, mode=mode)
        gaps = []
        for number in range(60):
            point = searcher.suggest(number) or {}
            searcher.started(number, point)
            gaps.append(abs(point["mosaic"] - 0.8))
            searcher.tell(number, point, gaps[-1] if mode == "min" else -gaps[-1])
        assert sum(gap < 0.2 for gap in gaps[40:]) >= 14  # at random: 8

    def test_asking_again_gives_other_points(self, name: str) -> None:
        searcher = self.make(name)
        found = [searcher.suggest(3, attempt) for attempt in range(10)]
        assert any(one != other for one, other in itertools.pairwise(found))

    def test_parallel_trials_failures_and_missing_scores_are_taken(self, name: str) -> None:
        searcher = self.make(name)
        running = [searcher.suggest(number) or {} for number in range(8)]
        for number, point in enumerate(running):
            searcher.started(number, point)
        for number, point in reversed(list(enumerate(running))):
            searcher.tell(number, {**point, "batch": 4}, None if number % 2 else 0.5, learned=number != 3)
        assert searcher.suggest(8) is not None

    @pytest.mark.slow
    def test_an_exhaustive_searcher_suggests_every_point_once(self, name: str) -> None:
        found = self.walk(self.make(name), range(POINTS + 5))
        if SEARCHERS[name].is_exhaustive:
            assert len(found) == len({str(point) for point in found}) == POINTS
        else:
            assert len(found) == POINTS + 5

    def test_a_ledger_with_curves_gives_the_same_next_point(self, name: str, tmp_path: Path) -> None:
        """The events of a sweep with running, stopped and complete trials; cut anywhere, the next point is the same."""
        file = tmp_path / "experiment.yaml"
        space = "{batch: {values: [4, 8, 16, 32]}, imgsz: {values: [320, 480, 640]}}"
        file.write_text(
            "name: e\nmodel: yolo11n.yaml\ndata: sample:parking\ntrain: {epochs: 10}\n"
            f"search: {{searcher: {name}, parameters: {space}}}\n"
        )
        exp = load_experiment(file)

        def generator() -> TrialGenerator:
            return TrialGenerator(exp, model_fingerprint="m", data_fingerprint="d", world_size=1)

        live, events, asked = generator(), list[Event](), list[tuple[int, Point]]()
        for number in range(11):
            suggestion = live.next(number)
            assert suggestion is not None
            asked.append((len(events), suggestion.parameters))
            for event in self.trial(suggestion, number, exp):
                events.append(event)
                live.apply(event)
        for number, (cut, point) in enumerate(asked[6:], 6):
            again = generator()
            for event in events[:cut]:
                again.apply(event)
            suggestion = again.next(number)
            assert suggestion is not None
            assert suggestion.parameters == point

    def trial(self, suggestion: Suggestion, number: int, exp: Experiment) -> Iterator[Event]:
        """Yield the events of a trial: every third one is stopped early, and the eighth still runs."""
        request = suggestion.request("s", number, exp, {"model": "m", "data": "d", "folder": "f"})
        yield TrialStarted(request=request)
        used, best = suggestion.parameters, 0.0
        epochs = 4 if number % 3 == 2 else 10
        for epoch in range(1, epochs + 1):
            best = (used["batch"] / 64 + used["imgsz"] / 2000) * (1 - 0.7**epoch)
            row = EpochResult(
                epoch=epoch, metrics={}, score=best, best_score=best, best_epoch=epoch, epochs_without_gain=0,
                seconds=1, images_per_s=1,
            )  # fmt: skip
            yield EpochRecorded(trial=request.trial, row=row)
        ending = Ending.PRUNED if epochs < 10 else Ending.FINISHED
        record = TrialRecord(
            trial=request.trial, number=number, ending=ending, reason="r", asked=used, used=used, score=best
        )
        if number != 7:
            yield TrialEnded(record=record)


@pytest.mark.parametrize("taker", [name for name, choice in SEARCHERS.items() if choice.has_objectives])
class TestSeveralObjectives:
    """A score that rises with x, and a latency that rises with it: every x is on the front; y is worth nothing."""

    SPACE: ClassVar = {"x": Parameter(min=0.0, max=1.0), "y": Parameter(min=0.0, max=1.0)}
    SCORE, LATENCY = Objective(metric="metrics/mAP50-95(B)"), Objective(metric="latency_ms", mode="min")

    def make(self, taker: str, *objectives: Objective) -> MultiObjectiveSearcher:
        searcher = searcher_for(taker, self.SPACE, seed=0, mode="max")
        assert isinstance(searcher, MultiObjectiveSearcher)
        searcher.aim((self.SCORE, *objectives))
        return searcher

    def walk(self, searcher: MultiObjectiveSearcher, numbers: range, told: list[Point] | None = None) -> list[Point]:
        found = []
        for number in numbers:
            point = told[number] if told is not None else searcher.suggest(number)
            assert point is not None
            found.append(point)
            searcher.started(number, point)
            score = point["x"] - 0.5 * abs(point["y"] - 0.3)
            searcher.measured(number, (score, None if number % 9 == 8 else 10 + 10 * point["x"] + point["y"]))
            searcher.tell(number, point, score, learned=number != 4)
        return found

    @pytest.mark.parametrize("limit", [None, 14.0])
    def test_a_resumed_search_continues_as_if_it_had_not_stopped(self, taker: str, limit: float | None) -> None:
        latency = self.LATENCY.model_copy(update={"limit": limit})
        whole = self.walk(self.make(taker, latency), range(22))
        again = self.make(taker, latency)
        self.walk(again, range(17), told=whole)
        assert self.walk(again, range(17, 22)) == whole[17:]

    @pytest.mark.slow
    def test_suggestions_spread_along_the_front(self, taker: str) -> None:
        late = [point["x"] for point in self.walk(self.make(taker, self.LATENCY), range(40))[20:]]
        assert min(late) < 0.3
        assert max(late) > 0.7

    @pytest.mark.slow
    def test_suggestions_keep_to_a_limit(self, taker: str) -> None:
        """At most 14 ms: the best point is on the border, at x = 0.37, where the score alone would lead to 1."""
        points = self.walk(self.make(taker, self.LATENCY.model_copy(update={"limit": 14.0})), range(50))
        within = [10 + 10 * point["x"] + point["y"] <= 14.2 for point in points[30:]]
        assert sum(within) >= 12  # at random: 6


def test_a_new_searcher_is_one_module_and_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An experiment names it, its messages list it, and the trial generator uses it."""
    (tmp_path / "descending.py").write_text(
        "class Descending:\n"
        "    def __init__(self, space, *, seed, mode): self.values = sorted(space['batch'].values)\n"
        "    def suggest(self, number, attempt=0): return {'batch': self.values.pop()} if self.values else None\n"
        "    def started(self, number, parameters): pass\n"
        "    def tell(self, number, used, score, *, learned=True): pass\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setitem(
        SEARCHERS, "descending", SearcherChoice(summary="largest first", factory="descending:Descending")
    )
    search = "search: {searcher: %s, parameters: {batch: {values: [4, 8, 32]}}}\n"
    file = tmp_path / "experiment.yaml"
    head = "name: e\nmodel: toy/red\ndata: sample:parking\ntrain: {epochs: 2}\nresources: {gpus_per_trial: 0}\n"
    file.write_text(head + search % "descending")
    generator = TrialGenerator(load_experiment(file), model_fingerprint="m", data_fingerprint="d", world_size=1)
    assert [suggestion.parameters for number in range(1, 5) if (suggestion := generator.next(number))] == [
        {"batch": 32}, {"batch": 8}, {"batch": 4},
    ]  # fmt: skip
    file.write_text(head + search % "ascending")
    with pytest.raises(ExperimentError, match=r"search\.searcher.*descending"):
        load_experiment(file)


def test_a_searcher_learns_what_matters_most_to_the_backend(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    learned: list[Any] = []
    monkeypatch.setattr(
        "yolosweep.search.searchers.gp.GpSearcher.expect", lambda self, decades: learned.append(decades)
    )
    file = tmp_path / "experiment.yaml"
    file.write_text(
        "name: e\nmodel: yolo11n.yaml\ndata: sample:parking\ntrain: {optimizer: AdamW}\n"
        "search: {parameters: {lr0: {min: 0.001, max: 0.1}}}\n"
    )
    TrialGenerator(load_experiment(file), model_fingerprint="m", data_fingerprint="d", world_size=1)
    assert [list(decades) for decades in learned] == [["lr0", "batch", "imgsz"]]
