"""Who holds a run folder, as the holder itself wrote it down."""

from __future__ import annotations

import json
from datetime import datetime, timezone
from pathlib import Path

__all__ = ["describe_owner", "now", "token_of"]


def token_of(owner: Path) -> str | None:
    """Return the token of its hold on an object storage, None where it has none."""
    try:
        return str(json.loads(owner.read_text())["token"])
    except (OSError, ValueError, KeyError):
        return None


def describe_owner(owner: Path) -> str:
    """Return the holder in words."""
    try:
        told = json.loads(owner.read_text())
        return f"process {told['pid']} on {told['host']} since {told['since']}"
    except (OSError, ValueError, KeyError):
        return "another process"


def now() -> str:
    """Return the time as the ledger writes it."""
    return datetime.now(timezone.utc).isoformat(timespec="milliseconds")
