"""Samples under the augmentations of an experiment, built as in a training."""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from yolosweep.backends.failure_causes import last_line
from yolosweep.backends.sample_preview import Preview
from yolosweep.backends.ultralytics.arguments import acts_in
from yolosweep.backends.ultralytics.augmentation_pipelines import build_pipeline
from yolosweep.backends.ultralytics.tasks import TASKS
from yolosweep.backends.ultralytics.training_environment import enter
from yolosweep.errors import TrainingError
from yolosweep.storage.temporary_folders import scratch_folder

__all__ = ["previews"]

_POOL = 24
"""Least number of images that a mosaic chooses from."""
_HSV = ("hsv_h", "hsv_s", "hsv_v")
_OFF: dict[str, Any] = {
    **dict.fromkeys(("mosaic", "mixup", "cutmix", "copy_paste", *_HSV, "flipud", "fliplr", "bgr", "erasing"), 0.0),
    **dict.fromkeys(("degrees", "translate", "scale", "shear", "perspective"), 0.0),
    "auto_augment": None,
    "augmentations": [],
}
_ALWAYS: dict[str, Any] = {"fraction": 1.0, "cache": False, "rect": False, "single_cls": False, "classes": None}
_MAX_POINTS = 100


def previews(
    images: Sequence[Path],
    names: Mapping[int, str],
    *,
    task: str,
    settings: Mapping[str, Any],
    pipelines: Mapping[str, Sequence[Mapping[str, Mapping[str, Any]]]] | None = None,
    count: int = 4,
    seed: int = 0,
    extra: Mapping[str, Any] | None = None,
) -> list[Preview]:
    """Return the same samples under each part of an experiment's augmentation, one part after another.

    The parts are ``as it is``; ``mosaic`` and ``hsv`` (not in classify), where the settings use them; each pipeline
    with every step applied, however rare it is in training; and ``all together``, with the settings' probabilities.

    Args:
        images: of train, absolute; some are drawn. Their labels are found by Ultralytics' own rule.
        names: of the classes.
        task: detect, segment, pose, obb or classify (whose class is the name of the image's folder).
        settings: train arguments of Ultralytics; ``augmentations`` as in the YAML.
        pipelines: named Albumentations pipelines as in the YAML.
        count: samples per part.
        seed: of the choice of samples and of every draw; the same seed gives the same pixels.
        extra: what else the data.yaml says: ``kpt_shape``, ``flip_idx``, ``channels``.

    Raises:
        TrainingError: a pipeline cannot be built, or Ultralytics refuses settings or samples; names the part.
    """
    if not images or count < 1:
        return []
    enter()
    from ultralytics.utils import LOGGER

    LOGGER.setLevel("ERROR")
    pool = random.Random(seed).sample(sorted(images), min(len(images), max(_POOL, 4 * count)))
    found = []
    for look, changed in _looks(task, settings, pipelines or {}).items():
        try:
            steps = changed.get("augmentations")
            if steps:
                changed = {**changed, "augmentations": build_pipeline(steps)}
            dataset = _dataset(pool, names, task, changed, seed, extra or {})
            found += [_preview(dataset, index, look, task) for index in range(min(count, len(dataset)))]
        except Exception as error:
            raise TrainingError(f"the augmentation {look!r} cannot be shown: {last_line(error)}") from error
    return found


def _looks(
    task: str, settings: Mapping[str, Any], pipelines: Mapping[str, Sequence[Mapping[str, Mapping[str, Any]]]]
) -> dict[str, dict[str, Any]]:
    """Return the train arguments of each part."""
    from ultralytics.utils import DEFAULT_CFG_DICT as DEFAULTS

    from_settings = {"imgsz": settings.get("imgsz", DEFAULTS["imgsz"])}
    hsv = {name: settings.get(name, DEFAULTS[name]) for name in _HSV}
    looks: dict[str, dict[str, Any]] = {"as it is": {}}
    if acts_in("mosaic", task):
        if settings.get("mosaic", DEFAULTS["mosaic"]) > 0:
            looks["mosaic"] = {"mosaic": 1.0}
        if any(hsv.values()):
            looks["hsv"] = hsv
        for name, steps in pipelines.items():
            sure = [{step: {**arguments, "p": 1.0} for step, arguments in one.items()} for one in steps]
            looks[f"pipeline {name}" if name in looks else name] = {"augmentations": sure}
    alone = {look: {**_OFF, **from_settings, **changed, **_ALWAYS} for look, changed in looks.items()}
    known = {name: value for name, value in settings.items() if name in DEFAULTS or name == "augmentations"}
    return {**alone, "all together": {**known, **_ALWAYS}}


