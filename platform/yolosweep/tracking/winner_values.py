"""The values that messages carry about the winner: its scores beside trial 0's, the verdict, and a table of classes."""

from __future__ import annotations

import math
from collections.abc import Mapping
from statistics import NormalDist
from typing import Any

from yolosweep.diagnosis.verdict import judge
from yolosweep.experiment import defaults_of
from yolosweep.ledger.history import History
from yolosweep.ledger.verdict_evidence import evidence_of
from yolosweep.records import Validation
from yolosweep.records.trial_columns import short_metric

__all__ = ["classes_of", "winner_of"]

_QUANTILE = NormalDist().inv_cdf(0.975)


def winner_of(history: History) -> dict[str, Any]:
    """Return the winner's settings and its scores as validated again, trial 0's beside them, and the verdict.

    Nothing comes from other trials, so that a page that sorts sweeps compares winners. Empty without a winner.
    """
    winner = history.winner
    if winner is None:
        return {}
    asked = history.trials[winner.trial].request.asked
    values: dict[str, Any] = {"winner": winner.trial, "winner_score": winner.score}
    values |= {f"winner/{name}": winner.settings.get(name, value) for name, value in asked.items()}
    for who, trial in (("winner", history.trials[winner.settings_trial]), ("trial0", history.baseline)):
        if trial is not None and trial.record is not None:
            values |= {f"{who}/{name}": value for name, value in trial.record.objectives.items()}
    values |= {"rule": winner.rule, "pareto_front": ", ".join(winner.front)} if winner.rule else {}
    for who, validations in _validated(history).items():
        for split, validation in validations.items():
            images = history.dataset.images.get(split, 0)
            for name, value in validation.metrics.items():
                if _is_shown(name, winner.metric):
                    key = f"{who}/{split}/{short_metric(name)}"
                    interval = _interval(value, validation.errors.get(name), images, name.startswith("metrics/"))
                    values |= {key: value, **{f"{key}_{end}": bound for end, bound in interval.items()}}
    values |= _verdict(history) | {"caveats": " | ".join(winner.caveats) or None}
    return {name: value for name, value in values.items() if value is not None}


def classes_of(history: History) -> tuple[tuple[str, ...], tuple[tuple[Any, ...], ...]]:
    """Return columns and rows of the table of classes: the winner's and trial 0's metrics; no rows without any."""
    scored = {
        f"{who}/{split}": validation.per_class
        for who, validations in _validated(history).items()
        for split, validation in validations.items()
    }
    names = dict.fromkeys(name for per_class in scored.values() for name in per_class)
    cells = dict.fromkeys(
        (of, metric) for of, per_class in scored.items() for metrics in per_class.values() for metric in metrics
    )
    columns = ("class", *(f"{of}/{short_metric(metric)}" for of, metric in cells))
    rows = tuple((name, *(scored[of].get(name, {}).get(metric) for of, metric in cells)) for name in names)
    return columns, rows


def _validated(history: History) -> dict[str, Mapping[str, Validation]]:
    """Return the winner's and trial 0's scores by split; trial 0's only where it is another trial and was validated."""
    winner, baseline = history.winner, history.baseline
    if winner is None:
        return {}
    validated: dict[str, Mapping[str, Validation]] = {"winner": winner.validations}
    if winner.reference is not None and baseline is not None and winner.reference.trial == baseline.request.trial:
        validated["trial0"] = winner.reference.validations
    return validated


def _interval(score: float | None, error: float | None, images: int, is_share: bool) -> dict[str, float]:
    """Return the 95 % interval of a score over images like these; nothing where its noise is unknown."""
    if score is None or error is None or not images:
        return {}
    half = _QUANTILE * math.hypot(error, 1 / images if is_share else 0.0)  # one image always counts, as in the verdict
    low, high = score - half, score + half
    return {"low": round(max(0.0, low), 6), "high": round(min(1.0, high) if is_share else high, 6)}


def _is_shown(name: str, searched: str) -> bool:
    """Return whether a value of a validation is a score: losses are called ``val/…``, also on test."""
    return name.startswith("metrics/") or name == searched


def _verdict(history: History) -> dict[str, Any]:
    verdict = judge(evidence_of(history, defaults_of(history.experiment["model"])))
    values: dict[str, Any] = {
        "verdict": verdict.outcome.value,
        "verdict_text": verdict.sentence,
        "verdict_details": " ".join(verdict.details) or None,
        "ties": len(verdict.ties),
        "tied_trials": ", ".join(verdict.ties) or None,
        "resolution": verdict.resolution,
    }
    for one in verdict.comparisons:
        numbers = one.model_dump(include={"score", "reference_score", "difference", "low", "high"})
        values |= {f"{one.split}/{name}": value for name, value in numbers.items()}
    if (seeds := verdict.seeds) is not None:
        values |= {f"finals/{name}": value for name, value in seeds.model_dump(exclude={"error"}).items()}
    return values
