"""How good the search is: a virtual clock drives the sweep controller over parametric curves, beside its peers.

Seven families of YOLO-like curves over 14 train arguments, three of them without effect. A method suggests, hears every
epoch, and may prune; the bench alone knows the truth. The cost of an epoch follows image size and batch; cost 1 is one
whole training of the defaults. The configuration with the best score seen is what a sweep recommends, as in production.

    python -m tests.bench.search --seeds 8 --methods gp+soft gp+none tpe+asha random optuna-tpe-median

    python -m tests.bench.search --seeds 20 --curves tests/bench/curves.csv --workers 1

``A+B`` is the production controller with searcher A and pruner B, without Ray; ``gp:cost=0+soft:chance=0.1`` sets
options. Regret: the best true final score in the space minus that of the recommended configuration, in points (1 = 0.01
mAP). Verdict heeded: the same with the defaults where the verdict does not call the best score better, on a val of 500
images with 2,500 objects. Pruned: share of sweeps that pruned the best configuration they started. Optimism: the score
quoted minus the true one, in points.

``--curves`` takes curves of real trainings (:mod:`tests.bench.record_curves`) in place of the families:
a surrogate of them says what other configurations score, and the truth is the surrogate without noise.
"""

from __future__ import annotations

import argparse
import csv
import json
import math
import multiprocessing
import time
import warnings
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from functools import cached_property
from importlib import import_module
from pathlib import Path
from types import SimpleNamespace
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray
from rich.console import Console
from rich.table import Table
from tests.bench import record_curves

from yolosweep.diagnosis.verdict import judge
from yolosweep.experiment import Experiment
from yolosweep.experiment.trial_settings import resolved
from yolosweep.ledger import RunFolder
from yolosweep.records import Ending, TrialRequest
from yolosweep.records.earlier_trial import EarlierTrial
from yolosweep.records.events import PairedError, Reference
from yolosweep.records.verdict import Evidence, ScoredTrial
from yolosweep.records.verdict import Outcome as Verdict
from yolosweep.search.recorded_curves import read_table
from yolosweep.search.simulation import Clock, ControlledSearch, Curve, Job, Method, Simulation, Training
from yolosweep.workflows.simulated_sweeps import Landscape

Array = NDArray[np.float64]

SPACE: dict[str, dict[str, Any]] = {
    "lr0": {"distribution": "log_uniform_values", "min": 1e-4, "max": 0.1},
    "weight_decay": {"distribution": "log_uniform_values", "min": 1e-5, "max": 1e-2},
    "batch": {"values": [8, 16, 32]},
    "imgsz": {"values": [480, 640, 800]},
    "mosaic": {"min": 0.0, "max": 1.0},
    "mixup": {"min": 0.0, "max": 1.0},
    "hsv_h": {"min": 0.0, "max": 0.1},
    "hsv_s": {"min": 0.0, "max": 0.9},
    "hsv_v": {"min": 0.0, "max": 0.9},
    "scale": {"min": 0.0, "max": 0.95},
    "translate": {"min": 0.0, "max": 0.9},
    "shear": {"min": 0.0, "max": 10.0},
    "perspective": {"min": 0.0, "max": 0.001},
    "bgr": {"min": 0.0, "max": 1.0},
}
DEFAULTS: dict[str, Any] = {
    "lr0": 0.01, "weight_decay": 0.0005, "batch": 16, "imgsz": 640, "mosaic": 1.0, "mixup": 0.0, "hsv_h": 0.015,
    "hsv_s": 0.7, "hsv_v": 0.4, "scale": 0.5, "translate": 0.1, "shear": 0.0, "perspective": 0.0, "bgr": 0.0,
}  # fmt: skip
NAMES = list(SPACE)
EFFECTS = np.array([0.55, 0.12, 0.08, 0.16, 0.12, 0.12, 0.04, 0.05, 0.04, 0.10, 0.08, 0.0, 0.0, 0.0])
"""Mean weight of each argument; the last three have no effect."""
LIVE = EFFECTS > 0
FAMILIES = ("typical", "crossing", "late", "near", "noisy", "sharp", "drawn")
EPOCHS, CLOSE_MOSAIC = 100, 10
COSTS = (20.0, 40.0)
"""Budgets at which a sweep is looked at, in whole trainings of the defaults."""
IMAGES, OBJECTS = 500, 2500
"""Of val, as the verdict sees it."""
PAIRED = 0.37
"""The paired standard error of a difference, as a share of that of two unpaired proportions (0.017 of 0.046)."""


