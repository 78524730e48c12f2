"""``yolosweep run``: wire the rooms together, watch, and finish properly whatever happens."""

from __future__ import annotations

import contextlib
import os
import platform
import shutil
import signal
import sys
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from importlib import metadata
from pathlib import Path
from typing import Any

from yolosweep.cli.checked import Checked, check
from yolosweep.cli.crowning import crown_open_run, describe_winner
from yolosweep.cli.live import LiveView
from yolosweep.data import prepare_dataset
from yolosweep.durable import sha256_of, write_atomic
from yolosweep.errors import Interrupted, TrainingError, YolosweepError
from yolosweep.history import History
from yolosweep.ledger import Ledger, RunFolder
from yolosweep.report import summary, write_report
from yolosweep.search.cluster_resources import allot
from yolosweep.search.ray_tune import DeskLine, connected, run_trials
from yolosweep.tracking import Mirror, choose_mode, start_mirror

__all__ = ["run_sweep"]

_PACKAGES = ("yolosweep", "ultralytics-opencv-headless", "torch", "ray", "optuna", "albumentations", "numpy")


def run_sweep(source: Path, overrides: Sequence[str], *, as_json: bool) -> int:
    """Run an experiment to its end and return the exit code.

    Raises:
        YolosweepError: something is wrong before the first trial, or no trial gave a score.
    """
    _say("checking the experiment and the data …")
    checked = check(source, overrides)
    choice = choose_mode(checked.experiment.track.wandb, os.environ)
    for note in checked.notes:
        _say(f"note: {note}")
    if choice.line:
        _say(choice.line)
    folder = RunFolder.create(checked.experiment.storage, checked.experiment.name)
    try:
        with folder.held():
            return _Sweep(folder, checked, online=choice.mode == "online", as_json=as_json).run()
    except BaseException:
        if not folder.ledger.exists():  # nothing was started: leave nothing behind
            shutil.rmtree(folder.root, ignore_errors=True)
        raise


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


class _Sweep:
    """One run of an experiment: search, then winner, report and mirror."""

    def __init__(self, folder: RunFolder, checked: Checked, *, online: bool, as_json: bool) -> None:
        self._folder, self._checked, self._online, self._as_json = folder, checked, online, as_json
        self._signal: int | None = None
        self._mirror: Mirror | None = None
        self._failure: YolosweepError = TrainingError("no trial has a score")

    def run(self) -> int:
        """Do all of it and return the exit code.

        Raises:
            Interrupted: the user or the system asked to stop; everything is finished properly before.
        """
        _say(f"run folder: {self._folder.root}")
        reason = self._search()
        ledger = Ledger(self._folder)
        try:
            winner = self._crown(ledger)
            status = "cancelled" if self._signal else "finished"
            ledger.append("sweep_ended", status=status, reason=reason)
        finally:
            ledger.close()
            _clear_scratch(self._folder.sweep)
        page = write_report(self._folder)
        if self._mirror is not None:
            result = self._mirror.finish()
            if result.warning:
                _say(f"warning: {result.warning}")
        self._tell(winner, page)
        if self._signal:
            raise Interrupted(
                f"stopped on request; all results are kept in {self._folder.root}", signal_number=self._signal
            )
        if winner is None:
            return self._failure.exit_code
        return 0

    def _search(self) -> str:
        """Run the trials; return why the search ended."""
        exp = self._checked.experiment
        dataset = prepare_dataset(exp.data, exp.task, self._folder)
        model, fingerprint = self._store_model()
        _say("starting Ray …")
        with connected() as cluster:
            slots = allot(exp.resources, cluster.nodes, exp.search.trials)
            self._write_experiment()
            desk = DeskLine(
                self._folder,
                {
                    "experiment": exp.model_dump(mode="json"),
                    "model": model,
                    "model_fingerprint": fingerprint,
                    "dataset": dataset.model_dump(mode="json"),
                    "cpus": slots.cpus,
                    "gpus": slots.gpus,
                    "header": {
                        "versions": versions(),
                        "notes": list(self._checked.notes),
                        "slots": asdict(slots),
                    },
                },
            )
            self._mirror = start_mirror(self._folder) if self._online else None
            with self._signals(desk), LiveView(self._folder, exp.search.trials, int(exp.train["epochs"])):
                run_trials(self._folder, desk, slots)
            return str(desk.ask("close"))

    def _store_model(self) -> tuple[str, str]:
        """Copy a model file into the run folder, where every node sees it; return what trials load, and its hash."""
        model = self._checked.model
        if isinstance(model, str):
            return model, model
        stored = self._folder.publish(model, self._folder.root / "model" / model.name)
        return str(self._folder.resolve(stored)), sha256_of(model)

    def _write_experiment(self) -> None:
        from ruamel.yaml import YAML

        yaml = YAML(typ="safe", pure=True)
        yaml.default_flow_style = False
        draft = self._folder.root / ".experiment.tmp"
        with draft.open("w", encoding="utf-8") as stream:
            yaml.dump(self._checked.experiment.model_dump(mode="json"), stream)
        write_atomic(self._folder.experiment, draft)
        draft.unlink()

    @contextlib.contextmanager
    def _signals(self, desk: DeskLine) -> Iterator[None]:
        """First Ctrl-C or SIGTERM: stop between two batches, keep everything. Second: stop at once."""

        def handle(number: int, frame: object) -> None:
            if self._signal is not None:
                raise KeyboardInterrupt
            self._signal = number
            name = signal.Signals(number).name
            _say(f"{name}: stopping the running trials and keeping everything; once more to stop at once")
            desk.tell("cancel", f"stopped by {name}")

        before = {number: signal.signal(number, handle) for number in (signal.SIGINT, signal.SIGTERM)}
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)

    def _crown(self, ledger: Ledger) -> dict[str, Any] | None:
        """Verify and validate the winner; a failure is recorded and shown, the rest of the run stands."""
        if self._signal == signal.SIGTERM:
            _say(f"no time to validate the winner; later: yolosweep best {self._folder.root}")
            return None
        _say("verifying and validating the winner …")
        try:
            payload = crown_open_run(self._folder)
        except YolosweepError as error:
            self._failure = error
            ledger.append("note", text=f"no winner: {error}")
            _say(f"error: {error}")
            return None
        ledger.append("winner", **payload)
        return payload

    def _tell(self, winner: dict[str, Any] | None, page: Path) -> None:
        told = summary(History.of(self._folder))
        if self._as_json:
            import json

            sys.stdout.write(
                json.dumps({"run": str(self._folder.root), "summary": told, "winner": winner}, indent=2) + "\n"
            )
            return
        if winner is not None:
            describe_winner({**winner, "run": str(self._folder.root), "gain": told["winner"]["gain"]})
        print(f"report     {page}")


def _clear_scratch(sweep: str) -> None:
    """Remove what killed trainings of this sweep left in this machine's temporary folder."""
    for folder in Path(tempfile.gettempdir()).glob(f"yolosweep-{sweep}-*"):
        shutil.rmtree(folder, ignore_errors=True)


def versions() -> dict[str, str]:
    """Return the versions of Python and of every package that can change a result."""
    found = {"python": platform.python_version()}
    for package in _PACKAGES:
        with contextlib.suppress(metadata.PackageNotFoundError):
            found[package] = metadata.version(package)
    return found
