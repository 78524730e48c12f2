"""One Ultralytics training in this process, on the device that Ray granted."""

from __future__ import annotations

import contextlib
import gc
import shutil
import socket
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from yolosweep.backends.activity_meter import Watch, unwatched
from yolosweep.backends.failure_causes import End, classified, last_line
from yolosweep.backends.trainer import Cancelled, Report
from yolosweep.backends.ultralytics.arguments import train_arguments
from yolosweep.backends.ultralytics.augmentation_pipelines import build_pipeline
from yolosweep.backends.ultralytics.callbacks import Diverged, TrainingCallbacks, TrainingCancelled
from yolosweep.backends.ultralytics.ddp import ddp_trainer, my_rank
from yolosweep.backends.ultralytics.effective_settings import Change, adapted, switched_off
from yolosweep.backends.ultralytics.footprint import footprint_of
from yolosweep.backends.ultralytics.label_cache import scan_labels
from yolosweep.backends.ultralytics.tasks import class_of
from yolosweep.backends.ultralytics.trainer_mixins import make_trainer_class
from yolosweep.backends.ultralytics.training_environment import enter, log_to, scan_findings, see_only
from yolosweep.backends.ultralytics.validation import validated
from yolosweep.errors import RunFolderError, TrainingError
from yolosweep.ledger import RunFolder
from yolosweep.records import (
    Checkpoint,
    Ending,
    EpochResult,
    FileRef,
    Outcome,
    TrialRecord,
    TrialRequest,
    Validation,
    Verdict,
    record_of,
)
from yolosweep.records.footprint import FOOTPRINTS, Footprint
from yolosweep.storage.temporary_folders import scratch_folder

__all__ = ["YoloTrainer", "auto_share"]

_KEPT = ("weights/best.pt", "weights/last.pt", "results.csv", "args.yaml", "train.log")
_MAX_NOTES = 20
_LOWERINGS = 3
"""How often a training restarts with half the batch (Ultralytics halves as often within a training)."""

_AUTO_SHARE = 0.6
"""Share of the memory that ``batch: -1`` fills (utils/autobatch.py)."""


def auto_share(asked: float, gpus: float) -> float:
    """Return the share of a GPU's memory for a training that is granted so many GPUs: of one it shares, its part."""
    return (_AUTO_SHARE if asked == -1 else asked) * (gpus if 0 < gpus < 1 else 1.0)


class _Found(Exception):
    """The batch is known."""


def _stop() -> None:
    raise _Found


def _unreported(row: EpochResult, checkpoint: Checkpoint | None) -> Verdict:
    raise AssertionError("no epoch is trained to find a batch")


class YoloTrainer:
    """Runs Ultralytics trainings; see :class:`yolosweep.backends.Trainer`."""

    def prepare(self, request: TrialRequest) -> None:
        """Scan the labels, unless a scan is stored."""
        see_only(request.gpus)
        with contextlib.suppress(Exception):
            enter()
            scan_labels(request.task, request.data, request.settings)

    def find_batch(self, request: TrialRequest) -> int:
        """Return the batch of Ultralytics' AutoBatch; of a GPU that trials share, each fills its share."""
        see_only(request.gpus)
        enter()
        asked = train_arguments().value(request.settings, "batch")
        settings = {**request.settings, "batch": auto_share(asked, request.gpus)}
        request = request.model_copy(update={"settings": settings})
        with scratch_folder("batch") as scratch:
            run = _Run(request, TrainingCallbacks(request, _unreported, lambda: False, scratch), scratch)
            try:
                return run.find_batch()
            except Exception as error:
                raise TrainingError(last_line(error)) from error
            finally:
                _forget(run)

    def train(
        self, request: TrialRequest, report: Report, cancelled: Cancelled, watch: Watch = unwatched
    ) -> TrialRecord:
        """Train, or resume from a checkpoint, and return the record; an error becomes its ending."""
        see_only(request.gpus)
        enter()
        with scratch_folder(f"{request.sweep}-{request.trial}") as scratch:
            callbacks = TrainingCallbacks(request, report, cancelled, scratch, watch)
            run = _Run(request, callbacks, scratch)
            try:
                refused = run.resume()
                with log_to(callbacks.log_file):
                    end = refused or run.go()
                end = run.publish(end)
                run.measure(end)
            finally:
                _forget(run)
        return run.record(end)

    def validate(
        self,
        weights: Path,
        *,
        task: str,
        data: str,
        split: str,
        settings: Mapping[str, Any],
        gpus: float,
        pictures: Path | None = None,
    ) -> Validation:
        """Score a checkpoint on one split; see :func:`yolosweep.backends.ultralytics.validation.validated`."""
        return validated(
            weights, task=task, data=data, split=split, settings=settings, on_gpu=gpus > 0, pictures=pictures
        )


