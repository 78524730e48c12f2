"""What one training of an experiment costs: measured, converted from earlier runs, or by a rough model."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from dataclasses import dataclass

from yolosweep.backends.backend import TrainingCost
from yolosweep.experiment import Experiment, baseline, settings_of
from yolosweep.ledger.history import History
from yolosweep.records.plan import Basis, CostEstimate
from yolosweep.records.short_training import Probe

__all__ = ["Sizes", "estimate_cost", "sizes_of_sweep"]

_VALIDATION = 0.6
"""Cost of validating an image, as a share of training on one."""
_FACTORS = {Basis.MEASURED: 1.5, Basis.EARLIER_RUNS: 2.0, Basis.ROUGH_MODEL: 3.0}


@dataclass(frozen=True, kw_only=True)
class Sizes:
    """What decides the cost of a training, beside the machine."""

    imgsz: int
    batch: int


def sizes_of_sweep(exp: Experiment) -> tuple[Sizes, Sizes]:
    """Return the sizes of the default trial, and the largest that are searched."""
    settings, arguments = settings_of(exp, baseline(exp)[0]), exp.backend.arguments
    default = Sizes(imgsz=arguments.imgsz(settings), batch=arguments.batch(settings))
    most = {name: int(max(exp.space.numbers(name), default=0)) for name in ("imgsz", "batch")}
    return default, Sizes(imgsz=max(most["imgsz"], default.imgsz), batch=max(most["batch"], default.batch))


def estimate_cost(
    exp: Experiment,
    images: dict[str, int],
    *,
    model_bytes: int | None,
    cores: float | None,
    largest: tuple[Experiment, int | None] | None = None,
    earlier: Sequence[History] = (),
    probes: Sequence[Probe] = (),
) -> CostEstimate | None:
    """Return what a training of an experiment costs; None where nothing is known of the machine.

    Args:
        exp: the experiment.
        images: images per split.
        model_bytes: size of the model file, if there is one.
        largest: the experiment with the largest model that is searched, and the size of its file.
        cores: CPU cores of one trial on this machine; None where trials run on GPUs or on other machines.
        earlier: earlier sweeps of these data.
        probes: trainings measured now: of the default trial, and of the largest one if they differ.
    """
    if probes:
        return _measured(probes, images)
    default, costliest = sizes_of_sweep(exp)
    biggest, biggest_bytes = largest or (exp, model_bytes)
    least = _cost(exp, exp.model, model_bytes, default)
    most = _cost(exp, biggest.model, biggest_bytes, costliest)

    def seconds(cost: TrainingCost, sizes: Sizes, on: float) -> float:
        return cost.epoch_s(images["train"], sizes.batch, on) * (1 + _validation(images))

    ratios = [r for history in earlier for r in _ratios(exp, history, images, model_bytes, on_gpu=cores is None)]
    if not ratios and cores is None:
        return None
    speed = statistics.median(ratios) if ratios else 1.0
    basis = Basis.EARLIER_RUNS if ratios else Basis.ROUGH_MODEL
    on = cores or 1.0
    return CostEstimate(
        basis=basis,
        factor=_FACTORS[basis],
        epoch_seconds=speed * seconds(least, default, on),
        epoch_seconds_most=speed * max(seconds(least, default, on), seconds(most, costliest, on)),
        memory_mb=max(least.memory_mb, most.memory_mb),
    )


def _cost(exp: Experiment, model: str, model_bytes: int | None, sizes: Sizes) -> TrainingCost:
    return exp.backend.training_cost(model, model_bytes, imgsz=sizes.imgsz, batch=sizes.batch)


def _validation(images: dict[str, int]) -> float:
    """Return the cost of a validation as a share of that of training an epoch."""
    return _VALIDATION * images.get("val", 0) / max(images["train"], 1)


def _measured(probes: Sequence[Probe], images: dict[str, int]) -> CostEstimate:
    seconds = [
        probe.epoch_seconds or probe.batches * probe.batch_seconds * (1 + _validation(images)) for probe in probes
    ]
    on_gpu = [probe.gpu_memory_mb for probe in probes if probe.gpu_memory_mb is not None]
    return CostEstimate(
        basis=Basis.MEASURED,
        factor=_FACTORS[Basis.MEASURED],
        epoch_seconds=seconds[0],
        epoch_seconds_most=max(seconds),
        memory_mb=max(probe.memory_mb for probe in probes),
        gpu_memory_mb=max(on_gpu, default=None),
        at_a_time=probes[0].at_a_time,
    )


def _ratios(
    exp: Experiment, history: History, images: dict[str, int], model_bytes: int | None, *, on_gpu: bool
) -> list[float]:
    """Return for each trial of an earlier sweep how much slower it was than the rough model says."""
    found = []
    model, arguments = str(history.experiment["model"]), exp.backend.arguments
    for trial in history.trials.values():
        seconds = [row.seconds for row in trial.rows if row.seconds]
        settings = {**trial.request.settings, **(trial.record.used if trial.record else {})}
        if not seconds or bool(trial.request.gpus) is not on_gpu:
            continue
        sizes = Sizes(imgsz=arguments.imgsz(settings), batch=arguments.batch(settings))
        name = str(trial.request.asked.get("model", model))
        weights = trial.record.files.get("best.pt") if trial.record else None
        size = model_bytes if name == exp.model else weights.size if weights else None
        rough = _cost(exp, name, size, sizes).epoch_s(
            images["train"], sizes.batch, 1.0 if on_gpu else trial.request.cpus
        )
        found.append(statistics.median(seconds) / (rough * (1 + _validation(images))))
    return found