def _dataset(
    pool: Sequence[Path], names: Mapping[int, str], task: str, settings: Mapping[str, Any], seed: int, extra: Any
) -> Any:
    from ultralytics.cfg import get_cfg
    from ultralytics.data.build import build_yolo_dataset

    from yolosweep.backends.ultralytics.image_order import pure_datasets

    arguments = get_cfg(overrides={**settings, "task": task, "mode": "train"})
    if TASKS[task].from_folders:
        return _classified(pool, names, arguments, seed)
    data = {"names": dict(names), "nc": len(names), "channels": 3, **extra}
    with scratch_folder("preview") as folder, pure_datasets():
        listed = folder / "images.txt"
        listed.write_text("".join(f"{image}\n" for image in pool), encoding="utf-8", errors="surrogateescape")
        dataset = build_yolo_dataset(arguments, str(listed), 1, data, mode="train", stride=32)
    dataset.seed = seed
    dataset.transforms.insert(-1, _keep)
    return dataset


def _keep(sample: dict[str, Any]) -> dict[str, Any]:
    """Keep a copy of the labels before they become tensors."""
    from copy import deepcopy

    sample["kept"] = deepcopy(sample["instances"]), sample["cls"].reshape(-1).astype(int).tolist()
    return sample


def _preview(dataset: Any, index: int, look: str, task: str) -> Preview:
    import numpy as np

    sample = dataset[index]
    image = sample["img"]
    scaled = (image * 255).round().clamp(0, 255).byte() if image.dtype.is_floating_point else image
    pixels = np.ascontiguousarray(scaled.numpy().transpose(1, 2, 0)[..., :3])
    if pixels.shape[2] == 1:
        pixels = np.repeat(pixels, 3, 2)
    if TASKS[task].from_folders:
        file, category = dataset.samples[index][:2]
        return Preview(look=look, image=Path(file), pixels=pixels, categories=(category,))
    instances, categories = sample["kept"]
    height, width = pixels.shape[:2]
    instances.convert_bbox("xyxy")
    instances.denormalize(width, height)
    left, top, right, bottom = (instances.bboxes[:, side].tolist() for side in range(4))
    polygons: tuple[tuple[float, ...], ...] = ()
    if TASKS[task].polygons == "drawn" and len(instances.segments):
        step = -(-instances.segments.shape[1] // _MAX_POINTS)
        polygons = tuple(tuple(points[::step].reshape(-1).tolist()) for points in instances.segments)
    return Preview(
        look=look,
        image=Path(dataset.im_files[index]),
        pixels=pixels,
        categories=tuple(categories),
        boxes=tuple(zip(left, top, right, bottom, strict=True)),
        polygons=polygons,
    )


def _classified(pool: Sequence[Path], names: Mapping[int, str], arguments: Any, seed: int) -> Any:
    """Return a data set of classification images in any location; the name of the folder is the class."""
    from yolosweep.backends.ultralytics.image_order import PureClassificationDataset

    class Unscanned(PureClassificationDataset):
        def verify_images(self) -> Any:
            return self.samples

    numbers = {name: number for number, name in names.items()}
    usable = [image for image in pool if image.parent.name in numbers]
    with scratch_folder("preview") as folder:
        for name in {image.parent.name for image in usable}:
            (folder / name).mkdir()
        dataset = Unscanned(str(folder), arguments, augment=True)
    dataset.samples = [[str(image), numbers[image.parent.name], None, None] for image in usable]
    dataset.seed = seed
    return dataset