class _Run:
    """One training while it runs: the trainer object, and what the record needs."""

    def __init__(self, request: TrialRequest, watch: TrainingCallbacks, scratch: Path) -> None:
        self.request, self.watch, self.scratch = request, watch, scratch
        self.trainer: Any = None
        self.notes: list[str] = []
        self.files: dict[str, FileRef] = {}
        self.footprint: Footprint | None = None
        self.device_name = "cpu"
        self.threads = request.threads
        self._used: dict[str, Any] = {}
        self._off: dict[str, Change] = {}
        self._checkpoint: Checkpoint | None = None
        self._lowered = request.lowered

    def resume(self) -> End | None:
        """Take over the newest intact checkpoint of an earlier process; return the ending if that fails."""
        try:
            self._resume()
        except Exception as error:
            self._remember()
            return classified(error, batch=self._batch(), begun=True)
        return None

    def _resume(self) -> None:
        from yolosweep.backends.ultralytics.trainer_state import load_state

        if not self.request.resume:
            return
        checkpoint, notes = self.watch.checkpoints.newest_intact()
        self.notes += notes
        if checkpoint is None:
            self.notes.append("no intact checkpoint is left: restarted from the first epoch")
            return
        state = load_state(self.watch.checkpoints.file(checkpoint.state))
        if checkpoint.best is not None:
            self.watch.best_pt.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(self.watch.checkpoints.file(checkpoint.best), self.watch.best_pt)
        self.watch.log_file.write_text(state["log"], encoding="utf-8")
        self.watch.resume_from(state, checkpoint)

    def go(self) -> End:
        """Train and return how it ended; a training that does not fit restarts with half the batch in its first epoch.

        Ultralytics halves the batch if a training batch does not fit, but not if building, validating or the first
        optimizer step does not. A training that has a row, or is resumed, keeps its batch.
        """
        from ultralytics.utils import LOGGER

        known = len(self.notes)
        end = self._once()
        for _ in range(_LOWERINGS):
            if not self._may_lower(end):
                break
            self._lowered = self._batch() // 2
            LOGGER.warning(f"out of memory at batch {self._batch()}: restarted with batch {self._lowered}")
            del self.notes[known:]
            _forget(self)
            self.watch = self.watch.restarted()
            end = self._once()
        return end

    def _may_lower(self, end: End) -> bool:
        begun = bool(self.watch.rows) or self.request.world_size > 1
        return (
            end.ending is Ending.OOM and self.request.policy.on_oom == "lower_batch" and not begun and self._batch() > 1
        )

    def find_batch(self) -> int:
        """Set the training up until its batch is known, and return it."""
        self.trainer = self._trainer()
        with contextlib.suppress(_Found):
            self.trainer._build_train_pipeline = _stop  # the setup goes on with it
            self.trainer._setup_train()
        return int(self.trainer.batch_size)

    def _once(self) -> End:
        try:
            self.trainer = self._trainer()
            self.trainer.train()
            return End(*self.watch.ending(self.trainer))
        except TrainingCancelled:
            self.trainer.step_back()
            return End(Ending.CANCELLED, "the sweep was stopped in the middle of an epoch")
        except Diverged as error:
            return End(Ending.DIVERGED, f"{error}; lower lr0", error=str(error))
        except Exception as error:
            return classified(error, batch=self._batch(), begun=bool(self.watch.rows) or self._in_loop())
        finally:
            self._remember()

    def _in_loop(self) -> bool:
        return getattr(self.trainer, "epoch_time_start", None) is not None

    def _trainer(self) -> Any:
        base = class_of(self.request.task, "Trainer")
        settings = dict(self.request.settings)
        settings.pop("balance", None)  # not an argument of Ultralytics
        if "augmentations" in settings:
            settings["augmentations"] = build_pipeline(settings["augmentations"])
        if self.watch.resumed is not None:  # may have been lowered after an out-of-memory error
            settings["batch"] = self.watch.resumed["batch"]
        elif self._lowered is not None:
            settings["batch"] = self._lowered
        on_gpu = self.request.gpus > 0
        settings["workers"] = self._workers(settings.get("workers"), on_gpu)
        settings.update(
            model=self.request.model,
            data=self.request.data,
            task=self.request.task,
            device="0" if on_gpu else "cpu",  # Ray narrows CUDA_VISIBLE_DEVICES: the granted GPU is always the first
            save_dir=str(self.scratch),
            exist_ok=True,
        )
        self._off = switched_off(self.request.task, settings, self.request.data)
        settings.update({name: change.value for name, change in self._off.items()})
        if on_gpu:
            import torch

            self.device_name = torch.cuda.get_device_name(0)
        ours = make_trainer_class(base, self.request, self.watch, threads=self.threads, workers=settings["workers"])
        return (ddp_trainer(ours) if self.request.world_size > 1 else ours)(overrides=settings)

    def _workers(self, asked: int | None, on_gpu: bool) -> int:
        """Return the number of loader workers: within the cores of this trial, by default none on CPU."""
        if asked is None:
            return min(self.threads, 8) if on_gpu else 0
        most = max(2, self.threads)
        if asked > most:
            self.notes.append(f"workers {asked} was lowered to {most}: the trial has {self.threads} CPU cores")
        return min(int(asked), most)

    def _batch(self) -> int:
        asked = self._lowered or train_arguments().batch(self.request.settings)
        return int(getattr(self.trainer, "batch_size", asked))

    def _remember(self) -> None:
        """Note what was used and what was changed during the training, also after a failure."""
        arguments, settings = train_arguments(), self.request.settings
        asked_batch = arguments.batch(settings)
        args = vars(self.trainer.args) if self.trainer is not None else {}
        named = ("augmentations", "model")  # which the arguments hold as what they stand for
        used = {name: args.get(name, value) for name, value in self.request.asked.items() if name not in named}
        used = {**self.request.asked, **used, "imgsz": args.get("imgsz", arguments.value(settings, "imgsz"))}
        optimizer = getattr(self.trainer, "optimizer", None)
        if optimizer is not None:
            name, asked = type(optimizer).__name__, str(settings.get("optimizer"))
            used["optimizer"] = asked if asked.lower() == name.lower() else name  # torch writes RMSprop
        used["batch"] = self._batch()
        changed = {**self._off, **(adapted(self.trainer, settings) if self.trainer is not None else {})}
        used.update({name: change.value for name, change in changed.items()})
        self.notes += [
            f"{name} {arguments.value(settings, name)} was set to {change.value}: {change.why}"
            for name, change in changed.items()
        ]
        self._used = used
        if used["batch"] != asked_batch:
            self.notes.append(f"out of memory: batch {asked_batch} was lowered to {used['batch']}")
        asked_size = settings.get("imgsz", used["imgsz"])
        if used["imgsz"] != asked_size:
            self.notes.append(f"imgsz {asked_size} was rounded to {used['imgsz']}, a multiple of the model's stride")
        if self.watch.recoveries:
            self.notes.append(f"{self.watch.recoveries} epochs were trained again after NaN or out-of-memory")
        found = scan_findings()
        self.notes += found[:_MAX_NOTES]
        if len(found) > _MAX_NOTES:
            self.notes.append(f"… and {len(found) - _MAX_NOTES} more findings in the labels")

    def publish(self, end: End) -> End:
        """Copy the files of the training into the run folder; return the ending, changed if this fails."""
        folder = RunFolder(self.request.folder)
        sources = [self.scratch / name for name in _KEPT]
        if self.request.settings.get("plots"):
            sources += sorted(self.scratch.glob("*.png")) + sorted(self.scratch.glob("*.jpg"))
        if my_rank():
            return end
        if self.watch.best_epoch is None:  # no epoch gave a score, so the weights are worth nothing
            sources = [source for source in sources if source.suffix != ".pt"]
        try:
            self.watch.checkpoints.settle()
            if end.ending is Ending.CANCELLED:
                self._checkpoint = self.watch.last_checkpoint()
            for file in sources:
                if file.is_file():
                    target = folder.attempt(self.request.trial, self.request.attempt, file.name)
                    self.files[file.name] = folder.publish(file, target)
        except (OSError, RunFolderError) as error:
            return classified(error, batch=self._batch(), begun=True)
        return end

    def measure(self, end: End) -> None:
        """Measure the footprint of the best weights, if an objective asks for it and no earlier trial had the same."""
        asks = FOOTPRINTS.keys() & set(self.request.objectives)
        if (
            not asks
            or self.request.footprint is not None
            or my_rank()
            or "best.pt" not in self.files
            or not end.ending.is_measured
        ):
            return
        size, on_gpu = int(self._used["imgsz"]), self.request.gpus > 0
        self.trainer = None  # what it holds on the GPU would be in the way
        try:
            self.footprint = footprint_of(self.watch.best_pt, imgsz=size, on_gpu=on_gpu, device=self.device_name)
        except Exception as error:
            self.notes.append(f"the footprint of its model was not measured: {last_line(error)}")

    def record(self, end: End) -> TrialRecord:
        """Return the training's record."""
        outcome = Outcome(
            ending=end.ending,
            reason=end.reason,
            cause=end.cause,
            error=end.error,
            used=self._used,
            device=self.device_name,
            host=socket.gethostname(),
            seconds=self.watch.seconds,
            threads=self.threads,
            recoveries=self.watch.recoveries,
            files=self.files,
            footprint=self.footprint,
            checkpoint=self._checkpoint,
            notes=self.notes,
        )
        return record_of(self.request, self.watch.rows, outcome)


def _forget(run: _Run) -> None:
    """Free the memory of a training, so that the next one in this process starts clean."""
    run.trainer = None
    gc.collect()
    import torch

    if torch.cuda.is_initialized():  # otherwise this would initialise a GPU that a training on the CPU does not use
        torch.cuda.empty_cache()
        torch.cuda.reset_peak_memory_stats()
