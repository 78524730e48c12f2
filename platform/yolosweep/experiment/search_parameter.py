"""One searched parameter, in the form of W&B sweep files."""

from __future__ import annotations

import contextlib
import math
from collections.abc import Mapping
from decimal import Decimal
from typing import Annotated, Any, Literal

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    SerializerFunctionWrapHandler,
    ValidationError,
    model_serializer,
    model_validator,
)

__all__ = ["Distribution", "Parameter", "active", "allowed_of", "completed", "is_number", "parameters_of"]

Distribution = Literal[
    "constant",
    "categorical",
    "int_uniform",
    "uniform",
    "q_uniform",
    "log_uniform_values",
    "q_log_uniform_values",
]
_Number = Annotated[float, Field(strict=True)] | Annotated[int, Field(strict=True)]
_RANGES = ("int_uniform", "uniform", "q_uniform", "log_uniform_values", "q_log_uniform_values")
_UNSUPPORTED = {
    "log_uniform": "its min and max are exponents; write distribution: log_uniform_values with the values themselves",
    "inv_log_uniform": "write distribution: log_uniform_values",
    "inv_log_uniform_values": "write distribution: log_uniform_values",
    "q_log_uniform": "write distribution: q_log_uniform_values with the values themselves",
    "normal": "a range must be bounded; write distribution: uniform with min and max",
    "q_normal": "a range must be bounded; write distribution: q_uniform with min, max and q",
    "log_normal": "a range must be bounded; write distribution: log_uniform_values with min and max",
    "q_log_normal": "a range must be bounded; write distribution: q_log_uniform_values with min, max and q",
    "beta": "write distribution: uniform with min and max",
    "q_beta": "write distribution: q_uniform with min, max and q",
    "categorical_w_probabilities": "write distribution: categorical; the searcher learns the probabilities",
}


def _check_distribution(distribution: str, one: bool, many: bool, span: bool, q: float | None) -> None:
    """Refuse a distribution that does not match the other keys.

    Raises:
        ValueError: it does not match; pydantic turns this into a fault with the key.
    """
    if distribution in _RANGES and not span:
        raise ValueError(f"distribution {distribution} needs min and max")
    if distribution == "categorical" and not many:
        raise ValueError("distribution categorical needs values")
    if distribution == "constant" and not one:
        raise ValueError("distribution constant needs value")
    if distribution.startswith("q_") != (q is not None):
        raise ValueError("q (the step) needs distribution q_uniform or q_log_uniform_values, and these need q")


