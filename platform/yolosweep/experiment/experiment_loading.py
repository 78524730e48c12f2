"""Reading an experiment: safe YAML 1.2 with line numbers, or plain data; overrides; all faults at once."""

from __future__ import annotations

import json
import shlex
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeAlias

from pydantic import BaseModel
from ruamel.yaml import YAML
from ruamel.yaml.error import MarkedYAMLError, YAMLError
from ruamel.yaml.nodes import MappingNode, Node, SequenceNode

from yolosweep.backends import BACKENDS
from yolosweep.errors import ExperimentError, Fault, UsageError
from yolosweep.experiment.fault_messages import check
from yolosweep.experiment.schema import SAMPLES, Experiment
from yolosweep.experiment.trial_settings import resolved
from yolosweep.storage.addresses import is_address, redacted

__all__ = ["Source", "load_experiment", "override_of", "parse_override", "read_yaml"]

_LIMIT = 1 << 20
_LEVELS = 50
_VALUES = 20_000
"""Far more than an experiment needs: more is a mistake, such as an alias inside the value it names."""
_TOO_DEEP = f"more than {_LEVELS} levels, or an alias (*name) inside the value it names; write the values out"


_NAMELESS = "experiment"
"""What messages call an experiment without a file."""

_DECIDING = ("task", "train.epochs")
"""Keys that defaults depend on: with a fault in one, nothing further is checked."""

Source: TypeAlias = "Path | str | Mapping[str, Any] | Experiment"
"""An experiment file, or the content of one."""

_TRAIN_ARGUMENTS = frozenset(
    ("epochs", "batch", "imgsz", "lr0", "optimizer", "patience", "workers", "device", "mosaic")
)
_ENOUGH = 3
"""So many of them at the top level are no slip: the file is one of Ultralytics' own."""

Further = Callable[[Experiment], Sequence[Fault]]
"""Checks that need more than the file: the data, the rules of the training library."""


def load_experiment(source: Source, overrides: Sequence[str] = (), further: Further | None = None) -> Experiment:
    """Read, check and resolve an experiment. ``data`` becomes absolute; nothing is written.

    Args:
        source: the YAML file; or its content, in which paths are relative to the working directory.
        overrides: ``key=value`` pairs, e.g. ``search.trials=8``; the value is read as YAML.
        further: called with the resolved experiment; its faults are listed with the others.

    Raises:
        ExperimentError: with all faults at once, each with its line.
        UsageError: an override is not ``key=value``, or the content is not plain data.
    """
    path, lines = Path(_NAMELESS), dict[str, int]()
    if isinstance(source, (Mapping, Experiment)):
        content = _plain(source)
    else:
        path = Path(source)
        content, lines = _read(path)
    for text in overrides:
        keys, value = parse_override(text)
        _put(content, keys, value, text)
    _anchor_files(content, path.absolute().parent)
    exp, faults = check(content)
    if exp is not None and not any(fault.key in _DECIDING for fault in faults):
        exp = resolved(_anchored(exp, path))
        known = {fault.key for fault in faults}
        faults = [*faults, *(fault for fault in (further(exp) if further else ()) if fault.key not in known)]
    if exp is None or faults:
        placed = [_with_line(fault, lines, overrides) for fault in faults]
        raise ExperimentError(path.name, sorted(placed, key=lambda fault: fault.line or 0))
    return exp


def _anchored(exp: Experiment, path: Path) -> Experiment:
    """Return an experiment with absolute paths: of its data and model files beside it, and of earlier runs."""
    base = path.absolute().parent
    change: dict[str, Any] = {}
    if exp.data not in SAMPLES and not is_address(exp.data):
        data = Path(exp.data).expanduser()
        change["data"] = str(data if data.is_absolute() else (base / data).resolve())
    runs = tuple(run if is_address(run) else str(Path(run).expanduser().absolute()) for run in exp.search.warm_start)
    files = {name: base / Path(name).expanduser() for name in exp.models}
    exp = exp.with_models({name: str(file.resolve()) for name, file in files.items() if file.is_file()})
    return exp.model_copy(update={**change, "search": exp.search.model_copy(update={"warm_start": runs})})


def _anchor_files(content: dict[str, Any], base: Path) -> None:
    """Make train arguments absolute that name a file relative to the experiment file."""
    train = content.get("train")
    for name in {name for backend in BACKENDS for name in backend.arguments.files}:
        value = train.get(name) if isinstance(train, dict) else None
        if isinstance(value, str) and isinstance(train, dict) and (file := base / Path(value).expanduser()).is_file():
            train[name] = str(file.resolve())


