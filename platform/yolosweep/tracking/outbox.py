"""Tail the ledger, send messages, remember what arrived; the first failure ends it (``supervise`` restarts it).

The messages of a run count as arrived once the run was finished without loss. The rest is sent again after the run was
reopened; the tracker's own last step prevents duplicate lines of history.
"""

from __future__ import annotations

import time
from collections.abc import Callable

from yolosweep.ledger import RunFolder, Tail
from yolosweep.records.events import Event
from yolosweep.tracking.message_planner import Planner
from yolosweep.tracking.mirror_state import MirrorState, SentRun
from yolosweep.tracking.sink import Artifact, Close, Connection, Message, NotSent, Open, Row, Sink, Summary, Table

__all__ = ["Outbox", "send"]

_OPTIONAL = (Row, Summary, Table, Artifact)
_OUT_OF_REACH = 2
"""Runs that cannot be opened, before any could."""


class Outbox:
    """Messages to be sent, per tracked run, and what is known to have arrived.

    Args:
        folder: the run folder.
        sink: where messages go.
        address: the sink's address.
        connect: connects to the sink; called when there is something to send, with the planner, which knows where to.
        heartbeat: called between any two requests to the sink.
    """

    def __init__(
        self,
        folder: RunFolder,
        sink: Sink,
        address: str,
        connect: Callable[[Planner], Connection],
        heartbeat: Callable[[], None] = lambda: None,
    ) -> None:
        self.heartbeat, self.state = heartbeat, MirrorState.load(folder, sink.name, address)
        self.planner = Planner(sink.name, sink.run_id)
        self._folder, self._sink, self._connect = folder, sink, connect
        self._connection: Connection | None = None
        self._reached = False
        """A run was opened in this connection."""
        self._steps: dict[str, int] = {}
        """Last history step of each run that is open in this connection."""
        self._pending: dict[str, list[Message]] = {}
        self._sent: dict[str, int] = {}
        """How many of a run's pending messages the connection has."""

    def take(self, event: Event) -> None:
        """Queue an event's messages, except those that arrived before or that the sink cannot show."""
        for message in self.planner.add(event):
            arrived = self.state.runs.get(message.run)
            if arrived is not None and message.seq <= arrived.seq:
                continue
            if arrived is not None and isinstance(message, Open):
                arrived.closed = False
            if not isinstance(message, _OPTIONAL) or type(message) in self._sink.supports:
                self._pending.setdefault(message.run, []).append(message)

    def close(self) -> None:
        """Release the connection, once everything arrived."""
        if self._connection is not None:
            self._connection.close()

    @property
    def empty(self) -> bool:
        """Everything arrived."""
        return not self._pending

    @property
    def has_news(self) -> bool:
        """A message was not sent yet, or an ended run is not finished yet."""
        return any(
            self._sent.get(run, 0) < len(messages) or isinstance(messages[-1], Close)
            for run, messages in self._pending.items()
        )

    def deliver(self, *, flush: bool = False) -> None:
        """Send all pending messages; the sweep's own run is the last, so it ends after its trials.

        Args:
            flush: also finish runs of trials that continue, so that everything counts as arrived.

        Raises:
            NotSent: something did not arrive. The other runs were tried too, unless the first two could not be opened:
                one may have been deleted there, of two the server is out of reach.
        """
        failures: list[NotSent] = []
        for run in sorted(self._pending, key=lambda run: self.planner.opened[run].kind == "sweep"):
            self.heartbeat()
            try:
                self._deliver_run(run, flush=flush)
            except NotSent as error:
                failures.append(error)
                if error.refused:
                    raise
                if not self._reached and len(failures) == _OUT_OF_REACH:
                    break
        if failures:
            raise failures[0]

    def _deliver_run(self, run: str, *, flush: bool) -> None:
        """Send a run's pending messages; endings that no longer hold are sent on the way, the last one closes it."""
        connection, messages = self._connected(), self._pending[run]
        fresh = _without_superseded(messages[self._sent.get(run, 0) :])
        close = messages[-1] if isinstance(messages[-1], Close) else None
        if run not in self._steps:
            arrived = self.state.runs.get(run)
            step = connection.open(self.planner.opened[run], closes=close is not None)
            self._reached = True
            self._steps[run] = max(step, arrived.step if arrived else -1)
            fresh = fresh[isinstance(fresh[0], Open) :]
        connection.send(run, self._without_known_steps(run, fresh))
        self._sent[run] = len(messages)
        if close is None and not flush:
            return
        del self._steps[run]  # also where finishing fails: the run is opened again
        connection.finish(run, close)
        self._mark_arrived(run, messages, closed=close is not None)
        del self._sent[run], self._pending[run]

    def _connected(self) -> Connection:
        if self._connection is None:
            self._connection = self._connect(self.planner)
        return self._connection

    def _without_known_steps(self, run: str, messages: list[Message]) -> list[Message]:
        fresh = []
        for message in messages:
            if isinstance(message, (Row, Table)):
                if message.step <= self._steps[run]:
                    continue
                self._steps[run] = message.step
            fresh.append(message)
        return fresh

    def _mark_arrived(self, run: str, messages: list[Message], *, closed: bool) -> None:
        before = self.state.runs.get(run)
        steps = [message.step for message in messages if isinstance(message, (Row, Table))]
        self.state.runs[run] = SentRun(
            name=self.planner.opened[run].name,
            seq=messages[-1].seq,
            step=max([*steps, before.step if before else -1]),
            closed=closed,
        )
        self.record(None)

    def record(self, error: str | None) -> None:
        """Save the state; where there is no error, a lasting warning of the connection takes its place."""
        warnings = list(self._connection.warnings.values()) if self._connection else []
        self.state.last_error = error or (warnings[0] if warnings else None)
        self.state.note = self._connection.note if self._connection else self.state.note
        self.state.url = (self._connection.url if self._connection else None) or self.state.url
        self.state.complete = self.planner.ended and self.empty
        self.state.save(self._folder, self._sink.name)


def _without_superseded(messages: list[Message]) -> list[Message]:
    """Drop all winners but the last, whose file has replaced the earlier ones in the run folder."""
    artifacts = [message for message in messages if isinstance(message, Artifact)]
    return [message for message in messages if message not in artifacts[:-1]]


def send(folder: RunFolder, outbox: Outbox, *, final: Callable[[], bool], poll_s: float = 0.5) -> None:
    """Send a sweep until it ended, or ``final`` is true, and everything arrived.

    Args:
        folder: the run folder.
        outbox: an empty one.
        final: whether to stop waiting for events.
        poll_s: time between two looks at the ledger.

    Raises:
        NotSent: something did not arrive; the saved state holds the reason.
        RunFolderError: the ledger is damaged.
    """
    tail = Tail(folder.ledger)
    while True:
        outbox.heartbeat()
        last = final()
        for event in tail.read():
            outbox.take(event)
        last = last or outbox.planner.ended
        try:
            if outbox.has_news or (last and not outbox.empty):
                outbox.deliver(flush=last)
                if outbox.state.last_error:
                    outbox.record(None)
        except NotSent as error:
            outbox.record(str(error))
            raise
        if last and outbox.empty:
            outbox.record(None)
            return
        time.sleep(poll_s)
