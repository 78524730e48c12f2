"""Why each trial was started, restarted and stopped, and why the winner was chosen: sentences from the ledger alone."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass, field

from yolosweep.experiment.search_choices import SEARCHERS
from yolosweep.experiment.search_parameter import parameters_of
from yolosweep.ledger.history import History, TrialHistory
from yolosweep.records import Ending, Verdict
from yolosweep.records.earlier_trial import EarlierTrial
from yolosweep.records.events import EpochRecorded, Event, TrialStarted
from yolosweep.records.trial_columns import setting_text, short_metric
from yolosweep.report.diagnosis_from_ledger import diagnose_sweep, diagnose_trial
from yolosweep.report.mistake_sentence import mistakes_of
from yolosweep.report.sweep_summary import verdict_of
from yolosweep.search.warm_start import first_points

__all__ = ["Explanation", "explain"]

_HALVING = ("asha", "hyperband")
"""Pruners of which the best share of a rung continues."""


@dataclass(frozen=True)
class _Known:
    """What was known when a trial was started."""

    ended: int
    best: TrialHistory | None
    best_score: float | None


@dataclass(frozen=True)
class _Rung:
    """The comparison at which a trial was pruned."""

    epoch: int
    score: float | None
    others: dict[str, float]


@dataclass
class Explanation:
    """The sentences of a sweep."""

    history: History = field(default_factory=History)
    _known: dict[str, _Known] = field(default_factory=dict)
    _rungs: dict[str, _Rung] = field(default_factory=dict)
    _best_at: dict[int, dict[str, float]] = field(default_factory=dict)

    def observe(self, event: Event) -> None:
        """Remember what was known at the moment of a decision."""
        if isinstance(event, TrialStarted):
            ended = sum(_counts(trial) for trial in self.history.searched)
            best = next(iter(self.history.eligible), None)
            self._known[event.request.trial] = _Known(ended, best, best.score if best else None)
        elif isinstance(event, EpochRecorded) and self.history.trials[event.trial].request.repeats is None:
            epoch, score = event.row.epoch, event.row.best_score
            here = self._best_at.setdefault(epoch, {})
            if event.verdict is Verdict.PRUNE:
                others = {name: value for name, value in here.items() if name != event.trial}
                self._rungs[event.trial] = _Rung(epoch, score, others)
            if score is not None:
                here[event.trial] = score

    def of_sweep(self) -> tuple[str, ...]:
        """Return why the sweep ended, and why its winner was chosen."""
        history, ended = self.history, self.history.ended
        trials = list(history.trials.values())
        counts = ", ".join(
            f"{sum(t.status == status for t in trials)} {status}" for status in dict.fromkeys(t.status for t in trials)
        )
        why = f"The search is over: {ended.reason or ended.status}." if ended else "The sweep has not ended."
        found = [f"{why} It started {len(trials)} trials: {counts}."]
        verdict = verdict_of(history)
        found += [verdict.sentence, *verdict.details, *history.dataset.caveats]
        found += [f"It was resumed at {event.at:%Y-%m-%d %H:%M} UTC." for event in history.resumes]
        if history.winner is not None:
            found.append(self._choice(history.trials[history.winner.trial]))
            found += [f"Mistakes: {sentence}" for sentence in (mistakes_of(history.winner),) if sentence]
            found += [f"Passed over: {sentence}." for sentence in history.winner.passed_over]
        found += [note.text[0].upper() + note.text[1:] for note in history.notes if note.trial is None and note.text]
        return (*found, *(diagnosis.sentence for diagnosis in diagnose_sweep(history)))

    def of_trial(self, name: str) -> tuple[str, ...]:
        """Return why one trial was started, restarted and stopped, and how it compares."""
        history, trial = self.history, self.history.trials[name]
        found = [self._start(trial)]
        for event in trial.resumes:
            batch = "" if event.batch is None else f" with batch {event.batch}"
            at = f"from epoch {event.from_epoch + 1}" if event.from_epoch else "from the beginning"
            found.append(f"Restarted {at}{batch} ({event.cause}): {event.reason}.")
        found.append(self._end(trial))
        if (place := self._place(trial)) is not None:
            found.append(place)
        found += self._objectives(trial)
        if history.winner is not None and history.winner.trial == name:
            found.append(self._choice(trial))
        if trial.dropped:
            found.append(f"Its checkpoints were deleted: only the best {history.experiment.get('keep_top', 3)} stay.")
        found += [f"Note: {note.text}" for note in history.notes if note.trial == name]
        return (*found, *(diagnosis.sentence for diagnosis in diagnose_trial(history, trial)))

    def _start(self, trial: TrialHistory) -> str:
        known, request = self._known[trial.request.trial], trial.request
        point = ", ".join(f"{name}={setting_text(value)}" for name, value in request.asked.items())
        if request.repeats is not None:
            return (
                f"Started in the finals: {request.repeats} is trained again with seed {request.seed}, "
                f"which no searched trial had: {point}."
            )
        if request.number == 0:
            nearest = "the point of the space that is nearest to the defaults"
            what = nearest if verdict_of(self.history).off_defaults else "always the defaults"
            return f"Started first, because trial 0 is {what}: {point}."
        search = self.history.experiment["search"]
        searcher = str(search.get("searcher", ""))
        choice = SEARCHERS.get(searcher)
        if (earlier := self._earlier(trial)) is not None:
            return f"Started early, because {earlier.trial} of {earlier.sweep} was among the best there: {point}."
        if choice is not None and not choice.learns:
            return f"Started as the next point of the searcher {searcher} ({choice.summary}): {point}."
        default = choice.options["first"].default if choice is not None and "first" in choice.options else 0
        first = int((search.get("searcher_options") or {}).get("first", default))
        if known.ended < first:
            return (
                f"Started at one of the first points, because {searcher} decides once {first} trials have ended and "
                f"{known.ended} had: {point}."
            )
        best = known.best
        against = "" if best is None else f"; {best.request.trial} was best with {_score(known.best_score)}"
        return f"Suggested by {searcher} from {known.ended} trials that had ended{against}: {point}."

    def _earlier(self, trial: TrialHistory) -> EarlierTrial | None:
        """Return the trial of an earlier sweep whose point this one began with."""
        request, started = trial.request, self.history.started
        home = {} if self.history.baseline is None else self.history.baseline.request.asked
        firsts = first_points(started.earlier, parameters_of(self.history.experiment), self.history.mode, home)
        if dict(request.asked) not in firsts[request.number - 1 : request.number]:
            return None
        return next((one for one in started.earlier if request.asked.items() <= one.parameters.items()), None)

    def _end(self, trial: TrialHistory) -> str:
        record, rung = trial.record, self._rungs.get(trial.request.trial)
        if record is None:
            return f"It has not ended: {len(trial.rows)} of {trial.request.epochs} epochs are recorded."
        if record.ending is Ending.PRUNED and rung is not None:
            return self._pruned(rung, record.reason)
        error = f" {record.error}" if record.error and record.error not in record.reason else ""
        cause = f" (cause: {record.cause.value})" if record.cause else ""
        return f"Ended as {record.ending.value} after {len(trial.rows)} epochs{cause}: {record.reason}.{error}"

    def _pruned(self, rung: _Rung, reason: str) -> str:
        sign = 1 if self.history.mode == "max" else -1
        mine = -math.inf if rung.score is None else sign * rung.score
        better = sorted((-sign * score, name) for name, score in rung.others.items() if sign * score > mine)
        search, count = self.history.experiment["search"], len(rung.others) + 1
        continuing = math.ceil(count / int(search.get("reduction_factor", 3)))
        rule = f"the best {continuing} continue" if search.get("pruner", "asha") in _HALVING else reason
        lead = "" if not better else f", where {better[0][1]} had {_score(rung.others[better[0][1]])}"
        return (
            f"Pruned after epoch {rung.epoch}: its best score of {_score(rung.score)} was {_ordinal(len(better) + 1)} "
            f"of {count} trials that had come to this epoch{lead}; {rule}."
        )

    def _place(self, trial: TrialHistory) -> str | None:
        ranked = self.history.ranked()
        if trial.score is None or trial not in ranked:
            return None
        rank, best = ranked.index(trial) + 1, ranked[0]
        last = trial.rows[-1]
        lag = round((best.score or 0.0) - trial.score, 6) * (1 if self.history.mode == "max" else -1)
        how = f"{abs(lag):.4f} {'behind' if lag > 0 else 'ahead of'}" if lag else "the same as"
        behind = "" if rank == 1 else f", {how} {best.request.trial}"
        return (
            f"Its best {short_metric(self.history.metric)} is {_score(trial.score)}, in epoch {last.best_epoch}: "
            f"{_ordinal(rank)} of {len(ranked)}{behind}."
        )

    def _objectives(self, trial: TrialHistory) -> list[str]:
        """Return how a trial stands among several objectives."""
        history, record = self.history, trial.record
        if len(history.objectives) < 2 or record is None or trial.score is None or trial.request.repeats is not None:
            return []
        values = zip(history.objectives[1:], history.values(trial)[1:], strict=True)
        listed = ", ".join(
            f"{one.metric} {'unknown' if value is None else f'{value:.4g}'}"
            f"{'' if one.is_met(value) else f', which does not keep {one.text}'}"
            for one, value in values
        )
        if trial.request.trial in history.standing.front:
            listed += "; it is on the Pareto front"
        how = record.footprint.how if record.footprint else None
        return [f"Its further objectives: {listed}.", *([how[0].upper() + how[1:]] if how else [])]

    def _choice(self, trial: TrialHistory) -> str:
        winner = self.history.winner
        assert winner is not None
        again = winner.validations.get("val")
        value = again.metrics.get(self.history.metric) if again else None
        checked = "" if value is None else f", and {_score(value)} when its checkpoint was validated again"
        if self.history.repeats(winner.settings_trial):
            return (
                f"{trial.request.trial} was chosen: the best checkpoint of {winner.settings_trial}, which has the best "
                f"mean of the finals; {_score(winner.score)} as recorded{checked}."
            )
        rank = _ordinal(self.history.ranked().index(trial) + 1) if trial in self.history.ranked() else "unranked"
        rule = f" It has {winner.rule}." if winner.rule else ""
        return (
            f"{trial.request.trial} was chosen: {rank} of {len(self.history.ranked())} trials with a score, "
            f"{_score(winner.score)} as recorded{checked}.{rule}"
        )


def explain(events: Iterable[Event]) -> Explanation:
    """Return the explanation of a sweep from the events of its ledger."""
    explanation = Explanation()
    explanation.history.listeners = (explanation.observe,)
    explanation.history.extend(events)
    return explanation


def _counts(trial: TrialHistory) -> bool:
    """Return whether a searcher learned from a trial."""
    return trial.record is not None and trial.record.ending not in (Ending.FAILED, Ending.CANCELLED)


def _score(value: float | None) -> str:
    return "no score" if value is None else f"{value:.4f}"


def _ordinal(number: int) -> str:
    ending = {1: "st", 2: "nd", 3: "rd"}.get(number % 10 if number % 100 not in (11, 12, 13) else 0, "th")
    return f"{number}{ending}"
