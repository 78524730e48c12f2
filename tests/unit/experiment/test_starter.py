"""The starter file loads, is free of faults, and says what it means."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from yolosweep.experiment import lint_with_data, load_experiment, notes, starter
from yolosweep.experiment.schema import SCHEMA_FILE

SIZES = (None, 1, 3, 8, 30, 60, 63, 64, 200, 999, 1000, 1_000_000)


@pytest.mark.parametrize("images", SIZES)
@pytest.mark.parametrize(
    ("task", "model"),
    [(task, None) for task in ("detect", "segment", "classify", "pose", "obb")] + [("classify", "toy/red")],
)
def test_it_can_be_started_as_it_is(task: str, model: str | None, images: int | None, tmp_path: Path) -> None:
    file = tmp_path / "experiment.yaml"
    text = starter("data.yaml", task=task, name="demo", model=model, train_images=images)
    file.write_text(text)
    exp = load_experiment(file)
    assert (exp.task, exp.name, exp.data) == (task, "demo", str(tmp_path / "data.yaml"))
    assert lint_with_data(exp, 5000 if images is None else images) == []
    assert notes(exp) == []
    assert len(exp.search.parameters) >= 2
    assert all(len(line) <= 120 for line in text.splitlines()[1:])


def test_the_first_line_names_the_schema_for_editors() -> None:
    def first(schema: str | None) -> str:
        text = starter("d.yaml", task="detect", name="a", model=None, train_images=None, schema=schema)
        return text.splitlines()[0]

    assert first(None) == f"# yaml-language-server: $schema={SCHEMA_FILE}"
    assert first("../x.json") == "# yaml-language-server: $schema=../x.json"


@settings(max_examples=150, deadline=None)
@given(text=st.text(st.characters(exclude_categories=("Cs", "Cc")), min_size=1, max_size=70))
def test_any_folder_name_survives(text: str, tmp_path_factory: pytest.TempPathFactory) -> None:
    folder = tmp_path_factory.mktemp("any")
    file = folder / "experiment.yaml"
    file.write_text(starter("/data/" + text, task="detect", name=text, model=text, train_images=None), encoding="utf-8")
    exp = load_experiment(file, ["model=yolo26n.pt"])
    assert exp.data == str(Path("/data/" + text))


@pytest.mark.parametrize(
    "data", ["sample:parking", "my set/data.yaml", "2024", "true", "a: b.yaml", "-x", "é.yaml", "#1"]
)
def test_special_data_names_are_quoted_where_needed(data: str, tmp_path: Path) -> None:
    file = tmp_path / "experiment.yaml"
    file.write_text(starter(data, task="obb", name="x", model=None, train_images=5), encoding="utf-8")
    expected = data if data == "sample:parking" else str(tmp_path / data)
    assert load_experiment(file).data == expected
