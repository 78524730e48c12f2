"""What an earlier sweep says about a new one: the trials that are taken over, and why others are not.

An earlier sweep may come from somebody else: of its ledger only numbers and values that the new space has are used.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from statistics import pstdev
from typing import Any

from yolosweep.backends import backend_for
from yolosweep.errors import RunFolderError
from yolosweep.experiment import Experiment, Parameter
from yolosweep.experiment.search_parameter import active, completed
from yolosweep.ledger.history import History, TrialHistory
from yolosweep.records import PreparedDataset
from yolosweep.records.earlier_trial import EarlierTrial
from yolosweep.records.events import Event, SweepStarted
from yolosweep.search.finals import SearchedOnly
from yolosweep.search.forecasts import Forecasts

__all__ = ["EarlierSweep", "first_points"]

_MOST = 200
"""Trials that are taken over from a sweep, the best ones."""
_FIRST = 3
"""Points that are tried first, right after the defaults."""
_DOUBT = 0.5
"""Under other conditions a gain is this uncertain, in standard deviations of the gains of that sweep."""
_LONGEST = 1_000_000
"""More epochs than any training has."""


@dataclass(frozen=True)
class _Ended:
    """A trial that says what its parameters are worth."""

    trial: TrialHistory
    score: float
    deviation: float


class EarlierSweep:
    """An earlier sweep, read from its ledger.

    Args:
        name: what it is called in messages and in the new ledger.
        events: its ledger.

    Raises:
        RunFolderError: it is damaged.
    """

    def __init__(self, name: str, events: Iterator[Event]) -> None:
        self.name = name
        self._history, self._searched_only = History((self._apply,)), SearchedOnly()
        self._history.extend(events)
        if not self._history.has_begun:
            raise RunFolderError("its ledger holds no sweep")

    def _apply(self, event: Event) -> None:
        """Follow the curves; the first event says how long they are."""
        if isinstance(event, SweepStarted):
            self._begin(event.experiment)
        self._searched_only.apply(event)

    def _begin(self, experiment: Mapping[str, Any]) -> None:
        try:
            self._train: Mapping[str, Any] = dict(experiment["train"])
            self._task, self._model = str(experiment["task"]), str(experiment["model"])
            self._pipelines, self._searched = experiment["augmentations"], set(experiment["search"]["parameters"])
            self._metric, self._mode = str(experiment["search"]["metric"]), str(experiment["search"]["mode"])
            epochs = int(self._train["epochs"])
        except (KeyError, TypeError, ValueError, OverflowError) as error:
            raise RunFolderError("its ledger is damaged, or of another version") from error
        if not 1 <= epochs <= _LONGEST:
            raise RunFolderError("its ledger is damaged: no training has so many epochs")
        self._forecasts = Forecasts(epochs, self._mode)
        self._searched_only = SearchedOnly(self._forecasts.apply)

    def refusal(self, exp: Experiment, data: PreparedDataset) -> str | None:
        """Return why nothing can be learned from it for an experiment; None if something can."""
        if self._history.ended is None:
            return "it has not ended; wait for it, or resume it"
        if self._task != exp.task:
            return f"its task is another one than {exp.task}"
        if backend_for(self._model) is not exp.backend:
            return f"its model is none of {exp.backend.name}"
        if (self._metric, self._mode) != (exp.search.metric, exp.search.mode):
            return f"its trials were ranked by another metric than {exp.search.mode} {exp.search.metric}"
        if set(self._history.dataset.names.values()) != set(data.names.values()):
            return "its data have other classes"
        if self.differences(exp, data) and self._base() is None:
            return "its trial 0 has no score, so that its gains are unknown"
        if not self.trials(exp, data):
            return "none of its trials has a score and parameters in this space"
        return None

    def differences(self, exp: Experiment, data: PreparedDataset) -> list[str]:
        """Return what makes its scores incomparable as they are; then its gains over trial 0 count."""
        found = [] if self._history.dataset.fingerprint == data.fingerprint else ["data"]
        if self._model != exp.model:
            found.append("model")
        known, searched = exp.backend.arguments, {*self._searched, *exp.search.parameters}
        names = {*self._train, *exp.train} - searched - known.runtime_only
        then, now = ({name: known.value(one, name) for name in names} for one in (self._train, exp.train))
        return found + [f"train.{name}" for name in sorted(names) if then[name] != now[name]]

    def trials(self, exp: Experiment, data: PreparedDataset) -> tuple[EarlierTrial, ...]:
        """Return the trials that are taken over, the best first."""
        ended, base = list(self._ended()), self._base() if self.differences(exp, data) else None
        doubt = 0.0 if base is None or len(ended) < 2 else _DOUBT * pstdev(one.score for one in ended)
        found = []
        for one in ended:
            parameters = self._parameters(one.trial, exp)
            if parameters is not None:
                deviation = math.hypot(one.deviation, doubt)
                number = one.trial.request.number
                found.append(
                    EarlierTrial(
                        sweep=self.name, trial=f"t{number:04d}", parameters=parameters, score=one.score,
                        deviation=deviation, base=base,
                    )
                )  # fmt: skip
        return tuple(sorted(found, key=lambda one: _order(one, exp.search.mode))[:_MOST])

    def summary(self, exp: Experiment, data: PreparedDataset) -> str:
        """Return one sentence: how many trials are taken over, how they are compared, and what is left out."""
        taken, ended, others = len(self.trials(exp, data)), len(list(self._ended())), len(self._history.searched)
        differ = self.differences(exp, data)
        how = (
            "by their scores"
            if not differ
            else f"by their gains over its trial 0, because it differs in {', '.join(differ)}"
        )
        left = []
        if ended > taken:
            left.append(
                f"{ended - taken} with parameters outside of this space" if taken < _MOST else "all but the best"
            )
        if others > ended:
            left.append(f"{others - ended} without a score that says how they would end")
        out = f"; left out: {', '.join(left)}" if left else ""
        return f"warm start from {self.name}: {taken} of its {others} trials, compared {how}{out}"

    def _base(self) -> float | None:
        return next((one.score for one in self._ended() if one.trial.request.number == 0), None)

    def _ended(self) -> Iterator[_Ended]:
        """Yield the searched trials that ended, with what they reach at their end."""
        for trial in self._history.searched:
            record, forecast = trial.record, self._forecasts.of(trial.request.trial)
            if record is None or not record.ending.is_complete or forecast is None or record.score is None:
                continue
            if math.isfinite(forecast.final) and math.isfinite(forecast.deviation):
                yield _Ended(trial, forecast.final, forecast.deviation)

    def _parameters(self, trial: TrialHistory, exp: Experiment) -> dict[str, Any] | None:
        """Return a trial in the parameters of an experiment; None where a value is not in its space."""
        request, arguments = trial.request, exp.backend.arguments
        used = {**request.settings, **request.asked, **(trial.record.used if trial.record is not None else {})}
        if "augmentations" in {*exp.search.parameters, *exp.train} and self._pipelines != exp.augmentations:
            return None
        used.setdefault("augmentations", "default")
        space, unknown, found = exp.search.parameters, set[str](), dict[str, Any]()
        for name, parameter in space.items():
            value = _taken(parameter, used.get(name, arguments.defaults.get(name)))
            found[name] = parameter.corners()[0] if value is None else value[0]
            unknown |= {name} if value is None else set()
        matters = active(space, found)
        return None if unknown & matters.keys() else completed(space, matters)


def _taken(parameter: Parameter, value: Any) -> tuple[Any] | None:
    """Return a value as the parameter has it; None where it does not."""
    is_number = isinstance(value, (int, float)) and not isinstance(value, bool)
    if parameter.kind in ("int", "float"):
        low, high = parameter.corners()
        return (value,) if is_number and low <= value <= high else None
    for own in parameter.corners():
        if own == value and isinstance(own, bool) == isinstance(value, bool):
            return (own,)
    return None


def _order(one: EarlierTrial, mode: str) -> float:
    """Return what the best trials are smallest in: the gain, or the score where scores compare."""
    value = one.score - (one.base or 0.0)
    return -value if mode == "max" else value


def first_points(
    earlier: Sequence[EarlierTrial], space: Mapping[str, Parameter], mode: str, home: Mapping[str, Any]
) -> list[dict[str, Any]]:
    """Return the points to try right after the defaults, ``home``: the best of each earlier sweep in turn."""
    by_sweep: dict[str, list[EarlierTrial]] = {}
    for one in earlier:
        by_sweep.setdefault(one.sweep, []).append(one)
    ranked = [sorted(ones, key=lambda one: _order(one, mode)) for ones in by_sweep.values()]
    found: list[dict[str, Any]] = []
    for place in range(_FIRST + 1):
        for ones in ranked:
            if place < len(ones):
                known = ones[place].parameters
                point = active(space, {name: parameter.nearest(known.get(name)) for name, parameter in space.items()})
                if point not in found and point != home:
                    found.append(point)
    return found[:_FIRST]
