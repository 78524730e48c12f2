"""A sweep on a virtual clock: curves that are known beforehand stand in for trainings, everything else is real.

A method suggests, hears every epoch, and may stop a training. ``ControlledSearch`` is the one that counts: the sweep
controller with searcher, pruner, finals, budgets and ledger. Benches put other libraries beside it.
"""

from __future__ import annotations

import heapq
import itertools
import shutil
import tempfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

from yolosweep.experiment import Experiment
from yolosweep.ledger import RunFolder
from yolosweep.ledger.history import History
from yolosweep.records import (
    Checkpoint,
    Ending,
    EpochResult,
    FileRef,
    PreparedDataset,
    TrialRecord,
    TrialRequest,
    Verdict,
)
from yolosweep.records.earlier_trial import EarlierTrial
from yolosweep.search.controller import SweepController
from yolosweep.search.trial_generator import Offer

__all__ = ["Clock", "ControlledSearch", "Curve", "Job", "Method", "Simulation", "Training"]

START_EPOCHS = 0.3
"""What it takes to start a training, or to resume one, in epochs of it."""

_STATE = FileRef(path="state", sha256="", size=0)


@dataclass
class Clock:
    """The virtual time, in seconds."""

    now: float = 0.0

    def __call__(self) -> float:
        """Return the time, as ``time.monotonic`` does."""
        return self.now


@dataclass(frozen=True, kw_only=True)
class Curve:
    """One training as it would go if it were trained to its end."""

    scores: Sequence[float]
    epoch_s: float
    diverges_at: int | None = None


@dataclass(frozen=True, kw_only=True)
class Job:
    """A training to start, or to resume."""

    trial: str
    config: dict[str, Any]
    """All train arguments that decide the curve."""
    seed: int = 0


class Method(Protocol):
    """A search: what to train next, and which training to stop."""

    def next(self) -> Job | None:
        """Return the next training; None where there is none for now."""

    def row(self, trial: str, epoch: int, score: float) -> Ending | None:
        """Hear the score of an epoch; return how the training ends here; None where it goes on."""

    def ended(self, trial: str, how: Ending) -> None:
        """Hear that a training ended."""

    def close(self) -> None:
        """Give back what it holds."""


@dataclass
class Training:
    """A training as of now."""

    job: Job
    curve: Curve
    worker: int
    epoch: int = 0
    best: float | None = None
    how: Ending | None = None
    """None while it runs."""


@dataclass
class Simulation:
    """What each worker trains, and when its epochs end.

    Args:
        method: the search.
        curve_of: the curve of a training.
        workers: trainings at a time.
        clock: the virtual time, which it advances.
    """

    method: Method
    curve_of: Callable[[Job], Curve]
    workers: int
    clock: Clock = field(default_factory=Clock)
    trainings: dict[str, Training] = field(default_factory=dict)
    spent: float = 0.0
    """Seconds of workers that trained."""
    _queue: list[tuple[float, int, str]] = field(default_factory=list)
    _order: Iterator[int] = field(default_factory=itertools.count)

    def epochs(self) -> Iterator[None]:
        """Train until nothing is left to train, one epoch after the other."""
        idle = list(range(self.workers))
        while True:
            while idle and self._start(idle[0]):
                idle.pop(0)
            if not self._queue:
                return
            self.clock.now, _, trial = heapq.heappop(self._queue)
            if self._epoch(self.trainings[trial]):
                idle.append(self.trainings[trial].worker)
            yield

    def _start(self, worker: int) -> bool:
        job = self.method.next()
        if job is None:
            return False
        if job.trial not in self.trainings:
            self.trainings[job.trial] = Training(job=job, curve=self.curve_of(job), worker=worker)
        one = self.trainings[job.trial]
        one.worker, one.how = worker, None
        self.spent += START_EPOCHS * one.curve.epoch_s
        self._wait(one, 1 + START_EPOCHS)
        return True

    def _wait(self, one: Training, epochs: float) -> None:
        heapq.heappush(self._queue, (self.clock.now + epochs * one.curve.epoch_s, next(self._order), one.job.trial))

    def _epoch(self, one: Training) -> bool:
        """Train one epoch; return whether the training ended."""
        one.epoch += 1
        self.spent += one.curve.epoch_s
        if one.curve.diverges_at == one.epoch:
            one.how = Ending.DIVERGED
        else:
            score = float(one.curve.scores[one.epoch - 1])
            one.best = score if one.best is None else max(one.best, score)
            one.how = self.method.row(one.job.trial, one.epoch, score)
            if one.epoch == len(one.curve.scores):
                one.how = Ending.FINISHED
        if one.how is None:
            self._wait(one, 1)
            return False
        self.method.ended(one.job.trial, one.how)
        return True


