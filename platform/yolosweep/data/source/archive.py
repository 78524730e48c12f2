"""Unpacks untrusted zip and tar archives; every member is checked before any byte of it is written.

The checks are our own: ``tarfile.data_filter`` covers neither zip nor the bounds, and it allows links and strips a
leading slash where this module refuses, so that using it for tar would add a second set of rules.
"""

from __future__ import annotations

import lzma
import os
import shutil
import stat
import tarfile
import tempfile
import unicodedata
import zipfile
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import IO, NamedTuple, cast

from yolosweep.data.model.safe_paths import open_regular, printable
from yolosweep.data.source.bounded_tar_stream import BoundedStream
from yolosweep.errors import DataError
from yolosweep.storage.atomic_files import fsync_folder

__all__ = ["Limits", "unpack"]

_CHUNK = 1 << 20
_DIRECTORY_BYTES = 1 << 27
"""Largest central directory of a zip; COCO's has 27 MiB."""
_METHODS = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2)
"""Not LZMA: its decoder allocates as much memory as the archive claims."""


@dataclass(frozen=True, kw_only=True)
class Limits:
    """Limits above which an archive counts as a bomb."""

    size_bytes: int = 200 << 30
    """Total unpacked size; COCO has 25 GB."""
    ratio: float = 100.0
    """Ratio of unpacked to packed bytes; photos have about 1, label files about 10."""
    ratio_from_bytes: int = 64 << 20
    """Below this unpacked size the ratio is not checked."""
    members: int = 2_000_000
    """Files and folders; COCO has 250,000."""
    depth: int = 32
    """Nested folders. An archive within the archive stays packed."""
    name_bytes: int = 255
    """Of each path part, in UTF-8; the limit of Linux file systems."""


class _Member(NamedTuple):
    name: str
    folder: bool
    size: int
    refusal: str
    """Why it is refused, or empty."""
    stream: Callable[[], IO[bytes]]


def unpack(archive: Path, target: Path, *, limits: Limits | None = None) -> Path:
    """Unpack a ``.zip``, ``.tar``, ``.tar.gz``, ``.tar.bz2`` or ``.tar.xz`` into a new folder and return it.

    Only regular files and folders are created, with default permissions. Everything is written to a draft next to
    ``target`` that is renamed when complete; a refused archive leaves nothing behind.

    Raises:
        DataError: ``target`` exists, ``archive`` is not an archive or is corrupt, or a member is refused: a path that
            leaves the folder, a link, a device, a duplicate name (ignoring case), a password, or a limit exceeded.
    """
    archive, target = Path(archive), Path(target).absolute()
    limits = limits or Limits()
    if os.path.lexists(target):
        raise DataError(f"data: {printable(target)} exists and is not overwritten; name another folder")
    # Each format's reader fails in its own way on malicious bytes.
    broken = (OSError, EOFError, ValueError, KeyError, IndexError, OverflowError, NotImplementedError, RuntimeError)
    damaged = (*broken, zipfile.BadZipFile, tarfile.TarError, zlib.error, lzma.LZMAError, MemoryError)
    draft: Path | None = None
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        draft = Path(tempfile.mkdtemp(prefix=f".{target.name[:100]}.", dir=target.parent))
        raw = open_regular(archive)
        if raw is None:
            raise DataError(f"data: {printable(archive)} is not a regular file; name the archive itself")
        with raw:
            _Unpacking(archive, draft, limits, os.fstat(raw.fileno()).st_size).run(raw)
        draft.chmod(0o755)
        draft.rename(target)
    except DataError:
        raise
    except damaged as error:
        message = getattr(error, "strerror", None) or printable(error) or type(error).__name__
        raise DataError(f"data: {printable(archive)} cannot be unpacked: {message}; nothing was kept") from error
    finally:
        if draft is not None:
            shutil.rmtree(draft, ignore_errors=True)
    fsync_folder(target.parent)
    return target