def unit(config: dict[str, Any]) -> Array:
    """Return a configuration as coordinates from 0 to 1."""
    found = []
    for name, axis in SPACE.items():
        value = config[name]
        if "values" in axis:
            found.append(axis["values"].index(value) / (len(axis["values"]) - 1))
        elif "distribution" in axis:
            found.append(np.log(value / axis["min"]) / np.log(axis["max"] / axis["min"]))
        else:
            found.append((value - axis["min"]) / (axis["max"] - axis["min"]))
    return np.array(found)


HOME = unit(DEFAULTS)


def epoch_cost(config: dict[str, Any]) -> float:
    """Return the cost of one epoch; 1 for the defaults."""
    return float((config["imgsz"] / 640) ** 2 * {8: 1.15, 16: 1.0, 32: 0.95}[config["batch"]])


@dataclass(frozen=True, kw_only=True)
class TrueCurve(Curve):
    """A curve, and its best score without any noise."""

    true: float


class World(Protocol):
    """What is searched, and what it scores."""

    space: dict[str, dict[str, Any]]
    defaults: dict[str, Any]
    epochs: int
    best: float
    """The best true score in the space."""

    def curve(self, config: dict[str, Any], seed: int) -> TrueCurve:
        """Return the training of a configuration; the seed decides luck and noise."""


class Recorded:
    """A set of recorded curves."""

    space, defaults, epochs = record_curves.SPACE, record_curves.DEFAULTS, record_curves.EPOCHS

    def __init__(self, file: Path, chosen: str) -> None:
        exp = experiment_of(self, {"trials": 1}, 0)
        self._landscape = Landscape(exp, read_table(file, chosen))
        self.best = self._landscape.best

    def curve(self, config: dict[str, Any], seed: int) -> TrueCurve:
        """See ``World``."""
        found = self._landscape.curve(Job(trial="", config=config, seed=seed))
        true = float(self._landscape.surrogate.true([config])[0])
        return TrueCurve(scores=found.scores, epoch_s=found.epoch_s, true=true)


def world_of(family: str, seed: int) -> World:
    """Return a family's problem, or the set of recorded curves of ``FILE:SET``."""
    file, _, chosen = family.rpartition(":")
    return Recorded(Path(file), chosen) if file else Problem(family, seed)


def experiment_of(world: World, search: dict[str, Any], seed: int) -> Experiment:
    """Return the experiment that searches a world."""
    exp = {"name": "b", "model": "yolo11n.yaml", "data": "d", "seed": seed}
    exp["search"] = {"parameters": world.space, **search}
    exp["train"] = {"epochs": world.epochs, "optimizer": "AdamW"}
    return resolved(Experiment.model_validate(exp))


