"""Selecting the winner: rank all trials, verify the checkpoint, validate it again, and write a bundle.

The winner is the trial with the best score so far, whatever its ending. Its file must be byte for byte the recorded
one, and its score, measured again on the same validation split, must equal the recorded one within a tolerance.
"""

from __future__ import annotations

import io
import json
import logging
from collections.abc import Callable, Mapping
from pathlib import Path
from statistics import stdev
from typing import Any

from ruamel.yaml import YAML

from yolosweep.diagnosis.finals_comparison import seed_table
from yolosweep.diagnosis.selection_sentences import claim_of_limits
from yolosweep.errors import DataError, ScoreDiffersError, TrainingError, VerificationError, YolosweepError
from yolosweep.ledger import RunFolder
from yolosweep.ledger.history import History, TrialHistory
from yolosweep.ledger.verdict_evidence import evidence_of, finalists_of
from yolosweep.records import FileRef, Validation
from yolosweep.records.events import PairedError, Reference, Winner
from yolosweep.records.objectives import rule_of
from yolosweep.records.record import Record
from yolosweep.report.model_card import model_card
from yolosweep.report.winner_exports import drop_stale_exports, exports_of
from yolosweep.report.winner_pictures import Pictures, publish_pictures
from yolosweep.storage.atomic_files import sha256_of

__all__ = ["TOLERANCE", "Validate", "best_trial", "paired_error", "select_winner", "verify_file"]

_LOG = logging.getLogger(__name__)

TOLERANCE = 0.01
"""Largest allowed difference between the recorded score and the one validated again (fp16 weights, fused layers)."""

Validate = Callable[[TrialHistory, Path, str], Validation]
"""Score a checkpoint of a trial on a split, with the trial's settings."""


def best_trial(history: History) -> tuple[TrialHistory, list[str]]:
    """Return the best trial that has a checkpoint, and a sentence for each better one that has none.

    Raises:
        TrainingError: no trial has a score, or no trial with a score has a checkpoint.
    """
    trials = history.trials
    ended = [trial for trial in _best_first(history) if trial.record is not None]
    ranked = [trial for trial in ended if _settings_trial(trial) not in history.standing.outside]
    if ended and not ranked:
        raise TrainingError(claim_of_limits(evidence_of(history, {})))
    if not ranked:
        endings = "; ".join(f"{name} {t.status}: {t.record.reason if t.record else '-'}" for name, t in trials.items())
        raise TrainingError(f"none of {len(trials)} trials has a score ({endings or 'none ran'})")
    passed_over: list[str] = []
    for trial in ranked:
        assert trial.record is not None
        if _is_kept(trial):
            return trial, passed_over
        passed_over.append(
            f"{trial.request.trial} scored {trial.score:.4f} but left no checkpoint ({trial.record.reason})"
        )
    raise TrainingError("no trial with a score left a checkpoint: " + "; ".join(passed_over))


def _best_first(history: History) -> list[TrialHistory]:
    """Return the trials, best first: by their means after finals, each with its repeats, the best of them first."""
    table = seed_table(finalists_of(history), history.mode)
    if table is None:
        return history.ranked()
    sign = -1.0 if history.mode == "max" else 1.0

    def trainings(name: str) -> list[TrialHistory]:
        scored = [one for one in (history.trials[name], *history.repeats(name)) if one.score is not None]
        scored = [one for one in scored if _is_kept(one)] or scored
        return sorted(scored, key=lambda one: (sign * (one.score or 0.0), one.request.number))

    may_win_first = sorted(table.rows, key=history.standing.outside.__contains__)
    return [training for name in may_win_first for training in trainings(name)]


def _settings_trial(trial: TrialHistory) -> str:
    """Return the trial whose settings a training has: of a repeat, the repeated one."""
    return trial.request.repeats or trial.request.trial


def verify_file(folder: RunFolder, reference: FileRef) -> Path:
    """Return the path of a recorded file after checking that it is unchanged.

    Raises:
        VerificationError: it is missing or was changed.
    """
    path = folder.resolve(reference)
    if not path.is_file():
        raise VerificationError(f"{path} is missing; it was recorded with SHA-256 {reference.sha256}")
    found = sha256_of(path)
    if found != reference.sha256:
        raise VerificationError(
            f"{path} was changed after the training: SHA-256 is {found}, recorded {reference.sha256}; "
            "restore the file from a copy"
        )
    return path


