"""The columns of a table of trials: one list for ``show``, the live view, the report page and the trackers.

It is here rather than in ``report`` because ``tracking`` may not import ``report``. To add a column, add it to
:data:`COLUMNS`: each surface it names shows it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

from yolosweep.records.summary import RanOn, TrialSummary

__all__ = ["COLUMNS", "Column", "Surface", "columns_of", "duration_text", "memory_text", "setting_text", "short_metric"]

Surface = Literal["show", "live", "page", "tracker"]


@dataclass(frozen=True, kw_only=True)
class Column:
    """One column of a table of trials."""

    name: str
    """Stable key; the column's name in the table of a tracker."""
    heading: str
    """For people; ``{metric}`` stands for the searched metric."""
    value: Callable[[TrialSummary], Any]
    """Return the raw value; None where there is none."""
    text: Callable[[Any], str] = str
    """Format a value for people."""
    surfaces: frozenset[Surface]
    numeric: bool = True
    """Whether it is right-aligned and sorted as a number."""
    wanted: Callable[[TrialSummary], bool] | None = None
    """The column appears only if a trial wants it; None: always."""

    def cell(self, trial: TrialSummary, missing: str = "") -> str:
        """Return a trial's value as text."""
        value = self.value(trial)
        return missing if value is None else self.text(value)


def short_metric(metric: str) -> str:
    """Return a metric's name without Ultralytics' prefix."""
    return metric.removeprefix("metrics/")


