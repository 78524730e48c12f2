"""The checks of an experiment before anything starts; runs, resumed runs, plans and node checks share them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from yolosweep.backends import ArgumentSpace
from yolosweep.backends.arguments import DataTraits
from yolosweep.data import OUTSIDE, Gate, described, examine, waive
from yolosweep.errors import DataError, ExperimentError, Fault, UsageError
from yolosweep.experiment import Experiment, Source, baseline, lint_with_data, load_experiment, notes, sizes_of
from yolosweep.records import PreparedDataset, Severity
from yolosweep.records.earlier_trial import EarlierTrial
from yolosweep.storage.addresses import address_fault, is_address
from yolosweep.workflows.earlier_sweeps import earlier_trials
from yolosweep.workflows.footprint_check import known_footprints
from yolosweep.workflows.progress_listener import Listener

__all__ = ["Checked", "check", "check_with_data", "rules_of_data"]


@dataclass(frozen=True, kw_only=True)
class Checked:
    """An experiment that passed all checks."""

    experiment: Experiment
    dataset: PreparedDataset
    gate: Gate
    model: Path | str
    """A file, or the name of a model that Ultralytics ships."""
    notes: tuple[str, ...]
    """What is valid but may surprise, one sentence each."""
    earlier: tuple[EarlierTrial, ...] = ()
    """Trials of earlier sweeps that the search starts from."""

    others: Mapping[str, Path | str] = field(default_factory=dict)
    """The further models that are searched, as :attr:`model`, by the name in the experiment."""

    @property
    def model_bytes(self) -> int | None:
        """Size of the model's file; None if there is none on this machine."""
        return _bytes_of(self.model)

    @property
    def sizes(self) -> dict[str, int | None]:
        """Size of the file of every model, that of trial 0 first."""
        return {self.experiment.model: self.model_bytes, **{name: _bytes_of(one) for name, one in self.others.items()}}

    @property
    def largest(self) -> tuple[Experiment, int | None]:
        """The experiment with the largest of its models, and the size of that one's file."""
        exp, sizes = self.experiment, self.sizes
        name = max(sizes, key=lambda one: exp.backend.checkpoint_size(one, sizes[one]).weights_mb)
        return exp.with_model(name), sizes[name]


def _bytes_of(model: Path | str) -> int | None:
    return model.stat().st_size if isinstance(model, Path) and model.is_file() else None


@dataclass
class _WarmStart:
    """What the earlier sweeps give."""

    trials: tuple[EarlierTrial, ...] = ()
    notes: list[str] = field(default_factory=list)
    faults: list[Fault] = field(default_factory=list)


def check(
    source: Source,
    overrides: Sequence[str],
    listener: Listener,
    *,
    fetch: bool = True,
    allow: Sequence[str] = (),
    is_new: bool = True,
) -> Checked:
    """Load an experiment and check it completely: file, data, model, and the rules of the backend.

    Args:
        source: the experiment file, or its content.
        overrides: ``key=value`` pairs.
        listener: receives the progress of reading the data.
        fetch: whether missing weights are downloaded; a plan only notes that they are.
        allow: codes of findings in the data to waive.
        is_new: whether the earlier sweeps of a warm start are read; a sweep that is resumed has them in its ledger.

    Raises:
        ExperimentError: the file has faults; all are listed.
        DataError: the data are missing or unreadable, a data check found errors, or weights cannot be fetched.
        UsageError: the file or an override cannot be read, or a waived finding does not exist.
    """
    found: list[tuple[Gate, PreparedDataset] | DataError | UsageError] = []
    warm = _WarmStart()

    def further(exp: Experiment) -> list[Fault]:
        if is_address(exp.data) and address_fault(exp.data, holds="data") is not None:
            return _rules(exp)[0]  # the address is a fault of the file
        try:
            gate = _examined(exp, listener, anywhere=OUTSIDE in allow)
            found.append((gate, waive(gate, allow)))
        except (DataError, UsageError) as error:
            found.append(error)
            return [Fault(key="data", message=_message(error)), *_rules(exp)[0]]
        if is_new:
            warm.trials, warm.notes, warm.faults = earlier_trials(exp, gate.dataset)
        faults, notes = _rules_and_footprints(exp, gate)
        warm.notes += notes
        return [*warm.faults, *faults]

    try:
        exp = load_experiment(source, overrides, further)
    except ExperimentError as error:
        of_data = found[0] if found and isinstance(found[0], (DataError, UsageError)) else None
        if of_data is not None and [fault.message for fault in error.faults] == [_message(of_data)]:
            raise of_data from None  # nothing is wrong with the file
        raise
    assert isinstance(found[0], tuple), "an error of the data is a fault of the experiment"
    return _checked(exp, *found[0], warm, fetch=fetch)


