"""The data checks of a data set, or of the data of an experiment."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from yolosweep.backends import DEFAULT_BACKEND
from yolosweep.data import OUTSIDE, Gate, examine, with_waived
from yolosweep.errors import DataError, UsageError
from yolosweep.experiment import Experiment, load_experiment, sizes_of
from yolosweep.records import DataCheck, Severity, SplitCheck
from yolosweep.storage.addresses import is_address
from yolosweep.workflows.data_report import write_page
from yolosweep.workflows.progress_listener import Listener

__all__ = ["check_data", "experiment_in"]


def check_data(
    source: str,
    listener: Listener,
    *,
    task: str | None = None,
    imgsz: Sequence[int] = (),
    allow: Sequence[str] = (),
    report: Path | None = None,
    fail_on: Severity = Severity.ERROR,
) -> DataCheck:
    """Check a data set, or that of an experiment.

    Args:
        source: a data.yaml, a folder, ``sample:parking``, or an experiment file.
        listener: receives the progress.
        task: None: that of the experiment, else detect.
        imgsz: image sizes to measure boxes at; empty: those of the experiment.
        allow: codes to waive.
        report: where to write the page; None: nowhere.
        fail_on: the lowest severity that the page presents as a failure.

    Raises:
        DataError: the data cannot be read as a dataset at all.
        UsageError: a code does not exist, or the page cannot be written.
    """
    exp = experiment_in(source)
    task = task or (exp.task if exp else "detect")
    sizes = list(imgsz) or (sizes_of(exp) if exp else [DEFAULT_BACKEND.arguments.imgsz({})])
    named = source if source.startswith("sample:") or is_address(source) else str(Path(source).absolute())
    reading, copying = listener.reading("reading the data"), listener.reading("copying the data", in_bytes=True)
    place, anywhere = exp.data if exp else named, OUTSIDE in allow
    gate = with_waived(examine(place, task, imgsz=sizes, anywhere=anywhere, progress=reading, copying=copying), allow)
    found = _result(gate, allow, report)
    if report is not None:
        code = DataError.exit_code if found.failing(fail_on) else 0
        try:
            write_page(gate, exp, report, sizes, code)
        except OSError as error:
            raise UsageError(f"--report {report} cannot be written: {error.strerror}; name another file") from error
    return found


def experiment_in(source: str) -> Experiment | None:
    """Return the experiment if the file is one: it has a ``search:``."""
    path = Path(source)
    if path.suffix not in (".yaml", ".yml") or not path.is_file():
        return None
    try:
        has_search = any(line.startswith("search:") for line in path.read_text(encoding="utf-8").splitlines())
    except (OSError, UnicodeDecodeError):
        return None
    return load_experiment(path, ()) if has_search else None


def _result(gate: Gate, allow: Sequence[str], report: Path | None) -> DataCheck:
    dataset = gate.dataset
    splits = {
        split: SplitCheck(
            images=found.images,
            objects=found.objects,
            empty=found.empty,
            unlabelled=found.unlabelled,
            instances={dataset.names[number]: count for number, count in found.instances.items()},
            images_with={dataset.names[number]: count for number, count in found.images_with.items()},
            leaking=dataset.leaks.get(split),
            same_source=dataset.same_source.get(split),
            same_scene=dataset.same_scene.get(split),
        )
        for split, found in gate.counts.splits.items()
        if found.images
    }
    by = [finding.severity for finding in dataset.findings]
    return DataCheck(
        source=dataset.source,
        task=dataset.task,
        fingerprint=dataset.fingerprint,
        names={str(number): name for number, name in dataset.names.items()},
        splits=splits,
        errors=by.count(Severity.ERROR),
        warnings=by.count(Severity.WARNING),
        notes=by.count(Severity.NOTE),
        allowed=dataset.allowed,
        findings=dataset.findings,
        report=str(report) if report else None,
        is_trainable=not gate.errors,
        waived=tuple(allow),
    )
