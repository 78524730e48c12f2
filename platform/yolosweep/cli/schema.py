"""``yolosweep schema``."""

from __future__ import annotations

import typer

from yolosweep.cli.console import print_text
from yolosweep.cli.options import AsJson

__all__ = ["register", "schema"]


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command()(schema)


def schema(as_json: AsJson = False) -> None:
    """Print the JSON Schema of experiment files, for editors; it is JSON with and without --json."""
    from yolosweep.experiment.json_schema import text

    print_text(text())
