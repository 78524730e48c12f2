"""Experiment files that are fine: what they load to, what a trial gets, and what is told without being refused."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from yolosweep.backends.arguments import DataTraits
from yolosweep.backends.ultralytics.arguments import TASKS_OF, train_arguments
from yolosweep.experiment import (
    Experiment,
    baseline,
    identity,
    lint_with_data,
    load_experiment,
    notes,
    settings_of,
)

HEAD = "name: demo\nmodel: yolo26n.pt\ndata: data.yaml\n"


def load(folder: Path, text: str, *overrides: str) -> Experiment:
    file = folder / "experiment.yaml"
    file.write_text(text)
    return load_experiment(file, overrides)


LEGAL = {
    "smallest": "search: {parameters: {box: {min: 4.0, max: 9.0}}}",
    "whole numbers": "search: {parameters: {box: {min: 4, max: 9}}}",
    "dfl is the L1 gain of YOLO26": "search: {parameters: {dfl: {min: 0.5, max: 3.0}}}",
    "momentum is Adam's beta": "train: {optimizer: AdamW}\nsearch: {parameters: {momentum: {min: 0.8, max: 0.95}}}",
    "warmup_momentum of RMSProp": "train: {optimizer: RMSProp}\n"
    "search: {parameters: {warmup_momentum: {min: 0.5, max: 0.9}}}",
    "optimizer in small letters": "train: {optimizer: sgd}\nsearch: {parameters: {lr0: {min: 0.001, max: 0.1}}}",
    "momentum with auto, which may be MuSGD": "search: {parameters: {momentum: {min: 0.8, max: 0.95}}}",
    "several optimizers": "search: {parameters: {lr0: {min: 0.001, max: 0.1}, optimizer: {values: [SGD, AdamW]},"
    " warmup_momentum: {min: 0.5, max: 0.9}}}",
    "warmup searched from 0": "train: {optimizer: SGD}\nsearch: {parameters: {warmup_epochs: {min: 0.0, max: 5.0},"
    " warmup_bias_lr: {min: 0.0, max: 0.2}}}",
    "a copied args.yaml holds defaults that do nothing": "train: {lr0: 0.01, dis: 6.0, warmup_bias_lr: 0.1,"
    " copy_paste_mode: flip}\nsearch: {parameters: {box: {min: 4, max: 9}}}",
    "mosaic closed late": "train: {epochs: 11}\nsearch: {parameters: {mosaic: {min: 0.0, max: 1.0}}}",
    "mosaic never closed": "train: {epochs: 5, close_mosaic: 0}\nsearch: {parameters: {mosaic: {min: 0.0, max: 1.0}}}",
    "close_mosaic searched": "train: {epochs: 30}\nsearch: {parameters: {close_mosaic: {min: 0, max: 20}}}",
    "close_mosaic searched beyond the end": "train: {epochs: 10}\nsearch: {parameters: {mosaic: {min: 0.0, max: 1.0},"
    " close_mosaic: {min: 0, max: 20}}}",
    "close_mosaic for copy-paste alone": "task: segment\ntrain: {mosaic: 0, copy_paste: 0.3}\n"
    "search: {parameters: {close_mosaic: {min: 0, max: 20}}}",
    "rect searched": "search: {parameters: {rect: {values: [true, false]}, mosaic: {min: 0.0, max: 1.0}}}",
    "copy-paste in detect, where polygons may be": "search: {parameters: {copy_paste: {min: 0.0, max: 0.5}}}",
    "copy_paste_mode": "task: obb\nsearch: {parameters: {copy_paste: {min: 0.0, max: 0.5},"
    " copy_paste_mode: {values: [flip, mixup]}}}",
    "distillation": "train: {distill_model: /weights/yolo26s.pt}\nsearch: {parameters: {dis: {min: 1.0, max: 9.0}}}",
    "rle on YOLO26": "task: pose\nsearch: {parameters: {rle: {min: 0.5, max: 2.0}}}",
    "classify": "task: classify\ntrain: {auto_augment: null}\nsearch: {parameters: {hsv_h: {min: 0.0, max: 0.1},"
    " dropout: {min: 0.0, max: 0.5}, erasing: {min: 0.0, max: 0.6}, scale: {min: 0.1, max: 0.9}}}",
    "classify with colour, policy off or on": "task: classify\nsearch: {parameters: {hsv_s: {min: 0.0, max: 1.0},"
    " auto_augment: {values: [randaugment, '']}}}",
    "cosine": "search: {parameters: {cos_lr: {values: [true, false]}, lrf: {min: 0.01, max: 1.0}}}",
    "classes": "train: {classes: [0, 2], single_cls: false}\nsearch: {parameters: {cls: {min: 0.2, max: 1.0}}}",
    "loss": "search: {metric: val/box_loss, mode: min, parameters: {box: {min: 4, max: 9}}}",
    "mask metric": "task: segment\nsearch: {metric: metrics/mAP50(M), parameters: {mask_ratio: {values: [1, 4]}}}",
    "grid": "search: {searcher: grid, parameters: {batch: {values: [8, 16]}, degrees: {min: 0, max: 3},"
    " shear: {min: 0, max: 1, q: 0.5, distribution: q_uniform}}}",
    "pipelines": "augmentations: {soft: [{Blur: {p: 0.3}}], off: []}\n"
    "search: {parameters: {augmentations: {values: [none, default, soft, off]}}}",
    "everything at the top": "task: detect\nseed: 3\nkeep_top: 1\nstorage: /scratch/runs\n"
    "resources: {gpus_per_trial: 0.25, cpus_per_trial: 2, max_concurrent: 3}\n"
    "track: {wandb: {project: x, entity: y, mode: online, tags: [a, b]}}\n"
    "search: {trials: 9, time_budget: 90s, epoch_budget: 800, searcher: random, pruner: none, reduction_factor: 2,"
    " parameters: {box: {value: 3}}}",
    "comments and anchors": "train: &same {epochs: 5}  # five\nsearch: {parameters: {box: {value: 1}}}",
}


@pytest.mark.parametrize("text", LEGAL.values(), ids=LEGAL.keys())
def test_a_legal_file_is_not_refused(text: str, tmp_path: Path) -> None:
    exp = load(tmp_path, HEAD + text + "\n")
    assert exp.name == "demo"
    assert Experiment.model_validate(exp.model_dump(mode="json")) == exp, "it does not survive the ledger"


def test_data_and_a_model_beside_the_file_become_absolute(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir("/")
    (tmp_path / "mine.pt").write_bytes(b"weights")
    text = "search: {parameters: {box: {value: 3}}}\n"
    exp = load(tmp_path, HEAD.replace("yolo26n.pt", "mine.pt") + text)
    assert exp.data == str(tmp_path / "data.yaml")
    assert exp.model == str(tmp_path / "mine.pt")
    assert load(tmp_path, HEAD + text).model == "yolo26n.pt"
    assert load(tmp_path, HEAD.replace("data.yaml", "/set/data.yaml") + text).data == "/set/data.yaml"
    assert load(tmp_path, HEAD.replace("data.yaml", "sample:parking") + text).data == "sample:parking"


def test_defaults_that_hang_on_other_fields_are_decided(tmp_path: Path) -> None:
    exp = load(tmp_path, HEAD + "train: {epochs: 60}\nsearch: {parameters: {box: {min: 4, max: 9}}}\n")
    assert (exp.search.metric, exp.search.trials, exp.search.grace_epochs) == ("metrics/mAP50-95(B)", 20, 6)
    short = load(tmp_path, HEAD + "train: {epochs: 2}\nsearch: {parameters: {box: {min: 4, max: 9}}}\n")
    assert short.search.grace_epochs == 1
    budget = load(tmp_path, HEAD + "search: {time_budget: 1.5h, parameters: {box: {min: 4, max: 9}}}\n")
    assert (budget.search.trials, budget.search.time_budget) == (None, 5400)
    grid = load(
        tmp_path, HEAD + "search: {searcher: grid, parameters: {box: {values: [1, 2]}, cls: {values: [3, 4]}}}\n"
    )
    assert grid.search.trials == 4, "every combination once, the one nearest to the defaults first"


def test_a_byte_order_mark_is_passed_over(tmp_path: Path) -> None:
    assert load(tmp_path, "\ufeff" + HEAD + "search: {parameters: {box: {value: 1}}}\n").name == "demo"


def test_overrides_are_read_as_yaml(tmp_path: Path) -> None:
    text = HEAD + "search: {trials: 9, parameters: {box: {min: 4, max: 9}}}\n"
    exp = load(
        tmp_path, text, "search.trials=4", "train.epochs=7", "search.parameters.cls={min: 0.1, max: 1.0}", "name=b"
    )
    assert (exp.search.trials, exp.train["epochs"], exp.name) == (4, 7, "b")
    assert exp.search.parameters["cls"].max == 1.0


def test_settings_of_a_trial(tmp_path: Path) -> None:
    exp = load(
        tmp_path,
        HEAD + "seed: 7\ntrain: {epochs: 5, batch: 8.0}\naugmentations: {soft: [{Blur: {p: 0.3}}]}\n"
        "search: {parameters: {augmentations: {values: [none, default, soft]}}}\n",
    )
    soft = settings_of(exp, {"augmentations": "soft"})
    assert soft["augmentations"] == [{"Blur": {"p": 0.3}}]
    assert (soft["seed"], soft["batch"], soft["epochs"]) == (7, 8, 5)
    assert isinstance(soft["batch"], int)
    assert settings_of(exp, {"augmentations": "none"})["augmentations"] == []
    assert "augmentations" not in settings_of(exp, {"augmentations": "default"})
    assert "augmentations" not in settings_of(exp, {})


def test_trial_0_is_the_defaults_or_the_nearest_point_to_them(tmp_path: Path) -> None:
    exp = load(
        tmp_path,
        HEAD + "train: {optimizer: SGD}\nsearch: {parameters: {lr0: {min: 0.001, max: 0.1}, box: {min: 1.0, max: 5.0},"
        " imgsz: {values: [320, 512]}, augmentations: {values: [none, default]}}}\n",
    )
    chosen, told = baseline(exp)
    assert chosen == {"lr0": 0.01, "box": 5.0, "imgsz": 512, "augmentations": "default"}
    assert len(told) == 2
    assert any("box=7.5" in note and "5.0" in note for note in told)


BASE: dict[str, Any] = {"epochs": 5, "lr0": 0.01, "workers": 2, "plots": False, "verbose": False, "seed": 0}
OTHER: dict[str, Any] = {"model": "yolo26n.pt", "task": "detect", "data_fingerprint": "f"}
RUNTIME_ONLY = train_arguments().runtime_only


@pytest.mark.parametrize("name", ["workers", "plots", "verbose"])
def test_how_a_trial_runs_is_not_its_identity(name: str) -> None:
    other = identity({**BASE, name: 99}, **OTHER, runtime_only=RUNTIME_ONLY)
    assert identity(BASE, **OTHER, runtime_only=RUNTIME_ONLY) == other


@pytest.mark.parametrize("name", ["lr0", "epochs", "seed", "imgsz", "augmentations", "cache", "fraction"])
def test_what_a_trial_learns_is_its_identity(name: str) -> None:
    other = identity({**BASE, name: 99}, **OTHER, runtime_only=RUNTIME_ONLY)
    assert identity(BASE, **OTHER, runtime_only=RUNTIME_ONLY) != other


@pytest.mark.parametrize("name", sorted(OTHER))
def test_model_task_and_data_are_its_identity(name: str) -> None:
    assert identity(BASE, **OTHER) != identity(BASE, **{**OTHER, name: "another"})


def test_the_number_of_ranks_is_its_identity() -> None:
    assert identity(BASE, **OTHER) == identity(BASE, **OTHER, world_size=1) != identity(BASE, **OTHER, world_size=2)


def test_identity_does_not_hang_on_the_order_of_settings() -> None:
    assert identity(BASE, **OTHER) == identity(dict(reversed(BASE.items())), **OTHER)
    assert len(identity(BASE, **OTHER)) == 16


@pytest.mark.parametrize(
    ("train", "images", "refused"),
    [
        ("{}", 1000, False),
        ("{}", 48, True),  # 4 batches held, 3 in an epoch
        ("{}", 50, False),  # 4 held, 4 in an epoch
        ("{batch: 8, nbs: 8}", 9, False),
        ("{batch: 64}", 10, False),
        ("{batch: 4, nbs: 64}", 30, True),
    ],
)
def test_gradients_held_longer_than_an_epoch_are_refused(
    train: str, images: int, refused: bool, tmp_path: Path
) -> None:
    exp = load(tmp_path, HEAD + f"train: {train}\nsearch: {{parameters: {{box: {{min: 4, max: 9}}}}}}\n")
    faults = lint_with_data(exp, DataTraits(train_images=images))
    assert [fault.key for fault in faults] == (["train.nbs"] if refused else [])
    if refused:
        nbs = faults[0].message.rpartition("train.nbs: ")[2]
        assert (
            lint_with_data(
                exp.model_copy(update={"train": {**exp.train, "nbs": int(nbs)}}), DataTraits(train_images=images)
            )
            == []
        )


@pytest.mark.parametrize(("images", "refused"), [(1000, True), (10_000_000, False)])
def test_momentum_is_dead_where_auto_is_surely_adamw(images: int, refused: bool, tmp_path: Path) -> None:
    exp = load(tmp_path, HEAD + "search: {parameters: {momentum: {min: 0.8, max: 0.95}}}\n")
    assert [fault.key for fault in lint_with_data(exp, DataTraits(train_images=images))] == (
        ["search.parameters.momentum"] if refused else []
    )
    sgd = exp.model_copy(update={"train": {**exp.train, "optimizer": "SGD"}})
    assert lint_with_data(sgd, DataTraits(train_images=images)) == []


@pytest.mark.parametrize(
    ("text", "key"),
    [
        ("search: {parameters: {copy_paste: {min: 0.1, max: 0.9}}}", "search.parameters.copy_paste"),
        ("train: {copy_paste: 0.3}\nsearch: {parameters: {box: {min: 4.0, max: 9.0}}}", "train.copy_paste"),
        ("train: {copy_paste: 0.0}\nsearch: {parameters: {box: {min: 4.0, max: 9.0}}}", None),
    ],
)
def test_copy_paste_is_dead_where_no_label_is_a_polygon(text: str, key: str | None, tmp_path: Path) -> None:
    exp = load(tmp_path, HEAD + text + "\n")
    assert [fault.key for fault in lint_with_data(exp, DataTraits(train_images=1000, polygons=False))] == (
        [key] if key else []
    )
    assert lint_with_data(exp, DataTraits(train_images=1000, polygons=True)) == []


@pytest.mark.parametrize(
    ("classes", "fault"),
    [
        ("[0, 1]", None),
        ("1", None),
        ("[1, 5]", "the data have no class 5; choose from 0 red, 1 blue"),
        ("7", "class 7"),
    ],
)
def test_classes_that_the_data_do_not_have_are_refused(classes: str, fault: str | None, tmp_path: Path) -> None:
    exp = load(tmp_path, HEAD + f"train: {{classes: {classes}}}\nsearch: {{parameters: {{box: {{min: 4, max: 9}}}}}}\n")
    found = lint_with_data(exp, DataTraits(train_images=1000, names={0: "red", 1: "blue"}))
    assert [(one.key, fault in one.message) for one in found] == [("train.classes", True)] if fault else found == []


def test_a_batch_that_is_refused_has_one_fault(tmp_path: Path) -> None:
    exp = load(tmp_path, HEAD + "search: {parameters: {box: {min: 4, max: 9}}}\n")
    assert lint_with_data(exp.model_copy(update={"train": {"batch": -1}}), DataTraits(train_images=100)) == []


def test_data_rules_pass_over_the_toy(tmp_path: Path) -> None:
    exp = load(tmp_path, HEAD.replace("yolo26n.pt", "toy/red") + "search: {parameters: {lr0: {min: 0.1, max: 0.9}}}\n")
    assert lint_with_data(exp, DataTraits(train_images=1)) == []


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("search: {parameters: {box: {min: 4, max: 9}}}", "write 4.0 and 9.0"),
        ("train: {epochs: 5}\nsearch: {parameters: {cls: {min: 0.1, max: 0.9}}}", "warmup_epochs=3"),
        ("train: {epochs: 2, warmup_epochs: 1}\nsearch: {parameters: {cls: {min: 0.1, max: 0.9}}}", "warmup_epochs: 0"),
        ("search: {parameters: {iou: {min: 0.1, max: 0.9}}}", "how a validation counts"),
        ("search: {parameters: {copy_paste: {min: 0.1, max: 0.9}}}", "polygons"),
        (
            "train: {distill_model: /a/b.pt}\nsearch: {parameters: {dis: {min: 1.0, max: 9.0}}}",
            "no file /a/b.pt on this",
        ),
        (
            "train: {conf: 0.5}\nsearch: {parameters: {box: {min: 4.0, max: 9.0}}}",
            "train.conf changes how a validation",
        ),
    ],
)
def test_what_may_surprise_is_told(text: str, told: str, tmp_path: Path) -> None:
    found = notes(load(tmp_path, HEAD + text + "\n"))
    assert len(found) == 1
    assert told in found[0]


TRAINS = """
    epochs patience batch imgsz cache workers pretrained cls_remap optimizer verbose deterministic single_cls rect
    cos_lr close_mosaic amp fraction freeze multi_scale compile channels_last overlap_mask mask_ratio dropout
    plots conf iou max_det agnostic_nms classes lr0 lrf momentum weight_decay warmup_epochs warmup_momentum
    warmup_bias_lr distill_model dis box cls cls_pw dfl pose kobj rle angle nbs hsv_h hsv_s hsv_v degrees translate
    scale shear perspective flipud fliplr bgr mosaic mixup cutmix copy_paste copy_paste_mode auto_augment erasing
    augmentations balance
