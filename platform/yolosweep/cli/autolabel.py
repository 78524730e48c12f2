"""``yolosweep autolabel``: labels by machine for images that have none, and how far they agree with people's."""

from __future__ import annotations

import sys
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from yolosweep.cli.progress_bar import progress
from yolosweep.cli.split import pooled_layout
from yolosweep.data.model.items import Item, Labels
from yolosweep.data.model.safe_paths import printable
from yolosweep.data.scan.scan import scan
from yolosweep.errors import UsageError
from yolosweep.storage.atomic_files import write_atomic

if TYPE_CHECKING:
    from yolosweep.autolabel.agreement import HumanLabel

__all__ = ["label_images"]


def label_images(
    source: str, *, weights: Path, out: Path, sam: Path | None, conf: float, include_eval: bool, as_json: bool
) -> None:
    """Label the images of a data set (train; val and test only if asked), and write a sheet to review.

    Raises:
        DataError: the data cannot be read, or there is nothing to label.
        UsageError: an option makes no sense.
        RunFolderError: the folder holds something else.
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
        human=_by_people(items, labels),
        root=layout.root,
        include_eval=include_eval,
        progress=progress("labelling"),
    )
    sheet = out.absolute() / "review.html"
    write_atomic(sheet, render_review(result))
    told = {"out": str(out), "manifest": str(result.manifest), "review": str(sheet), **result.summary()}
    if as_json:
        import json

        sys.stdout.write(json.dumps(told, indent=2) + "\n")
    else:
        _describe(told)


def _by_people(items: Iterable[Item], labels: Labels) -> dict[Path, list[HumanLabel]]:
    """Return what people drew on the images that have a label file."""
    from yolosweep.autolabel.agreement import HumanLabel

    files = {item.image: labels[item.label] for item in items if item.label is not None}
    return {
        image: [HumanLabel(row.category, row.box) for row in file.rows] for image, file in files.items() if file.sha256
    }


def _describe(told: dict[str, Any]) -> None:
    from rich.console import Console

    console = Console(soft_wrap=True, highlight=False, markup=False)
    states = ", ".join(f"{count} {state}" for state, count in told["states"].items())
    console.print(f"images     {told['images']} ({states})")
    drawn = ", ".join(f"{count} {printable(name)}" for name, count in told["boxes"].items())
    console.print(f"drawn      {drawn or 'nothing'}")
    for split, classes in told["agreement"].items():
        for name, found in classes.items():
            shares = ", ".join(
                f"{what} {found[what]:.2f}" for what in ("precision", "recall") if found[what] is not None
            )
            counts = ", ".join(f"{found[what]} {what}" for what in ("right", "extra", "missed"))
            console.print(f"agreement  {split}, {printable(name)}: {shares} ({counts})")
    if told["left_out_classes"]:
        strange = ", ".join(map(printable, told["left_out_classes"]))
        console.print(f"note       the data set has no class {strange}: left out")
    console.print(f"labels     {told['out']}")
    console.print(f"review     {told['review']}")
