"""The Gaussian process searcher: what it learns from, and that the ledger alone decides what it suggests."""

import itertools
import math
import statistics
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tests.tools.placing import take

from yolosweep.experiment import Experiment, Parameter
from yolosweep.experiment.trial_settings import resolved
from yolosweep.ledger import RunFolder
from yolosweep.ledger.history import History
from yolosweep.records import Ending, EpochResult, PreparedDataset, TrialRecord, TrialRequest, Verdict
from yolosweep.search.controller import SweepController
from yolosweep.search.searchers.gaussian_process import GaussianProcess, broad_prior, fitted_scales
from yolosweep.search.searchers.gp import GpSearcher
from yolosweep.search.searchers.searcher import Searcher, searcher_for
from yolosweep.search.searchers.space_encoding import Axes

EPOCHS = 20


def walk(searcher: Searcher, score: Any, trials: int, home: dict[str, Any] | None = None) -> list[dict[str, Any]]:
    points = []
    for number in range(trials):
        point = home if number == 0 and home is not None else searcher.suggest(number)
        assert point is not None
        points.append(point)
        searcher.started(number, point)
        searcher.tell(number, point, score(point))
    return points


@pytest.mark.parametrize(("mode", "sign"), [("max", 1), ("min", -1)])
def test_it_finds_a_peak_that_random_points_miss(mode: str, sign: int) -> None:
    space = {name: Parameter(min=0.0, max=1.0) for name in "abcd"}
    peak = {"a": 0.7, "b": 0.3, "c": 0.6, "d": 0.8}

    def score(point: dict[str, Any]) -> float:
        return sign * math.exp(-sum((point[name] - peak[name]) ** 2 for name in peak))

    def best(seed: int) -> float:
        points = walk(searcher_for("gp", space, seed=seed, mode=mode), score, 30)
        return max(sign * score(point) for point in points[20:])

    found = sorted(best(seed) for seed in range(5))
    assert found[0] > 0.95  # one of twelve seeds finds the last hundredths after 30 trials only
    assert found[1] > 0.995


@pytest.mark.slow
def test_choices_without_order_and_switches_are_learned() -> None:
    space = {"optimizer": Parameter(values=["SGD", "AdamW", "RMSProp"]), "cos_lr": Parameter(values=[True, False])}
    space["mosaic"] = Parameter(min=0.0, max=1.0)
    points = walk(
        searcher_for("gp", space, seed=1, mode="max"),
        lambda p: 0.5 + 0.2 * (p["optimizer"] == "AdamW") + 0.1 * p["cos_lr"] - 0.1 * p["mosaic"],
        30,
    )
    late = points[20:]
    assert sum(p["optimizer"] == "AdamW" and p["cos_lr"] for p in late) >= 6


def test_a_batch_that_was_lowered_out_of_the_space_is_learned_too() -> None:
    """Asked for 8 to 32, trained with 4: below the space, and bad; the searcher does not take it for 8."""
    axes = Axes({"batch": Parameter(values=[8, 16, 32])})
    assert [float(axes.point({"batch": b})[0]) for b in (4, 8, 16, 32)] == pytest.approx([-0.25, 0, 0.5, 1])  # type: ignore[index]
    space = {"batch": Parameter(values=[8, 16, 32]), "mosaic": Parameter(min=0.0, max=1.0)}
    lowered, ignorant = (searcher_for("gp", space, seed=0, mode="max") for _ in range(2))
    for number in range(12):
        asked = {"batch": 8, "mosaic": number / 12}
        for searcher, used in ((lowered, {**asked, "batch": 4}), (ignorant, asked)):
            searcher.started(number, asked)
            searcher.tell(number, used, number / 12)
    assert [lowered.suggest(n) for n in range(12, 16)] != [ignorant.suggest(n) for n in range(12, 16)]


