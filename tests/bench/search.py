"""How good the search is: a virtual clock drives the sweep controller over parametric curves, beside its peers.

Seven families of YOLO-like curves over 14 train arguments, three of them without effect. A method suggests, hears every
epoch, and may prune; the bench alone knows the truth. The cost of an epoch follows image size and batch; cost 1 is one
whole training of the defaults. The configuration with the best score seen is what a sweep recommends, as in production.

    python -m tests.bench.search --seeds 8 --methods gp+soft gp+none tpe+asha random optuna-tpe-median

``A+B`` is the production controller with searcher A and pruner B, without Ray; ``gp:cost=0+soft`` sets an
option. Regret: the best true final score in the
space minus that of the recommended configuration, in points (1 = 0.01 mAP). Pruned: share of sweeps that pruned the
best configuration they started. Optimism: the score quoted minus the true one, in points.
"""

from __future__ import annotations

import argparse
import heapq
import itertools
import json
import multiprocessing
import shutil
import tempfile
import time
import warnings
from collections.abc import Callable, Iterable, Iterator
from dataclasses import asdict, dataclass, field
from functools import cached_property
from pathlib import Path
from types import SimpleNamespace
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray
from rich.console import Console
from rich.table import Table

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
EPOCHS, CLOSE_MOSAIC, START_EPOCHS = 100, 10, 0.3
COSTS = (20.0, 40.0)
"""Budgets at which a sweep is looked at, in whole trainings of the defaults."""


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
class Curve:
    """One training as it would go if it were trained to its end."""

    scores: Array
    true: float
    """Best score without any noise."""
    diverges_at: int | None


class Problem:
    """One data set, so to speak: where the optimum is, how much each argument matters, how curves look."""

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

    def curve(self, config: dict[str, Any], seed: int) -> Curve:
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
        return Curve(scores=np.clip(scores, 0.0, 0.99), true=float(true.max()), diverges_at=at_epoch)

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
class Job:
    """A training to start."""

    trial: str
    config: dict[str, Any]


class Method(Protocol):
    """A search: what to train next, and which training to prune."""

    def next(self, worker: int) -> Job | None:
        """Return the next training of a free worker; None where there is none for now."""

    def row(self, trial: str, epoch: int, score: float) -> bool:
        """Hear the score of an epoch; return whether the training is pruned."""

    def ended(self, trial: str, how: str) -> None:
        """Hear that a training finished, was pruned or diverged."""

    def close(self) -> None:
        """Give back what it holds."""


@dataclass
class _Training:
    config: dict[str, Any]
    curve: Curve
    cost: float
    worker: int
    epoch: int = 0
    best: float = -1.0
    how: str = "running"


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


