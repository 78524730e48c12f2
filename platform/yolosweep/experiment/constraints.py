"""Constraints on the search space: ``batch * imgsz**2 <= 16 * 640**2``.

An expression is parsed with ``ast`` and evaluated here, never run: numbers, texts, names of train arguments,
arithmetic, comparisons, ``and``, ``or``, ``not`` and parentheses.
"""

from __future__ import annotations

import ast
import math
import operator
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from itertools import pairwise
from typing import Any

__all__ = ["Constraint", "constraint_of"]

_LONGEST = 300
_MOST_PARTS = 100
_FORM = "write a comparison of train arguments and numbers, e.g. batch * imgsz**2 <= 16 * 640**2"

_ARITHMETIC: dict[type[ast.operator], Callable[[float, float], float]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: operator.truediv,
    ast.FloorDiv: operator.floordiv,
    ast.Mod: operator.mod,
    ast.Pow: math.pow,
}
_COMPARISONS: dict[type[ast.cmpop], Callable[[Any, Any], bool]] = {
    ast.Lt: operator.lt,
    ast.LtE: operator.le,
    ast.Gt: operator.gt,
    ast.GtE: operator.ge,
    ast.Eq: operator.eq,
    ast.NotEq: operator.ne,
}


@dataclass(frozen=True)
class Constraint:
    """What every trial must satisfy."""

    text: str
    tree: ast.expr
    names: tuple[str, ...]
    """The train arguments that it compares."""

    def holds(self, values: Mapping[str, Any]) -> bool:
        """Return whether values satisfy it; not where it divides by zero or overflows.

        Raises:
            TypeError: a value has no number, e.g. a text is multiplied.
        """
        try:
            return bool(_value(self.tree, values))
        except (ArithmeticError, ValueError):
            return False


@lru_cache(maxsize=256)
def constraint_of(text: str) -> Constraint:
    """Return the constraint that a text describes.

    Raises:
        ValueError: it describes none; the message says why.
    """
    if len(text) > _LONGEST:
        raise ValueError(f"is longer than {_LONGEST} characters; split it in two")
    try:
        tree = ast.parse(text.strip(), mode="eval").body
        parts = list(ast.walk(tree))
    except (SyntaxError, ValueError, MemoryError, RecursionError):
        raise ValueError(f"{text!r} is no expression; {_FORM}") from None
    if len(parts) > _MOST_PARTS:
        raise ValueError(f"{text!r} has too many parts; split it in two")
    if (odd := next((part for part in parts if not _is_known(part)), None)) is not None:
        raise ValueError(f"{text!r} holds {type(odd).__name__}, which is not part of a comparison; {_FORM}")
    if not isinstance(tree, (ast.Compare, ast.BoolOp)) and not _is_not(tree):
        raise ValueError(f"{text!r} compares nothing; {_FORM}")
    names = tuple(dict.fromkeys(part.id for part in parts if isinstance(part, ast.Name)))
    if not names:
        raise ValueError(f"{text!r} names no train argument; {_FORM}")
    return Constraint(text, tree, names)


def _is_not(part: ast.AST) -> bool:
    return isinstance(part, ast.UnaryOp) and isinstance(part.op, ast.Not)


def _is_known(part: ast.AST) -> bool:
    if isinstance(part, ast.Constant):
        return isinstance(part.value, (int, float, str))
    operators = (*_ARITHMETIC, *_COMPARISONS, ast.And, ast.Or, ast.Not, ast.USub, ast.UAdd)
    structure = (ast.BinOp, ast.BoolOp, ast.UnaryOp, ast.Compare, ast.Name, ast.Load)
    return isinstance(part, (*operators, *structure))


def _value(part: ast.expr, values: Mapping[str, Any]) -> Any:
    match part:
        case ast.Constant(value=value):
            return value
        case ast.Name(id=name):
            return values[name]
        case ast.BoolOp(op=ast.And(), values=parts):
            return all(_value(one, values) for one in parts)
        case ast.BoolOp(values=parts):
            return any(_value(one, values) for one in parts)
        case ast.UnaryOp(op=ast.Not(), operand=operand):
            return not _value(operand, values)
        case ast.UnaryOp(op=sign, operand=operand):
            return -_number(operand, values) if isinstance(sign, ast.USub) else _number(operand, values)
        case ast.BinOp(left=left, op=kind, right=right):
            return _ARITHMETIC[type(kind)](_number(left, values), _number(right, values))
        case ast.Compare(left=left, ops=kinds, comparators=others):
            sides = [_value(one, values) for one in (left, *others)]
            return all(_COMPARISONS[type(kind)](*pair) for kind, pair in zip(kinds, pairwise(sides), strict=True))
    raise AssertionError(f"no rule for {part}")  # pragma: no cover


def _number(part: ast.expr, values: Mapping[str, Any]) -> float:
    """Return a value as a float, so that no power grows without bounds."""
    value = _value(part, values)
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise TypeError(f"{ast.unparse(part)} is {value!r}, no number")
    return float(value)
