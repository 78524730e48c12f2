"""Best so far and epochs without gain, against their definitions."""

from __future__ import annotations

import math
import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from yolosweep.curves import Progress, progress

SCORES = st.lists(
    st.one_of(st.none(), st.just(math.nan), st.just(math.inf), st.sampled_from([0.0, 0.1, 0.5]), st.floats(-1, 1)),
    max_size=25,
)


def ultralytics_epochs_without_gain(fitness: list[float]) -> int:
    """Ultralytics 8.4's ``EarlyStopping.__call__``, as it counts: a gain, or a best of 0, restarts."""
    best_fitness, best_epoch = 0.0, 0
    for epoch, value in enumerate(fitness, 1):
        if value > best_fitness or best_fitness == 0:
            best_epoch, best_fitness = epoch, value
    return len(fitness) - best_epoch


@given(scores=SCORES, mode=st.sampled_from(["max", "min"]))
def test_best_is_the_first_of_the_best(scores: list[float | None], mode: str) -> None:
    found = progress(scores, mode)
    numbers = [score for score in scores if score is not None and math.isfinite(score)]
    if not numbers:
        assert found == Progress(best_score=None, best_epoch=None, epochs_without_gain=len(scores))
        return
    best = max(numbers) if mode == "max" else min(numbers)
    assert found.best_score == best
    assert found.best_epoch == scores.index(best) + 1


@given(scores=st.lists(st.one_of(st.just(0.0), st.floats(0, 1)), max_size=25))
def test_it_counts_like_ultralytics(scores: list[float]) -> None:
    assert progress(scores).epochs_without_gain == ultralytics_epochs_without_gain(scores)


@pytest.mark.slow
def test_the_copy_above_counts_like_the_installed_ultralytics() -> None:
    stopping = pytest.importorskip("ultralytics.utils.torch_utils").EarlyStopping
    for seed in range(200):
        draw = random.Random(seed)
        scores = [draw.choice([0.0, 0.0, draw.random()]) for _ in range(draw.randrange(1, 20))]
        stopper = stopping(patience=1000)
        for epoch, score in enumerate(scores):
            stopper(epoch, score)
        assert len(scores) - 1 - stopper.best_epoch == ultralytics_epochs_without_gain(scores)


@given(scores=SCORES, mode=st.sampled_from(["max", "min"]))
def test_epochs_without_gain_is_the_distance_to_the_anchor(scores: list[float | None], mode: str) -> None:
    """By definition: the last epoch that improved on all before it, or that followed while the best was 0."""
    anchor = 0
    for epoch in range(1, len(scores) + 1):
        score = scores[epoch - 1]
        before = progress(scores[: epoch - 1], mode).best_score
        if score is None or not math.isfinite(score):
            continue
        better = before is None or (score > before if mode == "max" else score < before)
        if better or before == 0:
            anchor = epoch
    assert progress(scores, mode).epochs_without_gain == len(scores) - anchor


@given(scores=SCORES)
def test_min_mirrors_max(scores: list[float | None]) -> None:
    mirrored = [None if score is None else -score for score in scores]
    up, down = progress(scores, "max"), progress(mirrored, "min")
    assert (up.best_epoch, up.epochs_without_gain) == (down.best_epoch, down.epochs_without_gain)


@pytest.mark.parametrize(
    ("scores", "best", "epoch", "without"),
    [
        ([], None, None, 0),
        ([None, math.nan], None, None, 2),
        ([0.1, 0.3, 0.2, 0.3], 0.3, 2, 2),
        ([0.0, 0.0, 0.0], 0.0, 1, 0),
        ([0.0, 0.0, 0.2, None], 0.2, 3, 1),
    ],
)
def test_examples(scores: list[float | None], best: float | None, epoch: int | None, without: int) -> None:
    assert progress(scores) == Progress(best_score=best, best_epoch=epoch, epochs_without_gain=without)
