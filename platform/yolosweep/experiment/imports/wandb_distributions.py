"""Distributions of W&B sweeps as parameters of an experiment."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any

__all__ = ["entry_of"]

_WIDTH = 2.0
"""Standard deviations on either side of a normal distribution: 95 % of it."""


def entry_of(spec: Mapping[str, Any]) -> tuple[dict[str, Any], str]:
    """Return the parameter that searches the same values, and what is different; an empty text if nothing is.

    Raises:
        ValueError: there is none; the message says why.
    """
    if "value" in spec:
        return {"value": spec["value"]}, ""
    if "values" in spec:
        return _choices(spec)
    name = str(spec.get("distribution") or "")
    if name in _CONVERSIONS:
        try:
            entry, changed = _CONVERSIONS[name](spec)
        except KeyError as error:
            raise ValueError(f"distribution {name}: {error.args[0]} is missing") from error
        except (TypeError, ValueError, OverflowError) as error:
            raise ValueError(f"distribution {name}: {error}") from error
    elif name in ("", "constant", "categorical", "uniform", "int_uniform", "q_uniform") or name in _IN_VALUES:
        entry, changed = _bounded(spec), ""
    else:
        raise ValueError(f"{name} is not a distribution of W&B sweeps")
    if entry["min"] == entry["max"]:
        return {"value": entry["min"]}, changed
    return entry, changed


_IN_VALUES = ("log_uniform_values", "q_log_uniform_values")


def _choices(spec: Mapping[str, Any]) -> tuple[dict[str, Any], str]:
    given = spec["values"]
    if not isinstance(given, list) or not given:
        raise ValueError("values is not a list")
    weighted = "probabilities" in spec or spec.get("distribution") == "categorical_w_probabilities"
    distinct = list({repr(value): value for value in given}.values())
    return {"values": distinct}, "without its probabilities: the searcher learns what works" if weighted else ""


def _bounded(spec: Mapping[str, Any]) -> dict[str, Any]:
    if "min" not in spec or "max" not in spec:
        raise ValueError("a range needs min and max")
    entry = {"min": _number(spec["min"]), "max": _number(spec["max"])}
    name = str(spec.get("distribution") or "")
    return entry | ({"distribution": name} if name else {}) | _step(name, spec)


def _step(name: str, spec: Mapping[str, Any]) -> dict[str, Any]:
    return {"q": _number(spec.get("q", 1))} if name.startswith("q_") else {}


def _number(value: Any) -> int | float:
    """Return a number; YAML 1.1, which W&B reads, takes ``1e-5`` for a text."""
    if isinstance(value, bool) or not isinstance(value, (int, float, str)):
        raise ValueError(f"{value!r} is not a number")
    return value if isinstance(value, (int, float)) else float(value)


def _rounded(value: float) -> float:
    return float(f"{value:.6g}")


def _logarithmic(low: float, high: float, spec: Mapping[str, Any]) -> dict[str, Any]:
    name = "q_log_uniform_values" if str(spec["distribution"]).startswith("q_") else "log_uniform_values"
    return {"min": _rounded(low), "max": _rounded(high), "distribution": name} | _step(name, spec)


def _exponents(spec: Mapping[str, Any]) -> tuple[dict[str, Any], str]:
    low, high = _number(spec["min"]), _number(spec["max"])
    return _logarithmic(math.exp(low), math.exp(high), spec), f"was {spec['distribution']}: e^{low} to e^{high}"


def _inverse(spec: Mapping[str, Any]) -> tuple[dict[str, Any], str]:
    low, high = _number(spec["min"]), _number(spec["max"])
    changed = f"was {spec['distribution']}: 1/x is logarithmic, which is the same as x"
    if spec["distribution"] == "inv_log_uniform":
        return _logarithmic(math.exp(-high), math.exp(-low), spec), changed
    return _logarithmic(low, high, spec), changed


def _normal(spec: Mapping[str, Any]) -> tuple[dict[str, Any], str]:
    mean, deviation = _number(spec.get("mu", 0)), _number(spec.get("sigma", 1))
    low, high = mean - _WIDTH * deviation, mean + _WIDTH * deviation
    changed = f"was {spec['distribution']} with mu={mean}, sigma={deviation}: the range that holds 95 % of it"
    if "log" in str(spec["distribution"]):
        return _logarithmic(math.exp(low), math.exp(high), spec), changed
    name = "q_uniform" if spec["distribution"] == "q_normal" else "uniform"
    return {"min": _rounded(low), "max": _rounded(high), "distribution": name} | _step(name, spec), changed


def _beta(spec: Mapping[str, Any]) -> tuple[dict[str, Any], str]:
    name = "q_uniform" if spec["distribution"] == "q_beta" else "uniform"
    changed = f"was {spec['distribution']} with a={spec.get('a')}, b={spec.get('b')}: its range, evenly"
    return {"min": 0.0, "max": 1.0, "distribution": name} | _step(name, spec), changed


_CONVERSIONS: dict[str, Callable[[Mapping[str, Any]], tuple[dict[str, Any], str]]] = {
    **dict.fromkeys(("log_uniform", "q_log_uniform"), _exponents),
    **dict.fromkeys(("inv_log_uniform", "inv_log_uniform_values"), _inverse),
    **dict.fromkeys(("normal", "q_normal", "log_normal", "q_log_normal"), _normal),
    **dict.fromkeys(("beta", "q_beta"), _beta),
}
"""Distributions that an experiment lacks."""
