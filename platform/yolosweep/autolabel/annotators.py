"""The models that predict labels: a detector, and SAM for masks, loaded without running code from their files."""

from __future__ import annotations

import functools
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from yolosweep.autolabel.agreement import PredictedLabel
from yolosweep.backends.failure_causes import last_line
from yolosweep.backends.ultralytics.patches import replaced
from yolosweep.backends.ultralytics.training_environment import enter
from yolosweep.errors import TrainingError

__all__ = ["Annotator", "class_names"]

_MAX_PIXELS = 200_000_000
_TASKS = ("detect", "segment")


class Annotator:
    """Predicts labels for the classes of a dataset.

    Args:
        weights: An Ultralytics detection or segmentation checkpoint.
        names: The dataset's classes; the detector's classes are matched to them by name.
        task: ``detect`` gives boxes, ``segment`` polygons; with ``sam`` there are always polygons.
        sam: A checkpoint of SAM, SAM 2 or MobileSAM under Ultralytics' file name for it (``mobile_sam.pt``…).
        conf: Minimum confidence of the detector, 0 to 1.
        device: Ultralytics device; empty for the first GPU, or the CPU if there is none.

    Raises:
        TrainingError: A file is missing or cannot be loaded safely, or the models do not fit the task.
    """

    def __init__(
        self, weights: Path, names: Mapping[int, str], *, task: str, sam: Path | None, conf: float, device: str = ""
    ) -> None:
        if task not in _TASKS:
            raise TrainingError(f"task {task}: only boxes and masks can be predicted; use a detect or segment dataset")
        enter()
        import torch
        from ultralytics import __version__
        from ultralytics.utils import LOGGER

        LOGGER.setLevel("ERROR")
        self.versions = {"ultralytics": __version__, "torch": str(torch.__version__)}
        self._how = {"conf": conf, "device": device or None, "verbose": False, "save": False, "batch": 1}
        self._detector = _detector(weights)
        self._sam = _sam(sam) if sam is not None else None
        self._polygons = task == "segment" and sam is None
        if self._detector.task not in _TASKS or (self._polygons and self._detector.task != "segment"):
            wanted = (
                "a segmentation checkpoint, or also give sam" if self._polygons else "a detect or segment checkpoint"
            )
            raise TrainingError(f"{weights} is a {self._detector.task} model; give {wanted}")
        self._classes = self._known(weights, names)
        self.unknown_classes = sorted(set(self._detector.names.values()) - set(names.values()))
        """Detector classes that the dataset lacks; their detections are dropped."""

    def _known(self, weights: Path, names: Mapping[int, str]) -> dict[int, int]:
        """Map the detector's class numbers to the dataset's."""
        numbers = {name: number for number, name in names.items()}
        known = {mine: numbers[name] for mine, name in self._detector.names.items() if name in numbers}
        if not known:
            theirs, ours = (", ".join(list(part.values())[:8]) for part in (self._detector.names, names))
            raise TrainingError(f"{weights} has the classes {theirs}, the dataset {ours}: no class name is in both")
        return known

    def draw(self, image: Path) -> tuple[PredictedLabel, ...] | None:
        """Return the labels of an image, most confident first; None if the image cannot be read.

        An object without a SAM mask gets its box as polygon.
        """
        pixels = _pixels(image)
        if pixels is None:
            return None
        found = self._detector.predict(pixels, classes=list(self._classes), **self._how)[0].cpu()
        order = [place for place, box in enumerate(found.boxes.xywhn.tolist()) if min(box[2:]) > 0]
        boxes, scores, kinds = found.boxes.xywhn.tolist(), found.boxes.conf.tolist(), found.boxes.cls.int().tolist()
        outlines: dict[int, tuple[float, ...]] = {}
        if self._sam is not None and order:
            outlines = self._masks(pixels, found.boxes.xyxy[order], order)
        elif self._polygons and found.masks is not None:
            outlines = {place: _outline(points) for place, points in enumerate(found.masks.xyn)}
        drawn = []
        for place in order:
            box = _inside(boxes[place])
            points = outlines.get(place, ())
            if not points and (self._polygons or self._sam is not None):
                points = _corners(box)
            drawn.append(PredictedLabel(self._classes[kinds[place]], box, round(scores[place], 5), points))
        return tuple(sorted(drawn, key=lambda mark: -mark.score))

    def _masks(self, pixels: Any, boxes: Any, order: list[int]) -> dict[int, tuple[float, ...]]:
        """Return the mask outline of each box, by its index in ``order``.

        SAM omits uncertain masks; ``cls`` of its results is the number of the box. Ultralytics' ``auto_annotate``
        ignores that and gives all later masks the class of another box.
        """
        assert self._sam is not None
        how = {key: self._how[key] for key in ("device", "verbose", "save")}
        found = self._sam(pixels, bboxes=boxes, **how)[0].cpu()
        if found.masks is None:
            return {}
        places = found.boxes.cls.int().tolist()
        return {order[place]: _outline(points) for place, points in zip(places, found.masks.xyn, strict=True)}


