"""Rules on conditions between parameters, and on constraints."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from yolosweep.backends import backend_for
from yolosweep.backends.arguments import nearest_name
from yolosweep.errors import Fault
from yolosweep.experiment.constraints import constraint_of
from yolosweep.experiment.schema import MODEL, Experiment
from yolosweep.experiment.search_parameter import allowed_of
from yolosweep.experiment.trial_settings import allows, baseline
from yolosweep.records.footprint import FOOTPRINTS

__all__ = ["condition_faults", "constraint_faults", "model_faults"]

_MOST = 1000
"""Values of a parameter that a condition can name."""


def condition_faults(exp: Experiment) -> Iterator[Fault]:
    """Yield conditions on what is not searched, on values that it never has, and conditions in a circle."""
    space = exp.search.parameters
    for name, parameter in space.items():
        for other, condition in (parameter.when or {}).items():
            key = f"search.parameters.{name}.when.{other}"
            if other not in space or other == name:
                guess = nearest_name(other, [one for one in space if one != name])
                hint = f"did you mean {guess}?" if guess else "name another parameter that is searched"
                yield Fault(key=key, message=f"{other} is not another searched parameter; {hint}")
                continue
            choices = space[other].grid() if (space[other].size() or _MOST + 1) <= _MOST else None
            if choices is None:
                yield Fault(key=key, message=f"{other} is a range; a condition needs a parameter with values")
                continue
            never = [value for value in allowed_of(condition) if value not in choices]
            if never or not allowed_of(condition):
                expected = ", ".join(map(str, choices))
                yield Fault(
                    key=key,
                    message=f"{other} never is {', '.join(map(str, never)) or 'nothing'}; it is one of {expected}",
                )
        if _in_circle(exp, name):
            yield Fault(key=f"search.parameters.{name}.when", message="conditions go in a circle; remove one of them")


def _in_circle(exp: Experiment, name: str) -> bool:
    """Return whether a parameter's conditions lead back to it."""
    space, seen = exp.search.parameters, set[str]()
    left = list(space[name].when or ())
    while left:
        other = left.pop()
        if other == name:
            return True
        if other in space and other not in seen:
            seen.add(other)
            left += space[other].when or ()
    return False


def model_faults(exp: Experiment) -> Iterator[Fault]:
    """Yield what is wrong with a model that is searched."""
    parameter, key = exp.search.parameters.get(MODEL), f"search.parameters.{MODEL}"
    if parameter is None:
        return
    names = parameter.corners()
    if parameter.kind not in ("categorical", "constant") or not all(isinstance(name, str) and name for name in names):
        yield Fault(key=key, message="must be a choice of models, e.g. {values: [yolo26n.pt, yolo26s.pt]}")
        return
    if exp.model not in names:
        message = f"does not hold {exp.model}, which trial 0 trains (model:); add it, or set model to one of these"
        yield Fault(key=key, message=message)
    for name in names:
        if backend_for(name) is not exp.backend:
            yield Fault(key=key, message=f"{name} is no model of {exp.backend.name}, which {exp.model} is; remove it")
    files = [Path(name).name for name in exp.models]
    if len(set(files)) < len(files):
        yield Fault(key=key, message="two of the files have the same name; rename one, because trials show the name")


def constraint_faults(exp: Experiment) -> Iterator[Fault]:
    """Yield constraints that name no train argument, calculate with what is no number, or exclude trial 0."""
    arguments = exp.backend.arguments
    for place, text in enumerate(exp.search.constraints):
        key, constraint = f"search.constraints[{place}]", constraint_of(text)
        unknown = [name for name in constraint.names if name not in arguments.defaults and name != MODEL]
        if unknown:
            guess = arguments.aliases.get(unknown[0]) or nearest_name(unknown[0], arguments.defaults)
            hint = f"did you mean {guess}?" if guess else f"see the train settings of {exp.backend.name}"
            if unknown[0] in FOOTPRINTS:
                hint = f"it is measured, so write it as an objective with a limit: {{metric: {unknown[0]}, limit: 15}}"
            yield Fault(key=key, message=f"{unknown[0]} is not a train argument of {exp.backend.name}; {hint}")
            continue
        if not any(name in exp.search.parameters for name in constraint.names):
            yield Fault(
                key=key, message=f"{text} holds no searched parameter: it is the same for every trial; remove it"
            )
            continue
        point = baseline(exp)[0]
        only = exp.model_copy(update={"search": exp.search.model_copy(update={"constraints": (text,)})})
        try:
            if allows(only, point):
                continue
            values = {**arguments.defaults, MODEL: exp.model, **exp.train, **point}
            at = ", ".join(f"{name}={values[name]}" for name in constraint.names)
            message = f"trial 0, the defaults, is excluded by {text} ({at}); loosen it, or search other values"
        except TypeError as error:
            message = f"{text} cannot be calculated: {error}"
        yield Fault(key=key, message=message)
