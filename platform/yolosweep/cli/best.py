"""``yolosweep best``: verify, validate again, write the bundle."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from yolosweep.cluster import prepare_node
from yolosweep.ledger import Ledger, RunFolder
from yolosweep.ledger.history import History
from yolosweep.records import Validation
from yolosweep.report.winner import best_trial, data_of, select_winner
from yolosweep.tracking.mirror_state import MirrorState
from yolosweep.tracking.wandb_mode import server

__all__ = ["describe_winner", "select_winner_in", "select_winner_of"]


def select_winner_of(place: str) -> dict[str, Any]:
    """Crown the best checkpoint of a run that nobody is working on, and record it.

    Raises:
        RunFolderError: not a run folder, or in use.
        VerificationError: the checkpoint is not what was recorded.
        TrainingError: no trial has a score.
    """
    folder = RunFolder.open(place)
    with folder.held():
        payload = select_winner_in(folder)
        before = History.of(folder).winner
        if before is None or any(before.get(key) != value for key, value in payload.items()):
            ledger = Ledger(folder)
            ledger.append("winner", **payload)
            ledger.close()
    return {**payload, "run": str(folder.root)}


def select_winner_in(folder: RunFolder) -> dict[str, Any]:
    """Crown the best checkpoint of a run whose folder the caller holds; recording it is the caller's."""
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

    mirrored = MirrorState.load(folder, server(os.environ))
    return select_winner(folder, history, validate, link=mirrored.url)


def describe_winner(winner: dict[str, Any]) -> None:
    """Print a winner for people."""
    from rich.console import Console
    from rich.table import Table

    console = Console(soft_wrap=True, highlight=False)
    metric = winner["metric"]
    console.print(
        f"[bold]winner     {winner['trial']}[/bold]  {metric} {winner['score']:.4f}{_gain(winner.get('gain'))}"
    )
    for sentence in winner.get("caveats", ()):
        console.print(f"caveat     {sentence}", markup=False)
    for split, validation in winner["validations"].items():
        values = "  ".join(f"{name.removeprefix('metrics/')} {value:.4f}" for name, value in _shown(validation))
        console.print(f"{split:<10} {values}")
    if any(validation["per_class"] for validation in winner["validations"].values()):
        split, validation = next(iter(winner["validations"].items()))
        names = list(next(iter(validation["per_class"].values())))
        table = Table(f"class ({split})", *(n.removeprefix("metrics/") for n in names), box=None, pad_edge=False)
        for label, values in validation["per_class"].items():
            table.add_row(label, *(f"{values[name]:.4f}" for name in names))
        console.print(table)
    console.print(f"file       {winner['run']}/{winner['file']['path']}", markup=False)
    console.print(f"sha256     {winner['file']['sha256']}")
    for sentence in winner["passed_over"]:
        console.print(f"note       {sentence}", markup=False)


def _shown(validation: dict[str, Any]) -> list[tuple[str, float]]:
    return [(k, v) for k, v in validation["metrics"].items() if k.startswith("metrics/") and v is not None]


def _gain(gain: float | None) -> str:
    return "" if gain is None else f"  ({gain:+.4f} over the defaults)"
