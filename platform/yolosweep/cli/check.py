"""``yolosweep check``."""

from __future__ import annotations

import contextlib
import os
import secrets
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from yolosweep.cli.console import emit, print_json, print_line, print_text
from yolosweep.cli.options import AsJson, Task

if TYPE_CHECKING:
    from yolosweep.records import DataCheck, LabelReview, Severity

__all__ = ["check", "register"]

_FORMATS = ("text", "github")


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
    output: Annotated[
        str, typer.Option("--format", help="text, or github: annotations of a workflow, at the files.")
    ] = "text",
) -> None:
    """Find problems in a data set before a sweep does: labels, images, leaks, balance."""
    from yolosweep import api
    from yolosweep.cli.outside_files_question import with_trusted
    from yolosweep.cli.terminal_listener import ConsoleListener
    from yolosweep.errors import DataError

    lowest, for_github = _severity(fail_on), _is_for_github(output, as_json)
    codes = with_trusted(allow, data, task, as_json=as_json or for_github)
    with _annotating(for_github):
        found = api.check(
            data, task=task, imgsz=imgsz or (), allow=codes, report=report, fail_on=lowest, listener=ConsoleListener()
        )
    _print(found, _review(found, weights, report, codes), as_json, for_github)
    if found.failing(lowest):
        raise typer.Exit(DataError.exit_code)


def _print(found: DataCheck, review: LabelReview | None, as_json: bool, for_github: bool) -> None:
    from yolosweep.cli.check_output import describe_check

    if review is not None and as_json:
        print_json({**found.model_dump(mode="json"), "label_review": review})
        return
    emit(found, as_json, _annotate if for_github else describe_check)
    if review is not None:
        errors = ", ".join(f"{count} {kind}" for kind, count in review.suspected.items()) or "none"
        print_line(f"suspected  {errors} among the labels, the likeliest first: {review.page}")


def _review(found: DataCheck, weights: Path | None, report: Path | None, codes: Sequence[str]) -> LabelReview | None:
    from yolosweep.cli.terminal_listener import ConsoleListener
    from yolosweep.errors import UsageError
    from yolosweep.workflows.label_review import review_labels

    if weights is None:
        return None
    if report is None:
        raise UsageError("--weights needs --report FILE: the labels are listed in a folder beside it")
    out = report.with_name(f"{report.stem}-labels")
    return review_labels(found.source, ConsoleListener(), weights=weights, out=out, task=found.task, allow=codes)


def _is_for_github(output: str, as_json: bool) -> bool:
    from yolosweep.errors import UsageError

    if output not in _FORMATS:
        raise UsageError(f"--format {output}: choose from {', '.join(_FORMATS)}")
    if output == "github" and as_json:
        raise UsageError("--format github and --json exclude each other")
    return output == "github"


@contextlib.contextmanager
def _annotating(for_github: bool) -> Iterator[None]:
    """Print data that cannot be checked at all as an annotation."""
    from yolosweep.cli.github_annotations import annotation_of_error
    from yolosweep.errors import DataError

    try:
        yield
    except DataError as error:
        if for_github:
            print_text(f"{annotation_of_error(error)}\n")
        raise


def _annotate(found: DataCheck) -> None:
    """Print the findings for people and for GitHub, which looks for no command in the part for people."""
    from yolosweep.cli.check_output import describe_check
    from yolosweep.cli.github_annotations import workflow_commands

    token = secrets.token_hex(16)
    print_text(f"::stop-commands::{token}\n")
    describe_check(found)
    print_text(f"::{token}::\n")
    for line in workflow_commands(found, Path(os.environ.get("GITHUB_WORKSPACE") or ".")):
        print_text(f"{line}\n")


def _severity(word: str) -> Severity:
    from yolosweep.errors import UsageError
    from yolosweep.records import Severity

    if word not in tuple(Severity):
        raise UsageError(f"--fail-on {word}: choose from {', '.join(severity.value for severity in Severity)}")
    return Severity(word)
