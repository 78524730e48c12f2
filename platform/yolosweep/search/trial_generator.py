"""Which point is tried next: the searcher's suggestion, neither tried before nor known to be too big for the GPU.

All of it is learned from the ledger's events, so that a resumed sweep knows what it knew. A grid point that is too big
for one GPU is kept for a node with another.
"""

from __future__ import annotations

import itertools
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from yolosweep.experiment import Experiment, baseline, identity, settings_of
from yolosweep.experiment.schema import MODEL
from yolosweep.experiment.search_choices import SEARCHERS
from yolosweep.experiment.search_parameter import active, completed
from yolosweep.experiment.trial_settings import allows
from yolosweep.ledger.history import TrialHistory
from yolosweep.records import Ending, TrialRecord, TrialRequest
from yolosweep.records.events import Event, SweepStarted, TrialEnded, TrialStarted
from yolosweep.search.forecasts import Forecasts
from yolosweep.search.searchers.searcher import (
    ConstrainedSearcher,
    CurveSearcher,
    InformedSearcher,
    ModelSearcher,
    MultiObjectiveSearcher,
    ScaledSearcher,
    searcher_for,
)
from yolosweep.search.warm_start import first_points

__all__ = ["Offer", "Suggestion", "TrialGenerator"]

_ATTEMPTS = 50
"""Tries to find parameters that were not tried yet before a finite space counts as used up."""

_REFUSED = 0.05
"""What a suggestion outside of the constraints costs of these tries."""

_NAMED = 20
"""Points that are listed one by one."""


@dataclass(frozen=True, kw_only=True)
class Suggestion:
    """A point to try."""

    parameters: dict[str, Any]
    """The searched parameters."""
    settings: dict[str, Any]
    """All train arguments."""
    identity: str
    repeats: TrialHistory | None = None
    """The trial that is trained again with another seed."""

    def request(self, sweep: str, number: int, exp: Experiment, now: Mapping[str, Any]) -> TrialRequest:
        """Return the training of this point; ``now``: where and on what it runs."""
        again = self.repeats
        return TrialRequest(
            sweep=sweep, trial=f"t{number:04d}", number=number, task=exp.task, settings=self.settings,
            asked=self.parameters, identity=self.identity, repeats=again and again.request.trial,
            metric=str(exp.search.metric), mode=exp.search.mode,
            objectives=tuple(one.metric for one in exp.search.objectives[1:]),
            footprint=again and again.record and again.record.footprint, **now,
        )  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class Offer:
    """A training for Ray Tune to place: a new trial, or one to resume."""

    trial: str
    parameters: dict[str, Any]
    """The searched parameters."""
    excluded: tuple[str, ...]
    """Nodes on which it must not run."""


@dataclass(frozen=True, kw_only=True)
class _TooBig:
    """A batch that did not fit."""

    batch: int
    imgsz: int
    model: str | None
    device: str


