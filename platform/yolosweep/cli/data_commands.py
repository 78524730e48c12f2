"""The commands about data: ``check``, ``split``, ``autolabel``. Each imports what it needs when it runs."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

__all__ = ["autolabel", "check", "split"]

Data = Annotated[
    str, typer.Argument(metavar="DATA", help="A data.yaml, a folder, sample:parking, or an experiment file.")
]
Task = Annotated[str | None, typer.Option(help="detect, segment, classify, pose or obb.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON for machines on standard output.")]


def check(
    data: Data,
    task: Task = None,
    imgsz: Annotated[
        list[int] | None, typer.Option(help="Image size that will be trained with; repeat for more.")
    ] = None,
    report: Annotated[
        Path | None, typer.Option(help="Write a page to look at: classes, sizes, samples, leaks.")
    ] = None,
    fail_on: Annotated[
        str, typer.Option(help="Least severity that gives exit code 4: error, warning, note.")
    ] = "error",
    allow: Annotated[
        list[str] | None, typer.Option(metavar="CODE", help="A finding that does not count for the exit code.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Say what is wrong with a data set before a sweep finds out: labels, images, leaks, balance."""
    from yolosweep.cli.check import check_data

    code = check_data(
        data, task=task, imgsz=imgsz or (), allow=allow or (), report=report, fail_on=fail_on, as_json=as_json
    )
    raise typer.Exit(code)


def split(
    data: Annotated[str, typer.Argument(metavar="DATA", help="A data.yaml, or a folder of images and labels.")],
    out: Annotated[Path, typer.Option(help="A new or empty folder for the lists and the data.yaml.")],
    task: Task = None,
    val: Annotated[float, typer.Option(help="Share of the images for val.")] = 0.2,
    test: Annotated[float, typer.Option(help="Share of the images for test.")] = 0.1,
    seed: Annotated[int, typer.Option(help="Same seed, same split.")] = 0,
    as_json: AsJson = False,
) -> None:
    """Split a data set into train, val and test: by class, bursts and duplicates kept together, no file moved."""
    from yolosweep.cli.split import write_split

    write_split(data, out=out, task=task or "detect", val=val, test=test, seed=seed, as_json=as_json)


def autolabel(
    data: Annotated[str, typer.Argument(metavar="DATA", help="A data.yaml, or a folder of images.")],
    weights: Annotated[Path, typer.Option(help="A detector, a .pt of Ultralytics.")],
    out: Annotated[Path, typer.Option(help="A new folder for the labels, or one to go on with.")],
    sam: Annotated[Path | None, typer.Option(help="Weights of SAM: outlines in place of boxes.")] = None,
    conf: Annotated[float, typer.Option(help="Least confidence of a box, 0 to 1.")] = 0.25,
    include_eval: Annotated[bool, typer.Option("--include-eval", help="Also label val and test.")] = False,
    as_json: AsJson = False,
) -> None:
    """Draw labels by machine into a folder of their own, and say how far they agree with people's."""
    from yolosweep.cli.autolabel import label_images

    label_images(data, weights=weights, out=out, sam=sam, conf=conf, include_eval=include_eval, as_json=as_json)
