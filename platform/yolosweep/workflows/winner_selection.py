"""Selecting the winner of a run: verify, validate again, write the bundle."""

from __future__ import annotations

from pathlib import Path

from yolosweep.cluster import prepare_node
from yolosweep.errors import ScoreDiffersError
from yolosweep.ledger import Ledger, RunFolder
from yolosweep.ledger.history import History, TrialHistory
from yolosweep.records import Validation
from yolosweep.records.events import Winner, WinnerSelected
from yolosweep.report.verified_winner import best_trial, data_of, select_winner
from yolosweep.storage.temporary_folders import scratch_folder
from yolosweep.tracking import pages_of
from yolosweep.workflows.score_difference import explain_difference

__all__ = ["data_on_this_machine", "select_winner_in", "select_winner_of"]


def select_winner_of(folder: RunFolder) -> Winner:
    """Select the winner of a run that no other process holds, and record it.

    Raises:
        RunFolderError: it is in use.
        VerificationError: the checkpoint differs from what was recorded.
        TrainingError: no trial has a score.
    """
    with folder.held():
        winner = select_winner_in(folder)
        before = History.of(folder).winner
        if before is None or before.winner != winner:
            ledger = Ledger(folder)
            ledger.append(WinnerSelected(**dict(winner)))
            ledger.close()
    return winner


def select_winner_in(folder: RunFolder) -> Winner:
    """Select the winner of a run whose folder the caller holds. The caller records it."""
    from yolosweep.backends import trainer_for

    history = History.of(folder)
    trial, _ = best_trial(history)
    data = data_on_this_machine(folder, history)
    trainer = trainer_for(trial.request.model)

    with scratch_folder("pictures") as scratch:

        def validate(scored: TrialHistory, weights: Path, split: str) -> Validation:
            request, record = scored.request, scored.record
            settings = {**request.settings, **(record.used if record else {})}
            pictures = None
            if request.trial == trial.request.trial or split == "val":
                pictures = scratch / request.trial / split
                pictures.mkdir(parents=True)
            return trainer.validate(
                weights,
                task=request.task,
                data=data,
                split=split,
                settings=settings,
                gpus=request.gpus,
                pictures=pictures,
            )

        try:
            return select_winner(folder, history, validate, pages=pages_of(folder))
        except ScoreDiffersError as error:
            raise ScoreDiffersError(f"{error}; {explain_difference(folder, history, trial, data)}") from None


def data_on_this_machine(folder: RunFolder, history: History) -> str:
    """Return where the prepared data of a run are, staged first where the run is kept in an object storage.

    Raises:
        DataError: they no longer exist.
    """
    return data_of(folder, history) if folder.objects is None else prepare_node(folder.address, history.dataset)
