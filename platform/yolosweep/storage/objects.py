"""The objects of one folder in an object storage: the only place where run folders touch pyarrow."""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Callable, Iterable
from functools import cached_property
from pathlib import Path
from typing import Any, NamedTuple, TypeVar
from urllib.parse import urlsplit

from yolosweep.errors import RunFolderError
from yolosweep.storage.addresses import address_fault
from yolosweep.storage.atomic_files import HashingWriter, cache_folder, write_atomic
from yolosweep.storage.patience import patiently

__all__ = ["Objects", "Stored", "base_and_name", "cached_at", "joined"]

_CHUNK = 8 << 20
_KEYED = ("s3", "gcs", "abfs")
"""File systems in which an object appears whole, and folders need not be made."""

Answer = TypeVar("Answer")


class Stored(NamedTuple):
    """An object as the storage lists it."""

    name: str
    """Relative to the folder, with forward slashes."""
    size: int
    time_ns: int
    """When it was stored, by the storage's own clock."""


class Objects:
    """The objects below one address. Calls ride out an outage (:func:`yolosweep.storage.patience.patiently`).

    Args:
        address: e.g. ``s3://bucket/sweeps/run?region=eu-west-1``. Credentials come from the environment.
        patience_s: how long an outage is ridden out; None for the usual time.

    Raises:
        RunFolderError: the address is none that a run can be kept at.
    """

    def __init__(self, address: str, *, patience_s: float | None = None) -> None:
        if (fault := address_fault(address)) is not None:
            raise RunFolderError(f"storage: {fault}")
        self.address, self._patience_s = address, patience_s

    @cached_property
    def _opened(self) -> tuple[Any, str]:
        from pyarrow import ArrowInvalid
        from pyarrow.fs import FileSystem

        try:
            system, place = FileSystem.from_uri(self.address)
        except (ArrowInvalid, ValueError) as error:
            raise RunFolderError(f"storage: {self.address} is no address ({str(error)[:300]})") from error
        return system, str(place).rstrip("/")

    def __getstate__(self) -> dict[str, Any]:
        return {name: value for name, value in self.__dict__.items() if name != "_opened"}

    def _call(self, call: Callable[[Any, str], Answer]) -> Answer:
        return patiently(lambda: call(*self._opened), self.address, patience_s=self._patience_s)

    def put(self, name: str, content: bytes | Path) -> None:
        """Store an object under a name, whole or not at all; one of that name is replaced."""
        self._call(lambda system, place: _put(system, f"{place}/{name}", content))

    def get(self, name: str) -> bytes | None:
        """Return the content of an object, None where there is none."""

        def read(system: Any, place: str) -> bytes:
            with system.open_input_file(f"{place}/{name}") as source:
                return bytes(source.read())

        try:
            return self._call(read)
        except FileNotFoundError:
            return None

    def fetch(self, name: str, target: Path) -> bool:
        """Copy an object into a file, atomically; return whether there was one."""

        def copy(system: Any, place: str) -> None:
            with system.open_input_file(f"{place}/{name}") as source:

                def pour(sink: HashingWriter) -> None:
                    while block := source.read(_CHUNK):
                        sink.write(block)

                write_atomic(target, pour)

        try:
            self._call(copy)
        except FileNotFoundError:
            return False
        return True

    def stored(self, below: str = "") -> list[Stored]:
        """Return all objects below a folder, by name."""
        listed = self._listing(below, recursive=True)
        return sorted(Stored(name, size, time_ns) for name, size, time_ns, is_file in listed if is_file)

    def folders(self) -> list[str]:
        """Return the names of the folders right below, in order."""
        return sorted(name for name, _, _, is_file in self._listing("", recursive=False) if not is_file)

    def time_ns(self, name: str) -> int | None:
        """Return when an object was stored, by the storage's own clock; None where there is none."""
        info = self._call(lambda system, place: system.get_file_info(f"{place}/{name}"))
        return int(info.mtime_ns or 0) if info.is_file else None

    def delete(self, name: str) -> None:
        """Delete an object; one that is not there is fine."""
        try:
            self._call(lambda system, place: system.delete_file(f"{place}/{name}"))
        except FileNotFoundError:
            return

    def delete_all(self, names: Iterable[str]) -> None:
        """Delete objects."""
        for name in names:
            self.delete(name)

    def _listing(self, below: str, *, recursive: bool) -> list[tuple[str, int, int, bool]]:
        from pyarrow.fs import FileSelector

        def listed(system: Any, place: str) -> list[tuple[str, int, int, bool]]:
            where = f"{place}/{below}".rstrip("/")
            found = system.get_file_info(FileSelector(where, recursive=recursive, allow_not_found=True))
            return [
                (str(info.path)[len(place) + 1 :], int(info.size or 0), int(info.mtime_ns or 0), bool(info.is_file))
                for info in found
            ]

        return self._call(listed)


def _put(system: Any, path: str, content: bytes | Path) -> None:
    draft = path
    if system.type_name not in _KEYED:
        folder, _, name = path.rpartition("/")
        system.create_dir(folder, recursive=True)
        draft = f"{folder}/.{name}.part"
    with system.open_output_stream(draft) as out:
        if isinstance(content, Path):
            with content.open("rb") as source:
                shutil.copyfileobj(source, out, _CHUNK)
        else:
            out.write(content)
    if draft != path:
        system.move(draft, path)


def base_and_name(address: str) -> tuple[str, str]:
    """Split the address of a run into that of the storage it lies in, and its own name."""
    parts = urlsplit(address)
    above, _, name = parts.path.rstrip("/").rpartition("/")
    return parts._replace(path=above).geturl(), name


def joined(address: str, name: str) -> str:
    """Return the address of a folder below an address; its options stay."""
    parts = urlsplit(address)
    return parts._replace(path=f"{parts.path.rstrip('/')}/{name}").geturl()


def cached_at(storage: str) -> Path:
    """Return the folder in our cache for the runs of an object storage; the same on every machine."""
    return cache_folder() / "runs" / hashlib.sha256(storage.rstrip("/").encode()).hexdigest()[:16]
