"""Ray's head process is missed: nobody listens at its port any more."""

from __future__ import annotations

import socket
import threading

import pytest

from yolosweep.runtime.head_watch import head_watched


@pytest.fixture
def head() -> socket.socket:
    """A stand-in for the head process: something that listens."""
    found = socket.create_server(("127.0.0.1", 0))
    found.settimeout(300)  # else a test of a watch that does not look would hang
    return found


def address_of(head: socket.socket) -> str:
    return "{}:{}".format(*head.getsockname())


def test_a_head_that_is_gone_is_missed_once(head: socket.socket) -> None:
    told, missed = list[str](), threading.Event()

    def lost() -> None:
        told.append("lost")
        missed.set()

    with head_watched(address_of(head), lost, poll_s=0.01, misses=3):
        head.accept()[0].close()  # it was looked at
        assert not told
        head.close()
        assert missed.wait(300)
    assert told == ["lost"]


def test_a_head_that_listens_is_not_missed_and_the_thread_ends_with_the_block(head: socket.socket) -> None:
    def lost() -> None:
        pytest.fail("it listens")

    before = threading.active_count()
    with head, head_watched(address_of(head), lost, poll_s=0.01, misses=1):
        for _ in range(3):
            head.accept()[0].close()
    assert threading.active_count() == before
