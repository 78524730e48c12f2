"""What is recorded of each class comes from Ultralytics' own metrics."""

from __future__ import annotations

import math
from types import SimpleNamespace

import numpy as np
import pytest

from yolosweep.backends.ultralytics.validation import _per_class


@pytest.mark.slow
def test_a_class_that_was_never_found_has_no_precision() -> None:
    from ultralytics.utils.metrics import DetMetrics

    metrics = DetMetrics(names={0: "found", 1: "missed"})
    right = np.ones((1, 10), dtype=bool)
    found = {"tp": right, "conf": np.array([0.9]), "pred_cls": np.array([0.0]), "target_cls": np.array([0.0, 1.0])}
    metrics.update_stats({**found, "target_img": np.array([0.0, 1.0]), "im_name": "a.jpg"})
    metrics.process()
    scores = _per_class(SimpleNamespace(metrics=metrics, names=metrics.names))
    assert scores["found"]["metrics/precision(B)"] > 0.9
    assert scores["missed"]["metrics/recall(B)"] == 0
    assert math.isnan(scores["missed"]["metrics/precision(B)"])
