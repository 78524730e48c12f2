"""``yolosweep check --weights``: labels that a detector disagrees with, on a page and as pre-annotations."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from tests.bench.foreign_data import dataset
from typer.testing import CliRunner

from yolosweep.autolabel.agreement import PredictedLabel
from yolosweep.cli.app import app
from yolosweep.workflows import label_review


class Sees:
    """Finds the labelled box, and in one image a second one."""

    unknown_classes = ()

    def __init__(self, weights: Path, names: Mapping[int, str], **how: Any) -> None: ...

    def draw(self, image: Path) -> tuple[PredictedLabel, ...]:
        box = PredictedLabel(0, (0.5, 0.5, 0.2, 0.2), 0.6)
        other = PredictedLabel(1, (0.2, 0.2, 0.1, 0.1), 0.9)
        return (other, box) if image.stem == "val2" else (box,)


def test_the_likeliest_error_is_first(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setattr(label_review, "Annotator", Sees)
    yaml = dataset(tmp_path / "set")
    words = ["check", str(yaml), "--weights", "best.pt", "--report", str(tmp_path / "c.html"), "--json"]
    done = CliRunner().invoke(app, words)
    assert done.exit_code == 0, done.output
    review = json.loads(done.stdout)["label_review"]
    assert review == {"page": str(tmp_path / "c-labels" / "review.html"), "suspected": {"missing box": 1}}
    tasks = json.loads((tmp_path / "c-labels" / "label-studio.json").read_text())
    assert tasks[0]["data"]["image"].endswith("val2.jpg")
    assert "missing box? 0.90" in Path(review["page"]).read_text()
    header, *lines = (tmp_path / "c-labels" / "suspects.csv").read_text().splitlines()
    assert header == "image,split,error,score,labelled,seen,x,y,width,height"
    assert [line.partition("val2.jpg,")[2] for line in lines] == [
        "val,missing box,0.900,,b,0.200000,0.200000,0.100000,0.100000"
    ]


def test_it_needs_a_place_for_the_page(tmp_path: Path) -> None:
    done = CliRunner().invoke(app, ["check", str(dataset(tmp_path / "set")), "--weights", "best.pt"])
    assert done.exit_code == 2
    assert "--weights needs --report FILE" in done.stderr