class _Unpacking:
    def __init__(self, archive: Path, draft: Path, limits: Limits, packed: int) -> None:
        self.archive, self.draft, self.limits, self.packed = archive, draft, limits, packed
        self.written = 0
        self._names: dict[str, tuple[str, bool]] = {}

    def run(self, raw: IO[bytes]) -> None:
        """Check and write every member in archive order."""
        count = 0
        for member in self._members(raw):
            count += 1
            if count > self.limits.members:
                raise self._refused(f"it has more than {self.limits.members} members")
            parts = self._parts(member)
            if parts:
                self._write(member, parts)
        if not count:
            raise self._refused("it is empty")

    def _refused(self, why: str) -> DataError:
        return DataError(f"data: {printable(self.archive)} is not unpacked: {why}")

    def _members(self, raw: IO[bytes]) -> Iterator[_Member]:
        meter = BoundedStream(raw, self._check_size)
        if meter.is_tar():
            return self._tar_members(meter)
        if zipfile.is_zipfile(raw):
            return self._zip_members(raw)
        raise self._refused("it is neither a zip nor a tar (.tar, .tar.gz, .tar.bz2, .tar.xz)")

    def _check_size(self, produced: int) -> None:
        """Raise if so many unpacked bytes exceed the limits."""
        most = self.limits.size_bytes
        by_ratio = max(self.limits.ratio_from_bytes, int(self.packed * self.limits.ratio))
        if produced > min(most, by_ratio):
            bound = f"{most} bytes" if most <= by_ratio else f"{self.limits.ratio:g} times its {self.packed} bytes"
            raise self._refused(f"it would become larger than {bound}; this looks like a bomb")

    def _zip_members(self, raw: IO[bytes]) -> Iterator[_Member]:
        # zipfile reads the whole central directory at once, so its size is checked first.
        ending = zipfile._EndRecData(raw)  # type: ignore[attr-defined]
        if ending is None or ending[zipfile._ECD_SIZE] > _DIRECTORY_BYTES:  # type: ignore[attr-defined]
            raise self._refused(f"its list of members is larger than {_DIRECTORY_BYTES >> 20} MiB")
        with zipfile.ZipFile(raw) as unzipped:
            infos = unzipped.infolist()
            self._check_size(sum(info.file_size for info in infos))
            for info in infos:
                kind = stat.S_IFMT(info.external_attr >> 16)
                refusal = ""
                if info.flag_bits & 0x1:
                    refusal = "is password-protected; unpack it yourself and name the folder"
                elif kind not in (0, stat.S_IFREG, stat.S_IFDIR):
                    refusal = "is a link or a device"
                elif info.compress_type not in _METHODS:
                    refusal = "has an unsupported compression method; repack it as an ordinary zip (deflate)"
                elif "\0" in info.orig_filename:
                    refusal = "has a zero byte in its name"
                folder = info.filename.endswith(("/", "\\")) or kind == stat.S_IFDIR
                yield _Member(info.filename, folder, info.file_size, refusal, partial(unzipped.open, info))

    def _tar_members(self, meter: BoundedStream) -> Iterator[_Member]:
        with tarfile.open(fileobj=cast("IO[bytes]", meter), mode="r:") as untarred:
            while (info := untarred.next()) is not None:
                untarred.members = []  # type: ignore[attr-defined]  # else it accumulates all members
                refusal = "" if info.isreg() or info.isdir() else "is a link, a device or a pipe"
                if info.issparse():
                    refusal = "is a sparse file"
                content = partial(untarred.extractfile, info)
                yield _Member(info.name, info.isdir(), info.size, refusal, cast("Callable[[], IO[bytes]]", content))
        # tarfile silently treats a corrupt header after the first as the end.
        if meter.last != bytes(tarfile.BLOCKSIZE):
            raise self._refused("it has no tar end marker: it is truncated or corrupt; download it again")

    def _parts(self, member: _Member) -> list[str]:
        """Return the parts of a member's path; raise if it may not be written into the folder."""
        name = member.name.replace("\\", "/")
        parts = [part for part in name.split("/") if part not in ("", ".")]
        refusal = member.refusal
        if refusal:
            pass
        elif name.startswith("/") or name[1:2] == ":" or ".." in parts:
            refusal = "leaves the folder"
        elif not name.isprintable():
            refusal = "has control characters, or bytes that are not UTF-8, in its name"
        elif any(len(part.encode()) > self.limits.name_bytes for part in parts) or len(name.encode()) > 3000:
            refusal = f"has a name longer than {self.limits.name_bytes} bytes"
        elif len(parts) > self.limits.depth:
            refusal = f"is more than {self.limits.depth} folders deep"
        elif member.size < 0:
            refusal = "has a negative size"
        if refusal:
            raise self._refused(f"{printable(member.name)!r} {refusal}")
        for end in range(1, len(parts) + 1):
            self._claim("/".join(parts[:end]), end < len(parts) or member.folder)
        return parts

    def _claim(self, path: str, folder: bool) -> None:
        mine = (path, folder)
        known = self._names.setdefault(unicodedata.normalize("NFC", path).lower(), mine)
        if known is not mine and not (folder and known[1]):
            same = (
                "twice"
                if known[0] == path
                else f"and as {printable(known[0])!r}, which some systems cannot distinguish"
            )
            raise self._refused(f"{printable(path)!r} is in it {same}")

    def _write(self, member: _Member, parts: list[str]) -> None:
        place = self.draft.joinpath(*parts)
        if member.folder:
            place.mkdir(parents=True, exist_ok=True)
            return
        self._check_size(self.written + member.size)
        if member.size > shutil.disk_usage(self.draft).free:
            raise self._refused(f"the disk of {printable(self.draft.parent)} has no space for {member.size} more bytes")
        place.parent.mkdir(parents=True, exist_ok=True)
        with member.stream() as content, place.open("xb") as out:
            written = 0
            while block := content.read(_CHUNK):
                written += len(block)
                if written > member.size:
                    raise self._refused(f"{printable(member.name)!r} is larger than declared; this looks like a bomb")
                out.write(block)
        if written != member.size:
            raise self._refused(f"{printable(member.name)!r} ends early: the archive is truncated; download it again")
        self.written += written