def read_yaml(path: Path) -> tuple[Any, dict[str, int]]:
    """Return the content of a YAML or JSON file, and the line of every dotted key.

    Raises:
        ExperimentError: it is too large, no YAML, or has a key twice.
        UsageError: it cannot be read.
    """
    text = _text(path)
    lines: dict[str, int] = {}
    try:
        node = YAML(typ="safe", pure=True).compose(text)
        twice = list(_collect_lines(node, "", lines))
        if twice:
            raise ExperimentError(path.name, twice)
        content = YAML(typ="safe", pure=True).load(text)
    except RecursionError as error:
        raise ExperimentError(path.name, [Fault(key="YAML", message=_TOO_DEEP)]) from error
    except MarkedYAMLError as error:
        raise ExperimentError(path.name, [_syntax_fault(error, text)]) from error
    except (YAMLError, ValueError) as error:
        raise ExperimentError(path.name, [Fault(key="YAML", message=str(error).splitlines()[0])]) from error
    return content, lines


def _read(path: Path) -> tuple[dict[str, Any], dict[str, int]]:
    """Return the content of an experiment file, and the line of every dotted key."""
    content, lines = read_yaml(path)
    if not isinstance(content, dict):
        what = "is empty" if content is None else "must be a mapping of keys, e.g. name: parking-lot"
        raise ExperimentError(
            path.name, [Fault(key="", message=f"{what}; `yolosweep init DATA` writes a starter file")]
        )
    if found := _other_file(path, content):
        raise UsageError(found)
    return content, lines


def _other_file(path: Path, content: Mapping[str, Any]) -> str | None:
    """Return what a file is that another tool reads, and the command to type; None for an experiment."""
    if "search" in content:
        return None
    if "names" in content and {"train", "val", "path"} & content.keys() and "model" not in content:
        return f"{path} is a data set, not an experiment: yolosweep init {shlex.quote(str(path))}"
    if "parameters" in content and {"method", "program", "command"} & content.keys():
        return f"{path} is a sweep of W&B, not an experiment: yolosweep import {shlex.quote(str(path))}"
    if "train" not in content and ("mode" in content or len(content.keys() & _TRAIN_ARGUMENTS) >= _ENOUGH):
        return f"{path} holds settings of Ultralytics, not an experiment: yolosweep import {shlex.quote(str(path))}"
    return None


def _plain(source: Mapping[str, Any] | Experiment) -> dict[str, Any]:
    """Return a copy of an experiment in memory, as it would be read from a file."""
    content = source.model_dump(mode="json") if isinstance(source, Experiment) else dict(source)
    try:
        plain: dict[str, Any] = json.loads(json.dumps(content, default=_as_written))
    except (TypeError, ValueError, RecursionError) as error:
        raise UsageError(f"the experiment is not plain data (numbers, texts, lists, mappings): {error}") from error
    return plain


def _as_written(value: object) -> object:
    """Return a path, a parameter or a number of an array library as a file would hold it."""
    if isinstance(value, Path):
        return str(value)
    if isinstance(value, BaseModel):
        return value.model_dump(mode="json")
    if callable(item := getattr(value, "item", None)):  # a scalar of NumPy or torch
        return item()
    raise TypeError(f"{value!r} is a {type(value).__name__}")


def _text(path: Path) -> str:
    try:
        if path.is_dir():
            raise UsageError(f"{path} is a folder, not an experiment; of a data set: yolosweep init {path}")
        if path.suffix == ".pt" and path.is_file():
            raise UsageError(
                f"{path} is a model, not an experiment: yolosweep init DATA, and write model: {path} there"
            )
        if path.stat().st_size > _LIMIT:
            raise ExperimentError(path.name, [Fault(key="", message="is over 1 MiB; this is not an experiment file")])
        return path.read_text(encoding="utf-8-sig")
    except FileNotFoundError as error:
        if "=" in str(path):
            raise UsageError(
                f"{redacted(str(path))!r} is not a file: the experiment comes first, as in "
                "yolosweep run experiment.yaml train.epochs=50"
            ) from error
        raise UsageError(
            f"there is no file {redacted(str(path))}; `yolosweep init DATA` writes a starter file"
        ) from error
    except UnicodeDecodeError as error:
        raise UsageError(f"cannot read {path}: it is not UTF-8 (byte {error.start + 1}); save it as UTF-8") from error
    except OSError as error:
        raise UsageError(f"cannot read {redacted(str(path))}: {error.strerror}") from error


