"""The thin adapter to Ray Tune: a Tune trial is a training, whose searcher and scheduler ask the sweep controller."""

from __future__ import annotations

import contextlib
import functools
import logging
import os
import shutil
import sys
import time
import warnings
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from yolosweep.cluster import is_own, require_token
from yolosweep.errors import ClusterError
from yolosweep.ledger import RunFolder
from yolosweep.records.worker_activity import Activity
from yolosweep.runtime.caller_state import environment_with, loggers_as_before, signals_as_before
from yolosweep.runtime.lean_ray import lean_start, lean_tune
from yolosweep.runtime.trial_resources import Allocation

if TYPE_CHECKING:
    import psutil

    from yolosweep.runtime.controller_client import ControllerClient

__all__ = ["Cluster", "connected", "joins_cluster", "named_cluster", "placement", "run_trials"]

_QUIET = {
    "RAY_DEDUP_LOGS": "0",
    "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0",
    "RAY_TRAIN_ENABLE_V2_MIGRATION_WARNINGS": "0",
    "RAY_USAGE_STATS_ENABLED": "0",
    "TUNE_DISABLE_AUTO_CALLBACK_LOGGERS": "1",
    "TUNE_DISABLE_SIGINT_HANDLER": "1",
    "RAY_AIR_NEW_OUTPUT": "0",
}
"""Turn off Ray's logs, telemetry and signal handling: the ledger, live table and controller replace them."""

_TOO_SLOW = "timed out during startup"
"""In Ray's error if its processes were not up within its own limit of 30 seconds."""


@dataclass(frozen=True, kw_only=True)
class Cluster:
    """A connected Ray cluster."""

    address: str
    nodes: dict[str, dict[str, float]]
    """The resources of each live node, by Ray's id."""
    joined: bool
    """Whether the cluster existed before, so that other nodes may join it."""
    in_application: bool = False
    """Whether this is the open session of an application, which has run code of its own in it."""


def named_cluster(environ: Mapping[str, str]) -> str | None:
    """Return the address in ``RAY_ADDRESS``; None if it is unset or ``local``, so that Ray starts on this machine."""
    address = environ.get("RAY_ADDRESS")
    return None if address in (None, "", "local") else address


def joins_cluster(environ: Mapping[str, str]) -> bool:
    """Return whether :func:`connected` would join a cluster instead of starting Ray on this machine."""
    ray = sys.modules.get("ray")  # where nobody has imported it, no session is open
    return named_cluster(environ) is not None or (ray is not None and ray.is_initialized())


@contextlib.contextmanager
def connected() -> Iterator[Cluster]:
    """Connect to the cluster of this process (an open session, ``RAY_ADDRESS``, a Ray job), else start Ray here.

    A session that is already open is used and left open; otherwise, the process is left as it was.

    Raises:
        ClusterError: Ray cannot be reached or started, or is on another machine and there is no token.
    """
    with environment_with(_QUIET), loggers_as_before("ray", "ray.tune"):
        import ray

        if ray.is_initialized():
            if ray.util.client.ray.is_connected():
                raise ClusterError(
                    "this session is connected through Ray Client (ray://), where trials cannot reach the run folder; "
                    "use `yolosweep submit`, or connect to the cluster from one of its nodes"
                )
            address = ray.get_runtime_context().gcs_address
            yield Cluster(address=address, nodes=_nodes(), joined=True, in_application=True)
            return
        address = _start()
        try:
            yield Cluster(address=address, nodes=_nodes(), joined=bool(named_cluster(os.environ)))
        finally:
            with signals_as_before():
                ray.shutdown()


def _start() -> str:
    """Connect to ``RAY_ADDRESS``, else start Ray on this machine; return the address."""
    address = named_cluster(os.environ)
    if address and not is_own(address):
        require_token(address, os.environ, key="RAY_ADDRESS=")
    try:
        return _init(address) if address else _start_here()
    except Exception as error:
        what = f"Ray at {address} (RAY_ADDRESS) cannot be reached" if address else "Ray cannot start on this machine"
        fix = "; if the cluster requires a token, set RAY_AUTH_MODE=token" if address else ""
        raise ClusterError(f"{what}: {str(error).splitlines()[0]}{fix}") from error


def _start_here() -> str:
    """Start Ray on this machine; once more, if its processes were not up in time: now their files are in memory."""
    try:
        return _init(None)
    except Exception as error:
        if _TOO_SLOW not in str(error):
            raise
    return _init(None)


