"""Our overrides of Ultralytics' trainer: score, order of the images, steps, checkpoints, recovery.

``patience`` belongs to Ultralytics. It and ``best.pt`` follow the searched metric, so there is one definition of best.
"""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

from yolosweep.backends.ultralytics.callbacks import Diverged, TrainingCallbacks
from yolosweep.errors import TrainingError
from yolosweep.records import TrialRequest
from yolosweep.storage.atomic_files import HashingWriter

__all__ = ["make_trainer_class"]

_RECOVERIES = 3
"""How often one epoch is trained again after a NaN (as in Ultralytics)."""


def make_trainer_class(
    base: type[Any], request: TrialRequest, watch: TrainingCallbacks, *, threads: int, workers: int
) -> type[Any]:
    """Return ``base`` (a task's trainer class) with our overrides; see the mixed-in classes.

    Args:
        base: Ultralytics' trainer of the task.
        request: the training.
        watch: its callbacks.
        threads: CPU threads of torch.
        workers: processes that load images.
    """

    class Steered(_StepMixin, _DataMixin, _CheckpointMixin, base):  # type: ignore[misc]
        ours, watch_, threads_, workers_ = request, watch, threads, workers

    return Steered


class _Trainer:
    """The attributes of Ultralytics' trainer that the classes below use."""

    args: Any
    device: Any
    wdir: Path
    best: Path
    last: Path
    csv: Path
    epochs: int
    start_epoch: int
    train_time_start: float
    nan_recovery_attempts: int
    loss: Any
    fitness: Any
    scheduler: Any
    train_loader: Any
    add_callback: Any
    _setup_ddp: Any
    _model_train: Any
    epoch = 0
    ours: TrialRequest
    seed_: int
    rank_ = 0
    world_size_ = 1


class _CheckpointMixin(_Trainer):
    """Start, score, checkpoints and recovery: a state is written once, and restored exactly."""

    watch_: TrainingCallbacks
    threads_: int
    workers_: int
    best_fitness: float | None
    gained: bool
    state_epoch = -1
    draw_of_epoch: Any
    order_epoch: Any

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.state_file = self.wdir / "last.state"  # the state to return to after a NaN
        self.seed_ = int(self.args.seed)
        self._held: dict[str, Any] | None = None
        import torch

        torch.set_num_threads(self.threads_)  # on CPU Ultralytics' choice of a device has set it to almost all cores
        self.args.workers = self.workers_  # and loader workers to none
        self.add_callback("on_train_epoch_start", _begin_epoch)
        for event, callback in self.watch_.callbacks().items():
            self.add_callback(event, callback)

    def _setup_train(self) -> None:
        from yolosweep.backends.ultralytics.trainer_state import restore

        super()._setup_train()  # type: ignore[misc]
        state = self.watch_.resumed
        if state is not None:
            restore(self, state)
            self.start_epoch = state["epoch"]
            if not self.rank_:
                self.csv.write_text(state["results"])
            self._held = state

    def _do_train(self) -> None:
        """Train; a training that was stopped after its last epoch only gets its files."""
        if self.watch_.resumed is None or not self.watch_.resumed["over"]:
            super()._do_train()  # type: ignore[misc]
            return
        if self.world_size_ > 1:
            self._setup_ddp()
        self._setup_train()
        self.final_eval()

    def begin_epoch(self) -> None:
        """Seed the generators for this epoch, and restore the gradients held before it."""
        from yolosweep.backends.ultralytics.image_order import seeded
        from yolosweep.backends.ultralytics.trainer_state import restore_gradients

        seeded(self.seed_, self.draw_of_epoch(), self.rank_)
        self.order_epoch()
        if self._held is not None:
            restore_gradients(self, self._held)
            if self._held is self.watch_.resumed and not self.nan_recovery_attempts:
                self.train_time_start -= self._held["seconds"]
            self._held = None
        if self.ours.policy.on_oom == "fail" or self.start_epoch:  # halving the batch later would change the training
            self._oom_retries = 3

    def save_state(self, out: HashingWriter | None = None, **seen: Any) -> None:
        """Write a resumable state after this epoch, by default into the training's own folder."""
        from yolosweep.backends.ultralytics.trainer_state import captured, save_state

        self.state_file, self.state_epoch = self.wdir / "last.state", self.epoch + 1
        save_state({**captured(self), **seen}, out or self.state_file)

    def validate(self) -> tuple[dict[str, float] | None, float | None]:
        """Validate with the searched metric as fitness."""
        before: float | None = self.best_fitness
        metrics, fitness = super().validate()  # type: ignore[misc]
        if metrics is None:
            return None, None
        if self.ours.metric not in metrics:
            known = ", ".join(sorted(metrics))
            raise TrainingError(f"search.metric={self.ours.metric} is not reported by this model; it reports {known}")
        sign = 1.0 if self.ours.mode == "max" else -1.0
        fitness = sign * float(metrics[self.ours.metric])
        self.gained = before is None or (math.isfinite(fitness) and fitness > before)
        self.best_fitness = fitness if self.gained else before
        return metrics, fitness

    def save_model(self) -> bool:
        """Write ``best.pt`` if this epoch gained (not if it ties); the resumable state goes with the row."""
        from yolosweep.backends.ultralytics.stripped_checkpoint import save_weights

        if self.gained:
            save_weights(self, self.best)
        return True

    def final_eval(self) -> None:
        """Write ``last.pt``; only the winner is validated again, when it is selected."""
        from yolosweep.backends.ultralytics.stripped_checkpoint import save_weights

        if not self.rank_:
            save_weights(self, self.last)

    def step_back(self) -> None:
        """Write ``last.pt`` of the last complete epoch, after a stop in the middle of one."""
        from yolosweep.backends.ultralytics.trainer_state import load_state, restore

        if self.state_file.exists():
            restore(self, load_state(self.state_file))
            self.final_eval()

    def _handle_nan_recovery(self, epoch: int) -> bool:
        """Return to the state before an epoch that left non-finite values, and train it again on other draws."""
        from yolosweep.backends.ultralytics.trainer_state import not_finite, restore

        broken = not_finite(self)
        if not self.any_rank(bool(broken)):
            return False
        what = " and ".join(broken) or "loss of another rank"
        self.nan_recovery_attempts += 1
        if self.nan_recovery_attempts > _RECOVERIES:
            raise Diverged(f"the {what} of epoch {epoch + 1} is not finite, even after {_RECOVERIES} retries")
        state = self._state_before(epoch)
        if state is None:
            raise Diverged(f"the {what} of epoch {epoch + 1} is not finite")
        self._model_train()
        restore(self, state)
        self.scheduler.last_epoch = epoch - 1
        self._held = state
        return True

    def _state_before(self, epoch: int) -> dict[str, Any] | None:
        from yolosweep.backends.ultralytics.trainer_state import load_state

        if self.state_file.exists() and self.state_epoch == epoch:
            return load_state(self.state_file)
        resumed = self.watch_.resumed
        return resumed if resumed is not None and resumed["epoch"] == epoch else None

    def any_rank(self, value: bool) -> bool:
        """Return whether this is true on any rank; here one process is all ranks."""
        return value


