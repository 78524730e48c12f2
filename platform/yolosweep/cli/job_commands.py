"""The commands about jobs on a cluster. Each imports what it needs when it runs."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

__all__ = ["token"]


def token(
    out: Annotated[Path | None, typer.Option(help="A new file; by default where Ray looks: ~/.ray/auth_token.")] = None,
) -> None:
    """Make a token that locks a Ray cluster, in a file that only you can read; it is never printed."""
    import os

    from yolosweep.cluster.tokens import default_path, write_token

    path = (out or default_path(os.environ)).absolute()
    write_token(path)
    typer.echo(f"{path}\nput the same file on every node, and set there and here:")
    typer.echo(f"export RAY_AUTH_MODE=token\nexport RAY_AUTH_TOKEN_PATH={path}")
