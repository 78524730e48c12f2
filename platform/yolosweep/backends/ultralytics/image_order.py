"""The order and augmentation of images, as a pure function of seed, epoch and image number.

Ultralytics draws both from generators that live as long as the process, and fills mosaics from images loaded recently.
Here the sampler's keys contain the epoch, and every sample seeds its own generators. So a training that is resumed in
another process sees the same samples, with any number of loader workers.
"""

from __future__ import annotations

import bisect
import contextlib
import hashlib
import random
import struct
from collections.abc import Iterator
from typing import Any

import numpy as np
import torch
from torch.utils.data import Sampler, SequentialSampler
from ultralytics.data.dataset import ClassificationDataset, YOLODataset

from yolosweep.backends.ultralytics.oversampling import epoch_draw, repeat_factors
from yolosweep.backends.ultralytics.patches import replaced
from yolosweep.image_cache.image_store import ImageStore
from yolosweep.image_cache.shared_images import shared_store
from yolosweep.records import TrialPolicy

__all__ = ["EpochSampler", "pure_datasets", "seeded", "shared", "with_sampler"]


def _mixed(*numbers: int) -> int:
    """Return 63 well-mixed bits of some numbers."""
    digest = hashlib.blake2b(struct.pack(f"<{len(numbers)}q", *numbers), digest_size=8).digest()
    return int.from_bytes(digest, "little") >> 1


def seeded(*numbers: int) -> int:
    """Seed Python's, numpy's and torch's generators (also on GPUs) of this process; return the seed."""
    seed = _mixed(*numbers)
    random.seed(seed)
    np.random.seed(seed % 2**32)
    torch.manual_seed(seed)
    return seed


