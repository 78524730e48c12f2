"""Auto-labels for people: what was drawn, and how far it agrees with human labels."""

from __future__ import annotations

from typing import Any

from yolosweep.cli.console import print_line
from yolosweep.data.model.safe_paths import printable

__all__ = ["describe_labels"]


def describe_labels(summary: dict[str, Any]) -> None:
    """Print a summary of :class:`~yolosweep.workflows.auto_labels.AutoLabels`."""
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
    if summary["suspected_label_errors"]:
        errors = ", ".join(f"{count} {kind}" for kind, count in summary["suspected_label_errors"].items())
        print_line(f"suspected  {errors} in the human labels, the likeliest first in the review page")
    if summary["left_out_classes"]:
        unknown = ", ".join(map(printable, summary["left_out_classes"]))
        print_line(f"note       the data set has no class {unknown}: not labelled")
    print_line(f"labels     {summary['out']}")
    print_line(f"review     {summary['review']}")
    print_line(
        "correct    import label-studio.json into Label Studio, or cvat.xml into CVAT: most doubtful image first"
    )
    if summary["data"]:
        print_line(f"data       {summary['data']}")
        print_line(f"next       review the labels, then: yolosweep split {summary['data']} --out FOLDER")
        print_line("           scores count only on labels that people have checked: label val and test by hand")
