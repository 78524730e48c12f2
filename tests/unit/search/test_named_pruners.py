"""Median, percentile and hyperband: whom they stop."""

from typing import Any

import pytest

from yolosweep.experiment.schema import Search
from yolosweep.records import Ending, EpochResult, TrialRecord
from yolosweep.records.events import EpochRecorded, TrialEnded, TrialResumed
from yolosweep.search.pruners.pruner import Pruner, pruner_for

EPOCHS = 12


def row(epoch: int, score: float | None) -> EpochResult:
    return EpochResult(
        epoch=epoch, metrics={}, score=score, best_score=score, best_epoch=epoch, epochs_without_gain=0, seconds=1,
        images_per_s=1,
    )  # fmt: skip


def make(name: str, mode: str = "max", **more: Any) -> Pruner:
    space = {"lr0": {"min": 0.1, "max": 1.0}}
    search = {"pruner": name, "mode": mode, "grace_epochs": 3, "reduction_factor": 2, "parameters": space, **more}
    return pruner_for(Search.model_validate(search), EPOCHS)


def train(pruner: Pruner, number: int, level: float, ending: Ending = Ending.FINISHED) -> int:
    """Train a trial until it is stopped; return its epochs."""
    trial = f"t{number:04d}"
    for epoch in range(1, EPOCHS + 1):
        stops = pruner.should_stop(trial, row(epoch, level + epoch / 100))
        pruner.apply(EpochRecorded(trial=trial, row=row(epoch, level + epoch / 100)))
        if stops or epoch == EPOCHS:
            break
    record = TrialRecord(
        trial=trial, number=number, ending=Ending.PRUNED if stops else ending, reason="r", asked={}, used={},
        score=level + epoch / 100, epochs=epoch,
    )  # fmt: skip
    pruner.apply(TrialEnded(record=record))
    return epoch


@pytest.mark.parametrize(("mode", "good", "bad"), [("max", 0.6, 0.1), ("min", 0.1, 0.6)])
def test_the_median_of_complete_trials_decides(mode: str, good: float, bad: float) -> None:
    pruner = make("median", mode, pruner_options={"complete": 3})
    assert [train(pruner, number, 0.3) for number in range(3)] == [EPOCHS] * 3
    assert train(pruner, 3, bad) == 3  # the first epoch after the grace
    assert train(pruner, 4, good) == EPOCHS


def test_a_stopped_trial_is_not_among_those_compared_with() -> None:
    pruner = make("median", pruner_options={"complete": 1})
    train(pruner, 0, 0.5)
    for number in range(1, 8):
        assert train(pruner, number, 0.1) == 3
    assert train(pruner, 8, 0.4) == 3


def test_a_smaller_percentile_is_stricter() -> None:
    epochs = {}
    for percentile in (10, 80):
        pruner = make("percentile", pruner_options={"percentile": percentile, "complete": 4})
        for number, level in enumerate((0.1, 0.2, 0.3, 0.4, 0.5)):
            train(pruner, number, level if number < 4 else 0.5)
        epochs[percentile] = train(pruner, 5, 0.3)
    assert epochs == {10: 3, 80: EPOCHS}


def test_epochs_that_are_trained_again_replace_the_first_ones() -> None:
    pruner = make("median", pruner_options={"complete": 1})
    train(pruner, 0, 0.5)
    for epoch, score in ((1, 0.9), (2, 0.9)):
        pruner.apply(EpochRecorded(trial="t0001", row=row(epoch, score)))
    pruner.apply(TrialResumed(trial="t0001", attempt=1, cause="infra", reason="r", from_epoch=0))
    for epoch in (1, 2):
        pruner.apply(EpochRecorded(trial="t0001", row=row(epoch, 0.1)))
    assert pruner.should_stop("t0001", row(3, 0.1))


def test_brackets_of_hyperband_begin_at_different_epochs() -> None:
    pruner = make("hyperband")
    first = {number: train(pruner, number, 1 - number / 50) for number in range(40)}
    stops = {epochs for epochs in first.values() if epochs < EPOCHS}
    assert min(stops) == 3
    assert {3, 6} <= stops
