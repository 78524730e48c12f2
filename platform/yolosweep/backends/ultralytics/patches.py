"""Everything of Ultralytics that yolosweep replaces or overrides, in one table.

Ultralytics is pinned to one release. Each entry says what is changed and why, what upstream would have to offer to make
it unnecessary, and which test fails without it. It also records the source of the upstream code it depends on:
``tests/contract/test_patches.py`` fails if a new release changes that code, or if an override is not listed.
"""

from __future__ import annotations

import contextlib
import os
import re
from collections.abc import Callable, Iterator
from importlib import import_module
from pathlib import Path
from typing import Any

from yolosweep.backends.ultralytics import label_cache, untrusted_data_guard
from yolosweep.backends.ultralytics.overridden_methods import OVERRIDDEN
from yolosweep.backends.ultralytics.patch_entry import Patch

__all__ = ["PATCHES", "Patch", "apply_patches", "replaced"]


def apply_patches() -> None:
    """Apply the patches that hold for the whole process. Call it once."""
    for patch in PATCHES:
        if patch.replacement is not None:
            owner, name = _owner(patch.target)
            value = patch.replacement(getattr(owner, name, None))
            for place in (owner, *(import_module(module) for module in patch.also_in)):
                setattr(place, name, value)


@contextlib.contextmanager
def replaced(target: str, value: Any) -> Iterator[None]:
    """Replace a target of the table while the ``with`` block runs."""
    assert any(patch.target == target for patch in PATCHES), f"{target} is not in the table of patches"
    owner, name = _owner(target)
    before = getattr(owner, name)
    setattr(owner, name, value)
    try:
        yield
    finally:
        setattr(owner, name, before)


def _owner(target: str) -> tuple[Any, str]:
    """Return the module or class that holds a target, and its name there."""
    module, _, path = target.partition(":")
    owner: Any = import_module(module)
    *classes, name = path.split(".")
    for part in classes:
        owner = getattr(owner, part)
    return owner, name


def _no_npy_files(_: Any) -> property:
    """Return a property that names no ``.npy`` files beside the images.

    It is kept in the instance, where loader workers in fresh processes, without this property, find it too.
    """

    def read(dataset: Any) -> Any:
        return dataset.__dict__["npy_files"]

    def write(dataset: Any, files: list[Path]) -> None:
        dataset.__dict__["npy_files"] = [Path(os.devnull) / "none"] * len(files)

    return property(read, write)


def _amp_by_name(_: Any) -> Callable[[Any], bool]:
    """Return ``check_amp`` without its inference test.

    Like the original it is off on CPU and on the GTX 16xx / T4xx families that Ultralytics lists as anomalous.
    """
    bad = r"(nvidia|geforce|quadro|tesla).*?(1660|1650|1630|t400|t550|t600|t1000|t1200|t2000|k40m)"

    def check_amp(model: Any) -> bool:
        import torch

        device = next(model.parameters()).device
        if device.type in {"cpu", "mps"}:
            return False
        return device.type != "cuda" or not re.search(bad, torch.cuda.get_device_name(device), re.IGNORECASE)

    return check_amp


def _nothing(_: Any) -> Callable[..., None]:
    return lambda *args, **kwargs: None


_BASE = "ultralytics.engine.trainer:BaseTrainer"
_CLASSIFY = "ultralytics.models.yolo.classify.train:ClassificationTrainer"
_LABELS = "an option for where label caches are kept, and a format that runs no code"
_READERS = ("ultralytics.engine.trainer", "ultralytics.engine.validator")

