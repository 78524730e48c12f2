"""Train some batches of a trial in a process of its own, and measure them: ``python -m`` this module, request on stdin.

The process is a fresh one so that its peak memory is that of the training, and that no torch stays behind.
"""

from __future__ import annotations

import json
import signal
import statistics
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field

from yolosweep.backends import trainer_for
from yolosweep.errors import TrainingError
from yolosweep.records import Checkpoint, EpochResult, TrialRequest, Verdict
from yolosweep.records.short_training import Probe
from yolosweep.records.worker_activity import Activity, Stage

__all__ = ["measured"]

_LEFT_OUT = 2
"""The first batches of a process are slower: kernels are chosen, memory is allocated."""
_AT_LEAST = 4
_LIMIT_S = 600.0


def measured(request: TrialRequest, seconds: float, *, at_a_time: int = 1) -> Probe:
    """Train a request for about so many seconds, or one epoch if that is shorter, and return what it showed.

    Args:
        request: the training.
        seconds: how long its batches are timed.
        at_a_time: trainings at the same time, which share cores, memory bandwidth and GPU as those of a sweep do.

    Raises:
        TrainingError: it failed, or took ten minutes without enough batches.
    """
    with ThreadPoolExecutor(at_a_time) as pool:
        probes = list(pool.map(lambda _: _one(request, seconds), range(at_a_time)))
    whole = [probe.epoch_seconds for probe in probes if probe.epoch_seconds is not None]
    memory = [probe.gpu_memory_mb for probe in probes if probe.gpu_memory_mb is not None]
    update = {
        "batch_seconds": statistics.median(probe.batch_seconds for probe in probes),
        "epoch_seconds": statistics.median(whole) if whole else None,
        "memory_mb": max(probe.memory_mb for probe in probes),
        "gpu_memory_mb": max(memory, default=None),
        "at_a_time": at_a_time,
    }
    return probes[0].model_copy(update=update)


def _one(request: TrialRequest, seconds: float) -> Probe:
    command = [sys.executable, "-W", "ignore", "-m", __name__, str(seconds)]
    given = request.model_dump_json()
    try:
        done = subprocess.run(command, input=given, capture_output=True, text=True, timeout=_LIMIT_S, check=False)
    except subprocess.TimeoutExpired:
        raise TrainingError(f"the measured training gave no result within {_LIMIT_S:g} s") from None
    lines = done.stdout.splitlines() or [""]
    if done.returncode or not lines[-1].startswith("{"):
        killed = "it was killed, as happens without enough memory" if done.returncode == -signal.SIGKILL else ""
        reason = killed or (done.stderr.strip().splitlines() or ["it ended without a result"])[-1]
        raise TrainingError(f"the measured training failed: {reason}")
    return Probe.model_validate_json(lines[-1])


@dataclass
class _Stopwatch:
    """Times the batches of the first epoch."""

    seconds: float
    of: int = 0
    times: list[float] = field(default_factory=list)
    row: EpochResult | None = None
    gpu_memory_mb: float | None = None

    def watch(self, activity: Activity) -> None:
        """Take the beginning of the epoch."""
        if activity.stage is Stage.TRAIN and not self.of:
            self.of = activity.of
            self.times.append(time.monotonic())
        self.gpu_memory_mb = activity.gpu_memory_mb or self.gpu_memory_mb

    def batch_over(self) -> bool:
        """Note the end of a batch; return whether it is enough."""
        if not self.times or len(self.times) > self.of:  # the rest is validation
            return False
        self.times.append(time.monotonic())
        enough = len(self.times) > _LEFT_OUT + _AT_LEAST
        return enough and self.times[-1] - self.times[0] > self.seconds

    def epoch_over(self, row: EpochResult, checkpoint: Checkpoint | None) -> Verdict:
        """Note the first epoch and end the training."""
        self.row = self.row or row
        return Verdict.CANCEL

    def batches(self) -> list[float]:
        """Return the seconds of each timed batch."""
        return self._taken()[_LEFT_OUT:] or self._taken()

    def epoch_s(self) -> float | None:
        """Return the seconds of the first epoch, as if its first batches had been as fast as the others."""
        if self.row is None or self.row.seconds is None:
            return None
        slow = self._taken()[:_LEFT_OUT]
        return max(self.row.seconds - sum(slow) + len(slow) * statistics.median(self.batches()), 0.0)

    def _taken(self) -> list[float]:
        return [late - early for early, late in zip(self.times, self.times[1:], strict=False)]


def _main() -> None:
    request = TrialRequest.model_validate_json(sys.stdin.read())
    stopwatch = _Stopwatch(float(sys.argv[1]))
    trainer = trainer_for(request.model)
    trainer.prepare(request)
    record = trainer.train(request, stopwatch.epoch_over, stopwatch.batch_over, stopwatch.watch)
    batches, row, asked = stopwatch.batches(), stopwatch.row, request.settings.get("batch")
    if not batches:
        raise SystemExit(record.reason)
    probe = Probe(
        imgsz=int(request.settings.get("imgsz", 0)),
        batch=int(record.used.get("batch", asked or 1)),
        batch_asked=asked,
        batches=stopwatch.of,
        measured=len(batches),
        batch_seconds=statistics.median(batches),
        epoch_seconds=stopwatch.epoch_s(),
        memory_mb=_peak_mb(),
        gpu_memory_mb=(row.gpu_memory_mb if row else None) or stopwatch.gpu_memory_mb,
        device=record.device,
    )
    print(json.dumps(probe.model_dump(mode="json")), flush=True)


def _peak_mb() -> float:
    import resource

    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss  # KiB, on macOS bytes
    return peak / 2**20 if sys.platform == "darwin" else peak / 2**10


if __name__ == "__main__":
    _main()
