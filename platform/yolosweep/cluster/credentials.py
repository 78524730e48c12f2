"""Pass the driver's credentials to workers on other nodes, through the memory of one small actor.

A method call delivers them to the actor, because Ray's tables and dashboard show constructor arguments, runtime
environments and Tune's configuration. Anyone who may run code on the cluster can read them.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any

from yolosweep.cluster.encryption import secrets_of

__all__ = ["import_credentials", "publish_credentials"]

_NAMESPACE = "yolosweep"


class _CredentialStore:
    def __init__(self) -> None:
        self._secrets: dict[str, str] = {}

    def put(self, secrets: dict[str, str]) -> None:
        self._secrets = secrets

    def get(self) -> dict[str, str]:
        return self._secrets


def publish_credentials(environ: Mapping[str, str]) -> Any:
    """Publish the credentials in this driver's environment to its workers. Ray must be connected.

    Returns:
        The actor that holds them, or None if there are none. They are gone when the last handle is dropped.
    """
    secrets = secrets_of(environ)
    if not secrets:
        return None
    import ray
    from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

    here = NodeAffinitySchedulingStrategy(node_id=ray.get_runtime_context().get_node_id(), soft=False)
    options = {"name": _name(), "namespace": _NAMESPACE, "num_cpus": 0, "scheduling_strategy": here}
    store = ray.remote(_CredentialStore).options(**options).remote()
    ray.get(store.put.remote(secrets))
    return store


def import_credentials() -> None:
    """Add the credentials that this worker's driver published, if any, to this process's environment."""
    import ray

    if not ray.is_initialized():
        return
    try:
        store = ray.get_actor(_name(), namespace=_NAMESPACE)
        os.environ.update(ray.get(store.get.remote()))
    except (ValueError, ray.exceptions.RayError):  # nothing was published, or the driver is gone
        return


def _name() -> str:
    """Return the store's name: one per driver, whose Ray job all of its workers belong to."""
    import ray

    return f"credentials-{ray.get_runtime_context().get_job_id()}"
