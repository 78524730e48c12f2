"""The toy trainer: the whole contract of a trainer in milliseconds, with numpy and Pillow alone."""

from __future__ import annotations

import csv
import math
import os
import shutil
import socket
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from ruamel.yaml import YAML

from yolosweep.curves import Progress, progress
from yolosweep.errors import TrainingError
from yolosweep.ledger import RunFolder
from yolosweep.records import Ending, EpochRow, FileRef, TrialRecord, TrialRequest, Validation, Verdict
from yolosweep.training.seam import Cancelled, Report
from yolosweep.training.toy_data import Crops, read_crops
from yolosweep.training.toy_model import Descent, RedModel, load_checkpoint, mean_squared_error, save_checkpoint

__all__ = ["ToyTrainer"]

_DEFAULTS = {"batch": 16, "lr0": 0.01, "weight_decay": 0.0005, "patience": 100, "seed": 0}
"""As in Ultralytics."""

_ACCURACY = "metrics/accuracy_top1"


class ToyTrainer:
    """Learns to tell red crops from others; see :class:`yolosweep.training.seam.Trainer`."""

    def train(self, request: TrialRequest, report: Report, cancelled: Cancelled) -> TrialRecord:
        """Train as asked and return the record; whatever goes wrong becomes its ending."""
        started = time.monotonic()
        run = _Run(request, report, cancelled)
        try:
            with tempfile.TemporaryDirectory(prefix=f"yolosweep-{request.trial}-") as scratch:
                ending, reason, error = run.go(Path(scratch))
                run.publish(Path(scratch))
        except Exception as fault:  # the disk is full, or the run folder is gone
            ending, reason, error = _failure(fault)
        return TrialRecord(
            trial=request.trial,
            number=request.number,
            ending=ending,
            reason=reason,
            asked=request.asked,
            used={**request.asked, "batch": run.settings["batch"], "optimizer": "SGD"},
            score=run.state.best_score,
            best_epoch=run.state.best_epoch,
            epochs=len(run.scores),
            seconds=round(time.monotonic() - started, 3),
            files=run.files,
            host=socket.gethostname(),
            error=error,
        )

    def validate(self, weights: Path, *, task: str, data: str, split: str, settings: Mapping[str, Any]) -> Validation:
        """Score a checkpoint on one split.

        Raises:
            TrainingError: the file is no checkpoint of the toy, or the data are not there.
        """
        model, crops = load_checkpoint(Path(weights)), read_crops(data, split)
        right = _right(model, crops)
        kinds = {crops.positive: crops.is_red == 1, f"not {crops.positive}": crops.is_red == 0}
        return Validation(
            split=split,
            metrics=_measured(model, crops),
            per_class={
                name: {_ACCURACY: float(right[chosen].mean())} for name, chosen in kinds.items() if chosen.any()
            },
        )


def _right(model: RedModel, crops: Crops) -> Any:
    """Return whether each crop is told right."""
    return (model.predict(crops.mean_red) > 0.5) == (crops.is_red == 1)


def _measured(model: RedModel, crops: Crops) -> dict[str, float | None]:
    return {
        "val/loss": mean_squared_error(model.predict(crops.mean_red), crops.is_red),
        _ACCURACY: float(np.mean(_right(model, crops))),
    }


def _failure(error: Exception) -> tuple[Ending, str, str]:
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    text = (lines[-1] if lines else type(error).__name__)[:500]
    return Ending.FAILED, f"{type(error).__name__}: {text}", text


