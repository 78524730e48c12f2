"""A sweep from the checks to the report: wires the packages together and finishes properly in every case."""

from __future__ import annotations

import contextlib
import io
import os
import re
import shutil
import signal
import sys
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from yolosweep.cli.best import describe_winner
from yolosweep.cli.console import notify, print_json, print_line, show_error
from yolosweep.cli.doctor import good_nodes, needs_of, probe_request
from yolosweep.cli.experiment_checks import Checked, check
from yolosweep.cli.live_view import LiveView
from yolosweep.cli.resume_checks import check_again, is_complete
from yolosweep.cli.signals import Stop
from yolosweep.cli.winner_selection import select_winner_in
from yolosweep.cluster import (
    Admission,
    publish_credentials,
    remove_probe,
    verify_data,
    write_probe,
    write_view_on_driver,
)
from yolosweep.cluster.versions import versions
from yolosweep.errors import Interrupted, RunFolderError, TrainingError, YolosweepError
from yolosweep.ledger import Ledger, RunFolder
from yolosweep.ledger.history import History
from yolosweep.records import PreparedDataset
from yolosweep.records.events import Note, SweepEnded, Winner, WinnerSelected
from yolosweep.report import summarize, write_report
from yolosweep.runtime.resources import Allocation, allot
from yolosweep.runtime.tune_adapter import connected, run_trials
from yolosweep.search.checkpoint_retention import clear_leftovers
from yolosweep.storage.addresses import is_address
from yolosweep.storage.atomic_files import sha256_of
from yolosweep.tracking import Choice, Mirror, choose_sinks, start_mirror

__all__ = ["resume_sweep", "run_sweep"]


def run_sweep(source: Path, overrides: Sequence[str], *, allow: Sequence[str] = (), as_json: bool) -> int:
    """Run an experiment to its end and return the exit code.

    Raises:
        YolosweepError: a check failed before the first trial, or no trial gave a score.
    """
    notify("checking the experiment and the data …")
    checked = check(source, overrides, allow=allow)
    choices = choose_sinks(checked.experiment.track, os.environ)
    for note in checked.notes:
        notify(f"note: {note}")
    sinks = _online(choices)
    folder = RunFolder.create(checked.experiment.storage, checked.experiment.name)
    try:
        with folder.held():
            return _Sweep(folder, checked, sinks=sinks, as_json=as_json).run()
    except BaseException:
        if not folder.ledger.exists():  # nothing was started: leave nothing behind
            folder.discard()
        raise


def resume_sweep(run: str, overrides: Sequence[str], *, allow: Sequence[str], as_json: bool) -> int:
    """Resume a run from its ledger, run it to its end, and return the exit code.

    Raises:
        YolosweepError: the run is in use, it would become another sweep, or no trial gave a score.
    """
    folder = RunFolder.open(run)
    with folder.held():
        history = History.of(folder)
        checked, about = check_again(folder, history, overrides, allow)
        for note in checked.notes:
            notify(f"note: {note}")
        sinks = _online(choose_sinks(checked.experiment.track, os.environ))
        sweep = _Sweep(folder, checked, sinks=sinks, as_json=as_json, about=about)
        if is_complete(checked, history):
            notify("every trial has ended: nothing is left to train (search.trials=N adds trials)")
            clear_leftovers(folder, history)
            return sweep.run(reason="all trials ran")
        return sweep.run()


def _online(choices: Sequence[Choice]) -> list[str]:
    """Print what was decided for each sink; return the names of those that the sweep is mirrored to."""
    for choice in choices:
        if choice.line:
            notify(choice.line)
    return [choice.sink for choice in choices if choice.online]


