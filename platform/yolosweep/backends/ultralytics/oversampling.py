"""``train.balance``: how often an epoch shows each image, so that rare classes are seen more often.

The repeat factor of LVIS (Gupta, Dollár, Girshick 2019, arXiv:1908.03195, appendix): with f(c) the share of the images
that show class c, r(c) = max(1, sqrt(t / f(c))), and an image's factor is the largest of its classes. Here t is the
largest f(c), so there is no threshold to choose, and the exponent 1/2 is the strength: 0 changes nothing, 0.5 is
LVIS' square root, 1 aims at every class as often as the most frequent one. Frames without an object count as a class
of their own, which can be the most frequent one but is never repeated.

An epoch keeps its length: repeated images replace frequent ones.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Sequence

import numpy as np

__all__ = ["epoch_draw", "repeat_factors"]

_NOTHING = -1
"""Stands for the class of frames without an object."""


def repeat_factors(classes: Sequence[Collection[int]], strength: float) -> np.ndarray:
    """Return how often each image is to be shown compared to one of the most frequent class.

    Args:
        classes: of every image, the classes it shows (0 and up); empty for a frame without an object.
        strength: 0 to 1; the exponent.

    Returns:
        Factors from 1 up, shape (images,); all 1 if the strength is 0 or all classes are equally frequent.
    """
    shown = [set(one) or {_NOTHING} for one in classes]
    images_with = Counter(number for one in shown for number in one)
    most = max(images_with.values(), default=0)
    factor = {number: (most / count) ** strength for number, count in images_with.items()}
    factor[_NOTHING] = 1.0
    return np.array([max(factor[number] for number in one) for one in shown], dtype=np.float64)


def epoch_draw(factors: np.ndarray, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Return the images of one epoch in random order: systematic resampling, a pure function of factors and seed.

    As many are drawn as there are images, image i either floor(e) or ceil(e) times, where e = images * factors[i] /
    sum(factors) is its mean over many seeds.

    Args:
        factors: above 0, shape (images,).
        seed: of this epoch.

    Returns:
        Numbers of images, and which showing of its image each is (counted from 0); both of shape (images,).
    """
    size = len(factors)
    generator = np.random.default_rng(seed)
    order = generator.permutation(size)  # else neighbours in the list would never be left out together
    ends = np.cumsum(factors[order])
    teeth = (np.arange(size) + generator.random()) / max(size, 1) * (ends[-1] if size else 0.0)
    drawn = np.sort(order[np.minimum(np.searchsorted(ends, teeth, side="right"), size - 1)])
    first = np.searchsorted(drawn, drawn, side="left")
    mixed = generator.permutation(size)
    return drawn[mixed], (np.arange(size) - first)[mixed]
