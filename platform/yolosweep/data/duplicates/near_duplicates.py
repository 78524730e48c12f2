"""Search for images that occur more than once in a dataset, unchanged or slightly changed.

The disjoint sets are our own: scipy's ``DisjointSet`` would save 15 lines and takes half a second to import.
"""

from __future__ import annotations

import os
from collections import defaultdict, deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Executor, ThreadPoolExecutor
from itertools import compress
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from yolosweep.data.duplicates.candidate_pairs import candidates
from yolosweep.data.duplicates.comparison_pictures import Views
from yolosweep.data.duplicates.pair_verdicts import Boxes, Verdict, Verdicts, single_threaded
from yolosweep.data.duplicates.thumbnail_features import correlations
from yolosweep.data.duplicates.thumbnails import FLAT, decode_signatures, pixels_of

__all__ = ["EXACT", "NEAR", "SCENE", "Pair", "connected_groups", "find_near_duplicates", "stars"]

EXACT, NEAR, SCENE = "exact", "near", "scene"

Array = np.ndarray[Any, Any]

_TURNS, _LIKELY = 2, 0.25
"""Ways to turn an image that are always tried; others, if the thumbnails correlate nearly as well as in the best."""

_SCENE_FRAMES = 5
"""From so many frames on, frames without a visible difference are a camera's quiet moments, unless they share noise."""

_PART = 64
"""Pairs that are judged at once: 28 kB each, for thumbnails in all orientations."""

_APART = 2
"""Least members of a group that may have come apart, as only a few candidates of each image are kept."""

_ROUNDS = 12
"""Representatives per set of connected images that are compared with all others of it."""

_ROUNDING = 12
"""Thumbnails within so many gray levels may have the same pixels (one may come from a reduced decode)."""


class Pair(NamedTuple):
    """Two files with the same image, or of the same source or scene."""

    first: Path
    second: Path
    kind: str
    """``exact``, ``near``, ``sequence`` or ``scene``."""


class DisjointSets:
    """Union-find over the numbers below ``size`` (Tarjan 1975)."""

    def __init__(self, size: int) -> None:
        self._parent = list(range(size))

    def find(self, item: int) -> int:
        """Return the representative of an item's set."""
        parent = self._parent
        while parent[item] != item:
            parent[item] = item = parent[parent[item]]
        return item

    def join(self, one: int, two: int) -> None:
        """Merge the sets of two items."""
        low, high = sorted((self.find(one), self.find(two)))
        self._parent[high] = low

    def groups(self) -> list[list[int]]:
        """Return all sets, each in ascending order."""
        groups: dict[int, list[int]] = {}
        for item in range(len(self._parent)):
            groups.setdefault(self.find(item), []).append(item)
        return list(groups.values())


def connected_groups(pairs: Iterable[Pair]) -> list[tuple[Path, ...]]:
    """Return the connected groups of paired files, sorted, each of two files or more."""
    pairs = list(pairs)
    files = sorted({file for pair in pairs for file in pair[:2]})
    number = {file: index for index, file in enumerate(files)}
    sets = DisjointSets(len(files))
    for pair in pairs:
        sets.join(number[pair.first], number[pair.second])
    return [tuple(files[index] for index in group) for group in sets.groups()]


def stars(
    edges: Iterable[tuple[int, int]], matching: Callable[[int, list[int]], Iterable[int]] = lambda one, others: ()
) -> Iterator[tuple[int, list[int]]]:
    """Yield groups, each a representative and the members that match it directly; no group is joined by a chain.

    Args:
        edges: Pairs that match.
        matching: Returns those of the images that match a representative, which has no edge to them.
    """
    near: dict[int, set[int]] = defaultdict(set)
    for one, two in edges:
        near[one].add(two)
        near[two].add(one)
    sets = DisjointSets(max(near, default=-1) + 1)
    for one in near:
        for two in near[one]:
            sets.join(one, two)
    for group in sets.groups():
        rest, rounds = set(group), 0
        while len(rest) > 1:
            middle = max(rest, key=lambda item: (len(near[item] & rest), -item))
            direct = near[middle] & rest
            others = sorted(rest - direct - {middle}) if rounds < _ROUNDS else []
            members = sorted(direct.union(matching(middle, others) if others else ()))
            rest -= {middle, *members}
            rounds += 1
            if members:
                yield middle, members


