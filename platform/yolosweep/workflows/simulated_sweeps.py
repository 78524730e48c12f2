"""What a search would have found, on curves that were recorded: the sweep controller on a virtual clock."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from yolosweep.diagnosis.finals_comparison import seed_table
from yolosweep.errors import UsageError
from yolosweep.experiment import Experiment, Source, baseline, is_open_batch, load_experiment, settings_of
from yolosweep.experiment.schema import MODEL
from yolosweep.experiment.search_parameter import active, is_number
from yolosweep.experiment.trial_settings import allows
from yolosweep.ledger import RunFolder
from yolosweep.ledger.history import History
from yolosweep.ledger.verdict_evidence import finalists_of

if TYPE_CHECKING:
    from yolosweep.search.recorded_curves import RecordedCurve, Surrogate
    from yolosweep.search.simulation import Curve, Job, Simulation

__all__ = ["Landscape", "SimulatedSweep", "simulate"]

_POINTS, _STEPS = 2000, 4
"""Points of the space that its best is looked for among, and how often their best are moved on."""


@dataclass(frozen=True, kw_only=True)
class SimulatedSweep:
    """One sweep as it would have gone, with one seed of the search."""

    seed: int
    trials: int
    endings: dict[str, int]
    epochs: int
    trainings: float
    """What was trained, in whole trainings of the defaults, by seconds."""
    hours: float
    """Time on the virtual clock."""
    winner: str
    parameters: dict[str, Any]
    score: float
    """As quoted: the winner's best score, or its mean over the seeds of the finals."""
    true: float
    """The winner's score without luck."""
    defaults: float
    """That of the defaults."""
    regret: float
    """How far it is from the best of the space."""
    best_pruned: bool
    """Whether the best of the configurations tried was stopped before its end."""


class Landscape:
    """An experiment on recorded curves: what its configurations score.

    Raises:
        UsageError: the curves do not fit the experiment; all that is wrong is named.
    """

    def __init__(self, exp: Experiment, curves: Sequence[RecordedCurve]) -> None:
        from yolosweep.search.recorded_curves import LEAST, Surrogate

        if len(curves) < LEAST:
            raise UsageError(f"{len(curves)} complete trainings are too few to simulate from; {LEAST} are needed")
        self._exp, self.surrogate = exp, Surrogate(curves, exp.search.mode)
        self.defaults = {**exp.backend.arguments.defaults, MODEL: exp.model, **exp.train, **baseline(exp)[0]}
        if faults := list(_faults(exp, self.surrogate, self.defaults)):
            raise UsageError("these curves do not fit the experiment: " + "; ".join(faults))
        self.best = self._best()

    def curve(self, job: Job) -> Curve:
        """Return the curve of a training."""
        from yolosweep.search.simulation import Curve

        seconds = self.surrogate.epoch_s(job.config)
        return Curve(scores=self.surrogate.training(job.config, job.seed), epoch_s=seconds)

    def true(self, parameters: Mapping[str, Any]) -> float:
        """Return the score of searched parameters without luck."""
        return float(self.surrogate.true([self._config(parameters)])[0])

    def _config(self, parameters: Mapping[str, Any]) -> dict[str, Any]:
        model = {MODEL: parameters[MODEL]} if MODEL in parameters else {}
        return {**self.defaults, **settings_of(self._exp, dict(parameters)), **model}

    def _best(self) -> float:
        """Return the best score in the space, without luck."""
        import numpy as np

        from yolosweep.search.searchers.space_encoding import Axes

        space, rng = self._exp.search.parameters, np.random.default_rng(0)
        axes, sign = Axes(space), 1.0 if self._exp.search.mode == "max" else -1.0
        points, found = axes.anywhere(rng.random((_POINTS, axes.count))), [sign * self.true(baseline(self._exp)[0])]
        for step in range(_STEPS):
            tried = [active(space, axes.parameters(point)) for point in points]
            kept = [place for place, one in enumerate(tried) if allows(self._exp, one)]
            if not kept:
                break
            scores = sign * self.surrogate.true([self._config(tried[place]) for place in kept])
            found.append(float(scores.max()))
            leaders = points[[kept[place] for place in np.argsort(-scores)[:8]]]
            points = np.vstack([axes.near(one, 0.2 / 2**step, 0.5, rng, 60) for one in leaders])
        return sign * max(found)


