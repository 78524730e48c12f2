"""The Python API: what the command line does, as functions that return typed values. Nothing here prints.

.. code-block:: python

    sweep = yolosweep.run("experiment.yaml", "search.trials=8")
    sweep.trials  # a pandas frame
    YOLO(sweep.best.weights)

Progress goes to the logger ``yolosweep``, or to the ``listener`` that is passed. Errors are those of
:mod:`yolosweep.errors`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from yolosweep.errors import TrainingError, UsageError
from yolosweep.experiment import Experiment, Source, override_of
from yolosweep.ledger import RunFolder, read_events
from yolosweep.ledger.history import History
from yolosweep.records import DataCheck, DataSplit, Severity
from yolosweep.records.diagnosis import SweepDiagnosis, TrainingDiagnosis
from yolosweep.records.events import Winner
from yolosweep.records.export import ExportedWinner
from yolosweep.records.plan import Plan
from yolosweep.records.summary import Summary
from yolosweep.report import summarize, write_report
from yolosweep.report.trial_explanations import explain
from yolosweep.report.verified_winner import verify_file
from yolosweep.workflows.data_check import check_data
from yolosweep.workflows.data_split import split_data
from yolosweep.workflows.experiment_checks import check as check_experiment
from yolosweep.workflows.follow_up_experiment import FollowUp, follow_up
from yolosweep.workflows.notebook_view import notebook_view
from yolosweep.workflows.progress_listener import Listener, LogListener
from yolosweep.workflows.run_diagnosis import diagnose as diagnose_path
from yolosweep.workflows.sweep_plan import plan_of
from yolosweep.workflows.sweep_run import resume_sweep, run_sweep
from yolosweep.workflows.trial_table import trial_frame, write_trials
from yolosweep.workflows.ultralytics_tune import TuneCall, experiment_of
from yolosweep.workflows.winner_export import TOLERANCE, export_winner
from yolosweep.workflows.winner_selection import select_winner_of

if TYPE_CHECKING:
    from pandas import DataFrame

__all__ = [
    "Best",
    "Experiment",
    "Listener",
    "LogListener",
    "Sweep",
    "check",
    "diagnose",
    "open",
    "plan",
    "run",
    "split",
    "tune",
]


@dataclass(frozen=True, kw_only=True)
class Best:
    """The winner of a sweep."""

    trial: str
    weights: Path
    """Its checkpoint, ``winner/best.pt``, whose SHA-256 is the recorded one."""
    settings: Mapping[str, Any]
    """The train arguments, as really used."""
    scores: Mapping[str, Mapping[str, float | None]]
    """Metrics per split, as validated again after the search."""
    winner: Winner
    """The complete record."""


class Sweep:
    """One sweep, running or ended: a view of its run folder that reads the ledger each time.

    Args:
        run_folder: the run folder; :func:`open` finds it by its name.
    """

    def __init__(self, run_folder: RunFolder) -> None:
        self.run_folder = run_folder

    @property
    def address(self) -> str:
        """What names the run on every machine: its folder, or its address in an object storage."""
        return self.run_folder.address

    @property
    def path(self) -> Path:
        """The run folder on this machine; of a run in an object storage, the local copy."""
        return self.run_folder.root

    @property
    def summary(self) -> Summary:
        """Every number of the report."""
        return summarize(self._history())

    @property
    def trials(self) -> DataFrame:
        """The trials as a pandas frame, one row each, indexed by the trial; a running one has no score yet."""
        return trial_frame(self.summary)

    @property
    def pareto(self) -> DataFrame:
        """The trials on the Pareto front, best score first; empty where there is one objective."""
        summary = self.summary
        return trial_frame(summary).loc[list(summary.front)]

    def save_trials(self, file: Path | str) -> Path:
        """Write the trials into a ``.csv`` or ``.parquet`` file and return its path.

        Raises:
            UsageError: the name ends otherwise, the file cannot be written, or Parquet's library is missing.
        """
        return write_trials(self.trials, Path(file))

    @property
    def best(self) -> Best:
        """The winner as it was selected when the sweep ended.

        Raises:
            TrainingError: no winner was selected.
            VerificationError: its file is missing or was changed.
        """
        selected = self._history().winner
        if selected is None:
            raise TrainingError(f"{self.address} has no winner yet; select_winner() selects one from the ended trials")
        return self._best(selected.winner)

    def select_winner(self) -> Best:
        """Verify the best checkpoint, validate it again, and write the ``winner/`` bundle.

        Raises:
            RunFolderError: the run is in use.
            VerificationError: the checkpoint or its score differs from what was recorded.
            TrainingError: no trial has a score.
        """
        return self._best(select_winner_of(self.run_folder))

    def export(self, format: str, *, quantize: int | None = None, tolerance: float = TOLERANCE) -> ExportedWinner:
        """Export the winner, validate it on val, and record it in ``winner/exports``.

        Args:
            format: ``torchscript``, ``onnx``, ``openvino`` or ``ncnn``.
            quantize: 16 or 8 bits, where the format has them; None: 32.
            tolerance: largest accepted difference between the scores of the exported model and of the checkpoint.

        Raises:
            YolosweepError: see :func:`yolosweep.workflows.winner_export.export_winner`.
        """
        return export_winner(self.run_folder, format, quantize=quantize, tolerance=tolerance)

    def explain(self, trial: str | None = None) -> dict[str, tuple[str, ...]]:
        """Return why trials were started, restarted and stopped, and why the winner was chosen, as sentences.

        Args:
            trial: a trial, e.g. ``t0003``; None: the sweep, and every trial.

        Raises:
            UsageError: there is no such trial.
        """
        self.run_folder.refresh()
        explanation = explain(read_events(self.run_folder.ledger))
        trials = explanation.history.trials
        if trial is not None and trial not in trials:
            known = f"{next(iter(trials))} to {list(trials)[-1]}" if trials else "none yet"
            raise UsageError(f"{self.address} has no trial {trial!r}; it has {known}")
        names = trials if trial is None else [trial]
        sweep = {"sweep": explanation.of_sweep()} if trial is None else {}
        return {**sweep, **{name: explanation.of_trial(name) for name in names}}

    def follow_up(self) -> FollowUp:
        """Return the experiment that should follow, each change with its evidence, or why none should."""
        self.run_folder.refresh()
        return follow_up(self.run_folder)

    def report(self) -> Path:
        """Write ``report.html`` from the ledger and return its path."""
        return write_report(self.run_folder)

    def resume(
        self, *words: str, allow: Sequence[str] = (), listener: Listener | None = None, **overrides: Any
    ) -> Sweep:
        """Continue an interrupted sweep, or give it more trials; finished trials are never run again.

        Args:
            words: larger budgets, e.g. ``"search.trials=40"``.
            allow: differences (``data``, ``versions``) and codes of errors in the data to accept.
            listener: receives progress; None: the log.
            overrides: see :func:`run`.

        Raises:
            YolosweepError: see :func:`run`; also if it would become another sweep.
        """
        resume_sweep(self.run_folder, _words(words, overrides), listener or LogListener(), allow=allow)
        return self

    def _history(self) -> History:
        self.run_folder.refresh()
        return History.of(self.run_folder)

    def _best(self, winner: Winner) -> Best:
        return Best(
            trial=winner.trial,
            weights=verify_file(self.run_folder, winner.file),
            settings=winner.settings,
            scores={split: validation.metrics for split, validation in winner.validations.items()},
            winner=winner,
        )

    def __repr__(self) -> str:
        return f"Sweep({self.address!r})"

    def _repr_html_(self) -> str:
        """Return the verdict and the best trials for a notebook."""
        return notebook_view(self.summary)


def run(
    experiment: Source, *words: str, allow: Sequence[str] = (), listener: Listener | None = None, **overrides: Any
) -> Sweep:
    """Check the data, search, and select one verified winner.

    In the main thread, Ctrl-C and SIGTERM stop the running trials and keep all results. A Ray session that is already
    open in this process is used and stays open.

    Args:
        experiment: an experiment file, or its content as a mapping or an ``Experiment``.
        words: overrides as on the command line, e.g. ``"search.trials=8"``.
        allow: codes of errors in the data to waive.
        listener: receives progress; None: the logger ``yolosweep``.
        overrides: overrides by name, ``__`` for a dot: ``search__trials=8``, ``storage="/mnt/runs"``.

    Raises:
        ExperimentError: the experiment is invalid; all faults are listed.
        DataError: a data check found errors.
        ClusterError: Ray cannot be reached, or has fewer resources than one trial needs.
        Interrupted: a signal stopped the sweep; ``open(…).resume()`` continues it.
        TrainingError: no trial gave a score.
        VerificationError: the best checkpoint differs from what was recorded.
    """
    return Sweep(run_sweep(experiment, _words(words, overrides), listener or LogListener(), allow=allow))


def open(run: Path | str) -> Sweep:
    """Return an existing sweep.

    Args:
        run: its run folder, or its address in an object storage (``s3://…``).

    Raises:
        RunFolderError: it is not a run folder, or the storage cannot be read.
    """
    return Sweep(RunFolder.open(run))


def plan(experiment: Source, *words: str, allow: Sequence[str] = (), measure: bool = False,
         listener: Listener | None = None, **overrides: Any) -> Plan:  # fmt: skip
    """Return what a run would do and cost at most, with ``measure`` from batches trained now; see :func:`run`."""
    listener = listener or LogListener()
    checked = check_experiment(experiment, _words(words, overrides), listener, fetch=measure, allow=allow)
    return plan_of(checked, measure=listener if measure else None)


def tune(
    model: Any,
    *,
    data: Path | str,
    space: Mapping[str, Any] | None = None,
    iterations: int = 300,
    grace_period: int = 10,
    gpu_per_trial: float | None = None,
    search_alg: str | None = "optuna",
    allow: Sequence[str] = (),
    listener: Listener | None = None,
    **train_args: Any,
) -> Sweep:
    """Do what Ultralytics' ``model.tune(use_ray=True)`` does, under its argument names.

    Args:
        model: a file, or a YOLO model that was loaded from one.
        data: the data set.
        space: search space: objects of ``ray.tune``, entries as in an experiment file, and fixed values; None:
            Ultralytics' default space, without arguments that have no effect on this model and task.
        iterations: number of trials, the defaults included.
        grace_period: epochs before a trial may be pruned.
        gpu_per_trial: GPUs per trial; None: one if there are any (Ultralytics trains on the CPU then).
        search_alg: ``optuna``, ``random``, or a searcher of yolosweep; None: random.
        allow: codes of errors in the data to waive.
        listener: receives progress; None: the log.
        train_args: train arguments. ``name`` begins the name of the run folder, ``project`` is where it is created.

    Raises:
        ExperimentError: an argument has no equivalent; all are listed.
        YolosweepError: see :func:`run`.
    """
    call = TuneCall(
        model=model,
        data=data,
        space=space,
        iterations=iterations,
        grace_period=grace_period,
        gpu_per_trial=gpu_per_trial,
        search_alg=search_alg,
        train_args=train_args,
    )
    return run(experiment_of(call), allow=allow, listener=listener)


def check(
    data: Path | str,
    *,
    task: str | None = None,
    imgsz: Sequence[int] = (),
    allow: Sequence[str] = (),
    report: Path | str | None = None,
    fail_on: Severity = Severity.ERROR,
    listener: Listener | None = None,
) -> DataCheck:
    """Find problems in a data set: labels, images, leaks, balance.

    Args:
        data: a data.yaml, a folder, ``sample:parking``, or an experiment file.
        task: None: that of the experiment, else detect.
        imgsz: image sizes that will be trained with; empty: those of the experiment.
        allow: codes of findings to waive.
        report: where to write an HTML page; None: nowhere.
        fail_on: the lowest severity that the page presents as a failure.
        listener: receives progress; None: the log.

    Raises:
        DataError: the data cannot be read as a dataset at all; what is wrong inside is part of the result.
        UsageError: a code does not exist, or the page cannot be written.
    """
    page = None if report is None else Path(report)
    return check_data(
        str(data), listener or LogListener(), task=task, imgsz=imgsz, allow=allow, report=page, fail_on=fail_on
    )


def diagnose(path: Path | str) -> TrainingDiagnosis | SweepDiagnosis:
    """Return what the curves of a training, or the trials of a sweep, show, and what to change.

    Args:
        path: a ``results.csv`` of Ultralytics, the folder of such a training, a run folder, or a run's address.

    Raises:
        UsageError: the file cannot be read, or is no ``results.csv``.
        RunFolderError: there is no readable ledger.
    """
    return diagnose_path(path)


def split(
    data: Path | str,
    out: Path | str,
    *,
    task: str = "detect",
    val: float = 0.2,
    test: float = 0.1,
    seed: int = 0,
    allow: Sequence[str] = (),
    by: str | None = None,
    listener: Listener | None = None,
) -> DataSplit:
    """Split a data set into train, val and test. Keeps bursts and duplicates together, moves no files.

    Args:
        data: a data.yaml, or a folder of images and labels.
        out: a new or empty folder for the lists and the data.yaml.
        task: the task of the labels.
        val, test: shares of the images.
        seed: same seed, same split.
        by: ``time``, ``camera``, ``folder``, a file of ``image,group``, or a pattern; None: what suits the images.
        allow: ``file-outside`` also uses files that links or lists lead to outside the folders of the data set.
        listener: receives progress; None: the log.

    Raises:
        DataError: the data cannot be read, or no useful split exists.
        UsageError: the folder cannot be written, or the shares or ``by`` are invalid.
    """
    listener = listener or LogListener()
    return split_data(str(data), listener, out=Path(out), task=task, val=val, test=test, seed=seed, by=by, allow=allow)


def _words(words: Sequence[str], overrides: Mapping[str, Any]) -> list[str]:
    """Return all overrides in the form of the command line."""
    return [*words, *(override_of(name.replace("__", "."), value) for name, value in overrides.items())]