_FOR_THE_PROCESS = (
    Patch(
        target="ultralytics.data.dataset:YOLODataset._load_or_scan_cache",
        why="label caches belong into our cache folder, keyed by the list of files, scanned once per node",
        upstream=_LABELS,
        test="tests/contract/test_label_cache.py",
        digests={"ultralytics.data.dataset:YOLODataset._load_or_scan_cache": "cd4fd472b012"},
        replacement=label_cache.load_or_scan,
    ),
    Patch(
        target="ultralytics.data.dataset:ClassificationDataset.verify_images",
        why="the same for folders of classes",
        upstream=_LABELS,
        test="tests/contract/test_label_cache.py",
        digests={"ultralytics.data.dataset:ClassificationDataset.verify_images": "ca3f75d7188c"},
        replacement=label_cache.verify_images,
    ),
    Patch(
        target="ultralytics.data.dataset:load_dataset_cache_file",
        why="a pickle beside the user's labels could run code, so only our own checked copy is loaded",
        upstream=_LABELS,
        test="tests/contract/test_label_cache.py",
        digests={"ultralytics.data.utils:load_dataset_cache_file": "793bfaf56b6f"},
        replacement=lambda _: label_cache.load,
    ),
    Patch(
        target="ultralytics.data.dataset:save_dataset_cache_file",
        why="nothing is written beside the user's labels",
        upstream=_LABELS,
        test="tests/contract/test_label_cache.py",
        digests={"ultralytics.data.utils:save_dataset_cache_file": "a2e3a29b77d8"},
        replacement=lambda _: label_cache.save,
    ),
    Patch(
        target="ultralytics.data.base:BaseDataset.npy_files",
        why="Ultralytics reads, rewrites and deletes .npy files beside the user's images in every cache mode",
        upstream="an option for where decoded images are kept",
        test="tests/contract/test_image_store.py",
        digests={
            "ultralytics.data.base:BaseDataset.__init__": "389accef46ec",
            "ultralytics.data.base:BaseDataset.load_image": "b323c56f1b56",
        },
        replacement=_no_npy_files,
    ),
    Patch(
        target="ultralytics.data.utils:_replace_image",
        why="a JPEG with a cut-off end is reported, not rewritten in the user's data set",
        upstream="a read-only verification of images",
        test="tests/contract/test_label_cache.py",
        digests={
            "ultralytics.data.utils:_replace_image": "76096ab2888c",
            "ultralytics.data.utils:verify_image": "0adb98189878",
        },
        replacement=_nothing,
    ),
    Patch(
        target="ultralytics.data.utils:check_det_dataset",
        why="a data.yaml may name code to run and archives to unpack; here it is only read",
        upstream="reading a data.yaml without downloading",
        test="tests/unit/ledger/test_hostile_runs.py",
        digests={"ultralytics.data.utils:check_det_dataset": "6a00c69cc791"},
        replacement=untrusted_data_guard.reading_only,
        also_in=_READERS,
    ),
    Patch(
        target="ultralytics.data.utils:check_cls_dataset",
        why="a folder without train/ would be copied into a split beside the user's data",
        upstream="reading a folder without splitting it",
        test="tests/unit/ledger/test_hostile_runs.py",
        digests={"ultralytics.data.utils:check_cls_dataset": "32b75a8c8533"},
        replacement=untrusted_data_guard.folders_only,
        also_in=_READERS,
    ),
    Patch(
        target="ultralytics.data.utils:convert_ndjson_to_yolo_if_needed",
        why="an .ndjson names images to download",
        upstream="reading data without downloading",
        test="tests/unit/ledger/test_hostile_runs.py",
        digests={"ultralytics.data.utils:convert_ndjson_to_yolo_if_needed": "b375d297820f"},
        replacement=lambda _: untrusted_data_guard.unconverted,
        also_in=_READERS,
    ),
    Patch(
        target="ultralytics.nn.tasks:SAFE_LOAD",
        why="read from the environment at import, which may have happened before ours was set",
        upstream="reading ULTRALYTICS_SAFE_LOAD when weights are loaded",
        test="tests/contract/test_weights.py",
        digests={"ultralytics.nn.tasks:torch_safe_load": "01f59d9086ee"},
        replacement=lambda _: True,
    ),
    Patch(
        target="ultralytics.nn.modules.head:v10Detect.legacy",
        why="building another model sets it on the parent class, so YOLOv10's first weights depended on earlier trials",
        upstream="setting it on the head that is built",
        test="tests/contract/test_models.py",
        digests={"ultralytics.nn.tasks:parse_model": "fe7f708d4e25"},
        replacement=lambda _: False,
    ),
    Patch(
        target="ultralytics.engine.trainer:check_amp",
        why="its inference test downloads weights in every training",
        upstream="a check that needs no download",
        test="tests/contract/test_environment.py",
        digests={"ultralytics.utils.checks:check_amp": "abeccc3b01ca"},
        replacement=_amp_by_name,
    ),
    Patch(
        target="ultralytics.utils.callbacks:add_integration_callbacks",
        why="integrations write to trackers and the network from inside a training; the ledger is mirrored instead",
        upstream="an option that turns all integrations off, not only those in the user's settings",
        test="tests/contract/test_patches.py",
        digests={"ultralytics.utils.callbacks.base:add_integration_callbacks": "e50153214047"},
        replacement=_nothing,
    ),
)

_FOR_A_WHILE = (
    Patch(
        target="matplotlib.figure:Figure.savefig",
        why="plots of 3000 x 2250 pixels take 0.7 s each, and the winner has 18",
        upstream="a resolution for plots",
        test="tests/contract/test_validation.py",
        digests={
            "ultralytics.utils.metrics:plot_pr_curve": "fd63dc3abeda",
            "ultralytics.utils.metrics:plot_mc_curve": "b5228665d10f",
            "ultralytics.utils.metrics:ConfusionMatrix.plot": "10e409dc1ddd",
        },
    ),
    Patch(
        target="ultralytics.data.build:YOLODataset",
        why="samples are a pure function of seed, epoch and image (sampling.PureYOLODataset)",
        upstream="a data set class as an argument of build_yolo_dataset",
        test="tests/contract/test_exact_resume.py",
        digests={"ultralytics.data.build:build_yolo_dataset": "65df8d3f0fec"},
    ),
    Patch(
        target="ultralytics.models.yolo.classify.train:ClassificationDataset",
        why="the same for folders of classes (sampling.PureClassificationDataset)",
        upstream="a data set class as an attribute of the trainer",
        test="tests/contract/test_exact_resume.py",
        digests={f"{_CLASSIFY}.build_dataset": "5b18d3ff664e"},
    ),
    Patch(
        target="torch.nn.parallel:DistributedDataParallel",
        why="Ultralytics passes device_ids=[None] for a model on the CPU (ddp.ddp_trainer)",
        upstream="no device_ids for a device without an index",
        test="tests/contract/test_ranks.py",
        digests={f"{_BASE}._setup_train": "9af303b952f3"},
    ),
    Patch(
        target="ultralytics.models.sam.build:torch_load",
        why="the loader of SAM runs whatever a pickle says (autolabel.annotators)",
        upstream="weights_only=True for SAM",
        test="tests/contract/test_autolabel.py",
        digests={"ultralytics.models.sam.build:_load_checkpoint": "d2395ad2c0c2"},
    ),
)

PATCHES = (*_FOR_THE_PROCESS, *_FOR_A_WHILE, *OVERRIDDEN)