""".split()  # noqa: SIM905 - a list is one name a line
"""Arguments of a training that do what they say, in at least one task: each was looked up in Ultralytics 8.4.190."""


def test_every_argument_of_the_installed_release_works_or_is_refused() -> None:
    """A new release brings arguments: look up what each does in a trial before it is added here."""
    arguments = train_arguments()
    without_task = {name for name, tasks in TASKS_OF.items() if not tasks}
    refused = {*arguments.owned, *arguments.not_training, *without_task, "quantize"}
    assert sorted(set(arguments.defaults) - refused) == sorted(TRAINS)
    assert {"save_period", "save_json"} <= refused


def test_every_argument_named_in_a_table_exists_in_the_installed_release() -> None:
    arguments = train_arguments()
    known = set(arguments.defaults)
    assert known > {"lr0", "mosaic", "augmentations"}
    assert set(TASKS_OF) <= known
    assert known >= arguments.scoring
    assert known >= arguments.not_training - {"half", "int8", "end2end", "keras"}
    assert known >= arguments.quiet.keys()
    assert set(arguments.aliases.values()) <= known
    assert not set(arguments.aliases) & known
    assert set(arguments.owned) - {"save_dir"} <= known
    assert arguments.runtime_only - {"save_dir"} <= known
    assert set(arguments.explanations) == known
    assert arguments.defaults["lr0"] == 0.01
    assert "learning rate" in arguments.explanations["lr0"]


def test_weights_beside_the_model_may_be_relative_to_the_experiment(tmp_path: Path) -> None:
    (tmp_path / "weights").mkdir()
    (tmp_path / "weights" / "start.pt").write_bytes(b"weights")
    search = "search: {trials: 4, parameters: {box: {min: 1.0, max: 9.0}}}\n"
    exp = load(tmp_path, HEAD + search + "train: {pretrained: weights/start.pt}\n")
    assert exp.train["pretrained"] == str(tmp_path / "weights" / "start.pt")
    assert load(tmp_path, HEAD + search + "train: {pretrained: false}\n").train["pretrained"] is False


@pytest.mark.parametrize(
    ("train", "images", "refused"),
    [
        ("imgsz: 32, batch: 4, nbs: 4", 9, True),
        ("imgsz: 32, batch: 1, nbs: 1", 9, True),
        ("imgsz: 64, multi_scale: 0.5, batch: 4, nbs: 4", 9, True),
        ("imgsz: 64, batch: 4, nbs: 4", 9, False),
        ("imgsz: 32, batch: 4, nbs: 4", 10, False),
    ],
)
def test_an_epoch_that_ends_with_one_image_of_one_cell_is_refused(
    train: str, images: int, refused: bool, tmp_path: Path
) -> None:
    search = "search: {trials: 4, parameters: {box: {min: 1.0, max: 9.0}}}\n"
    found = lint_with_data(load(tmp_path, HEAD + search + f"train: {{{train}}}\n"), DataTraits(train_images=images))
    assert [fault.key for fault in found] == (["train.batch"] if refused else [])
