"""Whether the trials of a plan fit into the memory of this machine and of its GPUs."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence

from yolosweep.records.plan import CostEstimate
from yolosweep.records.short_training import Probe
from yolosweep.records.trial_columns import memory_text

__all__ = ["memory_faults"]

_SMALLER = "train.batch or train.imgsz, or choose a smaller model"


def memory_faults(
    cost: CostEstimate, at_a_time: int, machine_mb: float, gpus: float = 0.0, probes: Sequence[Probe] = ()
) -> Iterator[str]:
    """Yield a sentence for each memory that is too small, with the key to change.

    Args:
        cost: of one training.
        at_a_time: trials at a time on this machine.
        machine_mb: memory of this machine, MiB.
        gpus: GPUs of one trial.
        probes: trainings that were measured here.
    """
    fit = int(machine_mb // cost.memory_mb)
    if fit < 1:
        yield (
            f"memory: a trial takes about {memory_text(cost.memory_mb)}, this machine has {memory_text(machine_mb)}: "
            f"lower {_SMALLER}"
        )
    elif at_a_time > fit:
        yield (
            f"memory: {at_a_time} trials at a time take about {memory_text(at_a_time * cost.memory_mb)}, this machine "
            f"has {memory_text(machine_mb)}: set resources.max_concurrent to {fit}, or lower {_SMALLER}"
        )
    for probe in probes:
        yield from _on_gpu(probe, gpus)


def _on_gpu(probe: Probe, gpus: float) -> Iterator[str]:
    if probe.batch_asked is not None and probe.batch < probe.batch_asked:
        yield (
            f"memory: a batch of {probe.batch_asked} at imgsz {probe.imgsz} does not fit, {probe.batch} did: lower "
            f"{_SMALLER}"
        )
    if probe.gpu_memory_mb is None or probe.gpu_total_mb is None or not 0 < gpus <= 1:
        return
    sharing, fit = math.floor(1 / gpus + 1e-9), int(probe.gpu_total_mb // probe.gpu_memory_mb)
    if sharing > fit:
        repair = f"set resources.gpus_per_trial to {1 / fit:.2g}, or lower" if fit else "lower"
        whose = "a trial takes" if sharing == 1 else f"{sharing} trials on one GPU take"
        yield (
            f"GPU memory: {whose} {memory_text(sharing * probe.gpu_memory_mb)}, the smallest GPU has "
            f"{memory_text(probe.gpu_total_mb)}: {repair} {_SMALLER}"
        )
