"""Running and draining a Ray node: when it shuts down, its trials checkpoint first."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import threading
import time
from collections.abc import Sequence

from yolosweep.cluster.node_draining import clear_notice, drain
from yolosweep.cluster.spot_notice import CLOUDS, has_notice
from yolosweep.errors import ClusterError, UsageError
from yolosweep.workflows.progress_listener import Listener

__all__ = ["leave_node", "run_node"]

_POLL_S = 0.2
_CLOUD_POLL_S = 5.0
_KILL_AFTER_S = 10.0
"""From SIGTERM to SIGKILL of the node's own processes, when no trial runs any more."""


def leave_node(listener: Listener, *, grace_s: float) -> None:
    """Drain this node: let its trials checkpoint and end.

    Raises:
        ClusterError: some trials have not checkpointed after ``grace_s`` seconds; they resume from older checkpoints.
    """
    left = drain(grace_s)
    if left:
        what = "1 trial has" if left == 1 else f"{left} trials have"
        raise ClusterError(
            f"{what} not checkpointed within {grace_s:g} s and will resume from the newest checkpoint; a longer "
            "--grace or a lower trial.checkpoint_every loses less"
        )
    listener.info(
        "node drained: no trial runs here any more; interrupted trials have checkpointed and continue elsewhere"
    )


def run_node(
    command: Sequence[str], listener: Listener, *, grace_s: float, cloud: str | None, output: int | None = None
) -> int:
    """Run a Ray node (``ray start … --block``) until it ends, SIGTERM arrives, or the cloud preempts the machine.

    Args:
        command: what starts the node and waits for it.
        listener: receives progress.
        grace_s: how long trials may take to checkpoint.
        cloud: whose preemption notice to look for, ``aws`` or ``gcp``.
        output: descriptor for what the command prints; None: standard output.

    Returns:
        The command's exit code; 0 if this process ended it.

    Raises:
        UsageError: the command cannot be started or would not block, or the cloud is unknown.
        ClusterError: see :func:`leave_node`; the node is ended anyway.
    """
    if cloud is not None and cloud not in CLOUDS:
        raise UsageError(f"--cloud {cloud}: must be one of {', '.join(CLOUDS)}")
    if "start" in command and "--block" not in command:
        raise UsageError(
            f"{' '.join(command)}: the command would return at once, so nothing could react to a notice; add --block"
        )
    clear_notice()
    notice = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: notice.set())
    try:
        # In a session of its own: a signal to our group must not end it yet. Trials are drained here before Ray gets
        # SIGTERM, so Ray's own drain (30 s, for actors that only hold their resources) is turned off.
        environment = {"RAY_GRACEFUL_SHUTDOWN_DRAIN_TIMEOUT_S": "0", **os.environ}
        node = subprocess.Popen(list(command), env=environment, start_new_session=True, stdout=output)
    except OSError as error:
        raise UsageError(f"cannot start {command[0]}: {error.strerror}") from error
    _wait(node, notice, cloud)
    if node.poll() is not None:
        return node.returncode if node.returncode >= 0 else 128 - node.returncode
    listener.info(f"node is shutting down: waiting up to {grace_s:g} s for its trials to checkpoint")
    try:
        leave_node(listener, grace_s=grace_s)
    finally:
        _end(node, listener)
    return 0


def _wait(node: subprocess.Popen[bytes], notice: threading.Event, cloud: str | None) -> None:
    """Return when the node has ended or got its notice."""
    last = time.monotonic()
    while node.poll() is None and not notice.wait(_POLL_S):
        if cloud is not None and time.monotonic() - last > _CLOUD_POLL_S:
            if has_notice(cloud):
                notice.set()
            last = time.monotonic()


def _end(node: subprocess.Popen[bytes], listener: Listener) -> None:
    node.terminate()
    try:
        node.wait(_KILL_AFTER_S)
    except subprocess.TimeoutExpired:
        listener.warning(f"the node has not ended within {_KILL_AFTER_S:g} s and is killed")
        with contextlib.suppress(ProcessLookupError):
            os.killpg(node.pid, signal.SIGKILL)
