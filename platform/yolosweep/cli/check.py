"""``yolosweep check``."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from yolosweep.cli.console import emit, print_json, print_line
from yolosweep.cli.options import AsJson, Task

if TYPE_CHECKING:
    from yolosweep.records import DataCheck, LabelReview, Severity

__all__ = ["check", "register"]


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command()(check)


def check(
    data: Annotated[
        str, typer.Argument(metavar="DATA", help="A data.yaml, a folder, sample:parking, or an experiment file.")
    ],
    task: Task = None,
    imgsz: Annotated[
        list[int] | None, typer.Option(help="Image size that will be trained with; repeat for more.")
    ] = None,
    report: Annotated[
        Path | None, typer.Option(help="Write an HTML page: findings, classes, box sizes, samples, leaks.")
    ] = None,
    fail_on: Annotated[str, typer.Option(help="Lowest severity with exit code 4: error, warning, note.")] = "error",
    allow: Annotated[
        list[str] | None, typer.Option(metavar="CODE", help="Waive findings of this code: they do not fail the check.")
    ] = None,
    weights: Annotated[
        Path | None, typer.Option(help="Weights of a detector: list labels that it disagrees with, beside --report.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Find problems in a data set before a sweep does: labels, images, leaks, balance."""
    from yolosweep import api
    from yolosweep.cli.listener import ConsoleListener
    from yolosweep.errors import DataError

    lowest, codes = _severity(fail_on), allow or ()
    found = api.check(
        data, task=task, imgsz=imgsz or (), allow=codes, report=report, fail_on=lowest, listener=ConsoleListener()
    )
    _print(found, _review(found, weights, report, codes), as_json)
    if found.failing(lowest):
        raise typer.Exit(DataError.exit_code)


def _print(found: DataCheck, review: LabelReview | None, as_json: bool) -> None:
    from yolosweep.cli.data_check import describe_check

    if review is None:
        emit(found, as_json, describe_check)
    elif as_json:
        print_json({**found.model_dump(mode="json"), "label_review": review})
    else:
        describe_check(found)
        errors = ", ".join(f"{count} {kind}" for kind, count in review.suspected.items()) or "none"
        print_line(f"suspected  {errors} among the labels, the likeliest first: {review.page}")


def _review(found: DataCheck, weights: Path | None, report: Path | None, codes: Sequence[str]) -> LabelReview | None:
    from yolosweep.cli.listener import ConsoleListener
    from yolosweep.errors import UsageError
    from yolosweep.workflows.label_review import review_labels

    if weights is None:
        return None
    if report is None:
        raise UsageError("--weights needs --report FILE: the labels are listed in a folder beside it")
    out = report.with_name(f"{report.stem}-labels")
    return review_labels(found.source, ConsoleListener(), weights=weights, out=out, task=found.task, allow=codes)


def _severity(word: str) -> Severity:
    from yolosweep.errors import UsageError
    from yolosweep.records import Severity

    if word not in tuple(Severity):
        raise UsageError(f"--fail-on {word}: choose from {', '.join(severity.value for severity in Severity)}")
    return Severity(word)
