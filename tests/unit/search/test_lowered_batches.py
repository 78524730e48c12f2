"""A batch that was lowered out of the searched values is learned: as it is, or as the nearest searched one."""

from __future__ import annotations

import pytest

from yolosweep.experiment import Parameter
from yolosweep.experiment.search_choices import SEARCHERS
from yolosweep.search.searchers.searcher import Searcher, searcher_for

SPACE = {
    "batch": Parameter(values=[8, 16, 32]),
    "mosaic": Parameter(min=0.0, max=1.0),
    "mixup": Parameter(min=0.0, max=1.0),
}


def taught(name: str, used: int, *, learned: bool = True) -> Searcher:
    """Return a searcher after 30 trials that asked for a batch of 8, used another, and were best at mosaic = 1."""
    searcher = searcher_for(name, SPACE, seed=0, mode="max")
    for number in range(30):
        point = {"batch": 8, "mosaic": (number * 7 % 30) / 30, "mixup": (number * 11 % 30) / 30}
        searcher.started(number, point)
        searcher.tell(number, {**point, "batch": used}, point["mosaic"], learned=learned)
    return searcher


@pytest.mark.parametrize("name", [name for name, choice in SEARCHERS.items() if choice.learns])
@pytest.mark.slow
def test_it_is_learned(name: str) -> None:
    lowered, ignorant = taught(name, 2), taught(name, 2, learned=False)
    found = [(lowered.suggest(number) or {})["mosaic"] for number in range(30, 50)]
    others = [(ignorant.suggest(number) or {})["mosaic"] for number in range(30, 50)]
    assert sum(found) > sum(others)
