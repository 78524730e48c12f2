"""The uncompressed bytes of a tar as a forward-only stream with bounded reads and a byte count."""

from __future__ import annotations

import bz2
import gzip
import lzma
import tarfile
from collections.abc import Callable
from typing import IO, cast

__all__ = ["BoundedStream"]

_PIECE = 1 << 20
"""Largest single read: tarfile reads a long name whole, and a bomb can claim gigabytes for one."""
_MEMORY = 1 << 28
"""Memory limit of the xz decoder; ``xz -9`` needs 64 MiB."""


class BoundedStream:
    """The uncompressed bytes of a ``.tar``, ``.tar.gz``, ``.tar.bz2`` or ``.tar.xz``, as ``tarfile`` reads them."""

    def __init__(self, raw: IO[bytes], check: Callable[[int], None]) -> None:
        """Start at the beginning of ``raw``; ``check`` gets the byte count after each read and may raise."""
        magic = raw.read(6)
        raw.seek(0)
        self._check = check
        self._at = 0
        self.last = b""
        """Result of the last read."""
        self._source: IO[bytes]
        if magic[:2] == b"\x1f\x8b":
            self._source = cast("IO[bytes]", gzip.GzipFile(fileobj=raw))
        elif magic[:3] == b"BZh":
            self._source = bz2.BZ2File(raw)
        elif magic == b"\xfd7zXZ\x00":
            self._source = cast("IO[bytes]", _Xz(raw))
        else:
            self._source = raw
        self._ahead = self._source.read(512)

    def is_tar(self) -> bool:
        """Return whether the first block is a tar header."""
        try:
            tarfile.TarInfo.frombuf(self._ahead, "utf-8", "surrogateescape")
        except tarfile.HeaderError:
            return False
        return True

    def tell(self) -> int:
        """Return the number of bytes read."""
        return self._at

    def seek(self, position: int) -> int:
        """Skip forward to a position.

        Raises:
            ValueError: The position is behind; an intact archive never needs that.
        """
        if position < self._at:
            raise ValueError("the archive points back to bytes that were already read")
        while self._at < position:
            if not self.read(min(_PIECE, position - self._at)):
                break
        return self._at

    def read(self, size: int = -1) -> bytes:
        """Return ``size`` bytes, fewer only at the end.

        Raises:
            ValueError: ``size`` is more than any header of an intact archive needs.
        """
        if size < 0 or size > _PIECE:
            raise ValueError("a header claims to be larger than 1 MiB")
        pieces, left = [self._ahead[:size]], size - len(self._ahead[:size])
        self._ahead = self._ahead[size:]
        while left and (piece := self._source.read(left)):
            pieces.append(piece)
            left -= len(piece)
        content = b"".join(pieces)
        self._at += len(content)
        self.last = content
        self._check(self._at)
        return content


class _Xz:
    """Reads concatenated xz streams with bounded memory, which ``lzma.open`` cannot."""

    def __init__(self, raw: IO[bytes]) -> None:
        self._raw = raw
        self._decoder = lzma.LZMADecompressor(memlimit=_MEMORY)

    def read(self, size: int) -> bytes:
        while True:
            packed = b""
            if self._decoder.eof:
                packed = self._decoder.unused_data.lstrip(b"\0") or self._raw.read(1 << 16).lstrip(b"\0")
                if not packed:
                    return b""
                self._decoder = lzma.LZMADecompressor(memlimit=_MEMORY)
            elif self._decoder.needs_input:
                packed = self._raw.read(1 << 16)
                if not packed:
                    raise EOFError("the archive is truncated")
            if content := self._decoder.decompress(packed, size):
                return content
