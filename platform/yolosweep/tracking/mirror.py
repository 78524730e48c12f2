"""The driver's side of a mirror: start its process, wait within bounds, report what arrived."""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass

from yolosweep.ledger import RunFolder, read_events
from yolosweep.ledger.history import History
from yolosweep.tracking.mirror_state import MirrorState
from yolosweep.tracking.sink import Sink
from yolosweep.tracking.sink_registry import SINKS

__all__ = ["BUSY", "Mirror", "MirrorResult", "finish_all", "pages_of", "push", "sinks_of", "start_mirror"]

BUSY = 75
"""Exit code of a mirror process that found another one working on the same run folder."""

_FINISH_S, _STOP_S = 8.0, 2.0
"""How long the end of a sweep waits for trackers, and then for their processes: 10 seconds in all."""


@dataclass(frozen=True, kw_only=True)
class MirrorResult:
    """What arrived at a sink."""

    sink: str
    """Name for users."""
    complete: bool
    """The sweep ended and everything arrived."""
    runs: int
    """Tracked runs that arrived with their ending, including the sweep's own run."""
    url: str | None
    """Page of the sweep at the tracker."""
    warning: str | None
    """One line where something is missing, with the fix."""
    note: str | None = None
    """One line on how this tracker shows the sweep; nothing is missing."""


class Mirror:
    """A mirror process beside a sweep. It may be slow, fail or die without affecting the sweep."""

    def __init__(self, folder: RunFolder, sink: Sink, process: subprocess.Popen[bytes]) -> None:
        self._folder, self._sink, self._process = folder, sink, process

    @property
    def warning(self) -> str | None:
        """The current problem in one line, or None. Never waits."""
        error = self._state().last_error
        return f"{self._sink.title}: {error}" if error else None

    def finish(self, timeout_s: float | None = _FINISH_S) -> MirrorResult:
        """Wait until the mirror is done and return what arrived; call it after ``sweep_ended``.

        A mirror that needs longer than ``timeout_s`` is stopped: nobody would see how it ends.
        """
        try:
            code: int | None = self._process.wait(timeout_s)
        except subprocess.TimeoutExpired:
            code = None
            self.stop()
        state = self._state()
        return MirrorResult(
            sink=self._sink.title,
            complete=state.complete and code == 0,
            runs=sum(run.closed for run in state.runs.values()),
            url=state.url,
            warning=self._warning(code, state.last_error),
            note=f"{self._sink.title}: {state.note}" if state.note else None,
        )

    def stop(self, grace_s: float = _STOP_S) -> None:
        """End the mirror process and those of its client library; the next one sends what did not arrive."""
        import psutil

        family = list[psutil.Process]()
        with contextlib.suppress(psutil.NoSuchProcess):
            family = psutil.Process(self._process.pid).children(recursive=True)
        self._process.terminate()
        try:
            self._process.wait(grace_s)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        for process in family:
            with contextlib.suppress(psutil.NoSuchProcess):
                process.kill()

    def _state(self) -> MirrorState:
        return MirrorState.load(self._folder, self._sink.name)

    def _warning(self, code: int | None, error: str | None) -> str | None:
        title, fix = self._sink.title, f"`yolosweep track push {self._folder.named}` sends what is missing"
        if code is None:
            return f"{title}: not everything arrived in time{f' ({error})' if error else ''}; {fix}"
        if code == BUSY:
            return f"{title}: another process is sending {self._folder.sweep}; try again when it is done"
        if code != 0:
            log = self._folder.mirror(f"{self._sink.name}.log").relative_to(self._folder.root)
            return f"{title}: not everything arrived ({error or f'see {log}'}); {fix}"
        return f"{title}: {error}" if error else None


def start_mirror(folder: RunFolder, sink: str) -> Mirror:
    """Start to mirror a sweep that is about to run or to be resumed.

    The process has its own session, so Ctrl-C in the terminal does not reach it, and logs to ``mirror/<sink>.log``. It
    ends when the sweep has ended and everything arrived, or when this process is gone.
    """
    return _spawn(folder, sink, "--follow", "--parent", str(os.getpid()), "--wait", "-1")


def finish_all(mirrors: Sequence[Mirror], timeout_s: float = _FINISH_S) -> list[MirrorResult]:
    """Finish several mirrors; none waits longer than ``timeout_s`` from now."""
    end = time.monotonic() + timeout_s
    return [mirror.finish(max(0.0, end - time.monotonic())) for mirror in mirrors]


def push(folder: RunFolder, sink: str) -> MirrorResult:
    """Send what a sink does not have yet; a second push changes nothing.

    Args:
        folder: run folder of a sweep that ended, was interrupted or still runs.
        sink: name of the sink.

    Raises:
        UsageError: credentials are missing.
        RunFolderError: there is no ledger.
    """
    RunFolder.open(folder.address)
    SINKS[sink].require_ready(os.environ)
    mirror = _spawn(folder, sink)
    try:
        return mirror.finish(timeout_s=None)
    except BaseException:
        mirror.stop()
        raise


def sinks_of(folder: RunFolder) -> tuple[str, ...]:
    """Return the sinks that a run's experiment names; the default one where it names none.

    Raises:
        RunFolderError: the ledger is damaged.
    """
    history = History()
    history.extend(read_events(folder.ledger))
    track = (history.experiment.get("track") or {}) if history.has_begun else {}
    return tuple(name for name in SINKS if track.get(name) is not None) or (next(iter(SINKS)),)


def pages_of(folder: RunFolder) -> dict[str, str]:
    """Return the sweep's page at every sink that has one, by the sink's title."""
    pages = {sink.title: MirrorState.load(folder, name).url for name, sink in SINKS.items()}
    return {title: page for title, page in pages.items() if page and page.startswith(("http://", "https://"))}


def _spawn(folder: RunFolder, sink: str, *arguments: str) -> Mirror:
    log_file = folder.mirror(f"{sink}.log")
    log_file.parent.mkdir(parents=True, exist_ok=True)
    with log_file.open("ab") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", "yolosweep.tracking", folder.address, "--sink", sink, *arguments],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    return Mirror(folder, SINKS[sink], process)
