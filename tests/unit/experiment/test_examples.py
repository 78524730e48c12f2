"""Every example loads, names its schema and is listed; e2e/test_yolo_sweep.py plans them."""

from __future__ import annotations

from pathlib import Path

import pytest

from yolosweep.experiment import load_experiment

EXAMPLES = sorted((Path(__file__).parents[3] / "jobs" / "experiments").glob("*.yaml"))


def test_there_is_one_for_every_need() -> None:
    names = {path.stem for path in EXAMPLES}
    assert {"quickstart", "toy", "detect-pretrained", "segment", "classify"} <= names


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.stem)
def test_an_example_loads_and_points_editors_to_the_schema(path: Path) -> None:
    exp = load_experiment(path)
    assert exp.search.metric
    first = path.read_text().splitlines()[0]
    schema = first.partition("$schema=")[2]
    assert (path.parent / schema).resolve().is_file()


def test_the_page_lists_every_example() -> None:
    page = (EXAMPLES[0].parents[1] / "README.md").read_text()
    assert [path.name for path in EXAMPLES if f"(experiments/{path.name})" not in page] == []