@dataclass
class Sweep:
    """A sweep on a virtual clock: what each worker trains, and when its epochs end."""

    problem: Problem
    method: Method
    workers: int
    seed: int
    trainings: dict[str, _Training] = field(default_factory=dict)
    spent: float = 0.0
    thought: float = 0.0
    _queue: list[tuple[float, int, str]] = field(default_factory=list)
    _order: Iterable[int] = field(default_factory=itertools.count)

    def run(self) -> tuple[list[float], list[float]]:
        """Train until the last cost is spent; return regret and optimism at each cost."""
        looks = [cost * EPOCHS for cost in COSTS]
        regrets, optimism = list[float](), list[float]()
        for _ in self.epochs():
            while len(regrets) < len(looks) and self.spent >= looks[len(regrets)]:
                lead = max(self.trainings.values(), key=lambda training: training.best)
                regrets.append(100 * (self.problem.best - lead.curve.true))
                optimism.append(100 * (lead.best - lead.curve.true))
            if len(regrets) == len(looks):
                break
        return regrets, optimism

    def epochs(self) -> Iterator[None]:
        """Train without end, one epoch after the other."""
        idle, now = list(range(self.workers)), 0.0
        while True:
            idle = [worker for worker in idle if not self._start(worker, now)]
            now, _, trial = heapq.heappop(self._queue)
            if self._epoch(trial, now):
                idle.append(self.trainings[trial].worker)
            yield

    def _thinking(self, call: Callable[[], Any]) -> Any:
        before = time.process_time()
        answer = call()
        self.thought += time.process_time() - before
        return answer

    def _start(self, worker: int, now: float) -> bool:
        job = self._thinking(lambda: self.method.next(worker))
        if job is None:
            return False
        cost = epoch_cost(job.config)
        curve = self.problem.curve(job.config, self.seed)
        self.trainings[job.trial] = _Training(config=job.config, curve=curve, cost=cost, worker=worker)
        self.spent += START_EPOCHS * cost
        heapq.heappush(self._queue, (now + (1 + START_EPOCHS) * cost, next(iter(self._order)), job.trial))
        return True

    def _epoch(self, trial: str, now: float) -> bool:
        """Train one epoch; return whether the training ended."""
        one = self.trainings[trial]
        one.epoch += 1
        self.spent += one.cost
        if one.curve.diverges_at == one.epoch:
            one.how = "diverged"
        else:
            score = float(one.curve.scores[one.epoch - 1])
            one.best = max(one.best, score)
            pruned = self._thinking(lambda: self.method.row(trial, one.epoch, score))
            one.how = "finished" if one.epoch == EPOCHS else "pruned" if pruned else "running"
        if one.how == "running":
            heapq.heappush(self._queue, (now + one.cost, next(iter(self._order)), trial))
            return False
        self._thinking(lambda: self.method.ended(trial, one.how))
        return True


class Production:
    """The sweep controller with its trial generator, searcher, pruner and ledger."""

    def __init__(self, searcher: str, pruner: str, seed: int, options: str = "") -> None:
        from yolosweep.experiment import Experiment
        from yolosweep.experiment.settings import resolved
        from yolosweep.ledger import RunFolder
        from yolosweep.records import PreparedDataset
        from yolosweep.search.controller import SweepController

        search = {"searcher": searcher, "pruner": pruner, "parameters": SPACE, "trials": 100_000}
        if options:
            given = (one.partition("=") for one in options.split(","))
            search["searcher_options"] = {name: float(value) for name, _, value in given}
        exp = {"name": "b", "model": "yolo11n.yaml", "data": "d", "seed": seed, "search": search}
        exp["train"] = {"epochs": EPOCHS, "optimizer": "AdamW"}
        data = PreparedDataset(task="detect", source="d", train_on="d", names={0: "a"}, images={}, fingerprint="f")
        self._root = Path(tempfile.mkdtemp(dir="/dev/shm" if Path("/dev/shm").is_dir() else None))
        self._controller = SweepController(
            RunFolder.create(self._root, "b").address,
            experiment=resolved(Experiment.model_validate(exp)).model_dump(mode="json"), model="yolo11n.yaml",
            model_fingerprint="m", dataset=data.model_dump(mode="json"), cpus=1, gpus=0, header={},
        )  # fmt: skip
        self._requests: dict[str, Any] = {}
        self._scores: dict[str, list[float]] = {}

    def next(self, worker: int) -> Job | None:
        from tests.tools.placing import take

        request = take(self._controller)
        if request is None or request == "wait":
            return None
        self._requests[request.trial], self._scores[request.trial] = request, []
        return Job(trial=request.trial, config={**DEFAULTS, **request.asked})

    def row(self, trial: str, epoch: int, score: float) -> bool:
        from yolosweep.records import EpochResult, Verdict

        scores = self._scores[trial]
        scores.append(score)
        best = max(scores)
        row = EpochResult(
            epoch=epoch, metrics={}, score=score, best_score=best, best_epoch=scores.index(best) + 1,
            epochs_without_gain=0, seconds=self._seconds(trial, epoch), images_per_s=1.0,
        )  # fmt: skip
        return self._controller.row(trial, row) is Verdict.PRUNE

    def _seconds(self, trial: str, epoch: int) -> float:
        """Return what an epoch took, as a machine measures it: a tenth up or down."""
        request = self._requests[trial]
        luck = np.random.default_rng([request.number, epoch, 11]).normal(0, 0.1)
        return 60 * epoch_cost({**DEFAULTS, **request.asked}) * float(np.exp(luck))

    def ended(self, trial: str, how: str) -> None:
        from yolosweep.records import Ending, TrialRecord

        request, scores = self._requests[trial], self._scores[trial]
        self._controller.ended(
            TrialRecord(
                trial=trial, number=request.number, ending=Ending(how), reason="r", asked=request.asked,
                used=request.asked, score=max(scores, default=None), epochs=len(scores),
            )
        )  # fmt: skip

    def expected(self) -> dict[str, float]:
        """Return what the searcher's model expects of each trial that ended; empty where it has none."""
        return {f"t{n:04d}": mean for n, mean in self._controller._generator.expected_scores().items()}

    def close(self) -> None:
        self._controller.close()
        shutil.rmtree(self._root)