class Problem:
    """One data set, so to speak: where the optimum is, how much each argument matters, how curves look."""

    space, defaults, epochs = SPACE, DEFAULTS, EPOCHS

    def __init__(self, family: str, seed: int) -> None:
        self.family = family
        rng = np.random.default_rng([FAMILIES.index(family), seed, 7])
        shift = {"near": 0.03}.get(family, 0.36)
        self.optimum = np.clip(HOME + rng.normal(0, shift, len(NAMES)), 0.02, 0.98)
        weights = EFFECTS * rng.lognormal(0, 0.5, len(NAMES)) * {"sharp": 2.0}.get(family, 1.0)
        mixed = rng.normal(0, 0.35, (len(NAMES), len(NAMES)))
        root = np.sqrt(weights)
        self.form = np.diag(weights) + (root[:, None] * root[None, :]) * (mixed @ mixed.T) * 0.3
        self.top = rng.uniform(0.4, 0.65)
        count = 60
        self.waves = rng.normal(0, 2.2, (count, len(NAMES))) * LIVE * np.sqrt(EFFECTS / EFFECTS.mean())
        self.phase, self.height = rng.uniform(0, 2 * np.pi, count), rng.normal(0, 1, count) * np.sqrt(2 / count)
        self.base = rng.uniform(0.05, 0.12)
        self.noise, self.luck = (0.014, 0.012) if family == "noisy" else (0.006, 0.004)

    def asymptote(self, points: Array) -> Array:
        """Return the score that a configuration reaches, without noise, for rows of coordinates."""
        gap = np.atleast_2d(points) - self.optimum
        loss = np.einsum("ij,jk,ik->i", gap, self.form, gap)
        if self.family == "drawn":
            wave = np.cos(np.atleast_2d(points) @ self.waves.T + self.phase) @ self.height
            loss = 0.4 * loss + 0.09 * np.maximum(0.0, 2.2 - wave)
        return np.asarray(self.top * np.exp(-loss))

    @cached_property
    def best(self) -> float:
        """The best asymptote in the space: a wide random start, then steps around the best points."""
        rng = np.random.default_rng(0)
        points = np.vstack([rng.random((20_000, len(NAMES))), self.optimum, HOME])
        for width in (0.2, 0.1, 0.05, 0.02, 0.01):
            lead = points[np.argsort(-self._on_grid(points))[:20]]
            points = np.vstack(
                [lead, np.clip(np.repeat(lead, 200, 0) + rng.normal(0, width, (4000, len(NAMES))), 0, 1)]
            )
        return float(self._on_grid(points).max())

    def _on_grid(self, points: Array) -> Array:
        snapped = points.copy()
        snapped[:, 2:4] = np.round(points[:, 2:4] * 2) / 2  # batch and imgsz have three values each
        return self.asymptote(snapped)

    def curve(self, config: dict[str, Any], seed: int) -> TrueCurve:
        """Return the training of a configuration; the seed decides luck and noise."""
        at = unit(config)
        rng = np.random.default_rng([seed, *(int(value * 1e9) for value in at)])
        final = float(self.asymptote(at)[0])
        shape = self._shape(at, final / self.top)
        true = final * shape
        ramp = np.minimum(1.0, np.arange(1, EPOCHS + 1) / 10)
        spread = self.noise * (1 - 0.6 * np.arange(EPOCHS) / EPOCHS) * ramp
        noise, last = np.empty(EPOCHS), 0.0
        for epoch, step in enumerate(rng.normal(0, 1, EPOCHS)):
            noise[epoch] = last = 0.6 * last + 0.8 * step
        scores = true + rng.normal(0, self.luck) * ramp + spread * noise
        for dip in rng.integers(2, 9, rng.poisson(1.2)):  # early validations of healthy trainings fall now and then
            scores[dip] *= rng.uniform(0.3, 0.8)
        hot = at[0] - 0.9 - 0.1 * (at[2] - 0.5)
        diverges = hot > 0 and rng.random() < 8 * hot
        at_epoch = int(rng.integers(2, 25)) if diverges else None
        return TrueCurve(
            scores=np.clip(scores, 0.0, 0.99).tolist(), epoch_s=epoch_cost(config), true=float(true.max()),
            diverges_at=at_epoch,
        )  # fmt: skip

    def _shape(self, at: Array, quality: float) -> Array:
        """Return a curve without noise whose best value is 1."""
        t = np.arange(1, EPOCHS + 1) / EPOCHS
        lr, mosaic, mixup = at[0], at[4], at[5]
        rate = self.base * np.exp(-1.6 * (lr - HOME[0]) + 0.5 * (mosaic - 1) + 0.5 * mixup)
        annealed = 0.10 + 0.05 * lr
        if self.family == "crossing":  # what ends higher starts slower
            rate *= np.exp(2.5 * (quality - 0.8))
        if self.family == "late":
            annealed, rate = 0.12 + 0.45 * quality**2 * lr, rate * 1.5
        rise = 1 - np.exp(-((t / rate) ** 0.8))
        flat = np.minimum(1.0, (t * EPOCHS / 4) ** 1.5)
        closed = 0.025 * mosaic * (t > 1 - CLOSE_MOSAIC / EPOCHS)
        overfit = 0.05 * max(0.0, 0.6 - at[1] - 0.3 * mosaic) * np.maximum(0.0, t - 0.6)
        found = flat * rise * (1 - annealed + annealed * t**3) + closed - overfit
        return np.asarray(found / found.max())


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """One sweep, looked at at each cost."""

    method: str
    family: str
    seed: int
    workers: int
    regret: list[float]
    optimism: list[float]
    pruned: bool
    """Whether the best of the configurations started was pruned."""
    trials: int
    epochs: int
    seconds: float
    """Seconds of CPU that the decisions took."""
    heeded: list[float] | None = None
    """Regret at each cost where the verdict is heeded; None for methods that give none."""


