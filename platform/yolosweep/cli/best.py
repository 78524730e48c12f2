"""``yolosweep best``."""

from __future__ import annotations

from typing import TYPE_CHECKING

import typer

from yolosweep.cli.console import print_json, print_line, print_table
from yolosweep.cli.options import AsJson, Run

if TYPE_CHECKING:
    from yolosweep.ledger import RunFolder
    from yolosweep.records import Validation
    from yolosweep.records.events import Winner

__all__ = ["best", "describe_winner", "register"]


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command()(best)


def best(run_folder: Run, as_json: AsJson = False) -> None:
    """Verify the best checkpoint of a run, validate it again, and write the winner/ bundle."""
    from yolosweep import api

    sweep = api.open(run_folder)
    winner = sweep.select_winner().winner
    if as_json:
        print_json({**winner.model_dump(mode="json"), "run": str(sweep.path)})
    else:
        describe_winner(sweep.run_folder, winner)


def describe_winner(folder: RunFolder, winner: Winner, *, gain: float | None = None) -> None:
    """Print a winner for people."""
    score = "" if winner.score is None else f" {winner.score:.4f}"
    over = "" if gain is None else f"  ({gain:+.4f} over the defaults)"
    print_line(f"winner     {winner.trial}  {winner.metric}{score}{over}", style="bold")
    for sentence in winner.caveats:
        print_line(f"caveat     {sentence}")
    for split, validation in winner.validations.items():
        values = "  ".join(f"{name.removeprefix('metrics/')} {value:.4f}" for name, value in _metrics(validation))
        print_line(f"{split:<10} {values}")
    _describe_classes(winner)
    print_line(f"file       {folder.root}/{winner.file.path}")
    print_line(f"sha256     {winner.file.sha256}")
    for sentence in winner.passed_over:
        print_line(f"note       {sentence}")


def _describe_classes(winner: Winner) -> None:
    """Print the metrics per class of the first split that has them."""
    split, per_class = next(((s, v.per_class) for s, v in winner.validations.items() if v.per_class), ("", {}))
    if not per_class:
        return
    names = list(next(iter(per_class.values())))
    rows = [
        [label, *("" if (value := values.get(name)) is None else f"{value:.4f}" for name in names)]
        for label, values in per_class.items()
    ]
    print_table([f"class ({split})", *(name.removeprefix("metrics/") for name in names)], rows)


def _metrics(validation: Validation) -> list[tuple[str, float]]:
    return [(k, v) for k, v in validation.metrics.items() if k.startswith("metrics/") and v is not None]
