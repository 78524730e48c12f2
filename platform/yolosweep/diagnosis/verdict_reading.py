"""What helps to read a verdict: what its names stand for, and why val and test need not contradict each other."""

from __future__ import annotations

from yolosweep.records.verdict import Comparison, SweepVerdict

__all__ = ["agreement", "names_of"]


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
