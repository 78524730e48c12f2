"""The cost estimate of a plan: what it rests on, and how it scales."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from yolosweep.backends.ultralytics.training_cost import training_cost
from yolosweep.data.samples.parking_dataset import draw_parking
from yolosweep.experiment import load_experiment
from yolosweep.ledger.history import History, TrialHistory
from yolosweep.records.plan import Basis
from yolosweep.records.short_training import Probe
from yolosweep.runtime.training_probe import measured
from yolosweep.workflows.cost_estimate import Sizes, estimate_cost, sizes_of_sweep
from yolosweep.workflows.memory_check import memory_faults

IMAGES = {"train": 100, "val": 20}


def experiment(imgsz: Any = 320, batch: Any = 8, model: str = "yolo11n.yaml") -> Any:
    space: dict[str, Any] = {"lr0": {"min": 0.001, "max": 0.01}}
    train: dict[str, Any] = {"epochs": 5, "optimizer": "AdamW"}
    for name, value in (("imgsz", imgsz), ("batch", batch)):
        (space if isinstance(value, dict) else train)[name] = value
    content = {"name": "a", "model": model, "data": "d.yaml", "train": train}
    return load_experiment({**content, "search": {"trials": 3, "parameters": space}})


def earlier(exp: Any, *seconds: float, gpus: float = 0.0, best: int | None = None) -> History:
    """A sweep with one trial per duration of an epoch."""
    history = History()
    for number, each in enumerate(seconds):
        request = SimpleNamespace(asked={}, settings=dict(exp.train), gpus=gpus, cpus=1.0)
        trial: Any = TrialHistory(request=request, started_at=None)  # type: ignore[arg-type]
        trial.rows = [SimpleNamespace(seconds=each)]
        trial.record = best and SimpleNamespace(used={}, files={"best.pt": SimpleNamespace(size=best)})
        history.trials[str(number)] = trial
    history._started = SimpleNamespace(experiment={"model": exp.model})  # type: ignore[assignment]
    return history


def known(exp: Any, **more: Any) -> Any:
    found = estimate_cost(exp, IMAGES, **{"cores": 1.0, "model_bytes": None, **more})
    assert found is not None
    return found


def test_the_sizes_are_those_of_the_default_trial_and_the_largest() -> None:
    exp = experiment(imgsz={"values": [320, 480]}, batch={"values": [4, 8, 32]})
    assert sizes_of_sweep(exp) == (Sizes(imgsz=480, batch=8), Sizes(imgsz=480, batch=32))
    assert sizes_of_sweep(experiment()) == (Sizes(imgsz=320, batch=8),) * 2


def test_without_anything_known_it_is_a_rough_model_and_says_so() -> None:
    small, large = known(experiment(imgsz=96)), known(experiment(imgsz=640))
    assert (small.basis, small.factor) == (Basis.ROUGH_MODEL, 3.0)
    assert 5 < large.epoch_seconds / small.epoch_seconds < 45
    assert large.memory_mb > 1.5 * small.memory_mb
    assert known(experiment(model="yolo11x.yaml")).epoch_seconds > 10 * known(experiment()).epoch_seconds
    assert known(experiment(), cores=4.0).epoch_seconds < known(experiment()).epoch_seconds
    assert estimate_cost(experiment(), IMAGES, model_bytes=None, cores=None) is None


def test_epochs_of_earlier_runs_are_converted_to_other_sizes() -> None:
    before = earlier(experiment(imgsz=320), 9.0, 10.0, 50.0)
    same = known(experiment(imgsz=320), earlier=[before])
    assert (same.basis, same.factor) == (Basis.EARLIER_RUNS, 2.0)
    assert same.epoch_seconds == pytest.approx(10.0)
    larger = known(experiment(imgsz=640), earlier=[before])
    ratio = known(experiment(imgsz=640)).epoch_seconds / known(experiment(imgsz=320)).epoch_seconds
    assert larger.epoch_seconds == pytest.approx(10.0 * ratio)
    searched = known(experiment(imgsz={"values": [320, 640]}), earlier=[before])
    assert searched.epoch_seconds_most == pytest.approx(larger.epoch_seconds)


def test_a_model_file_of_any_name_is_as_large_now_as_in_earlier_runs() -> None:
    """The name of one's own checkpoint says nothing about its size."""
    mine = experiment(model="/models/cells.pt")
    found = known(mine, model_bytes=5_400_000, earlier=[earlier(mine, 10.0)])
    assert found.epoch_seconds == pytest.approx(10.0)
    other = known(experiment(), earlier=[earlier(mine, 10.0, best=5_200_000)])
    assert other.epoch_seconds == pytest.approx(10.0, rel=0.1)


def test_what_was_trained_on_gpus_says_nothing_about_a_cpu() -> None:
    on_gpu = earlier(experiment(), 1.0, gpus=1.0)
    assert known(experiment(), earlier=[on_gpu]).basis is Basis.ROUGH_MODEL
    assert known(experiment(), earlier=[on_gpu], cores=None).basis is Basis.EARLIER_RUNS


