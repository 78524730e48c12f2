"""Inside an Ultralytics training: rows after each epoch, verdicts obeyed, our own final step.

``patience`` belongs to Ultralytics. It and ``best.pt`` follow the searched metric, so that there is one owner of best.
"""

from __future__ import annotations

import math
import os
import time
from collections.abc import Callable
from typing import Any

from yolosweep.curves import progress
from yolosweep.errors import TrainingError
from yolosweep.records import Ending, EpochRow, TrialRequest, Verdict
from yolosweep.training.seam import Cancelled, Report

__all__ = ["Abandoned", "Diverged", "Watch", "steered"]


class Abandoned(Exception):
    """Raised between two batches when the sweep asks to stop now; the last whole epoch's files stay."""


class Diverged(Exception):
    """Raised when the loss of the first epoch is not finite: Ultralytics cannot recover there and would train on."""


class Watch:
    """Sees every epoch of one training, turns it into a row, and passes the verdict on."""

    def __init__(self, request: TrialRequest, report: Report, cancelled: Cancelled) -> None:
        self._request, self._report, self._cancelled = request, report, cancelled
        self._epoch_started = self._train_seconds = 0.0
        self._seen_epoch = -1
        self.scores: list[float | None] = []
        self.best: float | None = None
        self.best_epoch: int | None = None
        self.verdict = Verdict.GO_ON
        self.repeats = 0
        """Epochs trained again after a NaN or an out-of-memory error."""
        self.closing = False

    def callbacks(self) -> dict[str, Callable[[Any], None]]:
        """Return our callbacks by Ultralytics' event names."""
        return {
            "on_train_epoch_start": self._epoch_start,
            "on_train_batch_end": self._batch_end,
            "on_train_epoch_end": self._train_end,
            "on_fit_epoch_end": self._epoch_end,
        }

    def _epoch_start(self, trainer: Any) -> None:
        if trainer.epoch == self._seen_epoch:
            self.repeats += 1
        self._seen_epoch = trainer.epoch
        self._epoch_started = time.monotonic()

    def _batch_end(self, trainer: Any) -> None:
        if self._cancelled():
            self.verdict = Verdict.CANCEL
            raise Abandoned

    def _train_end(self, trainer: Any) -> None:
        self._train_seconds = time.monotonic() - self._epoch_started
        if trainer.epoch == 0 and not all(math.isfinite(float(value)) for value in trainer.tloss.values()):
            raise Diverged("the loss of the first epoch is not finite")

    def _epoch_end(self, trainer: Any) -> None:
        if self.closing:  # a final validation is no epoch
            return
        row = self._row(trainer)
        self.verdict = self._report(row, None)
        if self.verdict is not Verdict.GO_ON:
            trainer.stop = True

    def _row(self, trainer: Any) -> EpochRow:
        values = {**trainer.label_loss_items(trainer.tloss), **trainer.metrics, **trainer.lr}
        metrics = {name: float(value) for name, value in values.items()}
        score = metrics[self._request.metric]
        self.scores.append(score if math.isfinite(score) else None)
        state = progress(self.scores, self._request.mode)
        self.best, self.best_epoch = state.best_score, state.best_epoch
        images = len(trainer.train_loader.dataset)
        return EpochRow(
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
        )

    def ending(self, trainer: Any) -> tuple[Ending, str]:
        """Return how a training that ended by itself ended, and why in one sentence."""
        epochs = len(self.scores)
        if self.verdict is Verdict.PRUNE:
            return Ending.PRUNED, f"behind the other trials after epoch {epochs}"
        if self.verdict is Verdict.CANCEL:
            return Ending.CANCELLED, f"the sweep was stopped after epoch {epochs}"
        if epochs < self._request.epochs:
            return Ending.PATIENCE, f"no gain for {trainer.args.patience} epochs after epoch {self.best_epoch}"
        return Ending.FINISHED, f"all {epochs} epochs trained"


def _resident_mb() -> float:
    import psutil

    return round(float(psutil.Process(os.getpid()).memory_info().rss) / 2**20, 1)


def _gpu_mb(device: Any) -> float | None:
    if device.type != "cuda":
        return None
    import torch

    return round(float(torch.cuda.max_memory_allocated(device)) / 2**20, 1)


def steered(base: type[Any], request: TrialRequest, watch: Watch, threads: int) -> type[Any]:
    """Return ``base`` (a task's trainer class) with our score, our threads and our final step.

    Overridden: ``__init__`` (threads after ``select_device`` has reset them), ``validate`` (fitness = searched
    metric), ``final_eval`` (strip once, no second validation: the winner is validated when it is picked).
    """
    sign = 1.0 if request.mode == "max" else -1.0

    class Steered(base):  # type: ignore[misc]
        best_fitness: float | None

        def __init__(self, *args: Any, **kwargs: Any) -> None:
            super().__init__(*args, **kwargs)
            if self.device.type == "cpu":
                import torch

                torch.set_num_threads(threads)
            for event, callback in watch.callbacks().items():
                self.add_callback(event, callback)

        def validate(self) -> tuple[dict[str, float] | None, float | None]:
            before: float | None = self.best_fitness
            metrics, fitness = super().validate()
            if metrics is None:
                return None, None
            if request.metric not in metrics:
                known = ", ".join(sorted(metrics))
                raise TrainingError(f"search.metric={request.metric} is not reported by this model; it reports {known}")
            fitness = sign * float(metrics[request.metric])
            gained = before is None or (math.isfinite(fitness) and fitness > before)
            self.best_fitness = fitness if gained else before
            return metrics, fitness

        def final_eval(self) -> None:
            from ultralytics.utils.torch_utils import strip_optimizer

            watch.closing = True
            checkpoint = strip_optimizer(self.last) if self.last.exists() else {}
            if self.best.exists():
                strip_optimizer(self.best, updates={"train_results": checkpoint.get("train_results")})

    return Steered
