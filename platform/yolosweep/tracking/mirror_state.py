"""What the mirror remembers between processes: ``mirror/wandb.json``. Losing it costs time, never a duplicate."""

from __future__ import annotations

from datetime import datetime, timezone

from pydantic import BaseModel, ConfigDict, ValidationError

from yolosweep.ledger import RunFolder
from yolosweep.storage.atomic_files import write_atomic

__all__ = ["MirrorState", "SentRun"]


class SentRun(BaseModel):
    """What is known to have arrived of one W&B run."""

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
    """The mirror's memory, and what it tells the driver."""

    model_config = ConfigDict(extra="ignore")

    server: str
    """Address the runs were sent to; what went elsewhere does not count."""
    runs: dict[str, SentRun] = {}
    """By W&B run id."""
    complete: bool = False
    """The sweep ended and everything arrived."""
    url: str | None = None
    """The W&B project's page."""
    last_error: str | None = None
    """One line; None once things went well again."""
    at: str = ""

    @classmethod
    def load(cls, folder: RunFolder, server: str) -> MirrorState:
        """Read the memory; an absent or damaged file, or one about another server, starts an empty one."""
        try:
            state = cls.model_validate_json((folder.mirror("wandb.json")).read_bytes())
        except (OSError, ValidationError):
            return cls(server=server)
        return state if state.server == server else cls(server=server)

    def save(self, folder: RunFolder) -> None:
        """Write the memory atomically."""
        self.at = datetime.now(timezone.utc).isoformat(timespec="seconds")
        write_atomic(folder.mirror("wandb.json"), self.model_dump_json(indent=1) + "\n")