class Random:
    """Random points after the defaults, every training whole."""

    def __init__(self, seed: int) -> None:
        self._rng, self._count = np.random.default_rng([seed, 5]), 0

    def next(self, worker: int) -> Job | None:
        self._count += 1
        return Job(trial=f"t{self._count}", config=dict(DEFAULTS) if self._count == 1 else self._draw())

    def _draw(self) -> dict[str, Any]:
        found: dict[str, Any] = {}
        for name, axis in SPACE.items():
            if "values" in axis:
                found[name] = axis["values"][self._rng.integers(len(axis["values"]))]
            elif "distribution" in axis:
                found[name] = float(np.exp(self._rng.uniform(np.log(axis["min"]), np.log(axis["max"]))))
            else:
                found[name] = float(self._rng.uniform(axis["min"], axis["max"]))
        return found

    def row(self, trial: str, epoch: int, score: float) -> bool:
        return False

    def ended(self, trial: str, how: str) -> None:
        pass

    def close(self) -> None:
        pass


class RayAsha(Random):
    """Ray's own ASHA rule as Ultralytics' ``tune(use_ray=True)`` sets it, after the defaults."""

    def __init__(self, seed: int) -> None:
        from ray.tune.schedulers import TrialScheduler
        from ray.tune.schedulers.async_hyperband import _Bracket

        super().__init__(seed)
        self._bracket, self._stop = _Bracket(10, EPOCHS, 3, 0), TrialScheduler.STOP

    def row(self, trial: str, epoch: int, score: float) -> bool:
        return bool(self._bracket.on_result(SimpleNamespace(trial_id=trial), epoch, score) == self._stop)


class OptunaTpe:
    """Optuna's TPE as it comes, with one of its pruners, after the defaults."""

    def __init__(self, seed: int, pruner: str) -> None:
        import optuna

        optuna.logging.set_verbosity(optuna.logging.ERROR)
        made = {
            "median": lambda: optuna.pruners.MedianPruner(n_warmup_steps=10),
            "hyperband": lambda: optuna.pruners.HyperbandPruner(min_resource=10, max_resource=EPOCHS),
            "none": optuna.pruners.NopPruner,
        }
        sampler = optuna.samplers.TPESampler(seed=seed)
        self._study = optuna.create_study(direction="maximize", sampler=sampler, pruner=made[pruner]())
        self._study.enqueue_trial(DEFAULTS)
        self._states = optuna.trial.TrialState
        self._trials: dict[str, Any] = {}
        self._best: dict[str, float] = {}

    def next(self, worker: int) -> Job | None:
        trial = self._study.ask()
        config: dict[str, Any] = {}
        for name, axis in SPACE.items():
            if "values" in axis:
                config[name] = trial.suggest_categorical(name, axis["values"])
            else:
                config[name] = trial.suggest_float(name, axis["min"], axis["max"], log="distribution" in axis)
        self._trials[str(trial.number)] = trial
        return Job(trial=str(trial.number), config=config)

    def row(self, trial: str, epoch: int, score: float) -> bool:
        self._best[trial] = max(score, self._best.get(trial, 0.0))
        self._trials[trial].report(score, epoch)
        return bool(self._trials[trial].should_prune())

    def ended(self, trial: str, how: str) -> None:
        if how == "finished":
            self._study.tell(self._trials[trial], self._best[trial])
        elif how == "pruned":
            self._study.tell(self._trials[trial], state=self._states.PRUNED)
        else:
            self._study.tell(self._trials[trial], 0.0)

    def close(self) -> None:
        pass


