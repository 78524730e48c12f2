"""Weights & Biases offline: run folders below ``RUN/wandb`` that ``wandb sync`` sends from a machine with a network.

``wandb sync`` sends a folder from its first line on, so two folders of one run would overwrite each other, and one cut
off by a kill is lost. Therefore each run has one folder, written at once from the ledger when the run ends, and written
again when a resumed run ends once more. Beside them, ``data`` holds copies of the files that are uploaded; the folders
name them, and ``winner/best.pt``, by their absolute path, so they are sent from where they were written.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Sequence
from pathlib import Path

from yolosweep.ledger import read_events
from yolosweep.tracking.message_planner import Planner
from yolosweep.tracking.sink import Artifact, Close, Destination, Message, Open
from yolosweep.tracking.wandb_connection import WandbConnection

__all__ = ["OfflineConnection"]


class OfflineConnection:
    """Run folders of W&B instead of runs at a server.

    Args:
        destination: where the run folder is.
        run_id: as of the sink.
    """

    def __init__(self, destination: Destination, *, run_id: Callable[[str, str], str]) -> None:
        self._destination, self._run_id = destination, run_id
        self._client = WandbConnection(destination, offline=True)
        self._last_seq: dict[str, int] = {}
        self.url: str | None = None
        self.warnings = self._client.warnings
        self.note: str | None = None

    def open(self, opening: Open, *, closes: bool) -> int:
        """Do nothing yet: a run is written when it is finished."""
        self._last_seq[opening.run] = opening.seq
        return -1

    def send(self, run: str, messages: Sequence[Message]) -> None:
        """Note how far the run is."""
        self._last_seq[run] = max([self._last_seq[run], *(message.seq for message in messages)])

    def finish(self, run: str, close: Close | None) -> None:
        """Write the folder of a run, in place of an earlier one."""
        for earlier in self._folders(run):
            shutil.rmtree(earlier)
        messages = self._messages(run)
        opening = next(message for message in reversed(messages) if isinstance(message, Open))
        if opening.kind == "sweep":  # the only run with files that the SDK copies there
            shutil.rmtree(self._destination.folder.offline_runs("data"), ignore_errors=True)
        self._client.open(opening, closes=close is not None)
        self._client.send(run, messages)
        self._client.finish(run, close)

    def close(self) -> None:
        """End the SDK's own process."""
        self._client.close()

    def _folders(self, run: str) -> list[Path]:
        found = self._destination.folder.offline_runs().glob(f"offline-run-*-{run}")
        return [path for path in found if path.is_dir() and not path.is_symlink()]

    def _messages(self, run: str) -> list[Message]:
        """Return all messages of a run so far, without winners whose file was replaced."""
        planner = Planner("wandb", self._run_id)
        planned = (message for event in read_events(self._destination.folder.ledger) for message in planner.add(event))
        found = [one for one in planned if one.run == run and one.seq <= self._last_seq[run]]
        artifacts = [one for one in found if isinstance(one, Artifact)]
        return [one for one in found if one not in artifacts[:-1]]
