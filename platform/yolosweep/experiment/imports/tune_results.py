"""What Ultralytics' tuner takes and leaves: search spaces, tables of iterations, the best settings."""

from __future__ import annotations

import csv
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from yolosweep.backends.ultralytics.tune_space import DEFAULT_SPACE
from yolosweep.errors import UsageError
from yolosweep.experiment.imports.experiment_draft import Draft

__all__ = ["RESULTS", "Iterations", "draft_of_results", "draft_of_space", "is_space", "read_results"]

RESULTS = ("tune_results.ndjson", "tune_results.csv", "evolve.csv")
"""Tables of iterations by name: as of Ultralytics 8.4, of the releases before, and of YOLOv5."""
_MOST_BYTES = 1 << 26
_FITNESS = "fitness"
_GAINS = 1.0
"""A space may give each parameter a third number, how strongly it is mutated: at most this."""


@dataclass(frozen=True, kw_only=True)
class Iterations:
    """Trainings of a tuner, in order."""

    settings: tuple[Mapping[str, float], ...]
    fitness: tuple[float, ...]

    @property
    def best(self) -> int:
        """Index of the best one."""
        return max(range(len(self.fitness)), key=lambda index: self.fitness[index])


def is_space(content: Mapping[str, Any]) -> bool:
    """Return whether a file is a search space: at least one range, and all are ranges, choices or single values."""
    ranges = [value for value in content.values() if isinstance(value, list)]
    return bool(ranges) and all(ranges) and not any(isinstance(value, Mapping) for value in content.values())


def draft_of_space(content: Mapping[str, Any]) -> Draft:
    """Return a space of ``model.tune`` as the draft of an experiment."""
    draft = Draft(kind="model.tune space")
    for name, value in content.items():
        if not isinstance(value, list):
            draft.fix(name, value)
        elif _is_range(value):
            low, high = value[:2]
            changed = f"without the mutation gain {value[2]}: only Ultralytics' tuner mutates" if len(value) > 2 else ""
            draft.vary(name, {"min": low, "max": high} if low != high else {"value": low}, changed)
        else:
            draft.vary(name, {"values": list({repr(one): one for one in value}.values())})
    return draft


def _is_range(value: Sequence[Any]) -> bool:
    numbers = [one for one in value if isinstance(one, (int, float)) and not isinstance(one, bool)]
    if len(numbers) != len(value) or len(value) not in (2, 3) or value[0] > value[1]:
        return False
    return len(value) == 2 or (0 <= value[2] <= _GAINS and value[2] <= value[1])


def draft_of_results(iterations: Iterations | None, best: Mapping[str, Any]) -> Draft:
    """Return what a tuner tried as the draft of an experiment that searches the same settings.

    Args:
        iterations: the table; None where there is only the best.
        best: settings of the best iteration.
    """
    draft = Draft(kind="results of model.tune")
    draft.remark("", "the results do not name their search space: Ultralytics' own, widened to what was tried")
    of = "" if iterations is None else f" of {len(iterations.fitness)} (fitness {max(iterations.fitness):.5g})"
    for name, value in best.items():
        tried = [row[name] for row in iterations.settings if name in row] if iterations else [value]
        if not isinstance(value, (int, float)) or isinstance(value, bool):
            draft.fix(name, value)
            continue
        low, high = DEFAULT_SPACE.get(name, (min(tried), max(tried)))
        low, high = min(low, *tried), max(high, *tried)
        if low == high:
            draft.fix(name, value)
        else:
            kind = int if all(isinstance(bound, int) for bound in DEFAULT_SPACE.get(name, (0.0,))) else float
            draft.vary(name, {"min": kind(low), "max": kind(high)}, f"best iteration{of}: {value:g}")
    return draft


def read_results(path: Path) -> Iterations:
    """Read a table of iterations.

    Raises:
        UsageError: it is too large, or no such table.
    """
    if path.stat().st_size > _MOST_BYTES:
        raise UsageError(f"{path} is over 64 MiB; this is not a table of a tuner")
    text = path.read_text(encoding="utf-8-sig", errors="replace")
    try:
        rows = _lines(text) if path.suffix == ".ndjson" else _table(text)
    except (ValueError, RecursionError, csv.Error) as error:
        raise UsageError(f"{path} is not a table of a tuner: {error}") from error
    if not rows:
        raise UsageError(f"{path} holds no iteration of a tuner")
    return Iterations(settings=tuple(row for _, row in rows), fitness=tuple(fitness for fitness, _ in rows))


def _lines(text: str) -> list[tuple[float, dict[str, float]]]:
    found = []
    for line in filter(str.strip, text.splitlines()):
        record = json.loads(line)
        settings = record.get("hyperparameters") if isinstance(record, dict) else None
        if not isinstance(settings, dict):
            raise ValueError("a line has no hyperparameters")
        numbers = {name: value for name, value in settings.items() if isinstance(value, (int, float))}
        found.append((float(record.get(_FITNESS) or 0.0), numbers))
    return found


def _table(text: str) -> list[tuple[float, dict[str, float]]]:
    """Return the rows of a CSV file; YOLOv5 puts metrics and losses before the settings, and no fitness."""
    rows = list(csv.DictReader(text.splitlines(), skipinitialspace=True))
    found = []
    for row in rows:
        if None in row or None in row.values():
            raise ValueError("a row has more or fewer cells than the header")
        numbers = {name.strip(): float(cell) for name, cell in row.items()}
        settings = {name: value for name, value in numbers.items() if "/" not in name and name != _FITNESS}
        found.append((numbers.get(_FITNESS, _yolov5_fitness(numbers)), settings))
    return found


def _yolov5_fitness(numbers: Mapping[str, float]) -> float:
    return 0.1 * numbers.get("metrics/mAP_0.5", 0.0) + 0.9 * numbers.get("metrics/mAP_0.5:0.95", 0.0)
