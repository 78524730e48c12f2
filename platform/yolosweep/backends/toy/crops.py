"""The data of the toy trainer: the mean red of every crop, read once."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image
from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError

from yolosweep.errors import TrainingError

__all__ = ["Crops", "Floats", "Ints", "read_crops"]

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]
Box = tuple[float, float, float, float]
"""Left, top, right, bottom, as shares of the image."""

_SUFFIXES = frozenset((".bmp", ".jpeg", ".jpg", ".png", ".tif", ".tiff", ".webp"))


@dataclass(frozen=True)
class Crops:
    """One split: a number and an answer for every crop."""

    mean_red: Floats
    """Mean of the red channel, 0 to 255, shape (n,)."""
    is_red: Floats
    """1 for crops of the positive class, else 0, shape (n,)."""
    image: Ints
    """The image each crop is from, 0 to ``images - 1``, shape (n,)."""
    images: int
    positive: str
    """The class that counts as 1: the one with "red" in its name, else the first in the alphabet."""
    files: tuple[Path, ...] = ()
    """The images, where they are known."""
    boxes: tuple[Box | None, ...] = ()
    """Where each crop is in its image; None: everywhere."""

    @property
    def kinds(self) -> tuple[str, str]:
        """Names of the two answers: 0 and 1."""
        return f"not {self.positive}", self.positive

    def __len__(self) -> int:
        return len(self.mean_red)


def read_crops(data: str, split: str) -> Crops:
    """Read a split of a classification folder (each image is a crop) or of a detection data.yaml (each box is one).

    Raises:
        TrainingError: the split is missing or empty, or a file cannot be read; the message names the file.
    """
    root = Path(data)
    found, names = _of_folders(root, split) if root.is_dir() else _of_boxes(root, split)
    positive = next((name for name in names if "red" in name.lower()), names[0])
    crops = [(mean_red, name == positive, file, box) for mean_red, name, file, box in found]
    if not crops:
        raise TrainingError(
            f"{data} has no crops in {split}; toy/red learns from boxes, or from images in class folders"
        )
    means, answers, files, boxes = zip(*crops, strict=True)
    number = {file: at for at, file in enumerate(dict.fromkeys(files))}
    return Crops(
        mean_red=np.array(means, dtype=np.float64),
        is_red=np.array(answers, dtype=np.float64),
        image=np.array([number[file] for file in files]),
        images=len(number),
        positive=positive,
        files=tuple(number),
        boxes=boxes,
    )


_Found = Iterator[tuple[float, str, Path, Box | None]]
"""Mean red, class, image and box of each crop."""


def _of_folders(root: Path, split: str) -> tuple[_Found, list[str]]:
    folder = root / split
    if not folder.is_dir():
        raise TrainingError(f"there is no folder {folder}; toy/red needs {split}/<class>/ there, or a data.yaml")
    names = sorted(place.name for place in folder.iterdir() if place.is_dir())
    if len(names) < 2:
        raise TrainingError(f"{folder} has {len(names)} class folders; toy/red distinguishes two")
    files = ((file, name) for name in names for file in _images(folder / name))
    return ((float(_red(file).mean()), name, file, None) for file, name in files), names


def _of_boxes(path: Path, split: str) -> tuple[_Found, list[str]]:
    content = _load(path)
    names = content["names"]
    by_number = dict(enumerate(names)) if isinstance(names, list) else {int(key): str(v) for key, v in names.items()}
    root = path.absolute().parent / str(content.get("path") or "")
    entries = content.get(split)
    if not entries:
        raise TrainingError(f"{path} has no {split}:; write e.g. {split}: images/{split}")
    sources = [root / str(entry) for entry in (entries if isinstance(entries, list) else [entries])]
    return _boxes([file for source in sources for file in _images(source)], by_number), sorted(by_number.values())


def _load(path: Path) -> dict[str, Any]:
    try:
        content = YAML(typ="safe", pure=True).load(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, YAMLError) as error:
        raise TrainingError(f"cannot read {path}: {_first_line(error)}") from error
    if not isinstance(content, dict) or not content.get("names"):
        raise TrainingError(f"{path} names no classes; it should hold names:, train: and val:")
    return content


def _images(place: Path) -> list[Path]:
    """Return the images of a folder, or those listed in a text file, in a fixed order."""
    if place.is_dir():
        return sorted(file for file in place.rglob("*") if file.suffix.lower() in _SUFFIXES)
    if place.suffix == ".txt" and place.is_file():
        return sorted(
            place.parent / line.strip() for line in place.read_text(encoding="utf-8").splitlines() if line.strip()
        )
    raise TrainingError(f"there is no folder {place}; correct the split in data.yaml")


def _boxes(files: list[Path], names: dict[int, str]) -> _Found:
    for file in files:
        before, found, after = file.as_posix().rpartition("/images/")
        labels = Path(f"{before}/labels/{after}" if found else file).with_suffix(".txt")
        lines = labels.read_text(encoding="utf-8").split("\n") if labels.is_file() else []
        boxes = [line.split() for line in lines if line.strip()]
        red = _red(file) if boxes else None
        for values in boxes:
            try:
                label, x, y, w, h = int(values[0]), *(float(value) for value in values[1:])
                name = names[label]
            except (ValueError, KeyError) as error:
                raise TrainingError(
                    f"{labels}: {' '.join(values)[:80]!r} is not a label toy/red can read (class x y w h)"
                ) from error
            if red is not None:
                yield _mean_inside(red, x, y, w, h), name, file, (x - w / 2, y - h / 2, x + w / 2, y + h / 2)


def _mean_inside(red: Floats, x: float, y: float, w: float, h: float) -> float:
    """Return the mean of a box given as shares of the image; a box of less than a pixel counts as one pixel."""
    high, wide = red.shape
    left = min(max(round((x - w / 2) * wide), 0), wide - 1)
    top = min(max(round((y - h / 2) * high), 0), high - 1)
    right, bottom = max(round((x + w / 2) * wide), left + 1), max(round((y + h / 2) * high), top + 1)
    return float(red[top:bottom, left:right].mean())


def _red(file: Path) -> Floats:
    try:
        with Image.open(file) as image:
            return np.asarray(image.convert("RGB"), dtype=np.float64)[..., 0]
    except (OSError, ImportError) as error:  # once ultralytics is imported, its Image.open needs pi-heif
        raise TrainingError(f"cannot read {file}: {_first_line(error)}") from error


def _first_line(error: BaseException) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0]
