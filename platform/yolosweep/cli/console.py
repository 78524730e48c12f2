"""All output of the command line: results on standard output, progress and errors on standard error.

No other module of ``cli`` prints. Text is never interpreted as markup, whatever a run or a data set contains.
"""

from __future__ import annotations

import json
import re
import sys
import textwrap
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TextIO, TypeVar

from yolosweep.errors import Interrupted, YolosweepError

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table

__all__ = [
    "Styled",
    "add_row",
    "confirmed",
    "emit",
    "field",
    "fits",
    "is_terminal",
    "new_table",
    "notify",
    "overwrite",
    "print_json",
    "print_line",
    "print_markdown",
    "print_table",
    "print_text",
    "show_error",
    "show_failure",
    "show_table",
    "stderr_console",
    "wrapped",
]

_WIDE = 10_000
"""Characters: more than any table needs."""

_CONTROL = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f]")
"""Characters that steer a terminal; line breaks and tabs do no harm."""
_PAGE = 110
"""Characters: the widest comfortable line of text."""

Value = TypeVar("Value")


@dataclass(frozen=True)
class Styled:
    """The text of a cell, and its style on a terminal."""

    text: str
    style: str

    def __str__(self) -> str:
        return self.text


def print_line(text: str, *, style: str = "", file: TextIO | None = None) -> None:
    """Print a line of a result on standard output; a terminal also gets its style, and no control character."""
    from rich.text import Text

    _console(file).print(Text(_CONTROL.sub("\ufffd", text), style=style))


def print_text(text: str) -> None:
    """Print text exactly as it is on standard output."""
    sys.stdout.write(text)
    sys.stdout.flush()


def print_markdown(text: str) -> None:
    """Render Markdown on standard output, on a terminal."""
    from rich.markdown import Markdown

    console = _console(None)
    console.print(Markdown(text), width=min(console.width, _PAGE), soft_wrap=False)


def print_json(value: Any) -> None:
    """Print a value as JSON on standard output: plain data that may contain records."""
    print_text(json.dumps(_plain(value), indent=2) + "\n")


def print_table(
    headings: Sequence[str], rows: Iterable[Sequence[object]], *, right: Iterable[str] = (), box: bool = False
) -> None:
    """Print a table on standard output; where that is no terminal, no cell is cut. See :func:`new_table`."""
    table = new_table(headings, right=right, box=box)
    for row in rows:
        add_row(table, row)
    show_table(table)


def show_table(table: Table) -> None:
    """Print a table on standard output; where that is no terminal, no cell is cut."""
    _console(None, wide=not is_terminal(sys.stdout)).print(table)


def new_table(headings: Sequence[str], *, right: Iterable[str] = (), box: bool = False, title: str = "") -> Table:
    """Return an empty table.

    Args:
        headings: one per column.
        right: the headings of right-aligned columns.
        box: whether to draw lines.
        title: above the table.
    """
    from rich.box import HEAVY_HEAD
    from rich.table import Table
    from rich.text import Text

    caption = Text(title) if title else None
    table = Table(box=HEAVY_HEAD if box else None, pad_edge=box, title=caption, title_justify="left")
    aligned = set(right)
    for heading in headings:
        table.add_column(Text(heading), justify="right" if heading in aligned else "left", overflow="fold")
    return table


def add_row(table: Table, cells: Sequence[object]) -> None:
    """Add a row to a table; no cell is interpreted as markup."""
    from rich.text import Text

    table.add_row(*(Text(str(cell), style=cell.style if isinstance(cell, Styled) else "") for cell in cells))


def fits(table: Table) -> bool:
    """Return whether standard output shows a table without cutting a cell; what is no terminal shows any."""
    from rich.measure import Measurement

    console = _console(None)
    needed = Measurement.get(console, console.options.update(width=_WIDE), table).maximum
    return not is_terminal(sys.stdout) or needed <= console.width


def wrapped(text: str, *, indent: str = "", first: str | None = None) -> str:
    """Return text broken at spaces to the width of the terminal; longer words, and lines of a pipe, stay whole.

    Args:
        text: one paragraph.
        indent: before every line.
        first: before the first line instead.
    """
    start = indent if first is None else first
    if not is_terminal(sys.stdout):
        return start + text
    columns = min(_console(None).width, _PAGE)
    wrapper = textwrap.TextWrapper(columns, start, indent, break_long_words=False, break_on_hyphens=False)
    return wrapper.fill(text)


def field(name: str, text: str) -> str:
    """Return a paragraph beside its name, wrapped as :func:`wrapped` does."""
    return wrapped(text, indent=" " * 11, first=f"{name:<11}")


def emit(value: Value, as_json: bool, describe: Callable[[Value], None]) -> None:
    """Print a result as JSON, or let ``describe`` print it for people."""
    if as_json:
        print_json(value)
    else:
        describe(value)


def notify(text: str) -> None:
    """Print a line about progress on standard error at once."""
    print(text, file=sys.stderr, flush=True)


def overwrite(text: str) -> None:
    """Replace the current line of the terminal on standard error; an empty text clears it."""
    print(f"\r{text:<79}" if text else f"\r{'':<79}\r", end="", file=sys.stderr, flush=True)


def confirmed(question: str) -> bool:
    """Ask a person at the terminal and return whether the answer is yes."""
    print(f"{question} [y/N] ", end="", file=sys.stderr, flush=True)
    return sys.stdin.readline().strip().lower() in ("y", "yes")


def show_error(error: object) -> None:
    """Print an error on standard error."""
    notify(f"error: {error}")


def show_failure(error: YolosweepError, *, as_json: bool = False) -> None:
    """Print how a command failed on standard error; an interruption is no error.

    Args:
        error: why it failed.
        as_json: also print an object on standard output, with what was found before.
    """
    if as_json:
        print_json({**error.partial, "error": str(error), "exit_code": error.exit_code})
    if isinstance(error, Interrupted):
        notify(str(error))
    else:
        show_error(error)


def is_terminal(file: TextIO) -> bool:
    """Return whether a stream is a terminal."""
    return file.isatty()


def stderr_console() -> Console:
    """Return the console of live displays."""
    from rich.console import Console

    return Console(stderr=True)


def _console(file: TextIO | None, *, wide: bool = False) -> Console:
    from rich.console import Console

    return Console(file=file, soft_wrap=True, highlight=False, width=_WIDE if wide else None)


def _plain(value: Any) -> Any:
    """Return plain data: records are dumped, also inside lists and mappings."""
    from yolosweep.records.record import Record

    if isinstance(value, Mapping):
        return {key: _plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(item) for item in value]
    return value.model_dump(mode="json") if isinstance(value, Record) else value
