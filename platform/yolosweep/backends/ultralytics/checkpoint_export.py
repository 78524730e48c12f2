"""Ultralytics' checkpoints outside of yolosweep: exported by its own exporters, offline, and compared."""

from __future__ import annotations

import contextlib
import io
import os
import re
import shutil
import sys
import warnings
from collections.abc import Iterator, Mapping
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from yolosweep.backends.checkpoint_export import CardFacts, ExportedModel, ExportJob
from yolosweep.backends.failure_causes import last_line
from yolosweep.backends.ultralytics.arguments import train_arguments
from yolosweep.backends.ultralytics.footprint import pass_times
from yolosweep.errors import TrainingError
from yolosweep.records import Validation
from yolosweep.records.export import Latency

__all__ = ["YoloDeployment"]

_NEEDS: dict[str, tuple[str, ...]] = {
    "torchscript": (),
    "onnx": ("onnx>=1.12.0,<2.0.0", "onnxslim>=0.1.82", "onnxruntime"),
    "openvino": ("openvino>=2024.0.0",),
    "ncnn": ("ncnn", "pnnx==20260526"),
}
"""What Ultralytics' exporter and its loader ask for, by format.

Only formats whose models this release also validates on Linux, and whose converter neither installs nor downloads
anything: the edge TPU's calls ``apt-get``, and MNN's runs ``pip install`` and sends reports over the network.
"""
_PRECISIONS: dict[str, tuple[int | None, ...]] = {
    "torchscript": (None,),  # without a GPU its exporter ignores 16
    "onnx": (None, 16, 8),
    "openvino": (None, 16),
    "ncnn": (None,),
}
_INSTEAD = {"onnxruntime": ("onnxruntime-gpu",)}
"""Distributions that do as well."""
_TRACED_FOR_ITS_DEVICE = ("torchscript",)
"""Formats that run on the kind of device they were exported on."""
_PASSES = 30

_PIPELINES = {
    "detect": "object-detection", "segment": "image-segmentation", "classify": "image-classification",
    "pose": "keypoint-detection", "obb": "object-detection",
}  # fmt: skip
_RESULT = {
    "detect": "result.boxes", "segment": "result.masks", "classify": "result.probs", "pose": "result.keypoints",
    "obb": "result.obb",
}  # fmt: skip


class YoloDeployment:
    """See :class:`yolosweep.backends.checkpoint_export.Deployment`."""

    @property
    def formats(self) -> Mapping[str, tuple[int | None, ...]]:
        """Formats that a checkpoint can be exported to, with the bits of their weights."""
        return _PRECISIONS

    def missing(self, format: str) -> tuple[str, ...]:
        """Return the distributions that an export needs and this machine lacks."""
        return tuple(needed for needed in _NEEDS[format] if not _has(needed))

    def export(self, job: ExportJob, folder: Path) -> ExportedModel:
        """Export a checkpoint, validate both on the same square images, and time both.

        Raises:
            TrainingError: Ultralytics cannot export it, or cannot run the result.
        """
        from yolosweep.backends.ultralytics.validation import validated

        def score(model: Path) -> Validation:
            return validated(
                model, task=job.task, data=job.data, split="val", settings=job.settings, on_gpu=job.on_gpu, square=True
            )

        with _quiet():
            path = _exported(job, folder)
            checkpoint, exported = score(job.weights), score(path)
            try:
                latency = _latency(job, path)
            except Exception as error:
                raise TrainingError(f"cannot time {job.weights} and its {job.format}: {last_line(error)}") from error
        names = (re.split("[<>=]", needed)[0] for needed in _NEEDS[job.format])
        packages = ("ultralytics-opencv-headless", "torch", *names)
        return ExportedModel(
            path=path,
            checkpoint=checkpoint,
            exported=exported,
            latency=latency,
            versions={name: found for name in packages if (found := _version(name)) is not None},
        )

    def card(self, task: str, settings: Mapping[str, Any]) -> CardFacts:
        """Return what a model card says: Ultralytics' license, and ``YOLO.predict``."""
        return CardFacts(
            library="ultralytics",
            pipeline_tag=_PIPELINES[task],
            license="agpl-3.0",
            license_note=(
                "AGPL-3.0, as the [Ultralytics](https://github.com/ultralytics/ultralytics) code and models that it "
                "was trained with, or a commercial license of theirs. The images it learned from have licenses of "
                "their own."
            ),
            usage=(
                "from ultralytics import YOLO\n\n"
                'model = YOLO("best.pt")\n'
                f'for result in model.predict("image.jpg", imgsz={_imgsz(settings)}):\n'
                f"    print({_RESULT[task]})\n"
            ),
        )


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Keep off standard output what converters print, some of them past Python, and ignore torch's deprecations."""
    sys.stdout.flush()
    before, nowhere = os.dup(1), os.open(os.devnull, os.O_WRONLY)
    try:
        os.dup2(nowhere, 1)
        with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()):
            warnings.simplefilter("ignore")
            yield
    finally:
        os.dup2(before, 1)
        os.close(before)
        os.close(nowhere)


