"""MLflow: the only module that imports ``mlflow``, and only in the mirror process. It needs the extra ``mlflow``.

The sweep is a parent run, its trials are nested runs. MLflow chooses run ids itself, so a run is found again by a tag.
The server and its credentials come from MLflow's own environment variables alone: an address in a ledger, which may be
from somebody else, must not receive credentials.
"""

from __future__ import annotations

import contextlib
import hashlib
import importlib.util
import json
import math
import os
import posixpath
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit, urlunsplit

from yolosweep.errors import RunFolderError, UsageError
from yolosweep.experiment.schema import Track
from yolosweep.storage.atomic_files import sha256_of
from yolosweep.tracking.sink import (
    Artifact,
    Choice,
    Close,
    Destination,
    Message,
    NotSent,
    Open,
    Row,
    Summary,
    translated,
)

__all__ = ["MlflowConnection", "MlflowSink"]

_SERVER = "MLFLOW_TRACKING_URI"
_SECRETS = ("MLFLOW_TRACKING_PASSWORD", "MLFLOW_TRACKING_TOKEN")
_LIMITS = {"MLFLOW_HTTP_REQUEST_TIMEOUT": "20", "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "2"}
"""The mirror tries again itself; MLflow's own limits are 120 s and 7 attempts a request."""
_REFUSED = re.compile(r"\b40[13]\b|PERMISSION_DENIED|UNAUTHENTICATED", re.IGNORECASE)
_STATUS = {"finished": "FINISHED", "failed": "FAILED", "cancelled": "KILLED"}
_ID, _SWEEP, _CHECKSUM = "yolosweep.run", "yolosweep.sweep", "yolosweep.winner_sha256"
_SWEEP_STEP, _TRIAL_STEP = "ledger_seq", "epoch"
"""The metric that says which row of a run arrived last: it is sent with the end of each row."""
_NOT_IN_NAMES = re.compile(r"[^\w\-. :/]")
_LONGEST = 5000
_AT_ONCE = 100
"""Largest number of parameters and tags that MLflow takes in a request."""


class MlflowSink:
    """MLflow, switched on by ``track.mlflow`` and ``MLFLOW_TRACKING_URI``."""

    name = "mlflow"
    title = "MLflow"
    supports: frozenset[type[Message]] = frozenset({Row, Summary, Artifact})

    def choose(self, track: Track, environ: Mapping[str, str]) -> Choice:
        """Decide whether to mirror; ``mode: auto`` follows whether a server is named and the client is installed.

        Raises:
            UsageError: ``mode: online`` without one of them.
        """
        section = track.mlflow
        if section is None or section.mode == "off":
            line = "MLflow: off (track.mlflow.mode=off)" if section else ""
            return Choice(sink=self.name, online=False, line=line)
        problem = _problem(environ)
        if problem is None:
            return Choice(sink=self.name, online=True, line=f"MLflow: mirrored to {self.address({}, environ)}")
        if section.mode == "online":
            raise UsageError(f"track.mlflow.mode=online: {problem}")
        line = f"MLflow: off, {problem}; then `yolosweep track push RUN --to mlflow` sends everything"
        return Choice(sink=self.name, online=False, line=line)

    def require_ready(self, environ: Mapping[str, str]) -> None:
        """Check that a server is named and the client is installed.

        Raises:
            UsageError: one of them is missing.
        """
        if problem := _problem(environ):
            raise UsageError(f"track push: {problem}")

    def address(self, section: Mapping[str, Any], environ: Mapping[str, str]) -> str:
        """Return ``MLFLOW_TRACKING_URI`` without a user name and password."""
        return _without_user(environ.get(_SERVER, ""))

    def run_id(self, sweep: str, part: str) -> str:
        """Return the value of the tag that a run is found by."""
        return _run_id(sweep, part)

    def connect(self, destination: Destination) -> MlflowConnection:
        """Prepare this process for the client and connect."""
        os.environ |= {"MLFLOW_DISABLE_TELEMETRY": "true", "MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT": "true"}
        for name, value in _LIMITS.items():
            os.environ.setdefault(name, value)
        with _translated():
            return MlflowConnection(destination, os.environ[_SERVER])


def _problem(environ: Mapping[str, str]) -> str | None:
    if not environ.get(_SERVER):
        return f"{_SERVER} is not set: export {_SERVER}=http://HOST:5000"
    if importlib.util.find_spec("mlflow") is None:
        return "the MLflow client is not installed: pip install 'yolosweep[mlflow]'"
    return None


def _run_id(sweep: str, part: str) -> str:
    return hashlib.sha256(f"{sweep}/{part}".encode()).hexdigest()[:20]


def _without_user(url: str) -> str:
    parts = urlsplit(url)
    return urlunsplit(parts._replace(netloc=parts.netloc.rpartition("@")[2])).rstrip("/")


@dataclass
class _Run:
    """What MLflow has of a run."""

    id: str
    status: str
    params: dict[str, str] = field(default_factory=dict)
    tags: dict[str, str] = field(default_factory=dict)
    metrics: dict[str, float] = field(default_factory=dict)
    """Latest values."""


class MlflowConnection:
    """MLflow runs of one sweep.

    Args:
        destination: the sweep.
        server: MLflow's tracking URI.
    """

    def __init__(self, destination: Destination, server: str) -> None:
        from mlflow import MlflowClient

        self._destination = destination
        self._client = MlflowClient(tracking_uri=server)
        self._experiment = self._experiment_id(destination.section.get("experiment") or destination.experiment)
        self._known: dict[str, str] | None = None
        """MLflow's ids of the sweep's runs, by our ids."""
        self._runs: dict[str, _Run] = {}
        self.url: str | None = None
        self.warnings: dict[str, str] = {}
        self.note: str | None = None

    def _experiment_id(self, name: str) -> str:
        found = self._client.get_experiment_by_name(name)
        if found is None:
            return str(self._client.create_experiment(name))
        if found.lifecycle_stage != "active":
            raise NotSent(
                f"the MLflow experiment {name} was deleted; restore it, or set another track.mlflow.experiment"
            )
        return str(found.experiment_id)

    def open(self, opening: Open, *, closes: bool) -> int:
        """Open a run and return the last history step that MLflow has."""
        with _translated():
            self._runs[opening.run] = run = self._read(self._found_or_made(opening))
            params, tags = _described(opening)
            self._log(run, params=params, tags=tags)
            if self._destination.follow and run.status != "RUNNING":
                self._client.update_run(run.id, status="RUNNING")
            if opening.kind == "sweep":
                self.url = self._page(run.id)
            return int(run.metrics.get(_SWEEP_STEP if opening.kind == "sweep" else _TRIAL_STEP, -1))

    def _known_runs(self, sweep: str) -> dict[str, str]:
        """Return the runs that MLflow has of a sweep; asked once."""
        if self._known is None:
            self._known, token = {}, None
            wanted = f"tags.`{_SWEEP}` = '{_tag_of(sweep)}'"
            while True:
                page = self._client.search_runs([self._experiment], wanted, page_token=token)
                self._known |= {run.data.tags[_ID]: run.info.run_id for run in page if _ID in run.data.tags}
                token = page.token
                if not token:
                    break
        return self._known

    def _found_or_made(self, opening: Open) -> str:
        """Return MLflow's id of a run. A trial's parent is made before it, and described when it is opened itself."""
        known, parent = self._known_runs(opening.sweep), _run_id(opening.sweep, "sweep")
        for ours, name in ((parent, opening.sweep), (opening.run, opening.name)):
            if ours not in known:
                tags = {_ID: ours, _SWEEP: _tag_of(opening.sweep)}
                tags |= {} if ours == parent else {"mlflow.parentRunId": known[parent]}
                at = _milliseconds(opening.at)
                made = self._client.create_run(self._experiment, start_time=at, tags=tags, run_name=name)
                known[ours] = str(made.info.run_id)
        return known[opening.run]

    def _read(self, run_id: str) -> _Run:
        found = self._client.get_run(run_id)
        data = found.data
        return _Run(run_id, found.info.status, dict(data.params), dict(data.tags), dict(data.metrics))

    def _page(self, run_id: str) -> str:
        address = self._destination.address
        is_server = address.startswith(("http://", "https://"))
        return f"{address}/#/experiments/{self._experiment}/runs/{run_id}" if is_server else address

    def send(self, run: str, messages: Sequence[Message]) -> None:
        """Send messages, rows in large batches."""
        with _translated():
            target = self._runs[run]
            self._log_rows(target, [message for message in messages if isinstance(message, Row)])
            for message in messages:
                if isinstance(message, Summary):
                    self._summarize(target, message.values, message.at)
                elif isinstance(message, Artifact):
                    self._upload(target, message)
                elif isinstance(message, Open):
                    params, tags = _described(message)
                    self._log(target, params=params, tags=tags)
                elif isinstance(message, Close):
                    self._log(target, params=_scalars(message.config), tags={})
                    self._summarize(target, message.summary, message.at)

    def _log_rows(self, run: _Run, rows: Sequence[Row]) -> None:
        from mlflow.entities import Metric

        metrics = [Metric(*values) for row in rows for values in _metrics_of(row)]
        for some in _chunks(metrics, 10 * _AT_ONCE):
            self._client.log_batch(run.id, metrics=some)
        run.metrics |= {metric.key: metric.value for metric in metrics}

    def _log(self, run: _Run, *, params: Mapping[str, Any], tags: Mapping[str, Any]) -> None:
        """Log what MLflow does not have. Its parameters never change, so a value used in the end becomes a tag."""
        from mlflow.entities import Param, RunTag

        wanted = {_name(key): _text(value) for key, value in params.items() if value is not None}
        changed = {f"used.{key}": text for key, text in wanted.items() if run.params.get(key, text) != text}
        fresh = {key: text for key, text in wanted.items() if key not in run.params}
        labels = {_name(key): _text(value) for key, value in tags.items() if value is not None} | changed
        labels = {key: text for key, text in labels.items() if run.tags.get(key) != text}
        for some in _chunks(list(fresh.items()), _AT_ONCE):
            self._client.log_batch(run.id, params=[Param(*pair) for pair in some])
        for some in _chunks(list(labels.items()), _AT_ONCE):
            self._client.log_batch(run.id, tags=[RunTag(*pair) for pair in some])
        run.params |= fresh
        run.tags |= labels

    def _summarize(self, run: _Run, values: Mapping[str, Any], at: datetime) -> None:
        """Log headline values: numbers as metrics, texts as tags. A tag that no longer holds is removed."""
        from mlflow.entities import Metric

        numbers = {_name(key): value for key, value in values.items() if _is_number(value)}
        news = {key: float(value) for key, value in numbers.items() if run.metrics.get(key) != value}
        if news:
            step = int(run.metrics.get("trials_ended", run.metrics.get(_TRIAL_STEP, 0)))
            metrics = [Metric(key, value, _milliseconds(at), step) for key, value in news.items()]
            self._client.log_batch(run.id, metrics=metrics)
            run.metrics |= news
        self._log(run, params={}, tags={k: v for k, v in values.items() if not _is_number(v)})
        for key in (_name(key) for key, value in values.items() if value is None):
            if run.tags.pop(key, None) is not None:
                self._client.delete_tag(run.id, key)

    def _upload(self, run: _Run, message: Artifact) -> None:
        """Upload the winner's file and its card, unless they are there."""
        folder = self._destination.folder
        self.warnings.pop(message.name, None)
        try:
            path, card = folder.resolve(message.file), folder.bundled("README.md")
        except RunFolderError as error:
            raise NotSent(str(error)) from error
        if not path.is_file() or sha256_of(path) != message.file.sha256:
            self.warnings[message.name] = (
                f"{message.file.path} was not uploaded: it is missing, or differs from what the ledger recorded"
            )
            return
        if run.tags.get(_CHECKSUM) == message.file.sha256:
            return
        for file, place in ((path, "winner"), (card, "winner"), *self._pictures(message)):
            if file.is_file():
                self._client.log_artifact(run.id, str(file), place)
        self._log(run, params={}, tags={_CHECKSUM: message.file.sha256})

    def _pictures(self, message: Artifact) -> Iterator[tuple[Path, str]]:
        """Yield the pictures that are as recorded, and their folders."""
        for picture in message.pictures:
            try:
                path = self._destination.folder.resolve(picture)
            except RunFolderError:
                continue
            if path.is_file() and sha256_of(path) == picture.sha256:
                yield path, posixpath.dirname(picture.path)

    def finish(self, run: str, close: Close | None) -> None:
        """Close a run; one whose trial continues elsewhere keeps its state."""
        target = self._runs.pop(run)
        if close is None and not self._destination.follow:
            return
        with _translated():
            status = _STATUS[close.outcome if close else "cancelled"]
            end = _milliseconds(close.at) if close else None
            self._client.set_terminated(target.id, status=status, end_time=end)

    def close(self) -> None:
        """Return: the client holds no connection."""


def _described(opening: Open) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return the parameters and tags that a run begins with."""
    config = opening.config
    own = {f"yolosweep.{key}": value for key, value in config.get("yolosweep", {}).items() if key != "sweep"}
    tags = {"yolosweep.kind": opening.kind, **own}
    if opening.kind == "sweep":
        return _scalars(config["experiment"]), {**tags, "dataset": config["dataset"], "versions": config["versions"]}
    settings = {key: value for key, value in config.items() if not key.startswith("dataset_")}
    data = {key: value for key, value in config.items() if key.startswith("dataset_")}
    return _scalars({key: value for key, value in settings.items() if key not in ("yolosweep", "asked")}), tags | data


def _scalars(values: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Return nested settings under dotted names."""
    flat: dict[str, Any] = {}
    for key, value in values.items():
        flat |= _scalars(value, f"{prefix}{key}.") if isinstance(value, dict) else {f"{prefix}{key}": value}
    return flat


def _metrics_of(row: Row) -> Iterator[tuple[str, float, int, int]]:
    """Yield name, value, time and step of a row's metrics; a sweep's are shown over the number of ended trials."""
    marker = _SWEEP_STEP if _SWEEP_STEP in row.values else _TRIAL_STEP
    step = row.values.get("trials_ended", row.step) if marker == _SWEEP_STEP else row.step
    for key, value in row.values.items():
        if key != marker and _is_number(value):
            yield _name(key), float(value), _milliseconds(row.at), int(step)
    yield marker, float(row.step), _milliseconds(row.at), row.step


def _chunks(items: list[Any], size: int) -> Iterable[list[Any]]:
    return (items[start : start + size] for start in range(0, len(items), size))


def _is_number(value: object) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value)


def _name(key: str) -> str:
    """Return a name that MLflow accepts: of ``metrics/mAP50(B)`` without the parentheses, as Ultralytics does."""
    return _NOT_IN_NAMES.sub("", key)[:250]


def _text(value: Any) -> str:
    return (value if isinstance(value, str) else json.dumps(value))[:_LONGEST]


def _tag_of(sweep: str) -> str:
    """Return a sweep's identifier as it can stand in a search: a ledger may hold any text."""
    return re.sub(r"[^\w.\-]", "_", sweep)


def _milliseconds(at: datetime) -> int:
    return max(0, int(at.timestamp() * 1000))


def _translated() -> contextlib.AbstractContextManager[None]:
    return translated(_without_secrets, _REFUSED)


def _without_secrets(text: str) -> str:
    server = os.environ.get(_SERVER, "")
    text = text.replace(server, _without_user(server))
    for secret in (*(os.environ.get(name) for name in _SECRETS), urlsplit(server).password):
        text = text.replace(secret, "***") if secret else text
    return text
