"""Train arguments have their effect: a training with another value of one differs from the same training without."""

from __future__ import annotations

import functools
import itertools
from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML
from tests.contract.test_validation import MODELS, draw
from tests.tools.argument_effects import BY_DAY, EFFECTS, GPU_ONLY, TEACHER

from yolosweep.backends import trainer_for
from yolosweep.backends.ultralytics.tasks import TASKS
from yolosweep.records import Ending, TrialRecord, TrialRequest, Verdict

pytestmark = pytest.mark.slow

BASE: dict[str, Any] = {
    "epochs": 2, "imgsz": 32, "batch": 4, "nbs": 4, "optimizer": "SGD", "mosaic": 0.0, "warmup_epochs": 1.0,
    "plots": False, "verbose": False, "seed": 0, "patience": 0,
}  # fmt: skip
"""Few settings whose effect hides that of others: one SGD step per batch, no mosaic."""


OVERLAPPING = "0 0.1 0.1 0.4 0.1 0.4 0.4 0.1 0.4\n1 0.25 0.25 0.5 0.25 0.5 0.5 0.25 0.5\n"


class Trainings:
    """Tiny trainings in one run folder; equal ones are trained once."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.numbers = folder, itertools.count()
        self._known: dict[str, tuple[TrialRecord, Any]] = {}

    @functools.cached_property
    def teacher(self) -> str:
        """Weights of a training on the same data, their classes in the other order."""
        from ultralytics import YOLO

        record, _ = self.of("detect")
        model: Any = YOLO(self.folder / "run" / record.files["best.pt"].path)
        model.model.names = {0: "b", 1: "a"}
        model.save(self.folder / "teacher.pt")
        return str(self.folder / "teacher.pt")

    def of(self, task: str, model: str | None = None, **settings: Any) -> tuple[TrialRecord, Any]:
        """Return record and trace of a training: its rows, and the sum of its weights."""
        given = {name: self.teacher if value == TEACHER else value for name, value in settings.items()}
        model = model or MODELS[task]
        key = f"{task} {model} {sorted(given.items())}"
        if key not in self._known:
            self._known[key] = self._trained(task, model, given)
        return self._known[key]

    def _trained(self, task: str, model: str, given: dict[str, Any]) -> tuple[TrialRecord, Any]:
        number = next(self.numbers)
        request = TrialRequest(
            sweep="run", trial=f"t{number:04d}", number=number, task=task, model=model, data=self.data(task), asked={},
            identity=f"{number}", metric=TASKS[task].default_metric, folder=str(self.folder / "run"),
            settings={**BASE, **given},
        )  # fmt: skip
        rows: list[dict[str, float]] = []

        def report(row: Any, checkpoint: Any) -> Verdict:
            rows.append(row.metrics)
            return Verdict.CONTINUE

        record = trainer_for(model).train(request, report, lambda: False)
        assert record.ending is Ending.FINISHED, record.reason
        return record, (rows, _sum_of(self.folder / "run" / record.files["last.pt"].path))

    @functools.cache  # noqa: B019  # lives as long as its module's tests
    def data(self, task: str) -> str:
        """Draw data of two classes, one of them rare."""
        data = draw(self.folder / task, task)
        if task != "classify":
            data.write_text(data.read_text().replace("[a]", "[a, b]"))
            for file in (self.folder / task / "labels").glob("*/[56].txt"):
                file.write_text("1" + file.read_text()[1:])
        if task == "segment":  # objects that overlap, with room to paste them
            for file in (self.folder / task / "labels").glob("*/*.txt"):
                file.write_text(OVERLAPPING)
        return str(data)


def _sum_of(weights: Path) -> float:
    from ultralytics.nn.tasks import torch_safe_load

    model = torch_safe_load(str(weights), safe_only=True)[0]["model"]
    return float(sum(values.double().abs().sum() for values in model.state_dict().values()))


@pytest.fixture(scope="module")
def trainings(tmp_path_factory: pytest.TempPathFactory) -> Trainings:
    from yolosweep.backends.ultralytics.training_environment import enter

    enter()
    return Trainings(tmp_path_factory.mktemp("effects"))


@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=() if name in BY_DAY else pytest.mark.nightly) for name in EFFECTS]
)
def test_an_argument_changes_a_training(name: str, trainings: Trainings) -> None:
    effect = EFFECTS[name]
    _, without = trainings.of(effect.task, effect.model, **effect.beside)
    record, trace = trainings.of(effect.task, effect.model, **{**effect.beside, name: effect.value})
    assert trace != without
    used = YAML(typ="safe").load(trainings.folder / "run" / record.files["args.yaml"].path)
    if name not in ("augmentations", "balance") and effect.value != TEACHER:
        assert used[name] == effect.value


@pytest.mark.nightly
def test_the_same_arguments_give_the_same_training(trainings: Trainings) -> None:
    """Without it, the test above would show nothing."""
    first = trainings.of("detect")[1]
    assert trainings.of("detect", workers=0)[1] == first


@pytest.mark.nightly
@pytest.mark.parametrize("optimizer", ["SGD", "MuSGD", "Adam", "Adamax", "AdamW", "NAdam", "RAdam", "RMSProp", "auto"])
def test_every_optimizer_trains(optimizer: str, trainings: Trainings) -> None:
    record, _ = trainings.of("detect", optimizer=optimizer, lr0=0.0005)
    assert record.used["optimizer"] == ("AdamW" if optimizer == "auto" else optimizer)


@pytest.mark.nightly
def test_arguments_that_change_how_a_training_runs(trainings: Trainings, monkeypatch: pytest.MonkeyPatch) -> None:
    from ultralytics.engine import trainer as engine

    seeded: list[bool] = []
    original = engine.init_seeds
    monkeypatch.setattr(
        engine, "init_seeds", lambda seed, deterministic=False: seeded.append(deterministic) or original(seed)
    )
    quiet, _ = trainings.of("detect")
    changed = {"verbose": True, "plots": True, "deterministic": False, "workers": 99}
    record, _ = trainings.of("detect", **changed, **{name: True for name in GPU_ONLY if name != "compile"})
    assert seeded[-1] is False
    assert {name for name in record.files if name.endswith((".png", ".jpg"))} - set(quiet.files)
    assert any("workers 99 was lowered" in note for note in record.notes)
    folder = trainings.folder / "run"
    assert (folder / record.files["train.log"].path).stat().st_size > (
        folder / quiet.files["train.log"].path
    ).stat().st_size
    used = YAML(typ="safe").load(folder / record.files["args.yaml"].path)
    assert used["channels_last"] is used["amp"] is True


@pytest.mark.nightly
def test_a_batch_of_one_trains(trainings: Trainings) -> None:
    assert trainings.of("detect", batch=1, nbs=1, imgsz=64)[0].used["batch"] == 1


@pytest.mark.nightly
def test_a_cache_changes_no_result_and_no_file_beside_the_images(trainings: Trainings) -> None:
    images = Path(trainings.data("detect")).parent / "images"
    before = sorted(images.rglob("*"))
    _, trace = trainings.of("detect", cache="ram", mosaic=1.0, close_mosaic=0)
    assert trace == trainings.of("detect", mosaic=1.0, close_mosaic=0)[1]
    assert sorted(images.rglob("*")) == before


@pytest.mark.nightly
def test_weights_and_models_with_other_classes_train_on_those_of_the_data(trainings: Trainings) -> None:
    import ultralytics
    from ultralytics import YOLO

    YOLO("yolo11n.yaml").save(trainings.folder / "eighty.pt")
    shipped = Path(ultralytics.__file__).parent
    described = trainings.folder / "five.yaml"
    described.write_text((shipped / "cfg" / "models" / "11" / "yolo11.yaml").read_text().replace("nc: 80", "nc: 5"))
    for model in ("eighty.pt", "five.yaml"):
        record, _ = trainings.of("detect", str(trainings.folder / model))
        best = YOLO(trainings.folder / "run" / record.files["best.pt"].path)
        assert best.names == {0: "a", 1: "b"}


@pytest.mark.nightly
def test_the_largest_batch_is_found_by_ultralytics(trainings: Trainings, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without a GPU it is the default; what the finder is asked is seen with the profiler of the GPU replaced."""
    from ultralytics.engine import trainer as engine

    request = TrialRequest(
        sweep="run", trial="t9999", number=9999, task="detect", model=MODELS["detect"], data=trainings.data("detect"),
        asked={}, identity="i", metric="metrics/mAP50-95(B)", folder=str(trainings.folder / "run"),
        settings={**BASE, "batch": -1, "imgsz": 64},
    )  # fmt: skip
    trainer = trainer_for(request.model)
    assert trainer.find_batch(request) == 16
    asked: list[dict[str, Any]] = []
    monkeypatch.setattr(engine, "check_train_batch_size", lambda **given: asked.append(given) or 5)
    assert trainer.find_batch(request) == 5
    assert trainer.find_batch(request.model_copy(update={"settings": {**request.settings, "batch": 0.9}})) == 5
    assert [(one["batch"], one["imgsz"], one["dataset_size"]) for one in asked] == [(0.6, 64, 7), (0.9, 64, 7)]
