"""A commented starter experiment for a data set."""

from __future__ import annotations

import os
import shlex
from collections.abc import Sequence
from functools import partial
from pathlib import Path

from pydantic import ValidationError
from ruamel.yaml import YAML

from yolosweep.backends import DEFAULT_BACKEND, backend_for
from yolosweep.data import examine, guess_task, profile_of
from yolosweep.errors import UsageError
from yolosweep.experiment import load_experiment
from yolosweep.experiment.json_schema import text as schema_text
from yolosweep.experiment.schema import SCHEMA_FILE, Search
from yolosweep.experiment.starter_experiment import starter
from yolosweep.records import Finding
from yolosweep.storage.addresses import is_address
from yolosweep.storage.atomic_files import write_atomic
from yolosweep.workflows.epochs_for_time import fit_on_this_machine

__all__ = ["write_experiment", "write_starter"]


def write_starter(
    data: str, *, out: Path, task: str | None = None, model: str | None = None, time: str | None = None
) -> tuple[str, ...]:
    """Write a starter experiment for a data set into a new file, with the schema for editors beside it.

    With a time budget, the epochs of a trial are chosen so that enough trials fit. Returns what fits, or why that is
    unknown, and what keeps a sweep from starting; empty without either.

    Args:
        data: the data set.
        out: the file to write.
        task: None: what the data are labelled for.
        model: the model to start from; None: the smallest one of the task.
        time: time budget, e.g. ``8h``.

    Raises:
        DataError: the data cannot be read.
        UsageError: the file exists or cannot be written, the task or the time is unknown, or the model is for another
            task.
    """
    _check_options(out, task, model, time)
    place = data if data.startswith("sample:") or is_address(data) else str(Path(data).absolute())
    if task is None:
        task = guess_task(place)
        _check_options(out, task, model, time)
    text, told = _starter(data, out=out, task=task, model=model, time=time)
    write_experiment(text, out)
    return told


def write_experiment(text: str, out: Path) -> None:
    """Write an experiment file, with the schema for editors beside it.

    Raises:
        UsageError: it cannot be written.
    """
    try:
        write_atomic(out.absolute(), text)
        if not (schema := out.absolute().with_name(SCHEMA_FILE.name)).exists():
            write_atomic(schema, schema_text())
    except OSError as error:
        raise UsageError(f"cannot write {out}: {error.strerror or error}; choose another with --out") from error


def _check_options(out: Path, task: str | None, model: str | None, time: str | None) -> None:
    """Check the options.

    Raises:
        UsageError: the file exists, the task or the time is unknown, or the model is for another task.
    """
    backend = DEFAULT_BACKEND if model is None else backend_for(model)
    if task is not None and task not in backend.tasks:
        raise UsageError(f"--task {task}: must be one of {', '.join(backend.tasks)}")
    if model is not None and task is not None and (fault := backend.misnamed(model, task)):
        raise UsageError(f"--task {task} --model {model}: {fault}")
    if time is not None and (reason := _fault_of_time(time)):
        raise UsageError(f"--time {time}: {reason}")
    if out.exists():
        raise UsageError(f"{out} exists and is not overwritten; choose another with --out")


def _fault_of_time(time: str) -> str:
    """Return why a time budget cannot be written; empty if it can."""
    try:
        Search.model_validate({"time_budget": time, "parameters": {"lr0": {"value": 0.01}}})
    except ValidationError as error:
        return str(error.errors()[0]["msg"]).removeprefix("Value error, ")
    return ""


def _starter(data: str, *, out: Path, task: str, model: str | None, time: str | None) -> tuple[str, tuple[str, ...]]:
    """Return the text of the experiment, and what to know about it.

    Raises:
        DataError: the data cannot be read.
    """
    is_name = data.startswith("sample:") or is_address(data)
    gate = examine(data if is_name else str(Path(data).absolute()), task)
    in_folder = data.endswith((".yaml", ".yml"))
    write = partial(
        starter,
        data if is_name else os.path.relpath(data, out.absolute().parent),
        task=task,
        name=Path(data.rpartition(":")[2]).absolute().parent.name if in_folder else Path(data).name,
        model=model,
        profile=profile_of(gate),
        time=time,
        schema=SCHEMA_FILE.name,
        file=out.name,
    )
    told = [_errors(gate.errors, data)] if gate.errors else []
    if time is None:
        return write(), tuple(told)
    exp = load_experiment(YAML(typ="safe", pure=True).load(write()))
    fit = fit_on_this_machine(exp, gate.dataset.images)
    if fit is None:
        told.append("what fits into the time is unknown without a measurement: yolosweep plan --measure")
        return write(), tuple(told)
    return write(epochs=fit.epochs), (*told, fit.sentence(time))


def _errors(errors: Sequence[Finding], data: str) -> str:
    codes = ", ".join(dict.fromkeys(finding.code for finding in errors))
    return f"the data have errors that keep a sweep from starting: {codes} (yolosweep check {shlex.quote(data)})"
