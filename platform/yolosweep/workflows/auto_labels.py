"""Auto-labels for images that have none, and their agreement with human labels."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from yolosweep.autolabel.agreement import HumanLabel
from yolosweep.autolabel.labelling import AutolabelResult, autolabel
from yolosweep.autolabel.review_page import render_review
from yolosweep.data.model.items import Item, Labels
from yolosweep.data.scan.scan import scan
from yolosweep.errors import UsageError
from yolosweep.storage.atomic_files import write_atomic
from yolosweep.workflows.data_split import pooled_layout
from yolosweep.workflows.listener import Listener

__all__ = ["AutoLabels", "label_images"]


@dataclass(frozen=True, kw_only=True)
class AutoLabels:
    """Labels in a folder of their own, and the page to review them."""

    out: Path
    review: Path
    result: AutolabelResult

    def summary(self) -> dict[str, Any]:
        """Return the numbers and files as plain data."""
        files = {"out": str(self.out), "manifest": str(self.result.manifest), "review": str(self.review)}
        return {**files, **self.result.summary()}


def label_images(
    source: str, listener: Listener, *, weights: Path, out: Path, sam: Path | None, conf: float, include_eval: bool
) -> AutoLabels:
    """Label the images of a data set (train, and on request val and test), and write a review page.

    Raises:
        DataError: the data cannot be read, or there is nothing to label.
        UsageError: an option is invalid.
        RunFolderError: the folder contains something else.
        TrainingError: the weights cannot be used.
    """
    if not 0 < conf < 1:
        raise UsageError(f"--conf {conf:g}: must be above 0 and below 1")
    task = "segment" if sam is not None else "detect"
    layout = pooled_layout(source, task)
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
    page = out.absolute() / "review.html"
    write_atomic(page, render_review(result))
    return AutoLabels(out=out, review=page, result=result)


def _human_labels(items: Iterable[Item], labels: Labels) -> dict[Path, list[HumanLabel]]:
    """Return the human labels of the images that have a label file."""
    files = {item.image: labels[item.label] for item in items if item.label is not None}
    return {
        image: [HumanLabel(row.category, row.box) for row in file.rows] for image, file in files.items() if file.sha256
    }
