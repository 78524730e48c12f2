"""Decide whether a node may run trials: pure rules over the facts that its probe measured."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from yolosweep.cluster.disk_estimate import DiskEstimate, DiskNeed
from yolosweep.cluster.node_probe import NodeFacts
from yolosweep.cluster.versions import releases

__all__ = ["Expected", "Problem", "node_problems"]

_MAX_SKEW_S = 300.0
"""Beyond this, object storages and tokens start to refuse requests (S3: 15 minutes)."""
_NOTED_SKEW_S = 5.0
_SHM_MB = 256.0
"""What a few data loader workers pass through shared memory at once; decoded images are on disk."""
_DISK_FIXES = {
    "temporary folder": "set TMPDIR",
    "cache folder": "set XDG_CACHE_HOME",
    "storage": "lower keep_top or trial.keep_checkpoints, or use another storage",
}


@dataclass(frozen=True, kw_only=True)
class Expected:
    """What a node must provide."""

    versions: Mapping[str, str]
    """The driver's package versions."""
    uses_gpus: bool = True
    """Whether trials may use GPUs."""
    storage: str | None = None
    disk: DiskEstimate = field(default_factory=DiskEstimate)
    resources: Mapping[str, float] = field(default_factory=dict)
    """The resources it registered with Ray."""
    late: bool = False
    """Whether it joined after the start."""
    sent_s: float = 0.0
    """When the probe was sent and answered, by the driver's clock; the node's clock should read a time between."""
    answered_s: float = 0.0
    loaders: bool = True
    """Whether trials load images in data loader processes."""


@dataclass(frozen=True, kw_only=True)
class Problem:
    """One problem of a node."""

    check: str
    """The check: ``node``, ``versions``, ``GPUs``, ``OpenCV``, ``storage``, ``disk``, ``shared memory``, ``clock``."""
    red: bool
    """Whether it excludes the node; otherwise it is a warning."""
    text: str
    """What was found, what is expected, and the fix."""


def node_problems(facts: NodeFacts, expected: Expected) -> list[Problem]:
    """Return a node's problems; it may run trials if none of them is red."""
    found = [
        *_versions(facts.versions, expected.versions),
        *_gpus(facts, expected.resources.get("GPU", 0.0) if expected.uses_gpus else None),
        *_storage(facts, expected.storage),
        *_disk_and_memory(facts, expected),
        *_clock(facts.clock_s, expected),
    ]
    if facts.opencv_error:
        fix = "install opencv-python-headless, or the system's libGL (apt-get install libgl1)"
        found.append(Problem(check="OpenCV", red=True, text=f"cannot be imported ({facts.opencv_error}); {fix}"))
    return found


def _versions(here: Mapping[str, str], driver: Mapping[str, str]) -> list[Problem]:
    here, driver = releases(here), releases(driver)
    return [
        Problem(
            check="versions",
            red=True,
            text=f"{package} {here.get(package, 'is not installed')}, the driver has "
            f"{driver.get(package, 'none')}; install the same version on every node",
        )
        for package in sorted({*here, *driver})
        if here.get(package) != driver.get(package)
    ]


def _gpus(facts: NodeFacts, registered: float | None) -> list[Problem]:
    if registered is None:
        return []
    usable = len(facts.gpus)
    if facts.gpus_declared:
        return [Problem(check="GPUs", red=False, text=f"{registered:g} declared, not checked")] if registered else []
    faulty = bool(usable and facts.gpu_error)
    if registered > usable or (registered and faulty):  # Ray counts from 0 and would assign the faulty one, too
        why = f" ({facts.gpu_error})" if facts.gpu_error else ""
        others = " CUDA_VISIBLE_DEVICES set to the others and" if faulty else ""
        fix = f"repair the GPU or its driver, or start Ray with{others} --num-gpus={usable}"
        text = f"{registered:g} registered with Ray, torch can use {usable}{why}; {fix}"
        return [Problem(check="GPUs", red=True, text=text)]
    if usable > registered:
        text = f"torch can use {usable}, but {registered:g} are registered with Ray: the others stay idle"
        return [Problem(check="GPUs", red=False, text=text)]
    return []


def _storage(facts: NodeFacts, storage: str | None) -> list[Problem]:
    if not facts.storage_error:
        return []
    fix = "set storage to a folder that every node mounts, or to an address such as s3://bucket/sweeps"
    return [Problem(check="storage", red=True, text=f"{storage}: {facts.storage_error}; {fix}")]


def _disk_and_memory(facts: NodeFacts, expected: Expected) -> list[Problem]:
    needs = expected.disk.needs(expected.resources, has_copy=facts.has_copy, late=expected.late)
    found, left = _disks(facts, needs, expected.storage)
    if (cache := facts.disks.get("cache folder")) is not None:
        found += _images(expected.disk, facts.decoded_mb, cache.free_mb, left["cache folder"])
    if expected.loaders and facts.shm_mb is not None and facts.shm_mb < _SHM_MB:
        text = f"{facts.shm_mb:.0f} MiB free: data loader workers may fail; give the container more (--shm-size=2g)"
        found.append(Problem(check="shared memory", red=False, text=text))
    return found


def _disks(facts: NodeFacts, needs: list[DiskNeed], storage: str | None) -> tuple[list[Problem], dict[str, float]]:
    """Return the disks that are too small for their folders' needs, and the space left in each folder, MiB."""
    found, left = [], dict[str, float]()
    for device in dict.fromkeys(disk.device for disk in facts.disks.values()):
        folders = [folder for folder, disk in facts.disks.items() if disk.device == device]
        here, free = [need for need in needs if need.folder in folders], facts.disks[folders[0]].free_mb
        needed = sum(need.mb for need in here)
        left.update(dict.fromkeys(folders, free - needed))
        if free >= needed:
            continue
        named = list(dict.fromkeys(need.folder for need in here))
        where = " and the ".join(f"storage {storage}" if folder == "storage" else folder for folder in named)
        what = ", ".join(f"{need.mb:.0f} for {need.what}" for need in here if need.mb >= 1)
        text = f"{free:.0f} MiB free in the {where}, about {needed:.0f} MiB needed: {what}; free space, or "
        check = "storage" if named == ["storage"] else "disk"
        found.append(Problem(check=check, red=True, text=text + ", ".join(_DISK_FIXES[folder] for folder in named)))
    return found, left


def _images(disk: DiskEstimate, held_mb: float, free_mb: float, left_mb: float) -> list[Problem]:
    """Warn if the image cache could use space that trials need; it never uses all free space."""
    most = free_mb / 4 if disk.budget_mb is None else disk.budget_mb - held_mb
    wanted = min(disk.images_mb - held_mb, most)
    if left_mb < 0 or wanted <= left_mb:
        return []
    text = f"decoded images may take {wanted:.0f} MiB of the cache folder, but other files leave {left_mb:.0f} MiB"
    return [Problem(check="disk", red=False, text=f"{text}; free space, or lower trial.image_cache_budget")]


def _clock(there: float, expected: Expected) -> list[Problem]:
    off = min(0.0, there - expected.sent_s) or max(0.0, there - expected.answered_s)
    if abs(off) < _NOTED_SKEW_S:
        return []
    text = f"{abs(off):.0f} s {'ahead of' if off > 0 else 'behind'} the driver's; synchronize it with NTP"
    return [Problem(check="clock", red=abs(off) >= _MAX_SKEW_S, text=text)]
