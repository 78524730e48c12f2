"""The texts that people read use the standard terms: docstrings, messages, pages and templates.

Banned are phrases that a native technical writer would not use, and words that the glossary in ``CONTRIBUTING.md``
replaces. Code in backticks and fenced blocks is exempt, and so are codes such as ``label-stranger``.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
PACKAGE = ROOT / "platform" / "yolosweep"
FILES = sorted(
    path
    for path in [
        *(PACKAGE.rglob("*.py")),
        *(PACKAGE.rglob("*.j2")),
        *(ROOT / "jobs").rglob("*.py"),
        *(ROOT / "jobs").rglob("*.yaml"),
        *(ROOT / "jobs").rglob("*.ipynb"),
        *ROOT.glob("*.md"),
        *(ROOT / "jobs").rglob("*.md"),
        *(ROOT / "cluster").rglob("*.md"),
        *(ROOT / "platform" / "docs").rglob("*.md"),
    ]
    if ".venv" not in path.parts and "runs" not in path.relative_to(ROOT).parts
)

_WHERE = r"(in|on|at|under|beside|below|above|between|outside|inside|within|elsewhere|around|here|there|behind|near)"
BANNED = {
    r"\b(hang|hangs|hung|hanging) on\b": "depends on",
    r"\btold\b(?! apart)": "reported, recorded, given",
    r"\b(tell|tells|telling) of\b": "describes, reports",
    r"\bways? out\b": "fix",
    r"\banew\b": "again; restart",
    r"\b(take|takes|taken|took|taking)( it| them| that)? up again\b": "resume",
    r"\b(take|takes|taken|took|taking) up (a run|this run|an interrupted|the run|a sweep)\b": "resume",
    r"(?<![\w-])strangers?\b": "untrusted; somebody else's",
    r"\bby machines?\b": "automatically; auto-label",
    r"\bit is said\b": "reported",
    r"\b(mend|mends|mended|mending)\b": "repair, fix",
    rf"\b(lie|lies|lay|lain|lying) {_WHERE}\b": "is, is stored, is located",
    r"\bwhoever\b": "anyone who; the caller",
    r"\b(let|lets|letting) (it |them |that )?pass\b": "waive, waived",
    r"\btakes? note that\b": "record",
    r"\b(hold|holds|held|holding) against\b": "compare with",
    r"\bdesks?\b": "sweep controller",
    r"(?<![\w-])(slots?|seats?)\b": "worker",
    r"\b(crown|crowns|crowned|crowning)\b": "select the winner",
    r"\b(the|data) gates?\b": "data checks",
}
"""Pattern, whatever the case, and what to write in its place."""

ALLOWED: set[tuple[str, str]] = set()
"""(file, matched words) that are right where they are; each needs a reason beside it."""


def named(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


def without_code(text: str) -> str:
    """Return a text without fenced blocks and code in backticks, its lines kept."""
    blank = re.compile(r"^```.*?^```|``[^`]+``|`[^`]+`", re.MULTILINE | re.DOTALL)
    return blank.sub(lambda found: "`" + "\n" * found[0].count("\n") + "`", text)


def texts_of(path: Path) -> Iterator[tuple[int, str]]:
    """Yield every text of a file that people read, with its first line."""
    content = path.read_text(encoding="utf-8")
    if path.suffix != ".py":
        yield 1, without_code(content)
        return
    tree = ast.parse(content)
    bare = {id(n.value) for n in ast.walk(tree) if isinstance(n, ast.Expr) and isinstance(n.value, ast.Constant)}
    strings = [n for n in ast.walk(tree) if isinstance(n, ast.Constant) and isinstance(n.value, str)]
    for node in strings:
        # A docstring, or a sentence: a single word is a key or a code.
        if id(node) in bare or " " in str(node.value).strip():
            yield node.lineno, without_code(str(node.value))


def breaches(path: Path) -> list[str]:
    """Return the banned phrases of a file, with their lines and what to write."""
    found = []
    for start, text in texts_of(path):
        for pattern, instead in BANNED.items():
            # A phrase may be broken over two lines.
            for match in re.finditer(pattern.replace(" ", r"\s+"), text, re.IGNORECASE):
                words = " ".join(match[0].split())
                if (named(path), words.lower()) not in ALLOWED:
                    line = start + text.count("\n", 0, match.start())
                    found.append(f"{named(path)}:{line}: {words!r}; write: {instead}")
    return found


@pytest.mark.parametrize("path", FILES, ids=named)
def test_a_file_uses_the_standard_terms(path: Path) -> None:
    found = breaches(path)
    assert found == [], "\n" + "\n".join(found)


def test_the_allow_list_is_not_longer_than_needed() -> None:
    assert len(ALLOWED) < 5
    assert {file for file, _ in ALLOWED} <= {named(path) for path in FILES}


CASES = {
    "It hangs\non the order": ["'hangs on'"],
    "The user was told. Two cannot be told apart.": ["'told'"],
    "the WAY OUT": ["'WAY OUT'"],
    "label-stranger and a stranger": ["'stranger'"],
    "It lies in the folder; scores lie.": ["'lies in'"],
    "`told` and ``anew``": [],
    "amend, told_at, desktop, timeslot, propagate": [],
    "waits for a slot": ["'slot'"],
}


@pytest.mark.parametrize(("text", "expected"), CASES.items())
def test_the_patterns_find_the_phrases_and_nothing_else(
    text: str, expected: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(globals(), "ROOT", tmp_path)
    for name, content in (("x.md", text), ("x.py", f'"""{text}"""\nx = {text!r}\nkey = "told"\n')):
        (tmp_path / name).write_text(content)
        words = [line.split(": ")[1].partition(";")[0] for line in breaches(tmp_path / name)]
        assert words == expected * (2 if name == "x.py" else 1)
