"""Trials that val cannot tell apart from the best one."""

from __future__ import annotations

from collections.abc import Sequence

from yolosweep.records.verdict import Evidence, ScoredTrial, SweepVerdict

__all__ = ["cheapest_of", "tie_lines", "ties_of"]

_NAMED = 6
"""Ties that are listed one by one."""


def ties_of(evidence: Evidence, resolution: float | None) -> list[ScoredTrial]:
    """Return the trials whose score is within the resolution of the best one's."""
    if resolution is None:
        return []
    top, *rest = evidence.trials
    rest = [trial for trial in rest if trial.number or evidence.beyond is None]
    return [trial for trial in rest if abs(top.score - trial.score) <= resolution]


def cheapest_of(top: ScoredTrial, ties: Sequence[ScoredTrial]) -> str | None:
    """Return the tie with the smallest model, then the smallest images, if that is cheaper than the best trial."""

    def cost(trial: ScoredTrial) -> tuple[float, int]:
        # Files of one model differ by the few bytes of the arguments that they carry.
        return round((trial.weights_bytes or top.weights_bytes or 0) / 2**20, 1), trial.imgsz or 0

    found = min(ties, key=cost, default=None)
    return found.trial if found is not None and cost(found) < cost(top) else None


def tie_lines(evidence: Evidence, verdict: SweepVerdict) -> list[str]:
    """Return the ties, the cheapest of them, and how far the best of them is too high, one sentence each."""
    ties, top = verdict.ties, evidence.trials[0].trial
    if not ties:
        return []
    listed = ", ".join(ties[:_NAMED]) + (f" and {len(ties) - _NAMED} more" if len(ties) > _NAMED else "")
    lines = [f"Ties, within {verdict.resolution:.4f} of {top}, which val cannot tell apart: {listed}."]
    if verdict.cheapest:
        tie = next(trial for trial in evidence.trials if trial.trial == verdict.cheapest)
        lines.append(f"The cheapest of them is {tie.trial}{f' (imgsz {tie.imgsz})' if tie.imgsz else ''}.")
    if verdict.optimism and verdict.optimism >= 5e-5:
        lines.append(
            f"The best of {len(ties) + 1} ties scores about {verdict.optimism:.4f} too high on val, which chose it."
        )
    return lines
