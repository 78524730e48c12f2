"""Tail the ledger, send, remember what arrived; the first failure ends it (``supervise`` starts it anew).

A W&B run's messages count as arrived once the run was finished without loss. What did not arrive is sent again to a
run that is opened anew; the server's own last step keeps a line of history from being there twice.
"""

from __future__ import annotations

import time
from collections.abc import Callable

from yolosweep.ledger import RunFolder, Tail
from yolosweep.records.events import Event
from yolosweep.tracking.messages import Artifact, Close, Message, Open, Row, Table
from yolosweep.tracking.mirror_state import MirrorState, SentRun
from yolosweep.tracking.planner import Planner
from yolosweep.tracking.wandb import Destination, NotSent, Runs

__all__ = ["Outbox", "send"]

_POLL_S = 0.5


class Outbox:
    """Messages on their way, per W&B run, and what is known to have arrived.

    Args:
        folder: the run folder.
        server: address of the W&B server.
        make_runs: connects to it; called when there is something to send, not before.
        alive: called between any two things the SDK is asked to do.
    """

    def __init__(
        self,
        folder: RunFolder,
        server: str,
        make_runs: Callable[[Destination], Runs],
        alive: Callable[[], None] = lambda: None,
    ) -> None:
        self.alive, self.state = alive, MirrorState.load(folder, server)
        self.planner = Planner()
        self._folder, self._server, self._make_runs = folder, server, make_runs
        self._runs: Runs | None = None
        self._waiting: dict[str, list[Message]] = {}
        self._handed: dict[str, int] = {}

    def take(self, event: Event) -> None:
        """Put what an event says in the queue, unless it arrived before."""
        for message in self.planner.add(event):
            sent = self.state.runs.get(message.run)
            if sent is None or message.seq > sent.seq:
                if sent is not None and isinstance(message, Open):
                    sent.closed = False
                self._waiting.setdefault(message.run, []).append(message)

    def close(self) -> None:
        """End the connection, once everything arrived."""
        if self._runs is not None:
            self._runs.close()

    @property
    def empty(self) -> bool:
        """Everything arrived."""
        return not self._waiting

    @property
    def news(self) -> bool:
        """Something was not handed over yet, or an ended run is not finished yet."""
        return any(
            self._handed.get(run, 0) < len(messages) or isinstance(messages[-1], Close)
            for run, messages in self._waiting.items()
        )

    def deliver(self, *, flush: bool = False) -> None:
        """Send what is waiting.

        Args:
            flush: also finish runs whose trial goes on, so that everything counts as arrived.

        Raises:
            NotSent: something did not arrive. The other runs were tried too, unless the server is out of reach for all.
        """
        failure: NotSent | None = None
        for run in list(self._waiting):
            self.alive()
            try:
                self._deliver_run(run, flush=flush)
            except NotSent as error:
                if error.refused or self._runs is None or not self._runs.any_open:
                    raise
                failure = failure or error
        if failure is not None:
            raise failure

    def _deliver_run(self, run: str, *, flush: bool) -> None:
        """Send all that waits for a run: endings that do not hold any more are said on the way, the last one closes."""
        runs, messages = self._connected(), self._waiting[run]
        sent = self.state.runs.get(run)
        fresh = _without_superseded(messages[self._handed.get(run, 0) :])
        runs.send(self.planner.opened[run], fresh, known_step=sent.step if sent else -1)
        self._handed[run] = len(messages)
        close = messages[-1] if isinstance(messages[-1], Close) else None
        if close is None and not flush:
            return
        runs.finish(run, close)
        self._arrived(run, messages, closed=close is not None)
        del self._handed[run], self._waiting[run]

    def _connected(self) -> Runs:
        if self._runs is None:
            project = self.planner.project or self._folder.sweep
            self._runs = self._make_runs(Destination(server=self._server, project=project, entity=self.planner.entity))
        return self._runs

    def _arrived(self, run: str, messages: list[Message], *, closed: bool) -> None:
        before = self.state.runs.get(run)
        steps = [message.step for message in messages if isinstance(message, (Row, Table))]
        self.state.runs[run] = SentRun(
            name=self.planner.opened[run].name,
            seq=messages[-1].seq,
            step=max([*steps, before.step if before else -1]),
            closed=closed,
        )
        self.report(None)

    def report(self, error: str | None) -> None:
        """Write down where things stand; a lasting remark of the SDK's side counts as the error where there is none."""
        remarks = list(self._runs.warnings.values()) if self._runs else []
        self.state.last_error = error or (remarks[0] if remarks else None)
        self.state.url = (self._runs.url if self._runs else None) or self.state.url
        self.state.complete = self.planner.ended and self.empty
        self.state.save(self._folder)


def _without_superseded(messages: list[Message]) -> list[Message]:
    """Leave out all winners but the last: it took the place of the earlier ones' file in the run folder."""
    artifacts = [message for message in messages if isinstance(message, Artifact)]
    return [message for message in messages if message not in artifacts[:-1]]


def send(folder: RunFolder, outbox: Outbox, *, final: Callable[[], bool]) -> None:
    """Send a sweep until it ended, or ``final`` says that no more events come, and everything arrived.

    Args:
        folder: the run folder.
        outbox: an empty one.
        final: no more events are to be waited for.

    Raises:
        NotSent: something did not arrive; it is written down, too.
        RunFolderError: the ledger is damaged.
    """
    tail = Tail(folder.ledger)
    while True:
        outbox.alive()
        last = final()
        for event in tail.read():
            outbox.take(event)
        last = last or outbox.planner.ended
        try:
            if outbox.news or (last and not outbox.empty):
                outbox.deliver(flush=last)
                if outbox.state.last_error:
                    outbox.report(None)
        except NotSent as error:
            outbox.report(str(error))
            raise
        if last and outbox.empty:
            outbox.report(None)
            return
        time.sleep(_POLL_S)