class Timed:
    """A method, and the CPU that its decisions take."""

    def __init__(self, method: Method) -> None:
        self.method, self.seconds = method, 0.0
        self.next, self.row, self.ended = map(self._timed, (method.next, method.row, method.ended))
        self.close = method.close

    def _timed(self, call: Callable[..., Any]) -> Callable[..., Any]:
        def timed(*words: Any) -> Any:
            before = time.process_time()
            answer = call(*words)
            self.seconds += time.process_time() - before
            return answer

        return timed


class Sweep(Simulation):
    """A sweep in a world."""

    def __init__(self, problem: World, method: Method, workers: int, seed: int) -> None:
        super().__init__(method, lambda job: problem.curve(job.config, seed), workers)
        self.problem, self.seed = problem, seed
        self.unit = problem.epochs * problem.curve(problem.defaults, 0).epoch_s
        """Cost of a whole training of the defaults."""

    def run(self) -> tuple[list[float], list[float], list[float]]:
        """Train until the last cost is spent; return regret, optimism and regret by the verdict at each cost."""
        looks = [cost * self.unit for cost in COSTS]
        regrets, optimism, heeded = list[float](), list[float](), list[float]()
        for _ in self.epochs():
            while len(regrets) < len(looks) and self.spent >= looks[len(regrets)]:
                lead = max(self.trainings.values(), key=score_of)
                true = self.problem.curve(lead.job.config, self.seed).true
                regrets.append(100 * (self.problem.best - true))
                optimism.append(100 * (score_of(lead) - true))
                base = next(iter(self.trainings.values()))
                kept = lead if is_better(lead, list(self.trainings.values())) else base
                heeded.append(100 * (self.problem.best - self.problem.curve(kept.job.config, self.seed).true))
            if len(regrets) == len(looks):
                break
        return regrets, optimism, heeded


def is_better(best: Training, trainings: Sequence[Training]) -> bool:
    """Return whether the verdict calls a trial better than the defaults, which are the first of the trainings."""
    base = trainings[0]
    if best is base:
        return False
    ranked = sorted(enumerate(trainings), key=lambda one: -score_of(one[1]))
    share = min(max((score_of(best) + score_of(base)) / 2, 0.0), 1.0)
    error = PAIRED * math.sqrt(2 * share * (1 - share) / OBJECTS)
    errors = {"val": PairedError(images=IMAGES, resamples=200, error=error)}
    evidence = Evidence(
        metric="metrics/mAP50-95(B)", mode="max", ended=True, winner=best.job.trial, images=IMAGES, instances=OBJECTS,
        trials=tuple(ScoredTrial(trial=one.job.trial, number=n, score=score_of(one)) for n, one in ranked),
        reference=Reference(trial=base.job.trial, errors=errors),
    )  # fmt: skip
    return judge(evidence).outcome is Verdict.BETTER


def score_of(training: Training) -> float:
    """Return the best score of a training so far."""
    return -1.0 if training.best is None else training.best


class Production(ControlledSearch):
    """The sweep controller with a searcher and a pruner, each with its options."""

    def __init__(
        self, world: World, searcher: str, pruner: str, seed: int, folder: RunFolder | None = None,
        earlier: Sequence[EarlierTrial] = (),
    ) -> None:  # fmt: skip
        search: dict[str, Any] = {"trials": 100_000, "finals": "none"}
        for key, words in (("searcher", searcher), ("pruner", pruner)):
            search[key], _, options = words.partition(":")
            pairs = (one.partition("=") for one in options.split(",") if one)
            search[f"{key}_options"] = {name: float(value) for name, _, value in pairs} or None
        self._world, self._epoch_costs = world, dict[str, float]()
        exp = experiment_of(world, search, seed)
        more: dict[str, Any] = {"folder": folder, "earlier": earlier}
        super().__init__(exp, defaults=world.defaults, clock=Clock(), epoch_s=self._seconds, **more)

    def _seconds(self, request: TrialRequest, epoch: int) -> float:
        """Return what an epoch took, as a machine measures it: a tenth up or down."""
        luck = np.random.default_rng([request.number, epoch, 11]).normal(0, 0.1)
        if request.trial not in self._epoch_costs:
            config = {**self._world.defaults, **request.asked}
            self._epoch_costs[request.trial] = self._world.curve(config, 0).epoch_s
        return 60 * self._epoch_costs[request.trial] * float(np.exp(luck))

    def expected(self) -> dict[str, float]:
        """Return what the searcher's model expects of each trial that ended; empty where it has none."""
        return {f"t{n:04d}": mean for n, mean in self.controller._generator.expected_scores().items()}


