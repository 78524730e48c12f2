"""Findings of the data checks as annotations of a GitHub workflow."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from yolosweep.records import DataCheck, Finding, Severity

__all__ = ["annotation_of_error", "workflow_commands"]

_COMMANDS = {Severity.ERROR: "error", Severity.WARNING: "warning", Severity.NOTE: "notice"}
_MOST = 10
"""GitHub shows so many annotations of a kind per step, and drops further ones."""


def workflow_commands(found: DataCheck, root: Path) -> Iterator[str]:
    """Yield one workflow command per finding, and one for those beyond what GitHub shows.

    Args:
        found: the checked data set.
        root: the checkout; only files inside of it can be annotated.
    """
    for severity, command in _COMMANDS.items():
        kind = [finding for finding in found.findings if _shown_as(finding, found) is severity]
        shown = kind if len(kind) <= _MOST else kind[: _MOST - 1]
        yield from (_command(command, finding, root) for finding in shown)
        if len(shown) < len(kind):
            codes = ", ".join(dict.fromkeys(finding.code for finding in kind[len(shown) :]))
            yield f"::{command} title={len(kind) - len(shown)} more::{_escaped(codes)}"


def annotation_of_error(error: object) -> str:
    """Return the annotation of data that cannot be checked at all."""
    return f"::error title=yolosweep check::{_escaped(str(error))}"


def _shown_as(finding: Finding, found: DataCheck) -> Severity:
    return Severity.NOTE if finding.code in found.waived else finding.severity


def _command(command: str, finding: Finding, root: Path) -> str:
    properties = {}
    if finding.file is not None and (path := Path(finding.file).resolve()).is_relative_to(root.resolve()):
        properties["file"] = path.relative_to(root.resolve()).as_posix()
        if finding.line is not None:
            properties["line"] = str(finding.line)
    properties["title"] = finding.code
    listed = ",".join(f"{name}={_escaped_property(value)}" for name, value in properties.items())
    text = f"{finding.message}; {finding.fix}" if finding.fix else finding.message
    return f"::{command} {listed}::{_escaped(text)}"


def _escaped(text: str) -> str:
    return text.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")


def _escaped_property(text: str) -> str:
    return _escaped(text).replace(":", "%3A").replace(",", "%2C")
