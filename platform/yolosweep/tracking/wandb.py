"""Weights & Biases: whether to mirror, with which credentials, and where to.

``wandb`` is imported by the other ``wandb_`` modules alone, in the mirror process alone.
"""

from __future__ import annotations

import configparser
import contextlib
import hashlib
import netrc
import os
import tempfile
from collections.abc import Mapping, MutableMapping
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from yolosweep.errors import UsageError
from yolosweep.experiment.schema import Track
from yolosweep.tracking.sink import Artifact, Choice, Connection, Destination, Message, Row, Summary, Table
from yolosweep.tracking.wandb_connection import WandbConnection
from yolosweep.tracking.wandb_offline import OfflineConnection

__all__ = ["WandbSink", "isolate"]

_DEFAULT_SERVER = "https://api.wandb.ai"
_OFFLINE = ("offline", "dryrun")
_SYNC = "`wandb sync RUN/wandb/offline-run-*` sends what is written there"
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
        if wandb.mode == "auto" and mode == "disabled":
            return self._off(f"W&B: off (WANDB_MODE={mode}); send later with `yolosweep track push RUN`")
        if _is_offline(environ):
            if wandb.mode == "online":
                raise UsageError(
                    f"track.wandb.mode=online, but WANDB_MODE={mode}; unset WANDB_MODE, or set track.wandb.mode: auto"
                )
            return Choice(sink=self.name, online=True, line=f"W&B: offline (WANDB_MODE={mode}); {_SYNC}")
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
        if not _is_offline(environ) and not _has_key(self.address({}, environ), environ):
            raise UsageError("track push: no W&B API key found; run `wandb login`, or set WANDB_API_KEY")

    def address(self, section: Mapping[str, Any], environ: Mapping[str, str]) -> str:
        """Return ``WANDB_BASE_URL``, else the server that ``wandb login --host`` stored, else W&B's own.

        Offline it is the word ``offline``: what was written there arrived at no server.
        """
        if _is_offline(environ):
            return "offline"
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

    def connect(self, destination: Destination) -> Connection:
        """Prepare this process for the SDK."""
        isolate(os.environ, destination.scratch)
        if destination.address == "offline":
            os.environ["WANDB_DATA_DIR"] = str(destination.folder.offline_runs("data"))
            return OfflineConnection(destination, run_id=self.run_id)
        return WandbConnection(destination, witness=self.run_id(destination.sweep, "t0000"))


def _is_offline(environ: Mapping[str, str]) -> bool:
    return environ.get("WANDB_MODE", "").lower() in _OFFLINE


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
