"""``yolosweep export``."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from yolosweep.cli.console import print_json, print_line
from yolosweep.cli.options import AsJson, Run
from yolosweep.cli.relative_paths import from_here

if TYPE_CHECKING:
    from yolosweep.api import Sweep
    from yolosweep.records.export import ExportedWinner

__all__ = ["export", "register"]

_MIB = 2.0**20


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command()(export)


def export(
    run_folder: Run,
    format: Annotated[str, typer.Option(help="onnx, openvino, torchscript or ncnn.")] = "onnx",
    quantize: Annotated[
        int | None, typer.Option(metavar="BITS", help="16 or 8, where the format has it; none: 32.")
    ] = None,
    tolerance: Annotated[float, typer.Option(help="Largest accepted difference of the score on val.")] = 0.01,
    as_json: AsJson = False,
) -> None:
    """Export the winner of a run, validate it on the same images, and refuse it if its score differs."""
    from yolosweep import api

    sweep = api.open(run_folder)
    exported = sweep.export(format, quantize=quantize, tolerance=tolerance)
    if as_json:
        print_json(exported)
    else:
        _describe(sweep, exported)


def _describe(sweep: Sweep, exported: ExportedWinner) -> None:
    from yolosweep.records.trial_columns import short_metric

    latency = exported.latency
    difference = "" if exported.difference is None else f" ({exported.difference:+.4f} to best.pt on the same images)"
    print_line(f"export     {exported.name} of {exported.trial}", style="bold")
    print_line(f"val        {short_metric(exported.metric)} {exported.score:.4f}{difference}")
    if exported.winner_score is not None:
        print_line(f"{'':<10} best.pt as it was selected, on images that keep their shape: {exported.winner_score:.4f}")
    print_line(f"latency    {latency.exported_ms:.1f} ms an image, best.pt {latency.checkpoint_ms:.1f} ms")
    print_line(f"{'':<10} {latency.how}")
    print_line(f"size       {exported.size / _MIB:.1f} MiB, best.pt {exported.checkpoint_size / _MIB:.1f} MiB")
    for file in exported.files.values():
        print_line(f"file       {from_here(sweep.run_folder.resolve(file))}")
        print_line(f"sha256     {file.sha256}")