def setting_text(value: Any) -> str:
    """Return a setting as people write it."""
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def duration_text(seconds: float) -> str:
    """Return a duration in the unit that suits it."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.1f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"


def _ran_on_text(ran_on: RanOn) -> str:
    """Return what a trial ran on in one line, without what was not measured and what is the default."""
    threads, memory, gpu_memory = ran_on.threads, ran_on.memory_mb, ran_on.gpu_memory_mb
    parts = [
        ran_on.host,
        ran_on.device,
        f"{ran_on.world_size} ranks" if ran_on.world_size != 1 else None,
        _count(threads, "thread") if threads else None,
        None if ran_on.epoch_seconds is None else f"{ran_on.epoch_seconds:.3g} s/epoch",
        None if ran_on.images_per_s is None else f"{_rate(ran_on.images_per_s)} images/s",
        None if memory is None else f"{memory_text(memory)} memory",
        None if gpu_memory is None else f"{memory_text(gpu_memory)} GPU memory",
        _count(ran_on.retries + 1, "start") if ran_on.retries else None,
        f"{_count(ran_on.recoveries, 'epoch')} trained again" if ran_on.recoveries else None,
    ]
    return " · ".join(part for part in parts if part)


def _count(count: int, noun: str) -> str:
    return f"{count} {noun}{'' if count == 1 else 's'}"


def _rate(value: float) -> str:
    return f"{value:.0f}" if value >= 10 else f"{value:.2g}"


def memory_text(mb: float) -> str:
    """Return an amount of memory in the unit that suits it."""
    return f"{mb:.0f} MiB" if mb < 1024 else f"{mb / 1024:.1f} GiB"


def _settings(trial: TrialSummary) -> str:
    return " ".join(f"{name}={setting_text(value)}" for name, value in trial.parameters.items())


def _reason(trial: TrialSummary) -> str:
    """Return why a trial ended, with its error and the evidence of a silent divergence."""
    diverged = trial.diverged if trial.diverged and trial.diverged not in trial.reason else None
    return " ".join(part for part in (trial.reason, trial.error, diverged) if part)


def _on(*surfaces: Surface) -> frozenset[Surface]:
    return frozenset(surfaces)


_EVERYWHERE = _on("show", "live", "page", "tracker")
_PARAMETERS = Column(
    name="parameters",
    heading="",
    value=lambda trial: trial.parameters,
    surfaces=_on("show", "page", "tracker"),
)
"""Stands for one column per searched parameter."""

_OBJECTIVES = Column(
    name="objectives",
    heading="",
    value=lambda trial: trial.objectives,
    surfaces=_on("show", "page", "tracker"),
)
"""Stands for one column per further objective."""

COLUMNS: tuple[Column, ...] = (
    Column(name="trial", heading="trial", value=lambda trial: trial.trial, surfaces=_EVERYWHERE, numeric=False),
    Column(name="ending", heading="ending", value=lambda trial: trial.ending, surfaces=_EVERYWHERE, numeric=False),
    Column(
        name="repeats",
        heading="repeats",
        value=lambda trial: trial.repeats,
        surfaces=_EVERYWHERE,
        numeric=False,
        wanted=lambda trial: trial.repeats is not None,
    ),
    Column(
        name="seed",
        heading="seed",
        value=lambda trial: trial.seed,
        surfaces=_EVERYWHERE,
        wanted=lambda trial: trial.repeats is not None,
    ),
    Column(
        name="progress",
        heading="progress",
        value=lambda trial: f"{trial.epochs}/{trial.planned_epochs}",
        surfaces=_on("live"),
    ),
    Column(
        name="last_score",
        heading="last",
        value=lambda trial: trial.last_score,
        text="{:.4f}".format,
        surfaces=_on("live"),
    ),
    Column(
        name="best_score",
        heading="{metric}",
        value=lambda trial: trial.score,
        text="{:.4f}".format,
        surfaces=_EVERYWHERE,
    ),
    Column(
        name="gain_over_defaults",
        heading="gain",
        value=lambda trial: trial.gain,
        text="{:+.4f}".format,
        surfaces=_on("show", "page", "tracker"),
    ),
    _OBJECTIVES,
    Column(
        name="standing",
        heading="standing",
        value=lambda trial: trial.standing,
        surfaces=_on("show", "page", "tracker"),
        numeric=False,
        wanted=lambda trial: trial.standing is not None,
    ),
    Column(name="best_epoch", heading="best epoch", value=lambda trial: trial.best_epoch, surfaces=_EVERYWHERE),
    Column(name="epochs", heading="epochs", value=lambda trial: trial.epochs, surfaces=_on("show", "page", "tracker")),
    Column(
        name="seconds",
        heading="time",
        value=lambda trial: trial.seconds,
        text=duration_text,
        surfaces=_on("show", "page", "tracker"),
    ),
    Column(
        name="gpu_hours",
        heading="GPU-hours",
        value=lambda trial: trial.gpu_hours,
        text="{:.3g}".format,
        surfaces=_on("show", "page", "tracker"),
        wanted=lambda trial: trial.gpu_hours is not None,
    ),
    Column(
        name="starts",
        heading="starts",
        value=lambda trial: trial.ran_on.retries + 1,
        surfaces=_on("show", "live"),
        wanted=lambda trial: trial.ran_on.retries > 0,
    ),
    Column(name="retries", heading="retries", value=lambda trial: trial.ran_on.retries, surfaces=_on("tracker")),
    Column(
        name="recoveries", heading="recoveries", value=lambda trial: trial.ran_on.recoveries, surfaces=_on("tracker")
    ),
    _PARAMETERS,
    Column(name="settings", heading="settings", value=_settings, surfaces=_on("live"), numeric=False),
    Column(name="reason", heading="why it ended", value=_reason, surfaces=_on("page"), numeric=False),
    Column(
        name="ran_on",
        heading="ran on",
        value=lambda trial: trial.ran_on,
        text=_ran_on_text,
        surfaces=_on("page"),
        numeric=False,
    ),
    Column(
        name="checkpoint",
        heading="checkpoint",
        value=lambda trial: trial.checkpoint_path,
        surfaces=_on("tracker"),
        numeric=False,
    ),
)
"""In the order of the tables."""


def columns_of(surface: Surface, trials: Iterable[TrialSummary], *, metric: str = "score") -> Sequence[Column]:
    """Return the columns of a table of these trials, their headings filled in."""
    listed = tuple(trials)
    columns: list[Column] = []
    for column in COLUMNS:
        if surface not in column.surfaces or not (column.wanted is None or any(map(column.wanted, listed))):
            continue
        if column is _OBJECTIVES:
            columns += map(_objective, dict.fromkeys(name for trial in listed for name in trial.objectives))
        elif column is _PARAMETERS:
            columns += map(_parameter, dict.fromkeys(name for trial in listed for name in trial.parameters))
        else:
            columns.append(replace(column, heading=column.heading.replace("{metric}", short_metric(metric))))
    return columns


def _parameter(name: str) -> Column:
    return Column(
        name=name,
        heading=name,
        value=lambda trial: trial.parameters.get(name),
        text=setting_text,
        surfaces=_PARAMETERS.surfaces,
    )


def _objective(name: str) -> Column:
    return Column(
        name=name,
        heading=short_metric(name),
        value=lambda trial: trial.objectives.get(name),
        text=setting_text,
        surfaces=_OBJECTIVES.surfaces,
    )
