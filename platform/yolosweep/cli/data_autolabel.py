"""Auto-labels for images that have none, and their agreement with human labels."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from yolosweep.cli.console import emit, print_line
from yolosweep.cli.progress_bar import progress
from yolosweep.data.model.items import Item, Labels
from yolosweep.data.model.safe_paths import printable
from yolosweep.data.scan.scan import scan
from yolosweep.errors import UsageError
from yolosweep.storage.atomic_files import write_atomic
from yolosweep.workflows.data_split import pooled_layout

if TYPE_CHECKING:
    from yolosweep.autolabel.agreement import HumanLabel

__all__ = ["label_images"]


def label_images(
    source: str, *, weights: Path, out: Path, sam: Path | None, conf: float, include_eval: bool, as_json: bool
) -> None:
    """Label the images of a data set (train, and on request val and test), and write a review page.

    Raises:
        DataError: the data cannot be read, or there is nothing to label.
        UsageError: an option is invalid.
        RunFolderError: the folder contains something else.
        TrainingError: the weights cannot be used.
    """
    from yolosweep.autolabel.labelling import autolabel
    from yolosweep.autolabel.review_page import render_review

    if not 0 < conf < 1:
        raise UsageError(f"--conf {conf:g}: must be above 0 and below 1")
    task = "segment" if sam is not None else "detect"
    layout = pooled_layout(source, task)
    image_facts, labels = scan(layout, progress=progress("reading the data"))
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
        progress=progress("labelling"),
    )
    page = out.absolute() / "review.html"
    write_atomic(page, render_review(result))
    summary = {"out": str(out), "manifest": str(result.manifest), "review": str(page), **result.summary()}
    emit(summary, as_json, _describe)


def _human_labels(items: Iterable[Item], labels: Labels) -> dict[Path, list[HumanLabel]]:
    """Return the human labels of the images that have a label file."""
    from yolosweep.autolabel.agreement import HumanLabel

    files = {item.image: labels[item.label] for item in items if item.label is not None}
    return {
        image: [HumanLabel(row.category, row.box) for row in file.rows] for image, file in files.items() if file.sha256
    }


def _describe(summary: dict[str, Any]) -> None:
    states = ", ".join(f"{count} {state}" for state, count in summary["states"].items())
    print_line(f"images     {summary['images']} ({states})")
    drawn = ", ".join(f"{count} {printable(name)}" for name, count in summary["boxes"].items())
    print_line(f"drawn      {drawn or 'nothing'}")
    for split, classes in summary["agreement"].items():
        for name, found in classes.items():
            shares = ", ".join(
                f"{what} {found[what]:.2f}" for what in ("precision", "recall") if found[what] is not None
            )
            counts = ", ".join(f"{found[what]} {what}" for what in ("right", "extra", "missed"))
            print_line(f"agreement  {split}, {printable(name)}: {shares} ({counts})")
    if summary["left_out_classes"]:
        unknown = ", ".join(map(printable, summary["left_out_classes"]))
        print_line(f"note       the data set has no class {unknown}: not labelled")
    print_line(f"labels     {summary['out']}")
    print_line(f"review     {summary['review']}")
