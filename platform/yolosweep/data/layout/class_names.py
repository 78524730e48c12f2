"""The classes and keypoints of a data.yaml, as written."""

from __future__ import annotations

from collections import defaultdict
from pathlib import Path
from typing import Any

from yolosweep.data.layout.safe_yaml import Document
from yolosweep.data.model.finding_codes import finding
from yolosweep.data.model.safe_paths import printable
from yolosweep.errors import Fault
from yolosweep.records import Finding

__all__ = ["class_names", "kept_keys"]

_KEPT = ("kpt_shape", "flip_idx", "kpt_names", "channels")


def class_names(document: Document, source: Path, faults: list[Fault], findings: list[Finding]) -> dict[int, str]:
    """Return the classes by number; add errors to ``faults`` and oddities to ``findings``."""
    names, line = document.content.get("names"), document.lines.get(("names",))
    count = _count(document, faults)
    if names is None and count:
        message = f"names: is missing; the {count} classes are named class_0 to class_{count - 1}, as Ultralytics does"
        findings.append(finding("yaml-names-missing", message, file=str(source)))
        return {number: f"class_{number}" for number in range(count)}
    wrong = _wrong(names)
    if wrong and names is None and document.content.get("classes"):
        wrong, line = "classes: is not read; call the key names:", document.lines.get(("classes",))
    if wrong:
        faults.append(Fault(key="names", message=wrong, line=line))
        return {}
    given: dict[Any, Any] = names if isinstance(names, dict) else dict(enumerate(names or ()))
    clean: dict[int, str] = {}
    for key, value in given.items():
        number, place = int(key), ("names", key)
        if number in clean:
            faults.append(
                Fault(key="names", message=f"class {number} is defined twice", line=document.lines.get(place))
            )
        clean[number] = document.written.get(place, str(value))
        if not clean[number].strip():
            message = f"class {number} has no name; write one, e.g. class_{number}"
            faults.append(Fault(key="names", message=message, line=document.lines.get(place)))
    if sorted(clean) != list(range(len(clean))):
        message = f"class numbers in names: must be 0 to {len(clean) - 1} without gaps, not {printable(sorted(clean))}"
        faults.append(Fault(key="names", message=message, line=line))
    if count is not None and count != len(clean):
        message = f"nc: {count} but names: has {len(clean)} classes; remove nc:, or correct names:"
        faults.append(Fault(key="nc", message=message, line=document.lines.get(("nc",))))
    findings += _odd(document, given, clean, source)
    return dict(sorted(clean.items()))


def _count(document: Document, faults: list[Fault]) -> int | None:
    """Return ``nc`` as Ultralytics accepts it: also ``"3"`` and ``3.0``."""
    if "nc" not in document.content:
        return None
    given = document.content["nc"]
    try:
        count = int(float(given))
        if isinstance(given, bool) or count != float(given) or not 0 < count <= 1_000_000:
            raise ValueError
    except (TypeError, ValueError, OverflowError):
        message = f"nc: {printable(given, 40)} must be the number of classes; remove nc:, names: suffices"
        faults.append(Fault(key="nc", message=message, line=document.lines.get(("nc",))))
        return None
    return count


def _wrong(names: Any) -> str:
    """Return why ``names`` is not a list of classes; empty if it is."""
    if isinstance(names, str) and names.strip():
        listed = ", ".join(part.strip() for part in names.split(",") if part.strip())
        return f"names: must be a list of classes, not one string; write names: [{printable(listed)}]"
    if not isinstance(names, (list, dict)) or not names:
        return "names: must list the classes, e.g. names: [red_car, car]"
    values = list(names.values()) if isinstance(names, dict) else names
    if any(isinstance(value, (list, dict)) for value in values):
        return "names: must be one flat list of names, e.g. names: [red_car, car]"
    if isinstance(names, dict):
        try:
            [int(key) for key in names]
        except (TypeError, ValueError, OverflowError):
            example = "{0: red_car, 1: car}"
            if all(isinstance(value, int) for value in values):
                pairs = sorted((value, key) for key, value in names.items())[:8]
                example = "{" + ", ".join(f"{value}: {printable(key, 40)}" for value, key in pairs) + "}"
            return f"the keys of names: must be class numbers, e.g. names: {example}"
    return ""


def _odd(document: Document, given: dict[Any, Any], clean: dict[int, str], source: Path) -> list[Finding]:
    findings = []
    for key, value in given.items():
        written = clean[int(key)]
        if not isinstance(value, str) and written.strip():
            kind = {bool: "a boolean", type(None): "null"}.get(type(value), "a number")
            message = f"class {int(key)} is named {printable(written, 60)!r}, which YAML reads as {kind}"
            if str(value) != written:
                message += f": Ultralytics would name it {str(value)!r}; the name is kept as written"
            findings.append(
                finding("yaml-names-plain", message, file=str(source), line=document.lines.get(("names", key)))
            )
    numbers: dict[str, list[int]] = defaultdict(list)
    for number, name in sorted(clean.items()):
        numbers[name].append(number)
    for name, same in numbers.items():
        if len(same) > 1:
            message = f"classes {printable(', '.join(map(str, same)))} are all named {printable(name, 60)!r}"
            line = next((document.lines.get(("names", key)) for key in given if int(key) == same[1]), None)
            findings.append(finding("yaml-names-twice", message, file=str(source), line=line, count=len(same)))
    return findings


def kept_keys(document: Document, task: str, faults: list[Fault]) -> dict[str, Any]:
    """Return the other keys Ultralytics needs; check the keypoints for pose."""
    kept = {key: document.content[key] for key in _KEPT if document.content.get(key) is not None}

    def wrong(key: str, message: str) -> None:
        faults.append(Fault(key=key, message=message, line=document.lines.get((key,))))

    channels = kept.get("channels", 3)
    if not isinstance(channels, int) or isinstance(channels, bool) or not 0 < channels <= 1024:
        wrong(
            "channels",
            f"channels: {printable(channels, 40)} must be a number such as 1 or 3; remove it for color images",
        )
    if task != "pose":
        return kept
    shape: Any = kept.get("kpt_shape")
    whole = isinstance(shape, list) and len(shape) == 2 and all(type(number) is int for number in shape)
    if not whole or not 0 < shape[0] <= 10_000 or shape[1] not in (2, 3):
        message = "is missing" if shape is None else f"is {printable(shape, 60)}"
        wrong("kpt_shape", f"kpt_shape: {message}; pose needs [keypoints, 2 or 3], e.g. kpt_shape: [17, 3]")
        return kept
    flip = kept.get("flip_idx")
    if flip is not None and (not isinstance(flip, list) or sorted(map(str, flip)) != sorted(map(str, range(shape[0])))):
        wrong("flip_idx", f"flip_idx: must list each keypoint 0 to {shape[0] - 1} once, in the order after a flip")
    return kept
