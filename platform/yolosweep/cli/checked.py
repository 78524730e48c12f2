"""Everything that is checked before anything starts, in one place for ``run`` and ``plan``."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from yolosweep.data import inspect_dataset
from yolosweep.errors import DataError, ExperimentError, Fault
from yolosweep.experiment import Experiment, baseline, lint_with_data, load_experiment, notes
from yolosweep.records import PreparedDataset
from yolosweep.training.check import check_arguments
from yolosweep.training.models import locate_model

__all__ = ["Checked", "check"]


@dataclass(frozen=True, kw_only=True)
class Checked:
    """An experiment that may start."""

    source: Path
    experiment: Experiment
    dataset: PreparedDataset
    model: Path | str
    """A file, or a name Ultralytics ships."""
    notes: tuple[str, ...]
    """What is legal but may surprise, one sentence each."""


def check(source: Path, overrides: Sequence[str], *, fetch: bool = True) -> Checked:
    """Load an experiment and check all of it: file, data, model, Ultralytics' own rules.

    Args:
        source: the experiment file.
        overrides: ``key=value`` pairs.
        fetch: whether weights that are not here are downloaded; a plan only says so.

    Raises:
        ExperimentError: with all faults of the file at once.
        DataError: the data or the model are not there or cannot be read.
        UsageError: the file or an override cannot be read.
    """
    seen: list[PreparedDataset | DataError] = []

    def further(exp: Experiment) -> list[Fault]:
        try:
            dataset = inspect_dataset(exp.data, exp.task)
        except DataError as error:
            seen.append(error)
            return [Fault(key="data", message=str(error).removeprefix("data: ")), *check_arguments(exp)]
        seen.append(dataset)
        return [*lint_with_data(exp, dataset.images["train"]), *check_arguments(exp)]

    try:
        exp = load_experiment(source, overrides, further)
    except ExperimentError as error:
        if len(error.faults) == 1 and seen and isinstance(seen[0], DataError):
            raise seen[0] from None  # nothing is wrong with the file
        raise
    dataset = seen[0]
    assert isinstance(dataset, PreparedDataset)
    if not dataset.images.get("val"):
        raise DataError(f"{dataset.source}: the val split is empty; trials are ranked on it")
    _, told = baseline(exp)
    model = locate_model(exp.model, fetch=fetch)
    if isinstance(model, Path) and not model.is_file():
        told.append(f"{exp.model} is not on this machine: a run downloads it first")
    return Checked(
        source=source,
        experiment=exp,
        dataset=dataset,
        model=model,
        notes=(*notes(exp), *told, *dataset.notes),
    )
