"""Notice that Ray's head process (GCS) is gone.

Ray itself waits for it for up to a minute, in which all calls hang, and then ends each process from its C++ library:
nothing can be caught or printed there. So a thread connects to its port; it makes no call of Ray.
"""

from __future__ import annotations

import contextlib
import socket
import threading
from collections.abc import Callable, Iterator

__all__ = ["head_watched"]


@contextlib.contextmanager
def head_watched(address: str, lost: Callable[[], None], *, poll_s: float = 2.0, misses: int = 5) -> Iterator[None]:
    """Call ``lost`` from a thread, once, if nobody listens at Ray's address while the block runs.

    Args:
        address: host and port of the head process.
        lost: takes no argument.
        poll_s: seconds between two looks.
        misses: how many of them in a row must fail; a head that is restarted misses some.
    """
    over = threading.Event()
    thread = threading.Thread(target=_watch, args=(address, lost, poll_s, misses, over), name="ray-head", daemon=True)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()


def _watch(address: str, lost: Callable[[], None], poll_s: float, misses: int, over: threading.Event) -> None:
    missed = 0
    while missed < misses:
        if over.wait(poll_s):
            return
        missed = 0 if _listens(address, poll_s) else missed + 1
    lost()


def _listens(address: str, timeout_s: float) -> bool:
    host, _, port = address.rpartition(":")
    try:
        socket.create_connection((host.strip("[]"), int(port)), timeout_s).close()
    except OSError:
        return False
    return True
