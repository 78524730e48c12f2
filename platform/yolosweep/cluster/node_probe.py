"""What a node is like: one plain function that runs on it and measures, and decides nothing."""

from __future__ import annotations

import contextlib
import json
import os
import secrets
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

from yolosweep.cluster.versions import versions
from yolosweep.errors import YolosweepError
from yolosweep.storage import Objects
from yolosweep.storage.addresses import is_address
from yolosweep.storage.atomic_files import cache_folder

__all__ = ["Asked", "Disk", "NodeFacts", "probe", "remove_probe", "take_probe_back", "write_probe"]

_LOOK_S = 180.0
"""How long torch may take to be imported on a cold disk, and to find its GPUs."""
_STORAGE_S = 10.0
_DECLARED = "YOLOSWEEP_DECLARED_GPUS"
"""Set on a node, its GPUs are taken as declared and not looked for: for tests on machines without any."""


@dataclass(frozen=True, kw_only=True)
class Asked:
    """What is looked at."""

    torch: bool = True
    """Whether torch, OpenCV and GPUs matter: the toy needs none."""
    gpus: bool = True
    """Whether trials may use GPUs."""
    storage: str | None = None
    """The folder or address that all nodes have to share; None where it is not looked at."""
    marker: str = ""
    """Name and content of the file that the driver planted there."""
    copy: str = ""
    """Where in the cache folder the node lays down the data, relative to it."""


class Disk(NamedTuple):
    """What a folder lies on."""

    device: int
    """By which folders on the same disk are known."""
    free_mb: float


@dataclass(frozen=True, kw_only=True)
class NodeFacts:
    """What was seen on a node."""

    host: str
    versions: Mapping[str, str]
    gpus: tuple[str, ...] = ()
    """Names of the GPUs that torch can use."""
    gpu_error: str = ""
    """Why torch can use none, or which it cannot use and why."""
    opencv_error: str = ""
    storage_error: str = ""
    """Why the storage cannot be read or written, or is another one."""
    storage_mark: str = ""
    """Name of what it wrote there, for the driver to find and take away."""
    disks: Mapping[str, Disk] = field(default_factory=dict)
    """Of the ``temporary folder``, the ``cache folder`` and, where it is a folder, the ``storage``."""
    has_copy: bool = False
    """Whether the data lie in the cache folder already."""
    decoded_mb: float = 0.0
    """Decoded images in the cache folder, MiB."""
    shm_mb: float | None = None
    """Free shared memory, MiB; None where there is no ``/dev/shm``."""
    clock_s: float = 0.0
    """Seconds since the epoch by this node's clock."""
    gpus_declared: bool = False
    """Whether the node says that its GPUs are only declared."""


def probe(asked: Asked) -> NodeFacts:
    """Return what this machine is like."""
    seen = _torch_sees() if asked.torch else {}
    shm = Path("/dev/shm")
    mark, storage_error = ("", "") if asked.storage is None else _written(asked.storage, asked.marker)
    return NodeFacts(
        host=socket.gethostname(),
        versions=versions(),
        gpus=tuple(seen.get("gpus", ())),
        gpu_error=str(seen.get("gpu_error", "")),
        opencv_error=str(seen.get("opencv_error", "")),
        storage_error=storage_error,
        storage_mark=mark,
        disks={place: _disk(folder) for place, folder in _places(asked).items()},
        has_copy=bool(asked.copy) and (cache_folder() / asked.copy).exists(),
        decoded_mb=_held_mb(cache_folder() / "images"),
        shm_mb=_disk(shm).free_mb if shm.is_dir() else None,
        gpus_declared=bool(os.environ.get(_DECLARED)),
        clock_s=time.time(),
    )


def _places(asked: Asked) -> dict[str, Path]:
    found = {"temporary folder": Path(tempfile.gettempdir()), "cache folder": cache_folder()}
    if asked.storage is not None and not is_address(asked.storage):
        found["storage"] = Path(asked.storage)
    return found


def _disk(folder: Path) -> Disk:
    there = next(one for one in (folder, *folder.absolute().parents) if one.exists())
    return Disk(there.stat().st_dev, shutil.disk_usage(there).free / 2**20)


def _held_mb(folder: Path) -> float:
    held = 0
    for file in folder.glob("*"):
        with contextlib.suppress(OSError):  # evicted meanwhile
            held += file.stat().st_size
    return held / 2**20


def _torch_sees() -> dict[str, Any]:
    """Ask a program of its own; a worker that was granted no GPU may have had them hidden."""
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(path for path in sys.path if path)}
    if not environment.get("CUDA_VISIBLE_DEVICES", "x"):
        del environment["CUDA_VISIBLE_DEVICES"]
    command = [sys.executable, "-m", "yolosweep.backends.ultralytics.gpu_probe"]
    try:
        done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=_LOOK_S, check=False)
        seen: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
        return seen
    except subprocess.TimeoutExpired:
        return {"gpu_error": f"torch did not answer within {_LOOK_S:.0f} s"}
    except (IndexError, ValueError):
        last = (done.stderr.strip().splitlines() or [f"exit code {done.returncode}"])[-1]
        return {"gpu_error": f"torch cannot be looked at: {last[:300]}"}


def write_probe(storage: str) -> str:
    """Put a marker where all nodes should see it and return its name, which is its content too.

    Raises:
        RunFolderError: an object storage cannot be written.
        OSError: a folder cannot be written.
    """
    marker = f".preflight-{secrets.token_hex(8)}"
    if is_address(storage):
        Objects(storage).put(marker, marker.encode())
    else:
        Path(storage).mkdir(parents=True, exist_ok=True)
        (Path(storage) / marker).write_text(marker)
    return marker


def remove_probe(storage: str, marker: str) -> None:
    """Take a marker away again; in a folder also what nodes wrote beside it, but were not heard of again."""
    if is_address(storage):
        Objects(storage).delete(marker)
        return
    for place in Path(storage).glob(f"{marker}*"):
        place.unlink(missing_ok=True)


def take_probe_back(storage: str, mark: str) -> bool:
    """Take away what a node wrote into the storage; tell whether it was there.

    Raises:
        RunFolderError: an object storage cannot be reached.
        OSError: a folder cannot be written.
    """
    there = Objects(storage).get(mark) is not None if is_address(storage) else (Path(storage) / mark).is_file()
    if there:
        remove_probe(storage, mark)
    return there


def _written(storage: str, marker: str) -> tuple[str, str]:
    """Return what was written into the storage, if it is the driver's, and what is wrong with it."""
    mark = f"{marker}-{secrets.token_hex(4)}"
    try:
        if is_address(storage):
            objects = Objects(storage, patience_s=_STORAGE_S)
            found = objects.get(marker)
            if found == marker.encode():
                objects.put(mark, b"")
        else:
            place = Path(storage) / marker
            found = place.read_bytes() if place.is_file() else None
            if found == marker.encode():  # a folder that is not the shared one is left as it is
                (Path(storage) / mark).touch()
    except (OSError, YolosweepError) as error:
        return "", str(error).splitlines()[0]
    return (mark, "") if found == marker.encode() else ("", "it is not the storage the driver writes to")
