"""Untrusted YAML: PyYAML's own nodes and scalar rules, with bounds, without tags, and with the line of each value."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from yolosweep.data.model.finding_codes import finding
from yolosweep.data.model.safe_paths import printable, read_regular
from yolosweep.errors import DataError
from yolosweep.records import Finding

__all__ = ["Document", "read_yaml"]

_BYTES = 1 << 20
_DEPTH = 16
_NODES = 50_000
"""ImageNet-21k, the longest list of classes in use, has 44,000 as a mapping."""
_LONGEST_NUMBER = 300
"""Characters; PyYAML's time for a sexagesimal number grows with the square of its length."""

_CONTROL = re.compile("[^\t\n\r\x20-\x7e\x85\xa0-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]+")
"""What Ultralytics' ``YAML.load`` removes before its second attempt."""

_AS_TEXT = {f"tag:yaml.org,2002:{name}" for name in ("timestamp", "merge", "value")}
"""Implicit tags that are not resolved; Ultralytics turns dates into text, too."""

Key = tuple[Any, ...]


@dataclass(frozen=True, kw_only=True)
class Document:
    """The content of a YAML file; positions in it are tuples of keys and indices, e.g. ``("names", 3)``."""

    content: dict[Any, Any]
    """As PyYAML reads it; the last one of a duplicate key counts."""
    lines: dict[Key, int] = field(default_factory=dict)
    """Line of every value, counted from 1."""
    written: dict[Key, str] = field(default_factory=dict)
    """Source text of every scalar, without quotes: ``no`` where the content has False."""
    findings: tuple[Finding, ...] = ()


def read_yaml(path: Path) -> Document:
    """Read a mapping from a file of at most 1 MiB, 16 levels and 50,000 values (an alias counts what it repeats).

    Raises:
        DataError: The file is unreadable, not valid YAML, or uses a tag (``!!python/…``); the message names the line.
    """
    findings: list[Finding] = []
    text = _text(path, findings)
    reader, content = _read(path, text)
    if content is None:
        raise DataError(f"{printable(path)} is empty; it must be a mapping with train:, val: and names:")
    if not isinstance(content, dict):
        raise DataError(f"{printable(path)} must be a mapping with train:, val: and names:")
    for key, (first, last) in reader.twice.items():
        name = printable(".".join(map(str, key)))
        message = f"{name}: is on line {first} and again on line {last}; the last one counts, as in Ultralytics"
        findings.append(finding("yaml-key-twice", message, file=str(path), line=last))
    return Document(content=content, lines=reader.lines, written=reader.written, findings=tuple(findings))


def _read(path: Path, text: str) -> tuple[_Reader, Any]:
    try:
        _check(text)
        loader = _Loader(text)
        node, reader = loader.get_single_node(), _Reader(loader)
        return reader, None if node is None else reader.value(node, ())
    except yaml.YAMLError as error:
        raise DataError(_explained(path, text, error)) from error


def _check(text: str) -> None:
    """Raise for a tag or a second document, and beyond the bounds: from here on recursion and memory are bounded."""
    sizes: dict[str, int] = {}
    parents: list[tuple[str | None, int]] = []
    count = documents = 0
    for event in yaml.parse(text, Loader=_Loader):
        if isinstance(event, yaml.DocumentStartEvent):
            documents += 1
            if documents > 1:
                raise _Refused(event, "a second document begins (---); keep one")
        elif isinstance(event, yaml.CollectionEndEvent):
            anchor, before = parents.pop()
            if anchor is not None:
                sizes[anchor] = count - before
        elif isinstance(event, yaml.NodeEvent):
            alias, before = isinstance(event, yaml.AliasEvent), count
            if alias and event.anchor not in sizes:
                raise _Refused(event, f"*{printable(event.anchor, 40)} refers to nothing that is complete before it")
            if not alias and event.tag is not None:
                tag = printable(event.tag, 60)
                raise _Refused(event, f"the tag {tag} is not followed; a data.yaml needs none, remove it")
            count += sizes[event.anchor] if alias else 1
            if count > _NODES:
                raise _Refused(event, f"more than {_NODES} values; this is not a data.yaml")
            if len(parents) > _DEPTH:
                raise _Refused(event, f"more than {_DEPTH} levels; this is not a data.yaml")
            if isinstance(event, yaml.CollectionStartEvent):
                parents.append((event.anchor, before))
            elif not alias and event.anchor is not None:
                sizes[event.anchor] = 1