class _Run:
    """One training while it runs."""

    def __init__(self, request: TrialRequest, report: Report, cancelled: Cancelled) -> None:
        self.request, self._report, self._cancelled = request, report, cancelled
        self.settings: dict[str, Any] = {**_DEFAULTS, **request.settings}
        self.scores: list[float | None] = []
        self.state: Progress = progress([])
        self.files: dict[str, FileRef] = {}
        self._rows: list[EpochRow] = []
        self._started = time.monotonic()

    def go(self, scratch: Path) -> tuple[Ending, str, str | None]:
        """Train; return the ending, its reason, and the error's last line if there was one."""
        try:
            self._write_arguments(scratch / "args.yaml")
            train, val = (read_crops(self.request.data, split) for split in ("train", "val"))
            if len(set(train.is_red)) < 2:
                raise TrainingError(f"all {len(train)} crops of train are of one kind; toy/red tells two apart")
            descent = Descent(
                train,
                batch=int(self.settings["batch"]),
                lr0=float(self.settings["lr0"]),
                weight_decay=float(self.settings["weight_decay"]),
                seed=int(self.settings["seed"]),
            )
            return self._epochs(descent, len(train), val, scratch)
        except Exception as error:
            return _failure(error)

    def _epochs(self, descent: Descent, size: int, val: Crops, scratch: Path) -> tuple[Ending, str, str | None]:
        patience = int(self.settings["patience"] or 0) or math.inf
        for epoch in range(1, self.request.epochs + 1):
            started, total = time.monotonic(), 0.0
            for error in descent.epoch(epoch):
                total += error
                if self._cancelled():
                    return Ending.CANCELLED, "the sweep was stopped in the middle of an epoch", None
            model, loss = descent.model(), total / size
            if not (math.isfinite(loss) and math.isfinite(model.w) and math.isfinite(model.b)):
                text = f"the loss or the weights of epoch {epoch} are not finite"
                return Ending.DIVERGED, f"{text}; lower lr0", text
            row = self._row(epoch, {"train/loss": loss, **_measured(model, val)}, started, size)
            self._save(scratch, model, epoch, descent)
            verdict = self._report(row, None)
            if verdict is Verdict.PRUNE:
                return Ending.PRUNED, f"behind the other trials after epoch {epoch}", None
            if verdict is Verdict.CANCEL:
                return Ending.CANCELLED, f"the sweep was stopped after epoch {epoch}", None
            if self.state.epochs_without_gain >= patience and epoch < self.request.epochs:
                best = self.state.best_epoch
                return Ending.PATIENCE, f"no gain for {patience} epochs after epoch {best}", None
        return Ending.FINISHED, f"all {self.request.epochs} epochs trained", None

    def _row(self, epoch: int, metrics: dict[str, float | None], started: float, size: int) -> EpochRow:
        metrics["lr/pg0"] = float(self.settings["lr0"])
        if self.request.metric not in metrics:
            raise TrainingError(
                f"search.metric={self.request.metric} is not reported by toy/red; it has {', '.join(metrics)}"
            )
        self.scores.append(metrics[self.request.metric])
        self.state = progress(self.scores, self.request.mode)
        seconds = time.monotonic() - started
        row = EpochRow(
            epoch=epoch,
            metrics=metrics,
            score=self.scores[-1],
            best_score=self.state.best_score,
            best_epoch=self.state.best_epoch,
            epochs_without_gain=self.state.epochs_without_gain,
            seconds=round(seconds, 6),
            images_per_s=round(size / seconds, 2) if seconds else None,
            memory_mb=_resident_mb(),
        )
        self._rows.append(row)
        return row

    def _save(self, scratch: Path, model: RedModel, epoch: int, descent: Descent) -> None:
        """Write what an epoch leaves behind; the files are whole after every epoch, however the training ends."""
        last = scratch / "last.pt"
        save_checkpoint(
            last, model, epoch=epoch, normalisation=descent.normalisation(), settings=dict(self.request.settings)
        )
        if self.state.best_epoch == epoch:
            shutil.copyfile(last, scratch / "best.pt")
        with (scratch / "results.csv").open("w", newline="", encoding="utf-8") as stream:
            names = list(self._rows[0].metrics)
            table = csv.writer(stream)
            table.writerow(["epoch", "seconds", *names])
            table.writerows([row.epoch, row.seconds, *(row.metrics[name] for name in names)] for row in self._rows)

    def _write_arguments(self, path: Path) -> None:
        asked = {"task": self.request.task, "model": self.request.model, "data": self.request.data}
        yaml = YAML(typ="safe", pure=True)
        yaml.default_flow_style = False
        with path.open("w", encoding="utf-8") as stream:
            yaml.dump({**asked, **self.settings}, stream)

    def publish(self, scratch: Path) -> None:
        """Copy what the training left into the run folder."""
        folder = RunFolder(self.request.folder)
        target = folder.trial(self.request.trial)
        for file in sorted(scratch.iterdir()):
            self.files[file.name] = folder.publish(file, target / file.name)


def _resident_mb() -> float:
    import psutil

    return round(float(psutil.Process(os.getpid()).memory_info().rss) / 2**20, 1)