class Random:
    """Random points after the defaults, every training whole."""

    def __init__(self, world: World, seed: int) -> None:
        self._world, self._rng, self._count = world, np.random.default_rng([seed, 5]), 0

    def next(self) -> Job | None:
        self._count += 1
        return Job(trial=f"t{self._count}", config=dict(self._world.defaults) if self._count == 1 else self._draw())

    def _draw(self) -> dict[str, Any]:
        found: dict[str, Any] = {}
        for name, axis in self._world.space.items():
            if "values" in axis:
                found[name] = axis["values"][self._rng.integers(len(axis["values"]))]
            elif "distribution" in axis:
                found[name] = float(np.exp(self._rng.uniform(np.log(axis["min"]), np.log(axis["max"]))))
            else:
                found[name] = float(self._rng.uniform(axis["min"], axis["max"]))
        return found

    def row(self, trial: str, epoch: int, score: float) -> Ending | None:
        return None

    def ended(self, trial: str, how: Ending) -> None:
        pass

    def close(self) -> None:
        pass


class RayAsha(Random):
    """Ray's own ASHA rule as Ultralytics' ``tune(use_ray=True)`` sets it, after the defaults."""

    def __init__(self, world: World, seed: int) -> None:
        from ray.tune.schedulers import TrialScheduler
        from ray.tune.schedulers.async_hyperband import _Bracket

        super().__init__(world, seed)
        self._bracket, self._stop = _Bracket(min(10, world.epochs // 2), world.epochs, 3, 0), TrialScheduler.STOP

    def row(self, trial: str, epoch: int, score: float) -> Ending | None:
        stops = self._bracket.on_result(SimpleNamespace(trial_id=trial), epoch, score) == self._stop
        return Ending.PRUNED if stops else None


class OptunaTpe:
    """Optuna's TPE as it comes, with one of its pruners, after the defaults."""

    def __init__(self, world: World, seed: int, pruner: str) -> None:
        import optuna

        optuna.logging.set_verbosity(optuna.logging.ERROR)
        self._world, grace = world, min(10, world.epochs // 4)
        made = {
            "median": lambda: optuna.pruners.MedianPruner(n_warmup_steps=grace),
            "hyperband": lambda: optuna.pruners.HyperbandPruner(min_resource=grace, max_resource=world.epochs),
            "none": optuna.pruners.NopPruner,
        }
        sampler = optuna.samplers.TPESampler(seed=seed)
        self._study = optuna.create_study(direction="maximize", sampler=sampler, pruner=made[pruner]())
        self._study.enqueue_trial(world.defaults)
        self._states = optuna.trial.TrialState
        self._trials: dict[str, Any] = {}
        self._best: dict[str, float] = {}

    def next(self) -> Job | None:
        trial = self._study.ask()
        config: dict[str, Any] = {}
        for name, axis in self._world.space.items():
            if "values" in axis:
                config[name] = trial.suggest_categorical(name, axis["values"])
            else:
                config[name] = trial.suggest_float(name, axis["min"], axis["max"], log="distribution" in axis)
        self._trials[str(trial.number)] = trial
        return Job(trial=str(trial.number), config=config)

    def row(self, trial: str, epoch: int, score: float) -> Ending | None:
        self._best[trial] = max(score, self._best.get(trial, 0.0))
        self._trials[trial].report(score, epoch)
        return Ending.PRUNED if self._trials[trial].should_prune() else None

    def ended(self, trial: str, how: Ending) -> None:
        if how is Ending.FINISHED:
            self._study.tell(self._trials[trial], self._best[trial])
        elif how is Ending.PRUNED:
            self._study.tell(self._trials[trial], state=self._states.PRUNED)
        else:
            self._study.tell(self._trials[trial], 0.0)

    def close(self) -> None:
        pass


class SyneTune(Random):
    """A scheduler of Syne Tune, which pauses trials and resumes them, after the defaults.

    0.14.2 is the last release that has them; its pins are too old for this environment. Put it beside:
    ``pip install --no-deps --target DIR syne-tune==0.14.2 dill sortedcontainers autograd``, then ``PYTHONPATH=DIR``.
    """

    def __init__(self, world: World, seed: int, name: str, **options: int) -> None:
        import_module("syne_tune")  # the parts import each other in a circle
        space = import_module("syne_tune.config_space")
        found: dict[str, Any] = {}
        for key, axis in world.space.items():
            if "values" in axis:
                found[key] = space.ordinal(axis["values"], kind="equal")
            else:
                kind = space.loguniform if "distribution" in axis else space.uniform
                found[key] = kind(float(axis["min"]), float(axis["max"]))
        method = getattr(import_module("syne_tune.optimizer.legacy_baselines"), name)
        self._scheduler = method(
            found, metric="score", mode="max", resource_attr="epoch", max_t=world.epochs, random_seed=seed,
            points_to_evaluate=[{key: world.defaults[key] for key in found}], **options,
        )  # fmt: skip
        self._trial = import_module("syne_tune.backend.trial_status").Trial
        self._trials: dict[str, Any] = {}

    def next(self) -> Job | None:
        number = len(self._trials)
        suggestion = self._scheduler.suggest(number)
        if suggestion is None:
            return None
        if not suggestion.spawn_new_trial_id:
            name = f"t{suggestion.checkpoint_trial_id}"
            return Job(trial=name, config=self._trials[name].config)
        trial = self._trial(trial_id=number, config=suggestion.config, creation_time=datetime.now())
        self._trials[f"t{number}"] = trial
        self._scheduler.on_trial_add(trial)
        return Job(trial=f"t{number}", config=dict(trial.config))

    def row(self, trial: str, epoch: int, score: float) -> Ending | None:
        decision = self._scheduler.on_trial_result(self._trials[trial], {"score": score, "epoch": epoch})
        return None if decision == "CONTINUE" else Ending.PRUNED

    def ended(self, trial: str, how: Ending) -> None:
        if how is Ending.FINISHED:
            self._scheduler.on_trial_remove(self._trials[trial])


PEERS: dict[str, Callable[[World, int], Method]] = {
    "random": Random,
    "ray-asha": RayAsha,
    "optuna-tpe": lambda world, seed: OptunaTpe(world, seed, "none"),
    "optuna-tpe-median": lambda world, seed: OptunaTpe(world, seed, "median"),
    "optuna-tpe-hyperband": lambda world, seed: OptunaTpe(world, seed, "hyperband"),
}
SYNE_TUNE: dict[str, Callable[[World, int], Method]] = {
    "syne-pasha": lambda world, seed: SyneTune(world, seed, "PASHA", grace_period=max(1, world.epochs // 20)),
    "syne-dyhpo": lambda world, seed: SyneTune(world, seed, "DyHPO"),
}
"""Peers that are measured where they are installed."""


def sweep(job: tuple[str, str, int, int]) -> Outcome:
    """Run one sweep of a method, a family, a seed and a number of workers."""
    name, family, seed, workers = job
    searcher, _, pruner = name.partition("+")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        problem = world_of(family, seed)
        method = Timed(
            Production(problem, searcher, pruner, seed) if pruner else {**PEERS, **SYNE_TUNE}[name](problem, seed)
        )
        try:
            found = Sweep(problem, method, workers, seed)
            regret, optimism, heeded = found.run()
        finally:
            method.close()
    best = max(found.trainings.values(), key=lambda one: problem.curve(one.job.config, seed).true)
    return Outcome(
        method=name, family=family, seed=seed, workers=workers, regret=regret, optimism=optimism,
        pruned=best.how in (Ending.PRUNED, Ending.CANCELLED), trials=len(found.trainings), seconds=method.seconds,
        epochs=sum(training.epoch for training in found.trainings.values()), heeded=heeded if pruner else None,
    )  # fmt: skip


def interval(by_family: dict[str, list[float]]) -> str:
    """Return the mean over families with the half-width of its 95 % interval over seeds."""
    means = [float(np.mean(values)) for values in by_family.values()]
    errors = [float(np.var(values, ddof=1)) / len(values) if len(values) > 1 else 0.0 for values in by_family.values()]
    return f"{np.mean(means):.2f} ± {1.96 * np.sqrt(sum(errors)) / len(means):.2f}"


def tables(outcomes: list[Outcome]) -> list[Table]:
    """Return the tables: regret at each cost by family, then what else is measured."""
    methods = list(dict.fromkeys(outcome.method for outcome in outcomes))
    families = list(dict.fromkeys(outcome.family for outcome in outcomes))

    def column(method: str, value: Callable[[Outcome], float]) -> dict[str, list[float]]:
        chosen = [outcome for outcome in outcomes if outcome.method == method]
        return {family: [value(one) for one in chosen if one.family == family] for family in families}

    found = []
    for place, cost in enumerate(COSTS):
        table = Table(title=f"Regret at cost {cost:g}, points", title_justify="left")
        for head in ("method", *(family.rpartition(":")[2] for family in families), "mean"):
            table.add_column(head, justify="left" if head == "method" else "right")
        for method in methods:
            values = column(method, lambda one, place=place: one.regret[place])  # type: ignore[misc]
            table.add_row(method, *(f"{np.mean(values[family]):.2f}" for family in families), interval(values))
            if all(one.heeded is not None for one in outcomes if one.method == method):
                values = column(method, lambda one, place=place: (one.heeded or [])[place])  # type: ignore[misc]
                means = (f"{np.mean(values[family]):.2f}" for family in families)
                table.add_row(f"{method}, verdict heeded", *means, interval(values))
        found.append(table)
    table = Table(title=f"At cost {COSTS[-1]:g}", title_justify="left")
    more: dict[str, Callable[[Outcome], float]] = {
        "best pruned, %": lambda one: 100 * one.pruned,
        "optimism, points": lambda one: one.optimism[-1],
        "trials": lambda one: one.trials,
        "epochs a trial": lambda one: one.epochs / one.trials,
        "decisions, s": lambda one: one.seconds,
    }
    for head in ("method", *more):
        table.add_column(head, justify="left" if head == "method" else "right")
    for method in methods:
        table.add_row(method, *(interval(column(method, value)) for value in more.values()))
    return [*found, table]


def run(jobs: list[tuple[str, str, int, int]], file: Path | None, processes: int) -> list[Outcome]:
    """Run what the file does not hold yet, and add it there."""
    lines = file.read_text().splitlines() if file is not None and file.exists() else []
    known = {(o.method, o.family, o.seed, o.workers): o for o in (Outcome(**json.loads(line)) for line in lines)}
    with multiprocessing.get_context("spawn").Pool(processes) as pool:
        for outcome in pool.imap(sweep, [job for job in jobs if job not in known]):
            known[outcome.method, outcome.family, outcome.seed, outcome.workers] = outcome
            if file is not None:
                with file.open("a") as out:
                    out.write(json.dumps(asdict(outcome)) + "\n")
    return [known[job] for job in jobs]


def main(words: list[str] | None = None) -> list[Outcome]:
    """Run the bench, print its tables and return the sweeps."""
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("--methods", nargs="+", default=["gp+soft", "gp+none", "tpe+asha", *PEERS])
    arguments.add_argument("--families", nargs="+", default=list(FAMILIES), choices=FAMILIES)
    arguments.add_argument("--curves", type=Path, help="a table of recorded curves; all its sets, no families")
    arguments.add_argument("--seeds", type=int, default=20, help="sweeps of each method on each family")
    arguments.add_argument("--workers", type=int, default=4, help="trainings at a time")
    arguments.add_argument("--processes", type=int, default=1)
    arguments.add_argument("--file", type=Path, help="keeps each sweep, so that a later run continues")
    asked = arguments.parse_args(words)
    families = asked.families
    if asked.curves is not None:
        with asked.curves.open(newline="") as table:
            families = [f"{asked.curves}:{name}" for name in dict.fromkeys(row["set"] for row in csv.DictReader(table))]
    jobs = [(m, f, s, asked.workers) for s in range(asked.seeds) for m in asked.methods for f in families]
    outcomes = run(jobs, asked.file, asked.processes)
    for table in tables(outcomes):
        Console(width=160).print(table)
    return outcomes


if __name__ == "__main__":
    main()
