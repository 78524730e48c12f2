"""Selecting the winner of a run: verify, validate again, write the bundle."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from yolosweep.cluster import prepare_node
from yolosweep.cluster.versions import versions
from yolosweep.errors import ScoreDiffersError
from yolosweep.ledger import Ledger, RunFolder
from yolosweep.ledger.history import History, TrialHistory
from yolosweep.records import Validation
from yolosweep.records.events import Winner, WinnerSelected
from yolosweep.report.winner import best_trial, data_of, select_winner
from yolosweep.storage.scratch import scratch_folder
from yolosweep.tracking import page_of

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
            return select_winner(folder, history, validate, link=page_of(folder, "wandb"))
        except ScoreDiffersError as error:
            raise ScoreDiffersError(f"{error}; {_changed_since(history.versions, versions())}") from None


def _changed_since(before: Mapping[str, str], now: Mapping[str, str]) -> str:
    """Return what may explain that a checkpoint has another score than before."""
    changed = [
        f"{name} was {before[name]} and is {now.get(name, 'missing')}"
        for name in before
        if before[name] != now.get(name, "")
    ]
    return "; ".join(changed) or (
        "no library has changed since, so images or labels have: compare the data's fingerprint with yolosweep check"
    )


def data_on_this_machine(folder: RunFolder, history: History) -> str:
    """Return where the prepared data of a run are, staged first where the run is kept in an object storage.

    Raises:
        DataError: they no longer exist.
    """
    return data_of(folder, history) if folder.objects is None else prepare_node(folder.address, history.dataset)