def select_winner(folder: RunFolder, history: History, validate: Validate, *, pages: Mapping[str, str] = {}) -> Winner:
    """Verify the best checkpoint, validate it again, and write the ``winner/`` bundle.

    Args:
        folder: the run folder.
        history: its ledger, read back.
        validate: scores a checkpoint on ``val`` or ``test``.
        pages: where the sweep is at the trackers it was mirrored to, by their titles.

    Raises:
        VerificationError: the file or the score is not what was recorded.
        TrainingError: no trial has a score, or the checkpoint cannot be validated.
    """
    trial, passed_over = best_trial(history)
    record = trial.record
    assert record is not None, "best_trial returned a trial that did not end"
    weights = verify_file(folder, record.files["best.pt"])
    validations = _validated(history, trial, weights, validate)
    files = {"best.pt": folder.publish(weights, folder.winner / "best.pt")}
    if "args.yaml" in record.files:
        files["args.yaml"] = folder.publish(folder.resolve(record.files["args.yaml"]), folder.winner / "args.yaml")
    _write_reproduce(folder, history, trial, validations["val"].weights_sha256)
    reference = _reference(folder, history, trial, validations, validate)
    pictures = _pictures(folder, trial, validations, reference)
    winner = Winner(
        trial=trial.request.trial,
        repeats=trial.request.repeats,
        score=record.score,
        metric=history.metric,
        **_objectives(history, trial),
        passed_over=tuple(passed_over),
        caveats=history.dataset.caveats,
        validations=validations,
        reference=reference,
        file=files["best.pt"],
        pictures=tuple(pictures.files.values()),
        mistakes=pictures.mistakes,
        settings={**trial.request.settings, **record.used},
        identity=trial.request.identity,
        model=_model_of(history, trial),
        data_fingerprint=history.started.dataset.fingerprint,
        versions=history.started.versions,
        pages=dict(pages),
    )
    drop_stale_exports(folder, winner.model, winner.file)
    exports = exports_of(folder, winner.model, winner.file)
    files["README.md"] = folder.publish(model_card(history, winner, exports), folder.winner / "README.md")
    bundle = {**winner.model_dump(mode="json"), "files": _dumped(files | pictures.files), "exports": _dumped(exports)}
    folder.publish(json.dumps(bundle, indent=2) + "\n", folder.winner / "winner.json")
    return winner


def _objectives(history: History, trial: TrialHistory) -> dict[str, Any]:
    """Return what the winner was selected by, where there are several objectives."""
    record = trial.record
    if record is None or len(history.objectives) < 2:
        return {}
    front = history.standing.front
    rule = rule_of(history.objectives, history.select)
    return {"rule": rule, "objectives": record.objectives, "footprint": record.footprint, "front": front}


def _dumped(records: Mapping[str, Record]) -> dict[str, Any]:
    return {name: record.model_dump(mode="json") for name, record in records.items()}


def _pictures(
    folder: RunFolder, trial: TrialHistory, validations: Mapping[str, Validation], reference: Reference | None
) -> Pictures:
    """Write the pictures of the winner; none if that fails, because a winner is worth more than its pictures."""
    request = trial.request
    try:
        named = {"sweep": request.sweep, "trial": request.trial, "task": request.task}
        return publish_pictures(folder, **named, validations=validations, reference=reference)
    except Exception as error:
        _LOG.warning("the pictures of the winner could not be drawn: %s", error)
        return Pictures({}, {})


def _validated(history: History, trial: TrialHistory, weights: Path, validate: Validate) -> dict[str, Validation]:
    """Return the scores of a verified checkpoint on val, which must be the recorded one, and on test.

    Raises:
        VerificationError: the score on val is not the recorded one.
        TrainingError: the checkpoint cannot be validated.
    """
    record = trial.record
    assert record is not None, "only trials that ended have checkpoints"
    validations = {"val": _with_errors(validate(trial, weights, "val"))}
    if history.metric.startswith("metrics/"):
        measured = validations["val"].metrics.get(history.metric)
        _compare(history.metric, record.score, measured, trial.request.trial)
    if "test" in history.started.dataset.images:
        validations["test"] = _with_errors(validate(trial, weights, "test"))
    return validations


def _with_errors(validation: Validation) -> Validation:
    """Return a validation with the noise of its scores."""
    scores = {} if validation.resampled is None else validation.resampled.scores
    known = {name: [value for value in values if value is not None] for name, values in scores.items()}
    errors = {name: round(stdev(values), 6) for name, values in known.items() if len(values) > 1}
    return validation.model_copy(update={"errors": errors})


