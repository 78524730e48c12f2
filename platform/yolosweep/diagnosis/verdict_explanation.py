"""What helps to read a verdict: what its names stand for, what to do, and why val and test need not contradict."""

from __future__ import annotations

from yolosweep.diagnosis.selection_sentences import claim_of_rule
from yolosweep.records.verdict import Comparison, Evidence, Outcome, SweepVerdict

__all__ = ["advice", "agreement", "names_of"]


def names_of(verdict: SweepVerdict) -> list[str]:
    """Return what the names of the headline stand for."""
    val, others = verdict.comparisons[0], verdict.trials - 1
    base = "as near to the defaults as the space allows" if verdict.off_defaults else "with the default settings"
    best = f"the best of the {others} others" if others > 1 else "the only other one"
    ranked = f"; val is the {val.images} images that ranked them" if val.images else ""
    return [f"Each trial is a training: {verdict.reference} {base}, {verdict.trial} {best}{ranked}."]


def agreement(val: Comparison, test: Comparison) -> str:
    """Return why val and test do not contradict each other where only one of them resolves the difference."""
    if val.low is None or val.high is None or test.low is None or test.high is None:
        return ""
    low, high = max(val.low, test.low), min(val.high, test.high)
    if (val.low <= 0 <= val.high) is (test.low <= 0 <= test.high) or low > high:
        return ""
    return f"; no contradiction to val: both intervals contain {low:+.4f} to {high:+.4f}"


def advice(evidence: Evidence, verdict: SweepVerdict) -> list[str]:
    """Return what to use where trial 0 could have won, and nothing tells it from the best other trial."""
    if verdict.outcome is not Outcome.NO_DIFFERENCE or claim_of_rule(evidence, verdict) is not None:
        return []
    instead = verdict.cheapest if verdict.cheapest != verdict.reference else None
    what = f", or take the cheapest tie, {instead}" if instead else ""
    why = ": so small a lead may be luck" if (verdict.comparisons[0].difference or 0.0) > 0 else ""
    return [f"Keep {verdict.reference_name}{what}{why}."]
