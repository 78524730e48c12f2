"""The table of ``platform/docs/arguments.md``: every train argument of Ultralytics, and what becomes of it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from tests.tools.argument_effects import (
    EFFECTS,
    EFFECTS_TEST,
    GPU_ONLY,
    RULES_TEST,
    SHOWN_ELSEWHERE,
    TEACHER,
    VALIDATION_TEST,
)

from yolosweep.backends.ultralytics.arguments import OURS, TASKS_OF, train_arguments
from yolosweep.experiment.rules import lint
from yolosweep.experiment.schema import Experiment

_OTHERS = {"SGD": "AdamW", True: False, False: True, None: 0.5}


@dataclass(frozen=True, kw_only=True)
class Row:
    """One argument: where it may stand, why not, and the test that shows it."""

    name: str
    fixed: bool
    searched: bool
    note: str
    shown: str

    @property
    def is_accepted(self) -> bool:
        return self.fixed or self.searched


def _experiment(name: str, train: dict[str, Any], parameters: dict[str, Any]) -> Experiment:
    effect = EFFECTS.get(name)
    task = effect.task if effect else "detect"
    suffix = {"segment": "-seg", "classify": "-cls"}.get(task, f"-{task}" if task != "detect" else "")
    return Experiment.model_validate(
        {
            "name": "demo", "task": task, "model": f"yolo26n{suffix}.yaml", "data": "data.yaml",
            "train": {"optimizer": "SGD", "epochs": 20, "close_mosaic": 2, **train},
            "augmentations": {"blur": [{"Blur": {"p": 0.5}}]},
            "search": {"trials": 4, "parameters": parameters},
        }
    )  # fmt: skip


def value_of(name: str) -> Any:
    """Return a value of an argument as an experiment holds it, other than its default."""
    if name == "augmentations":
        return "blur"
    if name in EFFECTS:
        value = EFFECTS[name].value
        return "/weights/teacher.pt" if value == TEACHER else value
    default = train_arguments().defaults[name]
    return default + 1 if isinstance(default, int) and not isinstance(default, bool) else _OTHERS.get(default, 0.5)


def fault_of(name: str, *, searched: bool) -> str | None:
    """Return why an argument is refused where it stands; None if it is accepted."""
    beside = {key: value_of(key) for key in (EFFECTS[name].beside if name in EFFECTS else {})}
    beside.pop(name, None)
    if searched:
        other = train_arguments().defaults[name]
        values = [value_of(name), 0.7 if other is None or repr(other) == repr(value_of(name)) else other]
        exp = _experiment(name, beside, {name: {"values": values}})
        exp = exp.model_copy(update={"train": {key: value for key, value in exp.train.items() if key != name}})
    else:
        exp = _experiment(
            name,
            {**beside, name: value_of(name)},
            {"translate" if name != "translate" else "scale": {"min": 0.1, "max": 0.4}},
        )
    key = f"search.parameters.{name}" if searched else f"train.{name}"
    return next((fault.message for fault in lint(exp) if fault.key.startswith(key)), None)


def rows() -> list[Row]:
    """Return a row for every argument of the installed release, and for those that yolosweep adds."""
    arguments = train_arguments()
    found = []
    for name in arguments.defaults:
        fixed, searched = fault_of(name, searched=False), fault_of(name, searched=True)
        tasks = f"{', '.join(TASKS_OF[name])} only" if name in TASKS_OF and not fixed else ""
        note = fixed or "; ".join(filter(None, (tasks, searched and f"searched: {searched}", GPU_ONLY.get(name))))
        found.append(
            Row(name=name, fixed=fixed is None, searched=searched is None, note=note, shown=_shown(name, fixed is None))
        )
    return found


def _shown(name: str, accepted: bool) -> str:
    if not accepted:
        return RULES_TEST
    if name in EFFECTS or name in GPU_ONLY:
        return EFFECTS_TEST
    return SHOWN_ELSEWHERE.get(name, "")


def page() -> str:
    """Return the generated part of ``arguments.md``."""
    counted = rows()
    lines = [
        f"{len(counted)} arguments: {sum(row.is_accepted for row in counted)} are accepted, of which "
        f"{sum(row.searched for row in counted)} can be searched; "
        f"{sum(not row.is_accepted for row in counted)} are refused before anything starts, with the fix.\n",
        "| argument | `train:` | `search:` | what to know | shown by |",
        "| --- | --- | --- | --- | --- |",
    ]
    for row in sorted(counted, key=lambda row: (not row.is_accepted, row.name)):
        mark = ["yes" if one else "" for one in (row.fixed, row.searched)]
        ours = " (yolosweep's)" if row.name == "balance" and row.name in OURS else ""
        note = row.note.replace("|", "\\|")
        test = row.shown.removeprefix("tests/")
        lines.append(f"| `{row.name}`{ours} | {mark[0]} | {mark[1]} | {note} | `{test}` |")
    return "\n".join(lines) + "\n"


__all__ = ["VALIDATION_TEST", "Row", "fault_of", "page", "rows", "value_of"]
