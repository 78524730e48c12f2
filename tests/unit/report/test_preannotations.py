"""Pre-annotations: what is written for Label Studio and CVAT reads back as what was predicted."""

from __future__ import annotations

from pathlib import Path
from xml.etree.ElementTree import fromstring

import pytest
from tests.bench.foreign_data import picture

from yolosweep.data.foreign.any_format import foreign_layout
from yolosweep.records.image_predictions import Answer, Shape
from yolosweep.report.preannotations import preannotations

BOX = Shape(name="a <b> & c", box=(0.1, 0.25, 0.35, 0.5), confidence=0.4)
OUTLINE = Shape(name="d", box=(0.5, 0.5, 1.0, 1.0), outline=((0.5, 0.5), (1.0, 0.5), (1.0, 1.0)), confidence=0.9)


@pytest.mark.parametrize("file", ["label-studio.json", "cvat.xml"])
@pytest.mark.parametrize("name", ["a.jpg", "with space #1 ü.jpg"])
def test_the_round_trip(file: str, name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    images = [picture(tmp_path / "set" / folder / name, number) for number, folder in enumerate(("one", "two"))]
    answers = [
        Answer(image=str(images[0]), width=64, height=48, predictions=(OUTLINE, BOX)),
        Answer(image=str(images[1]), width=64, height=48),
    ]
    (tmp_path / "set" / file).write_text(preannotations(answers, ["a <b> & c", "d"])[file], encoding="utf-8")
    layout = foreign_layout(tmp_path / "set", "segment")
    assert layout is not None
    assert set(layout.names.values()) == {"a <b> & c", "d"}
    found = {item.image: item.label.read_text() for item in layout.splits["train"] if item.label is not None}
    assert found[images[1]] == ""
    rows = {
        layout.names[int(line.split()[0])]: [*map(float, line.split()[1:])] for line in found[images[0]].splitlines()
    }
    assert rows["d"] == pytest.approx([0.5, 0.5, 1.0, 0.5, 1.0, 1.0], abs=2e-4)
    assert rows["a <b> & c"] == pytest.approx([0.1, 0.25, 0.35, 0.25, 0.35, 0.5, 0.1, 0.5], abs=2e-4)


def test_the_interface_has_every_class_and_the_tools_that_are_needed() -> None:
    plain = [Answer(image="/x/a.jpg", width=64, height=48, predictions=(BOX,))]
    view = fromstring(preannotations(plain, ["a <b> & c", "d"])["label-studio-interface.xml"])
    assert [one.tag for one in view] == ["Image", "RectangleLabels"]
    assert [one.get("value") for one in view[1]] == ["a <b> & c", "d"]
