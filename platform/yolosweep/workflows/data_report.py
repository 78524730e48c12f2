"""The page of a data set, built from the result of its checks."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path

from yolosweep.data import Gate
from yolosweep.data.model.dataset_items import Item, Row
from yolosweep.data.model.safe_paths import label_of
from yolosweep.experiment import Experiment
from yolosweep.report.contact_sheets import Mark, Tile, thumbnail
from yolosweep.report.data_figures import BoxSize, Count
from yolosweep.report.data_page import DataView, Gallery, Pair, render_data_page
from yolosweep.storage.atomic_files import write_atomic

__all__ = ["write_page"]

_SAMPLES = 8
"""Pictures of each class."""
_CLASSES = 80
_PAIRS = 60
_BOXES = 4000
_PREVIEWS = 6
_SIDE = 160


def write_page(gate: Gate, exp: Experiment | None, target: Path, imgsz: Sequence[int], code: int) -> None:
    """Write the page of a dataset; with an experiment it also shows what its augmentations do.

    Args:
        gate: the data set as checked, with the waived codes.
        exp: the experiment, if one was checked.
        target: the file to write.
        imgsz: image sizes that are trained with.
        code: exit code of the check.

    Raises:
        OSError: the file cannot be written.
    """
    every = [(split, item) for split, items in gate.layout.splits.items() for item in items]
    splits_of: dict[Path, str] = {}
    for split, item in every:
        splits_of[item.image] = f"{splits_of[item.image]} and {split}" if item.image in splits_of else split
    item_of = {item.image: item for _, item in every}
    view = DataView(
        dataset=gate.dataset,
        exit_code=code,
        counts={
            split: {number: Count(found.instances[number], found.images_with[number]) for number in gate.layout.names}
            for split, found in gate.counts.splits.items()
        },
        boxes=_boxes(gate),
        imgsz=tuple(imgsz),
        samples=_samples(gate),
        pairs=[
            Pair(
                first=_tile(gate, item_of[first], splits_of[first]),
                second=_tile(gate, item_of[second], splits_of[second]),
                kind=kind,
            )
            for first, second, kind in gate.leaks.pairs[:_PAIRS]
        ],
        pairs_found=len(gate.leaks.pairs),
        previews=_previews(gate, exp) if exp is not None else (),
    )
    write_atomic(target.absolute(), render_data_page(view))


def _spread(values: Sequence[Item], most: int) -> Iterable[Item]:
    """Return at most so many values, evenly from all of them."""
    step = max(1, len(values) // most)
    return values[::step][:most]


def _rows(gate: Gate, item: Item) -> tuple[Row, ...]:
    label = gate.labels.get(item.label) if item.label is not None else None
    return label.rows if label is not None else ()


def _tile(gate: Gate, item: Item, split: str) -> Tile:
    shape = 3 if gate.layout.task == "pose" else 0  # keypoints are no outline
    marks = [Mark(row.category, row.box, () if shape else row.points) for row in _rows(gate, item)]
    return Tile(jpeg=thumbnail(item.image, _SIDE), name=item.image.name, split=split, marks=tuple(marks))


def _samples(gate: Gate) -> dict[int, list[Tile]]:
    showing: dict[int, list[Item]] = {number: [] for number in gate.layout.names}
    for item in gate.layout.splits.get("train", ()):
        classes = {row.category for row in _rows(gate, item)} if item.category is None else {item.category}
        for number in classes & showing.keys():
            showing[number].append(item)
    tiles: dict[Path, Tile] = {}

    def tile(item: Item) -> Tile:
        return (
            tiles.setdefault(item.image, _tile(gate, item, "train")) if item.image not in tiles else tiles[item.image]
        )

    some = list(showing)[:_CLASSES]
    return {number: [tile(item) for item in _spread(showing[number], _SAMPLES)] for number in some}


def _boxes(gate: Gate) -> list[BoxSize]:
    sizes: list[BoxSize] = []
    for item in _spread(gate.layout.splits.get("train", ()), _BOXES):
        facts = gate.image_facts[item.image]
        if not facts.width or not facts.height:
            continue
        turned = facts.orientation >= 5
        width, height = (facts.height, facts.width) if turned else (facts.width, facts.height)
        side = max(width, height)
        sizes += (BoxSize(row.category, row.box[2] * width, row.box[3] * height, side) for row in _rows(gate, item))
    step = max(1, len(sizes) // _BOXES)
    return sizes[::step][:_BOXES]


def _previews(gate: Gate, exp: Experiment) -> Sequence[Gallery]:
    """Return what the augmentations of an experiment do to some images; none where that cannot be shown."""
    from yolosweep.experiment.trial_settings import baseline, settings_of
    from yolosweep.report.preview_sheets import galleries

    # Ultralytics looks for labels by its own rule.
    images = [item.image for item in gate.layout.splits["train"] if item.label in (None, label_of(item.image))]
    return galleries(
        exp.backend.previews(
            images,
            gate.layout.names,
            task=gate.layout.task,
            settings=settings_of(exp, baseline(exp)[0]),
            pipelines=exp.augmentations,
            count=_PREVIEWS,
            seed=exp.seed,
            extra=gate.layout.extra,
        )
    )