class _Sweep:
    """One run of an experiment: search, then winner, report and mirror."""

    def __init__(
        self,
        folder: RunFolder,
        checked: Checked,
        *,
        sinks: Sequence[str],
        as_json: bool,
        about: dict[str, Any] | None = None,
    ) -> None:
        self._folder, self._checked, self._sinks, self._as_json = folder, checked, sinks, as_json
        self._about = about or {}
        self._stop = Stop(notify)
        self._mirrors: list[Mirror] = []
        self._failure: YolosweepError = TrainingError("no trial has a score")

    def run(self, *, reason: str | None = None) -> int:
        """Run everything and return the exit code.

        Args:
            reason: why the search is already over; None: search.

        Raises:
            Interrupted: the user or the system asked to stop; everything is written first.
        """
        notify(f"run folder: {self._folder.address}")
        try:
            with self._stop:
                return self._finish(reason or self._search())
        except Interrupted:
            raise
        except OSError as error:
            notify(self._go_on())
            raise RunFolderError(f"cannot write {self._folder.address}: {error.strerror or error}") from error
        except KeyboardInterrupt:
            raise Interrupted(f"stopped at once; {self._go_on()}", signal_number=self._stop.signal or 2) from None
        except YolosweepError:
            if self._folder.ledger.exists():
                notify(self._go_on())
            raise

    def _go_on(self) -> str:
        if not self._folder.ledger.exists():
            return "nothing had started, so nothing is left behind"
        return f"to go on: yolosweep resume {self._folder.named}"

    def _finish(self, reason: str) -> int:
        """Select the winner, write the report, complete the mirror; return the exit code."""
        self._start_mirrors()
        ledger = Ledger(self._folder)
        try:
            winner = self._select_winner(ledger)
            status = "cancelled" if self._stop.signal else "finished"
            ledger.append(SweepEnded(status=status, reason=reason))
        finally:
            ledger.close()
            _clear_scratch(self._folder.sweep)
        page = write_report(self._folder)
        for mirror in self._mirrors:
            if warning := mirror.finish().warning:
                notify(f"warning: {warning}")
        self._print_result(winner, page)
        if (number := self._stop.signal) is not None:
            raise Interrupted(f"stopped on request; all results are kept; {self._go_on()}", signal_number=number)
        return 0 if winner is not None else self._failure.exit_code

    def _start_mirrors(self) -> None:
        if not self._mirrors:
            self._mirrors = [start_mirror(self._folder, sink) for sink in self._sinks]

    def _search(self) -> str:
        """Run the trials; return why the search ended."""
        exp = self._checked.experiment
        dataset = write_view_on_driver(self._checked.gate, self._checked.dataset, self._folder)
        model, fingerprint = self._store_model()
        notify("starting Ray …")
        # Ray reports dead processes on standard output, which is reserved for --json.
        from yolosweep.runtime.controller_client import ControllerClient

        with contextlib.redirect_stdout(sys.stderr), self._stop.waits(), connected() as cluster:
            self._stop.check()
            keyring = publish_credentials(os.environ) if cluster.joined else None  # exists as long as it is referenced
            good, bad = good_nodes(cluster, self._checked, self._folder.address)
            for reason in bad.values():
                notify(f"warning: {reason}")
            have, grows = list(good.values()), cluster.joined
            slots = allot(exp.resources, have, exp.search.trials, may_grow=grows, excluded=list(bad.values()))
            first = self._checked.gate.layout.splits["train"][0].image
            verify_data(dataset, first, self._folder.address, bad)
            self._stop.check()
            self._write_experiment()
            marker = write_probe(self._folder.address)  # nodes that join later find the storage by it
            trained = {"model": model, "model_fingerprint": fingerprint, "dataset": dataset.model_dump(mode="json")}
            about = {"cpus": slots.cpus, "gpus": slots.gpus, "world_size": slots.world_size}
            admission = self._admission(dataset, marker, slots) if cluster.joined else None
            header = {**self._header(slots, bad), "model_fingerprint": fingerprint}
            recorded = {"experiment": exp.model_dump(mode="json"), "header": header}
            known = {"nodes": list(good), "admission": admission, "places": slots.concurrent}
            controller = ControllerClient.start(self._folder, {**trained, **about, **recorded, **known})
            self._start_mirrors()
            live = LiveView(self._folder, exp.search.trials, int(exp.train["epochs"]))
            with self._stop.cancels(controller.cancel), live:
                run_trials(self._folder, controller, slots, bad)
            reason = controller.close()
            remove_probe(self._folder.address, marker)
            del keyring
            return reason

    def _header(self, slots: Allocation, bad: Mapping[str, str]) -> dict[str, Any]:
        """Return what the first event records besides the experiment."""
        notes = [*self._checked.notes, *bad.values()]
        return {"versions": versions(), "notes": notes, "slots": asdict(slots), **self._about}

    def _admission(self, dataset: PreparedDataset, marker: str, slots: Allocation) -> Admission:
        """Return the checks for nodes that join later."""
        address = self._folder.address
        return Admission(
            probe=probe_request(self._checked, address, marker),
            disk=needs_of(self._checked, address, slots),
            first="" if is_address(address) else str(self._checked.gate.layout.splits["train"][0].image),
            address=address,
            dataset=dataset.model_copy(update={"findings": (), "notes": ()}),
            versions=versions(),
        )

    def _store_model(self) -> tuple[str, str]:
        """Copy a model file into the run folder, which every node can read; return what trials load, and its hash."""
        model = self._checked.model
        if isinstance(model, str):
            return model, model
        stored = self._folder.model(model.name)
        if model != stored:
            self._folder.publish(model, stored)
        return str(stored), sha256_of(stored)

    def _write_experiment(self) -> None:
        from ruamel.yaml import YAML

        yaml = YAML(typ="safe", pure=True)
        yaml.default_flow_style = False
        yaml.sort_base_mapping_type_on_output = False  # type: ignore[assignment]
        text = io.StringIO()
        yaml.dump(self._checked.experiment.model_dump(mode="json"), text)
        self._folder.publish(text.getvalue(), self._folder.experiment)

    def _select_winner(self, ledger: Ledger) -> Winner | None:
        """Verify and validate the winner. A failure is recorded and printed; the rest of the run stays valid."""
        if self._stop.signal == signal.SIGTERM:
            notify(f"no time left to validate the winner; run later: yolosweep best {self._folder.named}")
            return None
        notify("verifying and validating the winner …")
        try:
            winner = select_winner_in(self._folder)
        except YolosweepError as error:
            self._failure = error
            ledger.append(Note(text=f"no winner: {error}"))
            show_error(error)
            return None
        ledger.append(WinnerSelected(**dict(winner)))
        return winner

    def _print_result(self, winner: Winner | None, page: Path) -> None:
        summary = summarize(History.of(self._folder))
        if self._as_json:
            print_json({"run": self._folder.address, "summary": summary, "winner": winner})
            return
        if winner is not None:
            describe_winner(self._folder, winner, gain=summary.winner.gain if summary.winner else None)
        if summary.diagnoses:
            print_line(f"diagnosis  {summary.diagnoses[0].sentence}")
        print_line(f"next       yolosweep next {self._folder.named}")
        print_line(f"report     {page}")


def _clear_scratch(sweep: str) -> None:
    """Remove what killed trainings of this sweep left in the temporary folder of this machine."""
    ours = re.compile(rf"yolosweep-{re.escape(sweep)}-t\d{{4,}}-\w+")
    for folder in Path(tempfile.gettempdir()).iterdir():
        if ours.fullmatch(folder.name):
            shutil.rmtree(folder, ignore_errors=True)
