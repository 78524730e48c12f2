"""Watching a sweep: a live table on a terminal, plain lines elsewhere. Reads the ledger, touches nothing."""

from __future__ import annotations

import sys
import threading
import time
from functools import singledispatch
from typing import Any

from yolosweep.ledger import RunFolder, Tail
from yolosweep.ledger.history import History, TrialHistory
from yolosweep.records import Ending
from yolosweep.records.events import (
    EpochRecorded,
    Event,
    Note,
    SweepResumed,
    TrialEnded,
    TrialResumed,
    TrialStarted,
)

__all__ = ["LiveView"]

_REFRESH_S = 0.5
_PULSE_S = 30.0
"""Without a terminal: a line of progress at least this often, also when nothing ends."""
_ROWS = 15


class LiveView:
    """Shows a sweep on standard error while the ``with`` block runs.

    Of a sweep that was taken up again only what happens since then is told; the rest is in the numbers.
    """

    def __init__(self, folder: RunFolder, trials: int | None, epochs: int) -> None:
        self._tail, self._trials, self._epochs = Tail(folder.ledger), trials, epochs
        self._history = History()
        self._started = time.monotonic()
        self._trained = 0
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._watch, name="live-view", daemon=True)
        self._told = self._started
        self._live: Any = None

    def __enter__(self) -> LiveView:
        if sys.stderr.isatty():
            from rich.console import Console
            from rich.live import Live

            self._live = Live(console=Console(stderr=True), auto_refresh=False, transient=False)
            self._live.start()
        self._look()
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join()
        self._look()
        if self._live is not None:
            self._live.stop()

    def _watch(self) -> None:
        while not self._over.wait(_REFRESH_S):
            self._look()

    def _look(self) -> None:
        events = list(self._tail.read())
        # The first look finds the whole ledger; whoever takes a sweep up again writes so before anybody watches.
        resumed = [place for place, event in enumerate(events) if isinstance(event, SweepResumed)]
        for place, event in enumerate(events):
            self._history.add(event)
            if resumed and place < resumed[-1]:
                continue
            self._trained += isinstance(event, EpochRecorded)
            if self._live is None:
                self._say(event)
        if self._live is not None:
            self._live.update(self._table(), refresh=True)
        elif time.monotonic() - self._told > _PULSE_S and self._history.trials:
            self._print(self._state())

    def _print(self, line: str) -> None:
        self._told = time.monotonic()
        print(line, file=sys.stderr, flush=True)

    def _say(self, event: Event) -> None:
        line = _line(event)
        if line:
            self._print(f"{line}  [{self._state()}]" if isinstance(event, (TrialEnded, SweepResumed)) else line)

    def _state(self) -> str:
        """Return progress in one phrase: trials, epochs, best, time left."""
        trials = self._history.trials.values()
        ended = sum(trial.record is not None and trial.record.ending is not Ending.CANCELLED for trial in trials)
        done = sum(len(trial.rows) for trial in trials)
        best = self._history.ranked() if self._history.has_begun else []
        planned = f"/{self._trials * self._epochs}" if self._trials else ""
        parts = [f"{ended}/{self._trials or '?'} trials", f"{done}{planned} epochs"]
        if best:
            parts.append(f"best {best[0].score:.4f} {best[0].request.trial}")
            parts += [f"{share:.1%} of {split} leaks" for split, share in self._leaks().items() if share]
        left = self._seconds_left()
        if left is not None:
            parts.append(f"about {_time(left)} left")
        failed = sum(trial.status in ("failed", "oom", "diverged") for trial in trials)
        if failed:
            parts.append(f"{failed} failed")
        return ", ".join(parts)

    def _leaks(self) -> dict[str, float]:
        data = self._history.dataset
        return {split: share + data.same_source.get(split, 0) for split, share in data.leaks.items()}

    def _seconds_left(self) -> float | None:
        """Return what is left at the speed of the epochs trained since this watching began."""
        if self._trials is None or not self._trained:
            return None
        running = sum(self._epochs - len(t.rows) for t in self._history.trials.values() if t.record is None)
        left = (self._trials - len(self._history.trials)) * self._epochs + running
        if left <= 0:
            return None
        return left * (time.monotonic() - self._started) / self._trained

    def _table(self) -> Any:
        from rich.table import Table

        table = Table(title=self._state(), title_justify="left", expand=False)
        for column in ("trial", "status", "epoch", "score", "best", "at", "settings"):
            table.add_column(column, justify="right" if column in ("epoch", "score", "best", "at") else "left")
        trials = list(self._history.trials.values())
        running = [trial for trial in trials if trial.record is None]
        ranked = [trial for trial in self._history.ranked() if trial.record] if self._history.has_begun else []
        unscored = [trial for trial in trials if trial.record is not None and trial.score is None]
        for trial in [*running, *ranked, *unscored][:_ROWS]:
            table.add_row(*_cells(trial, self._epochs))
        if len(trials) > _ROWS:
            table.caption = f"{len(trials) - _ROWS} more: yolosweep show"
        return table


def _cells(trial: TrialHistory, epochs: int) -> list[str]:
    last = trial.rows[-1] if trial.rows else None
    return [
        trial.request.trial,
        f"{trial.status}, start {trial.retries + 1}" if trial.retries else trial.status,
        f"{len(trial.rows)}/{epochs}",
        "" if last is None or last.score is None else f"{last.score:.4f}",
        "" if trial.score is None else f"{trial.score:.4f}",
        "" if last is None or last.best_epoch is None else str(last.best_epoch),
        " ".join(f"{name}={_short(value)}" for name, value in trial.request.asked.items()),
    ]


@singledispatch
def _line(event: Event) -> str | None:
    """Return the plain line of an event; None for those that only fill the ledger."""
    return None


@_line.register
def _(event: TrialStarted) -> str:
    asked = " ".join(f"{name}={_short(value)}" for name, value in event.request.asked.items())
    return f"{event.request.trial} started: {asked}"


@_line.register
def _(event: TrialEnded) -> str:
    return f"{event.record.trial} {event.record.ending.value}: {event.record.reason}"


@_line.register
def _(event: TrialResumed) -> str:
    what = f"resumes from epoch {event.from_epoch + 1}" if event.from_epoch else "starts again"
    return f"{event.trial} {what}: {event.reason}"


@_line.register
def _(event: SweepResumed) -> str:
    changes = [f"{key} {_short(old)} -> {_short(new)}" for key, (old, new) in event.changes.items()]
    allowed = [f"other {name} allowed" for name in event.allowed]
    return "; ".join(["resumed", *changes, *allowed])


@_line.register
def _(event: Note) -> str:
    return f"{event.trial} note: {event.text}" if event.trial else f"note: {event.text}"


def _short(value: Any) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def _time(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes:02d} min" if hours else f"{minutes} min {rest:02d} s" if minutes else f"{rest} s"