def _faults(exp: Experiment, surrogate: Surrogate, defaults: Mapping[str, Any]) -> list[str]:
    known, found = surrogate.axes, list[str]()
    if exp.search.warm_start:
        found.append("a warm start is not simulated; set search.warm_start=[]")
    if any(map(is_open_batch, (defaults.get("batch"), *_searched(exp, "batch")))):
        found.append("a batch that is found on the machine is not simulated; set train.batch to a number")
    if (epochs := int(exp.train["epochs"])) != surrogate.epochs:
        found.append(f"they have {surrogate.epochs} epochs, not {epochs}; set train.epochs={surrogate.epochs}")
    missing = [name for name in exp.search.parameters if known.get(name) is None]
    if missing:
        varied = ", ".join(name for name, axis in known.items() if axis is not None)
        found.append(f"{', '.join(missing)} did not vary in them; search among {varied}")
    for name, axis in known.items():
        values = _searched(exp, name) or [defaults.get(name)]
        words = axis is not None and axis.kind == "categorical"
        for value in values if axis is not None else ():
            if (value not in axis.corners()) if words and axis is not None else not is_number(value):
                found.append(f"{name}={value} is not in them")
    return found


def _searched(exp: Experiment, name: str) -> list[Any]:
    """Return the extreme values of a searched parameter; none if it is not searched."""
    parameter = exp.search.parameters.get(name)
    return [] if parameter is None else parameter.corners()


def simulate(
    source: Source,
    overrides: Sequence[str],
    curves: str,
    *,
    chosen: str | None = None,
    workers: int = 4,
    seeds: int = 5,
) -> tuple[SimulatedSweep, ...]:
    """Return how an experiment's search would have gone, with the seeds 0, 1, 2… of the search.

    Args:
        source: the experiment; neither its data nor its model are read.
        overrides: ``key=value`` pairs.
        curves: a table of curves, or a run folder or its address.
        chosen: the ``set`` of a table with several.
        workers: trainings at a time.
        seeds: number of sweeps.

    Raises:
        ExperimentError: the experiment has faults.
        UsageError: the curves cannot be read, or do not fit the experiment.
        RunFolderError: there is no readable ledger.
    """
    exp = load_experiment(source, overrides)
    landscape = Landscape(exp, _curves(curves, chosen, exp))
    return tuple(_sweep(exp, landscape, workers, seed) for seed in range(seeds))


def _curves(place: str, chosen: str | None, exp: Experiment) -> list[RecordedCurve]:
    from yolosweep.search.recorded_curves import curves_of, read_table

    if Path(place).is_file():
        return read_table(Path(place), chosen)
    history = History.of(RunFolder.open(place))
    if (metric := history.metric) != exp.search.metric:
        raise UsageError(f"{place} was ranked by {metric}, the experiment by {exp.search.metric}; set search.metric")
    return curves_of(history)


def _sweep(exp: Experiment, landscape: Landscape, workers: int, seed: int) -> SimulatedSweep:
    from yolosweep.search.simulation import Clock, ControlledSearch, Simulation

    clock, surrogate = Clock(), landscape.surrogate
    method = ControlledSearch(
        exp.model_copy(update={"seed": seed}), defaults=landscape.defaults, clock=clock,
        epoch_s=lambda request, epoch: surrogate.epoch_s({**landscape.defaults, **request.settings}),
    )  # fmt: skip
    try:
        simulation = Simulation(method, landscape.curve, workers, clock)
        for _ in simulation.epochs():
            pass
        return _outcome(exp, landscape, simulation, method.history(), seed)
    finally:
        method.close()


def _outcome(
    exp: Experiment, landscape: Landscape, simulation: Simulation, history: History, seed: int
) -> SimulatedSweep:
    sign = 1.0 if exp.search.mode == "max" else -1.0
    leader = history.ranked()[0]  # a budget, however small, ends after an epoch
    winner, score = leader.request.trial, leader.score
    if (table := seed_table(finalists_of(history), exp.search.mode)) is not None:
        winner, score = next(iter(table.means.items()))
    asked = {one.request.trial: dict(one.request.asked) for one in history.searched}
    true = {name: landscape.true(parameters) for name, parameters in asked.items()}
    best, base = history.trials[max(true, key=lambda name: sign * true[name])], history.baseline
    unit = landscape.surrogate.epoch_s(landscape.defaults) * landscape.surrogate.epochs
    statuses = [one.status for one in history.trials.values()]
    return SimulatedSweep(
        seed=seed, trials=len(history.trials), endings={one: statuses.count(one) for one in dict.fromkeys(statuses)},
        epochs=history.epochs(), trainings=simulation.spent / unit, hours=simulation.clock.now / 3600, winner=winner,
        parameters=asked[winner], score=score or 0.0, true=true[winner],
        defaults=true[base.request.trial] if base is not None else float("nan"),
        regret=sign * (landscape.best - true[winner]), best_pruned=best.status == "pruned",
    )  # fmt: skip
