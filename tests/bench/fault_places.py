"""Where a contestant of the bench of faults keeps its sweep: a folder, a small disk, or a bucket of an S3 server."""

from __future__ import annotations

import contextlib
import shutil
import subprocess
import time
from pathlib import Path

from tests.tools.wire import Wire

from yolosweep.ledger import runs_below

SMALL_MB = 48
REGION = "us-east-1"


class Folder:
    """A folder of the machine, which never fails."""

    def __init__(self, home: Path) -> None:
        self._home = home
        self.storage = str(home / "runs")
        """Where the sweep is, for yolosweep."""
        self.plain = self.storage
        """Where it is, for Ray Tune."""
        self.endpoint = ""
        self.prefix: list[str] = []
        """What a command begins with that is to see it."""

    def fail(self) -> None:
        """Begin its fault."""
        raise NotImplementedError

    def repair(self) -> None:
        """End its fault."""

    def readable(self) -> str:
        """Return where this process reads what is stored."""
        return self.storage

    def runs(self) -> list[str]:
        """Return the addresses of the runs of yolosweep that have begun, as it knows them."""
        found = runs_below(self.readable())
        return [run.address.replace(self.readable(), self.storage) for run in found if b"\n" in run.ledger.read_bytes()]

    def close(self) -> None:
        """Give back what it holds."""


class SmallDisk(Folder):
    """A file system of its own that can be filled; it is mounted for its processes alone, which needs root."""

    def __init__(self, home: Path) -> None:
        super().__init__(home)
        disk = home / "disk"
        disk.mkdir()
        self.storage = self.plain = str(disk / "runs")
        mount = f"mount -t tmpfs -o size={SMALL_MB}m tmpfs '{disk}' && echo && exec cat >/dev/null"
        self._holder = subprocess.Popen(  # ends when this process ends
            ["unshare", "--mount", "sh", "-c", mount], stdin=subprocess.PIPE, stdout=subprocess.PIPE
        )
        assert self._holder.stdout is not None
        self._holder.stdout.readline()
        self.prefix = ["nsenter", f"--target={self._holder.pid}", "--mount", f"--wd={home}"]
        self._seen = Path(f"/proc/{self._holder.pid}/root") / disk.relative_to("/")

    def fail(self) -> None:
        """Fill it to the last byte."""
        with (self._seen / "filler").open("wb", buffering=0) as filler:
            for size in (1 << 20, 1 << 12, 1):
                with contextlib.suppress(OSError):
                    while True:
                        filler.write(b"\0" * size)

    def repair(self) -> None:
        """Make room again."""
        (self._seen / "filler").unlink(missing_ok=True)

    def readable(self) -> str:
        """Copy it to where there are no links on the way."""
        copy = self._home / "seen" / "runs"
        shutil.rmtree(copy.parent, ignore_errors=True)
        for ledger in self._seen.glob("runs/*/ledger.jsonl"):
            (copy / ledger.parent.name).mkdir(parents=True)
            shutil.copy(ledger, copy / ledger.parent.name)
        return str(copy)

    def runs(self) -> list[str]:
        """As ``Folder.runs``."""
        found = (ledger for ledger in self._seen.glob("runs/*/ledger.jsonl") if b"\n" in ledger.read_bytes())
        return [f"{self.storage}/{ledger.parent.name}" for ledger in found]

    def close(self) -> None:
        """Unmount it."""
        self._holder.kill()
        self._holder.communicate()


class Bucket(Folder):
    """A bucket behind a wire that can be cut.

    Args:
        home: folder of the contestant.
        server: host and port of the S3 server.
    """

    def __init__(self, home: Path, server: str) -> None:
        import boto3

        super().__init__(home)
        self._wire = Wire(server)
        self.plain = f"b{time.time_ns()}"
        boto3.client("s3", endpoint_url=f"http://{server}", region_name=REGION).create_bucket(Bucket=self.plain)
        self.endpoint = self._wire.address
        self.storage = f"s3://{self.plain}/sweeps?endpoint_override={self.endpoint}&scheme=http&region={REGION}"

    def fail(self) -> None:
        """Cut it off."""
        self._wire.cut()

    def repair(self) -> None:
        """Connect it again."""
        self._wire.mend()

    def runs(self) -> list[str]:
        """As ``Folder.runs``."""
        return [run.address for run in runs_below(self.storage)]

    def close(self) -> None:
        """Cut it off for good."""
        with contextlib.suppress(OSError):
            self._wire.close()
