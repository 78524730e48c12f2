"""The thin adapter to Ray Tune, which places workers and restarts dead ones; the controller decides everything else."""

from __future__ import annotations

import contextlib
import logging
import os
import shutil
import signal
import time
import warnings
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from types import FrameType
from typing import TYPE_CHECKING, Any

from yolosweep.cluster import is_own, require_token, secrets_of
from yolosweep.errors import ClusterError, YolosweepError
from yolosweep.ledger import RunFolder
from yolosweep.runtime.resources import Allocation

if TYPE_CHECKING:
    from yolosweep.runtime.controller_client import ControllerClient

__all__ = ["Cluster", "connected", "named_cluster", "placement", "run_trials"]

_QUIET = {
    "RAY_DEDUP_LOGS": "0",
    "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0",
    "RAY_TRAIN_ENABLE_V2_MIGRATION_WARNINGS": "0",
    "RAY_USAGE_STATS_ENABLED": "0",
    "TUNE_DISABLE_AUTO_CALLBACK_LOGGERS": "1",
    "TUNE_DISABLE_SIGINT_HANDLER": "1",
    "TUNE_WARN_EXCESSIVE_EXPERIMENT_CHECKPOINT_SYNC_THRESHOLD_S": "0",
    "RAY_AIR_NEW_OUTPUT": "0",
}
"""Turn off Ray's logs, telemetry and signal handling: the ledger, live table and controller replace them."""


_POLL_S = 1.0
"""How often the controller is asked whether the sweep is over, and for processes that hang."""


@dataclass(frozen=True, kw_only=True)
class Cluster:
    """A connected Ray cluster."""

    address: str
    nodes: dict[str, dict[str, float]]
    """The resources of each live node, by Ray's id."""
    joined: bool
    """Whether the cluster existed before, so that other nodes may join it."""


def named_cluster(environ: Mapping[str, str]) -> str | None:
    """Return the address in ``RAY_ADDRESS``; None if it is unset or ``local``, so that Ray starts on this machine."""
    address = environ.get("RAY_ADDRESS")
    return None if address in (None, "", "local") else address


@contextlib.contextmanager
def connected() -> Iterator[Cluster]:
    """Connect to this process's cluster (``RAY_ADDRESS``, a Ray job), else start Ray on this machine.

    Raises:
        ClusterError: Ray cannot be reached or started, or is on another machine and there is no token.
    """
    os.environ.update({key: value for key, value in _QUIET.items() if key not in os.environ})
    address = named_cluster(os.environ)
    if address and not is_own(address):
        require_token(address, os.environ, key="RAY_ADDRESS=")
    import ray

    here = {} if address else {"include_dashboard": False}
    try:
        with _signals_as_before(), warnings.catch_warnings():
            warnings.simplefilter("ignore", FutureWarning)
            context = ray.init(
                address=address or "local",
                log_to_driver=False,
                logging_level=logging.ERROR,
                configure_logging=True,
                **here,
            )
    except Exception as error:
        what = f"Ray at {address} (RAY_ADDRESS) cannot be reached" if address else "Ray cannot start on this machine"
        fix = "; if the cluster requires a token, set RAY_AUTH_MODE=token" if address else ""
        raise ClusterError(f"{what}: {str(error).splitlines()[0]}{fix}") from error
    try:
        nodes = {node["NodeID"]: dict(node["Resources"]) for node in ray.nodes() if node["Alive"]}
        yield Cluster(address=context.address_info["address"], nodes=nodes, joined=bool(address))
    finally:
        with _signals_as_before():
            ray.shutdown()


@contextlib.contextmanager
def _signals_as_before() -> Iterator[None]:
    """Keep the caller's SIGINT and SIGTERM handlers in place while Ray starts and shuts down, and afterwards.

    On startup, Ray installs a Python handler that raises, and its C++ library one that also ends the process 3 s later.
    On shutdown, it resets SIGTERM to the system's default.
    """
    put = signal.signal
    before: dict[int, Any] = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}

    def put_others(number: int, handler: Any) -> Any:
        return before[number] if number in before else put(number, handler)

    def ask(number: int, frame: FrameType | None) -> None:
        signal.alarm(0)  # cancels the end after 3 s
        before[number](number, frame)

    for number, handler in before.items():
        if callable(handler):
            put(number, ask)
    signal.signal = put_others  # type: ignore[assignment]
    try:
        yield
    finally:
        signal.signal = put
        for number, handler in before.items():
            put(number, handler)


