"""What a training with ``train.balance`` is shown, in Ultralytics' own data sets."""

from __future__ import annotations

import subprocess
import sys
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from ruamel.yaml import YAML
from tests.tools.micro_model import MICRO

from yolosweep.backends import trainer_for
from yolosweep.experiment.schema import Experiment
from yolosweep.ledger import RunFolder
from yolosweep.records import Ending, TrialRequest, Verdict

pytestmark = pytest.mark.slow

IMAGES, RARE = 40, 4
"""Every tenth image shows class 1, of the others one in four nothing and the rest class 0."""


@pytest.fixture(scope="module")
def boxes(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Draw a detection data set."""
    folder = tmp_path_factory.mktemp("boxes")
    for split in ("train", "val"):
        for kind in ("images", "labels"):
            (folder / kind / split).mkdir(parents=True)
        for number in range(IMAGES):
            Image.new("RGB", (64, 64), (number * 5, 90, 90)).save(folder / "images" / split / f"{number:02d}.png")
            shown = 1 if number % 10 == 0 else None if number % 4 == 1 else 0
            row = "" if shown is None else f"{shown} 0.5 0.5 0.4 0.4\n"
            (folder / "labels" / split / f"{number:02d}.txt").write_text(row)
    (folder / "data.yaml").write_text("train: images/train\nval: images/val\nnames: [often, rare]\n")
    return folder


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Draw a classification data set: 18 to 2."""
    folder = tmp_path_factory.mktemp("folders")
    for name, count in (("often", 18), ("rare", 2)):
        (folder / "train" / name).mkdir(parents=True)
        for number in range(count):
            Image.new("RGB", (32, 32), (number * 9, 0, 0)).save(folder / "train" / name / f"{number}.png")
    return folder


def dataset_of(folder: Path, *, balance: float, **more: Any) -> Any:
    """Build the training data set as a training does."""
    from yolosweep.backends.ultralytics.training_environment import enter

    enter()
    from ultralytics.cfg import get_cfg

    from yolosweep.backends.ultralytics.image_order import PureClassificationDataset, PureYOLODataset

    arguments = get_cfg(overrides={"imgsz": 64, "fraction": 1.0, **more})
    if (folder / "train").is_dir():
        dataset = PureClassificationDataset(str(folder / "train"), arguments, augment=True)
    else:
        dataset = PureYOLODataset(
            img_path=str(folder / "images" / "train"), imgsz=64, hyp=arguments, augment=True, task="detect",
            data={"names": {0: "often", 1: "rare"}, "channels": 3, "nc": 2}, batch_size=8,
        )  # fmt: skip
    dataset.balance, dataset.seed = balance, 3
    return dataset


def keys_of(dataset: Any, *, epochs: int = 1, rank: int = 0, world_size: int = 1) -> list[int]:
    from yolosweep.backends.ultralytics.image_order import EpochSampler

    sampler = EpochSampler(
        len(dataset), seed=5, rank=rank, world_size=world_size, weights=dataset.weights()
    )  # fmt: skip
    return [key for _ in range(epochs) for key in sampler]


def test_an_epoch_shows_rare_classes_as_often_as_frequent_ones(boxes: Path) -> None:
    dataset = dataset_of(boxes, balance=1.0, mosaic=0.0)
    keys = keys_of(dataset)
    assert len(keys) == len(set(keys)) == IMAGES
    shown = Counter(tuple(dataset[key]["cls"].ravel().tolist()) for key in keys)
    assert shown[(1.0,)] == pytest.approx(shown[(0.0,)], abs=4)
    assert shown[(1.0,)] > 3 * RARE
    assert 0 < shown[()] < 10


@pytest.mark.parametrize(("balance", "share"), [(0.0, 4 / 30), (1.0, 26 / 52)], ids=["off", "full"])
def test_pictures_in_a_mosaic_are_drawn_alike(boxes: Path, balance: float, share: float) -> None:
    """4 images are rare and 26 frequent: with a factor of 26 / 4 half of all that show anything are rare."""
    whole = {"scale": 0.0, "translate": 0.0, "degrees": 0.0, "fliplr": 0.0}
    dataset = dataset_of(boxes, balance=balance, mixup=0.5, cutmix=0.5, **whole)
    classes = np.concatenate([dataset[key]["cls"].ravel().numpy() for key in keys_of(dataset, epochs=6)])
    assert classes.mean() == pytest.approx(share, abs=0.06)


def test_repetitions_are_changed_each_in_its_own_way_and_alike_in_every_process(boxes: Path) -> None:
    keys = keys_of(dataset_of(boxes, balance=1.0))
    often, times = Counter(key % IMAGES for key in keys).most_common(1)[0]
    assert times > 2
    same = [key for key in keys if key % IMAGES == often]
    first, other = dataset_of(boxes, balance=1.0), dataset_of(boxes, balance=1.0)
    for dataset in (first, other):
        dataset.weights()
    samples = [first[key]["img"].numpy().tobytes() for key in same]
    assert len(set(samples)) == times
    assert [other[key]["img"].numpy().tobytes() for key in reversed(same)][::-1] == samples


def test_ranks_share_one_epoch(boxes: Path) -> None:
    dataset = dataset_of(boxes, balance=0.7)
    whole, parts = keys_of(dataset), [keys_of(dataset, rank=rank, world_size=3) for rank in range(3)]
    assert [len(part) for part in parts] == [14, 14, 14]
    dealt = [key for turn in zip(*parts, strict=True) for key in turn]
    assert dealt == whole + whole[:2]


def test_an_epoch_begun_at_is_that_epoch(boxes: Path) -> None:
    from yolosweep.backends.ultralytics.image_order import EpochSampler

    weights = dataset_of(boxes, balance=0.7).weights()
    sampler, later = (EpochSampler(IMAGES, seed=5, weights=weights) for _ in range(2))
    epochs = [list(sampler) for _ in range(3)]
    assert sorted(map(len, map(set, epochs))) == [IMAGES] * 3
    later.begin_at(2)
    assert list(later) == epochs[2]
    assert {key // IMAGES % 2**32 for key in epochs[2]} == {2}


def test_off_and_evenly_frequent_classes_keep_the_order_there_was(boxes: Path) -> None:
    import torch

    from yolosweep.backends.ultralytics.image_order import EpochSampler, _mixed

    assert dataset_of(boxes, balance=0.0).weights() is None
    even = dataset_of(boxes, balance=1.0)
    for label in even.labels:
        label["cls"] = np.zeros((1, 1), np.float32)
    assert even.weights() is None
    before = torch.randperm(9, generator=torch.Generator().manual_seed(_mixed(5, 0))).tolist()
    assert list(EpochSampler(9, seed=5)) == before


def test_classification_folders_are_balanced_too(folders: Path) -> None:
    dataset = dataset_of(folders, balance=1.0)
    shown = [dataset[key]["cls"] for key in keys_of(dataset)]
    assert shown.count(1) == pytest.approx(10, abs=2)


def test_rectangular_batches_stay_as_they_are(boxes: Path) -> None:
    from ultralytics.data import build_dataloader

    from yolosweep.backends.ultralytics.image_order import with_sampler

    dataset = dataset_of(boxes, balance=1.0)
    dataset.rect = True
    loader = with_sampler(build_dataloader(dataset, batch=8, workers=0), seed=0)
    assert sorted(loader.sampler) == list(range(IMAGES))


def test_a_training_takes_it_and_records_it(boxes: Path, tmp_path: Path) -> None:
    settings = {"epochs": 1, "imgsz": 64, "batch": 8, "plots": False, "verbose": False, "seed": 0, "balance": 0.5}
    request = TrialRequest(
        sweep="run", trial="t0000", number=0, task="detect", model=MICRO, data=str(boxes / "data.yaml"),
        asked={"balance": 0.5}, identity="i", metric="metrics/mAP50-95(B)", folder=str(tmp_path), settings=settings,
    )  # fmt: skip
    record = trainer_for(request.model).train(request, lambda row, checkpoint: Verdict.CONTINUE, lambda: False)
    assert record.ending is Ending.FINISHED, record.reason
    assert record.used["balance"] == 0.5
    written = RunFolder(tmp_path).resolve(record.files["args.yaml"]).read_text()
    assert "balance" not in YAML(typ="safe").load(written)


def test_the_check_of_arguments_lets_it_pass() -> None:
    from yolosweep.backends.ultralytics.argument_check import check_arguments

    head = {"name": "x", "model": "yolo11n.yaml", "data": "d.yaml"}
    search = {"parameters": {"balance": {"min": 0.0, "max": 1.0}}}
    for more in ({"search": search}, {"search": {"parameters": {"cls_pw": {"value": 0.5}}}, "train": {"balance": 0.5}}):
        assert check_arguments(Experiment.model_validate({**head, **more}).space) == ([], [])


@pytest.mark.nightly
def test_its_bench_runs_and_prints_its_table(repository: Path) -> None:
    """What it measures is read by people, never asserted."""
    command = [sys.executable, "-m", "tests.bench.balance", "--repeats", "1", "--epochs", "1", "--images", "20"]
    done = subprocess.run(command, cwd=repository, capture_output=True, text=True, timeout=500, check=False)
    assert done.returncode == 0, done.stderr
    assert "recall of rare, balance 1:" in done.stdout
