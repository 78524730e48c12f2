"""Measure a node: one function that runs on it, returns facts and decides nothing."""

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

__all__ = ["Disk", "NodeFacts", "ProbeRequest", "gpu_memory_mb", "probe", "remove_probe", "take_reply", "write_probe"]

_TORCH_TIMEOUT_S = 180.0
"""Limit for importing torch from a cold disk and finding its GPUs."""
_STORAGE_TIMEOUT_S = 10.0
_DECLARED = "YOLOSWEEP_DECLARED_GPUS"
"""If set on a node, its registered GPUs are trusted and not checked: for tests on machines without GPUs."""


@dataclass(frozen=True, kw_only=True)
class ProbeRequest:
    """What to measure."""

    torch: bool = True
    """Whether torch, OpenCV and GPUs matter; the toy needs none of them."""
    gpus: bool = True
    """Whether trials may use GPUs."""
    storage: str | None = None
    """The folder or address that all nodes must share; None to skip the check."""
    marker: str = ""
    """Name and content of the driver's probe file in the storage."""
    copy: str = ""
    """Path of the node's copy of the data, relative to its cache folder."""


class Disk(NamedTuple):
    """The disk that holds a folder."""

    device: int
    """Device number: equal for folders on the same disk."""
    free_mb: float


@dataclass(frozen=True, kw_only=True)
class NodeFacts:
    """What the probe measured on a node."""

    host: str
    versions: Mapping[str, str]
    gpus: tuple[str, ...] = ()
    """Names of the GPUs that torch can use."""
    gpu_error: str = ""
    """Why torch can use none, or which ones it cannot use and why."""
    opencv_error: str = ""
    storage_error: str = ""
    """Why the storage cannot be read or written, or is not the driver's."""
    storage_reply: str = ""
    """Name of the file that the node wrote there, for the driver to find and delete."""
    disks: Mapping[str, Disk] = field(default_factory=dict)
    """Of the ``temporary folder``, the ``cache folder`` and, if it is a folder, the ``storage``."""
    has_copy: bool = False
    """Whether the cache folder already has the data."""
    decoded_mb: float = 0.0
    """Decoded images in the cache folder, MiB."""
    shm_mb: float | None = None
    """Free shared memory, MiB; None if there is no ``/dev/shm``."""
    clock_s: float = 0.0
    """Seconds since the epoch by this node's clock."""
    gpus_declared: bool = False
    """Whether the node's GPUs are declared and not checked."""


def probe(request: ProbeRequest) -> NodeFacts:
    """Measure this machine."""
    found = _torch_facts() if request.torch else {}
    shm = Path("/dev/shm")
    reply, storage_error = ("", "") if request.storage is None else _write_reply(request.storage, request.marker)
    return NodeFacts(
        host=socket.gethostname(),
        versions=versions(),
        gpus=tuple(found.get("gpus", ())),
        gpu_error=str(found.get("gpu_error", "")),
        opencv_error=str(found.get("opencv_error", "")),
        storage_error=storage_error,
        storage_reply=reply,
        disks={name: _disk(folder) for name, folder in _folders(request).items()},
        has_copy=bool(request.copy) and (cache_folder() / request.copy).exists(),
        decoded_mb=_folder_mb(cache_folder() / "images"),
        shm_mb=_disk(shm).free_mb if shm.is_dir() else None,
        gpus_declared=bool(os.environ.get(_DECLARED)),
        clock_s=time.time(),
    )


def _folders(request: ProbeRequest) -> dict[str, Path]:
    found = {"temporary folder": Path(tempfile.gettempdir()), "cache folder": cache_folder()}
    if request.storage is not None and not is_address(request.storage):
        found["storage"] = Path(request.storage)
    return found


def _disk(folder: Path) -> Disk:
    there = next(one for one in (folder, *folder.absolute().parents) if one.exists())
    return Disk(there.stat().st_dev, shutil.disk_usage(there).free / 2**20)


def _folder_mb(folder: Path) -> float:
    size = 0
    for file in folder.glob("*"):
        with contextlib.suppress(OSError):  # evicted meanwhile
            size += file.stat().st_size
    return size / 2**20


def gpu_memory_mb() -> float | None:
    """Return the memory of this machine's smallest GPU that torch can use, MiB; None without one. Takes seconds."""
    found = _torch_facts().get("gpu_memory_mb")
    return None if found is None else float(found)


def _torch_facts() -> dict[str, Any]:
    """Run the GPU probe in a subprocess: Ray hides all GPUs from a worker that was granted none."""
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(path for path in sys.path if path)}
    if not environment.get("CUDA_VISIBLE_DEVICES", "x"):
        del environment["CUDA_VISIBLE_DEVICES"]
    command = [sys.executable, "-m", "yolosweep.backends.ultralytics.gpu_probe"]
    try:
        done = subprocess.run(
            command, env=environment, capture_output=True, text=True, timeout=_TORCH_TIMEOUT_S, check=False
        )
        found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
        return found
    except subprocess.TimeoutExpired:
        return {"gpu_error": f"torch did not answer within {_TORCH_TIMEOUT_S:.0f} s"}
    except (IndexError, ValueError):
        last = (done.stderr.strip().splitlines() or [f"exit code {done.returncode}"])[-1]
        return {"gpu_error": f"the check of torch failed: {last[:300]}"}


def write_probe(storage: str) -> str:
    """Write a probe file that all nodes should see; return its name, which is also its content.

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
    """Delete the probe file and, in a folder, the replies of nodes that never answered."""
    if is_address(storage):
        Objects(storage).delete(marker)
        return
    for file in Path(storage).glob(f"{marker}*"):
        file.unlink(missing_ok=True)


def take_reply(storage: str, reply: str) -> bool:
    """Delete a node's reply from the storage; return whether it was there.

    Raises:
        RunFolderError: an object storage cannot be reached.
        OSError: a folder cannot be written.
    """
    there = Objects(storage).get(reply) is not None if is_address(storage) else (Path(storage) / reply).is_file()
    if there:
        remove_probe(storage, reply)
    return there


def _write_reply(storage: str, marker: str) -> tuple[str, str]:
    """Write a reply if the storage has the driver's probe file; return its name, and the error, if any."""
    reply = f"{marker}-{secrets.token_hex(4)}"
    try:
        if is_address(storage):
            objects = Objects(storage, wait_s=_STORAGE_TIMEOUT_S)
            found = objects.get(marker)
            if found == marker.encode():
                objects.put(reply, b"")
        else:
            file = Path(storage) / marker
            found = file.read_bytes() if file.is_file() else None
            if found == marker.encode():  # nothing is written to a folder that is not the shared one
                (Path(storage) / reply).touch()
    except (OSError, YolosweepError) as error:
        return "", str(error).splitlines()[0]
    return (reply, "") if found == marker.encode() else ("", "it is not the storage the driver writes to")
