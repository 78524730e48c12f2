"""The sweep controller: it alone decides, and writes the ledger, while a sweep runs.

Ray Tune places the trials it suggests; workers report every epoch to it, and get a verdict. It runs as a light Ray
actor beside the driver, but knows nothing of Ray: tests call it directly. Everything it knows of trials it learned from
the ledger's events, its own included, so a resumed sweep continues as if it had never stopped.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Literal

from yolosweep.errors import ClusterError, RunFolderError, YolosweepError
from yolosweep.experiment import Experiment
from yolosweep.experiment.schema import MODEL
from yolosweep.ledger import Ledger, RunFolder, read_events
from yolosweep.ledger.history import History, TrialHistory
from yolosweep.records import (
    Cause,
    Checkpoint,
    Ending,
    EpochResult,
    PreparedDataset,
    TrialRecord,
    TrialRequest,
    Verdict,
)
from yolosweep.records.events import (
    EpochRecorded,
    Event,
    Note,
    SweepResumed,
    SweepStarted,
    TrialEnded,
    TrialResumed,
    TrialStarted,
)
from yolosweep.records.worker_activity import Activity
from yolosweep.search.budget import room_for_another, used_up
from yolosweep.search.checkpoint_retention import clear_leftovers, drop_surplus, with_final_names, working_folders
from yolosweep.search.final_record import death_cause, ending_from_rows, finalize_record, record_from_rows
from yolosweep.search.finals import FinalRound, SearchedOnly
from yolosweep.search.pruners.pruner import ExplainingPruner, pruner_for
from yolosweep.search.retry_policy import lower_batch, refusal
from yolosweep.search.stall_limits import silence_limit_s
from yolosweep.search.trial_generator import Offer, Suggestion, TrialGenerator
from yolosweep.search.worker_table import Look, WorkerTable
from yolosweep.storage import outages

__all__ = ["SweepController"]


class SweepController:
    """Suggests, prunes, retries, keeps the budget, and is the ledger's single writer.

    Where the run folder already has a ledger, the sweep is resumed from it.

    Args:
        root: the run folder or its address, already holding the prepared data.
        experiment: the resolved experiment, dumped (a plain dict travels to the actor).
        model: what trials get as ``model`` (a file in the run folder, or a name Ultralytics knows).
        model_fingerprint: hash of the model file, or the name: part of every trial's identity.
        models: both by the name of the model, where several are searched.
        dataset, cpus, gpus, world_size: the prepared dataset, dumped; what one trial gets.
        header: further facts for the ledger's first line (versions, resources, notes).
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
        world_size: int = 1,
        models: Mapping[str, Sequence[str]] | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._folder = RunFolder(root)
        self._exp = Experiment.model_validate(experiment)
        self._dataset = PreparedDataset.model_validate(dataset)
        self._now = {
            "model": model, "data": self._dataset.train_on, "folder": self._folder.address, "cpus": cpus,
            "gpus": gpus, "world_size": world_size, "policy": self._exp.trial,
        }  # fmt: skip
        self._epochs = int(self._exp.train["epochs"])
        self._models = dict(models or {})
        self._generator = TrialGenerator(
            self._exp, model_fingerprint=model_fingerprint, data_fingerprint=self._dataset.fingerprint,
            world_size=world_size, models=self._models,
        )  # fmt: skip
        self._pruner = pruner_for(self._exp.search, self._epochs)
        self._finals = FinalRound(self._exp)
        self._history = History((SearchedOnly(self._generator.apply, self._pruner.apply).apply, self._finals.apply))
        self._stopped: str | None = None
        self._trouble: YolosweepError | None = None
        self._halting, self._workers = False, WorkerTable()
        self._waiting, self._offered, self._preempted = set[str](), set[str](), set[str]()
        self._clock, self._started = clock, clock()
        self._ledger = Ledger(self._folder)
        self._open(experiment, header)

    def _open(self, experiment: Mapping[str, Any], header: Mapping[str, Any]) -> None:
        """Start a sweep, or resume it: replay its ledger and put what had not ended back in line."""
        self._history.extend(read_events(self._folder.ledger))
        self._started -= self._history.active_seconds
        clear_leftovers(self._folder, self._history)
        about = {"experiment": dict(experiment), "dataset": self._dataset, **header}
        if not self._history.has_begun:
            self._write(SweepStarted(sweep=self._folder.sweep, **about))
            return
        self._write(SweepResumed(**about))
        for known in list(self._history.trials.values()):
            if known.record is None or known.record.ending is Ending.CANCELLED:
                self._put_back(known, "resumed", "the sweep was resumed")
                self._waiting |= {known.request.trial} if known.record is None else set()

    def note(self, text: str, trial: str | None = None) -> None:
        """Write a note into the ledger."""
        self._write(Note(text=text, trial=trial))

    def _write(self, event: Event) -> None:
        self._history.add(self._ledger.append(event))
        for outage in outages():
            self._history.add(self._ledger.append(Note(text=outage)))

    def suggest(self) -> Offer | Literal["wait"] | None:
        """Return the next training to place, ``wait`` while there may be one later, None if there is none."""
        self._check_time()
        if not self._halting:
            again = self._offer(min(self._waiting)) if self._waiting else None
            if (offer := again or self._new_trial() or self._repeat()) is not None:
                return offer
        return "wait" if self._placed() else None

    def _offer(self, trial: str) -> Offer:
        self._offered, self._waiting = self._offered | {trial}, self._waiting - {trial}
        known = self._history.trials[trial]
        return Offer(trial=trial, parameters=dict(known.request.asked), excluded=self.excluded(trial))

    def excluded(self, trial: str) -> tuple[str, ...]:
        """Return the nodes on which a trial must not run: those whose GPU is too small, where there are others."""
        return self._generator.too_small(self._workers.devices, self._history.trials[trial].request)

    def _placed(self) -> set[str]:
        return {trial for trial in self._offered if self._history.trials[trial].record is None}

    def begin(self, trial: str, node: str = "") -> TrialRequest | None:
        """Return what a worker on a node is to train as a trial that was offered; None if that is over."""
        if trial in self._workers.running:
            self.lost(trial, "the process ended without a message")
        self._check_time()
        known = self._history.trials[trial]
        if self._halting or known.record is not None:
            return None
        self._workers.begin(trial, node)
        self._preempted.discard(trial)
        newest_first = tuple(reversed(known.checkpoints[-self._exp.trial.keep_checkpoints :]))
        now = {**self._now_for(known.request.asked), "attempt": known.retries, "resume": newest_first}
        return known.request.model_copy(update=now)

    def _now_for(self, parameters: Mapping[str, Any]) -> dict[str, Any]:
        """Return where and on what a trial runs, and which model it starts from."""
        model = self._models.get(parameters.get(MODEL, ""))
        return {**self._now, "model": model[0]} if model is not None else self._now

    def withdrawn(self, trial: str) -> None:
        """Note that Ray Tune does not hold a trial any more; if it has not ended, it is offered again."""
        if trial in self._placed() and not self._halting:
            self._waiting.add(trial)
        self._offered.discard(trial)

    def _new_trial(self) -> Offer | Literal["wait"] | None:
        search, finals = self._exp.search, self._finals
        if self._is_searched():
            return None
        room = room_for_another(search, self._history, self._epochs, finals.reserved(self._history))
        if room == "no":
            self._stopped = used_up(search, self._history)
        if room != "yes":
            return "wait" if room == "wait" else None
        if finals.needs_the_rest(self._history, self._clock() - self._started):
            self._stopped = "the rest of the time budget was for the finals"
            return None
        point = self._generator.next(len(self._history.trials), set(self._workers.devices.values()))
        return self._none_left() if point is None else self._start(point)

    def _start(self, suggestion: Suggestion) -> Offer:
        number, now = len(self._history.trials), self._now_for(suggestion.parameters)
        self._write(TrialStarted(request=suggestion.request(self._folder.sweep, number, self._exp, now)))
        return self._offer(f"t{number:04d}")

    def _is_searched(self) -> bool:
        """Return whether the search suggests no more."""
        return self._stopped is not None or not self._finals.may_search(self._history)

    def _repeat(self) -> Offer | Literal["wait"] | None:
        """Return the next training of the finals, which begin where the search suggests no more."""
        if not self._is_searched():
            return None
        repeat = self._finals.next(self._history, self._generator.expected_scores)
        if repeat is None or repeat == "wait":
            return repeat
        return self._start(self._generator.repeat(repeat.trial, repeat.seed))

    def _none_left(self) -> Literal["wait"] | None:
        """Stop suggesting, unless a trial that runs may show a GPU for the points that are too big for the others."""
        if (left_out := self._generator.left_out()) and self._placed():
            return "wait"
        self._stopped = "every point of the search space was tried, or is known to be too big for the GPU"
        if left_out:
            self.note(left_out)
        return None

    def row(self, trial: str, row: EpochResult, checkpoint: Checkpoint | None = None, attempt: int = 0) -> Verdict:
        """Record one epoch and its checkpoint, durably, and return the verdict.

        A process that was believed dead and is not (an older attempt) is cancelled; its row does not count.
        """
        known = self._history.trials[trial]
        if attempt != known.retries or known.record is not None:
            return Verdict.CANCEL
        if row.epoch <= len(known.rows):  # its newest checkpoint was damaged: it went on from an older one
            self._cut(known, known.retries, "damaged", "its newest checkpoint was damaged", row.epoch - 1)
        verdict = self._decide(known, row)
        pruner, reason = self._pruner, None
        if verdict is Verdict.PRUNE and isinstance(pruner, ExplainingPruner):
            reason = pruner.reason(trial, row)
        self._write(EpochRecorded(trial=trial, row=row, checkpoint=checkpoint, verdict=verdict, reason=reason))
        return verdict

    def _decide(self, known: TrialHistory, row: EpochResult) -> Verdict:
        self._check_time()
        if self._halting or known.request.trial in self._preempted:
            return Verdict.CANCEL
        # Trial 0 is what the gain is measured against, repeats are compared by their ends: none of them is pruned.
        is_searched = known.request.number and known.request.repeats is None
        if is_searched and self._pruner.should_stop(known.request.trial, row):
            return Verdict.PRUNE
        return Verdict.CONTINUE

    def verdict(self, trial: str, attempt: int = 0) -> Verdict:
        """Return the verdict of a trial between two epochs."""
        self._check_time()
        stale = attempt != self._history.trials[trial].retries or trial in self._preempted
        return Verdict.CANCEL if stale or self._halting else Verdict.CONTINUE

    def preempt(self, trial: str, attempt: int = 0) -> None:
        """Stop a trial whose node is draining; it resumes on another node."""
        known = self._history.trials[trial]
        if attempt == known.retries and known.record is None:
            self._preempted.add(trial)

    def _check_time(self) -> None:
        budget = self._exp.search.time_budget
        if budget is not None and self._clock() - self._started > budget and not self._halting:
            self.cancel(f"the time budget of {budget:g} s was used up")

    def cancel(self, reason: str | YolosweepError) -> None:
        """Start nothing more and stop what runs. The first reason counts; one that is an error, ``close`` raises."""
        if isinstance(reason, YolosweepError):  # first: where the disk is full, the note cannot be written
            self._trouble = self._trouble or reason
        if not self._halting:
            self._stopped, self._halting = str(reason), True
            self.note(self._stopped)

    def ended(self, record: TrialRecord, attempt: int = 0) -> bool:
        """Record how a training ended or put it back in line; return whether it is over, else its process must end."""
        known = self._history.trials[record.trial]
        if attempt != known.retries or known.record is not None:
            return True
        self._workers.release(record.trial, record.device)
        if record.cause is Cause.STORAGE:
            self.cancel(RunFolderError(f"the run folder cannot be written ({record.reason}); free space, then resume"))
            record = record.model_copy(update={"ending": Ending.CANCELLED})
        again = record.ending is Ending.FAILED and not self._halting and record.cause in (Cause.UNKNOWN, Cause.INFRA)
        if (batch := lower_batch(known, record.ending, self._exp.trial)) is not None and not self._halting:
            self._put_back(known, Cause.RESOURCE.value, f"{record.reason}: restarted with batch {batch}", batch=batch)
        elif not again or self._again(known, record.cause or Cause.UNKNOWN, record.reason) is not None:
            self._finish(record)
        if record.ending is Ending.CANCELLED and record.trial in self._preempted and not self._halting:
            self._put_back(known, "preempted", "its node was drained")
        if known.record is None:
            self.leaving(record.trial)
        return known.record is not None

    def rank_failed(self, rank: int, record: TrialRecord, attempt: int = 0) -> None:
        """Record how a trial ended on a rank above 0, which stores nothing: the rest is in the ledger."""
        known = self._history.trials[record.trial]
        if attempt != known.retries or known.record is not None:
            return
        reason, cause, error = f"rank {rank}: {record.reason}", record.cause, record.error
        self.ended(record_from_rows(self._folder, known, record.ending, reason, cause=cause, error=error), attempt)

    def _finish(self, record: TrialRecord) -> None:
        known = self._history.trials[record.trial]
        self._folder.check_hold()  # files get their final names before the ledger says so, which is what is fenced
        record = with_final_names(self._folder, finalize_record(record, known))
        self._write(TrialEnded(record=record))
        for note in record.notes:
            self.note(note, record.trial)
        if record.ending is not Ending.CANCELLED:
            self._folder.remove_below(working_folders(self._folder, record.trial))
        drop_surplus(self._folder, self._history, self._exp.keep_top, self._write)

    def _again(self, known: TrialHistory, cause: Cause, reason: str) -> str | None:
        """Put a trial back in line, or return why the retry rule refuses."""
        no = None if ending_from_rows(known) else refusal(cause, known.resumes, known.stored_epoch, self._exp.trial)
        if no is None:
            self._put_back(known, cause.value, reason)
        return no

    def _put_back(self, known: TrialHistory, cause: str, reason: str, batch: int | None = None) -> None:
        """Put a trial back in line from its newest checkpoint; one without epochs left is recorded."""
        if known.record is None and (over := ending_from_rows(known)) is not None:
            self._finish(record_from_rows(self._folder, known, *over, cause=None, error=None))
            return
        self._cut(known, known.retries + 1, cause, reason, known.stored_epoch, batch)

    def _cut(
        self, known: TrialHistory, attempt: int, cause: str, reason: str, epoch: int, batch: int | None = None
    ) -> None:
        self._write(
            TrialResumed(
                trial=known.request.trial, attempt=attempt, cause=cause, reason=reason, from_epoch=epoch, batch=batch
            )
        )

    def heartbeat(self, worker: str, activity: Activity | None = None) -> None:
        """Note that a worker's process is alive, and what it does."""
        self._workers.heartbeat(worker, self._clock(), activity)

    def look(self, busy: Mapping[str, str]) -> Look:
        """Look after the workers, of which ``busy`` have a trial; to be called every few seconds."""
        self._check_time()
        hung = self._workers.silent(busy, self._clock(), self._silence_limit_s)
        for trial in map(busy.__getitem__, hung):
            self.lost(trial, "it gave no sign of life any more and was killed")
            self.leaving(trial)  # when its end is reported, it is no second loss
        gone = self._halting or self._workers.forget_devices(self._clock())
        settled = self._offered - (self._workers.running.keys() if gone else self._placed())
        return Look(hung=tuple(hung), settled=tuple(settled), activities=tuple(self._workers.activities()))

    def _silence_limit_s(self, trial: str) -> float:
        rows = self._history.trials[trial].rows if trial in self._workers.running else []
        return silence_limit_s([row.seconds for row in rows if row.seconds], self._exp.trial, stopping=self._halting)

    def leaving(self, trial: str) -> None:
        """Note that the process that has a trial is about to end: that is no loss, and another one takes the trial."""
        self._workers.leaving(trial)

    def lost(self, trial: str, error: str) -> tuple[str, ...]:
        """Note that the process that had a trial died; return on which nodes it must not be placed again."""
        known, loss = self._history.trials[trial], self._workers.mark_lost(trial)
        if loss == "running":
            self._lost(known, error)
        elif loss == "hopeless" and not self._halting:
            self.cancel(ClusterError(f"worker processes keep dying before they can start a trial: {error}"))
        elif loss == "idle" and known.record is None and not self._halting:
            self.note(f"a worker process died while it had no trial; another one replaces it: {error}")
        return self.excluded(trial)

    def _lost(self, known: TrialHistory, error: str) -> None:
        if known.record is not None or self._halting:  # where the sweep is stopping, close() records it
            return
        cause, reason = death_cause(self._folder, known, error)
        if (no := self._again(known, cause, reason)) is not None:
            self._finish(
                record_from_rows(self._folder, known, Ending.FAILED, f"{reason} ({no})", cause=cause, error=error)
            )

    def over(self) -> bool:
        """Return whether nothing runs and nothing is left to run."""
        self._check_time()  # also while no worker trains: all may be waiting for a machine
        if self._workers.running or self._halting:
            return not self._workers.running
        waits = self._waiting or self._placed() or not self._is_searched()
        return not waits and self._finals.next(self._history, self._generator.expected_scores) is None

    def close(self) -> str:
        """Record what did not end as cancelled, and close the ledger; return or raise why the search stopped."""
        for known in self._history.trials.values():
            if known.record is None:
                reason = f"the sweep was stopped in epoch {len(known.rows) + 1}"
                self._finish(record_from_rows(self._folder, known, Ending.CANCELLED, reason, cause=None, error=None))
        if (shortfall := self._finals.shortfall(self._history)) is not None:
            self.note(shortfall)
        clear_leftovers(self._folder, self._history)
        self._ledger.close()
        if self._trouble:
            raise self._trouble
        return self._stopped or "all trials ran"
