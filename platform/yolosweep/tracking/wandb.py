"""Weights & Biases: the only module that imports ``wandb``, and only in the mirror process.

The SDK does nothing but send runs: no console capture, no git, no code, no system metrics, no machine details. Its
working files are in a temporary folder of the mirror process.
"""

from __future__ import annotations

import configparser
import contextlib
import hashlib
import json
import netrc
import os
import re
import shutil
import tempfile
from collections.abc import Iterator, Mapping, MutableMapping, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from yolosweep.errors import UsageError
from yolosweep.experiment.schema import Track
from yolosweep.storage.atomic_files import sha256_of
from yolosweep.tracking.sink import Artifact, Choice, Close, Destination, Message, NotSent, Open, Row, Summary, Table

__all__ = ["WandbConnection", "WandbSink", "isolate"]

_DEFAULT_SERVER = "https://api.wandb.ai"
_MODES_THAT_SEND_NOTHING = ("offline", "dryrun", "disabled")
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
_EXIT_CODES = {"finished": 0, "failed": 1, "cancelled": 255}
"""W&B shows 0 as *finished*, 255 (what the SDK sends for Ctrl-C) as *killed*, and anything else as *failed*."""
_INIT_TIMEOUT_S = 20.0
_FINISH_TIMEOUT_S = {"trial": 60.0, "sweep": 600.0}
"""A trial's run carries numbers; the sweep's run uploads the winner's checkpoint."""


class WandbSink:
    """Weights & Biases, switched on by ``track.wandb`` and an API key.

    A key counts as found when ``WANDB_API_KEY`` or ``WANDB_IDENTITY_TOKEN_FILE`` is set, or the netrc file has an entry
    for the server. Only its presence is checked.
    """

    name = "wandb"
    title = "W&B"
    supports: frozenset[type[Message]] = frozenset({Row, Summary, Table, Artifact})

    def choose(self, track: Track, environ: Mapping[str, str]) -> Choice:
        """Decide whether to mirror; ``mode: auto`` follows ``WANDB_MODE`` and whether there is a key.

        Raises:
            UsageError: ``mode: online`` without a key.
        """
        wandb = track.wandb
        if wandb is None:
            return self._off("")
        if wandb.mode == "off":
            return self._off("W&B: off (track.wandb.mode=off)")
        mode = environ.get("WANDB_MODE", "").lower()
        if wandb.mode == "auto" and mode in _MODES_THAT_SEND_NOTHING:
            return self._off(f"W&B: off (WANDB_MODE={mode}); send later with `yolosweep track push RUN`")
        server = self.address({}, environ)
        host = urlsplit(server).netloc
        if _has_key(server, environ):
            return Choice(sink=self.name, online=True, line=f"W&B: mirrored to {host}")
        problem = f"no API key for {host} in WANDB_API_KEY or the netrc file"
        if wandb.mode == "online":
            raise UsageError(
                f"track.wandb.mode=online: {problem}; run `wandb login`, or set track.wandb.mode: auto and send later "
                "with `yolosweep track push RUN`"
            )
        return self._off(f"W&B: off, {problem}; `wandb login`, then `yolosweep track push RUN` sends everything")

    def _off(self, line: str) -> Choice:
        return Choice(sink=self.name, online=False, line=line)

    def require_ready(self, environ: Mapping[str, str]) -> None:
        """Check that there is an API key.

        Raises:
            UsageError: there is none.
        """
        if not _has_key(self.address({}, environ), environ):
            raise UsageError("track push: no W&B API key found; run `wandb login`, or set WANDB_API_KEY")

    def address(self, section: Mapping[str, Any], environ: Mapping[str, str]) -> str:
        """Return ``WANDB_BASE_URL``, else the server that ``wandb login --host`` stored, else W&B's own."""
        if url := environ.get("WANDB_BASE_URL"):
            return url.rstrip("/")
        folder = environ.get("WANDB_CONFIG_DIR") or str(_home(environ) / ".config" / "wandb")
        stored = configparser.ConfigParser(interpolation=None)
        try:
            stored.read(Path(folder) / "settings", encoding="utf-8")
            return stored.get("default", "base_url", fallback=_DEFAULT_SERVER).rstrip("/")
        except (configparser.Error, OSError, UnicodeDecodeError):
            return _DEFAULT_SERVER

    def run_id(self, sweep: str, part: str) -> str:
        """Return the W&B run id, within the characters and the length that W&B accepts."""
        return "ys" + hashlib.sha256(f"{sweep}/{part}".encode()).hexdigest()[:18]

    def connect(self, destination: Destination) -> WandbConnection:
        """Prepare this process for the SDK."""
        isolate(os.environ, destination.scratch)
        return WandbConnection(destination)


def _has_key(server: str, environ: Mapping[str, str]) -> bool:
    if environ.get("WANDB_API_KEY") or environ.get("WANDB_IDENTITY_TOKEN_FILE"):
        return True
    named = environ.get("NETRC")
    home = _home(environ)
    files = [Path(named).expanduser()] if named else [home / ".netrc", home / "_netrc"]
    for file in files:
        with contextlib.suppress(OSError, netrc.NetrcParseError, UnicodeDecodeError):
            if netrc.netrc(str(file)).authenticators(urlsplit(server).netloc) is not None:
                return True
    return False


