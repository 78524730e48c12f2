"""The real trainer: one in-process Ultralytics training on the device Ray granted."""

from __future__ import annotations

import gc
import shutil
import socket
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from yolosweep.errors import TrainingError
from yolosweep.ledger import RunFolder
from yolosweep.records import Ending, FileRef, TrialRecord, TrialRequest, Validation
from yolosweep.training.environment import enter, log_to, scan_findings
from yolosweep.training.pipelines import build_pipeline
from yolosweep.training.seam import Cancelled, Report
from yolosweep.training.yolo_loop import Abandoned, Diverged, Watch, steered

__all__ = ["YoloTrainer"]

_TASKS = {
    "detect": ("detect", "Detection"),
    "segment": ("segment", "Segmentation"),
    "classify": ("classify", "Classification"),
    "pose": ("pose", "Pose"),
    "obb": ("obb", "OBB"),
}
_KEPT = ("weights/best.pt", "weights/last.pt", "results.csv", "args.yaml", "train.log")
_MAX_NOTES = 20


class YoloTrainer:
    """Runs Ultralytics trainings; see :class:`yolosweep.training.seam.Trainer`."""

    def train(self, request: TrialRequest, report: Report, cancelled: Cancelled) -> TrialRecord:
        """Train as asked and return the record; whatever goes wrong becomes its ending."""
        enter()
        scratch = Path(tempfile.mkdtemp(prefix=f"yolosweep-{request.sweep}-{request.trial}-"))
        handler = log_to(scratch / "train.log")
        started = time.monotonic()
        run = _Run(request, Watch(request, report, cancelled), scratch)
        try:
            ending, reason, error = run.go()
            handler.flush()
            files = run.publish()
        finally:
            handler.close()
            _forget(run)
            shutil.rmtree(scratch, ignore_errors=True)
        return TrialRecord(
            trial=request.trial,
            number=request.number,
            ending=ending,
            reason=reason,
            asked=request.asked,
            used=run.used(),
            score=run.watch.best,
            best_epoch=run.watch.best_epoch,
            epochs=len(run.watch.scores),
            seconds=round(time.monotonic() - started, 3),
            files=files,
            device=run.device_name,
            host=socket.gethostname(),
            notes=tuple(run.notes),
            error=error,
        )

    def validate(self, weights: Path, *, task: str, data: str, split: str, settings: Mapping[str, Any]) -> Validation:
        """Score a checkpoint on one split the way Ultralytics does it at the end of a training.

        Raises:
            TrainingError: the file cannot be loaded, or the data are not there.
        """
        enter()
        from ultralytics.utils import LOGGER

        LOGGER.setLevel("ERROR")
        folder, prefix = _TASKS[task]
        scratch = Path(tempfile.mkdtemp(prefix="yolosweep-val-"))
        how = {key: settings[key] for key in ("imgsz", "iou", "max_det", "single_cls") if key in settings}
        # The validator of a training gets twice the training batch, rectangular: same grouping, same score.
        double = task not in ("obb", "classify")
        batch = int(settings.get("batch", 16)) * (2 if double else 1)
        arguments = {
            **how, "batch": batch, "rect": task != "classify", "plots": False, "verbose": False, "mode": "val",
            "task": task, "data": data, "split": split, "workers": 0, "save_dir": str(scratch), "model": str(weights),
        }  # fmt: skip
        try:
            from importlib import import_module

            validator_class = getattr(import_module(f"ultralytics.models.yolo.{folder}"), f"{prefix}Validator")
            validator = validator_class(args=arguments, save_dir=scratch)
            stats = validator(model=str(weights))
        except Exception as error:
            raise TrainingError(f"cannot validate {weights} on {split} of {data}: {_last_line(error)}") from error
        finally:
            shutil.rmtree(scratch, ignore_errors=True)
        metrics = {name: round(float(value), 5) for name, value in stats.items() if name != "fitness"}
        return Validation(split=split, metrics=metrics, per_class=_per_class(validator))


def _per_class(validator: Any) -> dict[str, dict[str, float]]:
    """Return the metrics of every class that occurs, where the task has them (not for classify)."""
    metrics = validator.metrics
    if not hasattr(metrics, "ap_class_index") or not hasattr(metrics, "class_result"):
        return {}
    keys = [key for key in metrics.keys if key.startswith("metrics/")]
    return {
        str(validator.names[int(index)]): {
            key: round(float(value), 5) for key, value in zip(keys, metrics.class_result(position), strict=False)
        }
        for position, index in enumerate(metrics.ap_class_index)
    }


