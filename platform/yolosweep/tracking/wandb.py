"""The only door to ``wandb``: open, fill and close W&B runs, many at a time in one process.

The SDK is asked for nothing but runs: no console capture, no git, no code, no system metrics, no machine details. Its
working files live in a temporary folder of the mirror process.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import shutil
import tempfile
from collections.abc import Iterator, Mapping, MutableMapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from yolosweep.ledger import RunFolder
from yolosweep.storage.atomic_files import sha256_of
from yolosweep.tracking.messages import Artifact, Close, Message, Open, Row, Summary, Table

__all__ = ["Destination", "NotSent", "Runs", "isolate"]

_KEPT = (
    "WANDB_API_KEY",
    "WANDB_BASE_URL",
    "WANDB_CONFIG_DIR",
    "WANDB_CREDENTIALS_FILE",
    "WANDB_ENTITY",
    "WANDB_HTTP_PROXY",
    "WANDB_HTTPS_PROXY",
    "WANDB_IDENTITY_TOKEN_FILE",
    "WANDB_INSECURE_DISABLE_SSL",
    "WANDB_X_EXTRA_HTTP_HEADERS",
)
_REFUSED = re.compile(r"AuthenticationError|\b40[13]\b|permission denied|api key", re.IGNORECASE)
_INIT_TIMEOUT_S = 20.0
_FINISH_TIMEOUT_S = {"trial": 60.0, "sweep": 600.0}
"""A trial's run carries numbers; the sweep's run uploads the winner's checkpoint."""


class NotSent(Exception):
    """Something did not arrive; the text is one line for people."""

    def __init__(self, text: str, *, refused: bool = False) -> None:
        super().__init__(text)
        self.refused = refused
        """The server does not accept this key: trying again is no use."""


@dataclass(frozen=True, kw_only=True)
class Destination:
    """Where runs go."""

    server: str
    project: str
    entity: str | None


@dataclass
class _Handle:
    run: Any
    step: int
    """Last step the server has, or was handed."""


def isolate(environ: MutableMapping[str, str], scratch: Path) -> None:
    """Keep a user's W&B settings for trainings (run id, group, sweep…) out, and the SDK's files in ``scratch``."""
    for name in [name for name in environ if name.startswith("WANDB_") and name not in _KEPT]:
        del environ[name]
    for name in ("WANDB_DIR", "WANDB_CACHE_DIR", "WANDB_DATA_DIR", "WANDB_ARTIFACT_DIR"):
        environ[name] = str(scratch)
    environ["WANDB_ERROR_REPORTING"] = "false"
    environ["TMPDIR"] = tempfile.tempdir = str(scratch)