def run_trials(
    folder: RunFolder, controller: ControllerClient, allocation: Allocation, excluded: Collection[str] = ()
) -> None:
    """Run trials on the cluster until the controller has no more; return when the last one has ended.

    Tune's own state goes to a temporary folder inside the run folder, which trials on other nodes can reach.

    Raises:
        ClusterError: the cluster was lost.
        RunFolderError: the ledger cannot be written any more.
    """
    import ray
    from ray import tune

    from yolosweep.runtime.trial_actor import TrialActor

    _keep_credentials()
    scratch, trouble = folder.ray, list[YolosweepError]()
    shutil.rmtree(scratch, ignore_errors=True)  # left by a driver that was killed
    tuner = tune.Tuner(
        tune.with_resources(TrialActor, placement(allocation, excluded)),
        param_space={"slot": tune.grid_search(list(range(allocation.concurrent))), "controller": controller.name},
        run_config=_run_config(str(scratch), controller, trouble),
    )
    logging.getLogger("ray.tune").setLevel(logging.CRITICAL)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            tuner.fit()
    except ray.exceptions.RayError as error:
        raise ClusterError(f"the Ray cluster was lost: {str(error).splitlines()[0]}") from error
    except Exception as error:
        if trouble:
            raise trouble[0] from None
        if not controller.over():  # otherwise Tune only failed to read its own state, which is not needed
            raise
        logging.getLogger(__name__).debug("Tune ended with %r", error)
    finally:
        shutil.rmtree(scratch, ignore_errors=True)


def _run_config(storage: str, controller: ControllerClient, trouble: list[YolosweepError]) -> Any:
    from ray import tune

    return tune.RunConfig(
        name="tune",
        storage_path=storage,
        callbacks=[_watcher(controller, trouble)],
        stop=_stopper(controller, trouble),
        # A worker may restart any number of times; the controller ends a sweep whose processes cannot even start.
        failure_config=tune.FailureConfig(max_failures=-1),
        checkpoint_config=tune.CheckpointConfig(checkpoint_at_end=False, checkpoint_frequency=0),
        verbose=0,
        log_to_file=False,
    )


def _keep_credentials() -> None:
    """Keep Tune from copying AWS keys into its workers' runtime environment, which the dashboard shows in clear text.

    :mod:`yolosweep.cluster.credentials` delivers them instead.
    """
    from ray.tune.execution import class_cache

    names: set[str] = class_cache.ENV_VARS_TO_PROPAGATE
    names.difference_update(secrets_of(dict.fromkeys(names, "set")))


def placement(allocation: Allocation, excluded: Collection[str] = ()) -> Any:
    """Return one bundle per rank; a worker gets all of them or none, and none on excluded nodes."""
    from ray import tune

    ranks = allocation.world_size
    bundle = {"CPU": allocation.cpus / ranks, "GPU": allocation.gpus / ranks}
    elsewhere = {"ray.io/node-id": f"!in({','.join(sorted(excluded))})"} if excluded else {}
    only = {"bundle_label_selector": [elsewhere] * ranks} if excluded else {}
    strategy = "PACK" if allocation.spread else "STRICT_PACK"
    return tune.PlacementGroupFactory([bundle] * ranks, strategy=strategy, **only)


def _watcher(controller: ControllerClient, trouble: list[YolosweepError]) -> Any:
    """Return the Tune callback that reports dead processes to the controller, and kills those that hang.

    Errors of the controller are also added to ``trouble``, because Tune wraps whatever a callback raises.
    """
    import ray
    from ray import tune

    class ReportLoss(tune.Callback):  # type: ignore[misc]
        _asked = 0.0

        def on_step_begin(self, iteration: int, trials: list[Any], **info: Any) -> None:
            if time.monotonic() - self._asked < _POLL_S:
                return
            self._asked = time.monotonic()
            try:
                hung = controller.hung()
            except YolosweepError as error:
                trouble.append(error)
                raise
            for actor in (one.temporary_state.ray_actor for one in trials if one.config["slot"] in hung):
                if actor is not None:
                    ray.kill(actor)  # SIGKILL by the node's raylet, which a stopped process cannot ignore

        def on_trial_recover(self, iteration: int, trials: list[Any], trial: Any, **info: Any) -> None:
            try:
                controller.lost(trial.config["slot"], _cause(trial))
            except YolosweepError as error:
                trouble.append(error)
                raise

        on_trial_error = on_trial_recover

    return ReportLoss()


def _stopper(controller: ControllerClient, trouble: list[YolosweepError]) -> Any:
    """Return the Tune stopper that gives up workers without a node once nothing is left to run."""
    from ray import tune

    class WhenOver(tune.Stopper):  # type: ignore[misc]
        def __init__(self) -> None:
            self._asked, self._over = 0.0, False

        def __call__(self, trial_id: str, result: dict[str, Any]) -> bool:
            return False

        def stop_all(self) -> bool:
            if not self._over and time.monotonic() - self._asked > _POLL_S:
                try:
                    self._over = controller.over()
                except YolosweepError as error:
                    trouble.append(error)
                    raise
                self._asked = time.monotonic()
            return self._over

    return WhenOver()


def _cause(trial: Any) -> str:
    """Return the last line of a Tune trial's error."""
    error = trial.get_pickled_error() or trial.get_error()
    lines = [line.strip() for line in str(error or "").splitlines() if line.strip()]
    return (lines[-1] if lines else "killed by an unknown signal")[:500]