def test_a_finite_space_is_tried_without_repeats() -> None:
    space = {"batch": Parameter(values=[4, 8, 16]), "freeze": Parameter(min=0, max=3)}
    points = walk(searcher_for("gp", space, seed=0, mode="max"), lambda p: p["batch"] / 16 - p["freeze"], 24)
    tried = {tuple(sorted(point.items())) for point in points[:18]}
    assert len(tried) >= 11


def test_a_learning_rate_is_expected_to_matter_more_than_others() -> None:
    """Of two trials that differ in one parameter, the scores stay apart if it may well be the reason."""

    def gap(name: str, decades: dict[str, float]) -> float:
        space = {"lr0": Parameter(min=1e-4, max=1e-1, distribution="log_uniform_values")}
        space |= {letter: Parameter(min=0.0, max=1.0) for letter in "abcdefgh"}
        searcher = GpSearcher(space, seed=0, mode="max")
        searcher.expect(decades)
        middle = {"lr0": 10**-2.5, **dict.fromkeys("abcdefgh", 0.5)}
        other = {"lr0": 10**-1.5} if name == "lr0" else {name: 0.5 + 1 / 3}
        for number, (point, score) in enumerate(
            [(middle, 0.4), ({**middle, **other}, 0.3), (dict(middle, b=0.0), 0.38)]
        ):
            searcher.started(number, point)
            searcher.tell(number, point, score)
        expected = searcher.expected_scores()
        return expected[0] - expected[1]

    assert gap("lr0", {"lr0": 1.0}) > 1.1 * gap("lr0", {})
    assert gap("a", {}) == pytest.approx(gap("lr0", {}))


def test_few_trials_of_many_parameters_leave_doubt() -> None:
    """The next point is far from the best one while little is known, and closer when much is."""
    space = {letter: Parameter(min=0.0, max=1.0) for letter in "abcdefghij"}

    def step(trials: int, seed: int) -> float:
        searcher, rng, scores = searcher_for("gp", space, seed=seed, mode="max"), np.random.default_rng(seed), {}
        for number in range(trials):
            point = rng.random(len(space))
            score = 0.5 - 0.1 * float(((point - 0.5) ** 2).sum())
            scores[score], parameters = point, dict(zip(space, map(float, point), strict=True))
            searcher.started(number, parameters)
            searcher.tell(number, parameters, score)
        found = np.array(list((searcher.suggest(trials) or {}).values()))
        return float(np.linalg.norm(found - scores[max(scores)]))

    few, many = (statistics.mean(step(trials, seed) for seed in range(6)) for trials in (8, 100))
    assert few > 0.8 > many


def test_running_trials_keep_others_away() -> None:
    space = {"mosaic": Parameter(min=0.0, max=1.0), "scale": Parameter(min=0.0, max=0.9)}
    searcher = searcher_for("gp", space, seed=0, mode="max")
    walk(searcher, lambda p: 1 - (p["mosaic"] - 0.5) ** 2 - (p["scale"] - 0.5) ** 2, 10)
    together = []
    for number in range(10, 16):
        together.append(searcher.suggest(number) or {})
        searcher.started(number, together[-1])
    pairs = itertools.combinations(together, 2)
    gaps = [abs(a["mosaic"] - b["mosaic"]) + abs(a["scale"] - b["scale"]) for a, b in pairs]
    assert min(gaps) > 0.001
    assert max(gaps) > 0.1


def test_many_trials_are_decided_from_a_part_of_them() -> None:
    space = {"mosaic": Parameter(min=0.0, max=1.0), "scale": Parameter(min=0.0, max=0.9)}
    searcher = searcher_for("gp", space, seed=0, mode="max")
    rng = np.random.default_rng(0)
    for number in range(2_000):
        point = {"mosaic": float(rng.random()), "scale": float(rng.uniform(0, 0.9))}
        searcher.started(number, point)
        searcher.tell(number, point, 1 - abs(point["mosaic"] - 0.2) - abs(point["scale"] - 0.7))
    found = searcher.suggest(2_000) or {}
    assert abs(found["mosaic"] - 0.2) + abs(found["scale"] - 0.7) < 0.1


