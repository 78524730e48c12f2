"""Callbacks of one Ultralytics training: a row and a checkpoint out after every epoch, a verdict in."""

from __future__ import annotations

import math
import os
import shutil
import socket
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import Any

from yolosweep.backends.activity_meter import ActivityMeter, Watch, unwatched
from yolosweep.backends.checkpoints import Checkpoints
from yolosweep.backends.trainer import Cancelled, Report
from yolosweep.diagnosis.curves import progress
from yolosweep.records import Checkpoint, Ending, EpochResult, FileRef, TrialRequest, Verdict
from yolosweep.records.worker_activity import Stage
from yolosweep.storage.atomic_files import Content

__all__ = ["Diverged", "TrainingCallbacks", "TrainingCancelled", "device_name"]


class TrainingCancelled(Exception):
    """Raised between two batches when the sweep asks to stop now; the files of the last complete epoch stay."""


class Diverged(Exception):
    """Raised when the loss is not finite and there is no state to return to; Ultralytics would train on."""


class TrainingCallbacks:
    """Turns every epoch of one training into a row, keeps its checkpoints, and passes the verdict on.

    Args:
        request: the training.
        report: takes rows and checkpoints.
        cancelled: asked between batches.
        scratch: the training's own folder; Ultralytics writes into it.
        watch: receives what the training does within an epoch.
    """

    def __init__(
        self, request: TrialRequest, report: Report, cancelled: Cancelled, scratch: Path, watch: Watch = unwatched
    ) -> None:
        self._request, self._report, self._cancelled, self._scratch = request, report, cancelled, scratch
        self._watch, self._meter = watch, ActivityMeter(request.trial, watch)
        self.checkpoints = Checkpoints(request)
        self.resumed: dict[str, Any] | None = None
        """The state it is resumed from."""
        self._best_file: FileRef | None = None
        self._best_stored = self._epoch_stored = 0
        self._state: Path | None = None
        self._stored_at = time.monotonic()
        self._epoch_started = self._train_seconds = 0.0
        self._seen_epoch = -1
        self.rows: list[EpochResult] = []
        """All epochs trained, also by earlier processes."""
        self._started, self._spent = time.monotonic(), 0.0
        self.verdict = Verdict.CONTINUE
        self._over = False
        self.recoveries = 0
        """Epochs trained again after a NaN or an out-of-memory error."""

    def restarted(self) -> TrainingCallbacks:
        """Return callbacks for a restart with one more recovery; the scratch folder is emptied, except for the log."""
        for left in self._scratch.iterdir():
            if left.is_dir():
                shutil.rmtree(left)
            elif left != self.log_file:
                left.unlink()
        fresh = TrainingCallbacks(self._request, self._report, self._cancelled, self._scratch, self._watch)
        fresh.recoveries = self.recoveries + 1  # counted like an epoch trained again
        fresh._started = self._started
        return fresh

    @property
    def best_pt(self) -> Path:
        """Where the training's best weights are written."""
        return self._scratch / "weights" / "best.pt"

    @property
    def log_file(self) -> Path:
        """Where Ultralytics' log of this training goes."""
        return self._scratch / "train.log"

    def resume_from(self, state: dict[str, Any], checkpoint: Checkpoint) -> None:
        """Take over what an earlier process has seen of this training."""
        self.resumed = state
        self.rows, self.recoveries = rows_of(state, self._request.mode), state["recoveries"]
        self._spent = state.get("spent", state["seconds"])
        self._best_file, self._best_stored = checkpoint.best, self.best_epoch or 0
        self._epoch_stored = checkpoint.epoch

    @property
    def best_epoch(self) -> int | None:
        """Epoch of the best score so far, counted from 1; None while no epoch gave one."""
        return self.rows[-1].best_epoch if self.rows else None

    @property
    def seconds(self) -> float:
        """Wall time of all processes that trained this trial, setup included."""
        return self._spent + time.monotonic() - self._started

    def callbacks(self) -> dict[str, Callable[[Any], Any]]:
        """Return our callbacks by Ultralytics' event names."""
        return {
            "on_pretrain_routine_start": lambda trainer: self._meter.begin(Stage.SET_UP),
            "on_train_epoch_start": self._epoch_start,
            "on_train_batch_end": self._batch_end,
            "on_train_epoch_end": self._train_end,
            "on_val_start": lambda validator: self._meter.begin(Stage.VALIDATE, of=len(validator.dataloader)),
            "on_val_batch_end": self._val_batch_end,
            "on_fit_epoch_end": self._epoch_end,
        }

    def _epoch_start(self, trainer: Any) -> None:
        if trainer.epoch == self._seen_epoch:
            self.recoveries += 1
        self._seen_epoch = trainer.epoch
        self._epoch_started = time.monotonic()
        self._meter.begin(Stage.TRAIN, epoch=trainer.epoch + 1, of=len(trainer.train_loader))

    def _val_batch_end(self, validator: Any) -> None:
        self._meter.batch()
        self._cancelled()  # a heartbeat; only training obeys it

    def _batch_end(self, trainer: Any) -> None:
        self._meter.batch(partial(_running_losses, trainer), partial(_gpu_mb, trainer.device))
        if self._cancelled():
            self.verdict = Verdict.CANCEL
            raise TrainingCancelled
        # Several ranks have to agree, which they do at the end of the epoch.
        if not trainer.epoch and trainer.world_size_ == 1 and not math.isfinite(float(trainer.loss.detach())):
            raise Diverged("the loss of the first epoch is not finite")

    def _train_end(self, trainer: Any) -> None:
        self._train_seconds = time.monotonic() - self._epoch_started
        if trainer.epoch:
            return
        if trainer.any_rank(not all(math.isfinite(float(value)) for value in trainer.tloss.values())):
            raise Diverged("the loss of the first epoch is not finite")

    def _epoch_end(self, trainer: Any) -> None:
        if trainer.rank_:  # rank 0 reports and stores; the others only keep a state to return to
            trainer.save_state(rows=[], spent=0.0, recoveries=0, log="")
            return
        row = self._row(trainer)
        self._over = bool(trainer.stop)
        rows = [row.model_dump(mode="json") for row in self.rows]
        seen = {"rows": rows, "spent": self.seconds, "recoveries": self.recoveries, "log": self._log()}
        save = partial(trainer.save_state, **seen)
        checkpoint = self._stored(save) if self._is_due(row.epoch) else None
        if checkpoint is None:  # the next epoch may have to return to it
            save()
        else:
            trainer.state_file = self.checkpoints.file(checkpoint.state)
        self._state = trainer.state_file
        self.verdict = self._report(row, checkpoint)
        if checkpoint is not None and self.verdict is not Verdict.CANCEL:
            self.checkpoints.tidy()
        if self.verdict is not Verdict.CONTINUE:
            trainer.stop = True

    def _is_due(self, epoch: int) -> bool:
        every = self._request.policy.checkpoint_every
        if epoch >= self._request.epochs or self._cancelled():
            return True
        return epoch % every == 0 if isinstance(every, int) else time.monotonic() - self._stored_at >= every

    def _stored(self, state: Content) -> Checkpoint:
        """Store a resumable state, and the best weights if they are newer than the stored ones."""
        best: Path | FileRef | None = self._best_file
        if self.best_epoch is not None and self.best_epoch > self._best_stored and self.best_pt.exists():
            best = self.best_pt
        checkpoint = self.checkpoints.store(len(self.rows), state, best)
        self._best_file, self._best_stored = checkpoint.best, self.best_epoch or 0
        self._stored_at, self._epoch_stored = time.monotonic(), len(self.rows)
        return checkpoint

    def last_checkpoint(self) -> Checkpoint | None:
        """Store the last complete epoch of a stopped training; None if it is stored already."""
        if self._state is None or self._epoch_stored == len(self.rows):
            return None
        return self._stored(self._state)

    def _log(self) -> str:
        return self.log_file.read_text(encoding="utf-8", errors="replace") if self.log_file.exists() else ""

    def _row(self, trainer: Any) -> EpochResult:
        values = {**trainer.label_loss_items(trainer.tloss), **trainer.metrics, **trainer.lr}
        metrics = {name: float(value) for name, value in values.items()}
        score = metrics[self._request.metric]
        state = progress([*(row.score for row in self.rows), score], self._request.mode)
        images = len(trainer.train_loader.dataset)
        row = EpochResult(
            epoch=trainer.epoch + 1,
            metrics=metrics,
            score=score,
            best_score=state.best_score,
            best_epoch=state.best_epoch,
            epochs_without_gain=state.epochs_without_gain,
            seconds=round(time.monotonic() - self._epoch_started, 3),
            images_per_s=round(images / self._train_seconds, 2) if self._train_seconds else None,
            memory_mb=_resident_mb(),
            gpu_memory_mb=_gpu_mb(trainer.device),
            batch=trainer.batch_size,
            device=device_name(trainer.device),
            host=socket.gethostname(),
            recoveries=self.recoveries,
        )
        self.rows.append(row)
        return row

    def ending(self, trainer: Any) -> tuple[Ending, str]:
        """Return the ending of a training that ended by itself, and a sentence on why."""
        epochs = len(self.rows)
        if self.verdict is Verdict.PRUNE:
            return Ending.PRUNED, f"behind the other trials after epoch {epochs}"
        if self.verdict is Verdict.CANCEL and not self._over:
            return Ending.CANCELLED, f"the sweep was stopped after epoch {epochs}"
        if epochs < self._request.epochs:
            return Ending.PATIENCE, f"no gain for {trainer.args.patience} epochs after epoch {self.best_epoch}"
        return Ending.FINISHED, f"all {epochs} epochs trained"


def rows_of(state: Mapping[str, Any], mode: str) -> list[EpochResult]:
    """Return the epochs a state has seen; states of earlier releases contain only the scores."""
    if "rows" in state:
        return [EpochResult.model_validate(row) for row in state["rows"]]
    rows = []
    for epoch, score in enumerate(state["scores"], 1):
        so_far = progress(state["scores"][:epoch], mode)
        rows.append(
            EpochResult(epoch=epoch, metrics={}, score=score, seconds=None, images_per_s=None, **asdict(so_far))
        )
    return rows


def device_name(device: Any) -> str:
    """Return ``cpu`` or the GPU's name."""
    if device.type != "cuda":
        return str(device.type)
    import torch

    return str(torch.cuda.get_device_name(device))


def _running_losses(trainer: Any) -> dict[str, float]:
    return {name: float(value) for name, value in trainer.tloss.items()}


def _resident_mb() -> float:
    import psutil

    return round(float(psutil.Process(os.getpid()).memory_info().rss) / 2**20, 1)


def _gpu_mb(device: Any) -> float | None:
    if device.type != "cuda":
        return None
    import torch

    return round(float(torch.cuda.max_memory_allocated(device)) / 2**20, 1)