class TrialGenerator:
    """Generates the trials of one sweep.

    Args:
        exp: the resolved experiment.
        model_fingerprint: part of every identity.
        data_fingerprint: part of every identity.
        world_size: ranks of every trial, part of every identity.
        models: file and fingerprint by the name of the model, where several are searched.
    """

    def __init__(
        self,
        exp: Experiment,
        *,
        model_fingerprint: str,
        data_fingerprint: str,
        world_size: int,
        models: Mapping[str, Sequence[str]] | None = None,
    ) -> None:
        search, self._fingerprints = exp.search, {name: hashed for name, (_, hashed) in (models or {}).items()}
        self._exp, self._world_size = exp, world_size
        self._model_fingerprint, self._data_fingerprint = model_fingerprint, data_fingerprint
        self._searcher = searcher_for(
            search.searcher, search.parameters, seed=exp.seed, mode=search.mode, options=search.searcher_options
        )
        self._forecasts = Forecasts(int(exp.space.epochs), search.mode)
        if isinstance(self._searcher, CurveSearcher):
            self._searcher.watch(self._forecasts)
        if isinstance(self._searcher, ScaledSearcher):
            self._searcher.expect(exp.backend.arguments.decades)
        if isinstance(self._searcher, ConstrainedSearcher) and search.constraints:
            self._searcher.keep_to(lambda parameters: allows(exp, active(search.parameters, parameters)))
        if isinstance(self._searcher, MultiObjectiveSearcher) and len(search.objectives) > 1:
            self._searcher.aim(search.objectives)
        self._is_exhaustive = SEARCHERS[search.searcher].is_exhaustive
        self._tried: set[str] = set()
        self._asked: dict[str, Mapping[str, Any]] = {}
        self._too_big: list[_TooBig] = []
        self._left_out: dict[str, dict[str, Any]] = {}
        self._earlier_points: list[dict[str, Any]] = []

    def next(self, number: int, devices: Collection[str] = ()) -> Suggestion | None:
        """Return the point for trial ``number``; None where there is none left for any of the devices.

        Args:
            number: the trial's number; 0 are the defaults.
            devices: the GPUs of the nodes, as far as they are known.
        """
        if not self._is_exhaustive:  # a point drawn again is as good as one left out
            self._left_out.clear()
        for parameters in itertools.chain(list(self._left_out.values()), self._points(number)):
            settings = settings_of(self._exp, parameters)
            key, model = self._identity(settings, parameters), parameters.get(MODEL)
            if key in self._tried:
                continue
            too_big = self._too_big_for(settings, model)
            if not too_big or set(devices) - too_big:
                self._left_out.pop(key, None)
                return Suggestion(parameters=parameters, settings=settings, identity=key)
            self._left_out[key] = parameters
        return None

    def repeat(self, trial: TrialHistory, seed: int) -> Suggestion:
        """Return a trial again with another seed, and with the batch that it really used."""
        request = trial.request
        used = trial.record.used if trial.record is not None else {}
        parameters = {name: used.get(name, value) for name, value in request.asked.items()}
        settings, asked = {**request.settings, "seed": seed}, self._size(request.settings)[0]
        if (batch := int(used.get("batch", asked))) != asked:
            settings["batch"] = batch
        key = self._identity(settings, parameters)
        return Suggestion(parameters=parameters, settings=settings, identity=key, repeats=trial)

    def _identity(self, settings: Mapping[str, Any], parameters: Mapping[str, Any]) -> str:
        return identity(
            settings,
            model=self._fingerprints.get(parameters.get(MODEL, ""), self._model_fingerprint),
            task=self._exp.task,
            data_fingerprint=self._data_fingerprint,
            world_size=self._world_size,
            runtime_only=self._exp.backend.arguments.runtime_only,
        )

    def _points(self, number: int) -> Iterator[dict[str, Any]]:
        """Yield what the searcher suggests, until it has no more or has said enough."""
        if number == 0:
            yield baseline(self._exp)[0]
            return
        space, constrained = self._exp.search.parameters, bool(self._exp.search.constraints)
        left, earlier = float(_ATTEMPTS), self._earlier_points[number - 1 : number]
        for attempt in itertools.count(-len(earlier)):
            parameters = earlier[attempt] if attempt < 0 else self._searcher.suggest(number, attempt)
            if parameters is None or (not self._is_exhaustive and left <= 0):
                return
            parameters = active(space, parameters)
            is_allowed = not constrained or allows(self._exp, parameters)
            left -= 1 if is_allowed else _REFUSED
            if is_allowed:
                yield parameters

    def expected_scores(self) -> dict[int, float]:
        """Return the searcher's expectation of each trial's final score, by number; empty where it has no model."""
        return self._searcher.expected_scores() if isinstance(self._searcher, ModelSearcher) else {}

    def left_out(self) -> str | None:
        """Return a sentence on the points that were too big for every known GPU; None without any."""
        points = [", ".join(f"{name}={value}" for name, value in one.items()) for one in self._left_out.values()]
        if not points:
            return None
        named = "; ".join(points[:_NAMED]) + (f"; and {len(points) - _NAMED} more" if len(points) > _NAMED else "")
        return f"not tried, as at least as big as what did not fit on the GPUs that there are: {named}"

    def too_small(self, devices: Mapping[str, str], request: TrialRequest) -> tuple[str, ...]:
        """Return the nodes, of those with a known device, on which a trial does not fit; none if that is all."""
        too_big = self._too_big_for(request.settings, request.asked.get(MODEL))
        small = sorted(node for node, device in devices.items() if device in too_big)
        return tuple(small) if len(small) < len(devices) else ()

    def _too_big_for(self, settings: Mapping[str, Any], model: str | None) -> set[str]:
        """Return the devices on which something that is not bigger did not fit."""
        batch, imgsz = self._size(settings)
        same = [known for known in self._too_big if known.model == model]
        return {known.device for known in same if batch >= known.batch and imgsz >= known.imgsz}

    def apply(self, event: Event) -> None:
        """Learn from one event of the ledger."""
        self._forecasts.apply(event)
        if isinstance(event, SweepStarted):
            search = self._exp.search
            self._earlier_points = first_points(event.earlier, search.parameters, search.mode, baseline(self._exp)[0])
            if isinstance(self._searcher, InformedSearcher):
                self._searcher.learn_earlier(event.earlier)
        elif isinstance(event, TrialStarted):
            request = event.request
            self._tried.add(request.identity)
            self._asked[request.trial] = request.settings
            self._searcher.started(request.number, completed(self._exp.search.parameters, request.asked))
        elif isinstance(event, TrialEnded):
            record = event.record
            if record.ending is Ending.CANCELLED:  # it may go on later: until then it counts as running
                return
            used = completed(self._exp.search.parameters, record.used)
            further = self._exp.search.objectives[1:]
            if isinstance(self._searcher, MultiObjectiveSearcher) and further:
                values = (record.objectives.get(one.metric) for one in further)
                self._searcher.measured(record.number, (record.score, *values))
            self._searcher.tell(record.number, used, record.score, learned=record.ending is not Ending.FAILED)
            self._learn_size(record)

    def _learn_size(self, record: TrialRecord) -> None:
        """Remember the smallest batch that did not fit: the one it ended at, or twice the one that did."""
        asked, imgsz = self._size(self._asked[record.trial])
        used = int(record.used.get("batch", asked))
        failed = used if record.ending is Ending.OOM else 2 * used if used < asked else None
        if failed is not None:
            model = record.asked.get(MODEL)
            self._too_big.append(_TooBig(batch=failed, imgsz=imgsz, model=model, device=record.device))

    def _size(self, settings: Mapping[str, Any]) -> tuple[int, int]:
        """Return batch and imgsz of a trial."""
        arguments = self._exp.backend.arguments
        return arguments.batch(settings), arguments.imgsz(settings)
