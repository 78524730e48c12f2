"""The question whether files outside a data set's folders may be used."""

from __future__ import annotations

import sys
from collections.abc import Sequence

from yolosweep.cli.console import confirmed, is_terminal, notify
from yolosweep.cli.spinner import Spinner

__all__ = ["with_trusted"]


def with_trusted(
    allow: Sequence[str] | None,
    source: str,
    task: str | None = None,
    overrides: Sequence[str] | None = None,
    *,
    as_json: bool = False,
) -> list[str]:
    """Return the waived codes, and ``file-outside`` if a person at the terminal agrees to it.

    Nobody is asked where the code is waived, where JSON is printed, or without a terminal, as in a job.

    Args:
        allow: the codes waived already.
        source: a data set, or an experiment file.
        task: the task of a data set.
        overrides: of an experiment file; None if the source may be a data set.
        as_json: whether the command prints JSON.
    """
    codes = list(allow or ())
    if as_json or not (is_terminal(sys.stdin) and is_terminal(sys.stderr)):
        return codes
    spinner = Spinner("looking for the files …")  # before the imports: on a slow machine they take seconds
    try:
        from yolosweep.data.model.finding_codes import OUTSIDE
        from yolosweep.data.model.safe_paths import printable
        from yolosweep.workflows.outside_files import outside_files

        outside = None if OUTSIDE in codes else outside_files(source, task, overrides)
    finally:
        spinner.clear()
    if outside is None:
        return codes
    notify(
        f"{outside.files} files are outside the data set's folders (links or lists), e.g. {printable(outside.first)}"
    )
    if not confirmed("Use them? Only if you trust that place"):
        return codes
    notify(f"used, as with --allow {OUTSIDE}")
    return [*codes, OUTSIDE]
