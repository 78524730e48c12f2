"""The W&B sweep of a search: an object at the server that shows trials as parallel coordinates and by importance.

It has a local controller, so W&B neither schedules nor stops anything; no agent is registered. Trials join it by the
``sweep_id`` of their run. The server gives a sweep its id, so the id is kept in the run folder, or found again through
a run that joined it. A server that has no sweeps costs one line: trials are grouped, as all runs of a sweep are.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from yolosweep.experiment.search_choices import SEARCHERS
from yolosweep.experiment.search_parameter import parameters_of
from yolosweep.ledger import RunFolder
from yolosweep.storage.atomic_files import write_atomic

__all__ = ["JoinedSweep", "SweepState", "WandbSweep", "api_of", "sweep_config"]

SweepState = Literal["RUNNING", "PAUSED", "FINISHED", "CANCELED"]

_FILE = "wandb-sweep.json"
_TIMEOUT_S = 20
_UPSERT = """
mutation UpsertSweep($id: ID, $config: String, $description: String, $entityName: String, $projectName: String,
                     $state: String, $displayName: String) {
    upsertSweep(input: {id: $id, config: $config, description: $description, entityName: $entityName,
                        projectName: $projectName, state: $state, displayName: $displayName}) {
        sweep { id name project { name entity { name } } }
    }
}"""
_SWEEP_OF_RUN = """
query SweepOfRun($entityName: String, $projectName: String, $run: String!) {
    project(name: $projectName, entityName: $entityName) { run(name: $run) { sweepName } }
}"""
_SWEEP = """
query GetSweep($entityName: String, $projectName: String, $sweep: String!) {
    project(name: $projectName, entityName: $entityName) { sweep(sweepName: $sweep) { id name state } }
}"""


def sweep_config(sweep: str, search: Mapping[str, Any]) -> dict[str, Any] | None:
    """Return a search as the configuration of a W&B sweep; None where nothing is searched.

    ``run_cap`` and ``early_terminate`` are left out: with them, the server would end sweeps and runs itself.
    """
    parameters = {
        name: {
            "distribution": one.distribution or _DISTRIBUTIONS[one.kind],
            **one.model_dump(mode="json", exclude={"when"}),
        }
        for name, one in parameters_of({"search": {"parameters": None, **search}}).items()
    }
    if not parameters:
        return None
    choice = SEARCHERS.get(str(search.get("searcher")))
    method = "bayes" if choice is None or choice.learns else "random"
    if choice is not None and choice.is_exhaustive and not any("min" in one for one in parameters.values()):
        method = "grid"  # W&B's grids have no ranges
    return {
        "name": sweep,
        "method": method,
        "metric": {"name": "best_score", "goal": "minimize" if search.get("mode") == "min" else "maximize"},
        "parameters": parameters,
        "controller": {"type": "local"},
    }


_DISTRIBUTIONS = {"constant": "constant", "categorical": "categorical", "int": "int_uniform", "float": "uniform"}


class JoinedSweep(BaseModel):
    """A sweep at a server: what the run folder remembers of it, in ``mirror/wandb-sweep.json``."""

    model_config = ConfigDict(extra="ignore", frozen=True)

    server: str
    project: str
    """As asked for; the entity may be the default one of the key."""
    id: str
    """For changes."""
    name: str = Field(pattern=r"^[A-Za-z0-9_-]{1,64}$")
    """What runs join by, and part of its address."""
    state: str
    """A :class:`SweepState`, or another that the server gave it."""

    @classmethod
    def load(cls, folder: RunFolder) -> JoinedSweep | None:
        """Read it back; None where there is none, or its file is damaged."""
        try:
            return cls.model_validate_json(folder.mirror(_FILE).read_bytes())
        except (OSError, ValidationError):
            return None

    def save(self, folder: RunFolder) -> None:
        """Write it atomically."""
        write_atomic(folder.mirror(_FILE), self.model_dump_json(indent=1) + "\n")


@dataclass
class WandbSweep:
    """The sweep that a connection's trials join; made when the first run is opened."""

    folder: RunFolder
    server: str
    entity: str | None
    project: str
    config: dict[str, Any] | None
    """From :func:`sweep_config`; None: there is no sweep."""
    witness: str
    """Run that joined the sweep, if any did: trial 0's."""
    note: str | None = None
    """Why there is no sweep, where the server refused it."""
    _joined: JoinedSweep | None = None
    _api: Any = None

    def join(self) -> str | None:
        """Return what trials join by; the sweep is looked up or made on the first call. None without a sweep.

        Raises:
            Exception: the server does not answer.
        """
        if self.config is None or self.note is not None:
            return None
        if self._joined is None:
            self._joined = self._known() or self._upsert(None, "RUNNING")
        return self._joined.name if self._joined else None

    def enter(self, state: SweepState) -> None:
        """Set the state of a sweep that was joined before, here or by an earlier process, if it is another one.

        Raises:
            Exception: the server does not answer.
        """
        if self.join() is not None and self._joined is not None and self._joined.state != state:
            self._joined = self._upsert(self._joined.id, state) or self._joined

    def _known(self) -> JoinedSweep | None:
        """Return the sweep that an earlier process made, as its file or a run that joined it says; None once deleted.

        The server is asked for it, because it may refuse runs that join a sweep it does not have.
        """
        kept = JoinedSweep.load(self.folder)
        if kept is not None and (kept.server, kept.project) == (self.server, self.project):
            name: str | None = kept.name
        else:
            answer = self._asked(_SWEEP_OF_RUN, run=self.witness).get("project") or {}
            name = (answer.get("run") or {}).get("sweepName")
        found = name and (self._asked(_SWEEP, sweep=name).get("project") or {}).get("sweep")
        return self._noted(found, str(found.get("state")).upper()) if found else None

    def _upsert(self, sweep: str | None, state: SweepState) -> JoinedSweep | None:
        from wandb.sdk.lib.service.service_connection import WandbApiFailedError

        variables = {"id": sweep, "config": json.dumps(self.config), "state": state}
        try:
            answer = self._execute(_UPSERT, **variables, displayName=(self.config or {})["name"])
        except WandbApiFailedError as error:
            if not _is_refusal(error):
                raise
            self.note = "this server has no sweeps, so trials are grouped instead"
            return None
        return self._noted(answer["upsertSweep"]["sweep"], state)

    def _noted(self, sweep: Mapping[str, Any], state: str) -> JoinedSweep:
        joined = JoinedSweep(server=self.server, project=self.project, id=sweep["id"], name=sweep["name"], state=state)
        joined.save(self.folder)
        return joined

    def _asked(self, query: str, **variables: Any) -> dict[str, Any]:
        """Return the answer to a query; empty where the server does not know what is asked for."""
        from wandb.sdk.lib.service.service_connection import WandbApiFailedError

        try:
            return self._execute(query, **variables)
        except WandbApiFailedError as error:
            if not _is_refusal(error):
                raise
            return {}

    def _execute(self, query: str, **variables: Any) -> dict[str, Any]:
        if self._api is None:
            self._api = api_of(self.server)
        place = {"entityName": self.entity, "projectName": self.project}
        # The public methods print, change the environment, and never return the id that changes need.
        answer: dict[str, Any] = self._api._service_api.execute_graphql(query, {**place, **variables})
        return answer


def api_of(server: str) -> Any:
    """Return the SDK's public API, which asks the server about the key first.

    Raises:
        AuthenticationError: the server refused the key.
        ConnectionError: it did not answer, which the SDK also raises as an AuthenticationError.
    """
    import wandb
    from wandb.errors import AuthenticationError

    try:
        return wandb.Api(overrides={"base_url": server}, timeout=_TIMEOUT_S)
    except AuthenticationError as error:
        response = getattr(error.__cause__, "response", None)
        if response is not None and response.http_status:
            raise
        raise ConnectionError(str(error)) from error


def _is_refusal(error: Any) -> bool:
    """Return whether a server answered, and will not answer otherwise later."""
    status = error.response.http_status if error.response is not None else 0
    return bool(status) and status not in (401, 403, 408, 429)
