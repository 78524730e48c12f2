"""The driver's side: start the mirror process, wait for it within bounds, say what it did."""

from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import dataclass

from yolosweep.errors import UsageError
from yolosweep.experiment.schema import Wandb
from yolosweep.ledger import RunFolder
from yolosweep.tracking.mirror_state import MirrorState
from yolosweep.tracking.wandb_mode import choose_mode, server

__all__ = ["BUSY", "Mirror", "MirrorResult", "push", "start_mirror"]

BUSY = 75
"""Exit code of a mirror process that found another one at work on the same run folder."""

_LEFT: list[subprocess.Popen[bytes]] = []
"""Processes that go on without us; forgetting one would be reported as a leak."""


@dataclass(frozen=True, kw_only=True)
class MirrorResult:
    """What arrived at W&B."""

    complete: bool
    """The sweep ended and everything of it arrived."""
    runs: int
    """W&B runs that arrived with their ending, the sweep's own run among them."""
    url: str | None
    """The W&B project's page."""
    warning: str | None
    """One line where something is missing, with the way out."""


class Mirror:
    """A mirror process beside a sweep. It can be slow, fail or die: the sweep does not notice."""

    def __init__(self, folder: RunFolder, process: subprocess.Popen[bytes]) -> None:
        self._folder, self._process = folder, process

    @property
    def warning(self) -> str | None:
        """The trouble it has now, in one line; None where it has none. Never waits."""
        state = MirrorState.load(self._folder, server(os.environ))
        return f"W&B: {state.last_error}" if state.last_error else None

    def finish(self, timeout_s: float = 60.0) -> MirrorResult:
        """Wait until the mirror is done, at most ``timeout_s``, and say what arrived. Call it after ``sweep_ended``.

        A mirror that needs longer is left alone: it ends by itself after a bounded number of tries, and ending it
        here would throw away an upload that is under way.
        """
        try:
            code: int | None = self._process.wait(timeout_s)
        except subprocess.TimeoutExpired:
            code = None
            _LEFT.append(self._process)
        return self._result(code)

    def stop(self) -> None:
        """End the mirror process now; what did not arrive is sent by the next one."""
        self._process.terminate()
        try:
            self._process.wait(10)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()

    def _result(self, code: int | None) -> MirrorResult:
        state = MirrorState.load(self._folder, server(os.environ))
        way_out = f"`yolosweep track push {self._folder.named}` sends what is missing"
        warning = None
        if code is None:
            warning = f"W&B: still sending in the background{_because(state.last_error)}; {way_out}"
        elif code == BUSY:
            warning = f"W&B: another process is sending {self._folder.sweep}; try again when it is done"
        elif code != 0:
            log = self._folder.mirror("wandb.log").relative_to(self._folder.root)
            warning = f"W&B: not everything arrived{_because(state.last_error or f'see {log}')}; {way_out}"
        elif state.last_error:
            warning = f"W&B: {state.last_error}"
        closed = sum(run.closed for run in state.runs.values())
        return MirrorResult(complete=state.complete and code == 0, runs=closed, url=state.url, warning=warning)


def start_mirror(folder: RunFolder) -> Mirror:
    """Start mirroring a sweep that is about to run, or to be resumed.

    The process has a session of its own, so Ctrl-C in the terminal does not reach it, and writes to
    ``mirror/wandb.log``. It ends when the sweep ended and everything arrived, or when this process is gone.
    """
    return _spawn(folder, "--follow", "--parent", str(os.getpid()), "--wait", "-1")


def push(folder: RunFolder, *, follow: bool = False) -> MirrorResult:
    """Send what W&B does not have yet; pushing twice changes nothing.

    Args:
        folder: the run folder, of a sweep that ended, was interrupted or still runs.
        follow: go on until the sweep ends.

    Raises:
        UsageError: there is no API key.
        RunFolderError: there is no ledger.
    """
    RunFolder.open(folder.address)
    try:
        choose_mode(Wandb(mode="online"), os.environ)
    except UsageError as error:
        raise UsageError("track push: no W&B API key was found; run `wandb login`, or set WANDB_API_KEY") from error
    mirror = _spawn(folder, *(["--follow"] if follow else []))
    try:
        code = mirror._process.wait()
    except BaseException:
        mirror.stop()
        raise
    return mirror._result(code)


def _spawn(folder: RunFolder, *arguments: str) -> Mirror:
    log_file = folder.mirror("wandb.log")
    log_file.parent.mkdir(parents=True, exist_ok=True)
    with log_file.open("ab") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", "yolosweep.tracking", folder.address, *arguments],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    return Mirror(folder, process)


def _because(text: str | None) -> str:
    return f" ({text})" if text else ""
