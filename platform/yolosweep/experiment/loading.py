"""Reading experiment.yaml: safe YAML 1.2 with line numbers, overrides from the command line, all faults at once."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ValidationError
from ruamel.yaml import YAML
from ruamel.yaml.constructor import DuplicateKeyError
from ruamel.yaml.error import MarkedYAMLError, YAMLError
from ruamel.yaml.nodes import MappingNode, Node, SequenceNode

from yolosweep.errors import ExperimentError, Fault, UsageError
from yolosweep.experiment.lint import lint, nearest_name
from yolosweep.experiment.schema import Experiment
from yolosweep.experiment.settings import resolved
from yolosweep.experiment.space import Parameter

__all__ = ["load_experiment", "parse_override"]

_LIMIT = 1 << 20


def load_experiment(path: Path | str, overrides: Sequence[str] = ()) -> Experiment:
    """Read, check and resolve an experiment file. ``data`` becomes absolute; nothing is written.

    Args:
        path: the YAML file.
        overrides: ``key=value`` pairs, e.g. ``search.trials=8``; the value is read as YAML.

    Raises:
        ExperimentError: with all faults at once, each with its line.
        UsageError: an override is not ``key=value``.
    """
    path = Path(path)
    content, lines = _read(path)
    for text in overrides:
        keys, value = parse_override(text)
        _put(content, keys, value, text)
    faults: list[Fault] = []
    exp: Experiment | None = None
    try:
        exp = Experiment.model_validate(content)
    except ValidationError as error:
        faults = [_fault(item, content) for item in error.errors()]
    if exp is not None:
        faults = lint(exp)
    if faults or exp is None:
        raise ExperimentError(path.name, [_with_line(fault, lines) for fault in _unique(faults)])
    return resolved(exp.model_copy(update=_anchored(exp, path)))


def _anchored(exp: Experiment, path: Path) -> dict[str, Any]:
    """Make what is relative to the experiment file absolute: the data, and a model file that lies beside it."""
    base = path.absolute().parent
    data = Path(exp.data).expanduser()
    change: dict[str, Any] = {"data": str(data if data.is_absolute() else (base / data).resolve())}
    model = base / Path(exp.model).expanduser()
    if model.is_file():
        change["model"] = str(model.resolve())
    return change


def _read(path: Path) -> tuple[dict[str, Any], dict[str, int]]:
    """Return the file's content and the line of every dotted key."""
    try:
        if path.stat().st_size > _LIMIT:
            raise ExperimentError(path.name, [Fault(key="", message="is over 1 MiB; this is not an experiment file")])
        text = path.read_text(encoding="utf-8-sig")
    except FileNotFoundError as error:
        raise UsageError(f"there is no file {path}; `yolosweep init DATA` writes a starter file") from error
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"cannot read {path}: {error}") from error
    try:
        node = YAML(typ="safe", pure=True).compose(text)
        content = YAML(typ="safe", pure=True).load(text)
    except DuplicateKeyError as error:
        mark = error.problem_mark
        first = str(error.problem).splitlines()[0]
        raise ExperimentError(
            path.name, [Fault(key="", message=f"{first}: a key may stand only once", line=None)]
            if mark is None
            else [Fault(key=_word(text, mark.line), message="stands twice; remove one", line=mark.line + 1)],
        ) from error
    except MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        line = mark.line + 1 if mark else None
        raise ExperimentError(
            path.name, [Fault(key="YAML", message=f"{error.problem or error.context}; check the indentation", line=line)]
        ) from error
    except (YAMLError, ValueError) as error:
        raise ExperimentError(path.name, [Fault(key="YAML", message=str(error).splitlines()[0])]) from error
    if not isinstance(content, dict):
        raise ExperimentError(path.name, [Fault(key="", message="must be a mapping of keys; see `yolosweep init`")])
    lines: dict[str, int] = {}
    _collect_lines(node, "", lines)
    return content, lines


def _word(text: str, line: int) -> str:
    return text.splitlines()[line].split(":")[0].strip(" {,-")


def _collect_lines(node: Node | None, prefix: str, lines: dict[str, int]) -> None:
    if isinstance(node, MappingNode):
        for key, value in node.value:
            dotted = f"{prefix}.{key.value}" if prefix else str(key.value)
            lines[dotted] = key.start_mark.line + 1
            _collect_lines(value, dotted, lines)
    elif isinstance(node, SequenceNode):
        for index, value in enumerate(node.value):
            lines[f"{prefix}[{index}]"] = value.start_mark.line + 1
            _collect_lines(value, f"{prefix}[{index}]", lines)


