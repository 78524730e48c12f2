"""What every backend must be, and what adding one takes: subclasses of ``BackendContract`` name a model."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar, get_args

import pytest

from yolosweep.backends import BACKENDS, Arguments, ArgumentSpace, Backend, Task, Trainer, backend_for, trainer_for
from yolosweep.backends.arguments import DataTraits
from yolosweep.backends.backend import CheckpointSize, Starter, TrainingCost
from yolosweep.backends.sample_preview import Preview
from yolosweep.errors import ExperimentError, Fault
from yolosweep.experiment import Experiment, baseline, load_experiment, settings_of, sizes_of, starter
from yolosweep.records import DataProfile
from yolosweep.records.footprint import Footprint

TASKS = get_args(Experiment.model_fields["task"].annotation)


@pytest.fixture
def backend(request: pytest.FixtureRequest) -> Backend:
    return backend_for(request.cls.model)


class BackendContract:
    """Subclasses name a model of the backend, and an argument that may be searched in every task."""

    model: ClassVar[str]
    searched: ClassVar[str] = "lr0"

    def test_it_trains_tasks_that_a_file_can_name(self, backend: Backend) -> None:
        assert backend.matches(self.model)
        assert backend.tasks
        assert set(backend.tasks) <= set(TASKS)
        for task in backend.tasks.values():
            assert task.default_metric in task.metrics

    def test_its_arguments_are_complete(self, backend: Backend) -> None:
        arguments = backend.arguments
        assert {"epochs", "batch", "patience", self.searched} <= arguments.defaults.keys()
        assert arguments.batch({}) >= 1
        assert arguments.batch({"batch": 3}) == 3
        assert arguments.patience({"patience": None}) == 0
        assert arguments.imgsz({}) >= 0
        assert arguments.quiet.keys() <= arguments.defaults.keys()
        assert arguments.scoring <= arguments.defaults.keys()
        assert all("; " in fix or fix[0].islower() or fix.startswith("Ray") for fix in arguments.owned.values())

    def test_the_defaults_are_no_fault(self, backend: Backend) -> None:
        for task in backend.tasks:
            space = ArgumentSpace(model=self.model, task=task, defaults=backend.arguments.defaults)
            assert list(backend.faults(space)) == []
            assert list(backend.data_faults(space, DataTraits(train_images=10_000, names={0: "a"}))) == []

    def test_its_starter_loads(self, backend: Backend, tmp_path: Path) -> None:
        for task in backend.tasks:
            file = tmp_path / f"{task}.yaml"
            file.write_text(
                starter("data.yaml", task=task, name="demo", model=self.model, profile=DataProfile(train_images=500))
            )
            exp = load_experiment(file)
            assert exp.backend is backend
            assert exp.search.metric == backend.tasks[task].default_metric
            assert backend.misnamed(backend.starter(task, DataProfile()).model, task) is None
            assert set(baseline(exp)[0]) == set(exp.search.parameters)

    def test_sizes_of_files_are_estimated(self, backend: Backend) -> None:
        small, given = backend.checkpoint_size(self.model, None), backend.checkpoint_size(self.model, 10 << 20)
        for size in (small, given):
            assert size.state_mb > 0
            assert size.weights_mb > 0
        small, large = (backend.training_cost(self.model, None, imgsz=size, batch=8) for size in (96, 640))
        assert 0 < small.epoch_s(100, 8, 1.0) <= large.epoch_s(100, 8, 1.0)
        assert 0 < small.memory_mb <= large.memory_mb
        assert backend.packages

    @pytest.mark.slow
    def test_a_model_is_counted_before_it_is_trained(self, backend: Backend) -> None:
        model = self.model.replace(".pt", ".yaml")  # its weights may not be on this machine
        footprint = backend.footprint(model, task="detect", classes=3, imgsz=96)
        assert footprint is not None
        assert (footprint.params_m or 0) > 0
        assert (footprint.gflops or 0) > 0
        assert footprint.latency_ms is None

    def test_its_description_loads_nothing_heavy(self, backend: Backend) -> None:
        code = (
            "import sys\nfrom yolosweep.backends import backend_for\n"
            f"backend = backend_for({self.model!r})\nbackend.tasks, backend.arguments, backend.packages\n"
            "print(*sorted({'torch', 'ultralytics', 'ray', 'cv2', 'numpy'} & set(sys.modules)))"
        )
        done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
        assert done.stdout == "\n"

    def test_it_has_a_trainer(self, backend: Backend) -> None:
        for method in ("prepare", "train", "validate"):
            assert callable(getattr(trainer_for(self.model), method))


class TestToy(BackendContract):
    model = "toy/red"


class TestUltralytics(BackendContract):
    model = "yolo26n.pt"

    def test_every_task_of_the_schema_can_be_trained(self, backend: Backend) -> None:
        assert tuple(backend.tasks) == TASKS


class LineBackend:
    """A third family, as short as one can be: it fits a line."""

    name = "line"
    tasks: Mapping[str, Task] = {"classify": Task(metrics=("metrics/r2",), default_metric="metrics/r2")}
    arguments = Arguments(
        defaults={"epochs": 7, "batch": 3, "patience": 2, "slope": 0.5}, aliases={"gradient": "slope"}
    )
    packages = ("numpy",)
    uses_torch = several_ranks = False

    def matches(self, model: str) -> bool:
        return model.startswith("line/")

    def faults(self, space: ArgumentSpace) -> Iterator[Fault]:
        if any(value < 0 for value in space.numbers("slope")):
            yield Fault(key=space.key("slope"), message="is below 0; set 0.5")

    def data_faults(self, space: ArgumentSpace, data: DataTraits) -> Iterator[Fault]:
        return iter(())

    def notes(self, space: ArgumentSpace) -> Iterator[str]:
        return iter(())

    def misnamed(self, model: str, task: str) -> str | None:
        return None

    def model_faults(self, model: str, task: str) -> list[Fault]:
        return []

    def locate_model(self, model: str, *, fetch: bool = True) -> Path | str:
        return model

    def check_arguments(self, space: ArgumentSpace, classes: int | None = None) -> tuple[list[Fault], list[str]]:
        return [], []

    def checkpoint_size(self, model: str, model_bytes: int | None) -> CheckpointSize:
        return CheckpointSize(1.0, 0.5)

    def training_cost(self, model: str, model_bytes: int | None, *, imgsz: int, batch: int) -> TrainingCost:
        return TrainingCost(0.1, 0.1, 10.0)

    def footprint(self, model: str, *, task: str, classes: int, imgsz: int | None) -> Footprint | None:
        return None

    def starter(self, task: str, data: DataProfile) -> Starter:
        return Starter(model="line/1", train=("epochs: 7",), space=("slope: {min: 0.1, max: 0.9}",))

    def previews(self, images: Sequence[Path], names: Mapping[int, str], **how: Any) -> list[Preview]:
        return []

    def trainer(self) -> Trainer:
        from yolosweep.backends.toy.trainer import ToyTrainer

        return ToyTrainer()

    def deployment(self) -> None:
        return None


@pytest.fixture
def line(monkeypatch: pytest.MonkeyPatch) -> LineBackend:
    """The third backend, registered by its one line."""
    added = LineBackend()
    monkeypatch.setattr("yolosweep.backends.backend_registry.BACKENDS", [added, *BACKENDS])
    return added


HEAD = "name: demo\ntask: classify\nmodel: line/1\ndata: data.yaml\n"


def load(folder: Path, text: str) -> Experiment:
    file = folder / "experiment.yaml"
    file.write_text(HEAD + text)
    return load_experiment(file)


def test_a_third_backend_is_loaded_by_its_own_rules(line: LineBackend, tmp_path: Path) -> None:
    exp = load(tmp_path, "search: {parameters: {slope: {min: 0.1, max: 0.9}}}\n")
    assert exp.backend is line
    assert (exp.search.metric, exp.train) == ("metrics/r2", {"epochs": 7})
    assert baseline(exp)[0] == {"slope": 0.5}
    assert settings_of(exp, {"slope": 0.2}) == {"epochs": 7, "slope": 0.2, "seed": 0}
    assert sizes_of(exp) == []


@pytest.mark.parametrize(
    ("text", "key", "message"),
    [
        ("task: detect\nsearch: {parameters: {slope: {value: 1}}}", "task", "detect is not a task of line/1"),
        ("search: {parameters: {gradient: {value: 1}}}", "search.parameters.gradient", "did you mean"),
        ("search: {parameters: {lr0: {value: 1}}}", "search.parameters.lr0", "which has epochs"),
        ("search: {parameters: {slope: {value: -1}}}", "search.parameters.slope", "is below 0"),
        ("search: {metric: metrics/r3, parameters: {slope: {value: 1}}}", "search.metric", "did you mean metrics/r2?"),
        ("resources: {workers: 2}\nsearch: {parameters: {slope: {value: 1}}}", "resources", "in one process"),
    ],
)  # fmt: skip
def test_a_third_backend_refuses_what_it_does_not_know(
    line: LineBackend, text: str, key: str, message: str, tmp_path: Path
) -> None:
    head = HEAD.replace("task: classify\n", "") if text.startswith("task:") else HEAD
    file = tmp_path / "experiment.yaml"
    file.write_text(head + text + "\n")
    with pytest.raises(ExperimentError) as refused:
        load_experiment(file)
    assert any(fault.key == key and message in fault.message for fault in refused.value.faults), refused.value


def test_a_third_backend_is_planned(line: LineBackend, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Estimates and checks ask the backend, too."""
    from typer.testing import CliRunner

    from yolosweep.cli.app import app
    from yolosweep.cluster.disk_estimate import checkpoint_needs

    for split in ("train", "val"):
        for number, name in enumerate(("blue", "red")):
            folder = tmp_path / "data" / split / name
            folder.mkdir(parents=True)
            _draw(folder / "0.png", number, split)
            _draw(folder / "1.png", number + 2, split)
    file = tmp_path / "experiment.yaml"
    text = "search: {trials: 4, parameters: {slope: {min: 0.1, max: 0.9}}}\nresources: {gpus_per_trial: 0}\n"
    file.write_text(HEAD.replace("data.yaml", "data") + text)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    done = CliRunner().invoke(app, ["plan", str(file), "--json"])
    assert done.exit_code == 0, done.output
    assert '"epochs_per_trial": 7' in done.stdout
    assert checkpoint_needs(load_experiment(file)).rank_mb == 2.0


def _draw(file: Path, number: int, split: str) -> None:
    import numpy as np
    from PIL import Image

    pixels = np.random.default_rng([number, len(split)]).integers(0, 255, (64, 64, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(file)
