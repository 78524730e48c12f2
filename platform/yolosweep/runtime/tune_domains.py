"""Search-space objects of Ray Tune as parameters of an experiment."""

from __future__ import annotations

import math
from typing import Any

__all__ = ["is_domain", "parameter_of"]

_MOST_VALUES = 100


def is_domain(value: object) -> bool:
    """Return whether a value is a search-space object of Ray Tune, such as ``tune.uniform(0, 1)``."""
    return type(value).__module__.startswith("ray.tune.")


def parameter_of(domain: Any) -> dict[str, Any]:
    """Return the entry of ``search.parameters`` that searches the same values.

    Raises:
        ValueError: there is none; the message says why, and what to write instead.
    """
    from ray.tune.search.sample import Categorical, Float, Integer, LogUniform, Quantized, Uniform

    sampler = domain.get_sampler() if isinstance(domain, (Categorical, Float, Integer)) else None
    q = sampler.q if isinstance(sampler, Quantized) else None
    kind = sampler.get_sampler() if isinstance(sampler, Quantized) else sampler
    if isinstance(domain, Categorical) and isinstance(kind, Uniform):
        return {"values": list(domain.categories)}
    if isinstance(domain, Integer) and isinstance(kind, Uniform):
        return _whole(int(domain.lower), int(domain.upper), q)
    if isinstance(domain, Integer) and isinstance(kind, LogUniform):
        highest = int(domain.upper) - (q in (None, 1))
        return {"min": int(domain.lower), "max": highest, "distribution": "q_log_uniform_values", "q": int(q or 1)}
    if isinstance(domain, Float) and isinstance(kind, (Uniform, LogUniform)):
        name = "log_uniform_values" if isinstance(kind, LogUniform) else "uniform"
        bounds = {"min": float(domain.lower), "max": float(domain.upper)}
        if q is None:
            return {**bounds, "distribution": name}
        return {**bounds, "distribution": f"q_{name}", "q": float(q)}
    if isinstance(domain, Float):
        raise ValueError("a normal distribution has no bounds; write tune.uniform or tune.loguniform")
    raise ValueError("a function cannot be recorded and repeated; write tune.choice, tune.uniform or tune.loguniform")


def _whole(lower: int, upper: int, q: int | None) -> dict[str, Any]:
    """Return whole numbers; Tune excludes the upper end, except on a grid of multiples of ``q``."""
    if q is not None and q != 1:
        values = list(range(math.ceil(lower / q) * q, upper + 1, q))
        if len(values) > _MOST_VALUES:
            raise ValueError(f"{len(values)} multiples of {q} are too many to list; write tune.randint")
        return {"values": values}
    if upper - 1 == lower:
        return {"value": lower}
    return {"min": lower, "max": upper - 1, "distribution": "int_uniform"}
