"""What is known of the models' footprints before anything is trained: notes for the plan, and limits no model keeps."""

from __future__ import annotations

from dataclasses import dataclass, field

from yolosweep.errors import Fault
from yolosweep.experiment import Experiment, sizes_of
from yolosweep.records.footprint import Footprint

__all__ = ["KnownFootprints", "known_footprints"]

_COUNTED = ("params_m", "gflops", "size_mb")
"""Values that do not have to be measured on the device."""


@dataclass
class KnownFootprints:
    """What counting says."""

    faults: list[Fault] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)


def known_footprints(exp: Experiment, classes: int) -> KnownFootprints:
    """Return limits that no model keeps, and what each model has, if an objective asks for it.

    Args:
        exp: the experiment.
        classes: classes of the data, which decide the size of the last layer.
    """
    found = KnownFootprints()
    asked = [(place, one) for place, one in enumerate(exp.search.objectives) if one.metric in _COUNTED]
    if not asked:
        return found
    imgsz = min(sizes_of(exp), default=None)
    counted = {model: exp.backend.footprint(model, task=exp.task, classes=classes, imgsz=imgsz) for model in exp.models}
    known = {model: one for model, one in counted.items() if one is not None}
    for place, objective in asked:
        values = {model: value for model, one in known.items() if (value := one.value(objective.metric)) is not None}
        over = [model for model, value in values.items() if not objective.is_met(value)]
        if over and len(over) == len(exp.models):
            least = min(over, key=lambda model: values[model])
            message = f"{objective.limit:g} is less than any model has: {least} has {values[least]:.4g}{_at(imgsz)}; "
            key = f"search.objectives[{place}].limit"
            found.faults.append(Fault(key=key, message=f"{message}raise it, or search a smaller model"))
        elif over:
            names = ", ".join(f"{model} ({values[model]:.4g})" for model in over)
            found.notes.append(f"{names}: beyond {objective.text}, so no trial of it can win; remove it to save trials")
    found.notes += [f"{model} has {_text(one)}{_at(imgsz)}" for model, one in known.items()]
    return found


def _text(footprint: Footprint) -> str:
    values = ((name, footprint.value(name)) for name in _COUNTED)
    return ", ".join(f"{name} {value:.4g}" for name, value in values if value is not None)


def _at(imgsz: int | None) -> str:
    return "" if imgsz is None else f" at imgsz {imgsz}"
