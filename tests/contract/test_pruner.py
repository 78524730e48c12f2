"""What every pruner keeps to: it learns from the ledger's events alone, and never judges a trial without others."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timezone
from pathlib import Path

import pytest

from yolosweep.experiment.schema import Search
from yolosweep.experiment.search_choices import PRUNERS, PrunerChoice
from yolosweep.records import EpochResult
from yolosweep.records.events import EpochRecorded
from yolosweep.search.pruners.pruner import Pruner, pruner_for

EPOCHS = 9


@pytest.fixture(params=sorted(PRUNERS))
def name(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def row(epoch: int, best: float | None) -> EpochResult:
    return EpochResult(
        epoch=epoch, metrics={}, score=best, best_score=best, best_epoch=1, epochs_without_gain=0, seconds=1,
        images_per_s=1,
    )  # fmt: skip


class TestPruner:
    def make(self, name: str, mode: str = "max") -> Pruner:
        parameters = {"lr0": {"min": 0.1, "max": 1.0}}
        search = {"pruner": name, "mode": mode, "grace_epochs": 2, "reduction_factor": 2, "parameters": parameters}
        return pruner_for(Search.model_validate(search), EPOCHS)

    def rows(self, trials: int, epochs: int = EPOCHS) -> Iterator[tuple[str, EpochResult]]:
        """Yield rows epoch by epoch, the later trials the better ones."""
        for epoch in range(1, epochs + 1):
            for number in range(trials):
                yield f"t{number:04d}", row(epoch, (number + epoch / 100) / trials)

    def verdicts(self, pruner: Pruner, trials: int, mode: str = "max") -> list[tuple[str, int]]:
        """Return who was stopped and when; a stopped trial trains no further."""
        stopped: list[tuple[str, int]] = []
        for trial, result in self.rows(trials):
            if trial in dict(stopped):
                continue
            if pruner.should_stop(trial, result):
                stopped.append((trial, result.epoch))
            pruner.apply(EpochRecorded(trial=trial, row=result, at=datetime.now(timezone.utc)))
        return stopped

    def test_a_trial_alone_is_never_stopped(self, name: str) -> None:
        assert self.verdicts(self.make(name), 1) == []

    def test_the_grace_epochs_and_the_last_epoch_are_never_judged(self, name: str) -> None:
        assert all(2 <= epoch < EPOCHS for _, epoch in self.verdicts(self.make(name), 12))

    def test_the_best_trial_trains_to_its_end(self, name: str) -> None:
        assert "t0011" not in dict(self.verdicts(self.make(name), 12))
        assert "t0000" not in dict(self.verdicts(self.make(name, mode="min"), 12))

    def test_asking_teaches_nothing(self, name: str) -> None:
        asked, quiet = self.make(name), self.make(name)
        for trial, result in self.rows(6):
            first = asked.should_stop(trial, result)
            assert asked.should_stop(trial, result) is first is quiet.should_stop(trial, result)
            for pruner in (asked, quiet):
                pruner.apply(EpochRecorded(trial=trial, row=result))

    def test_a_resumed_sweep_gets_the_same_verdicts(self, name: str) -> None:
        events = [EpochRecorded(trial=trial, row=result) for trial, result in self.rows(6)]
        for cut in range(0, len(events), 5):
            live, replayed = self.make(name), self.make(name)
            for event in events[:cut]:
                live.should_stop(event.trial, event.row)
                live.apply(event)
                replayed.apply(event)
            for event in events[cut:]:
                assert live.should_stop(event.trial, event.row) is replayed.should_stop(event.trial, event.row)

    def test_a_trial_without_a_score_is_taken(self, name: str) -> None:
        pruner = self.make(name)
        for number in range(4):
            pruner.apply(EpochRecorded(trial=f"t{number:04d}", row=row(2, None)))
        assert pruner.should_stop("t0004", row(2, 0.5)) is False


def test_a_new_pruner_is_one_module_and_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "strict.py").write_text(
        "class Strict:\n"
        "    def __init__(self, search, epochs): self.epochs = epochs\n"
        "    def should_stop(self, trial, row): return 1 < row.epoch < self.epochs\n"
        "    def apply(self, event): pass\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setitem(PRUNERS, "strict", PrunerChoice(summary="after one epoch", factory="strict:Strict"))
    search = Search.model_validate({"pruner": "strict", "parameters": {"lr0": {"min": 0.1, "max": 1.0}}})
    pruner = pruner_for(search, EPOCHS)
    assert [pruner.should_stop("t0001", row(epoch, 0.5)) for epoch in (1, 2, EPOCHS)] == [False, True, False]