def parse_override(text: str) -> tuple[list[str], Any]:
    """Split ``search.trials=8`` into its keys and its value, read as YAML.

    Raises:
        UsageError: it has no ``=`` or an empty key, or the value is not YAML.
    """
    key, separator, value = text.partition("=")
    if not separator or not key or not all(key.split(".")):
        raise UsageError(f"{text!r} is not an override; write key=value, e.g. search.trials=8")
    try:
        return key.split("."), YAML(typ="safe", pure=True).load(value)
    except YAMLError as error:
        raise UsageError(f"{text!r}: the value is not YAML; quote it, e.g. '{key}=\"...\"'") from error


def _put(content: dict[str, Any], keys: Sequence[str], value: Any, text: str) -> None:
    for key in keys[:-1]:
        below = content.setdefault(key, {})
        if not isinstance(below, dict):
            raise UsageError(f"{text!r}: {key} holds a single value, so nothing can be set below it")
        content = below
    content[keys[-1]] = value


def _fault(item: Mapping[str, Any], content: Mapping[str, Any]) -> Fault:
    """Turn one pydantic finding into a fault in the words of the file."""
    where = [part for part in item["loc"] if part not in ("int", "float", "literal['auto']", "constrained-float")]
    where = [part for part in where if not (isinstance(part, str) and ("[" in part or part.startswith("function")))]
    key = _dotted(where)
    kind, message = item["type"], str(item["msg"]).removeprefix("Value error, ")
    if kind == "extra_forbidden":
        siblings = _fields_at(where[:-1])
        guess = nearest_name(str(where[-1]), siblings)
        parent = f"{_dotted(where[:-1])}." if where[:-1] else ""
        hint = f"did you mean {parent}{guess}?" if guess else f"known here: {', '.join(sorted(siblings))}"
        message = f"unknown key; {hint}"
    elif kind == "missing":
        message = "is missing; " + (_example_of(key) or "it has no default")
    elif kind != "value_error":
        message = f"{_shown(item.get('input'))}: {message[:1].lower()}{message[1:]}"
    return Fault(key=key, message=message)


def _example_of(key: str) -> str | None:
    examples = {
        "name": "write e.g. name: parking-lot",
        "model": "write e.g. model: yolo26n.pt",
        "data": "write e.g. data: data.yaml",
        "search": "write what to search, e.g. search: {trials: 20, parameters: {lr0: {min: 0.001, max: 0.1}}}",
        "search.parameters": "write what to search, e.g. parameters: {lr0: {min: 0.001, max: 0.1}}",
    }
    return examples.get(key)


def _shown(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 60 else text[:57] + "..."


def _dotted(where: Sequence[str | int]) -> str:
    text = ""
    for part in where:
        text += f"[{part}]" if isinstance(part, int) else f".{part}" if text else str(part)
    return text


def _fields_at(where: Sequence[str | int]) -> set[str]:
    """Return the keys that may stand at a place in the file."""
    model: type[BaseModel] = Experiment
    for part in where:
        if model is Experiment and part == "search":
            model = Experiment.model_fields["search"].annotation or Experiment
        elif part == "parameters":
            return set(Parameter.model_fields)
        else:
            field = model.model_fields.get(str(part))
            inner = _model_in(field.annotation) if field else None
            model = inner or model
    return set(model.model_fields)


def _model_in(annotation: Any) -> type[BaseModel] | None:
    for candidate in (annotation, *getattr(annotation, "__args__", ())):
        if isinstance(candidate, type) and issubclass(candidate, BaseModel):
            return candidate
    return None


def _unique(faults: Sequence[Fault]) -> list[Fault]:
    """Keep one fault per key and message: a union's branches each report, the first says it best."""
    seen: dict[str, Fault] = {}
    for fault in faults:
        seen.setdefault(f"{fault.key}|{'' if fault.key.startswith('resources') else fault.message}", fault)
    return list(seen.values())


def _with_line(fault: Fault, lines: Mapping[str, int]) -> Fault:
    """Add the line of the key, or of the nearest key above it that stands in the file."""
    key = fault.key
    while key and key not in lines:
        key = key[: max(key.rfind("."), key.rfind("["), 0)]
    return Fault(key=fault.key, message=fault.message, line=lines.get(key))
