"""``yolosweep best``: verify, validate again, write the bundle."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from yolosweep.cluster import prepare_node
from yolosweep.ledger import Ledger, RunFolder
from yolosweep.ledger.history import History
from yolosweep.records import Validation
from yolosweep.records.events import Winner, WinnerSelected
from yolosweep.report.winner import best_trial, data_of, select_winner
from yolosweep.tracking import page_of

__all__ = ["describe_winner", "select_winner_in", "select_winner_of", "winner_as_json"]


def select_winner_of(place: str) -> tuple[RunFolder, Winner]:
    """Select the winner of a run that no other process holds, and record it.

    Raises:
        RunFolderError: not a run folder, or in use.
        VerificationError: the checkpoint is not what was recorded.
        TrainingError: no trial has a score.
    """
    folder = RunFolder.open(place)
    with folder.held():
        winner = select_winner_in(folder)
        before = History.of(folder).winner
        if before is None or before.winner != winner:
            ledger = Ledger(folder)
            ledger.append(WinnerSelected(**dict(winner)))
            ledger.close()
    return folder, winner


def select_winner_in(folder: RunFolder) -> Winner:
    """Select the winner of a run whose folder the caller holds; the caller records it."""
    from yolosweep.backends import trainer_for

    history = History.of(folder)
    trial, _ = best_trial(history)
    data = data_of(folder, history) if folder.objects is None else prepare_node(folder.address, history.dataset)
    trainer = trainer_for(trial.request.model)
    record = trial.record
    settings = {**trial.request.settings, **(record.used if record else {})}

    def validate(weights: Path, split: str) -> Validation:
        asked = trial.request
        return trainer.validate(weights, task=asked.task, data=data, split=split, settings=settings, gpus=asked.gpus)

    return select_winner(folder, history, validate, link=page_of(folder, "wandb"))


def winner_as_json(folder: RunFolder, winner: Winner) -> dict[str, Any]:
    """Return what ``--json`` prints."""
    return {**winner.model_dump(mode="json"), "run": str(folder.root)}


def describe_winner(folder: RunFolder, winner: Winner, *, gain: float | None = None) -> None:
    """Print a winner for people."""
    from rich.console import Console
    from rich.table import Table

    console = Console(soft_wrap=True, highlight=False)
    console.print(f"[bold]winner     {winner.trial}[/bold]  {winner.metric} {winner.score:.4f}{_gain(gain)}")
    for sentence in winner.caveats:
        console.print(f"caveat     {sentence}", markup=False)
    for split, validation in winner.validations.items():
        values = "  ".join(f"{name.removeprefix('metrics/')} {value:.4f}" for name, value in _metrics(validation))
        console.print(f"{split:<10} {values}")
    if any(validation.per_class for validation in winner.validations.values()):
        split, validation = next(iter(winner.validations.items()))
        names = list(next(iter(validation.per_class.values())))
        table = Table(f"class ({split})", *(n.removeprefix("metrics/") for n in names), box=None, pad_edge=False)
        for label, values_of in validation.per_class.items():
            table.add_row(label, *(f"{values_of[name]:.4f}" for name in names))
        console.print(table)
    console.print(f"file       {folder.root}/{winner.file.path}", markup=False)
    console.print(f"sha256     {winner.file.sha256}")
    for sentence in winner.passed_over:
        console.print(f"note       {sentence}", markup=False)


def _metrics(validation: Validation) -> list[tuple[str, float]]:
    return [(k, v) for k, v in validation.metrics.items() if k.startswith("metrics/") and v is not None]


def _gain(gain: float | None) -> str:
    return "" if gain is None else f"  ({gain:+.4f} over the defaults)"