def _init(address: str | None) -> str:
    """Connect to a cluster, or start Ray; where that fails, the processes that Ray has started end."""
    import psutil
    import ray

    before = set(psutil.Process().children())
    here, lean = ({}, contextlib.nullcontext()) if address else ({"include_dashboard": False}, lean_start())
    try:
        with signals_as_before(), warnings.catch_warnings(), lean:
            warnings.simplefilter("ignore", FutureWarning)
            context = ray.init(
                address=address or "local",
                log_to_driver=False,
                logging_level=logging.ERROR,
                configure_logging=True,
                **here,
            )
    except Exception:
        for process in set(psutil.Process().children()) - before:
            with contextlib.suppress(psutil.Error):
                if "/ray/" in " ".join(_command_line(process)):
                    process.kill()
        raise
    return str(context.address_info["address"])


def _command_line(process: psutil.Process) -> list[str]:
    """Return the command line of a process, once it has one: it is empty for a moment while the program starts."""
    deadline = time.monotonic() + 5.0
    while not (words := list(process.cmdline())) and time.monotonic() < deadline:
        time.sleep(0.01)
    return words


def _nodes() -> dict[str, dict[str, float]]:
    import ray

    return {node["NodeID"]: dict(node["Resources"]) for node in ray.nodes() if node["Alive"]}


def _room(allocation: Allocation, excluded: Collection[str]) -> int:
    """Return how many trials fit on the nodes that are there now."""
    nodes = [resources for node, resources in _nodes().items() if node not in excluded]
    return sum(map(allocation.ranks_on, nodes)) // allocation.world_size


def run_trials(
    folder: RunFolder,
    controller: ControllerClient,
    allocation: Allocation,
    excluded: Collection[str] = (),
    *,
    in_application: bool,
    watch: Callable[[Sequence[Activity]], None],
) -> None:
    """Run trials on the cluster until the controller has no more; return when the last one has ended.

    Tune's own state goes to a temporary folder inside the run folder, which trials on other nodes can reach.
    ``in_application``: see :class:`Cluster`. ``watch`` receives about once a second what the workers do.

    Raises:
        ClusterError: the cluster was lost.
        RunFolderError: the ledger cannot be written any more.
    """
    import ray

    shutil.rmtree(folder.ray, ignore_errors=True)  # left by a driver that was killed
    tuner = _tuner(str(folder.ray), controller, allocation, excluded, watch)
    logging.getLogger("ray.tune").setLevel(logging.CRITICAL)
    try:
        with warnings.catch_warnings(), lean_tune(in_application=in_application):
            warnings.simplefilter("ignore")
            tuner.fit()
    except ray.exceptions.RayError as error:
        raise ClusterError(f"the Ray cluster was lost: {str(error).splitlines()[0]}") from error
    except Exception as error:
        if controller.trouble is not None:
            raise controller.trouble from None
        if not controller.over():  # otherwise Tune has only missed its own state
            raise
        logging.getLogger(__name__).debug("Tune ended with %r", error)
    finally:
        shutil.rmtree(folder.ray, ignore_errors=True)


def _tuner(
    storage: str,
    controller: ControllerClient,
    allocation: Allocation,
    excluded: Collection[str],
    watch: Callable[[Sequence[Activity]], None],
) -> Any:
    from ray import tune

    from yolosweep.runtime.sweep_scheduler import SilentProgress, SweepScheduler, SweepSearcher, trial_name
    from yolosweep.runtime.trial_actor import PLACED, TrialActor

    place = functools.partial(placement, allocation, excluded)
    return tune.Tuner(
        tune.with_resources(TrialActor, lambda config: place(config[PLACED]["excluded"])),
        tune_config=tune.TuneConfig(
            search_alg=SweepSearcher(controller, functools.partial(_room, allocation, excluded)),
            scheduler=SweepScheduler(controller, place, watch),
            num_samples=-1,
            max_concurrent_trials=allocation.concurrent,
            reuse_actors=True,
            trial_name_creator=trial_name,
        ),
        run_config=tune.RunConfig(
            name="tune",
            storage_path=storage,
            # A trial may be placed any number of times: the controller decides whether it is trained again.
            failure_config=tune.FailureConfig(max_failures=-1),
            checkpoint_config=tune.CheckpointConfig(checkpoint_at_end=False, checkpoint_frequency=0),
            verbose=0,
            callbacks=[SilentProgress()],
            log_to_file=False,
        ),
    )


def placement(allocation: Allocation, *excluded: Collection[str]) -> Any:
    """Return one bundle per rank; a worker gets all of them or none, and none on excluded nodes."""
    return _placement(allocation, ",".join(sorted(set().union(*excluded))))


@functools.cache  # Tune compares placements again and again, and equal ones slowly
def _placement(allocation: Allocation, excluded: str) -> Any:
    from ray import tune

    ranks = allocation.world_size
    bundle = {"CPU": allocation.cpus / ranks, "GPU": allocation.gpus / ranks}
    only = {"bundle_label_selector": [{"ray.io/node-id": f"!in({excluded})"}] * ranks} if excluded else {}
    strategy = "PACK" if allocation.spread else "STRICT_PACK"
    return tune.PlacementGroupFactory([bundle] * ranks, strategy=strategy, **only)
