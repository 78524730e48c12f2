"""What errors of a training mean, in the words that torch and Ultralytics really use."""

import errno

import pytest

from yolosweep.backends.failure_causes import cause_of, classified, last_line
from yolosweep.errors import DataError, RunFolderError, TrainingError
from yolosweep.records import Cause, Ending

ASSERT = (
    "CUDA error: device-side assert triggered\nCUDA kernel errors might be asynchronously reported at some other API "
    "call, so the stacktrace below might be incorrect.\nFor debugging consider passing CUDA_LAUNCH_BLOCKING=1\n"
    "Compile with `TORCH_USE_CUDA_DSA` to enable device-side assertions.\n"
)


@pytest.mark.parametrize(
    "said",
    [
        "CUDA out of memory. Tried to allocate 20.00 MiB. GPU 0 has a total capacity of 79.11 GiB of which 1.94 MiB",
        ASSERT.replace("device-side assert triggered", "out of memory"),
        "CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate(handle)`",
        "cuDNN error: CUDNN_STATUS_ALLOC_FAILED",
        "GET was unable to find an engine to execute this computation",
        "[enforce fail at alloc_cpu.cpp:127] err == 0. DefaultCPUAllocator: can't allocate memory: you tried to",
        "NCCL error: unhandled cuda error. Last error: Cuda failure 2 'out of memory'",
    ],
)
def test_memory_that_ran_out_is_told_by_what_the_libraries_say(said: str) -> None:
    end = classified(RuntimeError(said), batch=16, begun=True)
    assert (end.ending, end.cause) == (Ending.OOM, Cause.RESOURCE)
    assert "batch 16" in end.reason
    assert classified(MemoryError(), batch=16, begun=True).cause is Cause.RESOURCE


def test_an_error_of_a_gpu_is_told_by_its_first_line_and_not_by_the_advice_after_it() -> None:
    end = classified(RuntimeError(ASSERT), batch=16, begun=True)
    assert (end.ending, end.cause) == (Ending.FAILED, Cause.UNKNOWN)
    assert end.error == "CUDA error: device-side assert triggered"
    assert last_line(RuntimeError("a\n\nb \n")) == "b"
    assert last_line(KeyError()) == "KeyError"


def wrapped(error: Exception) -> Exception:
    """Return it as Ultralytics hands on whatever happens to a data set."""
    outer = RuntimeError("Dataset 'x' error")
    outer.__cause__ = error
    return outer


@pytest.mark.parametrize(
    ("error", "begun", "cause"),
    [
        (OSError(errno.ENOSPC, "No space left on device"), True, Cause.STORAGE),
        (OSError(errno.EROFS, "Read-only file system"), False, Cause.STORAGE),
        (wrapped(OSError(errno.ESTALE, "Stale file handle")), False, Cause.STORAGE),
        (RunFolderError("cannot write ledger.jsonl"), True, Cause.STORAGE),
        (TrainingError("search.metric=x is not reported"), True, Cause.CONFIG),
        (DataError("gone"), True, Cause.DATA),
        (FileNotFoundError("images not found in /d"), True, Cause.DATA),
        (RuntimeError("No valid images found in /d/labels.cache"), False, Cause.DATA),
        (RuntimeError("'freeze=99' froze the entire model with no trainable parameters left."), False, Cause.CONFIG),
        (ValueError("final batch=1 training at imgsz=32 gives BatchNorm a single value"), False, Cause.CONFIG),
        (TypeError("'lr0=x' is of invalid type str"), False, Cause.CONFIG),
        (ValueError("something odd"), True, Cause.UNKNOWN),
        (RuntimeError("DataLoader worker (pid 7) is killed by signal: Killed."), True, Cause.UNKNOWN),
    ],
)
def test_the_cause_decides_whether_it_is_tried_again(error: Exception, begun: bool, cause: Cause) -> None:
    assert cause_of(error, begun=begun) is cause