def find_near_duplicates(
    signatures: Mapping[Path, str],
    digests: Mapping[Path, str],
    pixels: Callable[[Path], str] = pixels_of,
    boxes: Callable[[Path], Boxes | None] = lambda file: None,
    views: Views | None = None,
) -> list[Pair]:
    """Return pairs of files with the same image or scene: each group as pairs of a representative and its members.

    *Exact*: the same bytes, or the same decoded pixels (only files with equal thumbnails are decoded for that).
    *Near*: a copy, resized, recompressed, recolored, blurred, mirrored, turned, cropped, with a border, or with
    something small laid over. *Scene*: a fixed camera at another moment. Candidates come from the products of features
    of whole images and of corner crops, in all eight orientations (:mod:`nearest_pairs`); then the files are read again
    and judged at the size of objects (:mod:`pair_verdicts`). Single-color images are compared by their bytes only.

    Memory, measured: 350 MB for 2,000 and for 30,000 files, most of it views, 800 MB for 100,000. From 8,000 files on,
    time grows as their number.

    Args:
        signatures: Of every readable file, from :func:`yolosweep.data.duplicates.thumbnails.signature_of`.
        digests: SHA-256 of the same files.
        pixels: Hashes a file's decoded pixels; empty if it cannot be decoded.
        boxes: Returns the labelled objects of a file; None without a label file.
        views: Reads the files.
    """
    first: dict[str, Path] = {}
    pairs: list[Pair] = []
    for file in sorted(digests):
        same = first.setdefault(digests[file], file)
        if same != file:
            pairs.append(Pair(same, file, EXACT))
    files = [file for file in sorted(first.values()) if signatures.get(file, "") not in ("", FLAT)]
    seen: dict[Path, str] = {}

    def pixels_once(file: Path) -> str:
        if file not in seen:
            seen[file] = pixels(file)
        return seen[file]

    thumbnails = decode_signatures([signatures[file] for file in files])
    for one, two, kind in _judged(files, thumbnails, Verdicts(views or Views(), boxes)):
        if kind == NEAR and np.abs(thumbnails[one].astype(int) - thumbnails[two]).max() <= _ROUNDING:
            kind = EXACT if pixels_once(files[one]) == pixels_once(files[two]) != "" else NEAR
        pairs.append(Pair(files[min(one, two)], files[max(one, two)], kind))
    return sorted(pairs)


class _Judge:
    """Judges pairs of numbers of files; those with keypoints only once."""

    def __init__(self, files: Sequence[Path], thumbnails: Array, verdicts: Verdicts) -> None:
        self._files, self._thumbnails, self._verdicts = files, thumbnails, verdicts
        self._aligned: dict[tuple[int, int], Verdict] = {}

    def all(self, pairs: Array, align: Array, pool: Executor) -> tuple[Array, list[Verdict]]:
        """Return pairs, now sorted, and what they are to each other; ``align``: whether keypoints are compared."""
        if not len(pairs):
            return pairs, []
        order = _neighbors_together(pairs)
        cuts = range(_PART, len(pairs), _PART)
        parts = pool.map(self._part, np.split(pairs[order], cuts), np.split(align[order], cuts))
        return pairs[order], [verdict for part in parts for verdict in part]

    def copies(self, one: int, others: list[int], pool: Executor) -> list[int]:
        """Return those of the other files that are copies of a file."""
        pairs = np.sort([(one, other) for other in others], axis=1)
        judged = zip(*self.all(pairs, np.ones(len(pairs), dtype=bool), pool), strict=True)
        return [int(pair.sum()) - one for pair, verdict in judged if verdict in (Verdict.COPY, Verdict.ALIKE)]

    def _part(self, pairs: Array, align: Array) -> list[Verdict]:
        turns = _likely_turns(self._thumbnails[pairs[:, 0]], self._thumbnails[pairs[:, 1]])
        return [self._one(*each) for each in zip(pairs.tolist(), turns, align.tolist(), strict=True)]

    def _one(self, pair: list[int], turns: list[int], align: bool) -> Verdict:
        one, two = pair
        verdict = self._aligned.get((one, two))
        if verdict is None:
            verdict = self._verdicts.of(self._files[one], self._files[two], turns, align=align)
            if align:
                self._aligned[one, two] = verdict
        return verdict