def _reference(
    folder: RunFolder,
    history: History,
    winner: TrialHistory,
    validations: Mapping[str, Validation],
    validate: Validate,
) -> Reference | None:
    """Return trial 0, or the best other trial where trial 0 wins, scored on the winner's images; None without one."""
    base, chosen = history.baseline, _settings_trial(winner)
    is_base = base is not None and chosen == base.request.trial
    others = [one for one in _best_first(history) if _settings_trial(one) != chosen and one.record is not None]
    wanted = [one for one in others if is_base or (base is not None and _settings_trial(one) == base.request.trial)]
    if not wanted:
        return None
    alike = [one for one in wanted if _settings_trial(one) == _settings_trial(wanted[0])]
    found = next((one for one in alike if _is_kept(one)), alike[0])
    name, record, repeats = found.request.trial, found.record, found.request.repeats
    if record is None or not _is_kept(found):
        return Reference(trial=name, reason=f"{name} was not validated: its checkpoint is not kept.")
    try:
        scored = _validated(history, found, verify_file(folder, record.files["best.pt"]), validate)
    except YolosweepError as error:
        return Reference(trial=name, repeats=repeats, reason=f"{name} was not validated: {error}")
    errors = {split: paired_error(validations[split], scored[split], history.metric) for split in scored}
    known = {split: error for split, error in errors.items() if error is not None}
    return Reference(trial=name, repeats=repeats, validations=scored, errors=known)


def _is_kept(trial: TrialHistory) -> bool:
    """Return whether the checkpoint of a trial that ended is still there."""
    return trial.record is not None and "best.pt" in trial.record.files and not trial.dropped


def paired_error(one: Validation, other: Validation, metric: str) -> PairedError | None:
    """Return how uncertain the difference of two scores on the same images is; None where they cannot be paired."""
    if one.resampled is None or other.resampled is None or one.resampled.images != other.resampled.images:
        return None
    scores = (one.resampled.scores.get(metric, ()), other.resampled.scores.get(metric, ()))
    pairs = [(a, b) for a, b in zip(*scores, strict=False) if a is not None and b is not None]
    if len(pairs) < 2:
        return None
    return PairedError(
        images=one.resampled.images, resamples=len(pairs), error=round(stdev(a - b for a, b in pairs), 6)
    )


def _compare(metric: str, recorded: float | None, measured: float | None, trial: str) -> None:
    if recorded is None or measured is None or abs(recorded - measured) > TOLERANCE:
        raise ScoreDiffersError(
            f"{trial} is not selected: {metric} was recorded as {recorded}, but validating its best.pt again gives "
            f"{measured} (tolerance {TOLERANCE})"
        )


def _model_of(history: History, trial: TrialHistory) -> str:
    """Return what the experiment calls the model that a trial started from."""
    return str(trial.request.asked.get("model", history.experiment["model"]))


def _write_reproduce(folder: RunFolder, history: History, trial: TrialHistory, weights: str) -> None:
    """Write an experiment whose only trial repeats the winner: same settings, seed and data."""
    exp: Mapping[str, Any] = history.experiment
    record = trial.record
    assert record is not None
    searched = {name: record.used.get(name, value) for name, value in trial.request.asked.items()}
    experiment = {
        **{key: exp[key] for key in ("name", "task", "data", "train", "augmentations")},
        "model": _model_of(history, trial),
        "seed": exp["seed"] if trial.request.seed is None else trial.request.seed,
        "search": {
            "trials": 1,
            "metric": history.metric,
            "mode": history.mode,
            "pruner": "none",
            "parameters": {name: {"value": value} for name, value in searched.items()},
        },
        "resources": {"cpus_per_trial": trial.request.cpus, "gpus_per_trial": trial.request.gpus},
    }
    yaml = YAML(typ="safe", pure=True)
    yaml.default_flow_style = False
    yaml.sort_base_mapping_type_on_output = False  # type: ignore[assignment]
    text = io.StringIO(
        f"# Repeats {trial.request.trial} of {history.sweep}: yolosweep run reproduce.yaml\n"
        f"# SHA-256 of its weights, and of yours if they are the same: {weights}\n"
    )
    text.seek(0, io.SEEK_END)
    yaml.dump(experiment, text)
    folder.publish(text.getvalue(), folder.winner / "reproduce.yaml")


def data_of(folder: RunFolder, history: History) -> str:
    """Return where the prepared data are: inside this copy of the run folder, else at the recorded path.

    Raises:
        DataError: they no longer exist.
    """
    inside = folder.dataset / "data.yaml"
    path = inside if inside.is_file() else Path(history.started.dataset.train_on)
    if not path.exists():
        raise DataError(f"the data {path} of this sweep no longer exist; restore them to validate the winner")
    return str(path)
