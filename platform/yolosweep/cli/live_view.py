"""The live view of a sweep: a table on a terminal, plain lines elsewhere. It only reads the ledger."""

from __future__ import annotations

import sys
import threading
import time
from typing import TYPE_CHECKING

from yolosweep.cli.console import add_row, is_terminal, new_table, notify, stderr_console
from yolosweep.ledger import RunFolder, Tail
from yolosweep.ledger.history import History, TrialHistory
from yolosweep.ledger.trial_summary import summarize_trial
from yolosweep.records.columns import columns_of
from yolosweep.records.events import EpochRecorded, Event, SweepResumed, TrialEnded
from yolosweep.workflows.event_lines import line_of

if TYPE_CHECKING:
    from rich.live import Live
    from rich.table import Table

__all__ = ["LiveView"]

_REFRESH_S = 0.5
_HEARTBEAT_S = 30.0
"""Without a terminal, a line of progress appears at least this often."""
_ROWS = 15


class LiveView:
    """Shows a sweep on standard error while the ``with`` block runs.

    Of a resumed sweep, only what happens since is printed; the rest is part of the counts.

    Args:
        folder: the run folder.
        trials: how many trials are planned; None where a budget decides.
        epochs: planned epochs of one trial.
    """

    def __init__(self, folder: RunFolder, trials: int | None, epochs: int) -> None:
        self._tail, self._trials, self._epochs = Tail(folder.ledger), trials, epochs
        self._history = History()
        self._started = time.monotonic()
        self._trained = 0
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._watch, name="live-view", daemon=True)
        self._last_line = self._started
        self._live: Live | None = None

    def __enter__(self) -> LiveView:
        if is_terminal(sys.stderr):
            from rich.live import Live

            self._live = Live(console=stderr_console(), auto_refresh=False, transient=False)
            self._live.start()
        self._refresh()
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join()
        self._refresh()
        if self._live is not None:
            self._live.stop()

    def _watch(self) -> None:
        while not self._over.wait(_REFRESH_S):
            self._refresh()

    def _refresh(self) -> None:
        events = list(self._tail.read())
        # The first refresh reads the whole ledger; the event of a resume is written before the view starts.
        resumed = [index for index, event in enumerate(events) if isinstance(event, SweepResumed)]
        for index, event in enumerate(events):
            self._history.add(event)
            if resumed and index < resumed[-1]:
                continue
            self._trained += isinstance(event, EpochRecorded)
            if self._live is None:
                self._report(event)
        if self._live is not None:
            self._live.update(self._table(), refresh=True)
        elif time.monotonic() - self._last_line > _HEARTBEAT_S and self._history.trials:
            self._print(self._state())

    def _print(self, line: str) -> None:
        self._last_line = time.monotonic()
        notify(line)

    def _report(self, event: Event) -> None:
        line = line_of(event)
        if line:
            self._print(f"{line}  [{self._state()}]" if isinstance(event, (TrialEnded, SweepResumed)) else line)

    def _state(self) -> str:
        """Return the progress in one phrase: trials, epochs, best, time left."""
        trials = self._history.trials.values()
        endings = [trial.record.ending for trial in trials if trial.record is not None]
        best = self._history.ranked() if self._history.has_begun else []
        planned = f"/{self._trials * self._epochs}" if self._trials else ""
        parts = [
            f"{sum(ending.is_final for ending in endings)}/{self._trials or '?'} trials",
            f"{self._history.epochs()}{planned} epochs",
        ]
        if best:
            parts.append(f"best {best[0].score:.4f} {best[0].request.trial}")
            parts += [f"{share:.1%} of {split} leaks" for split, share in self._leaks().items() if share]
        left = self._seconds_left()
        if left is not None:
            parts.append(f"about {_time(left)} left")
        failed = sum(ending.is_failure for ending in endings)
        if failed:
            parts.append(f"{failed} failed")
        return ", ".join(parts)

    def _leaks(self) -> dict[str, float]:
        data = self._history.dataset
        return {split: share + data.same_source.get(split, 0) for split, share in data.leaks.items()}

    def _seconds_left(self) -> float | None:
        """Return the time left at the speed of the epochs trained since the view started."""
        if self._trials is None or not self._trained:
            return None
        running = sum(self._epochs - len(t.rows) for t in self._history.trials.values() if t.record is None)
        left = (self._trials - len(self._history.trials)) * self._epochs + running
        if left <= 0:
            return None
        return left * (time.monotonic() - self._started) / self._trained

    def _table(self) -> Table:
        trials = self._history.trials
        shown = [summarize_trial(self._history, trial) for trial in self._most_relevant()[:_ROWS]]
        metric = self._history.metric if self._history.has_begun else "score"
        columns = columns_of("live", shown, metric=metric)
        right = [column.heading for column in columns if column.numeric]
        table = new_table([c.heading for c in columns], right=right, box=True, title=self._state())
        for trial in shown:
            add_row(table, [column.cell(trial) for column in columns])
        if len(trials) > _ROWS:
            table.caption = f"{len(trials) - _ROWS} more: yolosweep show"
        return table

    def _most_relevant(self) -> list[TrialHistory]:
        """Return the running trials, then the ended ones, best first, then those without a score."""
        trials = list(self._history.trials.values())
        running = [trial for trial in trials if trial.record is None]
        ranked = [trial for trial in self._history.ranked() if trial.record] if self._history.has_begun else []
        repeats = [trial for trial in self._history.repeats() if trial.record is not None]
        shown = {trial.request.trial for trial in [*running, *ranked, *repeats]}
        unscored = [trial for trial in trials if trial.request.trial not in shown]
        return [*running, *repeats, *ranked, *unscored]


def _time(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes:02d} min" if hours else f"{minutes} min {rest:02d} s" if minutes else f"{rest} s"
