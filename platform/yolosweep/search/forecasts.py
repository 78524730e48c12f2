"""The curves of all trials as the ledger tells them, and what each trial would score at its end."""

from __future__ import annotations

import math
import statistics
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from yolosweep.records import Ending
from yolosweep.records.events import EpochRecorded, Event, TrialEnded, TrialResumed, TrialStarted

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from yolosweep.diagnosis.curve_forecast import CurveModel, Forecast

__all__ = ["Forecasts"]

_SILENT = 0.1
"""Share of the epochs before which the curve of a trial that goes on says too little."""

_TAUGHT = 500
"""Complete curves that are learned from, the newest ones."""


@dataclass
class _Curve:
    scores: list[float | None] = field(default_factory=list)
    ending: Ending | None = None
    smooth: NDArray[np.float64] | None = None
    forecast: tuple[CurveModel, Forecast | None] | None = None
    """The model that made it, and the forecast; None where it has to be made."""
    seconds: list[float] = field(default_factory=list)
    """What its epochs took, as far as they were measured, those trained again included."""

    @property
    def is_complete(self) -> bool:
        return self.ending is not None and self.ending.is_natural

    def smoothed(self, mode: str) -> NDArray[np.float64]:
        from yolosweep.diagnosis.curve_forecast import smoothed

        if self.smooth is None:
            self.smooth = smoothed(self.scores, mode)
        return self.smooth


class Forecasts:
    """Forecasts of one sweep: a pure function of the ledger's events.

    Args:
        epochs: planned epochs of each trial.
        mode: ``max`` or ``min``.
    """

    def __init__(self, epochs: int, mode: str) -> None:
        self._epochs, self._mode = epochs, mode
        self._names: dict[int, str] = {}
        self._curves: dict[str, _Curve] = {}
        self._complete: dict[str, _Curve] = {}
        self._finals: dict[str, float] = {}
        self._model: CurveModel | None = None
        self.version = 0
        """Grows with every event that may change a forecast."""

    def apply(self, event: Event) -> None:
        """Learn from one event of the ledger."""
        if isinstance(event, TrialStarted):
            self._names[event.request.number] = event.request.trial
            return
        if isinstance(event, EpochRecorded):
            curve = self._changed(event.trial)
            curve.scores.append(event.row.score)
            if event.row.seconds is not None and event.row.seconds > 0:
                curve.seconds.append(event.row.seconds)
        elif isinstance(event, TrialResumed):
            curve = self._changed(event.trial)
            del curve.scores[event.from_epoch :]
            curve.ending = None
        elif isinstance(event, TrialEnded):
            curve = self._changed(event.record.trial)
            curve.ending = event.record.ending
            if curve.is_complete and curve.scores:
                self._complete[event.record.trial], self._model = curve, None
                self._finals[event.record.trial] = float(curve.smoothed(self._mode)[-1])

    def _changed(self, trial: str) -> _Curve:
        curve = self._curves.setdefault(trial, _Curve())
        curve.smooth = curve.forecast = None
        if self._complete.pop(trial, None) is not None:
            del self._finals[trial]
            self._model = None
        self.version += 1
        return curve

    def of(self, trial: str | int) -> Forecast | None:
        """Return the forecast of a trial, by name or number; None where its curve is too short to say anything."""
        known = self._curves.get(self._names.get(trial, "") if isinstance(trial, int) else trial)
        if known is None or not known.scores:
            return None
        if known.forecast is None or known.forecast[0] is not self.model:
            known.forecast = self.model, self._forecast(known)
        return known.forecast[1]

    def seconds(self, number: int) -> float | None:
        """Return the median of what the epochs of a trial took; None where none was measured."""
        known = self._curves.get(self._names.get(number, ""))
        return statistics.median(known.seconds) if known is not None and known.seconds else None

    def after(self, trial: str, score: float | None) -> Forecast | None:
        """Return the forecast of a trial as if it had one more epoch with this score."""
        known = self._curves.get(trial, _Curve())
        return self._forecast(_Curve([*known.scores, score]))

    def _forecast(self, known: _Curve) -> Forecast | None:
        from yolosweep.diagnosis.curve_forecast import Forecast

        curve = known.smoothed(self._mode)
        if known.is_complete or known.ending is Ending.DIVERGED or len(curve) >= self._epochs:
            return Forecast(final=float(curve[-1]))
        goes_on = known.ending is None or not known.ending.is_final
        if goes_on and len(curve) < max(2, math.ceil(_SILENT * self._epochs)):
            return None
        return self.model.forecast(curve)

    @property
    def complete(self) -> Mapping[str, float]:
        """The trials that reached their end by themselves, and the last value of their smoothed curves."""
        return self._finals

    @property
    def model(self) -> CurveModel:
        """The curve model as of now."""
        import numpy as np

        from yolosweep.diagnosis.curve_forecast import CurveModel

        if self._model is None:
            newest = list(self._complete.values())[-_TAUGHT:]
            rows = np.empty((len(newest), self._epochs))
            for place, known in enumerate(newest):
                curve = known.smoothed(self._mode)[: self._epochs]
                rows[place, : len(curve)], rows[place, len(curve) :] = curve, curve[-1]
            self._model = CurveModel(rows, self._mode)
        return self._model
