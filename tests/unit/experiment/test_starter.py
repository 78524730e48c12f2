"""The starter file loads, is free of faults, and says what it means."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from yolosweep.backends.arguments import DataTraits
from yolosweep.backends.ultralytics.starter_arguments import image_sizes
from yolosweep.data.samples.parking_dataset import draw_parking
from yolosweep.errors import UsageError
from yolosweep.experiment import lint_with_data, load_experiment, notes, sizes_of, starter
from yolosweep.experiment.schema import SCHEMA_FILE
from yolosweep.records import DataProfile
from yolosweep.workflows.epochs_for_time import fit_into
from yolosweep.workflows.starter_file import write_starter

SIZES = (None, 1, 3, 8, 30, 60, 63, 64, 200, 999, 1000, 1_000_000)


@pytest.mark.parametrize("images", SIZES)
@pytest.mark.parametrize(
    ("task", "model"),
    [(task, None) for task in ("detect", "segment", "classify", "pose", "obb")] + [("classify", "toy/red")],
)
def test_it_can_be_started_as_it_is(task: str, model: str | None, images: int | None, tmp_path: Path) -> None:
    file = tmp_path / "experiment.yaml"
    text = starter("data.yaml", task=task, name="demo", model=model, profile=DataProfile(train_images=images))
    file.write_text(text)
    exp = load_experiment(file)
    assert (exp.task, exp.name, exp.data) == (task, "demo", str(tmp_path / "data.yaml"))
    assert lint_with_data(exp, DataTraits(train_images=5000 if images is None else images)) == []
    assert notes(exp) == []
    assert len(exp.search.parameters) >= 2
    assert all(len(line) <= 120 for line in text.splitlines()[1:])


def test_the_first_line_names_the_schema_for_editors() -> None:
    def first(schema: str | None) -> str:
        text = starter("d.yaml", task="detect", name="a", model=None, profile=None, schema=schema)
        return text.splitlines()[0]

    assert first(None) == f"# yaml-language-server: $schema={SCHEMA_FILE}"
    assert first("../x.json") == "# yaml-language-server: $schema=../x.json"


@settings(max_examples=150, deadline=None)
@given(text=st.text(st.characters(exclude_categories=("Cs", "Cc")), min_size=1, max_size=70))
@pytest.mark.slow
def test_any_folder_name_survives(text: str, tmp_path_factory: pytest.TempPathFactory) -> None:
    folder = tmp_path_factory.mktemp("any")
    file = folder / "experiment.yaml"
    file.write_text(starter("/data/" + text, task="detect", name=text, model=text, profile=None), encoding="utf-8")
    exp = load_experiment(file, ["model=yolo26n.pt"])
    assert exp.data == str(Path("/data/" + text))


@pytest.mark.parametrize(
    "data", ["sample:parking", "my set/data.yaml", "2024", "true", "a: b.yaml", "-x", "é.yaml", "#1"]
)
def test_special_data_names_are_quoted_where_needed(data: str, tmp_path: Path) -> None:
    file = tmp_path / "experiment.yaml"
    file.write_text(
        starter(data, task="obb", name="x", model=None, profile=DataProfile(train_images=5)), encoding="utf-8"
    )
    expected = data if data == "sample:parking" else str(tmp_path / data)
    assert load_experiment(file).data == expected


@pytest.mark.parametrize(
    ("longer_side", "small_box", "task", "sizes"),
    [
        (160, 0.11, "detect", (160, 192)),  # small images with large boxes are not enlarged
        (160, 0.03, "detect", (288, 352)),  # unless a model could not see the boxes
        (160, 0.001, "detect", (640, 768)),  # never beyond the default for images this small
        (640, 0.1, "detect", (640, 768)),
        (4000, 0.1, "segment", (640, 768)),
        (4000, 0.008, "detect", (1024, 1248)),
        (4000, 0.0001, "obb", (1280, 1536)),
        (None, None, "detect", (640,)),
        (64, None, "classify", (64,)),
        (1000, None, "classify", (224,)),
    ],
)
def test_the_image_size_suits_images_and_boxes(
    longer_side: int | None, small_box: float | None, task: str, sizes: tuple[int, ...], tmp_path: Path
) -> None:
    profile = DataProfile(train_images=500, longer_side=longer_side, small_box=small_box)
    assert image_sizes(task, profile) == sizes
    file = tmp_path / "experiment.yaml"
    file.write_text(starter("data.yaml", task=task, name="demo", model=None, profile=profile))
    exp = load_experiment(file)
    assert lint_with_data(exp, DataTraits(train_images=500)) == []
    assert sizes_of(exp) == (list(sizes) if len(sizes) > 1 else [sizes[0]])
    assert exp.search.parameters["batch"].values == [8, 16, 32]


def test_a_time_budget_replaces_the_number_of_trials(tmp_path: Path) -> None:
    file = tmp_path / "experiment.yaml"
    file.write_text(starter("data.yaml", task="detect", name="demo", model=None, profile=None, time="8h"))
    exp = load_experiment(file)
    assert (exp.search.trials, exp.search.time_budget) == (None, 8 * 3600)


@pytest.mark.parametrize(
    ("budget_s", "epoch_s", "at_a_time", "epochs", "trials"),
    [
        (8 * 3600, 25.0, 2, 50, 46),  # enough for the usual epochs
        (3 * 3600, 25.0, 2, 27, 32),  # shorter trials, so that 20 fit beside the finals
        (1200, 25.0, 2, 10, 9),  # but not shorter than 10 epochs
        (60, 25.0, 1, 10, 0),
    ],
)
def test_epochs_are_chosen_so_that_enough_trials_fit(
    budget_s: float, epoch_s: float, at_a_time: int, epochs: int, trials: int, tmp_path: Path
) -> None:
    found = fit_into(budget_s, epoch_s, at_a_time=at_a_time, finals=12, usual=50)
    assert (found.epochs, found.trials) == (epochs, trials)
    assert ("too short for a search" in found.sentence("1m")) == (trials < 2)
    file = tmp_path / "experiment.yaml"
    profile = DataProfile(train_images=500)
    file.write_text(
        starter("d.yaml", task="detect", name="a", model=None, profile=profile, time="2h", epochs=found.epochs)
    )
    exp = load_experiment(file)
    assert exp.train["epochs"] == epochs
    assert lint_with_data(exp, DataTraits(train_images=500)) == []


@pytest.mark.slow
def test_init_adapts_the_epochs_to_the_machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    draw_parking(tmp_path / "lot", images={"train": 12, "val": 4})
    written = [tmp_path / "cpu.yaml", tmp_path / "gpu.yaml"]
    for memory_mb, out in zip((None, 8192.0), written, strict=True):
        monkeypatch.setattr("yolosweep.workflows.epochs_for_time.gpu_memory_mb", lambda found=memory_mb: found)
        (told,) = write_starter(str(tmp_path / "lot" / "data.yaml"), out=out, time="3m")
        assert told.startswith("what fits into the time is unknown" if memory_mb else "about ")
    on_cpu, on_gpu = (int(load_experiment(file).train["epochs"]) for file in written)
    assert 10 <= on_cpu < on_gpu == 50


def test_a_data_set_in_place_of_an_experiment_is_named(tmp_path: Path) -> None:
    file = tmp_path / "my data.yaml"
    file.write_text("path: .\ntrain: images/train\nval: images/val\nnames: {0: car}\n")
    with pytest.raises(UsageError, match=r"is a data set, not an experiment: yolosweep init '.*my data\.yaml'$"):
        load_experiment(file)


def test_init_says_what_keeps_a_sweep_of_this_task_from_starting(tmp_path: Path) -> None:
    draw_parking(tmp_path / "lot", images={"train": 12, "val": 4})
    (told,) = write_starter(str(tmp_path / "lot" / "data.yaml"), out=tmp_path / "e.yaml", task="segment")
    assert told.startswith("the data have errors that keep a sweep from starting: label-boxes-only")
    assert write_starter(str(tmp_path / "lot" / "data.yaml"), out=tmp_path / "f.yaml") == ()
