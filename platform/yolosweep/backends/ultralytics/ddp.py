"""One training on several ranks: each is a process with its own GPU, in one process group.

Ultralytics' own launcher starts processes that Ray does not know of, on one node only. Here every rank runs the same
trainer in a process that Ray has placed, and the process group exists before Ultralytics starts.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

from yolosweep.backends.ultralytics.patches import replaced
from yolosweep.backends.ultralytics.training_environment import see_only

__all__ = ["ddp_trainer", "enter_group", "my_rank", "preload"]

_STEP_TIMEOUT = timedelta(minutes=30)
"""How long a rank waits for the others in one step: the first may be decoding the images of a large data set."""


def my_rank() -> int:
    """Return the rank of this process; 0 outside a group."""
    return int(os.environ.get("RANK", "0"))


def preload() -> None:
    """Import torch, before the ranks meet one by one; where that fails, ``enter_group`` says so."""
    with contextlib.suppress(Exception):
        import torch.distributed  # noqa: F401


def enter_group(rank: int, world_size: int, address: str, *, on_gpu: bool) -> None:
    """Join the process group of a trial and wait for all ranks. A process can do this once.

    Args:
        rank: counted from 0.
        world_size: number of ranks.
        address: ``tcp://host:port`` of rank 0.
        on_gpu: NCCL between GPUs, else gloo between CPUs.
    """
    see_only(on_gpu)
    # Ultralytics reads these once, when it is imported.
    os.environ.update(RANK=str(rank), LOCAL_RANK=str(rank), WORLD_SIZE=str(world_size))
    import torch.distributed

    torch.distributed.init_process_group(
        "nccl" if on_gpu else "gloo", init_method=address, rank=rank, world_size=world_size, timeout=_STEP_TIMEOUT
    )


def ddp_trainer(base: type[Any]) -> type[Any]:
    """Return our trainer class for a rank of the process group."""
    import torch
    import torch.distributed as dist

    class Joined(base):  # type: ignore[misc]
        rank_, world_size_ = dist.get_rank(), dist.get_world_size()

        def __init__(self, *args: Any, **kwargs: Any) -> None:
            super().__init__(*args, **kwargs)
            # Ultralytics counts the devices it was given: one here, none on CPU, which would scale the loss by 0.
            self.ddp, self.world_size = False, self.world_size_
            self.wdir.mkdir(parents=True, exist_ok=True)

        def _setup_ddp(self, *args: Any, **kwargs: Any) -> None:
            if self.device.type == "cuda":
                torch.cuda.set_device(self.device)

        def _setup_train(self) -> None:
            with _one_device_each():
                super()._setup_train()
            starts: list[Any] = [None] * self.world_size_
            dist.all_gather_object(starts, self.start_epoch)
            if len(set(starts)) > 1:  # only some ranks found the checkpoint intact
                epochs = ", ".join(str(start + 1) for start in starts)
                raise RuntimeError(f"the ranks would resume in different epochs ({epochs}): they read different files")

        def any_rank(self, value: bool) -> bool:
            """Return whether this is true on any rank; all ranks must call it."""
            flag = torch.tensor([int(value)], device=self.device)
            dist.all_reduce(flag, op=dist.ReduceOp.MAX)
            return bool(flag.item())

    return Joined


@contextlib.contextmanager
def _one_device_each() -> Iterator[None]:
    """Let Ultralytics wrap a model whose device has no index; on CPU it would pass ``[None]``."""
    from torch.nn import parallel

    real = parallel.DistributedDataParallel

    def wrapped(model: Any, device_ids: Any = None, **kwargs: Any) -> Any:
        return real(model, device_ids=device_ids if device_ids and device_ids[0] is not None else None, **kwargs)

    with replaced("torch.nn.parallel:DistributedDataParallel", wrapped):
        yield