def class_names(weights: Path) -> dict[int, str]:
    """Return the classes of an Ultralytics detector by number.

    Raises:
        TrainingError: the file is missing or cannot be loaded safely.
    """
    enter()
    return dict(_detector(weights).names)


def _outline(points: Any) -> tuple[float, ...]:
    """Return a polygon as flat normalized coordinates; empty if it has fewer than three points."""
    return tuple(round(float(v), 6) for v in points.clip(0, 1).reshape(-1)) if len(points) >= 3 else ()


def _inside(box: list[float]) -> tuple[float, float, float, float]:
    x, y, width, height = (round(value, 6) for value in box)
    return x, y, width, height


def _corners(box: tuple[float, float, float, float]) -> tuple[float, ...]:
    x, y, width, height = box
    left, top, right, bottom = x - width / 2, y - height / 2, x + width / 2, y + height / 2
    return tuple(round(min(max(v, 0.0), 1.0), 6) for v in (left, top, right, top, right, bottom, left, bottom))


def _pixels(image: Path) -> Any:
    """Return an image as Ultralytics reads it for training (upright, BGR), or None."""
    from PIL import Image
    from ultralytics.utils.patches import imread

    if not image.is_file():
        return None
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            with Image.open(image) as head:
                if head.width * head.height > _MAX_PIXELS:
                    return None
        return imread(str(image))
    except Exception:  # decoders raise almost anything on corrupt files
        return None


def _detector(weights: Path) -> Any:
    from ultralytics import YOLO

    if not weights.is_file():
        raise TrainingError(f"{weights} does not exist; give the path of an Ultralytics .pt, e.g. a sweep's best.pt")
    if weights.suffix.lower() != ".pt":
        raise TrainingError(f"{weights} is not a .pt; give an Ultralytics checkpoint")
    try:
        return YOLO(weights.absolute())
    except Exception as error:
        raise TrainingError(f"{weights} cannot be loaded as an Ultralytics checkpoint: {last_line(error)}") from error


def _sam(weights: Path) -> Any:
    from ultralytics import SAM
    from ultralytics.models.sam.build import sam_model_map

    if not weights.is_file():
        raise TrainingError(f"{weights} does not exist; give the path of SAM weights, e.g. mobile_sam.pt")
    if not weights.name.endswith(tuple(sam_model_map)):
        known = ", ".join(sam_model_map)
        raise TrainingError(f"{weights}: Ultralytics identifies SAM models by file name; it must end in {known}")
    try:
        with _weights_only():
            return SAM(str(weights.absolute()))
    except Exception as error:
        raise TrainingError(f"{weights} cannot be loaded as SAM weights: {last_line(error)}") from error


@contextmanager
def _weights_only() -> Iterator[None]:
    """Restrict Ultralytics' SAM loader to tensors; by default it runs any code in the pickle."""
    import ultralytics.models.sam.build as build

    numbers_only = functools.partial(build.torch_load, weights_only=True, map_location="cpu")
    with replaced("ultralytics.models.sam.build:torch_load", numbers_only):
        yield
