"""Settings that Ultralytics changes because of the data: a search for them is refused, and what is used is recorded."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from yolosweep.backends.arguments import ArgumentSpace, DataTraits
from yolosweep.backends.ultralytics.argument_rules import data_faults
from yolosweep.backends.ultralytics.arguments import train_arguments
from yolosweep.backends.ultralytics.effective_settings import adapted, switched_off

POSE = DataTraits(train_images=1000, kpt_shape=(2, 3))
FLIPPED = DataTraits(train_images=1000, kpt_shape=(2, 3), flip_idx=(1, 0))
FLAT = DataTraits(train_images=1000, kpt_shape=(2, 2), flip_idx=(0, 1))
WIDE = DataTraits(train_images=1000, channels=10)


@pytest.mark.parametrize(
    ("task", "data", "name", "refused"),
    [
        ("pose", POSE, "fliplr", True),
        ("pose", POSE, "flipud", True),
        ("pose", FLIPPED, "fliplr", False),
        ("detect", DataTraits(train_images=1000), "fliplr", False),
        ("pose", FLAT, "kobj", True),
        ("pose", FLIPPED, "kobj", False),
        ("detect", WIDE, "hsv_h", True),
        ("detect", WIDE, "augmentations", True),
        ("detect", DataTraits(train_images=1000, channels=1), "augmentations", False),
        ("detect", DataTraits(train_images=1000, channels=1), "hsv_s", True),
        ("detect", DataTraits(train_images=1000), "hsv_s", False),
    ],
)
def test_a_search_for_what_the_data_rule_out_is_refused(task: str, data: DataTraits, name: str, refused: bool) -> None:
    space = ArgumentSpace(
        model="yolo26n.pt", task=task, searched={name: [0.0, 0.4]}, defaults=train_arguments().defaults
    )
    found = [fault.key for fault in data_faults(space, data)]
    assert found == ([f"search.parameters.{name}"] if refused else [])


def test_the_fix_for_pose_names_a_flip_idx_of_the_right_length() -> None:
    space = ArgumentSpace(model="m", task="pose", searched={"fliplr": [0, 1]}, defaults=train_arguments().defaults)
    assert "flip_idx: [0, 1]" in next(data_faults(space, POSE)).message


@pytest.mark.parametrize(
    ("task", "yaml", "settings", "off"),
    [
        ("pose", "names: [a]\n", {}, {"fliplr": 0.0}),
        ("pose", "names: [a]\n", {"flipud": 0.3, "fliplr": 0.0}, {"flipud": 0.0}),
        ("pose", "flip_idx: [1, 0]\n", {}, {}),
        ("detect", "names: [a]\n", {"rect": True}, {"mosaic": 0.0}),
        ("detect", "names: [a]\n", {"rect": True, "mixup": 0.2}, {"mosaic": 0.0, "mixup": 0.0}),
        ("detect", "names: [a]\n", {}, {}),
    ],
)
def test_what_a_training_switches_off(
    tmp_path: Path, task: str, yaml: str, settings: dict[str, Any], off: dict[str, float]
) -> None:
    (tmp_path / "data.yaml").write_text(yaml)
    found = switched_off(task, settings, str(tmp_path / "data.yaml"))
    assert {name: change.value for name, change in found.items()} == off


def test_what_a_training_changed_when_it_read_the_data() -> None:
    dataset = SimpleNamespace(cache=None)
    args = SimpleNamespace(max_det=450, cache="ram")
    trainer = SimpleNamespace(args=args, train_loader=SimpleNamespace(dataset=dataset))
    assert {name: change.value for name, change in adapted(trainer, {}).items()} == {"max_det": 450, "cache": False}
    assert adapted(trainer, {"max_det": 450}).keys() == {"cache"}
    dataset.cache = "ram"
    assert adapted(trainer, {"max_det": 450}) == {}