def test_as_many_trials_may_run_as_are_taken_into_account() -> None:
    """In a small smooth space they are close to each other, and some are the same."""
    space = {"mosaic": Parameter(min=0.0, max=1.0), "batch": Parameter(values=[4, 8, 16])}
    searcher = searcher_for("gp", space, seed=0, mode="max")
    walk(searcher, lambda p: 0.5 - 0.1 * (p["mosaic"] - 0.4) ** 2, 8)
    rng = np.random.default_rng(0)
    for number in range(8, 120):
        point = {"mosaic": round(0.4 + 0.01 * float(rng.normal()), 3), "batch": 8}
        searcher.started(number, point)
    found = searcher.suggest(120) or {}
    assert 0 <= found["mosaic"] <= 1
    assert found["batch"] != 8 or abs(found["mosaic"] - 0.4) > 0.05


def test_an_uncertain_observation_pulls_less() -> None:
    x = np.array([[0.0], [0.5], [1.0]])
    y, groups = np.array([0.0, 2.0, 0.0]), np.zeros(1, dtype=np.int64)
    scales = fitted_scales(x, y, np.zeros(3), groups, broad_prior(1))
    sure = GaussianProcess(x, y, np.zeros(3), groups, scales).predict(x[1:2])[0][0]
    unsure = GaussianProcess(x, y, np.array([0.0, 4.0, 0.0]), groups, scales).predict(x[1:2])[0][0]
    assert sure > 1.5 > unsure


def test_the_gradient_of_the_fit_is_the_derivative(monkeypatch: pytest.MonkeyPatch) -> None:
    from scipy.optimize import check_grad

    from yolosweep.search.searchers import gaussian_process

    seen: list[tuple[Any, Any]] = []

    def spy(loss: Any, start: Any, **more: Any) -> Any:
        seen.append((loss, start))
        raise StopIteration

    monkeypatch.setattr(gaussian_process, "minimize", spy)
    rng = np.random.default_rng(0)
    x, y = rng.random((12, 4)), rng.normal(size=12)
    with pytest.raises((StopIteration, RuntimeError)):
        fitted_scales(x, y, rng.random(12) * 0.1, np.array([0, 1, 2, 2]), broad_prior(3))
    loss, start = seen[0]
    start = start + rng.normal(0, 0.3, len(start))
    assert check_grad(lambda p: loss(p)[0], lambda p: loss(p)[1], start) < 1e-3


class Toy:
    """A sweep on the sweep controller, one worker, scores from the searched values; can be resumed."""

    def __init__(self, storage: Path, searcher: str, pruner: str, root: str | None = None) -> None:
        parameters = {"lr0": {"min": 0.001, "max": 0.1}, "mosaic": {"min": 0.0, "max": 1.0}}
        search = {"searcher": searcher, "pruner": pruner, "trials": 40, "parameters": parameters}
        train = {"epochs": EPOCHS, "optimizer": "AdamW"}
        exp = {"name": "g", "model": "yolo11n.yaml", "data": "d", "train": train, "search": search}
        data = PreparedDataset(task="detect", source="d", train_on="d", names={0: "a"}, images={}, fingerprint="f")
        self.root = root or RunFolder.create(storage, "g").address
        self.controller = SweepController(
            self.root, experiment=resolved(Experiment.model_validate(exp)).model_dump(mode="json"),
            model="yolo11n.yaml", model_fingerprint="m", dataset=data.model_dump(mode="json"), cpus=1, gpus=0,
            header={},
        )  # fmt: skip

    def train(self, request: TrialRequest, until: int = EPOCHS) -> TrialRecord | None:
        asked, best = request.asked, 0.0
        for epoch in range(1 + (request.resume[0].epoch if request.resume else 0), until + 1):
            top = 0.6 - (asked["mosaic"] - 0.3) ** 2 - 20 * (asked["lr0"] - 0.02) ** 2
            score = max(0.01, top) * (1 - math.exp(-epoch / 5))
            best = max(best, score)
            row = EpochResult(
                epoch=epoch, metrics={}, score=score, best_score=best, best_epoch=epoch, epochs_without_gain=0,
                seconds=1.0, images_per_s=1.0,
            )  # fmt: skip
            verdict = self.controller.row(request.trial, row, None, request.attempt)
            if verdict is Verdict.PRUNE or epoch == EPOCHS:
                ending = Ending.PRUNED if verdict is Verdict.PRUNE else Ending.FINISHED
                record = TrialRecord(
                    trial=request.trial, number=request.number, ending=ending, reason="r", asked=asked, used=asked,
                    score=best, epochs=epoch,
                )  # fmt: skip
                self.controller.ended(record, request.attempt)
                return record
        return None

    def ends(self) -> dict[str, tuple[str, int]]:
        """Return how each trial ended, and its epochs."""
        found = History.of(RunFolder(self.root)).trials
        return {name: (trial.status, len(trial.rows)) for name, trial in found.items()}

    def trials(self, count: int) -> Iterator[TrialRequest]:
        for _ in range(count):
            request = take(self.controller)
            assert isinstance(request, TrialRequest)
            self.train(request)
            yield request


