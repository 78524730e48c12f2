"""A sweep from the checks to the report: wires the packages together and finishes properly in every case."""

from __future__ import annotations

import io
import os
import signal
from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

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
from yolosweep.experiment import Source, finals_line
from yolosweep.ledger import Ledger, RunFolder
from yolosweep.ledger.history import History
from yolosweep.records import PreparedDataset
from yolosweep.records.events import Note, SweepEnded, Winner, WinnerSelected
from yolosweep.report import write_report
from yolosweep.runtime.batch_finder import found_batch
from yolosweep.runtime.head_watch import head_watched
from yolosweep.runtime.trial_resources import Allocation, allot, of_this_machine
from yolosweep.runtime.tune_adapter import connected, joins_cluster, run_trials
from yolosweep.search.checkpoint_retention import clear_leftovers
from yolosweep.search.trial_generator import Suggestion
from yolosweep.storage.addresses import is_address
from yolosweep.storage.atomic_files import sha256_of
from yolosweep.storage.temporary_folders import clear_dead_scratch
from yolosweep.tracking import Choice, Mirror, choose_sinks, finish_all, start_mirror
from yolosweep.workflows.auto_batch import largest_request, with_batches
from yolosweep.workflows.experiment_checks import Checked, check, check_with_data
from yolosweep.workflows.node_selection import good_nodes, needs_of, probe_request
from yolosweep.workflows.progress_listener import Listener
from yolosweep.workflows.resume_checks import check_again, is_complete
from yolosweep.workflows.stop_signals import Stop
from yolosweep.workflows.winner_selection import select_winner_in

__all__ = ["resume_sweep", "run_sweep"]


def run_sweep(source: Source, overrides: Sequence[str], listener: Listener, *, allow: Sequence[str] = ()) -> RunFolder:
    """Run an experiment to its end and return its run folder.

    Raises:
        YolosweepError: a check failed before the first trial, the run was interrupted, or no winner could be selected.
    """
    listener.info("checking the experiment and the data …")
    checked = check(source, overrides, listener, allow=allow)
    choices = choose_sinks(checked.experiment.track, os.environ)
    _announce(checked, listener)
    sinks = _online(choices, listener)
    folder = RunFolder.create(checked.experiment.storage, checked.experiment.name)
    try:
        with folder.held():
            _Sweep(folder, checked, listener, sinks=sinks).run()
    except BaseException:
        if not folder.ledger.exists():  # nothing was started: leave nothing behind
            folder.discard()
        raise
    return folder


def resume_sweep(folder: RunFolder, overrides: Sequence[str], listener: Listener, *, allow: Sequence[str] = ()) -> None:
    """Resume a run from its ledger and run it to its end.

    Raises:
        YolosweepError: the run is in use, it would become another sweep, it was interrupted, or no winner could be
            selected.
    """
    with folder.held():
        history = History.of(folder)
        checked, about = check_again(folder, history, overrides, allow, listener)
        _announce(checked, listener)
        sinks = _online(choose_sinks(checked.experiment.track, os.environ), listener)
        sweep = _Sweep(folder, checked, listener, sinks=sinks, about=about)
        if is_complete(checked, history):
            listener.info("every trial has ended: nothing is left to train (search.trials=N adds trials)")
            clear_leftovers(folder, history)
            sweep.run(reason="all trials ran")
        else:
            sweep.run()


def _announce(checked: Checked, listener: Listener) -> None:
    for note in checked.notes:
        listener.info(f"note: {note}")
    listener.info(f"finals: {finals_line(checked.experiment)}")


def _online(choices: Sequence[Choice], listener: Listener) -> list[str]:
    """Report what was decided for each sink; return the names of those that the sweep is mirrored to."""
    for choice in choices:
        if choice.line:
            listener.info(choice.line)
    return [choice.sink for choice in choices if choice.online]


