"""What a checkpoint gets wrong on an image: misses, false positives, wrong classes and poor fits.

The kinds follow TIDE (Bolya et al. 2020): a prediction is judged by the label that it covers best.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import Enum

from yolosweep.diagnosis.proportion_intervals import wilson
from yolosweep.records.image_predictions import Answer, Shape

__all__ = ["Examined", "Mistake", "MistakeKind", "Size", "Tally", "by_class", "by_size", "examined", "worst_first"]

_COVERS = 0.5
"""Least overlap of a correct prediction, as in mAP50."""
_TOUCHES = 0.1
"""Least overlap of the boxes of a prediction that is meant for a label."""


class MistakeKind(str, Enum):
    """What is wrong with a label's or a prediction's counterpart."""

    MISSED = "missed"
    """A label that no prediction is meant for."""
    FALSE_POSITIVE = "false positive"
    """A prediction that is meant for no label, or repeats another one."""
    WRONG_CLASS = "wrong class"
    """A label that was found under another class."""
    POOR_FIT = "poor fit"
    """A label that was found, but whose box, mask or keypoints are too far off to count."""


class Size(str, Enum):
    """The area of a label in pixels of the image, with COCO's limits."""

    SMALL = "small"
    MEDIUM = "medium"
    LARGE = "large"


@dataclass(frozen=True, kw_only=True)
class Mistake:
    """One mistake."""

    kind: MistakeKind
    label: int | None = None
    prediction: int | None = None
    """Positions in the answer; None where there is no counterpart."""
    weight: float
    """0 to 1: how bad it is."""


@dataclass(frozen=True, kw_only=True)
class Examined:
    """One image with what is right and wrong on it."""

    answer: Answer
    """Its predictions are those above the threshold."""
    split: str = "val"
    right: tuple[tuple[int, int], ...] = ()
    """Positions of label and prediction."""
    mistakes: tuple[Mistake, ...] = ()

    @property
    def weight(self) -> float:
        """The sum of the weights of its mistakes."""
        return sum(mistake.weight for mistake in self.mistakes)


@dataclass(frozen=True, kw_only=True)
class Tally:
    """Labels, and what was right and wrong with them."""

    labels: int = 0
    right: int = 0
    missed: int = 0
    wrong_class: int = 0
    poor_fit: int = 0
    false_positive: int = 0
    predictions: int = 0

    @property
    def recall_95(self) -> tuple[float, float]:
        """95 % interval of the share of labels that were found."""
        return wilson(self.right, self.labels)

    @property
    def precision_95(self) -> tuple[float, float]:
        """95 % interval of the share of predictions that are right."""
        return wilson(self.right, self.predictions)


def examined(answer: Answer, confidence: float, split: str = "val") -> Examined:
    """Match the predictions of one image to its labels and return what is right and wrong.

    In order of confidence, each prediction takes the free label of its class that it fits best; those left over take a
    free label of another class that they cover, or one of their class that they touch.

    Args:
        answer: the image.
        confidence: predictions below it are ignored.
        split: the split that the image belongs to.
    """
    shown = [shape for shape in answer.predictions if shape.confidence is None or shape.confidence >= confidence]
    match = _Matching(answer, shown)
    right = match.take(answer.fits, _COVERS, same=True)
    swapped = match.take(answer.overlaps, _COVERS, same=False)
    poor = match.take(answer.overlaps, _TOUCHES, same=True)
    mistakes = [
        *(Mistake(kind=MistakeKind.WRONG_CLASS, label=at, prediction=p, weight=1.0) for at, p in swapped),
        *(Mistake(kind=MistakeKind.POOR_FIT, label=at, prediction=p, weight=0.5) for at, p in poor),
        *(Mistake(kind=MistakeKind.MISSED, label=at, weight=1.0) for at in sorted(match.labels)),
        *(
            Mistake(kind=MistakeKind.FALSE_POSITIVE, prediction=p, weight=shown[p].confidence or 0.0)
            for p in match.predictions
        ),
    ]
    kept = answer.model_copy(update={"predictions": tuple(shown)})
    return Examined(answer=kept, split=split, right=tuple(right), mistakes=tuple(mistakes))


