"""One axis of the search space: properties that hold for every axis."""

from __future__ import annotations

import json
import math
from typing import Any

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from pydantic import ValidationError

from yolosweep.experiment import Parameter

SCALARS = st.one_of(st.none(), st.booleans(), st.integers(-1000, 1000), st.floats(-1e6, 1e6), st.text(max_size=5))


@st.composite
def axes(draw: st.DrawFn) -> Parameter:
    kind = draw(st.sampled_from(["constant", "values", "int", "float", "log", "q", "q_log"]))
    if kind == "constant":
        return Parameter.model_validate({"value": draw(SCALARS)})
    if kind == "values":
        return Parameter.model_validate({"values": draw(st.lists(SCALARS, min_size=1, max_size=6, unique_by=repr))})
    if kind == "int":
        low = draw(st.integers(-200, 200))
        return Parameter.model_validate({"min": low, "max": low + draw(st.integers(1, 200))})
    start = draw(st.floats(1e-6, 10) if "log" in kind else st.floats(-100, 100))
    end = start + draw(st.floats(1e-3, 100))
    assume(start < end)
    axis: dict[str, Any] = {"min": start, "max": end}
    if kind == "float":
        return Parameter.model_validate(axis)
    axis["distribution"] = {"log": "log_uniform_values", "q": "q_uniform", "q_log": "q_log_uniform_values"}[kind]
    if kind != "log":
        axis["q"] = (end - start) / draw(st.floats(0.5, 40))
    return Parameter.model_validate(axis)


def on_axis(axis: Parameter, value: Any) -> bool:
    """Tell by brute force whether a value lies on an axis."""
    if axis.kind in ("constant", "categorical"):
        points = [axis.value] if axis.values is None else axis.values
        return any(type(point) is type(value) and (point == value or point is value) for point in points)
    assert axis.min is not None
    assert axis.max is not None
    within = axis.min <= value <= axis.max or math.isclose(value, axis.min) or math.isclose(value, axis.max)
    if axis.kind == "int":
        return within and isinstance(value, int)
    if axis.q is not None:
        steps = (value - axis.min) / axis.q
        return within and math.isclose(steps, round(steps), abs_tol=1e-6)
    return within


@given(axis=axes(), value=SCALARS)
def test_nearest_lies_on_the_axis_and_keeps_what_is_on_it(axis: Parameter, value: Any) -> None:
    found = axis.nearest(value)
    assert on_axis(axis, found)
    again = axis.nearest(found)
    assert type(again) is type(found)
    assert again == found


@given(axis=axes(), value=st.floats(-1e4, 1e4))
def test_nearest_is_the_nearest(axis: Parameter, value: float) -> None:
    if axis.kind not in ("int", "float"):
        return
    points = axis.grid() or axis.corners()
    distance = abs(axis.nearest(value) - value)
    assert all(distance <= abs(point - value) + 1e-9 for point in points)


@given(axis=axes())
def test_corners_lie_on_the_axis_or_bound_it(axis: Parameter) -> None:
    corners = axis.corners()
    assert corners
    if axis.kind in ("int", "float"):
        assert corners == [axis.min, axis.max]
    else:
        assert all(on_axis(axis, corner) for corner in corners)


@given(axis=axes())
def test_the_grid_is_in_range_in_order_and_without_doubles(axis: Parameter) -> None:
    grid = axis.grid()
    if grid is None:
        assert axis.kind == "float"
        assert axis.q is None
        assert axis.size() is None
        return
    assert grid
    assert len(grid) == axis.size()
    assert all(on_axis(axis, point) for point in grid)
    if axis.kind in ("int", "float"):
        assert grid == sorted(set(grid))
        assert grid[0] == axis.min
        step = 1 if axis.kind == "int" else axis.q
        assert step is not None
        assert axis.max is not None
        assert grid[-1] + step > axis.max - 1e-9, "a last point is missing"


@given(axis=axes())
def test_it_survives_being_written_and_read(axis: Parameter) -> None:
    assert Parameter.model_validate(axis.model_dump()) == axis
    written = json.dumps(axis.model_dump(mode="json"))
    assert Parameter.model_validate(json.loads(written)) == axis
    assert set(json.loads(written)) == axis.model_fields_set, "what was not given is not written"


@pytest.mark.parametrize(
    ("axis", "kind"),
    [
        ({"min": 1, "max": 3}, "int"),
        ({"min": 1, "max": 3.0}, "float"),
        ({"min": 1, "max": 3, "distribution": "uniform"}, "float"),
        ({"min": 1.0, "max": 3.0, "distribution": "int_uniform"}, "int"),
        ({"min": 1, "max": 3, "distribution": "log_uniform_values"}, "float"),
        ({"values": [1, 2]}, "categorical"),
        ({"value": None}, "constant"),
    ],
)
def test_kinds_follow_wandb(axis: dict[str, Any], kind: str) -> None:
    assert Parameter.model_validate(axis).kind == kind


def test_steps_are_taken_in_decimal() -> None:
    axis = Parameter.model_validate({"min": 0.1, "max": 0.7, "q": 0.1, "distribution": "q_uniform"})
    assert axis.grid() == [0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7]
    assert axis.nearest(0.29) == 0.3


def test_a_wide_range_is_never_listed_to_find_one_point() -> None:
    assert Parameter.model_validate({"min": 0, "max": 10**15}).nearest(7.4) == 7


def test_a_whole_number_is_not_a_truth_value() -> None:
    axis = Parameter.model_validate({"values": [True, 1, 0]})
    assert axis.nearest(1) is not True
    assert axis.nearest(True) is True
    assert Parameter.model_validate({"values": [False, True]}).nearest(1) is False, "no number among them: the first"


def test_it_cannot_be_changed() -> None:
    axis = Parameter.model_validate({"min": 1, "max": 3})
    with pytest.raises(ValidationError, match="frozen"):
        axis.min = 2  # type: ignore[misc]
