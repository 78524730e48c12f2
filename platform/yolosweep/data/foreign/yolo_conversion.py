"""Labels of other formats as a YOLO data set: label files in yolosweep's cache folder, images where they are."""

from __future__ import annotations

import hashlib
import shutil
import tempfile
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from yolosweep.data.foreign.label_values import Annotations, Shape
from yolosweep.data.model.dataset_items import Item, Layout
from yolosweep.data.model.finding_codes import finding
from yolosweep.data.model.safe_paths import printable
from yolosweep.errors import DataError, Fault
from yolosweep.records import Finding
from yolosweep.storage.atomic_files import cache_folder

__all__ = ["as_layout", "is_converted"]

_SHOWN = 5
_CONVERTED = "converted"


def as_layout(found: Annotations, source: Path, task: str, required: Sequence[str], more: Iterable[Finding]) -> Layout:
    """Return a data set over converted labels, which are kept in the cache folder under their content.

    Args:
        found: the labels.
        source: what the user named.
        task: ``detect``, ``segment``, ``pose`` or ``obb``.
        required: splits that must exist.
        more: findings about the images.

    Raises:
        DataError: a split is missing, or no image or class is known.
    """
    names = dict(enumerate(found.names))
    splits: dict[str, list[Path]] = {}
    for image in sorted(found.images):
        splits.setdefault(found.splits.get(image) or "train", []).append(image)
    _refuse(found, names, splits, source, required)
    texts: dict[Path, str] = {}
    counted = Counter[str]()
    for image, shapes in found.images.items():
        texts[image] = "".join(_row(shape, found, task, counted) for shape in shapes)
    stored = _stored([(split, splits[split]) for split in ("train", "val", "test") if split in splits], texts)
    root = source if source.is_dir() else source.parent
    return Layout(
        task=task, source=source, root=root, names=names, splits=stored,
        extra=_keypoints(found) if task == "pose" else {},
        findings=(*more, *_findings(found, counted, source, task)),
    )  # fmt: skip


def is_converted(item: Item) -> bool:
    """Return whether the labels of an image were converted, so that they are on this machine only."""
    return item.label is not None and item.label.is_relative_to(cache_folder() / _CONVERTED)


def _refuse(
    found: Annotations,
    names: Mapping[int, str],
    splits: Mapping[str, list[Path]],
    source: Path,
    required: Sequence[str],
) -> None:
    head = f"data: {printable(source)} ({found.format})"
    if not found.images:
        lost = ", ".join(f"{count} {what}" for what, count in found.left_out.items())
        raise DataError(f"{head}: no image has labels ({lost or 'no image is named'}); put the images beside them")
    if not names:
        raise DataError(f"{head}: it has no class")
    missing = [split for split in required if split not in splits]
    if missing:
        fault = Fault(
            key=missing[0],
            message=f"no images of {missing[0]}: neither folders nor files name it; create splits with yolosweep split",
        )
        raise DataError(f"{head} has {len(missing)} problem{'s' if len(missing) > 1 else ''}\n  {fault}")


def _row(shape: Shape, found: Annotations, task: str, counted: Counter[str]) -> str:
    """Return the line of an object, empty if the task has no place for it."""
    numbers: tuple[float, ...] = shape.box
    if task in ("segment", "obb"):
        counted["boxes"] += not shape.outline
        numbers = shape.outline or _corners(shape.box)
    elif task == "pose":
        wanted = 3 * len(found.keypoints)
        if wanted and len(shape.keypoints) != wanted:
            counted["without keypoints"] += 1
            return ""
        numbers = (*shape.box, *shape.keypoints)
    counted["objects"] += 1
    return f"{found.names.index(shape.label)} {' '.join(f'{value:.6f}'.rstrip('0').rstrip('.') for value in numbers)}\n"


def _corners(box: tuple[float, float, float, float]) -> tuple[float, ...]:
    x, y, width, height = box
    left, top, right, bottom = x - width / 2, y - height / 2, x + width / 2, y + height / 2
    return left, top, right, top, right, bottom, left, bottom


def _keypoints(found: Annotations) -> dict[str, object]:
    """Return ``kpt_shape``, and ``flip_idx`` where the keypoints' names tell left from right."""
    names = list(found.keypoints)
    count = len(names) or max((len(shape.keypoints) // 3 for one in found.images.values() for shape in one), default=0)
    extra: dict[str, object] = {"kpt_shape": [count, 3]} if count else {}
    swapped = [_other_side(name) for name in names]
    if names and any(a != b for a, b in zip(names, swapped, strict=True)) and set(swapped) == set(names):
        extra["flip_idx"] = [names.index(name) for name in swapped]
    return extra


def _other_side(name: str) -> str:
    return name.replace("left", "\0").replace("right", "left").replace("\0", "right")


def _stored(splits: Sequence[tuple[str, list[Path]]], texts: Mapping[Path, str]) -> dict[str, tuple[Item, ...]]:
    """Write the label files into a folder that is named by their content, once, and return the items."""
    digest = hashlib.sha256()
    for split, images in splits:
        for image in images:
            digest.update(f"{split}\0{image}\0{texts[image]}\0".encode(errors="surrogateescape"))
    target = cache_folder() / _CONVERTED / digest.hexdigest()[:40]
    placed = {
        split: [(image, Path(split, f"{n:07d}.txt")) for n, image in enumerate(images)] for split, images in splits
    }
    if not target.is_dir():
        target.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        draft = Path(tempfile.mkdtemp(prefix=".", dir=target.parent))
        for split, pairs in placed.items():
            (draft / split).mkdir()
            for image, name in pairs:
                (draft / name).write_text(texts[image], encoding="utf-8")
        try:
            draft.rename(target)
        except OSError:  # another process was faster
            shutil.rmtree(draft)
    return {split: tuple(Item(image, target / name) for image, name in pairs) for split, pairs in placed.items()}


def _findings(found: Annotations, counted: Counter[str], source: Path, task: str) -> list[Finding]:
    message = (
        f"the labels are converted from {found.format}: {counted['objects']} objects of {len(found.images)} images"
    )
    made = [finding("file-converted", message, file=str(source), count=len(found.images))]
    lost = Counter(found.left_out)
    if counted["without keypoints"]:
        lost["objects without the keypoints of the others"] = counted["without keypoints"]
    if task == "segment" and counted["boxes"] == counted["objects"] > 0:
        message = f"all {counted['boxes']} objects of {found.format} are boxes: they would be trained on as masks"
        made.append(finding("label-boxes-only", message, file=str(source), count=counted["boxes"]))
    elif counted["boxes"]:
        lost[f"boxes, which {task} uses as rectangles"] = counted["boxes"]
    if lost:
        listed = ", ".join(f"{count} {what}" for what, count in lost.most_common(_SHOWN))
        message = f"{found.format} has more than is converted: {listed}"
        made.append(finding("file-converted-part", message, file=str(source), count=lost.total()))
    return made