class ControlledSearch:
    """The sweep controller, in a run folder of its own that is deleted at the end, or in one to go on with.

    Args:
        exp: the resolved experiment; neither its data nor its model need exist.
        defaults: arguments that the trials' own are added to.
        clock: the virtual time.
        epoch_s: seconds of an epoch of a trial, as its machine measures them.
        folder: of an earlier one, whose controller is closed.
        earlier: trials of earlier sweeps that the search starts from.
    """

    def __init__(
        self,
        exp: Experiment,
        *,
        defaults: dict[str, Any],
        clock: Callable[[], float],
        epoch_s: Callable[[TrialRequest, int], float],
        folder: RunFolder | None = None,
        earlier: Sequence[EarlierTrial] = (),
    ) -> None:
        self._own = None if folder else tempfile.mkdtemp(dir="/dev/shm" if Path("/dev/shm").is_dir() else None)
        data = PreparedDataset(task=exp.task, source="d", train_on="d", names={0: "a"}, images={}, fingerprint="d")
        self.folder = folder or RunFolder.create(str(self._own), "simulated")
        models = {name: (name, name) for name in exp.models}
        self.controller = SweepController(
            self.folder.address, experiment=exp.model_dump(mode="json"), model=exp.model, model_fingerprint=exp.model,
            dataset=data.model_dump(mode="json"), cpus=1, gpus=0, header={"earlier": tuple(earlier)}, models=models,
            clock=clock,
        )  # fmt: skip
        self._defaults, self._epoch_s, self._mode = defaults, epoch_s, exp.search.mode
        self._patience = exp.backend.arguments.patience
        self._requests: dict[str, TrialRequest] = {}
        self._rows: dict[str, list[EpochResult]] = {}
        self._lost: list[str] = []

    def next(self) -> Job | None:
        """See ``Method``."""
        if self._lost:
            trial = self._lost.pop(0)
        elif isinstance(offer := self.controller.suggest(), Offer):
            trial = offer.trial
        else:
            return None
        request = self.controller.begin(trial)
        if request is None:
            return None
        self._requests[request.trial] = request
        self._rows.setdefault(request.trial, [])
        seed = request.seed or 0
        return Job(trial=request.trial, config={**self._defaults, **request.settings}, seed=seed)

    def row(self, trial: str, epoch: int, score: float) -> Ending | None:
        """See ``Method``."""
        request, rows = self._requests[trial], self._rows[trial]
        best = rows[-1] if rows else None
        is_better = best is None or best.best_score is None or (score > best.best_score) == (self._mode == "max")
        best_score, best_epoch = (score, epoch) if is_better or best is None else (best.best_score, best.best_epoch)
        rows.append(
            EpochResult(
                epoch=epoch, metrics={}, score=score, best_score=best_score, best_epoch=best_epoch,
                epochs_without_gain=epoch - (best_epoch or epoch), seconds=self._epoch_s(request, epoch),
                images_per_s=1.0,
            )
        )  # fmt: skip
        verdict = self.controller.row(trial, rows[-1], Checkpoint(epoch=epoch, state=_STATE), request.attempt)
        if verdict is not Verdict.CONTINUE:
            return Ending.PRUNED if verdict is Verdict.PRUNE else Ending.CANCELLED
        patience = self._patience(request.settings)
        return Ending.PATIENCE if patience and rows[-1].epochs_without_gain >= patience else None

    def lost(self, trial: str) -> None:
        """Hear that the node of a training is gone; it goes on from its last epoch on the next free worker."""
        self.controller.lost(trial, "its node is gone")
        self._lost.append(trial)

    def ended(self, trial: str, how: Ending) -> None:
        """See ``Method``."""
        request, rows = self._requests[trial], self._rows[trial]
        score, seconds = rows[-1].best_score if rows else None, sum(row.seconds or 0.0 for row in rows)
        record = TrialRecord(
            trial=trial, number=request.number, ending=how, reason="simulated", asked=request.asked, used=request.asked,
            score=score, epochs=len(rows), seconds=seconds,
        )  # fmt: skip
        self.controller.ended(record, request.attempt)

    def history(self) -> History:
        """Return the sweep as its ledger tells it."""
        return History.of(self.folder)

    def close(self) -> None:
        """See ``Method``."""
        try:
            self.controller.close()
        finally:
            if self._own is not None:
                shutil.rmtree(self._own)