class EpochSampler(Sampler[int]):  # type: ignore[misc]
    """Yields keys ``epoch x size + index``: a permutation of the data set for every epoch, split over the ranks.

    With ``weights`` an epoch of the same length repeats images: the key of the k-th repetition is that of the
    epoch ``epoch + k x 2^32``, so that each is augmented differently.

    Args:
        size: number of samples in the data set.
        seed: of the training.
        shuffle: False keeps the order of the data set in every epoch.
        rank: which of the ranks this process is.
        world_size: number of ranks; each takes every world_size-th sample of the permutation, padded from its start.
        weights: relative frequency of each sample, shape (size,); None: once in every epoch.
    """

    def __init__(
        self,
        size: int,
        *,
        seed: int,
        shuffle: bool = True,
        rank: int = 0,
        world_size: int = 1,
        weights: np.ndarray | None = None,
    ) -> None:
        self._size, self._seed, self._shuffle = size, seed, shuffle
        self._rank, self._world_size, self._weights = rank, world_size, weights
        self._epoch = 0

    def __len__(self) -> int:
        return -(-self._size // self._world_size)

    def __iter__(self) -> Iterator[int]:
        epoch = self._epoch
        if self._weights is not None:
            images, repetitions = epoch_draw(self._weights, _mixed(self._seed, epoch))
            order = [(k << 32) * self._size + i for i, k in zip(images.tolist(), repetitions.tolist(), strict=True)]
        elif self._shuffle:
            generator = torch.Generator().manual_seed(_mixed(self._seed, epoch))
            order = torch.randperm(self._size, generator=generator).tolist()
        else:
            order = list(range(self._size))
        order += order[: len(self) * self._world_size - self._size]
        for index in order[self._rank :: self._world_size]:
            yield epoch * self._size + index
        self._epoch = epoch + 1

    def begin_at(self, epoch: int) -> None:
        """Make the next pass that of this epoch; passes that loader workers have started already do not change."""
        self._epoch = epoch

    def set_epoch(self, epoch: int) -> None:
        """Do nothing: Ultralytics calls this on several ranks, where loader workers may already be an epoch ahead."""


class _PureSamples:
    """Mixed into a data set of Ultralytics: samples by key, each with its own generators."""

    seed = 0
    balance = 0.0
    """Strength of oversampling, 0 to 1; see :mod:`yolosweep.backends.ultralytics.oversampling`."""

    def weights(self) -> np.ndarray | None:
        """Return the relative frequency of each sample; None if all are equal."""
        factors = repeat_factors(self.classes_shown(), self.balance) if self.balance else np.empty(0)
        return factors if len(set(factors.tolist())) > 1 else None

    def classes_shown(self) -> list[set[int]]:
        """Return the classes of every sample."""
        raise NotImplementedError

    def __getitem__(self, key: int) -> Any:
        epoch, index = divmod(key, len(self))  # type: ignore[arg-type]
        with _own_generators(_mixed(self.seed, epoch, index)) as seed:
            for pipeline in _albumentations(self):
                pipeline.set_random_state(np.random.default_rng(seed), random.Random(seed))
                pipeline.seed = seed  # what Ultralytics compares: otherwise it seeds again, differently in each worker
            return super().__getitem__(index)  # type: ignore[misc]


class PureClassificationDataset(_PureSamples, ClassificationDataset):  # type: ignore[misc]
    """Classification folders with pure samples."""

    def classes_shown(self) -> list[set[int]]:
        """Return the class of every image."""
        return [{int(sample[1])} for sample in self.samples]


class PureYOLODataset(_PureSamples, YOLODataset):  # type: ignore[misc]
    """Detection, segmentation, pose and obb with pure samples and images from the store."""

    store: ImageStore | None = None
    cache: Any
    labels: Any
    transforms: Any
    _partners: _Partners | None = None

    def classes_shown(self) -> list[set[int]]:
        """Return the classes of every image; empty for a frame without an object."""
        return [set(label["cls"].astype(int).ravel().tolist()) for label in self.labels]

    def weights(self) -> np.ndarray | None:
        """Return the relative frequency of each image, and make mosaics and mixes draw by it too."""
        found = super().weights()
        if found is not None:
            self._partners = _Partners(self, found)
            _draw_from(self.transforms, self._partners)
        return found

    def build_transforms(self, hyp: Any = None) -> Any:
        """Build transforms whose mosaics choose from all images; the buffer of recent images depends on history."""
        before, self.cache = self.cache, "ram"
        try:
            transforms = super().build_transforms(hyp)
        finally:
            self.cache = before
        if self._partners is not None:
            _draw_from(transforms, self._partners)
        return transforms

    def load_image(self, i: int, rect_mode: bool = True, resize_short: bool = False) -> Any:
        """Load one resized image, from the shared store if there is one; never one that was augmented before."""
        if self.store is not None and rect_mode and not resize_short:
            return self.store.image(i)
        image, original, resized = super().load_image(i, rect_mode, resize_short)
        return image.copy(), original, resized


class _Partners:
    """A data set as mosaics and mixes see it: an index drawn evenly gives an image drawn by weight.

    Without it three of the four images in a mosaic would be drawn evenly, whatever the sampler repeats.
    """

    def __init__(self, dataset: PureYOLODataset, weights: np.ndarray) -> None:
        self._dataset = dataset
        self._ends = np.cumsum(weights / weights.sum()).tolist()

    def __len__(self) -> int:
        return len(self._ends)

    def get_image_and_label(self, index: int) -> Any:
        """Return an image from this part of the data set, where each part is as long as its weight."""
        share = (index + random.random()) / len(self)
        return self._dataset.get_image_and_label(min(bisect.bisect(self._ends, share), len(self) - 1))


def _draw_from(transform: Any, partners: _Partners) -> None:
    """Make all transforms that add other images (``BaseMixTransform``), also nested ones, draw from here."""
    if hasattr(transform, "get_indexes"):
        transform.dataset = partners
    for inner in (*getattr(transform, "transforms", ()), getattr(transform, "pre_transform", None)):
        if inner is not None:
            _draw_from(inner, partners)


@contextlib.contextmanager
def _own_generators(seed: int) -> Iterator[int]:
    """Seed the generators of this process for one sample, then restore them: the training uses them too."""
    before = random.getstate(), np.random.get_state(), torch.get_rng_state()
    random.seed(seed)
    np.random.seed(seed % 2**32)
    torch.default_generator.manual_seed(seed)
    try:
        yield seed
    finally:
        random.setstate(before[0])
        np.random.set_state(before[1])
        torch.set_rng_state(before[2])


def _albumentations(dataset: Any) -> Iterator[Any]:
    """Yield the Albumentations pipelines among a data set's transforms."""
    for transform in getattr(getattr(dataset, "transforms", None), "transforms", ()):
        pipeline = getattr(transform, "transform", None)
        if hasattr(pipeline, "set_random_state"):
            yield pipeline


@contextlib.contextmanager
def pure_datasets() -> Iterator[None]:
    """Make Ultralytics build pure data sets while the ``with`` block runs."""
    with (
        replaced("ultralytics.data.build:YOLODataset", PureYOLODataset),
        replaced("ultralytics.models.yolo.classify.train:ClassificationDataset", PureClassificationDataset),
    ):
        yield


def with_sampler(loader: Any, *, seed: int, rank: int = 0, world_size: int = 1) -> Any:
    """Return the same loader over an :class:`EpochSampler`; the given one must not have been used.

    It shuffles if Ultralytics does, also with ``rect`` if all images have one shape. With ``rect`` batches are fixed,
    so nothing is repeated.
    """
    shuffle = not isinstance(loader.sampler, SequentialSampler) and getattr(loader.sampler, "shuffle", True)
    weights = None if getattr(loader.dataset, "rect", False) else loader.dataset.weights()
    sampler = EpochSampler(
        len(loader.dataset), seed=seed, shuffle=shuffle, rank=rank, world_size=world_size, weights=weights
    )
    return type(loader)(
        dataset=loader.dataset,
        batch_size=loader.batch_size,
        sampler=sampler,
        num_workers=loader.num_workers,
        prefetch_factor=loader.prefetch_factor,
        pin_memory=loader.pin_memory,
        collate_fn=loader.collate_fn,
        worker_init_fn=loader.worker_init_fn,
        generator=loader.generator,
        drop_last=loader.drop_last,
    )


def shared(dataset: Any, policy: TrialPolicy) -> ImageStore | None:
    """Return the decoded images of a detection-like data set that all trials of this node share.

    None if the policy says off, the data set is of another kind, or the images do not fit: then it decodes as usual.
    """
    if policy.image_cache != "shared" or not isinstance(dataset, PureYOLODataset) or type(dataset.imgsz) is not int:
        return None
    return shared_store(dataset.im_files, dataset.imgsz, budget_mb=policy.image_cache_budget, channels=dataset.channels)