def _syntax_fault(error: MarkedYAMLError, text: str) -> Fault:
    """Return where the file stops being YAML, and what usually helps."""
    mark = error.problem_mark or error.context_mark
    line = mark.line + 1 if mark else None
    written = text.splitlines()[line - 1] if line and line <= len(text.splitlines()) else ""
    problem = str(error.problem or error.context)
    if "\t" in written[: len(written) - len(written.lstrip())]:
        hint = "the line begins with a tab; YAML indents with spaces"
    elif "'\\t'" in problem:
        hint = "write spaces in place of the tab"
    elif "another document" in problem:
        hint = "an experiment is a single document; remove the line ---"
    elif "mapping values are not allowed" in problem:
        hint = "put the value in quotes if it holds a colon, and check the indentation"
    else:
        hint = "check the indentation, the brackets and the quotes of this line and the one above"
    return Fault(key="YAML", message=f"{problem}; {hint}", line=line)


def _collect_lines(node: Node | None, prefix: str, lines: dict[str, int], level: int = 0) -> Iterator[Fault]:
    """Fill in the line of every dotted key; yield a fault for each key that occurs twice in its mapping.

    Raises:
        RecursionError: more levels than an experiment has.
        ValueError: more values than an experiment has; an alias counts as often as it is used.
    """
    if level > _LEVELS:
        raise RecursionError
    if len(lines) > _VALUES:
        raise ValueError(f"more than {_VALUES} values, aliases written out; this is not an experiment file")
    if isinstance(node, MappingNode):
        first: dict[str, int] = {}
        for key, value in node.value:
            name, line = str(key.value), key.start_mark.line + 1
            dotted = f"{prefix}.{name}" if prefix else name
            if name in first:
                message = f"is written twice (first on line {first[name]}); remove one"
                yield Fault(key=dotted, message=message, line=line)
            lines[dotted] = first[name] = line
            yield from _collect_lines(value, dotted, lines, level + 1)
    elif isinstance(node, SequenceNode):
        for index, value in enumerate(node.value):
            lines[f"{prefix}[{index}]"] = value.start_mark.line + 1
            yield from _collect_lines(value, f"{prefix}[{index}]", lines, level + 1)


def parse_override(text: str) -> tuple[list[str], Any]:
    """Split ``search.trials=8`` into its keys and its value, read as YAML.

    Raises:
        UsageError: it has no ``=`` or an empty key, or the value is not YAML.
    """
    key, separator, value = text.partition("=")
    if not separator or not key or not all(key.split(".")):
        raise UsageError(f"{redacted(text)!r} is not an override; write key=value, e.g. search.trials=8")
    try:
        return key.split("."), YAML(typ="safe", pure=True).load(value)
    except YAMLError as error:
        raise UsageError(f"{text!r}: the value is not YAML; quote it, e.g. '{key}=\"...\"'") from error


def override_of(key: str, value: Any) -> str:
    """Return the override that sets a dotted key to a value; :func:`parse_override` reads it back.

    Raises:
        UsageError: the value is not plain data.
    """
    try:
        return f"{key}={json.dumps(value, ensure_ascii=False, default=_as_written)}"  # JSON is YAML
    except (TypeError, ValueError, RecursionError) as error:
        raise UsageError(f"{key}={value!r} is not plain data: {error}") from error


def _put(content: dict[str, Any], keys: Sequence[str], value: Any, text: str) -> None:
    for key in keys[:-1]:
        below = content[key] = {} if content.get(key) is None else content[key]
        if not isinstance(below, dict):
            raise UsageError(f"{text!r}: {key} holds a single value, so nothing can be set below it")
        content = below
    content[keys[-1]] = value


def _with_line(fault: Fault, lines: Mapping[str, int], overrides: Sequence[str]) -> Fault:
    """Return the fault with the line of its key, or of the nearest key above it in the file."""
    key = fault.key
    typed = next((text for text in overrides if f"{key}.".startswith(f"{text.partition('=')[0]}.")), None)
    if typed is not None:  # it came from the command line, not from a line of the file
        meant = fault.message.partition("did you mean ")[2].removesuffix("?") if key == typed.partition("=")[0] else ""
        fix = f"; type {meant}={typed.partition('=')[2]}" if meant and "unknown key" in fault.message else ""
        return Fault(key=key, message=fault.message + fix)
    while key and key not in lines:
        key = key[: max(key.rfind("."), key.rfind("["), 0)]
    return Fault(key=fault.key, message=fault.message, line=lines.get(key))
