"""Bootstrap resamples of the images of a split, and metrics recomputed on them from matched detections.

The resamples depend on the number of images alone, so scores of two checkpoints on one split are paired: their
difference on the same resample has the noise of the images that they share taken out.

Average precision is Ultralytics' own definition (101 points, envelope), with a weight per image instead of repeated
rows; with all weights 1 it gives the score of the validator (a contract test). Only rows that can bend the curve are
kept: one row per true positive, one per run of false positives between them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from yolosweep.records import Resampled

__all__ = ["RESAMPLES", "Detections", "mean_over_images", "resampled"]

RESAMPLES = 200
"""Enough for a standard error: its own error is 5 %."""

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]

_AP_X = np.linspace(0, 1, 101)


def weights_of(images: int) -> Iterator[Ints]:
    """Yield how often each image is in each resample."""
    for number in range(RESAMPLES):
        drawn = np.random.default_rng([images, number]).integers(0, images, images)
        yield np.bincount(drawn, minlength=images)


def resampled(images: int, score: Callable[[Ints], Mapping[str, float]]) -> Resampled | None:
    """Return the scores on every resample; None without images.

    Args:
        images: how many there are.
        score: metrics for a weight per image.
    """
    if not images:
        return None
    rows = [score(weights) for weights in weights_of(images)]
    return Resampled(images=images, scores={name: tuple(round(row[name], 6) for row in rows) for name in rows[0]})


def mean_over_images(values: Mapping[str, Floats], image: Ints, images: int) -> Resampled | None:
    """Return resampled means of values that belong to images, e.g. whether each answer is correct.

    Args:
        values: by metric, shape (n,).
        image: the image of each value, 0 to ``images - 1``, shape (n,).
        images: how many there are.
    """

    def score(weights: Ints) -> dict[str, float]:
        chosen = weights[image]
        total = max(int(chosen.sum()), 1)
        return {name: float((chosen * of_metric).sum() / total) for name, of_metric in values.items()}

    return resampled(images, score)


@dataclass(frozen=True)
class _OfClass:
    """The detections and labels of one class, detections by falling confidence."""

    image: Ints
    """Of each detection, shape (n,)."""
    runs: Ints
    """First detection of each row of ``hits``, shape (m,)."""
    hits: npt.NDArray[np.bool_]
    """Whether a row is a true positive, per IoU threshold, shape (m, thresholds)."""
    labels: Ints
    """The image of each label."""


class Detections:
    """Detections of a split that were matched with its labels.

    Args:
        correct: per image, whether each detection is a true positive per IoU threshold, shape (n, thresholds).
        confidence: per image, shape (n,).
        predicted: per image, the class of each detection, shape (n,).
        labels: per image, the class of each label.
    """

    def __init__(
        self,
        correct: Sequence[npt.NDArray[np.bool_]],
        confidence: Sequence[Floats],
        predicted: Sequence[Floats],
        labels: Sequence[Floats],
    ) -> None:
        self.images = len(labels)
        image = np.repeat(np.arange(self.images), [len(values) for values in confidence])
        order = np.argsort(-np.concatenate(confidence))
        image, hits, classes = image[order], np.concatenate(correct)[order], np.concatenate(predicted)[order]
        of_label, label_image = np.concatenate(labels), np.repeat(np.arange(self.images), [len(v) for v in labels])
        self._classes = [
            _of_class(image[classes == label], hits[classes == label].astype(bool), label_image[of_label == label])
            for label in np.unique(of_label)
        ]

    def average_precision(self, weights: Ints) -> Floats:
        """Return the mean over the classes with labels, per IoU threshold; empty if there is no label."""
        found = [_average_precision(of_class, weights) for of_class in self._classes if weights[of_class.labels].any()]
        return np.mean(found, axis=0) if found else np.zeros(0)

    def scores(self, weights: Ints, letter: str) -> dict[str, float]:
        """Return mAP50 and mAP50-95 under Ultralytics' names."""
        found = self.average_precision(weights)
        values = (float(found[0]), float(found.mean())) if len(found) else (0.0, 0.0)
        return {f"metrics/mAP50({letter})": values[0], f"metrics/mAP50-95({letter})": values[1]}


def _of_class(image: Ints, hits: npt.NDArray[np.bool_], labels: Ints) -> _OfClass:
    """Merge runs of false positives into one row each: only the last point of a run can bend the curve."""
    is_hit: npt.NDArray[np.bool_] = np.asarray(hits.any(axis=1))
    starts = is_hit.copy()
    starts[1:] |= is_hit[:-1]
    starts[:1] = True
    return _OfClass(image, np.flatnonzero(starts), hits[starts], labels)


def _average_precision(of_class: _OfClass, weights: Ints) -> Floats:
    """Return the average precision of a class per IoU threshold."""
    thresholds = of_class.hits.shape[1]
    if not len(of_class.runs):
        return np.zeros(thresholds)
    counts = np.add.reduceat(weights[of_class.image], of_class.runs)
    hits, counts = of_class.hits[counts > 0], counts[counts > 0]
    if not len(counts):
        return np.zeros(thresholds)
    true = np.cumsum(hits * counts[:, None], axis=0)
    recall = true / (weights[of_class.labels].sum() + 1e-16)
    precision = true / np.cumsum(counts)[:, None]
    return np.array([_area(recall[:, at], precision[:, at]) for at in range(thresholds)])


def _area(recall: Floats, precision: Floats) -> float:
    """Return the area under the envelope, as Ultralytics' ``compute_ap``."""
    recall = np.concatenate(([0.0], recall, [recall[-1], 1.0]))
    envelope = np.maximum.accumulate(np.concatenate(([1.0], precision, [0.0, 0.0]))[::-1])[::-1]
    heights = np.interp(_AP_X, recall, envelope)
    return float((heights[:-1] + heights[1:]).sum() / 200)
