"""The toy's model: f(image) = sigmoid(w * mean_red + b), its loss, its descent, and its files."""

from __future__ import annotations

import csv
import hashlib
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import quantiles
from time import perf_counter
from typing import Any

import numpy as np
import numpy.typing as npt

from yolosweep.backends.toy.arguments import COUNTED
from yolosweep.backends.toy.crops import Crops, Floats
from yolosweep.errors import TrainingError
from yolosweep.records import EpochResult
from yolosweep.records.footprint import Footprint

__all__ = [
    "ACCURACY",
    "Descent",
    "RedModel",
    "State",
    "footprint_of",
    "load_checkpoint",
    "load_state",
    "mean_squared_error",
    "save_checkpoint",
    "save_results",
    "save_state",
]

ACCURACY = "metrics/accuracy_top1"
"""Name of the toy's metric: the share of crops classified correctly."""

Bools = npt.NDArray[np.bool_]

_FORMAT = "toy/red 1"
_STATE_FORMAT = "toy/red state 1"
_WARM_UP, _PASSES = 5, 105


@dataclass(frozen=True)
class RedModel:
    """Two numbers, in the units of the image: mean red runs from 0 to 255."""

    w: float
    b: float

    @property
    def sha256(self) -> str:
        """The hash of the two numbers."""
        return hashlib.sha256(f"{self.w!r} {self.b!r}".encode()).hexdigest()

    def predict(self, mean_red: Floats) -> Floats:
        """Return f, between 0 and 1, for every mean red value."""
        # As tanh: exp would overflow for large |z|.
        return np.asarray(0.5 * (1 + np.tanh((self.w * mean_red + self.b) / 2)))

    def is_correct(self, crops: Crops) -> Bools:
        """Return whether each crop is classified correctly."""
        return np.asarray((self.predict(crops.mean_red) > 0.5) == (crops.is_red == 1))

    def measured(self, crops: Crops) -> dict[str, float | None]:
        """Return the metrics of a split."""
        return {name: float(np.mean(values)) for name, values in self.measured_each(crops).items()}

    def measured_each(self, crops: Crops) -> dict[str, Floats]:
        """Return the metrics of every crop."""
        return {
            "val/loss": (self.predict(crops.mean_red) - crops.is_red) ** 2,
            ACCURACY: self.is_correct(crops).astype(np.float64),
        }


def mean_squared_error(predicted: Floats, wanted: Floats) -> float:
    """Return the mean of the squared differences."""
    return float(np.mean((predicted - wanted) ** 2))


class Descent:
    """Stochastic gradient descent on the mean squared error, batch by batch.

    Inside, mean red is standardised with the training split's mean and spread, so that learning rates between 0.01
    and 1 mean something; outside, the model is in the units of the image.
    """

    def __init__(self, crops: Crops, *, batch: int, lr0: float, weight_decay: float, seed: int) -> None:
        self._middle = float(crops.mean_red.mean())
        self._spread = float(crops.mean_red.std()) or 1.0
        self._x = (crops.mean_red - self._middle) / self._spread
        self._y = crops.is_red
        self._batch, self._lr, self._decay, self._seed = batch, lr0, weight_decay, seed
        self._w, self._b = (float(v) for v in np.random.default_rng([seed, 0]).normal(0, 0.1, 2))

    def epoch(self, number: int) -> Iterator[float]:
        """Train one epoch (counted from 1); yields the squared error of each batch before its step, summed over it.

        The order of the crops depends on the seed and the epoch alone.
        """
        order = np.random.default_rng([self._seed, number]).permutation(len(self._y))
        for start in range(0, len(order), self._batch):
            chosen = order[start : start + self._batch]
            x, y = self._x[chosen], self._y[chosen]
            with np.errstate(all="ignore"):  # a diverging descent shows in the loss
                f = RedModel(self._w, self._b).predict(x)
                slope = 2 * (f - y) * f * (1 - f)
                self._w -= self._lr * (float(np.mean(slope * x)) + self._decay * self._w)
                self._b -= self._lr * float(np.mean(slope))
                yield float(np.sum((f - y) ** 2))

    def model(self) -> RedModel:
        """Return the current model, in the units of the image."""
        w = self._w / self._spread
        return RedModel(w=w, b=self._b - w * self._middle)

    @property
    def weights(self) -> tuple[float, float]:
        """w and b in internal units: all that changes during the descent."""
        return self._w, self._b

    @weights.setter
    def weights(self, weights: tuple[float, float]) -> None:
        self._w, self._b = weights

    def normalisation(self) -> dict[str, float]:
        """Return what mean red is standardised with internally."""
        return {"mean": self._middle, "std": self._spread}


