"""``freeze`` names layers that are there, and leaves something to train."""

from __future__ import annotations

from typing import Any

import pytest

from yolosweep.backends.ultralytics.layer_check import freeze_fault

NAMES = ["model.0.conv.weight", "model.0.bn.bias", "model.1.conv.weight", "model.3.cv2.0.weight", "model.3.cv3.0.bias"]
"""A model of four layers; layer 2 has no weights."""


@pytest.mark.parametrize(
    ("value", "why"),
    [
        (0, None),
        (3, None),
        ([0, "3.cv2"], None),
        ([], None),
        (4, "4 freezes all 4 layers, so nothing would be trained; freeze at most 3"),
        ([0, 1, 3], "freezes all 4 layers"),
        ([0, "3.cv9"], "3.cv9 names no weights of the model; its layers are 0 to 3, their parts e.g. 3.cv3.0.bias"),
        ([2], "2 names no weights"),
        ("10", "'10' must be how many of the 4 layers are frozen, or a list such as [0, 1, 3.cv2]"),
        (-1, "-1 must be how many"),
        (True, "True must be how many"),
        (0.5, "0.5 must be how many"),
    ],
)
def test_a_freeze_that_does_nothing_or_too_much_is_refused(value: Any, why: str | None) -> None:
    fault = freeze_fault(value, NAMES)
    assert (why in fault) if why and fault else fault == why