class _Sweep:
    """One run of an experiment: search, then winner, report and mirror."""

    def __init__(
        self,
        folder: RunFolder,
        checked: Checked,
        listener: Listener,
        *,
        sinks: Sequence[str],
        about: dict[str, Any] | None = None,
    ) -> None:
        self._folder, self._checked, self._listener, self._sinks = folder, checked, listener, sinks
        self._about = about or {}
        self._stop = Stop(listener.info)
        self._mirrors: list[Mirror] = []
        self._failure: YolosweepError = TrainingError("no trial has a score")

    def run(self, *, reason: str | None = None) -> None:
        """Run everything.

        Args:
            reason: why the search is already over; None: search.

        Raises:
            Interrupted: the user or the system asked to stop; everything is written first.
            ClusterError, RunFolderError: the search had to stop, and can be resumed.
            TrainingError, VerificationError: no winner could be selected; everything else is written.
        """
        self._listener.info(f"run folder: {self._folder.address}")
        try:
            with self._stop:
                winner = self._finish(reason or self._search())
        except Interrupted:
            raise
        except OSError as error:
            self._listener.info(self._go_on())
            raise RunFolderError(f"cannot write {self._folder.address}: {error.strerror or error}") from error
        except KeyboardInterrupt:
            raise Interrupted(f"stopped at once; {self._go_on()}", signal_number=self._stop.signal or 2) from None
        except YolosweepError:
            if self._folder.ledger.exists():
                self._listener.info(self._go_on())
            raise
        finally:
            self._finish_mirrors(timeout_s=0.0)  # of a sweep that did not end: they would wait for its events
        if winner is None:
            raise self._failure

    def _go_on(self) -> str:
        if not self._folder.ledger.exists():
            return "nothing had started, so nothing is left behind"
        return f"to go on: yolosweep resume {self._folder.named}"

    def _head_lost(self) -> None:
        gone = "Ray's head process does not answer any more: Ray will end this process within a minute"
        self._listener.warning(f"{gone}; {self._go_on()}")

    def _finish(self, reason: str) -> Winner | None:
        """Select the winner, write the report, complete the mirror; return the winner."""
        ledger = Ledger(self._folder)
        try:
            winner = self._select_winner(ledger)
            status = "cancelled" if self._stop.signal else "finished"
            ledger.append(SweepEnded(status=status, reason=reason))
        finally:
            ledger.close()
            clear_dead_scratch()
        self._listener.info("writing the report …")
        write_report(self._folder)
        self._start_mirrors()
        self._finish_mirrors()
        self._listener.ended(self._folder, winner)
        if (number := self._stop.signal) is not None:
            raise Interrupted(f"stopped on request; all results are kept; {self._go_on()}", signal_number=number)
        return winner

    def _start_mirrors(self) -> None:
        if not self._mirrors:
            self._mirrors = [start_mirror(self._folder, sink) for sink in self._sinks]

    def _finish_mirrors(self, **limit: float) -> None:
        """End the mirror processes; report what did not arrive, and what a tracker shows otherwise."""
        mirrors, self._mirrors = self._mirrors, []
        for result in finish_all(mirrors, **limit):
            if result.note:
                self._listener.info(result.note)
            if result.warning:
                self._listener.warning(result.warning)

    def _search(self) -> str:
        """Run the trials; return why the search ended."""
        exp = self._checked.experiment
        if not joins_cluster(os.environ):
            allot(exp.resources, [of_this_machine()], exp.search.trials)
        dataset = write_view_on_driver(self._checked.gate, self._checked.dataset, self._folder)
        models = self._store_models()
        self._listener.info("starting Ray …")
        from yolosweep.runtime.controller_client import ControllerClient

        with self._stop.waits(), connected() as cluster, head_watched(cluster.address, self._head_lost):
            self._stop.check()
            keyring = publish_credentials(os.environ) if cluster.joined else None  # exists as long as it is referenced
            good, bad = good_nodes(cluster, self._checked, self._folder.address)
            for reason in bad.values():
                self._listener.warning(reason)
            have, grows = list(good.values()), cluster.joined
            slots = allot(exp.resources, have, exp.search.trials, may_grow=grows, excluded=list(bad.values()))
            first = self._checked.gate.layout.splits["train"][0].image
            verify_data(dataset, first, self._folder.address, bad)
            self._stop.check()
            self._find_batches(dataset, models[exp.model][0], slots, good)
            self._write_experiment()
            marker = write_probe(self._folder.address)  # nodes that join later find the storage by it
            admission = self._admission(dataset, marker, slots) if cluster.joined else None
            about = self._controller_arguments(dataset, models, slots, bad)
            known = {"nodes": list(good), "admission": admission}
            with ControllerClient.running(self._folder, {**about, **known}) as controller:
                self._start_mirrors()
                self._listener.info("starting the workers …")
                searching = self._listener.searching(self._folder, exp.search.trials, int(exp.train["epochs"]))
                with self._stop.cancels(controller.cancel), searching:
                    watch = self._listener.activities
                    run_trials(self._folder, controller, slots, bad, in_application=cluster.in_application, watch=watch)
                reason = controller.close()
            remove_probe(self._folder.address, marker)
            del keyring
            return reason

    def _find_batches(
        self, dataset: PreparedDataset, model: str, slots: Allocation, nodes: Mapping[str, Mapping[str, float]]
    ) -> None:
        """Replace each batch that the experiment leaves open by the one that fits, a multiple of the ranks."""
        exp, ranks = self._checked.experiment, slots.world_size
        here = {
            "model": model, "data": dataset.train_on, "folder": self._folder.address, "cpus": slots.cpus / ranks,
            "gpus": slots.gpus / ranks, "policy": exp.trial,
        }  # fmt: skip

        def find(batch: float) -> int:
            self._listener.info(f"finding the largest batch that fits ({exp.space.key('batch')}: {batch}) …")
            parameters, settings = largest_request(exp, batch)
            point = Suggestion(parameters=parameters, settings=settings, identity="")
            self._stop.check()
            return found_batch(point.request("batch", 0, exp, here), dataset, nodes) * ranks

        exp, notes = with_batches(exp, find)
        if notes:
            check_with_data(exp, self._checked.gate)
            self._checked = replace(self._checked, experiment=exp, notes=(*self._checked.notes, *notes))
            for note in notes:
                self._listener.info(note)

    def _controller_arguments(
        self, dataset: PreparedDataset, models: Mapping[str, tuple[str, str]], slots: Allocation, bad: Mapping[str, str]
    ) -> dict[str, Any]:
        """Return what the sweep controller is started with, besides what it must know of nodes."""
        exp = self._checked.experiment
        model, fingerprint = models[exp.model]
        fingerprints = {name: one for name, (_, one) in models.items()} if len(models) > 1 else {}
        return {
            "model": model,
            "model_fingerprint": fingerprint,
            "models": models,
            "dataset": dataset.model_dump(mode="json"),
            "cpus": slots.cpus,
            "gpus": slots.gpus,
            "world_size": slots.world_size,
            "experiment": exp.model_dump(mode="json"),
            "header": {
                **self._header(slots, bad),
                "model_fingerprint": fingerprint,
                "fingerprints": fingerprints,
            },
        }

    def _header(self, slots: Allocation, bad: Mapping[str, str]) -> dict[str, Any]:
        """Return what the first event records besides the experiment."""
        notes = [*self._checked.notes, *bad.values()]
        earlier = [one.model_dump(mode="json") for one in self._checked.earlier]
        return {"versions": versions(), "notes": notes, "slots": asdict(slots), "earlier": earlier, **self._about}

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

    def _store_models(self) -> dict[str, tuple[str, str]]:
        """Return by name what trials load, and its hash."""
        exp = self._checked.experiment
        return {
            name: self._stored(one) for name, one in {exp.model: self._checked.model, **self._checked.others}.items()
        }

    def _stored(self, model: Path | str) -> tuple[str, str]:
        """Copy a model file into the run folder, which every node can read."""
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
        """Verify and validate the winner. A failure is recorded; the rest of the run stays valid."""
        if self._stop.signal == signal.SIGTERM:
            self._listener.info(f"no time left to validate the winner; run later: yolosweep best {self._folder.named}")
            return None
        self._listener.info("verifying the winner, and validating it and trial 0 …")
        try:
            winner = select_winner_in(self._folder)
        except YolosweepError as error:
            self._failure = error
            ledger.append(Note(text=f"no winner: {error}"))
            return None
        ledger.append(WinnerSelected(**dict(winner)))
        return winner