def probe(**more: Any) -> Probe:
    values = {
        "imgsz": 320, "batch": 8, "batches": 13, "measured": 6, "batch_seconds": 2.0, "epoch_seconds": None,
        "memory_mb": 900.0, "gpu_memory_mb": None, "device": "cpu",
    }  # fmt: skip
    return Probe.model_validate({**values, **more})


def test_a_measured_training_counts_alone() -> None:
    whole = known(experiment(), probes=[probe(epoch_seconds=31.0)], earlier=[earlier(experiment(), 9.0)])
    assert (whole.basis, whole.factor, whole.epoch_seconds, whole.memory_mb) == (Basis.MEASURED, 1.5, 31.0, 900.0)
    parts = known(experiment(), probes=[probe(), probe(batch_seconds=4.0, memory_mb=1800.0, gpu_memory_mb=70.0)])
    assert parts.epoch_seconds == pytest.approx(26.0 * (1 + 0.6 * 0.2))
    assert parts.epoch_seconds_most == pytest.approx(2 * parts.epoch_seconds)
    assert (parts.memory_mb, parts.gpu_memory_mb) == (1800.0, 70.0)


@pytest.mark.parametrize(
    ("memory_mb", "at_a_time", "gpus", "measured", "told"),
    [
        (900.0, 4, 0.0, {}, []),
        (900.0, 5, 0.0, {}, ["5 trials at a time take about 4.4 GiB, this machine has 4.0 GiB: set resources."]),
        (5000.0, 1, 0.0, {}, ["a trial takes about 4.9 GiB, this machine has 4.0 GiB: lower train.batch"]),
        (900.0, 2, 0.5, {"gpu_memory_mb": 4000.0, "gpu_total_mb": 8192.0}, []),
        (900.0, 2, 0.25, {"gpu_memory_mb": 4000.0, "gpu_total_mb": 8192.0},
         ["GPU memory: 4 trials on one GPU take 15.6 GiB, the smallest GPU has 8.0 GiB: set resources.gpus_per_trial "
          "to 0.5"]),
        (900.0, 1, 1.0, {"gpu_memory_mb": 9000.0, "gpu_total_mb": 8192.0}, ["a trial takes 8.8 GiB"]),
        (900.0, 1, 1.0, {"batch": 32, "batch_asked": 64}, ["a batch of 64 at imgsz 320 does not fit, 32 did"]),
    ],
)  # fmt: skip
def test_what_does_not_fit_into_memory_is_told(
    memory_mb: float, at_a_time: int, gpus: float, measured: dict[str, Any], told: list[str]
) -> None:
    probes = [probe(memory_mb=memory_mb, **measured)]
    cost = known(experiment(), probes=probes)
    found = list(memory_faults(cost, at_a_time, 4096.0, gpus, probes))
    assert len(found) == len(told)
    assert all(part in sentence for part, sentence in zip(told, found, strict=True)), found


def test_costs_grow_with_batch_image_size_and_model() -> None:
    costs = [training_cost(m, imgsz=s, batch=b) for m, s, b in ((3, 96, 4), (3, 640, 4), (3, 640, 16), (70, 640, 16))]
    assert [cost.memory_mb for cost in costs] == sorted(cost.memory_mb for cost in costs)
    assert [cost.image_s for cost in costs] == sorted(cost.image_s for cost in costs)


@pytest.mark.slow
def test_batches_of_a_real_training_are_timed_in_a_process_of_their_own(tmp_path: Path) -> None:
    from yolosweep.records import TrialRequest

    data = draw_parking(tmp_path / "lot", images={"train": 12, "val": 4})
    request = TrialRequest(
        sweep="s", trial="t0000", number=0, task="detect", model="toy/red", data=str(data),
        settings={"epochs": 50, "batch": 4, "lr0": 0.1}, asked={}, identity="", metric="metrics/accuracy_top1",
        folder=str(tmp_path),
    )  # fmt: skip
    found = measured(request, 0.0, at_a_time=2)
    assert found.batches > 6
    assert found.measured >= 4
    assert 0 < found.batch_seconds < 60
    assert found.memory_mb > 10
    assert (found.batch, found.gpu_memory_mb, found.at_a_time) == (4, None, 2)


@pytest.mark.parametrize(
    ("model", "imgsz", "batch", "batch_s", "memory_mb"),
    [("n", 96, 4, 0.089, 916), ("n", 320, 4, 0.404, 1145), ("n", 320, 16, 1.385, 2038), ("n", 640, 4, None, 2001),
     ("s", 96, 4, 0.218, 1043), ("s", 320, 4, 1.065, 1492), ("m", 320, 4, None, 2259), ("l", 320, 4, None, 2621),
     ("s", 640, 4, None, 3088), ("x", 96, 4, None, 2150), ("x", 320, 4, None, 3750)],
)  # fmt: skip
def test_the_rough_model_fits_what_was_measured_on_one_core(
    model: str, imgsz: int, batch: int, batch_s: float | None, memory_mb: float
) -> None:
    cost = experiment().backend.training_cost(f"yolo11{model}.yaml", None, imgsz=imgsz, batch=batch)
    assert batch_s is None or cost.batch_s + batch * cost.image_s == pytest.approx(batch_s, rel=0.25)
    assert cost.memory_mb - 170 == pytest.approx(memory_mb, rel=0.11)  # without what a worker holds besides
