"""What the ledger knows that a verdict is made of."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from yolosweep.ledger.history import History, TrialHistory
from yolosweep.records import Ending
from yolosweep.records.events import Reference
from yolosweep.records.objectives import rule_of
from yolosweep.records.verdict import Evidence, Finalist, ScoredTrial

__all__ = ["evidence_of", "finalists_of"]

_NAMED = 8
"""Trials of the front that are named."""


def evidence_of(history: History, defaults: Mapping[str, Any]) -> Evidence:
    """Return the evidence for the verdict on a sweep.

    Args:
        history: the sweep.
        defaults: of the train arguments of the model's library.
    """
    dataset, winner = history.dataset, history.winner
    answers = dataset.instances.get("val", {}).values()
    validated = winner.validations if winner else {}
    return Evidence(
        metric=history.metric,
        mode=history.mode,
        ended=history.ended is not None,
        trials=tuple(_scored(trial, trial.score) for trial in _compared(history) if trial.score is not None),
        finalists=finalists_of(history),
        winner=winner.settings_trial if winner else None,
        checkpoint=winner.trial if winner else None,
        validated={split: validation.metrics.get(history.metric) for split, validation in validated.items()},
        reference=_reference(winner.reference) if winner and winner.reference else None,
        images=dataset.images.get("val", 0),
        majority=max(answers) / sum(answers) if sum(answers) else None,
        instances=sum(answers),
        leaks=dataset.leaks,
        off_defaults=_off_defaults(history.baseline, defaults),
        **(_selection(history) if len(history.objectives) > 1 else {}),
    )


def _compared(history: History) -> list[TrialHistory]:
    """Return the trials that may win, best first, and trial 0 as the last one where it may not."""
    outside, base, may_win = history.standing.outside, history.baseline, history.eligible
    return [*may_win, base] if may_win and base is not None and base.request.trial in outside else may_win


def _selection(history: History) -> dict[str, Any]:
    """Return what decides beside the score."""
    objectives, base, front = history.objectives, history.baseline, history.front
    limited = [(place, one) for place, one in enumerate(objectives) if one.limit is not None]
    values = history.values(base) if base is not None and base.score is not None else ()
    beyond = [
        f"{one.metric} {'unknown' if (value := values[place]) is None else f'{value:.4g}'}"
        for place, one in limited
        if values and not one.is_met(values[place])
    ]
    names = ", ".join(trial.request.trial for trial in front[:_NAMED]) + (" …" if len(front) > _NAMED else "")
    return {
        "rule": rule_of(objectives, history.select),
        "limits": " and ".join(one.text for _, one in limited),
        "beyond": ", ".join(beyond) or None,
        "outside": len(history.standing.outside),
        "is_knee": history.select == "knee",
        "front": f"On the Pareto front, best score first: {names}." if len(front) > 1 else None,
    }


def finalists_of(history: History) -> tuple[Finalist, ...]:
    """Return the trials that were trained again, trial 0 first."""
    found = []
    for trial in history.searched:
        ended = [one for one in history.repeats(trial.request.trial) if one.record and one.record.ending.is_final]
        scores = {one.request.seed or 0: _final_score(one) for one in ended}
        if scores:
            curves = {one.request.seed or 0: tuple(row.score for row in one.rows) for one in ended}
            request = trial.request
            found.append(Finalist(trial=request.trial, number=request.number, scores=scores, curves=curves))
    return tuple(found)


def _final_score(repeat: TrialHistory) -> float | None:
    """Return the best score of a repeat; None where its process, not its settings, ended it."""
    record = repeat.record
    return None if record is None or record.ending in (Ending.FAILED, Ending.OOM) else repeat.score


def _reference(reference: Reference) -> Reference:
    """Return a reference under the name of the trial that it repeats."""
    return reference.model_copy(update={"trial": reference.repeats or reference.trial})


def _off_defaults(trial: TrialHistory | None, defaults: Mapping[str, Any]) -> dict[str, tuple[Any, Any]]:
    """Return the searched parameters of trial 0 that are not the defaults, as it really used them."""
    if trial is None:
        return {}
    used = {**trial.request.asked, **(trial.record.used if trial.record else {})}
    values = {name: used[name] for name in trial.request.asked}
    return {name: (defaults.get(name), value) for name, value in values.items() if defaults.get(name) != value}


def _scored(trial: TrialHistory, score: float) -> ScoredTrial:
    record, request = trial.record, trial.request
    settings = {**request.settings, **(record.used if record else {})}
    weights = record.files.get("best.pt") if record else None
    imgsz = settings.get("imgsz")
    return ScoredTrial(
        trial=request.trial,
        number=request.number,
        score=score,
        weights_bytes=weights.size if weights else None,
        imgsz=int(imgsz) if isinstance(imgsz, (int, float)) else None,
    )