class _Matching:
    """The labels and predictions of an image that are still free."""

    def __init__(self, answer: Answer, shown: Sequence[Shape]) -> None:
        self._labels, self._shown = answer.labels, shown
        self.labels, self.predictions = set(range(len(answer.labels))), list(range(len(shown)))

    def take(self, covered: Sequence[Sequence[float]], least: float, *, same: bool) -> list[tuple[int, int]]:
        """Pair free predictions with the free labels they cover best, of the same class or of others."""
        pairs = []
        for prediction in list(self.predictions):
            name = self._shown[prediction].name
            fits = [(covered[at][prediction], -at) for at in self.labels if (self._labels[at].name == name) is same]
            best, minus = max(fits, default=(0.0, 0))
            if best >= least:
                self.labels.remove(-minus)
                self.predictions.remove(prediction)
                pairs.append((-minus, prediction))
        return pairs


def worst_first(images: Iterable[Examined]) -> list[Examined]:
    """Return the images with the most and gravest mistakes first; equal ones by name."""
    return sorted(images, key=lambda one: (-one.weight, one.answer.image))


def by_class(images: Iterable[Examined]) -> dict[str, Tally]:
    """Return the counts per class, in alphabetical order."""
    labels, predictions = Counter[str](), Counter[str]()
    right, wrong = Counter[str](), Counter[tuple[str, MistakeKind]]()
    for one in images:
        answer = one.answer
        labels.update(shape.name for shape in answer.labels)
        predictions.update(shape.name for shape in answer.predictions)
        right.update(answer.labels[at].name for at, _ in one.right)
        wrong.update((_name_of(one, mistake), mistake.kind) for mistake in one.mistakes)
    return {
        name: _tally(labels[name], right[name], {kind: wrong[name, kind] for kind in MistakeKind}, predictions[name])
        for name in sorted({*labels, *predictions})
    }


def by_size(images: Iterable[Examined]) -> dict[Size, Tally]:
    """Return the counts of the labels per size; a false positive has none. Empty if labels have no boxes."""
    labels, right, wrong = Counter[Size](), Counter[Size](), Counter[tuple[Size, MistakeKind]]()
    for one in images:
        sizes = [_size(shape, one.answer) for shape in one.answer.labels]
        if None in sizes:
            return {}
        labels.update(size for size in sizes if size)
        right.update(size for at, _ in one.right if (size := sizes[at]))
        wrong.update(
            (size, mistake.kind)
            for mistake in one.mistakes
            if mistake.label is not None and (size := sizes[mistake.label])
        )
    return {
        size: _tally(labels[size], right[size], {kind: wrong[size, kind] for kind in MistakeKind}, 0)
        for size in Size
        if labels[size]
    }


def _tally(labels: int, right: int, wrong: dict[MistakeKind, int], predictions: int) -> Tally:
    return Tally(
        labels=labels,
        right=right,
        missed=wrong[MistakeKind.MISSED],
        wrong_class=wrong[MistakeKind.WRONG_CLASS],
        poor_fit=wrong[MistakeKind.POOR_FIT],
        false_positive=wrong[MistakeKind.FALSE_POSITIVE],
        predictions=predictions,
    )


def _name_of(one: Examined, mistake: Mistake) -> str:
    """Return the class that a mistake counts for: the label's, else the prediction's."""
    if mistake.label is not None:
        return one.answer.labels[mistake.label].name
    assert mistake.prediction is not None, "a mistake concerns a label or a prediction"
    return one.answer.predictions[mistake.prediction].name


def _size(shape: Shape, answer: Answer) -> Size | None:
    """Return the size of a label; None if it is one of the whole image."""
    if shape.box is None:
        return None
    left, top, right, bottom = shape.box
    share = _enclosed(shape.outline) if shape.outline else (right - left) * (bottom - top)
    area = share * answer.width * answer.height
    return Size.SMALL if area < 32**2 else Size.MEDIUM if area < 96**2 else Size.LARGE


def _enclosed(outline: Sequence[tuple[float, float]]) -> float:
    """Return the area of a polygon (shoelace formula)."""
    following = [*outline[1:], outline[0]]
    return abs(sum(x * q - p * y for (x, y), (p, q) in zip(outline, following, strict=True))) / 2
