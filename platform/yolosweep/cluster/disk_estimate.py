"""How much disk a sweep needs, and where: an estimate, made before a trial runs on a node."""

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

__all__ = ["DiskEstimate", "DiskNeed", "decoded_mb", "room_for", "room_of"]

_MIB = 2.0**20
_SMALL_MB = 50.0
"""Logs; label caches."""


class DiskNeed(NamedTuple):
    """Something that takes disk."""

    place: str
    """``temporary folder``, ``cache folder`` or ``storage``."""
    what: str
    mb: float


@dataclass(frozen=True, kw_only=True)
class DiskEstimate:
    """Disk that a sweep needs, MiB."""

    rank_mb: float = 0.0
    """In a node's temporary folder, for each process that trains there: its newest state and weights."""
    trial_mb: float = 0.0
    """In the run folder, for each trial that trains: its checkpoints."""
    kept_mb: float = 0.0
    """In the run folder, for the weights of the trials that are kept."""
    held_mb: float = 0.0
    """What the run folder has of both already."""
    in_bucket: bool = False
    """Whether the run is kept in an object storage: then each node has the files of its own trials in its cache."""
    images_mb: float = 0.0
    """Of all images, decoded at every size that is trained with."""
    budget_mb: float | None = None
    """What these may take; None: a quarter of what is free."""
    copy_mb: float = 0.0
    """Of the data, where each node lays down a copy in its cache folder."""
    slots: Allocation | None = None
    """None where no trial fits on any node."""

    def needs(self, node: Mapping[str, float], *, has_copy: bool, late: bool = False) -> list[DiskNeed]:
        """Return what is needed on a node with these resources, decoded images aside.

        Args:
            node: its ``CPU`` and ``GPU`` counts.
            has_copy: it has the data already.
            late: it joined later: the storage is no matter of this node, and holds much of it already.
        """
        ranks, trials = (self.slots.ranks_on(node), self.slots.trials_on(node)) if self.slots else (0, 0)
        found = [
            DiskNeed("temporary folder", f"states of {_count(ranks, 'training')}", ranks * self.rank_mb),
            DiskNeed("temporary folder", "logs", _SMALL_MB),
            DiskNeed("cache folder", "label caches", _SMALL_MB),
            DiskNeed("cache folder", "the data", 0.0 if has_copy else self.copy_mb),
        ]
        if self.in_bucket:
            found.append(DiskNeed("cache folder", f"checkpoints of {_count(trials, 'trial')}", trials * self.trial_mb))
        elif not late and self.slots is not None:
            at_a_time = self.slots.concurrent
            what = f"checkpoints of {_count(at_a_time, 'trial')} at a time and the best weights"
            found.append(DiskNeed("storage", what, max(0.0, self.storage_mb(at_a_time) - self.held_mb)))
        return [need for need in found if need.mb]

    def storage_mb(self, trials: int) -> float:
        """Return what the run folder takes with so many trials at a time."""
        return self.kept_mb + self.trial_mb * trials


def room_of(exp: Experiment, model_bytes: int | None = None) -> DiskEstimate:
    """Estimate what the checkpoints of an experiment need; the rest of the room is for the caller to fill in.

    Args:
        exp: the experiment.
        model_bytes: size of its model file; where it is none yet, the letter in the model's name says how large it is.
    """
    trial = exp.trial
    state, weights = exp.backend.checkpoint_size(exp.model, model_bytes)
    return DiskEstimate(
        rank_mb=state + 2 * weights,
        trial_mb=(trial.keep_checkpoints + 1) * (state + weights),
        kept_mb=(exp.keep_top + 1) * 2 * weights,
        budget_mb=trial.image_cache_budget,
    )


def room_for(
    exp: Experiment, gate: Gate, *, model_bytes: int | None, place: str, slots: Allocation | None
) -> DiskEstimate:
    """Estimate what an experiment needs, on this machine's copy of the data and of the run.

    Args:
        exp, model_bytes: see :func:`room_of`.
        gate: its data.
        place: address of the run or its folder, or of the storage.
        slots: what one trial gets, and how many run at a time; None where none fits.
    """
    decodes = exp.trial.image_cache == "shared" and exp.backend.tasks[exp.task].shares_images
    sides = ((picture.width, picture.height) for picture in gate.pictures.values())
    copy = copied(gate.layout.root)
    packed = is_address(exp.data) and copy.startswith("unpacked/")  # the archive is staged, too; images pack badly
    return replace(
        room_of(exp, model_bytes),
        held_mb=0.0 if is_address(place) else _mb_below(RunFolder(place).trial("x").parent),
        in_bucket=is_address(place),
        images_mb=decoded_mb(sides, sizes_of(exp)) if decodes else 0.0,
        copy_mb=_mb_below(cache_folder() / copy) * (2 if packed else 1) if copy else 0.0,
        slots=slots,
    )


def _mb_below(folder: Path) -> float:
    return sum(file.stat().st_size for file in folder.rglob("*") if file.is_file()) / _MIB


def decoded_mb(sides: Iterable[tuple[int, int]], sizes: Iterable[int]) -> float:
    """Return how much images of these widths and heights take when they are decoded at all of these sizes."""
    shares = sum(min(side) / max(side) for side in sides if all(side))
    return sum(3 * size * size * shares for size in sizes) / _MIB


def _count(number: int, what: str) -> str:
    return f"{number} {what}{'' if number == 1 else 's'}"
