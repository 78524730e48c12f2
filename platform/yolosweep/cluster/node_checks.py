"""Whether a node may run trials: a pure rule over what was seen on it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from yolosweep.cluster.disk_estimate import DiskEstimate, DiskNeed
from yolosweep.cluster.node_probe import NodeFacts
from yolosweep.cluster.versions import releases

__all__ = ["Expected", "Problem", "judge"]

_SKEW_S = 300.0
"""Object storages and tokens refuse requests of clocks that are further off (S3: 15 minutes)."""
_SKEW_TOLD_S = 5.0
_SHM_MB = 256.0
"""What a few loader workers pass through shared memory at a time; decoded images lie on the disk, not there."""
_WAYS = {
    "temporary folder": "set TMPDIR",
    "cache folder": "set XDG_CACHE_HOME",
    "storage": "lower keep_top or trial.keep_checkpoints, or name another storage",
}


@dataclass(frozen=True, kw_only=True)
class Expected:
    """What a node has to be like."""

    versions: Mapping[str, str]
    """The driver's."""
    uses_gpus: bool = True
    """Whether trials may use its GPUs."""
    storage: str | None = None
    room: DiskEstimate = field(default_factory=DiskEstimate)
    resources: Mapping[str, float] = field(default_factory=dict)
    """What it promised to Ray."""
    late: bool = False
    """Whether it joined after the start."""
    asked_s: float = 0.0
    """When it was asked and had answered, by the driver's clock: its own clock should say a time in between."""
    answered_s: float = 0.0
    loaders: bool = True
    """Whether trials load images in processes of their own."""


@dataclass(frozen=True, kw_only=True)
class Problem:
    """One thing about a node."""

    check: str
    """What was looked at: ``versions``, ``GPUs``, ``OpenCV``, ``storage``, ``disk``, ``shared memory``, ``clock``."""
    red: bool
    """Whether the node may not run trials because of it."""
    text: str
    """What is there, what it should be, and the way out."""


def judge(facts: NodeFacts, expected: Expected) -> list[Problem]:
    """Return what is wrong or odd about a node; it may run trials where nothing is red."""
    found = [
        *_versions(facts.versions, expected.versions),
        *_gpus(facts, expected.resources.get("GPU", 0.0) if expected.uses_gpus else None),
        *_storage(facts, expected.storage),
        *_room(facts, expected),
        *_clock(facts.clock_s, expected),
    ]
    if facts.opencv_error:
        way = "install opencv-python-headless, or the system's libGL (apt-get install libgl1)"
        found.append(Problem(check="OpenCV", red=True, text=f"cannot be imported ({facts.opencv_error}); {way}"))
    return found


def _versions(here: Mapping[str, str], driver: Mapping[str, str]) -> list[Problem]:
    here, driver = releases(here), releases(driver)
    return [
        Problem(
            check="versions",
            red=True,
            text=f"{package} {here.get(package, 'is not installed')}, the driver has "
            f"{driver.get(package, 'none')}; install the same on every node",
        )
        for package in sorted({*here, *driver})
        if here.get(package) != driver.get(package)
    ]


def _gpus(facts: NodeFacts, promised: float | None) -> list[Problem]:
    if promised is None:
        return []
    seen = len(facts.gpus)
    if facts.gpus_declared:
        return [Problem(check="GPUs", red=False, text=f"{promised:g} declared and not looked for")] if promised else []
    faulty = bool(seen and facts.gpu_error)
    if promised > seen or (promised and faulty):  # Ray counts from 0 and would hand out the faulty one, too
        why = f" ({facts.gpu_error})" if facts.gpu_error else ""
        others = " CUDA_VISIBLE_DEVICES set to the others and" if faulty else ""
        way = f"mend it or its driver, or start Ray with{others} --num-gpus={seen}"
        text = f"{promised:g} promised to Ray, torch can use {seen}{why}; {way}"
        return [Problem(check="GPUs", red=True, text=text)]
    if seen > promised:
        text = f"torch can use {seen}, but {promised:g} are promised to Ray: the others stay idle"
        return [Problem(check="GPUs", red=False, text=text)]
    return []


def _storage(facts: NodeFacts, storage: str | None) -> list[Problem]:
    if not facts.storage_error:
        return []
    way = "give storage: a folder that every node mounts, or an address such as s3://bucket/sweeps"
    return [Problem(check="storage", red=True, text=f"{storage}: {facts.storage_error}; {way}")]


def _room(facts: NodeFacts, expected: Expected) -> list[Problem]:
    needs = expected.room.needs(expected.resources, has_copy=facts.has_copy, late=expected.late)
    found, left = _disks(facts, needs, expected.storage)
    if (cache := facts.disks.get("cache folder")) is not None:
        found += _images(expected.room, facts.decoded_mb, cache.free_mb, left["cache folder"])
    if expected.loaders and facts.shm_mb is not None and facts.shm_mb < _SHM_MB:
        text = f"{facts.shm_mb:.0f} MiB free: loader workers may fail; give the container more (--shm-size=2g)"
        found.append(Problem(check="shared memory", red=False, text=text))
    return found


def _disks(facts: NodeFacts, needs: list[DiskNeed], storage: str | None) -> tuple[list[Problem], dict[str, float]]:
    """Return the disks that are too small for all that comes to lie on them, and what they leave in each place, MiB."""
    found, left = [], dict[str, float]()
    for device in dict.fromkeys(disk.device for disk in facts.disks.values()):
        places = [place for place, disk in facts.disks.items() if disk.device == device]
        here, free = [need for need in needs if need.place in places], facts.disks[places[0]].free_mb
        needed = sum(need.mb for need in here)
        left.update(dict.fromkeys(places, free - needed))
        if free >= needed:
            continue
        named = list(dict.fromkeys(need.place for need in here))
        where = " and the ".join(f"storage {storage}" if place == "storage" else place for place in named)
        what = ", ".join(f"{need.mb:.0f} for {need.what}" for need in here if need.mb >= 1)
        text = f"{free:.0f} MiB free in the {where}, about {needed:.0f} MiB needed: {what}; free space, or "
        check = "storage" if named == ["storage"] else "disk"
        found.append(Problem(check=check, red=True, text=text + ", ".join(_WAYS[place] for place in named)))
    return found, left


def _images(room: DiskEstimate, held_mb: float, free_mb: float, left_mb: float) -> list[Problem]:
    """Tell where decoded images may take what the rest needs; they never take all that is free."""
    most = free_mb / 4 if room.budget_mb is None else room.budget_mb - held_mb
    wanted = min(room.images_mb - held_mb, most)
    if left_mb < 0 or wanted <= left_mb:
        return []
    text = f"decoded images may take {wanted:.0f} MiB of the cache folder, and the rest leaves {left_mb:.0f} MiB"
    return [Problem(check="disk", red=False, text=f"{text}; free space, or set trial.image_cache_budget to less")]


def _clock(there: float, expected: Expected) -> list[Problem]:
    off = min(0.0, there - expected.asked_s) or max(0.0, there - expected.answered_s)
    if abs(off) < _SKEW_TOLD_S:
        return []
    text = f"{abs(off):.0f} s {'ahead of' if off > 0 else 'behind'} the driver's; let it be set by NTP"
    return [Problem(check="clock", red=abs(off) >= _SKEW_S, text=text)]
