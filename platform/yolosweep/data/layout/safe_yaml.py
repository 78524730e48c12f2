"""A stranger's YAML: bounded, without tags, and read to the same values as Ultralytics reads (PyYAML, YAML 1.1)."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from yolosweep.data.model.finding_codes import finding
from yolosweep.data.model.safe_paths import read_regular, shown
from yolosweep.errors import DataError
from yolosweep.records import Finding

__all__ = ["Document", "read_yaml"]

_BYTES = 1 << 20
_DEPTH = 16
_NODES = 50_000
"""ImageNet-21k, the longest list of classes in use, has 44,000 as a mapping."""

_CONTROL = re.compile("[^\t\n\r\x20-\x7e\x85\xa0-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]+")
"""What Ultralytics' ``YAML.load`` takes out before it tries a second time."""

_WORDS: dict[str, bool | None] = {
    **{form: value for word, value in (("yes", True), ("true", True), ("on", True), ("no", False), ("false", False),
       ("off", False), ("null", None)) for form in (word, word.capitalize(), word.upper())},
    **{"~": None, "": None},
}  # fmt: skip
_INT = re.compile(r"[-+]?(0b[01_]+|0[0-7_]*|[1-9][0-9_]*|0x[0-9a-fA-F_]+|[1-9][0-9_]*(:[0-5]?[0-9])+)")
_FLOAT = re.compile(
    r"[-+]?[0-9][0-9_]*\.[0-9_]*([eE][-+][0-9]+)?|\.[0-9][0-9_]*([eE][-+][0-9]+)?"
    r"|[-+]?[0-9][0-9_]*(:[0-5]?[0-9])+\.[0-9_]*|[-+]?\.(inf|Inf|INF)|\.(nan|NaN|NAN)"
)

Key = tuple[Any, ...]


@dataclass(frozen=True, kw_only=True)
class Document:
    """What stands in a YAML file; places in it are tuples of keys and indices, e.g. ``("names", 3)``."""

    content: dict[Any, Any]
    """As PyYAML reads it; of a key that stands twice the last one counts."""
    lines: dict[Key, int] = field(default_factory=dict)
    """Line of every value, counted from 1."""
    written: dict[Key, str] = field(default_factory=dict)
    """The text of every single value, without quotes: ``no`` where the content has False."""
    findings: tuple[Finding, ...] = ()


def read_yaml(path: Path) -> Document:
    """Read a mapping from a file of at most 1 MiB, 16 levels and 50,000 values (an alias counts what it repeats).

    Raises:
        DataError: it is no such file, no YAML, or asks for a tag (``!!python/…``); the message names the line.
    """
    findings: list[Finding] = []
    text = _text(path, findings)
    builder, content = _built(path, text)
    if content is None:
        raise DataError(f"{shown(path)} is empty; it must be a mapping with train:, val: and names:")
    if not isinstance(content, dict):
        raise DataError(f"{shown(path)} must be a mapping with train:, val: and names:")
    for key, (first, last) in builder.twice.items():
        name = shown(".".join(map(str, key)))
        said = f"{name}: stands on line {first} and again on line {last}; the last one counts, as in Ultralytics"
        findings.append(finding("yaml-key-twice", said, file=str(path), line=last))
    return Document(content=content, lines=builder.lines, written=builder.written, findings=tuple(findings))


def _built(path: Path, text: str, *, again: bool = True) -> tuple[_Builder, Any]:
    from ruamel.yaml import YAML
    from ruamel.yaml.error import YAMLError

    parser = YAML(typ="safe", pure=True)
    parser.version = "1.1"
    builder = _Builder(path)
    try:
        return builder, builder.document(iter(parser.parse(text)))
    except YAMLError as error:
        if again and "\t" in text:
            # PyYAML lets tabs stand between words and at the end of a line, ruamel does not.
            return _built(path, re.sub(r"(?<=[^\s])[ \t]*\t", "  ", text), again=False)
        raise DataError(_explained(path, text, error)) from error


def _text(path: Path, findings: list[Finding]) -> str:
    raw = read_regular(path, _BYTES)
    if raw[:2] in (b"\xff\xfe", b"\xfe\xff") or raw[:200].count(0) > len(raw[:200]) // 4:
        raise DataError(
            f"{shown(path)} is in UTF-16; save it as UTF-8 (Windows Notepad: Save as, Encoding UTF-8; "
            "PowerShell: Out-File -Encoding utf8)"
        )
    text = raw.decode("utf-8-sig", errors="replace")
    bad = re.search("\ufffd", text) if b"\xef\xbf\xbd" not in raw else None
    text = raw.decode("utf-8-sig", errors="ignore")
    cleaned = _CONTROL.sub("", text)
    if bad or cleaned != text:
        start = bad.start() if bad else _CONTROL.search(text).start()  # type: ignore[union-attr]
        line = text.count("\n", 0, start) + 1
        said = (
            "bytes that are not UTF-8, or control characters, are left out, as Ultralytics does: names may lose letters"
        )
        findings.append(finding("yaml-bytes", said, file=str(path), line=line))
    return cleaned