@pytest.mark.parametrize("pruner", ["none", "soft"])
@pytest.mark.slow
def test_a_resumed_sweep_suggests_and_stops_as_if_it_had_not_stopped(tmp_path: Path, pruner: str) -> None:
    whole, cut = (Toy(tmp_path, "gp", pruner) for _ in range(2))
    asked = [request.asked for request in whole.trials(18)]
    assert [request.asked for request in cut.trials(12)] == asked[:12]
    cut.controller.close()
    again = Toy(tmp_path, "gp", pruner, cut.root)
    assert [request.asked for request in again.trials(6)] == asked[12:]
    assert again.ends() == whole.ends()
    for toy in (whole, again):
        toy.controller.close()


def test_a_stop_has_its_numbers_in_the_ledger_and_in_the_record(tmp_path: Path) -> None:
    toy = Toy(tmp_path, "random", "soft")
    for _ in toy.trials(25):
        pass
    toy.controller.close()
    pruned = [trial for trial in History.of(RunFolder(toy.root)).trials.values() if trial.status == "pruned"]
    assert pruned
    for trial in pruned:
        assert trial.record is not None
        assert trial.record.reason == trial.reason
        assert "chance of" in str(trial.reason)
        assert trial.request.number


def test_a_lucky_score_counts_less_than_its_neighbours() -> None:
    """Two of twelve trials at nearly the same point: one scored 0.1 more than the other and all around it."""
    space = {"mosaic": Parameter(min=0.0, max=1.0)}
    searcher = GpSearcher(space, seed=0, mode="max")
    places = [0.0, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.61, 0.7, 0.8, 0.9, 1.0]
    assert searcher.expected_scores() == {}
    for number, place in enumerate(places):
        searcher.started(number, {"mosaic": place})
        searcher.tell(number, {"mosaic": place}, 0.5 - 0.2 * place + 0.1 * (number == 7))
    searcher.started(12, {"mosaic": 0.05})
    expected = searcher.expected_scores()
    assert expected.keys() == set(range(12))  # not of one that runs
    assert max(expected, key=lambda number: expected[number]) == 0
    assert expected[7] < 0.45
    assert expected[0] == pytest.approx(0.5, abs=0.04)


def test_in_mode_min_less_is_expected_of_the_best() -> None:
    searcher = GpSearcher({"mosaic": Parameter(min=0.0, max=1.0)}, seed=0, mode="min")
    for number in range(6):
        searcher.started(number, {"mosaic": number / 5})
        searcher.tell(number, {"mosaic": number / 5}, 1.0 + number / 5)
    expected = searcher.expected_scores()
    assert list(expected) == sorted(expected, key=lambda number: expected[number])
    assert expected[0] == pytest.approx(1.0, abs=0.1)
