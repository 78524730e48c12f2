"""Candidates: in large sets only the nearest cells are compared, and what is found stays the same."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from yolosweep.data.duplicates import candidate_pairs as candidate_search
from yolosweep.data.duplicates import nearest_pairs as hit_search
from yolosweep.data.duplicates.candidate_pairs import candidates
from yolosweep.data.duplicates.comparison_pictures import VIEW, Keypoints, View, Views, view_of
from yolosweep.data.duplicates.near_duplicates import connected_groups, find_near_duplicates
from yolosweep.data.duplicates.nearest_pairs import Search, hits
from yolosweep.data.duplicates.thumbnail_features import CORNERS, CROPS, WHOLE, Window, sampled, turns_of, unit
from yolosweep.data.duplicates.thumbnails import SIDE, signature_of

Array = np.ndarray[Any, Any]

SEARCHES = [Search(transpose=True), Search(rows=CORNERS[1])]


def thumbnails(count: int, seed: int = 0) -> Array:
    """Smooth pictures; each odd one is the one before it, turned by 90 degrees, mirrored or noisy."""
    rng = np.random.default_rng(seed)
    found = []
    for coarse in rng.uniform(0, 255, (count // 2, 7, 7)).astype(np.float32):
        picture = np.asarray(Image.fromarray(coarse).resize((SIDE, SIDE), Image.Resampling.BICUBIC))
        copy = (np.rot90(picture), picture[:, ::-1], picture)[len(found) // 2 % 3]
        found += [picture, copy + rng.normal(0, 8, copy.shape)]
    values = np.stack(found) if found else np.ones((0, SIDE, SIDE))
    spread = values.std((1, 2), keepdims=True)
    values = (values - values.mean((1, 2), keepdims=True)) / spread * 32 + 128
    return np.clip(values, 0, 255).astype(np.uint8)


def pairs_of(found: Array) -> set[tuple[int, int]]:
    return {(min(one, two), max(one, two)) for one, two in zip(found["row"], found["column"], strict=True)}


@pytest.mark.slow
def test_cells_hold_the_copies_and_most_other_hits(monkeypatch: pytest.MonkeyPatch) -> None:
    pictures, known = thumbnails(1000), {(k, k + 1) for k in range(0, 1000, 2)}
    with ThreadPoolExecutor(2) as pool:
        every = pairs_of(hits(pictures, SEARCHES[0], pool))
        monkeypatch.setattr(hit_search, "_CELL", 20)
        monkeypatch.setattr(hit_search, "_NEAR", 12)
        near = pairs_of(hits(pictures, SEARCHES[0], pool))
    assert known <= every
    assert len(known - near) <= 2
    assert len(near & every) >= 0.8 * len(every)


@pytest.mark.parametrize("search", SEARCHES, ids=["turned", "corner"])
def test_cells_answer_the_same_each_time(search: Search, monkeypatch: pytest.MonkeyPatch) -> None:
    pictures = thumbnails(600)
    monkeypatch.setattr(hit_search, "_CELL", 20)
    with ThreadPoolExecutor(1) as one, ThreadPoolExecutor(3) as three:
        first, second = hits(pictures, search, one), hits(pictures, search, three)
    assert len(first)
    np.testing.assert_array_equal(first, second)
    assert (first["row"] != first["column"]).all()
    assert np.unique(first["row"], return_counts=True)[1].max() <= 4


def test_no_more_than_the_nearest_cells_are_compared(monkeypatch: pytest.MonkeyPatch) -> None:
    compared, plain = [0], hit_search._similarity

    def counted(rows: Array, columns: Array, **named: bool) -> Array:
        compared[0] += len(rows) * len(columns)
        return plain(rows, columns, **named)

    monkeypatch.setattr(hit_search, "_similarity", counted)
    monkeypatch.setattr(hit_search, "_CELL", 20)
    monkeypatch.setattr(hit_search, "_NEAR", 4)
    with ThreadPoolExecutor(2) as pool:
        hits(thumbnails(2000), SEARCHES[1], pool)
    assert compared[0] < 0.2 * 2000**2


def test_a_few_pictures_have_candidates() -> None:
    with ThreadPoolExecutor(2) as pool:
        for count in (0, 2, 4):
            found = candidates(thumbnails(count), pool)
            assert len(found.align) == len(found.pairs)
            assert count == 0 or [0, 1] in found.pairs.tolist()


@pytest.mark.parametrize("window", [*CORNERS, *CROPS, Window(height=0.5, top=0.5)])
def test_a_straight_window_is_sampled_by_lines(window: Window) -> None:
    pictures = thumbnails(6)
    turned_by_nothing = window._replace(angle=1e-9)
    np.testing.assert_allclose(sampled(pictures, window), sampled(pictures, turned_by_nothing), atol=1e-5)


def test_the_best_half_is_that_of_any_turn() -> None:
    first, second = thumbnails(8), thumbnails(8, seed=1)
    pictures = np.concatenate([first, second])
    one, two = np.arange(8), np.arange(8, 16)
    best = np.full(8, -1.0)
    center = SIDE // 2
    for half in (np.s_[..., :center, :], np.s_[..., center:, :], np.s_[..., :center], np.s_[..., center:]):
        mine = unit(first[half].reshape(8, 1, -1).astype(np.float32))
        theirs = unit(turns_of(second)[half].reshape(8, 8, -1).astype(np.float32))
        best = np.maximum(best, (mine * theirs).sum(2).max(1))
    np.testing.assert_allclose(candidate_search._best_half(pictures, one, two), best, atol=1e-5)


def test_whole_pictures_are_only_centred() -> None:
    assert np.allclose(np.linalg.norm(sampled(thumbnails(4), WHOLE), axis=1), 1, atol=1e-5)


def test_keypoints_of_a_mirrored_picture_need_no_second_search() -> None:
    rng = np.random.default_rng(3)
    coarse = Image.fromarray(rng.uniform(0, 255, (20, 20)).astype(np.float32)).resize((VIEW, VIEW), 3)
    grey = np.clip(np.asarray(coarse), 0, 255).astype(np.uint8)

    def keypoints(picture: Array) -> Keypoints:
        view = view_of(picture, picture, (VIEW, VIEW))
        found = Views(lambda file: view).keypoints(Path("x"))
        assert found is not None
        return found

    derived, searched = keypoints(grey).mirrored(), keypoints(np.ascontiguousarray(grey[:, ::-1]))
    distances = np.linalg.norm(derived.places[:, None] - searched.places[None], axis=2)
    there = distances.min(1) < 1
    assert there.mean() > 0.8
    products = (derived.descriptors[there] * searched.descriptors[distances.argmin(1)[there]]).sum(1)
    assert np.median(products) > 0.97


def test_files_are_read_once_or_twice_however_few_views_are_held(monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(0)
    pictures: dict[Path, Image.Image] = {}
    for name in "abcdefghijkl":  # twelve pictures, each four times, and files that are far apart by name
        coarse = Image.fromarray(rng.uniform(60, 190, (10, 10)).astype(np.float32)).resize((160, 160), 3)
        for copy in range(4):
            values = np.asarray(coarse) + rng.normal(0, 3, (160, 160))
            pictures[Path(f"/set/{copy}{name}.png")] = Image.fromarray(np.clip(values, 0, 255).astype(np.uint8))
    read: list[Path] = []

    def view(file: Path) -> View:
        read.append(file)
        grey = np.asarray(pictures[file].resize((VIEW, VIEW)))
        return view_of(grey, np.asarray(pictures[file]), pictures[file].size)

    monkeypatch.setattr("yolosweep.data.duplicates.comparison_pictures._HELD", 10)
    monkeypatch.setattr(candidate_search, "_ALWAYS", 0)
    monkeypatch.setattr("yolosweep.data.duplicates.near_duplicates.os.cpu_count", lambda: 1)
    signatures = {file: signature_of(image) for file, image in pictures.items()}
    pairs = find_near_duplicates(signatures, {file: file.name for file in pictures}, lambda file: "", views=Views(view))
    assert [len(group) for group in connected_groups(pairs)] == [4] * 12
    assert len(read) <= 2.5 * len(pictures)
