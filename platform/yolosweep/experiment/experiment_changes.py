"""The experiment that follows a sweep: its file with changes, each with its evidence in a comment."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from yolosweep.experiment.commented_yaml import commented_yaml, one_line
from yolosweep.experiment.fault_messages import check
from yolosweep.experiment.schema import SCHEMA_FILE, Experiment
from yolosweep.experiment.trial_settings import grace_epochs
from yolosweep.records.diagnosis import Change, yaml_text

__all__ = ["NextExperiment", "next_experiment"]


class NextExperiment(NamedTuple):
    """The text of an experiment file, and what it changes."""

    text: str
    changes: tuple[Change, ...]
    advice: tuple[Change, ...]
    """Changes that no key of the file can make, and those that the experiment cannot take."""


def next_experiment(experiment: Mapping[str, Any], changes: Sequence[Change], *, title: str) -> NextExperiment:
    """Return the experiment with every change that it can take; of several changes of a key the first counts.

    Args:
        experiment: the resolved experiment, dumped.
        changes: most important first.
        title: first comment of the file.
    """
    content = _as_written(experiment)
    made: dict[str, tuple[Change, Any]] = {}
    advice: list[Change] = []
    for change in changes:
        key = _key(content, change)
        if change.value is None or key is None:
            advice.append(change)
        elif key not in made and _get(content, key) != change.value:
            tried = _with(content, key, change.value)
            if not _takes(tried):
                continue  # an argument that the model family lacks, or that has no effect here
            made[key] = (change.model_copy(update={"key": key}), _get(content, key))
            content = tried
    head = [f"# yaml-language-server: $schema={SCHEMA_FILE.name}", f"# {one_line(title)}"]
    head += [f"# not in this file: {change.key}: {one_line(change.how)}" for change in _distinct(advice)]
    return NextExperiment(
        text="\n".join(head) + "\n\n" + commented_yaml(content, {key: _why(*one) for key, one in made.items()}),
        changes=tuple(change for change, _ in made.values()),
        advice=tuple(_distinct(advice)),
    )


def _why(change: Change, before: Any) -> list[str]:
    """Return the comment above a changed key: what it was, and the evidence."""
    return [change.how if before is None else f"was {yaml_text(before)}: {change.how}"]


def _distinct(changes: Sequence[Change]) -> list[Change]:
    return list({(change.key, change.how): change for change in changes}.values())


def _as_written(experiment: Mapping[str, Any]) -> dict[str, Any]:
    """Return the experiment without what a run fills in by itself."""
    exp = Experiment.model_validate(experiment)
    content = exp.model_dump(mode="json", exclude_defaults=True)
    quiet = exp.backend.arguments.quiet
    content["train"] = {k: v for k, v in content.get("train", {}).items() if k not in quiet or quiet[k] != v}
    search = content["search"]
    if search.get("grace_epochs") == grace_epochs(int(exp.space.epochs)):
        del search["grace_epochs"]  # it follows from the epochs
    content["search"] = {**{k: v for k, v in search.items() if k != "parameters"}, "parameters": search["parameters"]}
    return content


def _key(content: Mapping[str, Any], change: Change) -> str | None:
    """Return the key that a change sets: of a fixed argument that is searched, there is none."""
    section, _, name = change.key.partition(".")
    searched = content["search"]["parameters"]
    if section == "train" and name in searched:
        return None
    if change.key.startswith("search.parameters.") and change.key.rpartition(".")[2] not in searched:
        return None
    return change.key


def _get(content: Mapping[str, Any], key: str) -> Any:
    value: Any = content
    for part in key.split("."):
        value = value.get(part) if isinstance(value, Mapping) else None
    return value


def _with(content: Mapping[str, Any], key: str, value: Any) -> dict[str, Any]:
    first, _, rest = key.partition(".")
    return {**content, first: value if not rest else _with(content.get(first) or {}, rest, value)}


def _takes(content: Mapping[str, Any]) -> bool:
    """Return whether an experiment is free of faults, as far as the file shows."""
    exp, faults = check(dict(content))
    return exp is not None and not faults