def _explained(path: Path, text: str, error: Exception) -> str:
    """Return what is wrong with the syntax, in words for somebody who writes YAML twice a year."""
    mark = getattr(error, "problem_mark", None) or getattr(error, "context_mark", None)
    number = mark.line + 1 if mark is not None else 1
    lines = text.splitlines()
    line = lines[number - 1] if number <= len(lines) else ""
    problem = shown(getattr(error, "problem", None) or str(error).partition("\n")[0])
    if "\t" in line[: len(line) - len(line.lstrip())]:
        hint = "the line begins with a tab, and YAML allows only spaces there"
    elif "escape" in f"{problem} {error}" and "\\" in line:
        hint = "in double quotes a backslash has a meaning; write the path with / or in single quotes"
    elif "mapping values" in problem:
        hint = "a text with a colon and a space in it must stand in quotes, and a key must begin where the others do"
    else:
        hint = problem
    return f"{shown(path)} cannot be read as YAML: line {number}: {hint}"


class _Builder:
    """Puts a document together from the parser's events and keeps count: nothing is built beyond the bounds."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.lines: dict[Key, int] = {}
        self.written: dict[Key, str] = {}
        self.twice: dict[Key, tuple[int, int]] = {}
        self._anchors: dict[str, tuple[Any, int]] = {}
        self._count = 0

    def document(self, events: Iterator[Any]) -> Any:
        self._events = events
        content = None
        documents = 0
        for event in events:
            if type(event).__name__ == "DocumentStartEvent":
                documents += 1
                if documents > 1:
                    raise self._refused(event, "a second document begins (---); keep one")
                content = self._value(next(events), (), 0)
        return content

    def _refused(self, event: Any, why: str) -> DataError:
        return DataError(f"{shown(self.path)} cannot be read as YAML: line {event.start_mark.line + 1}: {why}")

    def _value(self, event: Any, key: Key, depth: int) -> Any:
        kind = type(event).__name__
        before = self._count
        self._count += 1 if kind != "AliasEvent" else self._anchors.get(event.anchor, (None, 0))[1]
        if self._count > _NODES:
            raise self._refused(event, f"more than {_NODES} values; this is not a data.yaml")
        if depth > _DEPTH:
            raise self._refused(event, f"more than {_DEPTH} levels; this is not a data.yaml")
        self.lines[key] = event.start_mark.line + 1
        if kind == "AliasEvent":
            if event.anchor not in self._anchors:
                raise self._refused(event, f"*{shown(event.anchor, 40)} names nothing that was finished before it")
            return self._anchors[event.anchor][0]
        tag = getattr(event, "tag", None)
        if tag is not None:
            raise self._refused(event, f"the tag {shown(tag, 60)} is not followed; a data.yaml needs none, remove it")
        if kind == "ScalarEvent":
            self.written[key] = event.value
            value: Any = _resolved(event.value) if event.implicit[0] else event.value
        else:
            value = self._mapping(key, depth) if kind == "MappingStartEvent" else self._sequence(key, depth)
        if event.anchor is not None:
            self._anchors[event.anchor] = (value, self._count - before)
        return value

    def _sequence(self, key: Key, depth: int) -> list[Any]:
        items: list[Any] = []
        while type(event := next(self._events)).__name__ != "SequenceEndEvent":
            items.append(self._value(event, (*key, len(items)), depth + 1))
        return items

    def _mapping(self, key: Key, depth: int) -> dict[Any, Any]:
        content: dict[Any, Any] = {}
        while type(event := next(self._events)).__name__ != "MappingEndEvent":
            name = self._value(event, (*key, None), depth + 1)
            if isinstance(name, (list, dict)) or (name == "<<" and event.implicit[0]):
                raise self._refused(event, "a key must be a plain word or a number (and << is not followed)")
            place = (*key, name)
            first = self.lines.get(place) if name in content else None
            if first is not None:
                self.twice[place] = (first, event.start_mark.line + 1)
            content[name] = self._value(next(self._events), place, depth + 1)
            self.lines[place] = event.start_mark.line + 1
        return content


def _resolved(text: str) -> Any:
    """Return what PyYAML makes of an unquoted text; dates stay text, which is what Ultralytics makes of them."""
    if text in _WORDS:
        return _WORDS[text]
    whole, broken = _INT.fullmatch(text), _FLOAT.fullmatch(text)
    if len(text) > 300 or not (whole or broken):
        return text
    sign, digits = (-1 if text[0] == "-" else 1), text.lstrip("+-").replace("_", "").lower()
    try:
        if ":" in digits:
            parts = [float(part) if broken else int(part) for part in digits.split(":")]
            return sign * sum(part * 60**power for power, part in enumerate(reversed(parts)))
        if broken:
            return sign * float(digits.replace(".inf", "inf").replace(".nan", "nan"))
        base = {"0b": 2, "0x": 16}.get(digits[:2], 8 if digits[0] == "0" and len(digits) > 1 else 10)
        return sign * int(digits, base)
    except ValueError:
        return text  # e.g. 0x_, over which PyYAML stumbles
