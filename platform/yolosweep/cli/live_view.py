"""The live view of a sweep: a screen that is drawn again on a terminal, plain lines elsewhere.

It reads the ledger, and gets what the workers do within an epoch from the driver.
"""

from __future__ import annotations

import sys
import threading
import time
from typing import TYPE_CHECKING

from yolosweep.cli.console import is_terminal, notify, stderr_console
from yolosweep.cli.live_screen import Pace, activity_text, going_on, screen, state_text
from yolosweep.ledger import RunFolder, Tail
from yolosweep.ledger.history import History
from yolosweep.records.events import EpochRecorded, Event, Note, SweepResumed, TrialEnded, TrialResumed
from yolosweep.records.worker_activity import Activity, Stage
from yolosweep.workflows.event_lines import line_of

if TYPE_CHECKING:
    from rich.live import Live
    from rich.text import Text

__all__ = ["LiveView"]

_REFRESH_S = 0.5
_HEARTBEAT_S = 30.0
"""Without a terminal, a line of progress appears at least this often."""


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
        self.activities: tuple[Activity, ...] = ()
        """What the workers do, as of the last heartbeats."""
        self._begun: set[tuple[str, Stage]] = set()
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
        self.activities = ()
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
            self._report(event)
        if self._live is not None:
            self._live.update(self._drawn(self._live.console.width, self._live.console.height), refresh=True)
            return
        self._report_first_steps()
        if time.monotonic() - self._last_line > _HEARTBEAT_S:
            self._print("; ".join([self._state(), *map(self._doing, going_on(self._history, self.activities))]))

    def _print(self, line: str) -> None:
        self._last_line = time.monotonic()
        notify(line)

    def _report(self, event: Event) -> None:
        """Print the line of an event; above the screen of a terminal only what the table does not show."""
        line = line_of(event)
        if not line:
            return
        if self._live is None:
            self._print(f"{line}  [{self._state()}]" if isinstance(event, (TrialEnded, SweepResumed)) else line)
        elif _stays(event):
            from rich.text import Text

            self._live.console.print(Text(line))

    def _report_first_steps(self) -> None:
        """Print what begins while there is no epoch yet; afterwards the epochs are the progress."""
        for activity in () if self._trained else self.activities:
            step = activity.trial, activity.stage
            if step not in self._begun:
                self._begun.add(step)
                self._print(self._doing(activity))

    def _doing(self, activity: Activity) -> str:
        known = self._history.trials.get(activity.trial)
        return activity_text(activity, known.request.epochs if known else self._epochs)

    def _pace(self) -> Pace:
        elapsed = time.monotonic() - self._started
        over = self._over.is_set()
        return Pace(trials=self._trials, epochs=self._epochs, elapsed_s=elapsed, trained=self._trained, over=over)

    def _state(self) -> str:
        return state_text(self._history, self._pace())

    def _drawn(self, width: int, height: int) -> Text:
        from rich.text import Text

        lines = screen(self._history, self.activities, self._pace(), width=width, height=height)
        return Text("\n".join(lines), no_wrap=True, overflow="ellipsis")


def _stays(event: Event) -> bool:
    """Return whether an event says more than the table: why something went wrong, started again, or was noticed."""
    if isinstance(event, TrialEnded):
        return event.record.ending.is_failure or not event.record.ending.is_final
    return isinstance(event, (TrialResumed, SweepResumed, Note))
