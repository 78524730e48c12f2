"""The objects of one folder in a storage, with outages waited out and conditional writes made exact."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Iterator
from functools import cached_property
from pathlib import Path
from typing import Any, TypeVar

from yolosweep.errors import RunFolderError, YolosweepError
from yolosweep.storage.addresses import Address
from yolosweep.storage.atomic_files import HashingWriter, cache_folder, write_atomic
from yolosweep.storage.backend import Backend, Stored, Version
from yolosweep.storage.outage_retry import Conflict, retrying

__all__ = ["Objects", "address_of_run", "cached_at"]

Answer = TypeVar("Answer")


class Objects:
    """The objects below one address. Calls wait out an outage (:func:`yolosweep.storage.outage_retry.retrying`).

    Args:
        address: e.g. ``s3://bucket/sweeps/run?region=eu-west-1``. Credentials come from the environment.
        wait_s: how long an outage is waited out; None for the usual time.
        key: what the address is called in a message.
        error: raised where the storage cannot be used.

    Raises:
        RunFolderError: the address is none that a run can be kept at.
    """

    def __init__(
        self,
        address: str | Address,
        *,
        wait_s: float | None = None,
        key: str = "storage",
        error: type[YolosweepError] = RunFolderError,
    ) -> None:
        self._parsed = address if isinstance(address, Address) else address_of_run(address)
        self.address, self._wait_s, self._error = str(self._parsed), wait_s, error
        self._place = f"{key}: {self.address}"

    @cached_property
    def _backend(self) -> Backend:
        if self._parsed.scheme == "file":
            from yolosweep.storage.local_folder import Local

            return Local(Path("/") / self._parsed.directory)
        from yolosweep.storage.bucket import Bucket

        return Bucket(self._parsed)

    def __getstate__(self) -> dict[str, Any]:
        return {name: value for name, value in self.__dict__.items() if name != "_backend"}

    def _call(self, call: Callable[[Backend], Answer]) -> Answer:
        return retrying(lambda: call(self._backend), self._place, wait_s=self._wait_s, error=self._error)

    def put(self, name: str, content: bytes | Path) -> None:
        """Store an object under a name, whole or not at all; one of that name is replaced."""
        self._call(lambda backend: backend.put(name, content))

    def put_if(self, name: str, content: bytes, version: Version | None) -> Version:
        """Store an object if it still is ``version`` (None: if there is none) and return its new version.

        A try whose answer was lost may have been applied, so after a conflict the object is read: where it holds
        ``content`` the write was this one. ``content`` must be such that nobody else would write the same.

        Raises:
            Conflict: somebody else has written it. Nothing of ``content`` is or will be stored: a try that is still
                on its way carries the same condition.
        """

        def attempt(backend: Backend) -> Version:
            try:
                return backend.put_if(name, content, version)
            except Conflict:
                try:
                    found, now = backend.get(name)
                except FileNotFoundError:
                    if version is None:  # it was deleted meanwhile
                        raise OSError(f"{name} changes while it is written") from None
                    raise Conflict(name) from None
                if found == content:
                    return now
                if version is not None and now.get("e_tag") == version.get(
                    "e_tag"
                ):  # S3 may answer 409 to simultaneous writes
                    raise OSError(f"{name} is written by several at once") from None
                raise

        return self._call(attempt)

    def read(self, name: str) -> tuple[bytes, Version] | None:
        """Return content and version of an object, None where there is none."""
        try:
            return self._call(lambda backend: backend.get(name))
        except FileNotFoundError:
            return None

    def get(self, name: str) -> bytes | None:
        """Return the content of an object, None where there is none."""
        found = self.read(name)
        return None if found is None else found[0]

    def fetch(self, name: str, target: Path) -> bool:
        """Copy an object into a file, atomically; return whether there was one."""

        def pour(backend: Backend, sink: HashingWriter) -> None:
            for block in backend.stream(name):
                sink.write(block)

        try:
            self._call(lambda backend: write_atomic(target, lambda sink: pour(backend, sink)))
        except FileNotFoundError:
            return False
        return True

    def stream(self, name: str, begin: int = 0) -> Iterator[bytes]:
        """Yield the content of an object from a byte on; an outage in the midst of it ends it with an error."""
        blocks = self._call(lambda backend: backend.stream(name, begin))
        while block := retrying(lambda: next(blocks, b""), self._place, wait_s=0, error=self._error):
            yield block

    def stored(self, below: str = "") -> list[Stored]:
        """Return all objects below a folder, by name."""
        return sorted(self._call(lambda backend: backend.stored(below)))

    def folders(self) -> list[str]:
        """Return the names of the folders right below, in order."""
        return sorted(self._call(lambda backend: backend.folders()))

    def head(self, name: str) -> Stored | None:
        """Return size and time of an object, None where there is none."""
        try:
            return self._call(lambda backend: backend.head(name))
        except FileNotFoundError:
            return None

    def delete(self, name: str) -> None:
        """Delete an object; one that does not exist is fine."""
        try:
            self._call(lambda backend: backend.delete(name))
        except FileNotFoundError:
            return

    def delete_all(self, names: Iterable[str]) -> None:
        """Delete objects."""
        for name in names:
            self.delete(name)


def address_of_run(text: str) -> Address:
    """Return the address of a run, or of the storage that holds runs.

    Raises:
        RunFolderError: it is none that a run can be kept at.
    """
    try:
        return Address.parse(text)
    except ValueError as error:
        raise RunFolderError(f"storage: {error}") from None


def cached_at(storage: str) -> Path:
    """Return the folder in our cache for the runs of an object storage; the same on every machine."""
    return cache_folder() / "runs" / hashlib.sha256(storage.rstrip("/").encode()).hexdigest()[:16]
