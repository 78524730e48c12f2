"""The toy trainer: the complete contract of a trainer in milliseconds, with numpy and Pillow only."""

from __future__ import annotations

import math
import shutil
import socket
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

from ruamel.yaml import YAML

from yolosweep.backends.activity_meter import ActivityMeter, Watch, unwatched
from yolosweep.backends.bootstrap_resampling import mean_over_images
from yolosweep.backends.checkpoints import Checkpoints
from yolosweep.backends.failure_causes import cause_of
from yolosweep.backends.toy.arguments import ARGUMENTS
from yolosweep.backends.toy.crops import Crops, read_crops
from yolosweep.backends.toy.image_predictions import answers_of
from yolosweep.backends.toy.model import (
    ACCURACY,
    Descent,
    State,
    footprint_of,
    load_checkpoint,
    load_state,
    save_checkpoint,
    save_results,
    save_state,
)
from yolosweep.backends.trainer import Cancelled, Report
from yolosweep.diagnosis.curves import Progress, progress
from yolosweep.errors import TrainingError
from yolosweep.ledger import RunFolder
from yolosweep.records import (
    Cause,
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
from yolosweep.records.worker_activity import Stage
from yolosweep.storage.temporary_folders import scratch_folder

__all__ = ["ToyTrainer"]

_DEFAULTS = {name: ARGUMENTS.defaults[name] for name in ("batch", "lr0", "weight_decay", "patience")} | {"seed": 0}
_FILES = ("args.yaml", "best.pt", "last.pt", "results.csv")


class ToyTrainer:
    """Learns to distinguish red crops from others; see :class:`yolosweep.backends.Trainer`."""

    def prepare(self, request: TrialRequest) -> None:
        """Do nothing: every training reads its images itself."""

    def find_batch(self, request: TrialRequest) -> int:
        """Return the default: it needs no GPU."""
        return int(ARGUMENTS.defaults["batch"])

    def train(
        self, request: TrialRequest, report: Report, cancelled: Cancelled, watch: Watch = unwatched
    ) -> TrialRecord:
        """Train and return the record; an error becomes its ending."""
        run = _Run(request, report, cancelled, ActivityMeter(request.trial, watch))
        try:
            with scratch_folder(f"{request.sweep}-{request.trial}") as scratch:
                end = run.go(scratch)
                run.publish(scratch)
                run.measure(end, scratch / "best.pt")
        except Exception as fault:  # the disk is full, or the run folder is gone
            end = _failure(fault)
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
        """Score a checkpoint on one split; answers are kept with ``pictures``, plots are not drawn.

        Raises:
            TrainingError: the file is not a checkpoint of the toy, or the data are missing.
        """
        model, crops = load_checkpoint(Path(weights)), read_crops(data, split)
        right = model.is_correct(crops)
        kinds = {crops.kinds[number]: crops.is_red == number for number in (1, 0)}
        return Validation(
            split=split,
            metrics=model.measured(crops),
            per_class={name: {ACCURACY: float(right[chosen].mean())} for name, chosen in kinds.items() if chosen.any()},
            weights_sha256=model.sha256,
            resampled=mean_over_images(model.measured_each(crops), crops.image, crops.images),
            answers=answers_of(model, crops) if pictures else (),
        )


class _End(NamedTuple):
    """How a training ended."""

    ending: Ending
    reason: str
    error: str | None = None
    """Last line of the exception, if there was one."""
    cause: Cause | None = None


def _failure(error: Exception, cause: Cause | None = None) -> _End:
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    text = (lines[-1] if lines else type(error).__name__)[:500]
    return _End(Ending.FAILED, f"{type(error).__name__}: {text}", text, cause or cause_of(error, begun=True))


class _Run:
    """One training while it runs."""

    def __init__(self, request: TrialRequest, report: Report, cancelled: Cancelled, meter: ActivityMeter) -> None:
        self.request, self._report, self._cancelled, self._meter = request, report, cancelled, meter
        self._settings: dict[str, Any] = {**_DEFAULTS, **request.settings}
        self._patience = int(self._settings["patience"] or 0) or math.inf
        self._state: Progress = progress([])
        self._files: dict[str, FileRef] = {}
        self._footprint: Footprint | None = None
        self._rows: list[EpochResult] = []
        self._notes: list[str] = []
        self._checkpoints = Checkpoints(request)
        self._best: tuple[int | None, FileRef | None] = (None, None)
        self._epoch_stored = 0
        self._last_checkpoint: Checkpoint | None = None
        self._started = self._stored_at = time.monotonic()
        self._spent = 0.0

    def go(self, scratch: Path) -> _End:
        """Train, from the newest intact checkpoint if the request names any; return how it ended."""
        try:
            self._write_arguments(scratch / "args.yaml")
            try:
                train, val = (read_crops(self.request.data, split) for split in ("train", "val"))
                if len(set(train.is_red)) < 2:
                    raise TrainingError(f"all {len(train)} crops of train are of one kind; toy/red distinguishes two")
            except (TrainingError, OSError, UnicodeDecodeError) as error:
                return _failure(error, Cause.DATA)
            descent = Descent(
                train,
                batch=int(self._settings["batch"]),
                lr0=float(self._settings["lr0"]),
                weight_decay=float(self._settings["weight_decay"]),
                seed=int(self._settings["seed"]),
            )
            self._resume(descent, scratch)
            end = self._epochs(descent, len(train), val, scratch)
            if end.ending is Ending.CANCELLED and self._epoch_stored < len(self._rows):
                self._last_checkpoint = self._checkpoint(descent, scratch)
            self._checkpoints.settle()
            return end
        except Exception as error:
            return _failure(error)

    def _resume(self, descent: Descent, scratch: Path) -> None:
        """Restore the newest intact checkpoint; without one the training restarts."""
        checkpoint, skipped = self._checkpoints.newest_intact()
        if checkpoint is not None:
            state = load_state(self._checkpoints.file(checkpoint.state))
            descent.weights = state.weights
            self._rows, self._spent, self._notes = state.rows, state.seconds, state.notes
            self._state = progress([row.score for row in self._rows], self.request.mode)
            self._best, self._epoch_stored = (self._state.best_epoch, checkpoint.best), len(self._rows)
            if checkpoint.best is not None:
                shutil.copyfile(self._checkpoints.file(checkpoint.best), scratch / "best.pt")
            self._save(scratch / "last.pt", descent)
            self._checkpoints.tidy()
        elif skipped:
            skipped.append("no intact checkpoint is left: restarted from the first epoch")
        self._notes += skipped

    def _epochs(self, descent: Descent, size: int, val: Crops, scratch: Path) -> _End:
        for epoch in range(len(self._rows) + 1, self.request.epochs + 1):
            if self._out_of_patience():
                break
            started, total, before = time.monotonic(), 0.0, descent.weights
            self._meter.begin(Stage.TRAIN, epoch=epoch, of=-(-size // int(self._settings["batch"])))
            for error in descent.epoch(epoch):
                total += error
                self._meter.batch()
                if self._cancelled():
                    descent.weights = before
                    return _End(Ending.CANCELLED, "the sweep was stopped in the middle of an epoch")
            model, loss = descent.model(), total / size
            if not (math.isfinite(loss) and math.isfinite(model.w) and math.isfinite(model.b)):
                text = f"the loss or the weights of epoch {epoch} are not finite"
                return _End(Ending.DIVERGED, f"{text}; lower lr0", text)
            row = self._row(epoch, {"train/loss": loss, **model.measured(val)}, started, size)
            self._save(scratch / "last.pt", descent)
            if self._state.best_epoch == epoch:
                shutil.copyfile(scratch / "last.pt", scratch / "best.pt")
            verdict = self._report(row, self._checkpoint(descent, scratch) if self._is_due(epoch) else None)
            if verdict is Verdict.PRUNE:
                return _End(Ending.PRUNED, f"behind the other trials after epoch {epoch}")
            if verdict is Verdict.CANCEL:
                return _End(Ending.CANCELLED, f"the sweep was stopped after epoch {epoch}")
            self._checkpoints.tidy()
        if self._out_of_patience() and len(self._rows) < self.request.epochs:
            reason = f"no gain for {self._patience} epochs after epoch {self._state.best_epoch}"
            return _End(Ending.PATIENCE, reason)
        return _End(Ending.FINISHED, f"all {self.request.epochs} epochs trained")

    def _out_of_patience(self) -> bool:
        return bool(self._rows) and self._state.epochs_without_gain >= self._patience

    def _is_due(self, epoch: int) -> bool:
        """Return whether a checkpoint is stored after this epoch; after the last one it always is."""
        every = self.request.policy.checkpoint_every
        due = epoch % every == 0 if isinstance(every, int) else time.monotonic() - self._stored_at >= every
        return due or epoch == self.request.epochs or self._out_of_patience() or self._cancelled()

    def _checkpoint(self, descent: Descent, scratch: Path) -> Checkpoint:
        state = State(weights=descent.weights, rows=self._rows, seconds=self._seconds(), notes=self._notes)
        save_state(scratch / "state", state)
        best_epoch, best = self._state.best_epoch, self._best[1]
        is_new = best_epoch is not None and best_epoch != self._best[0]
        stored = self._checkpoints.store(len(self._rows), scratch / "state", scratch / "best.pt" if is_new else best)
        self._best, self._stored_at = (best_epoch, stored.best), time.monotonic()
        self._epoch_stored = stored.epoch
        return stored

    def _seconds(self) -> float:
        return round(self._spent + time.monotonic() - self._started, 3)

    def _row(self, epoch: int, metrics: dict[str, float | None], started: float, size: int) -> EpochResult:
        metrics["lr/pg0"] = float(self._settings["lr0"])
        if self.request.metric not in metrics:
            raise TrainingError(
                f"search.metric={self.request.metric} is not reported by toy/red; it has {', '.join(metrics)}"
            )
        score = metrics[self.request.metric]
        self._state = progress([*(row.score for row in self._rows), score], self.request.mode)
        seconds = time.monotonic() - started
        row = EpochResult(
            epoch=epoch,
            metrics=metrics,
            score=score,
            best_score=self._state.best_score,
            best_epoch=self._state.best_epoch,
            epochs_without_gain=self._state.epochs_without_gain,
            seconds=round(seconds, 6),
            images_per_s=round(size / seconds, 2) if seconds else None,
            memory_mb=_resident_mb(),
            host=socket.gethostname(),
        )
        self._rows.append(row)
        return row

    def _save(self, path: Path, descent: Descent) -> None:
        about = {"normalisation": descent.normalisation(), "settings": dict(self.request.settings)}
        save_checkpoint(path, descent.model(), epoch=len(self._rows), **about)

    def _write_arguments(self, path: Path) -> None:
        asked = {"task": self.request.task, "model": self.request.model, "data": self.request.data}
        yaml = YAML(typ="safe", pure=True)
        yaml.default_flow_style = False
        with path.open("w", encoding="utf-8") as stream:
            yaml.dump({**asked, **self._settings}, stream)

    def publish(self, scratch: Path) -> None:
        """Copy the files of the training into the run folder."""
        if self._rows:
            save_results(scratch / "results.csv", self._rows)
        folder = RunFolder(self.request.folder)
        for name in _FILES:
            if (scratch / name).exists():
                target = folder.attempt(self.request.trial, self.request.attempt, name)
                self._files[name] = folder.publish(scratch / name, target)

    def measure(self, end: _End, weights: Path) -> None:
        """Measure the footprint of the best weights, if an objective asks for it and no earlier trial had the same."""
        asks = FOOTPRINTS.keys() & set(self.request.objectives)
        if asks and self.request.footprint is None and end.ending.is_measured and "best.pt" in self._files:
            self._footprint = footprint_of(weights)

    def record(self, end: _End) -> TrialRecord:
        """Return the record of the training, earlier attempts included."""
        request = self.request
        if request.world_size > 1:
            self._notes.append(f"toy/red trains in one process: {request.world_size - 1} of its ranks were idle")
        outcome = Outcome(
            ending=end.ending,
            reason=end.reason,
            cause=end.cause,
            error=end.error,
            used={**request.asked, "batch": self._settings["batch"], "optimizer": "SGD"},
            device="cpu",
            host=socket.gethostname(),
            seconds=self._seconds(),
            world_size=1,
            files=self._files,
            footprint=self._footprint,
            checkpoint=self._last_checkpoint,
            notes=self._notes,
        )
        return record_of(request, self._rows, outcome)


def _resident_mb() -> float:
    import psutil

    return round(float(psutil.Process().memory_info().rss) / 2**20, 1)
