"""Whether a sweep is mirrored to W&B: decided once, before anything starts, without importing ``wandb``."""

from __future__ import annotations

import configparser
import netrc
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal
from urllib.parse import urlsplit

from yolosweep.errors import UsageError
from yolosweep.experiment.schema import Wandb

__all__ = ["Choice", "choose_mode", "server"]

_DEFAULT_SERVER = "https://api.wandb.ai"
_NOT_SENDING = ("offline", "dryrun", "disabled")


@dataclass(frozen=True, kw_only=True)
class Choice:
    """What was decided."""

    mode: Literal["online", "off"]
    line: str
    """One line for the user; empty where the experiment does not ask for W&B."""


def choose_mode(wandb: Wandb | None, environ: Mapping[str, str]) -> Choice:
    """Decide whether to mirror.

    A key counts as found when ``WANDB_API_KEY`` or ``WANDB_IDENTITY_TOKEN_FILE`` is set, or the netrc file has an entry
    for the server. Keys are looked for, never looked at.

    Args:
        wandb: the experiment's ``track.wandb``; None mirrors nothing.
        environ: the environment, as in ``os.environ``.

    Raises:
        UsageError: ``mode: online`` without a key.
    """
    if wandb is None:
        return Choice(mode="off", line="")
    if wandb.mode == "off":
        return Choice(mode="off", line="W&B: off (track.wandb.mode=off)")
    asked = environ.get("WANDB_MODE", "").lower()
    if wandb.mode == "auto" and asked in _NOT_SENDING:
        return Choice(mode="off", line=f"W&B: off (WANDB_MODE={asked}); send later with `yolosweep track push RUN`")
    url = server(environ)
    if _has_key(url, environ):
        return Choice(mode="online", line=f"W&B: mirrored to {urlsplit(url).netloc}")
    missing = f"no API key for {urlsplit(url).netloc} in WANDB_API_KEY or the netrc file"
    if wandb.mode == "online":
        raise UsageError(
            f"track.wandb.mode=online: {missing}; run `wandb login`, or set track.wandb.mode: auto and send later "
            "with `yolosweep track push RUN`"
        )
    return Choice(mode="off", line=f"W&B: off, {missing}; `wandb login`, then `yolosweep track push RUN` sends it all")


def server(environ: Mapping[str, str]) -> str:
    """Return the address of the W&B server: ``WANDB_BASE_URL``, else what ``wandb login --host`` stored, else W&B's."""
    if url := environ.get("WANDB_BASE_URL"):
        return url.rstrip("/")
    folder = environ.get("WANDB_CONFIG_DIR") or str(_home(environ) / ".config" / "wandb")
    stored = configparser.ConfigParser(interpolation=None)
    try:
        stored.read(Path(folder) / "settings", encoding="utf-8")
        return stored.get("default", "base_url", fallback=_DEFAULT_SERVER).rstrip("/")
    except (configparser.Error, OSError, UnicodeDecodeError):
        return _DEFAULT_SERVER


def _has_key(url: str, environ: Mapping[str, str]) -> bool:
    if environ.get("WANDB_API_KEY") or environ.get("WANDB_IDENTITY_TOKEN_FILE"):
        return True
    named = environ.get("NETRC")
    home = _home(environ)
    files = [Path(named).expanduser()] if named else [home / ".netrc", home / "_netrc"]
    for file in files:
        try:
            if netrc.netrc(str(file)).authenticators(urlsplit(url).netloc) is not None:
                return True
        except (OSError, netrc.NetrcParseError, UnicodeDecodeError):
            continue
    return False


def _home(environ: Mapping[str, str]) -> Path:
    return Path(environ["HOME"]) if environ.get("HOME") else Path.home()
