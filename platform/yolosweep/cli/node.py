"""``yolosweep leave`` and ``yolosweep node``: a node that shuts down lets its trials checkpoint first."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Sequence

from yolosweep.cluster.preemption import announce_leaving, clear_notice
from yolosweep.cluster.spot_notice import CLOUDS, is_told
from yolosweep.errors import ClusterError, UsageError

__all__ = ["leave_node", "run_node"]

_POLL_S = 0.2
_ASK_CLOUD_S = 5.0
_LAST_S = 10.0
"""From the request to the node's own processes to the end of them."""


def leave_node(grace_s: float) -> None:
    """Let the trainings on this machine store their state and end.

    Raises:
        ClusterError: some had not after ``grace_s`` seconds; they go on from older checkpoints.
    """
    left = announce_leaving(grace_s)
    if left:
        what = "1 training has" if left == 1 else f"{left} trainings have"
        raise ClusterError(
            f"{what} not stored the state within {grace_s:g} s: what is trained goes on from the newest checkpoint; "
            "a longer --grace or a shorter trial.checkpoint_every loses less"
        )
    _say("nothing trains on this machine any more; what was trained is stored and goes on elsewhere")


def run_node(command: Sequence[str], *, grace_s: float, cloud: str | None) -> int:
    """Run a Ray node (``ray start … --block``) until it ends, SIGTERM comes, or the cloud takes the machine away.

    Returns:
        The command's exit code; 0 where it was ended from here.

    Raises:
        UsageError: the command cannot be started or would not wait, or there is no such cloud.
        ClusterError: see :func:`leave_node`; the node is ended all the same.
    """
    if cloud is not None and cloud not in CLOUDS:
        raise UsageError(f"--cloud {cloud}: must be one of {', '.join(CLOUDS)}")
    if "start" in command and "--block" not in command:
        raise UsageError(
            f"{' '.join(command)}: it would return at once, with nobody left to take the notice; add --block"
        )
    clear_notice()
    asked = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: asked.set())
    try:
        node = subprocess.Popen(list(command), start_new_session=True)  # a signal to our group is not for it yet
    except OSError as error:
        raise UsageError(f"cannot start {command[0]}: {error.strerror}") from error
    _wait(node, asked, cloud)
    if node.poll() is not None:
        return node.returncode if node.returncode >= 0 else 128 - node.returncode
    _say(f"this machine has to go: its trainings have {grace_s:g} s to store their state")
    try:
        leave_node(grace_s)
    finally:
        _end(node)
    return 0


def _wait(node: subprocess.Popen[bytes], asked: threading.Event, cloud: str | None) -> None:
    """Return when the node has ended or has to go."""
    last = time.monotonic()
    while node.poll() is None and not asked.wait(_POLL_S):
        if cloud is not None and time.monotonic() - last > _ASK_CLOUD_S:
            if is_told(cloud):
                asked.set()
            last = time.monotonic()


def _end(node: subprocess.Popen[bytes]) -> None:
    node.terminate()
    try:
        node.wait(_LAST_S)
    except subprocess.TimeoutExpired:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(node.pid, signal.SIGKILL)


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)
