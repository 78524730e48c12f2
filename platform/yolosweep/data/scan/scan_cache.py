"""Cache of scan results of unchanged files: a small database in yolosweep's cache folder.

A file is unchanged if its path, size, times and inode number are the same. A database that is missing, corrupt, locked
or on a full disk only costs time.
"""

from __future__ import annotations

import os
import sqlite3
import time
import zlib
from collections.abc import Iterable, Mapping
from contextlib import closing, suppress
from itertools import islice
from pathlib import Path

from yolosweep.storage.atomic_files import cache_folder

__all__ = ["ScanCache", "stamp_of"]

MOST_BYTES = 1 << 30
"""Above this size the oldest quarter is evicted."""

_AT_ONCE = 500
_DAY_S = 86_400
_TABLE = (
    "CREATE TABLE IF NOT EXISTS known (kind TEXT, path BLOB, stamp TEXT, sum INTEGER, facts TEXT, day INTEGER, "
    "PRIMARY KEY (kind, path))"
)


def stamp_of(seen: os.stat_result, now_ns: int) -> str | None:
    """Return a value that changes whenever a file does; None while a further change could go unnoticed.

    File times have a resolution (4 ms in common Linux file systems, 2 s in FAT), so a file changed just now may change
    again without a new time.
    """
    newest = max(seen.st_mtime_ns, seen.st_ctime_ns)
    grain = 2_100_000_000 if newest % 1_000_000_000 == 0 else 50_000_000
    if now_ns - newest < grain:
        return None
    return f"{seen.st_size} {seen.st_mtime_ns} {seen.st_ctime_ns} {seen.st_ino} {seen.st_dev}"


class ScanCache:
    """Scan results by kind and path, each with the stamp of its file."""

    def __init__(self, folder: Path | None = None, *, most_bytes: int = MOST_BYTES) -> None:
        self._file = (folder or cache_folder() / "scan") / "known-1.sqlite"
        self._most_bytes = most_bytes

    def find(self, kind: str, stamps: Mapping[Path, str]) -> dict[Path, str]:
        """Return the results of files whose stamps are unchanged."""
        found: dict[Path, str] = {}
        day = int(time.time() // _DAY_S)
        try:
            with closing(self._open()) as base, base:
                paths = iter(stamps)
                while some := {os.fsencode(path): path for path in islice(paths, _AT_ONCE)}:
                    where = f"kind = ? AND path IN ({','.join('?' * len(some))})"
                    rows = base.execute(f"SELECT path, stamp, sum, facts FROM known WHERE {where}", (kind, *some))
                    for path, stamp, total, facts in rows:
                        if stamps[some[path]] == stamp and zlib.crc32(facts.encode()) == total:
                            found[some[path]] = facts
                    base.execute(f"UPDATE known SET day = ? WHERE {where} AND day < ?", (day, kind, *some, day))
        except (sqlite3.Error, OSError, AttributeError) as error:
            self._discard(error)
        return found

    def keep(self, kind: str, facts: Iterable[tuple[Path, str, str]]) -> None:
        """Store the results with path and stamp, and evict the oldest if the database is too large."""
        day = int(time.time() // _DAY_S)
        rows = ((kind, os.fsencode(path), stamp, zlib.crc32(text.encode()), text, day) for path, stamp, text in facts)
        try:
            with closing(self._open()) as base, base:
                base.executemany("INSERT OR REPLACE INTO known VALUES (?, ?, ?, ?, ?, ?)", rows)
                if self._size(base) > self._most_bytes:
                    count = base.execute("SELECT count(*) FROM known").fetchone()[0] // 4 + 1
                    oldest = "SELECT rowid FROM known ORDER BY day, rowid LIMIT ?"
                    base.execute(f"DELETE FROM known WHERE rowid IN ({oldest})", (count,))
        except (sqlite3.Error, OSError) as error:
            self._discard(error)

    def _open(self) -> sqlite3.Connection:
        self._file.parent.mkdir(parents=True, exist_ok=True)
        base = sqlite3.connect(self._file, timeout=5)
        try:
            base.execute("PRAGMA synchronous = OFF")  # the cache can be rebuilt
            base.execute(_TABLE)
        except BaseException:
            base.close()
            raise
        return base

    @staticmethod
    def _size(base: sqlite3.Connection) -> int:
        pages, free, size = (
            base.execute(f"PRAGMA {what}").fetchone()[0] for what in ("page_count", "freelist_count", "page_size")
        )
        return int((pages - free) * size)

    def _discard(self, error: Exception) -> None:
        """Remove a corrupt database; keep one that is locked or on a full disk."""
        if isinstance(error, sqlite3.DatabaseError) and not isinstance(error, sqlite3.OperationalError):
            with suppress(OSError):
                self._file.unlink(missing_ok=True)
