"""Credentials for workers on other nodes: held in the memory of one small actor, and handed out when asked.

They are put there by a call after it was made: what an actor is *made* with stands in the cluster's tables, and so do
runtime environments and the configuration of Tune. Whoever may run code on the cluster can ask for them.
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

    def take(self) -> dict[str, str]:
        return self._secrets


def publish_credentials(environ: Mapping[str, str]) -> Any:
    """Hand the credentials of this driver's environment to its workers; they live as long as what is returned does.

    Returns:
        The actor, or None where there is nothing to hand over. Ray must be connected.
    """
    secrets = secrets_of(environ)
    if not secrets:
        return None
    import ray
    from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

    here = NodeAffinitySchedulingStrategy(node_id=ray.get_runtime_context().get_node_id(), soft=False)
    options = {"name": _name(), "namespace": _NAMESPACE, "num_cpus": 0, "scheduling_strategy": here}
    keyring = ray.remote(_CredentialStore).options(**options).remote()
    ray.get(keyring.put.remote(secrets))
    return keyring


def import_credentials() -> None:
    """Take over the credentials that this worker's driver shared, if any, into this process's environment."""
    import ray

    if not ray.is_initialized():
        return
    try:
        keyring = ray.get_actor(_name(), namespace=_NAMESPACE)
        os.environ.update(ray.get(keyring.take.remote()))
    except (ValueError, ray.exceptions.RayError):  # nothing was shared, or the driver is gone
        return


def _name() -> str:
    """Return the keyring's name: one for each driver, whose job all of its workers belong to."""
    import ray

    return f"keyring-{ray.get_runtime_context().get_job_id()}"
