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
"""How names of checkpoint files begin; those of half-written drafts have a dot in front."""


class Checkpoints:
    """The checkpoints of one training in the run folder: stored under the attempt's name, verified, the old removed."""

    def __init__(self, request: TrialRequest) -> None:
        self._request, self._folder = request, RunFolder(request.folder)
        self._kept: list[Checkpoint] = []
        self._remover = ThreadPoolExecutor(1, thread_name_prefix="tidy")
        self._removing: Future[None] | None = None

    def newest_whole(self) -> tuple[Checkpoint | None, list[str]]:
        """Return the newest checkpoint whose files are as recorded, and a note on each that was passed over."""
        notes: list[str] = []
        for place, checkpoint in enumerate(self._request.resume):
            files = [file for file in (checkpoint.state, checkpoint.best) if file is not None]
            damaged = next((file for file in files if not self._is_whole(file)), None)
            if damaged is None:
                self._kept = list(reversed(self._request.resume[place:]))
                return checkpoint, notes
            notes.append(f"checkpoint of epoch {checkpoint.epoch} passed over: {damaged.path} is not as it was stored")
        return None, notes

    def _is_whole(self, file: FileRef) -> bool:
        try:
            return sha256_of(self._folder.resolve(file)) == file.sha256
        except OSError:
            return False

    def file(self, reference: FileRef) -> Path:
        """Return where a stored file is."""
        return self._folder.resolve(reference)

    def store(self, epoch: int, state: Content, best: Path | FileRef | None) -> Checkpoint:
        """Write a state into the run folder (a path is copied), and the best weights where they are not there yet.

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
        """Delete what no kept checkpoint needs, of this attempt and earlier ones, beside the next epoch.

        Only once the newest is recorded, and only while this attempt is the one that counts.

        Raises:
            OSError, RunFolderError: what was to be deleted before could not be.
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
        if doomed:  # to free 40 MB takes the system as long as to write them
            self._removing = self._remover.submit(self._remove, doomed)

    def _remove(self, files: Sequence[Path]) -> None:
        for file in files:
            self._folder.remove(file)

    def settle(self) -> None:
        """Wait for what :meth:`tidy` deletes; it raises what this raises."""
        removing, self._removing = self._removing, None
        if removing is not None:
            removing.result()
