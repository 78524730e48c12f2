"""The checkpoints of a running training in the run folder."""

from __future__ import annotations

import re
from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

from yolosweep.ledger import RunFolder
from yolosweep.records import Checkpoint, FileRef, TrialRequest
from yolosweep.storage.atomic_files import Content, sha256_of

__all__ = ["Checkpoints"]

_OF_ATTEMPT = re.compile(r"(\.?)a(\d+)-e\d+")
"""Start of the names of checkpoint files; half-written drafts have a leading dot."""


class Checkpoints:
    """The checkpoints of one training: stored under the attempt's name, verified, old ones removed."""

    def __init__(self, request: TrialRequest) -> None:
        self._request, self._folder = request, RunFolder(request.folder)
        self._kept: list[Checkpoint] = []
        self._remover = ThreadPoolExecutor(1, thread_name_prefix="tidy")
        self._removing: Future[None] | None = None

    def newest_intact(self) -> tuple[Checkpoint | None, list[str]]:
        """Return the newest checkpoint whose files are as recorded, and a note on each damaged one."""
        notes: list[str] = []
        for age, checkpoint in enumerate(self._request.resume):
            files = [file for file in (checkpoint.state, checkpoint.best) if file is not None]
            damaged = next((file for file in files if not self._is_intact(file)), None)
            if damaged is None:
                self._kept = list(reversed(self._request.resume[age:]))
                return checkpoint, notes
            notes.append(f"checkpoint of epoch {checkpoint.epoch} skipped: {damaged.path} differs from what was stored")
        return None, notes

    def _is_intact(self, file: FileRef) -> bool:
        try:
            return sha256_of(self._folder.resolve(file)) == file.sha256
        except OSError:
            return False

    def file(self, reference: FileRef) -> Path:
        """Return the path of a stored file."""
        return self._folder.resolve(reference)

    def store(self, epoch: int, state: Content, best: Path | FileRef | None) -> Checkpoint:
        """Write a state into the run folder (a path is copied), and the best weights if they are not there yet.

        Raises:
            OSError: the disk is full, or the run folder cannot be written.
        """
        name = f"a{self._request.attempt:02d}-e{epoch:04d}"
        if isinstance(best, Path):
            best = self._folder.publish(best, self._folder.checkpoint(self._request.trial, f"{name}-best.pt"))
        stored = self._folder.publish(state, self._folder.checkpoint(self._request.trial, f"{name}.state"))
        self._kept.append(Checkpoint(epoch=epoch, state=stored, best=best))
        return self._kept[-1]

    def tidy(self) -> None:
        """Delete what no kept checkpoint needs, of this attempt and earlier ones, while the next epoch trains.

        Call it once the newest checkpoint is recorded, and only while this attempt is the current one.

        Raises:
            OSError, RunFolderError: the previous deletion failed.
        """
        self.settle()
        del self._kept[: -self._request.policy.keep_checkpoints]
        needed = {Path(file.path).name for kept in self._kept for file in (kept.state, kept.best) if file is not None}
        doomed = []
        for file in self._folder.files_in(self._folder.checkpoint(self._request.trial, "x").parent):
            found = _OF_ATTEMPT.match(file.name)
            if found is None or file.name in needed:
                continue
            is_draft, attempt = bool(found[1]), int(found[2])
            if attempt < self._request.attempt or (attempt == self._request.attempt and not is_draft):
                doomed.append(file)
        if doomed:  # freeing 40 MB takes as long as writing them
            self._removing = self._remover.submit(self._remove, doomed)

    def _remove(self, files: Sequence[Path]) -> None:
        for file in files:
            self._folder.remove(file)

    def settle(self) -> None:
        """Wait for the deletion by :meth:`tidy`; raises what it raised."""
        removing, self._removing = self._removing, None
        if removing is not None:
            removing.result()