def _begin_epoch(trainer: Any) -> None:
    trainer.begin_epoch()


class _DataMixin(_Trainer):
    """Order and augmentation of the training images; see :mod:`yolosweep.backends.ultralytics.image_order`."""

    _next_draw = 0

    def build_dataset(self, img_path: Any, mode: str = "train", batch: int | None = None) -> Any:
        """Build a data set whose training samples are pure, and whose images are shared between trials."""
        from yolosweep.backends.ultralytics.image_order import pure_datasets, shared

        with pure_datasets():
            dataset = super().build_dataset(img_path, mode, batch)  # type: ignore[misc]
        dataset.seed, dataset.balance = self.seed_, self.ours.settings.get("balance", 0.0)
        if not self.args.cache:
            dataset.store = shared(dataset, self.ours.policy)
        return dataset

    def get_dataloader(self, dataset_path: Any, batch_size: int = 16, rank: int = 0, mode: str = "train") -> Any:
        """Build a loader; for training, over our sampler."""
        from yolosweep.backends.ultralytics.image_order import with_sampler

        loader = super().get_dataloader(dataset_path, batch_size, rank, mode)  # type: ignore[misc]
        if mode != "train":
            return loader
        self._next_draw = 0
        return with_sampler(loader, seed=self.seed_, rank=self.rank_, world_size=self.world_size_)

    def draw_of_epoch(self) -> int:
        """Return the draw this epoch trains on: its number, or an unused one after a NaN."""
        return int(self.epoch + self.nan_recovery_attempts * self.epochs)

    def order_epoch(self) -> None:
        """Make the loader yield the draw of this epoch, also if the last one was not its predecessor."""
        draw = self.draw_of_epoch()
        if draw != self._next_draw:
            self.train_loader.sampler.begin_at(draw)
            self.train_loader.reset()
        self._next_draw = draw + 1

    def _close_dataloader_mosaic(self) -> None:
        super()._close_dataloader_mosaic()  # type: ignore[misc]
        self.train_loader.sampler.begin_at(self.draw_of_epoch())  # the caller resets the loader


class _StepMixin(_Trainer):
    """When the optimizer steps: as in Ultralytics, with a counter that a resumed training can restore.

    In Ultralytics the counter is a local of the training loop, which tests ``ni - counter >= accumulate``. So within
    the loop ``accumulate`` reads 1, and :meth:`optimizer_step` makes the real test.
    """

    last_step = -1
    _in_loop = False
    _accumulate = 1
    _batch = -1

    @property
    def accumulate(self) -> int:
        """Batches per optimizer step, as the loop reads it."""
        return 1 if self._in_loop else self._accumulate

    @accumulate.setter
    def accumulate(self, value: int) -> None:
        self._accumulate = value

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.add_callback("on_train_batch_start", _count_batch)
        self.add_callback("on_train_epoch_start", _count_epoch)

    def _build_train_pipeline(self) -> None:
        self._in_loop, self.last_step = False, -1  # the loop reads the nominal value after this, and starts counting
        super()._build_train_pipeline()  # type: ignore[misc]

    def optimizer_step(self) -> None:
        """Step if enough batches have passed since the last step."""
        now = self._batch + len(self.train_loader) * self.epoch
        if now - self.last_step >= self._accumulate:
            super().optimizer_step()  # type: ignore[misc]
            self.last_step = now


def _count_epoch(trainer: Any) -> None:
    trainer._batch = -1


def _count_batch(trainer: Any) -> None:
    trainer._batch += 1
    trainer._in_loop = True
