"""What ``run`` and ``resume`` print last: is it better, what was found, and what to do next."""

from __future__ import annotations

from pathlib import Path

from yolosweep.cli.console import field, print_line
from yolosweep.cli.relative_paths import from_here
from yolosweep.cli.run_tables import describe_answer
from yolosweep.ledger import RunFolder
from yolosweep.records.events import Winner
from yolosweep.records.summary import Summary
from yolosweep.records.trial_columns import setting_text, short_metric
from yolosweep.records.verdict import Outcome

__all__ = ["conclude"]


def conclude(folder: RunFolder, summary: Summary, winner: Winner | None, page: Path) -> None:
    """Print the outcome of a run.

    Args:
        folder: the run folder.
        summary: its numbers.
        winner: the winner, if one could be selected.
        page: the report.
    """
    print_line("")
    describe_answer(summary)
    print_line("")
    for sentence in summary.warnings:
        _field("warning", sentence)
    if winner is not None:
        _describe(winner, summary)
        _field("model", from_here(folder.winner / "best.pt"))
        _field("sha256", winner.file.sha256)
        _field("weights", winner.weights_sha256)
        if any(picture.path == "winner/errors.html" for picture in winner.pictures):
            _field("mistakes", from_here(folder.winner / "errors.html"))
    _field("report", from_here(page))
    if summary.change is not None:
        _field("advice", summary.change.sentence)
    _field("next", _next_command(folder, summary))
    if summary.verdict.outcome is Outcome.BETTER and summary.verdict.seeds is None and winner is not None:
        repeat = f"yolosweep run {from_here(folder.winner / 'reproduce.yaml')} seed=1"
        _field("repeat", f"{repeat}   # the winner with another seed")
    if summary.exportable and summary.verdict.outcome is not Outcome.NOT_LEARNED:
        _field("ship", f"yolosweep export {_run(folder)}   # as ONNX")


def _describe(winner: Winner, summary: Summary) -> None:
    """Print the winner's settings, and its scores beside those of trial 0."""
    settings = " ".join(
        f"{name}={setting_text(winner.settings[name])}" for name in summary.parameters if name in winner.settings
    )
    seeds, metric = summary.verdict.seeds, short_metric(winner.metric)
    again = f", which repeats {winner.repeats} with seed {winner.settings.get('seed')}" if winner.repeats else ""
    _field("winner", f"{winner.trial}{again}")
    _field("settings", settings)
    if seeds is not None:
        mean, other = seeds.mean(winner.settings_trial), f"{seeds.reference} {seeds.reference_score:.4f}"
        beside = "" if winner.settings_trial == seeds.reference else f", {other}"
        _field("mean", f"{metric} {mean:.4f} ± {seeds.margin:.4f} over {seeds.seeds} new seeds on val{beside}")
        if seeds.expected is not None and winner.settings_trial == seeds.trial:
            _field("expect", f"{metric} {seeds.expected:.4f} of a new training")
    for split, validation in winner.validations.items():
        score = validation.metrics.get(winner.metric)
        text = f"{metric} {score:.4f}" if score is not None else f"no {metric}"
        _field(split, text + _beside(winner, split))
    if winner.objectives:
        values = ((name, "unknown" if value is None else f"{value:.4g}") for name, value in winner.objectives.items())
        _field("objectives", ", ".join(f"{short_metric(name)} {value}" for name, value in values))
    for sentence in winner.passed_over:
        _field("note", sentence)


def _beside(winner: Winner, split: str) -> str:
    """Return the score of what the winner was compared with."""
    reference = winner.reference
    validation = reference.validations.get(split) if reference else None
    score = validation.metrics.get(winner.metric) if validation else None
    return "" if reference is None or score is None else f", {reference.trial} {score:.4f}"


def _next_command(folder: RunFolder, summary: Summary) -> str:
    """Return the command that helps most after this verdict."""
    run = _run(folder)
    if summary.status == "cancelled":
        return f"yolosweep resume {run}"
    if summary.winner is None:
        return f"yolosweep show {run}"
    return f"yolosweep next {run}"


def _run(folder: RunFolder) -> str:
    """Return the run as commands take it from here."""
    return from_here(folder.root) if folder.objects is None else folder.named


def _field(name: str, text: str) -> None:
    """Print a named line; an address or a command is never broken."""
    is_prose = name in ("settings", "warning", "note", "advice")
    print_line(field(name, text) if is_prose else f"{name:<11}{text}")
