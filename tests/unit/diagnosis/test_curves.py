"""Best so far, epochs without gain and silent divergence, against their definitions and curves of real trainings."""

from __future__ import annotations

import math
import random
from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from yolosweep.diagnosis.curves import Progress, diverged, progress
from yolosweep.records import EpochResult

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


Curve = Sequence[float | None]


def rows(train: Curve, val: Curve, scores: Curve) -> list[EpochResult]:
    """Return epochs with these sums of losses, split over two losses each."""
    told = []
    for epoch, (fit, held_out, score) in enumerate(zip(train, val, scores, strict=True), 1):
        found = progress(scores[:epoch])
        losses = {"train/box_loss": fit, "train/cls_loss": fit, "val/box_loss": held_out, "val/cls_loss": held_out}
        told.append(
            EpochResult(
                epoch=epoch, metrics={**{k: None if v is None else v / 2 for k, v in losses.items()}, "lr/pg0": 1e9},
                score=score, best_score=found.best_score, best_epoch=found.best_epoch,
                epochs_without_gain=found.epochs_without_gain, seconds=1, images_per_s=1,
            )
        )  # fmt: skip
    return told


HEALTHY: dict[str, tuple[Curve, Curve, Curve]] = {
    "small images, defaults": (
        [10, 6.9, 5.9, 5.6, 5.3, 4.8, 4.6, 4.4, 4.1, 4, 3.8, 3.7],
        [1.5, 159, 15.7, 6.7, 5.4, 4.4, 3.9, 3.7, 3.4, 3.3, 3.4, 3.1],  # 1.5 while it says nothing at all
        [0, 0.007, 0.01, 0.1, 0.2, 0.3, 0.4, 0.46, 0.53, 0.59, 0.55, 0.63],
    ),
    "blood cells, defaults": (
        [13.6, 10.8, 9.2, 8.1, 7.7, 7.4, 7.3, 7.3, 6.9, 6.8, 6.7, 6.3, 6.2, 6.3],
        [13.5, 12.3, 8.5, 12, 12.1, 7.9, 8.5, 8.6, 408.7, 102.4, 8.6, 6.8, 6.5, 6.6],
        [0, 0, 0.0001, 0, 0.0002, 0.0022, 0.0006, 0.0023, 0, 0.0004, 0.0072, 0.107, 0.13, 0.11],
    ),
    "blood cells, searched": (
        [12.9, 9.1, 7.6, 7, 7.3, 6.8, 6.3, 6.4, 6.2, 6.1, 5.9, 5.7, 5.8, 5.9],
        [11.8, 16, 8.3, 294.8, 95, 8.9, 15.7, 5.9, 6.5, 5.6, 5.7, 5.2, 5.3, 5.1],
        [0.0002, 0, 0.016, 0, 0.0009, 0.094, 0.11, 0.19, 0.13, 0.17, 0.19, 0.22, 0.22, 0.23],
    ),
    "mosaic closes": ([9, 6, 5, 4.5, 4.2, 2, 1.9, 1.9, 1.8, 1.8], [5] * 4 + [2.5] * 6, [0.1, 0.3, 0.4] + [0.5] * 7),
    "fits to nearly nothing": ([0.7] + [0.1, 0.001] + [0.05] * 7, [0.6] + [0.3] * 9, [0.5] + [0.9] * 9),
    "overconfident": ([1.0] + [0.1] * 9, [1.0, 0.3, 0.2] + [4.0] * 7, [0.5, 0.8] + [0.82] * 8),
    "overconfident and a little worse": ([1.0] * 10, [1.0, 0.3, 0.2] + [4.0] * 7, [0.5, 0.8] + [0.45] * 8),
    "jumps for long before it has learned": ([9.0] * 10, [9, 8, 8] + [300.0] * 7, [0, 0.01, 0.02] + [0.0] * 7),
    "learns nothing": ([9.0] * 10, [9.0] * 10, [0.0] * 10),
    "late start": ([9.0] * 10, [9.0] * 10, [0.0] * 9 + [0.3]),
    "one flicker, then nothing yet": ([9.0] * 10, [9.0] * 10, [0.0, 0.02] + [0.0] * 8),
    "nothing measured": ([None] * 10, [None] * 10, [None] * 10),
    "a loss of zero": ([0.0] * 4 + [3.0] * 6, [0.0] * 4 + [3.0] * 6, [0.3] * 10),
}
"""Training loss, validation loss and score per epoch; the first three as recorded in real trainings."""