def _judged(files: Sequence[Path], thumbnails: Array, verdicts: Verdicts) -> Iterator[tuple[int, int, str]]:
    """Yield pairs of the numbers of files: representatives and members of copies, then of scenes."""
    from threadpoolctl import threadpool_limits

    judge = _Judge(files, thumbnails, verdicts)
    # One thread per part: the matrices are too small for the BLAS threads, which would mostly wait for each other.
    cores = len(os.sched_getaffinity(0))
    with threadpool_limits(1), single_threaded(), ThreadPoolExecutor(max_workers=cores) as pool:
        copies, scenes = _edges(*judge.all(*candidates(thumbnails, pool), pool))
        for edges in (copies, scenes):
            middles = np.array(sorted(middle for middle, members in stars(edges) if len(members) >= _APART), dtype=int)
            pairs = middles[candidates(thumbnails[middles], pool).pairs]
            again = _edges(*judge.all(pairs, np.ones(len(pairs), dtype=bool), pool))
            edges += again[0] if edges is copies else again[1]

        def of_scene(one: int, others: list[int]) -> Iterator[int]:
            return compress(others, pool.map(lambda two: verdicts.is_same_scene(files[one], files[two]), others))

        for middle, members in stars(copies, lambda one, others: judge.copies(one, others, pool)):
            yield from ((middle, member, NEAR) for member in members)
        for middle, members in stars(scenes, of_scene):
            yield from ((middle, member, SCENE) for member in members)


def _neighbors_together(pairs: Array) -> Array:
    """Return an order of pairs in which most files are read once: breadth first from one image to its candidates."""
    near: dict[int, list[int]] = defaultdict(list)
    for one, two in pairs.tolist():
        near[one].append(two)
        near[two].append(one)
    place: dict[int, int] = {}
    for start in near:
        waiting = deque([start])
        while waiting:
            item = waiting.popleft()
            if item not in place:
                place[item] = len(place)
                waiting.extend(near[item])
    places = np.array([[place[one], place[two]] for one, two in pairs.tolist()], dtype=int).reshape(-1, 2)
    return np.lexsort((places.min(1), places.max(1)))


def _likely_turns(first: Array, second: Array) -> list[list[int]]:
    """Return for each pair of thumbnails the ways to turn the second that are worth trying, the likeliest first."""
    found = correlations(first, second)
    order = np.argsort(-found, axis=1)
    likely = found >= found.max(1, keepdims=True) - _LIKELY
    np.put_along_axis(likely, order[:, :_TURNS], True, axis=1)
    return [[turn for turn in turns if likely[row, turn]] for row, turns in enumerate(order.tolist())]


def _edges(pairs: Array, known: Sequence[Verdict]) -> tuple[list[tuple[int, int]], list[tuple[int, int]]]:
    """Return the pairs that are copies, and those of one scene."""
    edges: dict[Verdict, list[tuple[int, int]]] = {kind: [] for kind in Verdict}
    for (one, two), verdict in zip(pairs.tolist(), known, strict=True):
        edges[verdict].append((one, two))
    alike, copies, scenes = edges[Verdict.ALIKE], edges[Verdict.COPY], edges[Verdict.SCENE]
    frames = {item: len(group) for group in _connected(scenes + alike) for item in group}
    for pair in alike:
        (scenes if frames[pair[0]] >= _SCENE_FRAMES else copies).append(pair)
    return copies, scenes


def _connected(edges: Sequence[tuple[int, int]]) -> list[list[int]]:
    sets = DisjointSets(max((max(edge) for edge in edges), default=-1) + 1)
    for one, two in edges:
        sets.join(one, two)
    return sets.groups()
