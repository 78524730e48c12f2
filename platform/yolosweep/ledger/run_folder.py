"""The run folder: every path in one class, what is published into it, and the lock.

A run folder at an address of an object storage is a folder in our own cache all the same, under the same path on every
machine: what is published goes to both, and what is not here is fetched.
"""

from __future__ import annotations

import contextlib
import errno
import json
import os
import secrets
import shlex
import shutil
import socket
from collections.abc import Iterable, Iterator
from datetime import datetime, timezone
from pathlib import Path

from filelock import FileLock, Timeout

from yolosweep.errors import RunFolderError
from yolosweep.ledger.run_owner import describe_owner, now, token_of
from yolosweep.records import FileRef
from yolosweep.storage import Lease, Objects, address_of_run, cached_at, check_hold, pull
from yolosweep.storage.addresses import is_address
from yolosweep.storage.atomic_files import Content, fsync_folder, sha256_of, write_atomic

__all__ = ["RunFolder", "runs_below"]


class RunFolder:
    """All paths of one sweep. Nothing else in the package spells a file name inside a run folder.

    A run folder may come from somebody else, so neither its names nor its files are trusted: every path is checked to
    lead to a place inside of it, through real folders only. Links are allowed below ``data/`` alone, where the prepared
    view points to the user's images.

    Raises:
        RunFolderError: from any path whose name leads outside, or that leads through a link.
    """

    def __init__(self, place: Path | str) -> None:
        self.objects: Objects | None = None
        """The run's objects, where it is kept in an object storage."""
        if isinstance(place, str) and is_address(place):
            address = address_of_run(place)
            _check_plain(address.name)
            self.address = str(address)
            self.root = cached_at(str(address.parent)) / address.name
            self.objects = Objects(address)
        else:
            self.root = Path(place).expanduser().absolute()
            self.address = str(self.root)  # what names this run on every machine: its folder, or its address

    @classmethod
    def create(cls, storage: Path | str, name: str) -> RunFolder:
        """Make a new folder ``<name>-<UTC time>-<4 hex digits>`` that no other sweep has.

        Raises:
            RunFolderError: the storage cannot be written.
        """
        remote = address_of_run(storage) if isinstance(storage, str) and is_address(storage) else None
        base = cached_at(str(remote)) if remote else Path(storage).expanduser().absolute()
        try:
            base.mkdir(parents=True, exist_ok=True)
            while True:
                stamp = datetime.now(timezone.utc).strftime("%Y%m%d-%H%M%S")
                folder = base / f"{name}-{stamp}-{secrets.token_hex(2)}"
                with contextlib.suppress(FileExistsError):
                    folder.mkdir()
                    break
        except OSError as error:
            raise RunFolderError(
                f"storage: cannot write to {base} ({error.strerror}); choose another folder, e.g. storage=./runs"
            ) from error
        if remote is None:
            return cls(folder)
        run = cls(str(remote.join(folder.name)))
        try:
            Objects(run.address, wait_s=0).put("clock", b"")  # what is wrong now will not repair itself
        except RunFolderError:
            folder.rmdir()
            raise
        return run

    @classmethod
    def open(cls, place: Path | str) -> RunFolder:
        """Return an existing run folder; of one in an object storage, the ledger and the experiment are fetched.

        Raises:
            RunFolderError: there is no ledger in it, or the storage cannot be read.
        """
        folder = cls(place)
        folder.refresh()
        if not folder.ledger.is_file():
            what = "no ledger" if folder.objects else "no ledger.jsonl"
            raise RunFolderError(f"{folder.address} is not a run folder: it has {what}; `yolosweep ls` lists them")
        return folder

    def refresh(self) -> None:
        """Take over what an object storage has of the ledger, which is the truth, unless a process here writes it."""
        if self.objects is None:
            return
        self.root.mkdir(parents=True, exist_ok=True, mode=0o700)
        with contextlib.suppress(Timeout), FileLock(self.writer_lock, timeout=0):
            self.take_ledger()
        self.objects.fetch("experiment.yaml", self.experiment)

    def take_ledger(self) -> None:
        """Make the ledger here the one that the storage has; the caller keeps other writers off."""
        if self.objects is None:
            return
        content = pull(self.objects)
        if not content.strip():
            self.ledger.unlink(missing_ok=True)
        elif not self.ledger.is_file() or self.ledger.read_bytes() != content:
            write_atomic(self.ledger, content)

    @property
    def sweep(self) -> str:
        """The sweep's identifier: the folder's name when it was made (a copy keeps it inside the ledger)."""
        return self.root.name

    @property
    def named(self) -> str:
        """How the run is named in a shell."""
        return shlex.quote(self.address) if self.objects is not None else self.address

    @property
    def ledger(self) -> Path:
        """The journal, JSON lines."""
        return self._path("ledger.jsonl")

    @property
    def writer_lock(self) -> Path:
        """Lock of the journal's single writer."""
        return self._path(".ledger.lock")

    @property
    def owner(self) -> Path:
        """Who holds the folder."""
        return self._path(".owner.json")

    @property
    def experiment(self) -> Path:
        """The resolved experiment, YAML."""
        return self._path("experiment.yaml")

    @property
    def dataset(self) -> Path:
        """Folder of the prepared view of the data (resolved data.yaml, manifest.json)."""
        return self._path("data")

    @property
    def winner(self) -> Path:
        """The winner's bundle."""
        return self._path("winner")

    def bundled(self, *names: str) -> Path:
        """Place of a file or folder in the winner's bundle."""
        return self._path("winner", *names)

    @property
    def report(self) -> Path:
        """The report, one self-contained page."""
        return self._path("report.html")

    @property
    def study(self) -> Path:
        """The trials as an Optuna study, a journal file."""
        return self._path("study.journal")

    @property
    def ray(self) -> Path:
        """Folder for Ray's own state, thrown away when the search ends."""
        return self._path(".ray")

    def mirror(self, name: str) -> Path:
        """Place of a file of a mirror at a tracker; losing it costs nothing but time."""
        return self._path("mirror", name)

    def tensorboard(self, run: str, name: str) -> Path:
        """Place of an event file of a trial, or of the sweep, for TensorBoard."""
        return self._path("tensorboard", run, name)

    def offline_runs(self, *names: str) -> Path:
        """Folder of W&B's offline runs, or the place of something in it; written again from the ledger when lost."""
        return self._path("wandb", *names)

    def model(self, name: str) -> Path:
        """Place of the copy of the model file that every trial starts from."""
        return self._path("model", name)

    def trial(self, trial: str) -> Path:
        """Folder of one trial's files."""
        return self._path("trials", trial)

    def checkpoint(self, trial: str, name: str) -> Path:
        """Place of one file a running trial can go on from."""
        return self._path("trials", trial, "checkpoints", name)

    def stacks(self, trial: str, attempt: int) -> Path:
        """Where a training that stands still leaves the stacks of its threads."""
        return self._path("trials", trial, f"stacks-a{attempt:02d}.txt")

    def attempt(self, trial: str, attempt: int, name: str) -> Path:
        """Place of a file that one attempt at a trial leaves, until the attempt is known to be the one that counts."""
        return self._path("trials", trial, "attempts", f"a{attempt:02d}", name)

    def _path(self, *names: str) -> Path:
        """Return the path of plain names below the run folder after checking that no part of it is a link."""
        path = self.root
        for name in names:
            _check_plain(name)
            path /= name
            if path.is_symlink():
                raise RunFolderError(
                    f"{path} is a link: a run folder holds real files and folders, except below data/; put the real "
                    "one in its place, or remove the link"
                )
        return path

    def _local(self, name: str) -> Path:
        """Return where an object of the storage is kept here."""
        return self._path(*name.split("/"))

    def publish(self, content: Content, target: Path) -> FileRef:
        """Write a file of the run folder atomically (a path is copied) and return its reference.

        Raises:
            OSError: the folder cannot be written.
            RunFolderError: the object storage cannot.
        """
        target = self._local(self._name(target))
        reference = write_atomic(target, content).model_copy(update={"path": self._name(target)})
        if self.objects is not None:
            self.objects.put(reference.path, target)
        return reference

    def move(self, reference: FileRef, target: Path) -> FileRef | None:
        """Give a published file another name and return its reference; None where it is not there any more.

        Raises:
            OSError: the folder cannot be written.
            RunFolderError: the object storage cannot.
        """
        source = self._place(reference)
        if self.objects is None and source.is_file():
            target.parent.mkdir(parents=True, exist_ok=True)
            source.replace(target)
            fsync_folder(target.parent)
            return reference.model_copy(update={"path": self._name(target)})
        if not self.resolve(reference).is_file():
            return None
        moved = self.publish(source, target)
        self.remove(reference)
        return moved

    def resolve(self, reference: FileRef) -> Path:
        """Return where a referenced file is now (the run folder may have been moved or copied), fetched where need be.

        Raises:
            RunFolderError: the reference leads out of the run folder, or the object storage cannot be read.
        """
        path = self._place(reference)
        if self.objects is not None and not (path.is_file() and sha256_of(path) == reference.sha256):
            self.objects.fetch(reference.path, path)
        return path

    def bring(self, path: Path) -> Path:
        """Return the path of a file of the run folder, fetched where it is not here."""
        if self.objects is not None and not path.is_file():
            self.objects.fetch(self._name(path), path)
        return path

    def bring_below(self, folder: Path) -> None:
        """Fetch all files below a folder of the run folder that are not here."""
        for found in self.objects.stored(self._name(folder)) if self.objects is not None else ():
            self.bring(self._local(found.name))

    def files_in(self, folder: Path) -> list[Path]:
        """Return the files in a folder of the run folder, here or in the object storage, in order."""
        here = set(folder.glob("*"))
        stored = self.objects.stored(self._name(folder)) if self.objects is not None else ()
        return sorted(here | {self._local(one.name) for one in stored})

    def remove(self, place: Path | FileRef) -> None:
        """Delete a file here and in the object storage; one that is not there is fine."""
        path = self._place(place) if isinstance(place, FileRef) else self._local(self._name(place))
        path.unlink(missing_ok=True)
        if self.objects is not None:
            self.objects.delete(self._name(path))

    def remove_below(self, folders: Iterable[Path]) -> None:
        """Delete folders of trials with all that is in them, here and in the object storage."""
        doomed = tuple(self._local(self._name(folder)) for folder in folders)
        for folder in doomed:
            shutil.rmtree(folder, ignore_errors=True)
        if self.objects is not None and doomed:
            below = tuple(f"{self._name(folder)}/" for folder in doomed)
            common = "trials" if len(doomed) > 1 else below[0].rstrip("/")
            self.objects.delete_all(one.name for one in self.objects.stored(common) if one.name.startswith(below))

    def discard(self) -> None:
        """Leave nothing behind of a run that did not begin."""
        shutil.rmtree(self.root, ignore_errors=True)
        if self.objects is not None:
            with contextlib.suppress(RunFolderError):
                self.objects.delete_all(one.name for one in self.objects.stored())

    def _name(self, path: Path) -> str:
        """Return the name of a file relative to the run folder."""
        root = self.root if path.is_relative_to(self.root) else self.root.resolve()
        return path.relative_to(root).as_posix()

    def _place(self, reference: FileRef) -> Path:
        return self._local(reference.path)

    @contextlib.contextmanager
    def held(self) -> Iterator[None]:
        """Hold the folder for writing.

        Raises:
            RunFolderError: somebody else holds it, and the message says who; or its disk cannot be written to.
        """
        self.root.mkdir(parents=True, exist_ok=True)
        lock, lease, owner = FileLock(self._path(".lock")), None, self.owner
        try:
            lock.acquire(timeout=0)
        except Timeout as error:
            raise RunFolderError(
                f"{self.address} is in use by {describe_owner(owner)}; wait for it or stop it"
            ) from error
        try:
            about = {"host": socket.gethostname(), "pid": os.getpid(), "since": now()}
            if self.objects is not None:
                # A holder of this very folder is gone: its lock was free.
                lease = Lease(self.objects, about, gone=token_of(owner))
                about["token"] = lease.token
                self.refresh()
            try:
                write_atomic(owner, json.dumps(about))
            except OSError as error:
                fix = "free space" if error.errno in (errno.ENOSPC, errno.EDQUOT) else "make the folder writable"
                raise RunFolderError(f"cannot write {owner}: {error.strerror}; {fix}, then try again") from error
            yield
        finally:
            if lease is not None:
                lease.release()
            owner.unlink(missing_ok=True)
            lock.release()

    def check_hold(self) -> None:
        """Refuse to write where a process on another machine has taken the run over.

        Raises:
            RunFolderError: it has.
        """
        if self.objects is not None and (token := token_of(self.owner)) is not None:
            check_hold(self.objects, token)


def _check_plain(name: str) -> None:
    """Refuse what is not the plain name of one file or folder.

    Raises:
        RunFolderError: it is empty, leads elsewhere (``..``, ``a/b``), or holds a character no name of ours has.
    """
    if name in ("", ".", "..") or any(char in "/\\" or not char.isprintable() for char in name):
        raise RunFolderError(
            f"{name[:80]!r} is not the name of a file in a run folder: it would lead outside. yolosweep did not write "
            "this, or it was changed since; use a copy you trust"
        )


def runs_below(storage: str) -> list[RunFolder]:
    """Return the runs in a storage, a folder or an address; their ledgers are fetched.

    Raises:
        RunFolderError: the storage cannot be read.
    """
    if not is_address(storage):
        return [RunFolder(ledger.parent) for ledger in Path(storage).expanduser().glob("*/ledger.jsonl")]
    address = address_of_run(storage)
    runs = [RunFolder(str(address.join(name))) for name in Objects(address).folders()]
    for run in runs:
        run.refresh()
    return [run for run in runs if run.ledger.is_file()]