PEERS: dict[str, Callable[[int], Method]] = {
    "random": Random,
    "ray-asha": RayAsha,
    "optuna-tpe": lambda seed: OptunaTpe(seed, "none"),
    "optuna-tpe-median": lambda seed: OptunaTpe(seed, "median"),
    "optuna-tpe-hyperband": lambda seed: OptunaTpe(seed, "hyperband"),
}


def sweep(job: tuple[str, str, int, int]) -> Outcome:
    """Run one sweep of a method, a family, a seed and a number of workers."""
    name, family, seed, workers = job
    searcher, _, pruner = name.partition("+")
    searcher, _, options = searcher.partition(":")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        method = Production(searcher, pruner, seed, options) if pruner else PEERS[name](seed)
        try:
            found = Sweep(Problem(family, seed), method, workers, seed)
            regret, optimism = found.run()
        finally:
            method.close()
    best = max(found.trainings.values(), key=lambda training: training.curve.true)
    return Outcome(
        method=name, family=family, seed=seed, workers=workers, regret=regret, optimism=optimism,
        pruned=best.how == "pruned", trials=len(found.trainings), seconds=found.thought,
        epochs=sum(training.epoch for training in found.trainings.values()),
    )  # fmt: skip


def interval(by_family: dict[str, list[float]]) -> str:
    """Return the mean over families with the half-width of its 95 % interval over seeds."""
    means = [float(np.mean(values)) for values in by_family.values()]
    errors = [float(np.var(values, ddof=1)) / len(values) if len(values) > 1 else 0.0 for values in by_family.values()]
    return f"{np.mean(means):.2f} ± {1.96 * np.sqrt(sum(errors)) / len(means):.2f}"


def tables(outcomes: list[Outcome]) -> list[Table]:
    """Return the tables: regret at each cost by family, then what else is measured."""
    methods = list(dict.fromkeys(outcome.method for outcome in outcomes))
    families = [name for name in FAMILIES if any(outcome.family == name for outcome in outcomes)]

    def column(method: str, value: Callable[[Outcome], float]) -> dict[str, list[float]]:
        chosen = [outcome for outcome in outcomes if outcome.method == method]
        return {family: [value(one) for one in chosen if one.family == family] for family in families}

    found = []
    for place, cost in enumerate(COSTS):
        table = Table(title=f"Regret at cost {cost:g}, points", title_justify="left")
        for head in ("method", *families, "mean"):
            table.add_column(head, justify="left" if head == "method" else "right")
        for method in methods:
            values = column(method, lambda one, place=place: one.regret[place])  # type: ignore[misc]
            table.add_row(method, *(f"{np.mean(values[family]):.2f}" for family in families), interval(values))
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
    arguments.add_argument("--seeds", type=int, default=20, help="sweeps of each method on each family")
    arguments.add_argument("--workers", type=int, default=4, help="trainings at a time")
    arguments.add_argument("--processes", type=int, default=1)
    arguments.add_argument("--file", type=Path, help="keeps each sweep, so that a later run continues")
    asked = arguments.parse_args(words)
    jobs = [(m, f, s, asked.workers) for s in range(asked.seeds) for m in asked.methods for f in asked.families]
    outcomes = run(jobs, asked.file, asked.processes)
    for table in tables(outcomes):
        Console(width=160).print(table)
    return outcomes


if __name__ == "__main__":
    main()
