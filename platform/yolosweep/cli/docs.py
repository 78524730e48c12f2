"""``yolosweep docs``: list the documentation pages, or print one."""

from __future__ import annotations

import difflib
import re
import sys
from pathlib import Path
from typing import Annotated

import typer

from yolosweep.cli.console import is_terminal, print_json, print_markdown, print_text
from yolosweep.cli.options import AsJson
from yolosweep.errors import UsageError

__all__ = ["docs", "folder", "pages", "register", "summary_of"]

_COMMENT = re.compile(r"<!--.*?-->\s*", re.DOTALL)


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command()(docs)


def docs(
    topic: Annotated[str | None, typer.Argument(metavar="[TOPIC]", help="The page to print; none lists them.")] = None,
    as_json: AsJson = False,
) -> None:
    """Print a documentation page, or list the pages."""
    if topic is None:
        _list(as_json)
        return
    text = page(topic)
    if as_json:
        print_json({"topic": topic, "text": text})
    elif is_terminal(sys.stdout):
        print_markdown(text)
    else:
        print_text(text)


def folder() -> Path:
    """Return the folder of the pages: inside the installed package, or beside it in a checkout."""
    import yolosweep

    package = Path(yolosweep.__file__).resolve().parent
    installed = package / "docs"
    return installed if installed.is_dir() else package.parent / "docs"


def pages() -> dict[str, str]:
    """Return the text of every page by topic, in alphabetical order."""
    return dict(sorted((path.stem, path.read_text(encoding="utf-8")) for path in folder().glob("*.md")))


def page(topic: str) -> str:
    """Return the text of one page, without the comments for those who edit it.

    Raises:
        UsageError: there is no such page.
    """
    known = pages()
    if topic not in known:
        near = difflib.get_close_matches(topic, known, n=2, cutoff=0.6)
        hint = f"did you mean {' or '.join(near)}? " if near else ""
        raise UsageError(f"there is no page {topic!r}; {hint}known: {', '.join(known) or 'none is installed'}")
    return _COMMENT.sub("", known[topic])


def summary_of(text: str) -> str:
    """Return the first sentence below the heading of a page, as plain text."""
    paragraphs = _COMMENT.sub("", text).split("\n\n")
    first = " ".join(paragraphs[1].split()) if len(paragraphs) > 1 else ""
    return first.replace("`", "").partition(". ")[0].rstrip(".")


def _list(as_json: bool) -> None:
    found = {topic: summary_of(text) for topic, text in pages().items()}
    if as_json:
        print_json([{"topic": topic, "summary": text} for topic, text in found.items()])
        return
    width = max(map(len, found), default=0)
    lines = [f"{topic:<{width}}  {text}" for topic, text in found.items()]
    print_text("\n".join([*lines, "", "Print one with: yolosweep docs TOPIC", ""]))
