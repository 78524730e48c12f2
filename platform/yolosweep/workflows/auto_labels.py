"""Auto-labels for images that have none, and their agreement with human labels."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from yolosweep.autolabel.agreement import HumanLabel, PredictedLabel
from yolosweep.autolabel.annotators import class_names
from yolosweep.autolabel.labelling import AutolabelResult, LabelledImage, autolabel
from yolosweep.autolabel.review_page import doubtful_first, render_review
from yolosweep.data import OUTSIDE
from yolosweep.data.model.dataset_items import ImageFacts, Images, Item, Labels, Layout
from yolosweep.data.scan.dataset_scan import scan
from yolosweep.errors import UsageError
from yolosweep.records.image_predictions import Answer, Shape
from yolosweep.report.preannotations import preannotations
from yolosweep.storage.atomic_files import write_atomic
from yolosweep.workflows.data_split import pooled_layout
from yolosweep.workflows.progress_listener import Listener

__all__ = ["AutoLabels", "images_to_label", "label_images", "write_review"]


@dataclass(frozen=True, kw_only=True)
class AutoLabels:
    """Labels in a folder of their own, and the page to review them."""

    out: Path
    review: Path
    result: AutolabelResult
    data: Path | None = None
    """The data.yaml over images and labels; None where the images belong to a data set."""

    def summary(self) -> dict[str, Any]:
        """Return the numbers and files as plain data."""
        files = {"out": str(self.out), "manifest": str(self.result.manifest), "review": str(self.review)}
        files["data"] = str(self.data) if self.data else ""
        return {**files, **self.result.summary()}


def images_to_label(source: str, task: str, names: Mapping[int, str], *, outside: bool = False) -> Layout:
    """Return a data set, or a folder of images, which may be without any label; ``names`` are the detector's classes.

    Raises:
        DataError: it cannot be read.
    """
    return pooled_layout(source, task, outside=outside, names=names)


def label_images(
    source: str,
    listener: Listener,
    *,
    weights: Path,
    out: Path,
    sam: Path | None,
    conf: float,
    include_eval: bool,
    allow: Sequence[str] = (),
) -> AutoLabels:
    """Label the images of a data set (train, and on request val and test), and write a review page.

    The labels are written as pre-annotations for Label Studio and CVAT too, most doubtful image first. For a folder
    of images, the output is a data set of its own, with a data.yaml.

    Raises:
        DataError: the data cannot be read, or there is nothing to label.
        UsageError: an option is invalid.
        RunFolderError: the folder contains something else.
        TrainingError: the weights cannot be used.
    """
    if not 0 < conf < 1:
        raise UsageError(f"--conf {conf:g}: must be above 0 and below 1")
    task = "segment" if sam is not None else "detect"
    folder = _is_folder(source)
    layout = images_to_label(source, task, class_names(weights) if folder else {}, outside=OUTSIDE in allow)
    image_facts, labels = scan(layout, progress=listener.reading("reading the data"))
    wanted = {split: items for split, items in layout.splits.items() if include_eval or split == "train"}
    items = [item for items in wanted.values() for item in items if image_facts[item.image].signature]
    result = autolabel(
        [item.image for item in items],
        weights,
        out,
        task=task,
        names=layout.names,
        sam=sam,
        conf=conf,
        splits={item.image: split for split, chosen in wanted.items() for item in chosen},
        human=_human_labels(items, labels),
        root=layout.root,
        include_eval=include_eval,
        progress=listener.reading("labelling"),
    )
    data = _training_set(out.absolute(), result) if folder else None
    return AutoLabels(out=out, review=write_review(out.absolute(), result, image_facts), result=result, data=data)


def write_review(out: Path, result: AutolabelResult, image_facts: Images) -> Path:
    """Write the review page and the pre-annotations; return the page."""
    answers = [_answer(one, image_facts[one.image], result.names) for one in doubtful_first(result)]
    for name, text in preannotations(answers, result.names.values()).items():
        write_atomic(out / name, text)
    write_atomic(out / "review.html", render_review(result))
    return out / "review.html"


def _is_folder(source: str) -> bool:
    """Return whether the source is a folder without a data.yaml."""
    place = Path(source)
    return place.is_dir() and not any(place.glob("*.yaml")) and not any(place.glob("*.yml"))


def _answer(one: LabelledImage, facts: ImageFacts, names: Mapping[int, str]) -> Answer:
    turned = facts.orientation >= 5
    return Answer(
        image=str(one.image),
        width=facts.height if turned else facts.width,
        height=facts.width if turned else facts.height,
        predictions=tuple(_shape(drawn, names) for drawn in one.drawn),
    )


def _shape(drawn: PredictedLabel, names: Mapping[int, str]) -> Shape:
    x, y, width, height = drawn.box
    edges = (max(x - width / 2, 0.0), max(y - height / 2, 0.0), min(x + width / 2, 1.0), min(y + height / 2, 1.0))
    points = tuple(zip(drawn.points[0::2], drawn.points[1::2], strict=True))
    return Shape(name=names[drawn.category], box=edges, outline=points, confidence=drawn.score)


def _training_set(out: Path, result: AutolabelResult) -> Path:
    """Link the labelled images beside their labels and write a data.yaml; return it."""
    for one in result.images:
        if one.label is None:
            continue
        place = out / "images" / one.label.relative_to(out / "labels").parent / one.image.name
        place.parent.mkdir(parents=True, exist_ok=True)
        if not place.exists():
            try:
                os.link(os.path.realpath(one.image), place)
            except OSError:  # another disk
                shutil.copyfile(one.image, place)
    content = {"path": str(out), "train": "images", "names": result.names}
    # JSON is valid YAML and quotes every class name, so none is read as a boolean, a number or a tag.
    write_atomic(out / "data.yaml", json.dumps(content, indent=2, ensure_ascii=False) + "\n")
    return out / "data.yaml"


def _human_labels(items: Iterable[Item], labels: Labels) -> dict[Path, list[HumanLabel]]:
    """Return the human labels of the images that have a label file."""
    files = {item.image: labels[item.label] for item in items if item.label is not None}
    return {
        image: [HumanLabel(row.category, row.box) for row in file.rows] for image, file in files.items() if file.sha256
    }
