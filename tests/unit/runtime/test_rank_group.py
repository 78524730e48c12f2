"""Rank 0 watches the other ranks; what Ray and the processes do is replaced."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
import ray

from yolosweep.runtime import rank_group
from yolosweep.runtime.rank_group import RankGroup


class Ended(Exception):
    """The process would have ended."""


class Over:
    """A training that is never over; it knows how long it was waited for."""

    def __init__(self) -> None:
        self.waits = list[float]()

    def wait(self, seconds: float) -> bool:
        self.waits.append(seconds)
        return False


@pytest.mark.parametrize(
    ("error", "waits"),
    [
        (ray.exceptions.ActorDiedError(), [rank_group._POLL_S]),
        (ray.exceptions.RaySystemError("boom"), [rank_group._POLL_S, rank_group._GRACE_S]),
    ],
)
def test_rank_0_ends_at_once_when_another_one_was_killed_and_waits_for_one_that_failed(
    error: Exception, waits: list[float], monkeypatch: pytest.MonkeyPatch
) -> None:
    def get(call: Any) -> Any:
        raise error

    def end(code: int) -> None:
        raise Ended

    stand_in = SimpleNamespace(wait=lambda calls, **how: (calls, []), get=get, exceptions=ray.exceptions)
    monkeypatch.setattr(rank_group, "ray", stand_in)
    monkeypatch.setattr(rank_group.os, "_exit", end)
    group, over = RankGroup.__new__(RankGroup), Over()
    with pytest.raises(Ended):
        group._guard(["call"], None, over)  # type: ignore[arg-type]
    assert over.waits == waits
