"""What a mirror remembers between processes: ``mirror/<sink>.json``. Losing it costs time, never a duplicate."""

from __future__ import annotations

from datetime import datetime, timezone

from pydantic import BaseModel, ConfigDict, ValidationError

from yolosweep.ledger import RunFolder
from yolosweep.storage.atomic_files import write_atomic

__all__ = ["MirrorState", "SentRun"]


class SentRun(BaseModel):
    """What is known to have arrived of one tracked run."""

    model_config = ConfigDict(extra="ignore")

    name: str
    """Trial, or the sweep's identifier."""
    seq: int
    """Number of the last ledger event that arrived."""
    step: int = -1
    """Last history step that arrived: the epoch of a trial."""
    closed: bool = False
    """The ending was sent."""


class MirrorState(BaseModel):
    """What has arrived at one sink; also how the mirror process reports to the process that started it."""

    model_config = ConfigDict(extra="ignore")

    server: str
    """Address the runs were sent to; what another address received does not count."""
    runs: dict[str, SentRun] = {}
    """By id of the tracked run."""
    complete: bool = False
    """The sweep ended and everything arrived."""
    url: str | None = None
    """Page of the sweep at the tracker."""
    last_error: str | None = None
    """One line; None after a success."""
    note: str | None = None
    """As of the connection."""
    at: str = ""

    @classmethod
    def load(cls, folder: RunFolder, sink: str, server: str | None = None) -> MirrorState:
        """Read the state; a missing or damaged file, or one of another address, gives an empty one.

        Args:
            folder: the run folder.
            sink: name of the sink.
            server: where runs are sent now; None: wherever they were sent last.
        """
        try:
            state = cls.model_validate_json(folder.mirror(f"{sink}.json").read_bytes())
        except (OSError, ValidationError):
            return cls(server=server or "")
        return state if server in (None, state.server) else cls(server=server or "")

    def save(self, folder: RunFolder, sink: str) -> None:
        """Write the state atomically."""
        self.at = datetime.now(timezone.utc).isoformat(timespec="seconds")
        write_atomic(folder.mirror(f"{sink}.json"), self.model_dump_json(indent=1) + "\n")