def _no_telemetry() -> None:
    """Keep runtimes from sending reports, for this process; call it before they are imported.

    ONNX Runtime reads the variable when it starts (its ``Privacy.md``). OpenVINO has no switch of that kind, but does
    without the package that sends.
    """
    os.environ["ORT_DISABLE_TELEMETRY"] = "1"
    sys.modules["openvino_telemetry"] = None  # type: ignore[assignment]


def _exported(job: ExportJob, folder: Path) -> Path:
    """Write the model beside a copy of the checkpoint, where Ultralytics puts it."""
    from yolosweep.backends.ultralytics.training_environment import enter

    enter()
    _no_telemetry()
    from ultralytics import YOLO
    from ultralytics.utils import LOGGER

    LOGGER.setLevel("ERROR")
    copy = Path(shutil.copy(job.weights, folder / "best.pt"))
    arguments: dict[str, Any] = {"format": job.format, "imgsz": _imgsz(job.settings), "device": _device(job)}
    if job.quantize is not None:
        arguments["quantize"] = job.quantize
    if job.quantize == 8:
        arguments |= {"data": job.data, "split": "train"}  # calibrated without val, which has to stay unseen
    try:
        path = Path(YOLO(str(copy), task=job.task).export(**arguments))
    except Exception as error:
        raise TrainingError(f"Ultralytics cannot export {job.weights} to {job.format}: {last_line(error)}") from error
    return path


def _device(job: ExportJob) -> str | int:
    import torch

    on_gpu = job.on_gpu and torch.cuda.is_available() and job.format in _TRACED_FOR_ITS_DEVICE
    return 0 if on_gpu else "cpu"


def _latency(job: ExportJob, exported: Path) -> Latency:
    """Time single images through both models in turns, so that a busy machine slows both alike."""
    from statistics import median

    import torch
    from ultralytics.nn.autobackend import AutoBackend

    device = torch.device("cuda:0" if job.on_gpu and torch.cuda.is_available() else "cpu")
    models = [AutoBackend(model=str(path), device=device, verbose=False).eval() for path in (job.weights, exported)]
    height, width = models[1].imgsz
    image = torch.rand(1, 3, height, width, generator=torch.Generator().manual_seed(0))
    medians = [round(median(taken), 3) for taken in pass_times(models, image, passes=_PASSES)]
    return Latency(
        checkpoint_ms=medians[0],
        exported_ms=medians[1],
        checkpoint_device=str(models[0].device),
        exported_device=str(models[1].device),
        passes=_PASSES,
        threads=torch.get_num_threads(),
        imgsz=(int(height), int(width)),
    )


def _imgsz(settings: Mapping[str, Any]) -> int:
    return train_arguments().imgsz(settings)


def _version(distribution: str) -> str | None:
    try:
        return version(distribution)
    except PackageNotFoundError:
        return None


def _has(requirement: str) -> bool:
    """Return whether a distribution, or one that does as well, is installed in a version that will do."""
    from yolosweep.backends.ultralytics.training_environment import enter

    enter()
    from ultralytics.utils import LOGGER
    from ultralytics.utils.checks import check_requirements

    LOGGER.setLevel("ERROR")
    return bool(check_requirements([(requirement, *_INSTEAD.get(requirement, ()))], install=False))