class Parameter(BaseModel):
    """One axis of the search space: ``value``, ``values``, or ``min`` and ``max`` with a ``distribution``."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    value: Any = None
    """A single fixed value (``distribution: constant``)."""
    values: Annotated[list[Any], Field(min_length=1)] | None = None
    """The choices (``distribution: categorical``)."""
    min: _Number | None = None
    """Lowest value of a range."""
    max: _Number | None = None
    """Highest value of a range, included."""
    distribution: Distribution | None = None
    """``uniform``, ``int_uniform``, ``q_uniform``, ``log_uniform_values``, ``q_log_uniform_values``, ``categorical``,
    ``constant``. Default: two whole numbers make ``int_uniform``, else ``uniform`` (as in W&B)."""
    q: Annotated[_Number, Field(gt=0)] | None = None
    """Step of the ``q_`` distributions. Where min, max and q are whole numbers, so are all values."""
    when: Annotated[dict[str, Any], Field(min_length=1)] | None = None
    """Search it only with these values of other parameters: ``{optimizer: SGD}`` or ``{optimizer: [SGD, Adam]}``; else
    it keeps its default."""

    @model_validator(mode="before")
    @classmethod
    def _explain_unsupported(cls, data: Any) -> Any:
        if not isinstance(data, dict):
            raise ValueError("must be a mapping such as {min: 0.1, max: 0.9}, {values: [8, 16]} or {value: 3}")
        fix = _UNSUPPORTED.get(str(data.get("distribution")))
        if fix:
            raise ValueError(f"distribution {data['distribution']} is not supported; {fix}")
        return data

    @model_validator(mode="after")
    def _fits_together(self) -> Parameter:
        one, many = "value" in self.model_fields_set, self.values is not None
        span = self.min is not None or self.max is not None
        if one + many + span != 1:
            raise ValueError("give one of: value, values, or min and max")
        if span and (self.min is None or self.max is None):
            raise ValueError(f"{'max' if self.max is None else 'min'} is missing; a range has both")
        if self.min is not None and self.max is not None:
            if not (math.isfinite(self.min) and math.isfinite(self.max)):
                raise ValueError(f"min {self.min} and max {self.max} must be finite numbers")
            if self.min >= self.max:
                raise ValueError(
                    f"min {self.min} must be below max {self.max}; for a single value write value: {self.min}"
                )
        if self.values is not None and len({repr(v) for v in self.values}) != len(self.values):
            raise ValueError(f"values {self.values} contains the same value twice")
        if self.distribution is not None:
            _check_distribution(self.distribution, one, many, span, self.q)
        elif self.q is not None:
            raise ValueError("q needs distribution: q_uniform or q_log_uniform_values")
        if self.is_log and self.min is not None and self.min <= 0:
            raise ValueError(f"min {self.min} must be above 0 on a logarithmic scale; write e.g. min: 1.0e-6")
        if self.kind == "int" and (float(self.min or 0) % 1 or float(self.max or 0) % 1):
            raise ValueError(f"int_uniform needs whole numbers, not min {self.min} and max {self.max}")
        return self

    @model_serializer(mode="wrap")
    def _as_written(self, handler: SerializerFunctionWrapHandler) -> dict[str, Any]:
        """Write only the given keys: ``value: null`` would read back as a constant."""
        return {key: value for key, value in handler(self).items() if key in self.model_fields_set}

    @property
    def kind(self) -> Literal["constant", "categorical", "int", "float"]:
        """The kind of this parameter."""
        if self.values is not None:
            return "categorical"
        if self.min is None:
            return "constant"
        whole = isinstance(self.min, int) and isinstance(self.max, int)
        steps = self.distribution is None or isinstance(self.q, int)
        return "int" if self.distribution == "int_uniform" or (whole and steps) else "float"

    @property
    def is_log(self) -> bool:
        """Whether a range is searched on a logarithmic scale."""
        return self.distribution in ("log_uniform_values", "q_log_uniform_values")

    def corners(self) -> list[Any]:
        """Return the extreme values: all choices, or both ends of a range."""
        if self.kind == "categorical":
            return list(self.values or ())
        if self.kind == "constant":
            return [self.value]
        cast = int if self.kind == "int" else float
        return [cast(self.min or 0), cast(self.max or 0)]

    def grid(self) -> list[Any] | None:
        """Return all values in order, or None for a continuous range."""
        if self.kind in ("categorical", "constant"):
            return self.corners()
        count = self._steps()
        return None if count is None else [self._point(step) for step in range(count + 1)]

    def size(self) -> int | None:
        """Return how many values there are, without listing them; None for a continuous range."""
        if self.kind in ("categorical", "constant"):
            return len(self.corners())
        count = self._steps()
        return None if count is None else count + 1

    def nearest(self, value: Any) -> Any:
        """Return ``value`` if this parameter can take it, else the closest value it can take.

        Choices that are not numbers have no closest one: the first choice is returned.
        """
        if self.kind in ("int", "float"):
            low, high = self.corners()
            if not is_number(value):
                return low
            count, inside = self._steps(), min(max(value, low), high)
            if count is None:
                return float(inside)
            return self._point(min(round((inside - low) / (self.q or 1)), count))
        points = self.corners()
        if any(type(p) is type(value) and p == value for p in points):
            return value
        numbers = [p for p in points if is_number(p)]
        if is_number(value) and numbers:
            return min(numbers, key=lambda p: abs(p - value))
        return points[0]

    def _steps(self) -> int | None:
        """Return how many steps a range has, or None if it is continuous."""
        low, high = self.corners()
        step = 1 if self.kind == "int" and self.q is None else self.q
        return None if step is None else math.floor((high - low) / step + 1e-9)

    def _point(self, step: int) -> int | float:
        low, high = self.corners()
        if self.kind == "int":
            return int(low + step * (self.q or 1))
        # In decimal, as written in the file: 0.1 + 2 * 0.1 must be 0.3.
        return min(float(Decimal(repr(low)) + step * Decimal(repr(self.q))), float(high))


def active(space: Mapping[str, Parameter], values: Mapping[str, Any]) -> dict[str, Any]:
    """Return the values whose conditions hold; one whose condition rests on another that does not hold has none."""

    def holds(name: str, depth: int = 0) -> bool:
        conditions = (space[name].when or {}).items() if name in space else ()
        return depth <= len(space) and all(
            other in values
            and holds(other, depth + 1)
            and any(_same(values[other], one) for one in allowed_of(allowed))
            for other, allowed in conditions
        )

    return {name: value for name, value in values.items() if holds(name)}


def completed(space: Mapping[str, Parameter], values: Mapping[str, Any]) -> dict[str, Any]:
    """Return values with the first value of each parameter whose condition does not hold."""
    return {**{name: one.corners()[0] for name, one in space.items() if one.when}, **values}


def allowed_of(condition: Any) -> list[Any]:
    """Return the values that a condition allows."""
    return condition if isinstance(condition, list) else [condition]


def _same(one: Any, other: Any) -> bool:
    return bool(one == other) and isinstance(one, bool) == isinstance(other, bool)


def parameters_of(experiment: Mapping[str, Any]) -> dict[str, Parameter]:
    """Return the parameters of a recorded experiment; what this version cannot read is left out."""
    declared = experiment["search"]["parameters"]
    found: dict[str, Parameter] = {}
    for name, parameter in declared.items() if isinstance(declared, Mapping) else ():
        with contextlib.suppress(ValidationError):
            found[name] = Parameter.model_validate(parameter)
    return found


def is_number(value: object) -> bool:
    """Return whether a value is a number; switches are none."""
    return isinstance(value, (int, float)) and not isinstance(value, bool)
