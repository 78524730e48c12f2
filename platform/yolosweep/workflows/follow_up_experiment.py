"""The experiment that should follow a run, or the reasons why none should."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from pydantic import ValidationError

from yolosweep.errors import RunFolderError, UsageError
from yolosweep.experiment.commented_yaml import one_line
from yolosweep.experiment.experiment_changes import next_experiment
from yolosweep.ledger import RunFolder
from yolosweep.ledger.history import History
from yolosweep.records.diagnosis import Change, Diagnosis
from yolosweep.report.diagnosis_from_ledger import diagnose_sweep
from yolosweep.report.sweep_summary import verdict_of
from yolosweep.workflows.starter_file import write_experiment

__all__ = ["FollowUp", "follow_up", "write_follow_up"]


@dataclass(frozen=True, kw_only=True)
class FollowUp:
    """What should follow a run."""

    text: str
    """An experiment file; comments alone where the answer is not another sweep."""
    changes: tuple[Change, ...] = ()
    """What the file changes; empty where there is no experiment."""
    advice: tuple[str, ...] = ()
    """What no key of the file can change, one sentence each."""


def follow_up(folder: RunFolder) -> FollowUp:
    """Return what should follow a run.

    Raises:
        RunFolderError: there is no readable ledger.
    """
    history = History.of(folder)
    found = diagnose_sweep(history)
    stop = next((diagnosis for diagnosis in found if diagnosis.code == "label-more"), None)
    if stop is not None:
        return _without_experiment(stop.sentence, *(change.how for change in stop.changes))
    changes = [_with_evidence(diagnosis, change) for diagnosis in found for change in diagnosis.changes]
    waived = " ".join(f"--allow {code}" for code in history.dataset.allowed)
    title = f"Follows {history.sweep}. {verdict_of(history).sentence}"
    try:
        following = next_experiment(
            history.experiment, changes, title=f"{title} As that sweep, it needs {waived}." if waived else title
        )
    except ValidationError as error:
        where = ".".join(map(str, error.errors()[0]["loc"]))
        raise RunFolderError(
            f"{folder.address} was made with an experiment that this version does not accept ({where}: "
            f"{error.errors()[0]['msg']}); correct a copy of its experiment.yaml instead"
        ) from error
    advice = tuple(f"{change.key}: {change.how}" for change in following.advice)
    if following.changes:
        return FollowUp(text=following.text, changes=following.changes, advice=advice)
    more = f"For more evidence, add trials: yolosweep resume {folder.named} search.trials={2 * len(history.trials)}"
    return _without_experiment("No change of the experiment is supported by evidence yet.", *advice, more)


def _with_evidence(diagnosis: Diagnosis, change: Change) -> Change:
    """Return a change with what its trial's curves show; changes of a whole sweep name their evidence themselves."""
    if diagnosis.trial is None:
        return change
    return change.model_copy(update={"how": f"{change.how}. {diagnosis.trial}: {diagnosis.sentence}".rstrip(".")})


def write_follow_up(folder: RunFolder, out: Path) -> FollowUp:
    """Write the experiment that should follow a run into a new file; nothing where there is none.

    Raises:
        RunFolderError: there is no readable ledger.
        UsageError: the file exists or cannot be written.
    """
    if out.exists():
        raise UsageError(f"{out} exists and is not overwritten; choose another with --out")
    following = follow_up(folder)
    if following.changes:
        write_experiment(following.text, out)
    return following


def _without_experiment(*sentences: str) -> FollowUp:
    return FollowUp(text="".join(f"# {one_line(sentence)}\n" for sentence in sentences), advice=sentences)