class _Run:
    """One training while it runs: the trainer object, and what to tell afterwards."""

    def __init__(self, request: TrialRequest, watch: Watch, scratch: Path) -> None:
        self.request, self.watch, self.scratch = request, watch, scratch
        self.trainer: Any = None
        self.notes: list[str] = []
        self.device_name = "cpu"
        self._used: dict[str, Any] = {}

    def go(self) -> tuple[Ending, str, str | None]:
        """Train; return the ending, its reason, and the error's last line if there was one."""
        try:
            self.trainer = self._trainer()
            self.trainer.train()
            return *self.watch.ending(self.trainer), None
        except Abandoned:
            return Ending.CANCELLED, "the sweep was stopped in the middle of an epoch", None
        except Diverged as error:
            return Ending.DIVERGED, f"{error}; lower lr0", str(error)
        except (MemoryError, RuntimeError) as error:
            return self._classified(error)
        except Exception as error:
            return Ending.FAILED, f"{type(error).__name__}: {_last_line(error)}", _last_line(error)
        finally:
            self._remember()

    def _classified(self, error: Exception) -> tuple[Ending, str, str]:
        text = _last_line(error)
        if isinstance(error, MemoryError) or "out of memory" in str(error).lower():
            return Ending.OOM, f"out of memory at batch {self._batch()}; lower batch or imgsz", text
        if "NaN" in str(error):
            return Ending.DIVERGED, "the loss became NaN and stayed so; lower lr0", text
        return Ending.FAILED, f"{type(error).__name__}: {text}", text

    def _trainer(self) -> Any:
        from importlib import import_module

        folder, prefix = _TASKS[self.request.task]
        base = getattr(import_module(f"ultralytics.models.yolo.{folder}"), f"{prefix}Trainer")
        threads = max(1, int(self.request.cpus))
        settings = dict(self.request.settings)
        if "augmentations" in settings:
            settings["augmentations"] = build_pipeline(settings["augmentations"])
        on_gpu = self.request.gpus > 0
        settings.setdefault("workers", min(threads, 8) if on_gpu else 0)
        settings.update(
            model=self.request.model,
            data=self.request.data,
            task=self.request.task,
            device="0" if on_gpu else "cpu",  # Ray narrows CUDA_VISIBLE_DEVICES: the granted GPU is always the first
            save_dir=str(self.scratch),
            exist_ok=True,
        )
        trainer = steered(base, self.request, self.watch, threads)(overrides=settings)
        if on_gpu:
            import torch

            self.device_name = torch.cuda.get_device_name(0)
        return trainer

    def _batch(self) -> int:
        return int(getattr(self.trainer, "batch_size", self.request.settings.get("batch", 16)))

    def _remember(self) -> None:
        """Note what was really used and what was changed on the way, also after a failure."""
        asked_batch = self.request.settings.get("batch", 16)
        args = vars(self.trainer.args) if self.trainer is not None else {}
        used = {name: args.get(name, value) for name, value in self.request.asked.items() if name != "augmentations"}
        used = {**self.request.asked, **used, "imgsz": args.get("imgsz", self.request.settings.get("imgsz", 640))}
        optimizer = getattr(self.trainer, "optimizer", None)
        if optimizer is not None:
            used["optimizer"] = type(optimizer).__name__
        used["batch"] = self._batch()
        self._used = used
        if used["batch"] != asked_batch:
            self.notes.append(f"out of memory: batch {asked_batch} was lowered to {used['batch']}")
        asked_size = self.request.settings.get("imgsz", used["imgsz"])
        if used["imgsz"] != asked_size:
            self.notes.append(f"imgsz {asked_size} was rounded to {used['imgsz']}, a multiple of the model's stride")
        if self.watch.repeats:
            self.notes.append(f"{self.watch.repeats} epochs were trained again after NaN or out-of-memory")
        found = scan_findings()
        self.notes += found[:_MAX_NOTES]
        if len(found) > _MAX_NOTES:
            self.notes.append(f"… and {len(found) - _MAX_NOTES} more findings in the labels")

    def used(self) -> dict[str, Any]:
        """Return the searched parameters, batch, imgsz and optimizer as they really were."""
        return self._used

    def publish(self) -> dict[str, FileRef]:
        """Copy what the training left into the run folder; checkpoints only of whole epochs."""
        folder = RunFolder(self.request.folder)
        target = folder.trial(self.request.trial)
        sources = [self.scratch / name for name in _KEPT]
        if self.request.settings.get("plots"):
            sources += sorted(self.scratch.glob("*.png")) + sorted(self.scratch.glob("*.jpg"))
        if self.watch.best is None:  # no epoch gave a score: there is nothing worth keeping in the weights
            sources = [source for source in sources if source.suffix != ".pt"]
        return {file.name: folder.publish(file, target / file.name) for file in sources if file.is_file()}


def _forget(run: _Run) -> None:
    """Free what a training holds, so that the next one in this process starts clean."""
    run.trainer = None
    gc.collect()
    import torch

    if torch.cuda.is_available():
        torch.cuda.empty_cache()
        torch.cuda.reset_peak_memory_stats()


def _last_line(error: BaseException) -> str:
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return (lines[-1] if lines else type(error).__name__)[:500]