def _rules_and_footprints(exp: Experiment, gate: Gate) -> tuple[list[Fault], list[str]]:
    """Return what the rules of the data and of the backend say; without a fault, also what is known of the models."""
    classes = len(gate.dataset.names)
    of_library, notes = _rules(exp, classes)
    if faults := [*rules_of_data(exp, gate), *of_library]:
        return faults, notes
    known = known_footprints(exp, classes)
    return known.faults, [*notes, *known.notes]


def _checked(exp: Experiment, gate: Gate, dataset: PreparedDataset, warm: _WarmStart, *, fetch: bool) -> Checked:
    """Return an experiment without faults, with its model and all that may surprise."""
    _, remarks = baseline(exp)
    models = {name: exp.backend.locate_model(name, fetch=fetch) for name in exp.models}
    for name, model in models.items():
        if isinstance(model, Path) and not model.is_file():
            remarks.append(f"{name} is not on this machine: a run downloads it first")
    return Checked(
        experiment=exp,
        dataset=dataset,
        gate=gate,
        model=models.pop(exp.model),
        others=models,
        notes=(*notes(exp), *remarks, *warm.notes, *_notable_findings(dataset)),
        earlier=warm.trials,
    )


def _examined(exp: Experiment, listener: Listener, *, anywhere: bool) -> Gate:
    reading, copying = listener.reading("checking the data"), listener.reading("copying the data", in_bytes=True)
    return examine(exp.data, exp.task, imgsz=sizes_of(exp), anywhere=anywhere, progress=reading, copying=copying)


def check_with_data(exp: Experiment, gate: Gate) -> None:
    """Check once more what depends on the data, after the experiment has changed.

    Raises:
        ExperimentError: something has no effect now, or ruins the training.
    """
    if faults := rules_of_data(exp, gate):
        raise ExperimentError(exp.name, faults)


def rules_of_data(exp: Experiment, gate: Gate) -> list[Fault]:
    """Return the faults of an experiment that depend on the data."""
    data, extra = gate.dataset, gate.layout.extra
    traits = DataTraits(
        train_images=data.images["train"],
        names=data.names,
        polygons=any(finding.code == "label-polygon-as-box" for finding in data.findings),
        channels=extra.get("channels", 3),
        kpt_shape=extra.get("kpt_shape") or (),
        flip_idx=extra.get("flip_idx") or (),
    )
    return lint_with_data(exp, traits)


def _rules(exp: Experiment, classes: int | None = None) -> tuple[list[Fault], list[str]]:
    """Return the faults the training library finds in the model and the arguments, and what may surprise."""
    found, surprises = list[Fault](), list[str]()
    for model in exp.models:
        named = exp.backend.model_faults(model, exp.task)
        faults, notes_of_model = _of_library(exp, model, classes)
        checked = [fault for fault in faults if fault.key != "model" or not named]
        found += [_of_model(fault, model, exp) for fault in (*named, *checked)]
        surprises += notes_of_model
    return found, surprises


def _of_library(exp: Experiment, model: str, classes: int | None) -> tuple[list[Fault], list[str]]:
    """Return what the library says: of further models, only of what is in their files."""
    if model == exp.model:
        return exp.backend.check_arguments(exp.space, classes)
    alone = ArgumentSpace(model=model, task=exp.task, defaults=exp.backend.arguments.defaults)
    return exp.backend.check_arguments(alone, classes) if Path(model).expanduser().is_file() else ([], [])


def _of_model(fault: Fault, model: str, exp: Experiment) -> Fault:
    """Return a fault of a model under the key that names the model."""
    if fault.key != "model" or model == exp.model:
        return fault
    return Fault(key="search.parameters.model", message=f"{model}: {fault.message}")


def _message(error: DataError | UsageError) -> str:
    return str(error).removeprefix("data: ")


def _notable_findings(dataset: PreparedDataset) -> list[str]:
    """Return the findings a run prints before it starts: warnings and waived errors, without notes."""
    serious = [finding for finding in dataset.findings if finding.severity is not Severity.NOTE]
    return [*dataset.notes, *(described(finding) for finding in serious)]
