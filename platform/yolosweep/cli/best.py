"""``yolosweep best``."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from yolosweep.cli.console import field, print_json, print_line, print_table
from yolosweep.cli.options import AsJson, Run
from yolosweep.cli.relative_paths import from_here

if TYPE_CHECKING:
    from yolosweep.ledger import RunFolder
    from yolosweep.records import Validation
    from yolosweep.records.events import Winner

__all__ = ["best", "register"]


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command()(best)


def best(
    run_folder: Run,
    no_validate: Annotated[
        bool, typer.Option("--no-validate", help="Only verify the file of the winner that was selected before.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Verify the best checkpoint of a run, validate it again, and write the winner/ bundle."""
    from yolosweep import api

    sweep = api.open(run_folder)
    winner = (sweep.best if no_validate else sweep.select_winner()).winner
    if as_json:
        print_json({**winner.model_dump(mode="json"), "run": str(sweep.path)})
        return
    from yolosweep.cli.run_tables import describe_answer

    describe_answer(sweep.summary)
    _describe_winner(sweep.run_folder, winner)


def _describe_winner(folder: RunFolder, winner: Winner) -> None:
    score = "" if winner.score is None else f" {winner.score:.4f}"
    print_line(f"winner     {winner.trial}  {winner.metric}{score}", style="bold")
    for name, value in winner.objectives.items():
        print_line(f"{'':<10} {name} {'unknown' if value is None else f'{value:.4g}'}")
    if winner.rule:
        print_line(f"rule       {winner.rule}")
    if winner.footprint is not None and winner.footprint.how:
        print_line(f"measured   {winner.footprint.how}")
    if len(winner.front) > 1:
        print_line(f"front      {', '.join(winner.front)}")
    for sentence in winner.caveats:
        print_line(field("caveat", sentence))
    others = winner.reference.validations if winner.reference else {}
    for split, validation in winner.validations.items():
        print_line(f"{split:<10} {_metrics(validation)}")
        if winner.reference is not None and split in others:
            print_line(f"{'':<10} {_metrics(others[split])}  ({winner.reference.trial})")
    _describe_classes(winner)
    print_line(f"file       {from_here(folder.resolve(winner.file))}")
    print_line(f"sha256     {winner.file.sha256}")
    print_line(f"weights    {winner.weights_sha256}")
    for sentence in winner.passed_over:
        print_line(field("note", sentence))


def _describe_classes(winner: Winner) -> None:
    """Print the metrics per class of the first split that has them."""
    split, per_class = next(((s, v.per_class) for s, v in winner.validations.items() if v.per_class), ("", {}))
    if not per_class:
        return
    from yolosweep.records.trial_columns import short_metric

    names = list(next(iter(per_class.values())))
    rows = [
        [label, *("" if (value := values.get(name)) is None else f"{value:.4f}" for name in names)]
        for label, values in per_class.items()
    ]
    print_table([f"class ({split})", *map(short_metric, names)], rows)


def _metrics(validation: Validation) -> str:
    from yolosweep.records.trial_columns import short_metric

    known = ((name, value) for name, value in validation.metrics.items() if value is not None)
    return "  ".join(f"{short_metric(name)} {value:.4f}" for name, value in known if name.startswith("metrics/"))
