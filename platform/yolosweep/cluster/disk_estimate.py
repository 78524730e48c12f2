"""Estimate how much disk a sweep needs, and in which folder, before a trial runs on a node."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import NamedTuple

from yolosweep.cluster.trial_capacity import Allocation
from yolosweep.data import Gate, copied
from yolosweep.experiment import sizes_of
from yolosweep.experiment.schema import Experiment
from yolosweep.ledger import RunFolder
from yolosweep.storage.addresses import is_address
from yolosweep.storage.atomic_files import cache_folder

__all__ = ["DiskEstimate", "DiskNeed", "checkpoint_needs", "decoded_mb", "disk_needs"]

_MIB = 2.0**20
_SMALL_MB = 50.0
"""Allowance for logs, and for label caches."""


class DiskNeed(NamedTuple):
    """One kind of file that takes disk space."""

    folder: str
    """``temporary folder``, ``cache folder`` or ``storage``."""
    what: str
    mb: float


@dataclass(frozen=True, kw_only=True)
class DiskEstimate:
    """The disk space that a sweep needs, MiB."""

    rank_mb: float = 0.0
    """Per training process, in the node's temporary folder: its newest state and weights."""
    trial_mb: float = 0.0
    """Per running trial, in the run folder: its checkpoints."""
    kept_mb: float = 0.0
    """In the run folder: the weights of the kept trials."""
    held_mb: float = 0.0
    """What the run folder already has of the two above."""
    in_bucket: bool = False
    """Whether the run is in object storage; each node then caches the files of its own trials."""
    images_mb: float = 0.0
    """All images, decoded at every image size that trials train with."""
    budget_mb: float | None = None
    """Limit for decoded images; None: a quarter of the free space."""
    copy_mb: float = 0.0
    """The data, if each node keeps a copy in its cache folder."""
    allocation: Allocation | None = None
    """None if no trial fits on any node."""

    def needs(self, node: Mapping[str, float], *, has_copy: bool, late: bool = False) -> list[DiskNeed]:
        """Return what a node with these resources needs, without decoded images.

        Args:
            node: its ``CPU`` and ``GPU`` counts.
            has_copy: whether it already has the data.
            late: whether it joined after the start; the shared storage was checked then and is partly filled by now.
        """
        allocation = self.allocation
        ranks, trials = (allocation.ranks_on(node), allocation.trials_on(node)) if allocation else (0, 0)
        found = [
            DiskNeed("temporary folder", f"states of {_count(ranks, 'training')}", ranks * self.rank_mb),
            DiskNeed("temporary folder", "logs", _SMALL_MB),
            DiskNeed("cache folder", "label caches", _SMALL_MB),
            DiskNeed("cache folder", "the data", 0.0 if has_copy else self.copy_mb),
        ]
        if self.in_bucket:
            found.append(DiskNeed("cache folder", f"checkpoints of {_count(trials, 'trial')}", trials * self.trial_mb))
        elif not late and allocation is not None:
            trials = allocation.concurrent
            what = f"checkpoints of {_count(trials, 'concurrent trial')} and the best weights"
            found.append(DiskNeed("storage", what, max(0.0, self.storage_mb(trials) - self.held_mb)))
        return [need for need in found if need.mb]

    def storage_mb(self, trials: int) -> float:
        """Return the size of the run folder with this many concurrent trials."""
        return self.kept_mb + self.trial_mb * trials


def checkpoint_needs(exp: Experiment, model_bytes: int | None = None) -> DiskEstimate:
    """Estimate the disk needs of an experiment's checkpoints; all other fields keep their defaults.

    Args:
        exp: the experiment.
        model_bytes: size of its model file; None to estimate it from the size letter in the model's name.
    """
    trial, finals = exp.trial, exp.search.finals
    finalists = 2 * finals.top + 1 if finals and finals.top else 0  # and the best repeat of each, and of trial 0
    state, weights = exp.backend.checkpoint_size(exp.model, model_bytes)
    return DiskEstimate(
        rank_mb=state + 2 * weights,
        trial_mb=(trial.keep_checkpoints + 1) * (state + weights),
        kept_mb=(exp.keep_top + 2 + finalists) * 2 * weights,  # with trial 0, and the one that just ended
        budget_mb=trial.image_cache_budget,
    )


def disk_needs(
    exp: Experiment, gate: Gate, *, model_bytes: int | None, address: str, allocation: Allocation | None
) -> DiskEstimate:
    """Estimate an experiment's disk needs from this machine's copy of the data and of the run.

    Args:
        exp, model_bytes: see :func:`checkpoint_needs`.
        gate: its data.
        address: address or folder of the run, or of the storage.
        allocation: resources and number of concurrent trials; None if no trial fits.
    """
    decodes = exp.trial.image_cache == "shared" and exp.backend.tasks[exp.task].shares_images
    sides = ((facts.width, facts.height) for facts in gate.image_facts.values())
    copy = copied(gate.layout.root)
    packed = is_address(exp.data) and copy.startswith("unpacked/")  # the staged archive is about as large again
    return replace(
        checkpoint_needs(exp, model_bytes),
        held_mb=0.0 if is_address(address) else _mb_below(RunFolder(address).trial("x").parent),
        in_bucket=is_address(address),
        images_mb=decoded_mb(sides, sizes_of(exp)) if decodes else 0.0,
        copy_mb=_mb_below(cache_folder() / copy) * (2 if packed else 1) if copy else 0.0,
        allocation=allocation,
    )


def _mb_below(folder: Path) -> float:
    return sum(file.stat().st_size for file in folder.rglob("*") if file.is_file()) / _MIB


def decoded_mb(sides: Iterable[tuple[int, int]], sizes: Iterable[int]) -> float:
    """Return the size of images with these widths and heights, decoded at each of these image sizes, MiB."""
    shares = sum(min(side) / max(side) for side in sides if all(side))
    return sum(3 * size * size * shares for size in sizes) / _MIB


def _count(number: int, what: str) -> str:
    return f"{number} {what}{'' if number == 1 else 's'}"