def _text(path: Path, findings: list[Finding]) -> str:
    raw = read_regular(path, _BYTES)
    if raw[:2] in (b"\xff\xfe", b"\xfe\xff") or raw[:200].count(0) > len(raw[:200]) // 4:
        raise DataError(
            f"{printable(path)} is in UTF-16; save it as UTF-8 (Windows Notepad: Save as, Encoding UTF-8; "
            "PowerShell: Out-File -Encoding utf8)"
        )
    text = raw.decode("utf-8-sig", errors="replace")
    bad = re.search("\ufffd", text) if b"\xef\xbf\xbd" not in raw else None
    text = raw.decode("utf-8-sig", errors="ignore")
    bad = bad or _CONTROL.search(text)
    if bad:
        line = text.count("\n", 0, bad.start()) + 1
        message = "invalid UTF-8 or control characters are removed, as in Ultralytics: names may lose letters"
        findings.append(finding("yaml-bytes", message, file=str(path), line=line))
    return _CONTROL.sub("", text)


def _explained(path: Path, text: str, error: Exception) -> str:
    """Return a syntax error in plain words, for readers who rarely write YAML."""
    mark = getattr(error, "problem_mark", None) or getattr(error, "context_mark", None)
    number = mark.line + 1 if mark is not None else 1
    lines = text.splitlines()
    line = lines[number - 1] if number <= len(lines) else ""
    problem = getattr(error, "problem", None) or str(error).partition("\n")[0]
    if isinstance(error, _Refused):
        hint = problem
    elif "nesting depth" in problem:  # libyaml's own bound, which it meets first on one line
        hint = f"more than {_DEPTH} levels; this is not a data.yaml"
    elif "occurrence" in problem:
        hint = "an anchor (&name) is defined twice; rename one"
    elif "\t" in line[: len(line) - len(line.lstrip())]:
        hint = "the line begins with a tab; YAML allows only spaces there"
    elif re.search("escape|hexdecimal", problem) and "\\" in line:
        hint = "a backslash is an escape in double quotes; write the path with / or in single quotes"
    elif "mapping values" in problem:
        hint = "quote text that contains a colon and a space, and align each key with the others"
    else:
        hint = printable(problem)
    return f"{printable(path)} cannot be read as YAML: line {number}: {hint}"


class _Refused(yaml.MarkedYAMLError):  # type: ignore[misc]
    """Valid YAML that no data.yaml needs."""

    def __init__(self, at: Any, problem: str) -> None:
        super().__init__(problem=problem, problem_mark=at.start_mark)


class _Loader(getattr(yaml, "CSafeLoader", yaml.SafeLoader)):  # type: ignore[misc]
    """Ultralytics' loader, which is libyaml's where PyYAML has it, without some implicit tags."""

    yaml_implicit_resolvers = {  # noqa: RUF012  (PyYAML's way to choose resolvers)
        first: [(tag, pattern) for tag, pattern in resolvers if tag not in _AS_TEXT]
        for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
    }


class _Reader:
    """Turns nodes into values and records where each one is."""

    def __init__(self, loader: _Loader) -> None:
        self.lines: dict[Key, int] = {}
        self.written: dict[Key, str] = {}
        self.twice: dict[Key, tuple[int, int]] = {}
        self._loader = loader
        self._collections: dict[int, Any] = {}
        """By node; an alias is complete before it is used again, so that nothing is converted twice."""

    def value(self, node: Any, key: Key) -> Any:
        self.lines.setdefault(key, node.start_mark.line + 1)
        if isinstance(node, yaml.ScalarNode):
            self.written[key] = node.value
            return self._scalar(node)
        if id(node) not in self._collections:
            sequence = isinstance(node, yaml.SequenceNode)
            self._collections[id(node)] = self._sequence(node, key) if sequence else self._mapping(node, key)
        return self._collections[id(node)]

    def _scalar(self, node: Any) -> Any:
        if len(node.value) > _LONGEST_NUMBER:
            return node.value
        try:
            return self._loader.construct_object(node)
        except ValueError:
            return node.value  # e.g. 0x_, which PyYAML resolves to a number and then cannot convert

    def _sequence(self, node: Any, key: Key) -> list[Any]:
        return [self.value(item, (*key, index)) for index, item in enumerate(node.value)]

    def _mapping(self, node: Any, key: Key) -> dict[Any, Any]:
        content: dict[Any, Any] = {}
        for name_node, value_node in node.value:
            merge = name_node.value == "<<" and not name_node.style
            if merge or not isinstance(name_node, yaml.ScalarNode):
                raise _Refused(name_node, "a key must be a plain word or a number (and << is not followed)")
            name, line = self._scalar(name_node), name_node.start_mark.line + 1
            place = (*key, name)
            if name in content:
                self.twice[place] = (self.lines[place], line)
            self.lines[place] = line
            content[name] = self.value(value_node, place)
        return content
