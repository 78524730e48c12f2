"""What the live view shows, as a function of values: the state of the sweep, the running trainings, the best trials."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from yolosweep.cli.spinner import FRAMES
from yolosweep.ledger.history import History, TrialHistory
from yolosweep.ledger.trial_summary import summarize_trial
from yolosweep.records.trial_columns import columns_of, memory_text
from yolosweep.records.worker_activity import Activity, Stage

__all__ = ["Pace", "activity_text", "going_on", "screen", "state_text", "time_text"]

_ROWS = 15
_DETAILED = 4
"""Up to this many running trainings get their losses, too."""
_BAR = 16
_SETTINGS = "settings"
"""The column that gives way where the terminal is narrow."""
_STAGES = {
    Stage.PREPARE: "importing the training library and reading the labels",
    Stage.SET_UP: "setting up: model, loaders and image cache",
}


@dataclass(frozen=True, kw_only=True)
class Pace:
    """What a sweep plans, and how far the view has followed it."""

    trials: int | None
    """Planned trials; None where a budget decides."""
    epochs: int
    """Planned epochs of one trial."""
    elapsed_s: float
    """Since the view started."""
    trained: int
    """Epochs trained since."""
    over: bool = False
    """Whether it is the last screen, which stays."""


def screen(history: History, activities: Sequence[Activity], pace: Pace, *, width: int, height: int) -> list[str]:
    """Return the lines of the live view, none wider than the terminal.

    Args:
        history: the ledger so far.
        activities: what the workers do.
        pace: the plan of the sweep.
        width: columns of the terminal.
        height: its lines.
    """
    frame = " " if pace.over else FRAMES[int(pace.elapsed_s * 2) % len(FRAMES)]
    head = _broken(
        f"{state_text(history, pace)}, {time_text(pace.elapsed_s)}{'' if pace.over else ' so far'}", ", ", width - 2
    )
    lines = [f"{frame if not at else ' '} {line}" for at, line in enumerate(head)]
    lines += [] if pace.over else _running(history, activities, width, most=max(height // 2, 3))
    lines += _table(history, width, rows=max(min(_ROWS, height - len(lines) - 4), 1))
    return [_cut(line, width) for line in lines]


def state_text(history: History, pace: Pace) -> str:
    """Return the progress in one phrase: trials, epochs, best, time left."""
    trials = history.trials.values()
    endings = [trial.record.ending for trial in trials if trial.record is not None]
    best = history.eligible if history.has_begun else []
    planned = f"/{pace.trials * pace.epochs}" if pace.trials else ""
    parts = [
        f"{sum(ending.is_final for ending in endings)}/{pace.trials or '?'} trials",
        f"{history.epochs()}{planned} epochs",
    ]
    if history.has_begun and (budget := history.experiment["search"].get("budget")):
        parts.append(f"{history.trainings():.1f} of {budget} used")
    if best:
        parts.append(f"best {best[0].score:.4f} {best[0].request.trial}")
        parts += [f"{share:.1%} of {split} leaks" for split, share in _leaks(history).items() if share]
    left = _seconds_left(history, pace)
    if left is not None:
        parts.append(f"about {time_text(left)} left")
    failures = Counter(ending.value for ending in endings if ending.is_failure)
    parts += [f"{number} {ending}" for ending, number in sorted(failures.items())]
    return ", ".join(parts)


def activity_text(activity: Activity, epochs: int) -> str:
    """Return what a worker does, in plain words.

    Args:
        activity: what it does.
        epochs: planned epochs of its trial.
    """
    who = activity.trial or "worker"
    if activity.stage in _STAGES:
        return f"{who}  {_STAGES[activity.stage]}"
    what = f"epoch {activity.epoch}/{epochs}" + (", validating" if activity.stage is Stage.VALIDATE else "")
    return "  ".join(part for part in (who, what, *_measured(activity)) if part)


def time_text(seconds: float) -> str:
    """Return a duration in hours, minutes and seconds."""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes:02d} min" if hours else f"{minutes} min {rest:02d} s" if minutes else f"{rest} s"


def _measured(activity: Activity) -> list[str]:
    """Return batches, speed and memory, as far as they are known."""
    speed, memory = activity.batches_per_s, activity.gpu_memory_mb
    return [
        f"{activity.done}/{activity.of} batches" if activity.of else "",
        "" if speed is None else f"{speed:.3g} it/s",
        "" if memory is None else f"GPU {memory_text(memory)}",
    ]


def _leaks(history: History) -> dict[str, float]:
    data = history.dataset
    return {split: share + data.same_source.get(split, 0) for split, share in data.leaks.items()}


def _seconds_left(history: History, pace: Pace) -> float | None:
    """Return the time left at the speed of the epochs trained since the view started."""
    if pace.trials is None or not pace.trained:
        return None
    running = sum(pace.epochs - len(t.rows) for t in history.trials.values() if t.record is None)
    left = (pace.trials - len(history.trials)) * pace.epochs + running
    return left * pace.elapsed_s / pace.trained if left > 0 else None


def _running(history: History, activities: Sequence[Activity], width: int, *, most: int) -> list[str]:
    """Return the lines of the running trainings."""
    current = going_on(history, activities)
    preparing = [activity for activity in current if not activity.trial]
    training = [activity for activity in current if activity.trial]
    lines = [f"  {_count(len(preparing), 'worker')} {_STAGES[Stage.PREPARE]}"] if preparing else []
    waiting = [name for name, trial in history.trials.items() if trial.record is None]
    if not current and (waiting or not history.trials):
        lines = [f"  {waiting[0]} is handed to a worker" if history.epochs() else "  starting the worker processes"]
    for activity in training:
        epochs = history.trials[activity.trial].request.epochs if activity.trial in history.trials else 0
        first, *further = _broken(activity_text(activity, epochs), "  ", width - _BAR - 3)
        losses = "  ".join(f"{name} {value:.4g}" for name, value in activity.losses.items() if value is not None)
        if losses and len(training) <= _DETAILED:
            further += _broken(losses, "  ", width - _BAR - 3)
        lines += [f"  {_bar(activity)} {first}", *(f"{'':{_BAR + 3}}{line}" for line in further)]
    if len(lines) > most:
        return [*lines[: most - 1], f"  … {len(lines) - most + 1} more"]
    return lines


def going_on(history: History, activities: Sequence[Activity]) -> list[Activity]:
    """Return what workers do, without those of whose trial the ledger already has the end."""
    ended = {name for name, trial in history.trials.items() if trial.record is not None}
    return [activity for activity in activities if activity.trial not in ended]


def _bar(activity: Activity) -> str:
    filled = round(_BAR * activity.done / activity.of) if activity.of else 0
    return "━" * filled + "╌" * (_BAR - filled)


def _table(history: History, width: int, *, rows: int) -> list[str]:
    """Return the trials as aligned lines: all columns whole, and as many settings as fit."""
    if not history.trials:
        return []
    shown = [summarize_trial(history, trial) for trial in _most_relevant(history)[:rows]]
    columns = columns_of("live", shown, metric=history.metric if history.has_begun else "score")
    firm = [column for column in columns if column.name != _SETTINGS]
    cells = [[column.heading for column in firm], *([column.cell(trial) for column in firm] for trial in shown)]
    widths = [max(len(row[at]) for row in cells) for at in range(len(firm))]
    room = width - sum(widths) - 2 * len(widths)
    aside = [
        _SETTINGS,
        *(settings.cell(trial) for settings in columns if settings.name == _SETTINGS for trial in shown),
    ]
    lines = []
    for row, last in zip(cells, aside, strict=True):
        aligned = zip(row, widths, firm, strict=True)
        line = [cell.rjust(wide) if column.numeric else cell.ljust(wide) for cell, wide, column in aligned]
        lines.append("  ".join([*line, _fitting(last, room)]).rstrip())
    more = len(history.trials) - len(shown)
    return ["", *lines, *([f"{more} more: yolosweep show"] if more else [])]


def _fitting(text: str, room: int) -> str:
    """Return as many whole words as fit."""
    if len(text) <= room:
        return text
    first = _broken(text, " ", room - 2)[0]
    return f"{first} …" if len(first) <= room - 2 else "…" if room > 0 else ""


def _most_relevant(history: History) -> list[TrialHistory]:
    """Return the running trials, then repeats, then the other ended ones, best first, then those without a score."""
    trials = list(history.trials.values())
    running = [trial for trial in trials if trial.record is None]
    ranked = [trial for trial in history.ranked() if trial.record] if history.has_begun else []
    repeats = [trial for trial in history.repeats() if trial.record is not None]
    shown = {trial.request.trial for trial in [*running, *ranked, *repeats]}
    unscored = [trial for trial in trials if trial.request.trial not in shown]
    return [*running, *repeats, *ranked, *unscored]


def _broken(text: str, separator: str, width: int) -> list[str]:
    """Return text in lines of at most ``width``, broken at separators only."""
    lines: list[str] = []
    for part in text.split(separator):
        if lines and len(lines[-1]) + len(separator) + len(part) <= width:
            lines[-1] += separator + part
        else:
            lines.append(part)
    return lines


def _cut(line: str, width: int) -> str:
    return line if len(line) <= width else line[: width - 1] + "…"


def _count(count: int, noun: str) -> str:
    return f"{count} {noun}{'' if count == 1 else 's'}"
