"""What Ray and Ray Tune do and nobody here reads, left out.

Each function replaces a private part of Ray while a sweep uses it. ``test_lean_ray.py`` fails where Ray has changed it.
"""

from __future__ import annotations

import contextlib
import functools
from collections.abc import Callable, Iterator

__all__ = ["lean_start", "lean_tune"]


@contextlib.contextmanager
def lean_start() -> Iterator[None]:
    """Start Ray for one sweep on this machine, without processes that do nothing there.

    - The log monitor sends workers' output to drivers that ask for it (``log_to_driver``).
    - The autoscaler starts nodes.
    - The dashboard's process remains without a dashboard (``include_dashboard``) for Ray's usage statistics, which are
      off; ``ray.init`` waits for it. Its agent on the node loads what Ray loads without its extra ``default``.
    """
    from ray._private import parameter, services, utils

    with _replaced() as replace:
        lean = functools.partial(parameter.RayParams, include_log_monitor=False, no_monitor=True)
        replace(parameter, "RayParams", lean)
        replace(services, "start_api_server", lambda *arguments, **more: (None, None))
        replace(utils, "get_dashboard_dependency_error", lambda: ImportError("not needed"))
        yield


@contextlib.contextmanager
def lean_tune(*, in_application: bool) -> Iterator[None]:
    """Run Tune without three things.

    - An environment for its workers. It is meant for PyTorch Lightning; because of it, each trial needs a new process
      while those that Ray has started in advance stay idle. AWS keys would be in it, too, and the dashboard shows it
      in clear text: :mod:`yolosweep.cluster.credentials` delivers them. In the session of an application
      (``in_application``), trials get new processes: an idle one may have run its code. Ray itself keeps the processes
      of different sessions of a cluster apart.
    - A count of callbacks for Ray's usage statistics, which are off. For it, Tune imports W&B and MLflow: 0.7 s of a
      driver's 5, more with MLflow.
    - Snapshots of all trials, a third of the driver's time per trial: a sweep is resumed from its ledger. After its
      last trial, Tune fails to read the snapshot.
    """
    from ray.air._internal import usage
    from ray.tune.execution import class_cache
    from ray.tune.execution.tune_controller import TuneController

    with _replaced() as replace:
        if not in_application:
            replace(class_cache, "DEFAULT_ENV_VARS", {})
        replace(class_cache, "ENV_VARS_TO_PROPAGATE", set())
        replace(usage, "tag_callbacks", lambda callbacks: False)
        replace(TuneController, "checkpoint", lambda controller, force=False, wait=False: None)
        yield


@contextlib.contextmanager
def _replaced() -> Iterator[Callable[[object, str, object], None]]:
    """Yield a function that replaces an attribute, which must exist, until the end of the block."""
    with contextlib.ExitStack() as stack:

        def replace(owner: object, name: str, value: object) -> None:
            stack.callback(setattr, owner, name, getattr(owner, name))
            setattr(owner, name, value)

        yield replace
