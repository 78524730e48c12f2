"""The base of all values that cross packages."""

from __future__ import annotations

import math
from typing import Annotated

from pydantic import BaseModel, BeforeValidator, ConfigDict

__all__ = ["SCHEMA_VERSION", "Number", "Record"]

SCHEMA_VERSION = 1
"""Version of everything written to a run folder; readers refuse a newer one."""


def _finite(value: object) -> object:
    """Return None for NaN and infinities: JSON has no word for them, and no rule may rank them."""
    return None if isinstance(value, float) and not math.isfinite(value) else value


Number = Annotated[float | None, BeforeValidator(_finite)]
"""A measured value; None if it was NaN, infinite or not measured."""


class Record(BaseModel):
    """A frozen value that crosses packages; unknown fields are refused."""

    model_config = ConfigDict(frozen=True, extra="forbid")
