"""Checks before a run is resumed: is it still the same sweep, and is anything left to train."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from yolosweep.cluster.versions import releases, versions
from yolosweep.data.model.finding_codes import CODES
from yolosweep.errors import ExperimentError, RunFolderError, UsageError
from yolosweep.ledger import RunFolder
from yolosweep.ledger.history import History
from yolosweep.runtime.trial_resources import ranks_of
from yolosweep.storage.atomic_files import sha256_of
from yolosweep.workflows.experiment_checks import Checked, check
from yolosweep.workflows.progress_listener import Listener

__all__ = ["ALLOWABLE", "changed_versions", "check_again", "is_complete"]

ALLOWABLE = ("data", "versions")
"""What may differ from the recorded sweep if the user accepts it (``--allow``); this is recorded."""

_CHANGEABLE = (
    *(
        "search.trials",
        "search.budget",
        "search.time_budget",
        "search.epoch_budget",
        "search.finals",
        "keep_top",
        "trial",
        "track",
    ),
    *("resources.max_concurrent", "resources.cpus_per_trial", "resources.gpus_per_trial"),
)
"""What may change when a sweep is resumed: how long and where it runs, not what it is."""

_FINALS = "search.finals"


def check_again(
    folder: RunFolder, history: History, overrides: Sequence[str], allow: Sequence[str], listener: Listener
) -> tuple[Checked, dict[str, Any]]:
    """Return the experiment of a run that can be resumed, and what differs from the recorded one.

    Raises:
        RunFolderError: it would be another sweep; the message lists all differences with their fixes.
        UsageError: an override or ``allow`` contains an unknown name.
        ExperimentError: an override is invalid.
        DataError: the data no longer exist.
    """
    unknown = [name for name in allow if name not in ALLOWABLE and name not in CODES]
    if unknown:
        raise UsageError(
            f"--allow {unknown[0]}: choose from {', '.join(ALLOWABLE)}, or the code of an error in the data"
        )
    codes = {*history.started.dataset.allowed, *allow} - {*ALLOWABLE}
    checked = _checked(folder, overrides, listener, allow=sorted(codes))
    recorded = dict(_flat(history.experiment))
    now = dict(_flat(checked.experiment.model_dump(mode="json")))
    changes = {
        key: [recorded.get(key), now.get(key)] for key in sorted({*recorded, *now}) if recorded.get(key) != now.get(key)
    }
    wrong = [
        f"{key} was {before!r} and is {after!r}: that is another experiment; start it with yolosweep run"
        for key, (before, after) in changes.items()
        if not any(f"{key}.".startswith(f"{free}.") for free in _CHANGEABLE)
    ]
    ranks, before = ranks_of(checked.experiment.resources), history.started.world_size
    if ranks != before:
        wrong.append(
            f"a trial had {before} ranks and would have {ranks}: BatchNorm sees each rank's images alone, so scores "
            "would not compare; keep resources as before"
        )
    recorded_versions = history.versions
    releases_differ, builds_differ = changed_versions(recorded_versions, versions())
    wrong += _other_data(checked, history, allow) + ([] if "versions" in allow else releases_differ)
    models, faults = _stored_models(folder, checked, history)
    wrong += faults
    if wrong:
        lines = "\n".join(f"  {line}" for line in wrong)
        raise RunFolderError(f"{folder.address} cannot be resumed as the same sweep:\n{lines}")
    notes = (*checked.notes, *builds_differ)
    model = models.pop(checked.experiment.model)
    return replace(checked, model=model, others=models, notes=notes), {"changes": changes, "allowed": sorted(allow)}


def _checked(folder: RunFolder, overrides: Sequence[str], listener: Listener, *, allow: Sequence[str]) -> Checked:
    """Return the experiment with the overrides; without its finals where a smaller budget leaves no room for them.

    Finals may have been chosen because the budget was large, so they give way, unless they are asked for now.
    """
    try:
        return check(folder.experiment, overrides, listener, fetch=False, allow=allow, is_new=False)
    except ExperimentError as error:
        asked_for = any(text.startswith(_FINALS) for text in overrides)
        if asked_for or {fault.key for fault in error.faults} != {_FINALS}:
            raise
    checked = check(
        folder.experiment, [*overrides, f"{_FINALS}=none"], listener, fetch=False, allow=allow, is_new=False
    )
    return replace(checked, notes=(*checked.notes, "the finals are left out: the smaller budget has no room for them"))


def _flat(value: Any, prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Yield the leaves of nested mappings under dotted keys; an empty list is no value, as in earlier versions."""
    if isinstance(value, Mapping) and value:
        for key, below in value.items():
            yield from _flat(below, f"{prefix}.{key}" if prefix else str(key))
    else:
        yield prefix, None if value == [] else value


def _other_data(checked: Checked, history: History, allow: Sequence[str]) -> list[str]:
    before, now = history.started.dataset.fingerprint, checked.dataset.fingerprint
    if before == now or "data" in allow:
        return []
    return [
        f"the data in {checked.dataset.source} have changed (fingerprint {now[:12]}, recorded {before[:12]}): scores "
        "would not compare; restore the old data, or continue with --allow data"
    ]


def changed_versions(recorded: Mapping[str, str], now: Mapping[str, str]) -> tuple[list[str], list[str]]:
    """Return a line per package whose release differs from the recorded one, and one per differing build."""
    before, after = releases(recorded), releases(now)
    others = [
        f"{package} was {before.get(package)} and is {after.get(package)}: results may differ; install the old one, "
        "or continue with --allow versions"
        for package in sorted({*before, *after})
        if before.get(package) != after.get(package)
    ]
    builds = [
        f"{package} was {version} and is {now[package]}: another build of the same release"
        for package, version in sorted(recorded.items())
        if version != now.get(package) and before[package] == after.get(package)
    ]
    return others, builds


def _stored_models(folder: RunFolder, checked: Checked, history: History) -> tuple[dict[str, Path | str], list[str]]:
    """Return the model files in the run folder by name, and the problems with them."""
    found, faults, started = dict[str, Path | str](), list[str](), history.started
    for name, model in {checked.experiment.model: checked.model, **checked.others}.items():
        recorded = started.fingerprints.get(name, started.model_fingerprint)
        found[name], wrong = _stored_model(folder, model, recorded)
        faults += wrong
    return found, faults


def _stored_model(folder: RunFolder, model: Path | str, recorded: str | None) -> tuple[Path | str, list[str]]:
    """Return a model file in the run folder, and the problems with it."""
    if isinstance(model, str):
        return model, []
    stored = folder.bring(folder.model(model.name))
    if not stored.is_file():
        return stored, [f"{stored} is missing: every trial starts from this model; restore it"]
    if sha256_of(stored) != recorded:
        return stored, [f"{stored} was changed since (SHA-256 recorded {recorded}); restore the old file"]
    return stored, []


def is_complete(checked: Checked, history: History) -> bool:
    """Return whether every requested trial has ended for good."""
    trials = checked.experiment.search.trials
    ended = all(trial.record is not None and trial.record.ending.is_final for trial in history.trials.values())
    return ended and trials is not None and len(history.trials) >= trials
