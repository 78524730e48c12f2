"""The soft pruner: whom it stops, and whom it never stops."""

import math

import pytest

from yolosweep.experiment.schema import Search
from yolosweep.records import Ending, EpochResult, TrialRecord
from yolosweep.records.events import EpochRecorded, TrialEnded
from yolosweep.search.pruners.pruner import pruner_for
from yolosweep.search.pruners.soft import SoftPruner, is_protected

EPOCHS = 40


def row(epoch: int, score: float) -> EpochResult:
    return EpochResult(
        epoch=epoch, metrics={}, score=score, best_score=score, best_epoch=epoch, epochs_without_gain=0, seconds=1,
        images_per_s=1,
    )  # fmt: skip


def make(mode: str = "max", **options: float) -> SoftPruner:
    search = {"pruner": "soft", "mode": mode, "grace_epochs": 4, "parameters": {"lr0": {"min": 0.1, "max": 1.0}}}
    pruner = pruner_for(Search.model_validate({**search, "pruner_options": {"protected": 0.0, **options}}), EPOCHS)
    assert isinstance(pruner, SoftPruner)
    return pruner


def score(final: float, epoch: int, late: float = 0.0) -> float:
    done = epoch / EPOCHS
    return final * ((1 - late) * (1 - math.exp(-5 * done)) + late * max(0.0, done - 0.8) * 5)


def train(pruner: SoftPruner, number: int, final: float, late: float = 0.0, mode: str = "max") -> int:
    """Train a trial to its end or until it is stopped; return its epochs."""
    trial = f"t{number:04d}"
    for epoch in range(1, EPOCHS + 1):
        value = score(final, epoch, late) if mode == "max" else 1 / score(final, epoch, late)
        stops = pruner.should_stop(trial, row(epoch, value))
        pruner.apply(EpochRecorded(trial=trial, row=row(epoch, value)))
        if stops or epoch == EPOCHS:
            ending = Ending.PRUNED if stops else Ending.FINISHED
            record = TrialRecord(
                trial=trial, number=number, ending=ending, reason="r", asked={}, used={}, score=value, epochs=epoch
            )
            pruner.apply(TrialEnded(record=record))
            return epoch
    raise AssertionError


def test_nothing_is_stopped_before_enough_trainings_are_complete() -> None:
    pruner = make(complete=4)
    assert [train(pruner, number, final) for number, final in enumerate((0.6, 0.5, 0.5, 0.1))] == [EPOCHS] * 4
    assert train(pruner, 4, 0.1) < EPOCHS


@pytest.mark.parametrize("mode", ["max", "min"])
def test_a_hopeless_trial_stops_and_a_close_one_does_not(mode: str) -> None:
    pruner = make(mode)
    for number, final in enumerate((0.6, 0.5, 0.4)):
        train(pruner, number, final, mode=mode)
    assert train(pruner, 3, 0.15, mode=mode) < EPOCHS / 2
    assert train(pruner, 4, 0.62, mode=mode) == EPOCHS


def test_late_bloomers_are_spared_once_they_were_seen() -> None:
    taught, untaught = make(), make()
    for number, final in enumerate((0.6, 0.5, 0.55, 0.45)):
        train(taught, number, final, late=0.5)
        train(untaught, number, final)
    assert train(taught, 4, 0.63, late=0.5) == EPOCHS
    assert train(untaught, 4, 0.63, late=0.5) < EPOCHS


def test_a_protected_trial_trains_to_its_end() -> None:
    pruner = make(protected=0.5)
    for number in range(3):
        train(pruner, number, 0.6)
    epochs = {number: train(pruner, number, 0.1) for number in range(3, 30)}
    assert {number for number, trained in epochs.items() if trained == EPOCHS} == {
        number for number in epochs if is_protected(f"t{number:04d}", 0.5)
    }


def test_about_the_stated_share_is_protected() -> None:
    assert sum(is_protected(f"t{number:04d}", 0.15) for number in range(1000)) == pytest.approx(150, abs=35)


def test_what_may_be_among_the_best_goes_on_though_it_cannot_beat_the_best_score() -> None:
    three, one = make(), make(top=1)
    for number, final in enumerate((0.9, 0.5, 0.45, 0.2)):
        train(three, number, final)
        train(one, number, final)
    assert train(three, 4, 0.44) == EPOCHS
    assert train(one, 4, 0.44) < EPOCHS
    assert train(three, 5, 0.1) < EPOCHS


@pytest.mark.parametrize(("top", "goal"), [(3, "be among the 3 best, which begin at"), (1, "beat the best's")])
def test_the_reason_has_the_numbers(top: int, goal: str) -> None:
    pruner = make(top=top)
    for number in range(3):
        train(pruner, number, 0.6)
    for epoch in range(1, 10):
        pruner.apply(EpochRecorded(trial="t0003", row=row(epoch, 0.05)))
    reason = pruner.reason("t0003", row(10, 0.05))
    assert reason.startswith("after epoch 10: forecast to end at 0.")
    assert f"(under 2%) to {goal} 0.5" in reason
    assert reason.endswith("(scores smoothed over epochs)")