@pytest.mark.parametrize("mode", ["max", "min"])
@pytest.mark.parametrize("name", HEALTHY)
def test_a_healthy_curve_is_never_called_diverged_at_any_epoch(name: str, mode: str) -> None:
    told = rows(*HEALTHY[name])
    assert [diverged(told[:epoch], mode) for epoch in range(len(told) + 1)] == [None] * (len(told) + 1)


@pytest.mark.parametrize(
    ("curve", "said"),
    [
        (([9, 5, 4] + [60] * 5, [9] * 8, [0.1] * 8), ("training loss exploded: 60 in epoch 8", "4 in epoch 3")),
        (([9] * 8, [9, 5, 4] + [60] * 5, [0.1, 0.3, 0.4] + [0.1] * 5), ("validation loss exploded", "4 in epoch 3")),
        (([9] * 8, [9] * 8, [0.1, 0.4, 0.3] + [0.001] * 5), ("score collapsed", "best of 0.4 in epoch 2")),
        (([9] * 9, [9] * 9, [0.1, 0.4, 0.4] + [0.0, 0.0, None] + [0.0] * 3), ("score collapsed", "in epoch 2")),
    ],
)
def test_what_fell_apart_is_said_with_its_numbers(curve: tuple[Curve, Curve, Curve], said: tuple[str, ...]) -> None:
    told = rows(*curve)
    sentence = diverged(told)
    assert sentence is not None
    assert all(part in sentence for part in said), sentence
    assert diverged(told[:-1]) is None  # four bad epochs are not enough


def test_in_mode_min_a_validation_loss_needs_a_worse_score_too() -> None:
    val = [9, 5, 4] + [60.0] * 5
    assert diverged(rows([9.0] * 8, val, val), "min") is not None
    assert diverged(rows([9.0] * 8, val, [4.0] * 8), "min") is None
    assert diverged(rows([9.0] * 8, [9.0] * 8, [0.4] * 3 + [0.0] * 5), "min") is None  # a loss of 0 is a good score


LOSS = st.floats(1.0, 9.9)
SCORE = st.one_of(st.none(), st.floats(0.0, 1.0))


@given(
    st.lists(st.tuples(LOSS, st.floats(0.01, 1e4), st.floats(0.1, 1.0)), max_size=40), st.sampled_from(["max", "min"])
)
def test_noise_is_no_divergence(epochs: list[tuple[float, float, float]], mode: str) -> None:
    """Whatever the validation loss does while the score holds at half of its best; the training loss is within x 10."""
    train, val, scores = ([epoch[place] for epoch in epochs] for place in range(3))
    held = [max(score, 0.5 * max(scores)) for score in scores] if mode == "max" else [0.5] * len(scores)
    assert diverged(rows(train, val, held), mode) is None


@given(st.lists(st.tuples(LOSS, LOSS, SCORE), min_size=1, max_size=30), st.floats(10.1, 1e6), st.integers(5, 9))
def test_a_training_loss_that_explodes_and_stays_is_always_seen(
    epochs: list[tuple[float, float, float | None]], factor: float, stays: int
) -> None:
    train, val, scores = ([epoch[place] for epoch in epochs] for place in range(3))
    bad = [factor * max(train)] * stays  # type: ignore[type-var,operator]
    sentence = diverged(rows([*train, *bad], [*val, *val[:1] * stays], [*scores, *[0.5] * stays]))
    assert sentence is not None
    assert "training loss" in sentence


@given(st.lists(st.floats(0.05, 1.0), min_size=1, max_size=20), st.lists(st.floats(0, 0.0024), min_size=5, max_size=20))
def test_a_score_that_is_lost_for_good_is_always_seen(learned: list[float], lost: list[float]) -> None:
    flat = [5.0] * (len(learned) + len(lost))
    assert "score collapsed" in (diverged(rows(flat, flat, [*learned, *lost])) or "")


@given(st.lists(st.tuples(*[st.floats(0.001, 1e5)] * 2, SCORE), max_size=20))
def test_a_last_epoch_as_good_as_any_clears_it(epochs: list[tuple[float, float, float | None]]) -> None:
    train, val, scores = ([epoch[place] for epoch in epochs] for place in range(3))
    assert diverged(rows([*train, 0.001], [*val, 0.001], [*scores, 1.0])) is None