def _home(environ: Mapping[str, str]) -> Path:
    return Path(environ["HOME"]) if environ.get("HOME") else Path.home()


def isolate(environ: MutableMapping[str, str], scratch: Path) -> None:
    """Drop a user's W&B settings for trainings (run id, group, sweep…), and keep the SDK's files in ``scratch``."""
    for name in [name for name in environ if name.startswith("WANDB_") and name not in _KEPT]:
        del environ[name]
    for name in ("WANDB_DIR", "WANDB_CACHE_DIR", "WANDB_DATA_DIR", "WANDB_ARTIFACT_DIR"):
        environ[name] = str(scratch)
    environ["WANDB_ERROR_REPORTING"] = "false"
    environ["TMPDIR"] = tempfile.tempdir = str(scratch)


class WandbConnection:
    """W&B runs that are open in this process, many at a time."""

    def __init__(self, destination: Destination) -> None:
        self._destination = destination
        self._runs: dict[str, Any] = {}
        self.url: str | None = None
        self.warnings: dict[str, str] = {}

    def open(self, opening: Open, *, closes: bool) -> int:
        """Open a run and return the last history step the server has."""
        import wandb

        settings = wandb.Settings(
            mode="online",
            base_url=self._destination.address,
            root_dir=str(self._destination.scratch),
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
            finish_timeout=_FINISH_TIMEOUT_S[opening.kind],
            finish_timeout_raises=True,
            stop_fn=_ignore_stop_button,
            x_update_finish_state=closes or self._destination.follow,
        )
        with _translated():
            run = self._runs[opening.run] = self._init(opening, settings)
            self.url = run.project_url or self.url
            axis = "trials_ended" if opening.kind == "sweep" else "epoch"
            run.define_metric(axis)
            run.define_metric("*", step_metric=axis)
        # The run's summary cannot be used: the SDK sends it before the history, and may die in between.
        return int(run.starting_step) - 1

    def _init(self, opening: Open, settings: Any) -> Any:
        import wandb

        section = self._destination.section
        return wandb.init(
            project=section.get("project") or self._destination.experiment,
            entity=section.get("entity"),
            id=opening.run,
            name=opening.name,
            group=opening.sweep,
            job_type=opening.kind,
            tags=list(opening.tags),
            config=opening.config,
            reinit="create_new",
            resume="allow",
            settings=settings,
        )

    def send(self, run: str, messages: Sequence[Message]) -> None:
        """Hand messages to the SDK, which sends them in the background."""
        with _translated():
            for message in messages:
                self._send(self._runs[run], message)

    def _send(self, run: Any, message: Message) -> None:
        if isinstance(message, (Row, Table)):
            run.log(_history(message), step=message.step, commit=True)
        elif isinstance(message, Summary):
            run.summary.update(message.values)
        elif isinstance(message, Artifact):
            self._upload(run, message)
        elif isinstance(message, (Open, Close)):
            run.tags = message.tags
            run.config.update(message.config, allow_val_change=True)
            if isinstance(message, Close):
                run.summary.update(message.summary)

    def _upload(self, run: Any, message: Artifact) -> None:
        """Upload the winner; W&B makes no new version of equal contents."""
        import wandb

        self.warnings.pop(message.name, None)
        path = self._destination.folder.resolve(message.file)
        if not path.is_file() or sha256_of(path) != message.file.sha256:
            self.warnings[message.name] = (
                f"{message.file.path} was not uploaded: it is missing, or differs from what the ledger recorded"
            )
            return
        artifact = wandb.Artifact(message.name, type="model", metadata=dict(message.metadata))
        artifact.add_file(str(path), name="best.pt", skip_cache=True, policy="immutable")
        run.log_artifact(artifact, aliases=["best"])

    def finish(self, run: str, close: Close | None) -> None:
        """Close a run, once everything sent has arrived; one whose trial continues ends as killed."""
        open_run = self._runs.pop(run)
        log = Path(open_run.settings.log_internal)
        with _translated():
            open_run.finish(exit_code=_EXIT_CODES[close.outcome if close else "cancelled"])
            _raise_for_lost_data(log)
        with contextlib.suppress(OSError):
            shutil.rmtree(log.parent.parent)

    def close(self) -> None:
        """End the SDK's own process."""
        import wandb

        wandb.teardown()


def _history(message: Row | Table) -> Mapping[str, Any]:
    if isinstance(message, Row):
        return message.values
    import wandb

    table = wandb.Table(columns=list(message.columns), data=[list(row) for row in message.rows], allow_mixed_types=True)
    return {"trials": table, "ledger_seq": message.seq}


def _ignore_stop_button() -> None:
    """Ignore the stop button of W&B's web page: a mirror has nothing to stop."""


@contextlib.contextmanager
def _translated() -> Iterator[None]:
    """Turn any exception of the SDK into one line without the key."""
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
            text = str(entry.get("msg", ""))
            fatal = str(entry.get("level", "")).startswith("ERROR+")
            if fatal or text.startswith(("runupserter: failed", "runfiles:")):
                raise NotSent(" ".join(f"{text} {entry.get('error', '')}".split())[:300])
