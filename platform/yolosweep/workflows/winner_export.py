"""Exporting the winner of a run: convert, validate on the same images, compare, record."""

from __future__ import annotations

from pathlib import Path

from yolosweep.backends import backend_for
from yolosweep.backends.checkpoint_export import Deployment, ExportedModel, ExportJob
from yolosweep.errors import RunFolderError, TrainingError, UsageError, VerificationError
from yolosweep.ledger import RunFolder
from yolosweep.ledger.history import History
from yolosweep.records import FileRef
from yolosweep.records.events import Winner
from yolosweep.records.export import ExportedWinner
from yolosweep.records.trial_columns import short_metric
from yolosweep.report.model_card import model_card
from yolosweep.report.verified_winner import TOLERANCE, verify_file
from yolosweep.report.winner_exports import (
    drop_export,
    export_name,
    exports_of,
    list_exports,
    place_of,
    record_export,
)
from yolosweep.storage.temporary_folders import scratch_folder
from yolosweep.workflows.winner_selection import data_on_this_machine

__all__ = ["TOLERANCE", "export_winner"]


def export_winner(
    folder: RunFolder, format: str, *, quantize: int | None = None, tolerance: float = TOLERANCE
) -> ExportedWinner:
    """Export the verified winner of a run that no other process holds, compare it with its checkpoint, and record it.

    Raises:
        UsageError: the model or the format cannot be exported, or a package is missing.
        RunFolderError: the run is in use.
        TrainingError: there is no winner, or it cannot be exported or run.
        VerificationError: the checkpoint is not the recorded one, or the scores differ by more than the tolerance.
    """
    with folder.held():
        history = History.of(folder)
        winner = _winner(folder, history)
        deployment = _deployment(winner.model, format, quantize, tolerance)
        request = history.trials[winner.trial].request
        job = ExportJob(
            weights=verify_file(folder, winner.file),
            format=format,
            quantize=quantize,
            task=request.task,
            data=data_on_this_machine(folder, history),
            settings=winner.settings,
            on_gpu=request.gpus > 0,
        )
        with scratch_folder("export") as scratch:
            export = _recorded(folder, winner, job, deployment.export(job, scratch), tolerance)
        exports = exports_of(folder, winner.model, winner.file)
        list_exports(folder, winner, exports)
        folder.publish(model_card(history, winner, exports), folder.winner / "README.md")
    if not export.is_accepted:
        raise VerificationError(_refusal(folder, export))
    return export


def _winner(folder: RunFolder, history: History) -> Winner:
    """Return the winner that the ledger records.

    Raises:
        TrainingError: there is none yet.
        RunFolderError: the ledger does not hold what belongs to it.
    """
    if history.winner is None:
        raise TrainingError(f"{folder.address} has no winner yet; select one with: yolosweep best {folder.named}")
    winner = history.winner.winner
    if winner.trial not in history.trials or "val" not in winner.validations:
        raise RunFolderError(
            f"the ledger is damaged: its winner {winner.trial[:80]!r} has no trial or no score on val; restore the run "
            "folder from a copy"
        )
    return winner


def _deployment(model: str, format: str, quantize: int | None, tolerance: float) -> Deployment:
    """Return what exports a model after checking that it can.

    Raises:
        UsageError: it cannot; all reasons are named.
    """
    deployment = backend_for(model).deployment()
    if deployment is None:
        raise UsageError(f"{model} cannot be exported: it is of no use outside of yolosweep")
    wrong = []
    if format not in deployment.formats:
        wrong.append(f"--format {format}: choose one of {', '.join(deployment.formats)}")
    elif quantize not in deployment.formats[format]:
        bits = " or ".join(str(one) for one in deployment.formats[format] if one)
        fix = f"choose {bits}, or leave it out for 32 bits" if bits else "leave it out; its weights have 32 bits"
        wrong.append(f"--quantize {quantize} with --format {format}: {fix}")
    if not 0 <= tolerance <= 1:
        wrong.append(f"--tolerance {tolerance:g}: choose a difference between scores, from 0 to 1")
    if wrong:
        raise UsageError("; ".join(wrong))
    missing = deployment.missing(format)
    if missing:
        packages = " ".join(f"'{name}'" for name in missing)
        raise UsageError(f"--format {format} needs packages that are not installed: pip install {packages}")
    return deployment


def _recorded(
    folder: RunFolder, winner: Winner, job: ExportJob, model: ExportedModel, tolerance: float
) -> ExportedWinner:
    """Publish the files of an export with its record, in place of an earlier one."""
    metric = _metric(winner, job)
    scores = [validation.metrics.get(metric) for validation in (model.exported, model.checkpoint)]
    is_accepted = None not in scores and abs(scores[0] - scores[1]) <= tolerance  # type: ignore[operator]
    name = export_name(job.format, job.quantize)
    drop_export(folder, name)
    files = _published(folder, name, model.path, is_accepted)
    export = ExportedWinner(
        name=name,
        format=job.format,
        quantize=job.quantize,
        trial=winner.trial,
        checkpoint_sha256=winner.file.sha256,
        files=files,
        size=sum(file.size for file in files.values()),
        checkpoint_size=winner.file.size,
        metric=metric,
        score=scores[0],
        checkpoint_score=scores[1],
        winner_score=winner.validations["val"].metrics.get(metric),
        tolerance=tolerance,
        is_accepted=is_accepted,
        latency=model.latency,
        versions=dict(model.versions),
    )
    record_export(folder, export)
    return export


def _metric(winner: Winner, job: ExportJob) -> str:
    """Return the searched metric where a validation measures it, else the usual one of the task."""
    if winner.metric in winner.validations["val"].metrics:
        return winner.metric
    return backend_for(winner.model).tasks[job.task].default_metric


def _published(folder: RunFolder, name: str, path: Path, is_accepted: bool) -> dict[str, FileRef]:
    """Store a file, or all files of a folder; the name of a refused one begins with ``refused``."""
    top = path.name if is_accepted else path.name.replace("best", "refused", 1)
    if path.is_file():
        return {top: folder.publish(path, place_of(folder, name, top))}
    inside = [found for found in sorted(path.rglob("*")) if found.is_file()]
    parts = [(top, *found.relative_to(path).parts) for found in inside]
    return {
        "/".join(part): folder.publish(found, place_of(folder, name, *part))
        for part, found in zip(parts, inside, strict=True)
    }


def _refusal(folder: RunFolder, export: ExportedWinner) -> str:
    place, metric = place_of(folder, export.name), short_metric(export.metric)
    if export.score is None or export.checkpoint_score is None:
        return (
            f"{export.name} is refused: {metric} of the exported model or of the checkpoint is no number; see {place}"
        )
    return (
        f"{export.name} is refused: it scores {export.score:.4f} in {metric} on val, the checkpoint "
        f"{export.checkpoint_score:.4f} on the same images, and the tolerance is {export.tolerance:g}; the model is "
        f"kept in {place}. Accept the difference with --tolerance"
        + (f", or export with more bits than {export.quantize}" if export.quantize else "")
    )
