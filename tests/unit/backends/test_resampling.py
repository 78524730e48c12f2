"""Bootstrap resamples of images: paired, and exact where the weights stand for copies of images."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from yolosweep.backends.bootstrap_resampling import RESAMPLES, Detections, mean_over_images, weights_of
from yolosweep.records import Validation
from yolosweep.report.verified_winner import paired_error


def matched(seed: int, images: int = 30, classes: int = 3) -> dict[str, list[Any]]:
    """Draw detections as a validator leaves them: some images empty, some without a detection."""
    rng = np.random.default_rng(seed)
    stats: dict[str, list[Any]] = {"correct": [], "confidence": [], "predicted": [], "labels": []}
    for _ in range(images):
        found, truth = rng.integers(0, 12), rng.integers(0, 6)
        quality = rng.random(found)
        stats["correct"].append(quality[:, None] > np.linspace(0.4, 0.95, 10))
        stats["confidence"].append(np.clip(quality * 0.6 + rng.random(found) * 0.4, 0, 1))
        stats["predicted"].append(rng.integers(0, classes, found).astype(float))
        stats["labels"].append(rng.integers(0, classes, truth).astype(float))
    return stats


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(5))
def test_with_each_image_once_it_is_the_score_of_ultralytics(seed: int) -> None:
    from ultralytics.utils.metrics import ap_per_class

    stats = matched(seed)
    expected = ap_per_class(*(np.concatenate(stats[name]) for name in ("correct", "confidence", "predicted", "labels")))
    found = Detections(**stats).average_precision(np.ones(30, dtype=np.int64))
    assert found == pytest.approx(expected[5].mean(0), abs=1e-9)


def test_a_weight_stands_for_copies_of_an_image() -> None:
    stats = matched(7)
    weights = next(weights_of(30))
    copies = {
        name: [value for value, n in zip(values, weights, strict=True) for _ in range(n)]
        for name, values in stats.items()
    }
    once = np.ones(int(weights.sum()), dtype=np.int64)
    # Copies of one detection are points of a straight line: they differ by what the 101 points see of it.
    assert Detections(**stats).average_precision(weights) == pytest.approx(
        Detections(**copies).average_precision(once), abs=0.02
    )  # fmt: skip


def test_no_detection_and_no_label_score_nothing() -> None:
    empty = Detections([np.zeros((0, 10), bool)] * 2, [np.zeros(0)] * 2, [np.zeros(0)] * 2, [np.ones(1), np.zeros(0)])
    assert empty.scores(np.array([1, 1]), "B") == {"metrics/mAP50(B)": 0.0, "metrics/mAP50-95(B)": 0.0}
    assert empty.scores(np.array([0, 2]), "B") == {"metrics/mAP50(B)": 0.0, "metrics/mAP50-95(B)": 0.0}


def test_resamples_are_the_same_for_every_checkpoint() -> None:
    image = np.arange(50)
    right = (np.random.default_rng(0).random(50) > 0.3).astype(float)
    worse = right.copy()
    worse[:5] = 0
    one, other = (
        Validation(split="val", metrics={}, resampled=mean_over_images({"a": values}, image, 50))
        for values in (right, worse)
    )
    found = paired_error(one, other, "a")
    assert found is not None
    assert (found.images, found.resamples) == (50, RESAMPLES)
    lost = right - worse
    assert found.error == pytest.approx(lost.std() / 50**0.5, rel=0.15)  # far below that of either score alone
    assert paired_error(one, one, "a").error == 0  # type: ignore[union-attr]
    assert paired_error(one, other, "loss") is None
    assert paired_error(one, Validation(split="val", metrics={}), "a") is None


def test_what_is_resampled_is_not_stored() -> None:
    scored = Validation(split="val", metrics={}, resampled=mean_over_images({"a": np.ones(3)}, np.arange(3), 3))
    assert "resampled" not in scored.model_dump(mode="json")