def save_checkpoint(path: Path, model: RedModel, **more: Any) -> None:
    """Write a checkpoint: JSON text, so that reading it runs no code."""
    content = {"format": _FORMAT, "w": model.w, "b": model.b, **more}
    path.write_text(
        json.dumps(content, indent=2, sort_keys=True, default=str, allow_nan=False) + "\n", encoding="utf-8"
    )


def load_checkpoint(path: Path) -> RedModel:
    """Read a checkpoint back.

    Raises:
        TrainingError: the file is missing, or is not a checkpoint of the toy.
    """
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        if content["format"] != _FORMAT:
            raise ValueError(f"its format is {content['format']!r}")
        return RedModel(w=float(content["w"]), b=float(content["b"]))
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise TrainingError(f"{path} is not a checkpoint of toy/red ({error})") from error


def footprint_of(path: Path) -> Footprint:
    """Return the footprint of a checkpoint; the time is that of one crop."""
    model, crop, times = load_checkpoint(path), np.array([128.0]), []
    for _ in range(_PASSES):
        begun = perf_counter()
        model.predict(crop)
        times.append(1000 * (perf_counter() - begun))
    low, middle, high = quantiles(times[_WARM_UP:], n=4)
    return Footprint(
        params_m=COUNTED.params_m,
        gflops=COUNTED.gflops,
        size_mb=round(path.stat().st_size / 1e6, 6),
        latency_ms=round(middle, 6),
        latency_spread_ms=round(high - low, 6),
        passes=_PASSES - _WARM_UP,
        device="cpu",
    )


def save_results(path: Path, rows: Sequence[EpochResult]) -> None:
    """Write one line per epoch, under a line of names."""
    with path.open("w", newline="", encoding="utf-8") as stream:
        names = list(rows[0].metrics)
        table = csv.writer(stream)
        table.writerow(["epoch", "seconds", *names])
        table.writerows([row.epoch, row.seconds, *(row.metrics[name] for name in names)] for row in rows)


@dataclass(frozen=True, kw_only=True)
class State:
    """All a training needs to resume exactly; order and patience follow from seed, epoch and rows."""

    weights: tuple[float, float]
    """In the internal units of :class:`Descent`."""
    rows: list[EpochResult]
    """Every epoch trained."""
    seconds: float
    """Wall time spent on them."""
    notes: list[str]


def save_state(path: Path, state: State) -> None:
    """Write a state: JSON text, whose floats read back to the same bits."""
    rows = [row.model_dump(mode="json") for row in state.rows]
    content = {"format": _STATE_FORMAT, "weights": state.weights, "seconds": state.seconds, "notes": state.notes}
    path.write_text(json.dumps({**content, "rows": rows}, allow_nan=False), encoding="utf-8")


def load_state(path: Path) -> State:
    """Read a state back.

    Raises:
        TrainingError: the file is missing, or is not a checkpoint of the toy.
    """
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        if content["format"] != _STATE_FORMAT:
            raise ValueError(f"its format is {content['format']!r}")
        w, b = content["weights"]
        rows = [EpochResult.model_validate(row) for row in content["rows"]]
        return State(weights=(float(w), float(b)), rows=rows, seconds=content["seconds"], notes=content["notes"])
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise TrainingError(f"{path} is not a state of toy/red ({error})") from error
