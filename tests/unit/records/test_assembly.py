"""The record of a training, assembled from its rows."""

from __future__ import annotations

import math
import statistics
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from yolosweep.backends.ultralytics.callbacks import rows_of
from yolosweep.diagnosis.curves import progress
from yolosweep.records import Ending, EpochResult, Outcome, TrialRequest, record_of

REQUEST = TrialRequest(
    sweep="s", trial="t0003", number=3, task="detect", model="yolo11n.yaml", data="d", settings={"epochs": 9},
    asked={"lr0": 0.1}, identity="i", metric="metrics/mAP50-95(B)", folder="f", cpus=4, world_size=2, attempt=1,
)  # fmt: skip


def row(epoch: int, scores: list[float | None], **measured: Any) -> EpochResult:
    known = progress(scores[:epoch])
    return EpochResult(
        epoch=epoch, metrics={}, score=scores[epoch - 1], best_score=known.best_score, best_epoch=known.best_epoch,
        epochs_without_gain=known.epochs_without_gain, **{"seconds": None, "images_per_s": None, **measured},
    )  # fmt: skip


def outcome(**more: Any) -> Outcome:
    about = {"ending": Ending.FINISHED, "reason": "all epochs trained", "used": {"lr0": 0.1}, "device": "cpu"}
    return Outcome(**{**about, "host": "h", **more})


@settings(deadline=None)
@given(st.lists(st.tuples(st.floats(0, 1), st.none() | st.floats(0.1, 1e4), st.none() | st.floats(1, 1e5)), max_size=8))
def test_it_covers_all_rows(measured: list[tuple[float, float | None, float | None]]) -> None:
    scores: list[float | None] = [score for score, _, _ in measured]
    rows = [row(n, scores, seconds=s, memory_mb=m) for n, (_, s, m) in enumerate(measured, 1)]
    record = record_of(REQUEST, rows, outcome())
    seconds = [s for _, s, _ in measured if s is not None]
    assert record.epochs == len(rows)
    assert math.isclose(record.seconds, sum(seconds), abs_tol=1e-3)
    assert record.epoch_seconds == (statistics.median(seconds) if seconds else None)
    assert record.memory_mb == max((m for _, _, m in measured if m is not None), default=None)
    assert record.score == max(scores, default=None)
    assert (record.world_size, record.retries) == (2, 1)


def test_wall_time_counts_more_than_the_rows() -> None:
    assert record_of(REQUEST, [row(1, [0.5], seconds=2.0)], outcome(seconds=7.25)).seconds == 7.25


def test_recoveries_are_those_of_the_last_row_unless_known_better() -> None:
    rows = [row(1, [0.5], recoveries=2)]
    assert [record_of(REQUEST, rows, outcome(recoveries=n)).recoveries for n in (None, 3)] == [2, 3]


@pytest.mark.parametrize("mode", ["max", "min"])
def test_the_state_of_an_earlier_release_gives_its_scores(mode: str) -> None:
    """Those have no rows, so times are unknown and the rest is as ever."""
    rows = rows_of({"scores": [0.25, None, 0.5]}, mode)
    assert [(r.epoch, r.score, r.seconds) for r in rows] == [(1, 0.25, None), (2, None, None), (3, 0.5, None)]
    assert (rows[-1].best_score, rows[-1].best_epoch) == ((0.5, 3) if mode == "max" else (0.25, 1))
    assert rows_of({"rows": [r.model_dump(mode="json") for r in rows]}, mode) == rows
