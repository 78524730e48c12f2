"""The desk: the one place that decides and writes while a sweep runs.

Trials ask it what to run, hand it every epoch, and are told whether to go on. It runs as a light Ray actor beside the
driver, but knows nothing of Ray: tests call it directly, and a recorded sweep can be replayed through it.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from typing import Any, Literal

from yolosweep.experiment import Experiment, baseline, identity, settings_of
from yolosweep.history import History
from yolosweep.ledger import Ledger, RunFolder
from yolosweep.records import Checkpoint, Ending, EpochRow, PreparedDataset, TrialRecord, TrialRequest, Verdict
from yolosweep.search.prune import behind, rungs
from yolosweep.search.suggest import Suggester

__all__ = ["Desk"]

_ATTEMPTS = 50
"""Tries to find parameters that were not tried yet before a finite space counts as used up."""

_DEAD_AT_START = 3
"""Worker processes in a row that may die before beginning a trial."""


class Desk:
    """Suggests, prunes, keeps the budget, and is the ledger's single writer.

    Args:
        root: the run folder, already holding the prepared data.
        experiment: the resolved experiment, dumped (a plain dict travels to the actor).
        model: what trials get as ``model`` (a file in the run folder, or a name Ultralytics knows).
        model_fingerprint: hash of the model file, or the name: part of every trial's identity.
        dataset: the prepared dataset, dumped.
        cpus: CPU cores of one trial.
        gpus: GPUs of one trial.
        header: further facts for the ledger's first line (versions, resources, notes).
        clock: seconds, monotonic; replaced in tests.
    """

    def __init__(
        self,
        root: str,
        *,
        experiment: Mapping[str, Any],
        model: str,
        model_fingerprint: str,
        dataset: Mapping[str, Any],
        cpus: float,
        gpus: float,
        header: Mapping[str, Any],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._folder = RunFolder(root)
        self._exp = Experiment.model_validate(experiment)
        self._model, self._model_fingerprint = model, model_fingerprint
        self._cpus, self._gpus, self._clock = cpus, gpus, clock
        self._dataset = PreparedDataset.model_validate(dataset)
        search = self._exp.search
        self._suggester = Suggester(search.parameters, searcher=search.searcher, seed=self._exp.seed, mode=search.mode)
        self._epochs = int(self._exp.train["epochs"])
        self._rungs = rungs(search.grace_epochs or 1, search.reduction_factor, self._epochs)
        self._at_rung: dict[int, dict[str, float | None]] = {level: {} for level in self._rungs}
        self._identities: set[str] = set()
        self._stopped: str | None = None
        self._halting = False
        self._in_slot: dict[int, str] = {}
        self._dead_in_a_row = 0
        self._started = clock()
        self._history = History()
        self._ledger = Ledger(self._folder)
        self._write(
            "sweep_started",
            sweep=self._folder.sweep,
            experiment=dict(experiment),
            dataset=dict(dataset),
            **header,
        )

    def _write(self, event: str, **payload: Any) -> None:
        self._history.add(self._ledger.append(event, **payload))

    def ready(self) -> bool:
        """Return True: the first line of the ledger is on disk."""
        return True

    def begin(self, slot: int) -> TrialRequest | Literal["wait"] | None:
        """Return the next trial for a free slot, ``wait`` while others hold the rest of the budget, None: no more.

        A slot that asks again without having ended its last trial is a new process after a dead one.
        """
        if slot in self._in_slot:
            self.lost(slot, "the process ended without a word")
        self._check_time()
        number = len(self._history.trials)
        search = self._exp.search
        if self._stopped or (search.trials is not None and number >= search.trials):
            return None
        if search.epoch_budget is not None:
            trained, promised = self._epochs_so_far()
            if trained + self._epochs > search.epoch_budget:
                self._stopped = f"the epoch budget of {search.epoch_budget} does not hold another trial"
                return None
            if trained + promised + self._epochs > search.epoch_budget:
                return "wait"
        found = self._new_parameters(number)
        if found is None:
            self._stopped = "every point of the search space was tried"
            return None
        request = self._request(number, *found)
        self._write("trial_started", request=request.model_dump(mode="json"))
        self._in_slot[slot] = request.trial
        self._dead_in_a_row = 0
        return request

    def _request(self, number: int, parameters: dict[str, Any], settings: dict[str, Any], key: str) -> TrialRequest:
        return TrialRequest(
            sweep=self._folder.sweep,
            trial=f"t{number:04d}",
            number=number,
            task=self._exp.task,
            model=self._model,
            data=self._dataset.train_on,
            settings=settings,
            asked=parameters,
            identity=key,
            metric=str(self._exp.search.metric),
            mode=self._exp.search.mode,
            folder=str(self._folder.root),
            cpus=self._cpus,
            gpus=self._gpus,
        )

    def _epochs_so_far(self) -> tuple[int, int]:
        trials = self._history.trials.values()
        trained = sum(len(trial.rows) for trial in trials)
        promised = sum(self._epochs - len(trial.rows) for trial in trials if trial.record is None)
        return trained, promised

    def _new_parameters(self, number: int) -> tuple[dict[str, Any], dict[str, Any], str] | None:
        """Return parameters, settings and identity of a point not tried before."""
        for attempt in range(_ATTEMPTS):
            if number == 0:
                parameters, _ = baseline(self._exp)
                self._suggester.fix(0, parameters)
            else:
                suggestion = self._suggester.suggest(number, attempt)
                if suggestion is None:
                    return None
                parameters = suggestion
            settings = settings_of(self._exp, parameters)
            key = identity(
                settings,
                model=self._model_fingerprint,
                task=self._exp.task,
                data_fingerprint=self._dataset.fingerprint,
            )
            if key not in self._identities:
                self._identities.add(key)
                return parameters, settings, key
        return None

    def row(self, trial: str, row: EpochRow, checkpoint: Checkpoint | None = None) -> Verdict:
        """Record one epoch (durable when this returns) and tell the trial whether to go on."""
        self._write("row", trial=trial, row=row.model_dump(mode="json"))
        return self._decide(trial, row)

    def _decide(self, trial: str, row: EpochRow) -> Verdict:
        if self.verdict(trial) is Verdict.CANCEL:
            return Verdict.CANCEL
        if row.epoch in self._at_rung and self._exp.search.pruner == "asha":
            rung = self._at_rung[row.epoch]
            others = list(rung.values())
            rung[trial] = row.best_score
            search = self._exp.search
            # Trial 0 is what the gain is measured against: it is always trained to its end.
            if self._history.trials[trial].request.number and behind(
                row.best_score, others, search.reduction_factor, search.mode
            ):
                return Verdict.PRUNE
        return Verdict.GO_ON

    def verdict(self, trial: str) -> Verdict:
        """Tell a trial, between two epochs, whether it has to stop at once."""
        self._check_time()
        return Verdict.CANCEL if self._stopped and self._halting else Verdict.GO_ON

    def _check_time(self) -> None:
        budget = self._exp.search.time_budget
        if budget is not None and self._clock() - self._started > budget and not self._halting:
            self.cancel(f"the time budget of {budget:g} s was used up")

    def cancel(self, reason: str) -> None:
        """Start nothing more and stop what runs, keeping everything; the first reason counts."""
        if not self._halting:
            self._stopped, self._halting = reason, True
            self._write("note", text=reason)

    def ended(self, record: TrialRecord) -> None:
        """Record how a trial ended, let the search learn from it, and drop checkpoints that fell out of the top."""
        if self._history.trials[record.trial].record is not None:
            return
        self._write("trial_ended", record=record.model_dump(mode="json"))
        self._in_slot = {slot: trial for slot, trial in self._in_slot.items() if trial != record.trial}
        lesson = record.ending is not Ending.FAILED and not (record.ending is Ending.CANCELLED and record.score is None)
        self._suggester.tell(record.number, record.used, record.score, learned=lesson)
        for note in record.notes:
            self._write("note", text=note, trial=record.trial)
        self._retain()

    def lost(self, slot: int, error: str) -> None:
        """Record that a slot's process died: of its trial the rows count, the rest is gone.

        Processes that die again and again before they begin a trial end the sweep: no trial would ever run.
        """
        trial = self._in_slot.pop(slot, None)
        if trial is not None:
            self._lost(trial, f"its worker died: {error}", error)
            return
        self._dead_in_a_row += 1
        if self._dead_in_a_row >= _DEAD_AT_START:
            self.cancel(f"{_DEAD_AT_START} worker processes died before they could begin: {error}")

    def _lost(self, trial: str, reason: str, error: str) -> None:
        known = self._history.trials[trial]
        if known.record is not None:
            return
        last = known.rows[-1] if known.rows else None
        self.ended(
            TrialRecord(
                trial=trial,
                number=known.request.number,
                ending=Ending.FAILED,
                reason=reason,
                asked=known.request.asked,
                used=known.request.asked,
                score=last.best_score if last else None,
                best_epoch=last.best_epoch if last else None,
                epochs=len(known.rows),
                seconds=round(sum(row.seconds or 0.0 for row in known.rows), 3),
                error=error,
            )
        )

    def _retain(self) -> None:
        """Delete checkpoints outside of the best ``keep_top`` ended trials; rows, settings and logs stay."""
        keeping = [t for t in self._history.ranked() if t.record and "best.pt" in t.record.files and not t.dropped]
        for trial in keeping[self._exp.keep_top :]:
            record = trial.record
            assert record is not None
            # Told before it is done: a crash in between leaves a file too many, never a promise broken.
            self._write("checkpoints_dropped", trial=record.trial, reason=f"not among the best {self._exp.keep_top}")
            for name in ("best.pt", "last.pt"):
                if name in record.files:
                    self._folder.resolve(record.files[name]).unlink(missing_ok=True)

    def close(self) -> str:
        """Mark trials that never answered as lost, close the ledger, and return why the search stopped."""
        for trial, known in self._history.trials.items():
            if known.record is None:
                self._lost(trial, "no answer before the sweep ended", "no answer")
        self._ledger.close()
        return self._stopped or "all trials ran"
