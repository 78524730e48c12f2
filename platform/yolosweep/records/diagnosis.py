"""What a training or a sweep shows, why, and which change of the experiment file answers it."""

from __future__ import annotations

from collections.abc import Mapping
from enum import Enum
from typing import Any

from yolosweep.records.record import Number, Record

__all__ = ["Change", "Confidence", "Diagnosis", "SweepDiagnosis", "TrainingDiagnosis", "yaml_text"]


def yaml_text(value: Any) -> str:
    """Return a setting as people write it in an experiment file, on one line."""
    if isinstance(value, Mapping):
        return "{" + ", ".join(f"{name}: {yaml_text(item)}" for name, item in value.items()) + "}"
    return str(value).lower() if isinstance(value, bool) else str(value)


class Confidence(str, Enum):
    """How clearly the numbers support a diagnosis."""

    HIGH = "high"
    MEDIUM = "medium"
    LOW = "low"


class Change(Record):
    """One change of an experiment file."""

    key: str
    """Dotted key, e.g. ``train.epochs``."""
    value: Any = None
    """The new value; None where the present one is not known, or the change is not one of this file."""
    how: str
    """The change in words, e.g. ``double the epochs``."""

    @property
    def line(self) -> str:
        """The key, and its new value as the file has it."""
        return self.key if self.value is None else f"{self.key}: {yaml_text(self.value)}"

    @property
    def sentence(self) -> str:
        """What to do; the key only where the file can hold it."""
        return self.how if self.value is None else f"{self.line} ({self.how})"


class Diagnosis(Record):
    """One thing that a training's curves or a sweep's trials show."""

    code: str
    """Stable name, e.g. ``overfitting``."""
    confidence: Confidence
    sentence: str
    """What was seen, with its numbers."""
    evidence: dict[str, Number]
    """The numbers behind it, by name."""
    changes: tuple[Change, ...] = ()
    """What to change in the experiment, most promising first."""
    trial: str | None = None
    """The trial it is about; None: the whole sweep, or a training outside of one."""


class TrainingDiagnosis(Record):
    """What one training's ``results.csv`` shows; its fields are the keys of ``yolosweep diagnose FILE --json``."""

    file: str
    verdict: str | None
    """Code of the first diagnosis; None without a score."""
    epochs: int
    planned_epochs: int | None
    """From the ``args.yaml`` beside the file; None without one."""
    metric: str | None
    """The metric that was judged."""
    best_score: Number
    last_score: Number
    notes: tuple[str, ...]
    """What was odd about the file."""
    diagnoses: tuple[Diagnosis, ...]


class SweepDiagnosis(Record):
    """What a sweep and its trials show; its fields are the keys of ``yolosweep diagnose RUN --json``."""

    run: str
    verdict: str | None
    """Code of the first diagnosis of the sweep."""
    sweep: tuple[Diagnosis, ...]
    trials: dict[str, tuple[Diagnosis, ...]]
    """Empty for a trial that was stopped early or has no score."""
