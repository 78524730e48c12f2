"""A trial's end of the line: runs in a Ray worker, asks the desk, trains, reports."""

from __future__ import annotations

import threading
from typing import Any

import ray
from ray import tune

from yolosweep.records import EpochRow, TrialRecord, TrialRequest, Verdict
from yolosweep.training import trainer_for

__all__ = ["NAMESPACE", "TrialActor"]

NAMESPACE = "yolosweep"
_POLL_S = 1.0
"""How often a training asks whether it has to stop in the middle of an epoch."""


class TrialActor(tune.Trainable):  # type: ignore[misc]
    """One Tune trial is one training: Tune places it, the desk decides about it.

    Rows do not travel through Tune: they are on disk (through the desk) before the next epoch begins. The process is
    reused for the next trial, so torch and ultralytics are imported once.
    """

    def setup(self, config: dict[str, Any]) -> None:
        """Remember what to run."""
        self._config = config

    def reset_config(self, new_config: dict[str, Any]) -> bool:
        """Take the next trial in the same process."""
        self._config = new_config
        return True

    def step(self) -> dict[str, Any]:
        """Ask for a trial and run it whole; Tune gets one result."""
        desk = ray.get_actor(self._config["desk"], namespace=NAMESPACE)
        request: TrialRequest | None = ray.get(desk.begin.remote(self._config["ticket"]))
        if request is None:
            return {"done": True}
        with _StopLine(desk, request.trial) as line:

            def report(row: EpochRow) -> Verdict:
                verdict: Verdict = ray.get(desk.row.remote(request.trial, row))
                return verdict

            record: TrialRecord = trainer_for(request.model).train(request, report, line.stopped.is_set)
        ray.get(desk.ended.remote(record))
        return {"done": True, "trial": request.trial, "ending": record.ending.value}


class _StopLine:
    """Asks the desk once a second whether to stop, beside the training, which only looks at a flag."""

    def __init__(self, desk: Any, trial: str) -> None:
        self._desk, self._trial = desk, trial
        self.stopped = threading.Event()
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._listen, name="stop-line", daemon=True)

    def __enter__(self) -> _StopLine:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join()

    def _listen(self) -> None:
        while not self._over.wait(_POLL_S):
            try:
                if ray.get(self._desk.verdict.remote(self._trial)) is Verdict.CANCEL:
                    self.stopped.set()
                    return
            except ray.exceptions.RayError:  # the sweep is gone: nobody would take the result
                self.stopped.set()
                return
