"""Places trials as Ray Tune does, for tests that call the controller directly."""

from __future__ import annotations

from typing import Literal

from yolosweep.records import TrialRequest
from yolosweep.search.controller import SweepController
from yolosweep.search.trial_generator import Offer

__all__ = ["take"]


def take(controller: SweepController, node: str = "") -> TrialRequest | Literal["wait"] | None:
    """Begin the trial that has lost its process, else the one suggested next; return what was suggested instead."""
    lost = sorted(controller._placed() - controller._workers.running.keys())
    if not lost:
        offer = controller.suggest()
        if not isinstance(offer, Offer):
            return offer
        lost = [offer.trial]
    return controller.begin(lost[0], node)