class Runs:
    """W&B runs that are open in this process.

    Args:
        destination: where they go.
        folder: the run folder the winner's checkpoint is in.
        scratch: folder for the SDK's working files.
        follow: this process stays until the sweep ends, so the state of every run is its to set; else a run that goes
            on elsewhere keeps its state.
    """

    def __init__(self, destination: Destination, folder: RunFolder, scratch: Path, *, follow: bool) -> None:
        self._destination, self._folder, self._scratch, self._follow = destination, folder, scratch, follow
        self._handles: dict[str, _Handle] = {}
        self.url: str | None = None
        """The project's page, once a run was opened."""
        self.warnings: dict[str, str] = {}
        """What could not be sent and never will be, by name, e.g. a winner's file that is gone."""

    def send(self, opening: Open, messages: list[Message], *, known_step: int) -> None:
        """Hand messages of one run to the SDK, which sends them in the background.

        Args:
            opening: how to open the run, if it is not open.
            messages: oldest first, at least one; history steps that the server has are left out.
            known_step: last history step that arrived as far as we know; the server is asked too.

        Raises:
            NotSent: the run cannot be opened, or the SDK refuses.
        """
        with _translated():
            handle = self._handles.get(opening.run)
            if handle is None:
                closes = isinstance(messages[-1], Close)
                handle = self._handles[opening.run] = self._open(opening, known_step, closes=closes)
                messages = messages[isinstance(messages[0], Open) :]
            for message in messages:
                self._say(handle, message)

    def finish(self, run: str, close: Close | None) -> int:
        """Close a run and return the last step it has; everything handed over has arrived when this returns.

        Args:
            run: W&B run id.
            close: how the run ended; None where it did not, and W&B is told that it was killed.

        Raises:
            NotSent: not everything arrived in time, or the server refused it.
        """
        handle = self._handles.pop(run)
        log = Path(handle.run.settings.log_internal)
        with _translated():
            handle.run.finish(exit_code=close.exit_code if close else 255)
            _raise_for_lost_data(log)
        with contextlib.suppress(OSError):
            shutil.rmtree(log.parent.parent)
        return handle.step

    def close(self) -> None:
        """End the SDK's own process, once all runs are finished."""
        import wandb

        wandb.teardown()

    @property
    def any_open(self) -> bool:
        """At least one run could be opened."""
        return bool(self._handles)

    def _open(self, opening: Open, known_step: int, *, closes: bool) -> _Handle:
        import wandb

        settings = wandb.Settings(
            mode="online",
            base_url=self._destination.server,
            root_dir=str(self._scratch),
            console="off",
            disable_git=True,
            disable_code=True,
            save_code=False,
            disable_job_creation=True,
            label_disable=True,
            x_disable_stats=True,
            x_disable_meta=True,
            x_disable_machine_info=True,
            x_save_requirements=False,
            silent=True,
            init_timeout=_INIT_TIMEOUT_S,
            finish_timeout=_FINISH_TIMEOUT_S[opening.job_type],
            finish_timeout_raises=True,
            stop_fn=_not_stopped_from_outside,
            x_update_finish_state=closes or self._follow,
        )
        run = self._init(opening, settings)
        self.url = run.project_url or self.url
        is_sweep = opening.job_type == "sweep"
        axis = "trials_ended" if is_sweep else "epoch"
        run.define_metric(axis)
        run.define_metric("*", step_metric=axis)
        # Its summary says nothing of its history: the SDK sends the summary first, and may die in between.
        return _Handle(run=run, step=max(known_step, run.starting_step - 1))

    def _init(self, opening: Open, settings: Any) -> Any:
        import wandb

        return wandb.init(
            project=self._destination.project,
            entity=self._destination.entity,
            id=opening.run,
            name=opening.name,
            group=opening.group,
            job_type=opening.job_type,
            tags=list(opening.tags),
            config=opening.config,
            reinit="create_new",
            resume="allow",
            settings=settings,
        )

    def _say(self, handle: _Handle, message: Message) -> None:
        run = handle.run
        if isinstance(message, (Row, Table)):
            if message.step > handle.step:
                handle.step = message.step
                run.log(_history(message), step=message.step, commit=True)
        elif isinstance(message, Open):
            run.tags = message.tags
            run.config.update(message.config, allow_val_change=True)
        elif isinstance(message, Summary):
            run.summary.update(message.values)
        elif isinstance(message, Artifact):
            self._upload(run, message)
        elif isinstance(message, Close):
            run.tags = message.tags
            run.config.update(message.config, allow_val_change=True)
            run.summary.update(message.summary)

    def _upload(self, run: Any, message: Artifact) -> None:
        """Upload the winner; where it is there already, W&B sees that its contents are equal and makes no version."""
        import wandb

        self.warnings.pop(message.name, None)
        path = self._folder.resolve(message.file)
        if not path.is_file() or sha256_of(path) != message.file.sha256:
            self.warnings[message.name] = (
                f"{message.file.path} was not uploaded: it is gone, or is not what the ledger recorded"
            )
            return
        artifact = wandb.Artifact(message.name, type="model", metadata=dict(message.metadata))
        artifact.add_file(str(path), name="best.pt", skip_cache=True, policy="immutable")
        run.log_artifact(artifact, aliases=["best"])


def _history(message: Row | Table) -> Mapping[str, Any]:
    if isinstance(message, Row):
        return message.values
    import wandb

    table = wandb.Table(columns=list(message.columns), data=[list(row) for row in message.rows], allow_mixed_types=True)
    return {"trials": table, "ledger_seq": message.seq}


def _not_stopped_from_outside() -> None:
    """Pass over the stop button of W&B's web page: a mirror has nothing to stop."""


@contextlib.contextmanager
def _translated() -> Iterator[None]:
    """Turn whatever the SDK raises into one line without the key."""
    try:
        yield
    except NotSent:
        raise
    except Exception as error:
        text = " ".join(f"{type(error).__name__}: {error}".split())
        key = os.environ.get("WANDB_API_KEY")
        text = text.replace(key, "***") if key else text
        refused = _REFUSED.search(text) is not None
        raise NotSent(text[:300], refused=refused) from error


def _raise_for_lost_data(log: Path) -> None:
    """Look for a fatal upload error in the SDK's own log of a run: ``finish`` returns normally after one.

    Raises:
        NotSent: there is one.
    """
    try:
        lines = log.read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return
    for line in lines:
        with contextlib.suppress(ValueError, AttributeError):
            entry = json.loads(line)
            said = str(entry.get("msg", ""))
            fatal = str(entry.get("level", "")).startswith("ERROR+")
            if fatal or said.startswith(("runupserter: failed", "runfiles:")):
                raise NotSent(" ".join(f"{said} {entry.get('error', '')}".split())[:300])
