"""Pairs found before: the same answer without a search, for the same content only."""

from __future__ import annotations

from pathlib import Path

import pytest

from yolosweep.data.duplicates.near_duplicates import Pair
from yolosweep.data.duplicates.pair_cache import cached_pairs
from yolosweep.data.model.dataset_items import ImageFacts, Images

A, B, C = Path("/d/a.png"), Path("/d/b.png"), Path("/d/c\udcff.png")
PICTURES = {A: ImageFacts("1", signature="x"), B: ImageFacts("2", signature="x"), C: ImageFacts("1", signature="x")}


def test_a_search_runs_once_for_the_same_content(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    searched: list[int] = []

    def search(pictures: Images) -> list[Pair]:
        searched.append(len(pictures))
        return [Pair(A, C, "exact")]

    assert cached_pairs(PICTURES, search) == cached_pairs(PICTURES, search) == [Pair(A, C, "exact")]
    assert searched == [3]
    cached_pairs({**PICTURES, B: ImageFacts("3", signature="x")}, search)
    cached_pairs({A: PICTURES[A], C: PICTURES[C]}, search)
    assert searched == [3, 3, 2]
    for file in (tmp_path / "yolosweep" / "scan").glob("pairs-*"):
        file.write_text("[[7, 8, null]]")
    assert cached_pairs(PICTURES, search) == [Pair(A, C, "exact")]
    assert searched == [3, 3, 2, 3]


def test_a_cache_that_cannot_be_written_is_no_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "yolosweep").write_text("a file where the folder should be")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert cached_pairs(PICTURES, lambda pictures: []) == []


def test_a_set_that_was_moved_is_known(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    moved = {Path("/elsewhere/deeper") / file.relative_to("/d"): facts for file, facts in PICTURES.items()}
    one, _, three = sorted(moved)
    assert cached_pairs(PICTURES, lambda pictures: [Pair(A, C, "exact")])
    assert cached_pairs(moved, lambda pictures: []) == [Pair(one, three, "exact")]
    renamed = {file.with_stem(f"{file.stem}1"): facts for file, facts in PICTURES.items()}
    assert cached_pairs(renamed, lambda pictures: []) == [], "names decide what is a burst"
