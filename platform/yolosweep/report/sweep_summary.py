"""The numbers of a sweep, computed once for ``--json``, the tables and the page."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from typing import NamedTuple

from yolosweep.backends import backend_for
from yolosweep.diagnosis.curves import diverged
from yolosweep.diagnosis.verdict import judge
from yolosweep.experiment import defaults_of
from yolosweep.ledger.history import History, TrialHistory
from yolosweep.ledger.trial_summary import gain_over_defaults, seconds_of, summarize_trial
from yolosweep.ledger.verdict_evidence import evidence_of
from yolosweep.records.summary import (
    EndingCost,
    NoteSummary,
    ResumeSummary,
    Summary,
    TrialSummary,
    WinnerSummary,
)
from yolosweep.records.verdict import SeedComparison, SweepVerdict
from yolosweep.report.diagnosis_from_ledger import diagnose_sweep
from yolosweep.report.mistake_sentence import mistakes_of
from yolosweep.search.parameter_importance import importance_of

__all__ = ["Headline", "headline", "summarize", "verdict_of"]


def summarize(history: History) -> Summary:
    """Return the outcome of a sweep; every number on the page is one of these."""
    verdict = verdict_of(history)
    head = _headline(history, verdict.seeds)
    importance = importance_of(history)
    ended, winner, trials = history.ended, _winner(history), history.trials.values()
    return Summary(
        sweep=history.sweep,
        name=history.experiment["name"],
        status=ended.status if ended else "not ended",
        reason=ended.reason if ended else None,
        started_at=history.started.at,
        ended_at=ended.at if ended else None,
        metric=history.metric,
        mode=history.mode,
        best_trial=head.trial,
        best_score=head.score,
        baseline_score=head.baseline,
        gain=head.gain,
        gain_percent=None if head.gain is None or not head.baseline else round(100 * head.gain / abs(head.baseline), 2),
        verdict=verdict,
        winner=winner,
        endings=dict(Counter(trial.status for trial in trials)),
        epochs=history.epochs(),
        trainings=round(history.trainings(), 2),
        seconds=round(sum(seconds_of(trial) for trial in trials), 1),
        cost=_cost(trials),
        resumes=tuple(ResumeSummary(at=e.at, changes=e.changes, allowed=e.allowed) for e in history.resumes),
        caveats=history.dataset.caveats,
        warnings=(*history.dataset.caveats, *_warnings(history)),
        objectives=history.objectives if len(history.objectives) > 1 else (),
        front=history.standing.front,
        ranking=history.standing.ranking,
        trials=tuple(_trial(history, trial) for trial in trials),
        notes=tuple(NoteSummary(trial=note.trial, text=note.text) for note in history.notes),
        diagnoses=diagnose_sweep(history, importance),
        importance=importance,
        mistakes=mistakes_of(history.winner) if history.winner else None,
        exportable=winner is not None and backend_for(history.experiment["model"]).deployment() is not None,
    )


class Headline(NamedTuple):
    """The best trial, its score, that of trial 0, and the gain: after finals, the means over the new seeds."""

    trial: str | None
    score: float | None
    baseline: float | None
    gain: float | None


def headline(history: History) -> Headline:
    """Return the best trial of a sweep with its score."""
    return _headline(history, verdict_of(history).seeds)


def verdict_of(history: History) -> SweepVerdict:
    """Return whether a sweep found something better than trial 0."""
    return judge(evidence_of(history, defaults_of(history.experiment["model"])))


def _headline(history: History, seeds: SeedComparison | None) -> Headline:
    if seeds is not None:
        if seeds.difference <= 0 and seeds.reference not in history.standing.outside:
            return Headline(seeds.reference, seeds.reference_score, seeds.reference_score, 0.0)
        return Headline(seeds.trial, seeds.score, seeds.reference_score, seeds.difference)
    best = next(iter(history.eligible), None)
    score = best.score if best else None
    base = history.baseline.score if history.baseline else None
    return Headline(best.request.trial if best else None, score, base, gain_over_defaults(history, score))


def _trial(history: History, trial: TrialHistory) -> TrialSummary:
    evidence = diverged(trial.rows, history.mode) if trial.record else None
    return summarize_trial(history, trial, diverged=evidence)


def _winner(history: History) -> WinnerSummary | None:
    if history.winner is None:
        return None
    trial, validations = history.winner.trial, history.winner.validations
    score = history.trials[trial].score
    return WinnerSummary(
        trial=trial,
        repeats=history.winner.repeats,
        score=score,
        gain=gain_over_defaults(history, score),
        validated={split: value.metrics.get(history.metric) for split, value in validations.items()},
    )


def _cost(trials: Iterable[TrialHistory]) -> tuple[EndingCost, ...]:
    """Return trials, epochs and seconds per ending."""
    by_ending: dict[str, list[TrialHistory]] = {}
    for trial in trials:
        by_ending.setdefault(trial.status, []).append(trial)
    return tuple(
        EndingCost(
            ending=ending,
            trials=len(same),
            epochs=sum(len(trial.rows) for trial in same),
            seconds=round(sum(seconds_of(trial) for trial in same), 1),
        )
        for ending, same in by_ending.items()
    )


def _warnings(history: History) -> list[str]:
    """Return what makes scores hard to compare, one sentence each."""
    sizes: dict[int, list[str]] = {}
    for trial in history.ranked():
        size = trial.record.world_size if trial.record else trial.request.world_size
        sizes.setdefault(size, []).append(trial.request.trial)
    if len(sizes) < 2:
        return []
    listed = "; ".join(f"{size}: {_listed(sorted(names))}" for size, names in sorted(sizes.items()))
    return [
        "Ranked trials were trained with different numbers of ranks. Batch normalization sees each rank's batch alone, "
        f"so their scores do not compare exactly ({listed})."
    ]


def _listed(names: Sequence[str]) -> str:
    return ", ".join(names[:4]) + (f" and {len(names) - 4} more" if len(names) > 4 else "")
