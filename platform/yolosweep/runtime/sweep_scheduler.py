"""Ray Tune's searcher and scheduler of a sweep: they pass on what the sweep controller decides, and keep nothing.

Tune writes both to disk as pickles, which nobody reads: a sweep is resumed from its ledger alone.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Sequence
from typing import Any

import ray
from ray.tune.experiment import Trial
from ray.tune.progress_reporter import TrialProgressCallback
from ray.tune.schedulers import FIFOScheduler
from ray.tune.search import Searcher

from yolosweep.records.worker_activity import Activity
from yolosweep.runtime.controller_client import ControllerClient
from yolosweep.runtime.trial_actor import PLACED

__all__ = ["SilentProgress", "SweepScheduler", "SweepSearcher", "trial_name"]

_POLL_S = 1.0
"""How often the controller is asked for processes that hang, and again for a trial when there was none; and Ray for
its nodes."""


class SilentProgress(TrialProgressCallback):  # type: ignore[misc]
    """Takes the place of Tune's own, which prints each trial that was stopped before a result, even if not verbose."""

    def _print(self, msg: str) -> None:
        pass


def trial_name(trial: Trial) -> str:
    """Return the name that Ray's tools show."""
    return str(trial.config[PLACED]["trial"])


class SweepSearcher(Searcher):  # type: ignore[misc]
    """Suggests the trainings that the controller wants next.

    Before the first result, all concurrent trials are suggested, so that an autoscaler sees the demand for nodes. From
    then on a suggestion knows every result, because none is made before there is room for it: only one trial waits.

    Args:
        controller: the sweep controller.
        room: returns how many trials fit on the nodes that are there.
    """

    def __init__(self, controller: ControllerClient, room: Callable[[], int]) -> None:
        super().__init__()
        self._controller, self._room = controller, room
        self._trials: dict[str, str] = {}
        self._not_before = self._counted_at = 0.0
        self._fit = 0
        self._has_results = False

    def suggest(self, trial_id: str) -> dict[str, Any] | str | None:
        """Return the configuration of the next trial, None where there is none yet, ``FINISHED`` after the last."""
        if time.monotonic() < self._not_before:
            return None
        offer = self._controller.suggest() if self._has_room() else "wait"
        if offer is None:
            return str(Searcher.FINISHED)
        if offer == "wait":
            self._not_before = time.monotonic() + _POLL_S
            return None
        self._trials[trial_id] = offer.trial
        placed = {"trial": offer.trial, "controller": self._controller.name, "excluded": list(offer.excluded)}
        return {**offer.parameters, PLACED: placed}

    def _has_room(self) -> bool:
        if time.monotonic() - self._counted_at >= _POLL_S:
            self._counted_at, self._fit = time.monotonic(), self._room()
        return not self._has_results or len(self._trials) <= self._fit

    def on_trial_complete(self, trial_id: str, result: dict[str, Any] | None = None, error: bool = False) -> None:
        """Note that Tune is done with a trial, however it ended."""
        self._not_before, self._has_results = 0.0, True
        self._controller.withdrawn(self._trials.pop(trial_id))

    def __reduce__(self) -> tuple[type, tuple[()]]:
        return object, ()


class SweepScheduler(FIFOScheduler):  # type: ignore[misc]
    """Reports dead processes, kills those that hang, and places trials where they may run.

    Verdicts on epochs do not pass through Tune: they are the answer to a row, given once it is on disk.

    Args:
        controller: the sweep controller.
        place: returns the placement of a trial that must not run on some nodes.
        watch: receives about once a second what the workers do.
    """

    def __init__(
        self,
        controller: ControllerClient,
        place: Callable[[Collection[str]], Any],
        watch: Callable[[Sequence[Activity]], None],
    ) -> None:
        super().__init__()
        self._controller, self._place, self._watch = controller, place, watch
        self._looked_at = 0.0

    def choose_trial_to_run(self, tune_controller: Any) -> None:
        """Look after the workers about once a second; which trial runs next is left to Tune, first in, first out."""
        if time.monotonic() - self._looked_at < _POLL_S:
            return
        self._looked_at = time.monotonic()
        live = [one for one in tune_controller.get_live_trials() if one.status in (Trial.PENDING, Trial.RUNNING)]
        actors = {actor._actor_id.hex(): (one, actor) for one in live if (actor := one.temporary_state.ray_actor)}
        busy = {worker: trial_name(one) for worker, (one, _) in actors.items()}
        look = self._controller.look(busy)
        self._watch(look.activities)
        for worker in look.hung:
            ray.kill(actors[worker][1])  # SIGKILL by the node's raylet, which a stopped process cannot ignore
        for one in live:
            if one.status == Trial.PENDING and trial_name(one) in look.settled:
                tune_controller.stop_trial(one)

    def on_trial_error(self, tune_controller: Any, trial: Trial) -> None:
        """Report that the process of a trial died; Tune is about to place the trial again."""
        excluded = self._controller.lost(trial_name(trial), _cause(trial))
        if trial.status == Trial.ERROR:  # otherwise it is not placed again, but suggested again
            trial.update_resources(self._place(excluded))

    def __reduce__(self) -> tuple[type, tuple[()]]:
        return object, ()


def _cause(trial: Trial) -> str:
    """Return the last line of a Tune trial's error."""
    error = trial.get_pickled_error() or trial.get_error()
    lines = [line.strip() for line in str(error or "").splitlines() if line.strip()]
    return (lines[-1] if lines else "killed by an unknown signal")[:500]
