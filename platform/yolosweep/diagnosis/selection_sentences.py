"""What a verdict says where the winner need not have the highest score: limits that it keeps, or a Pareto front."""

from __future__ import annotations

from yolosweep.records.verdict import Evidence, SweepVerdict

__all__ = ["claim_of_limits", "claim_of_rule", "selection_lines"]


def claim_of_limits(evidence: Evidence) -> str:
    """Return the headline where no trial keeps the limits."""
    count = f"{evidence.outside} trial{'' if evidence.outside == 1 else 's'} with a score"
    return f"No trial keeps {evidence.limits}, of {count}: loosen the limit, or search smaller models and images."


def claim_of_rule(evidence: Evidence, verdict: SweepVerdict) -> str | None:
    """Return the headline where trial 0 could not win, or score alone does not decide; None where it does."""
    base, trial = verdict.reference, verdict.trial
    difference = verdict.comparisons[0].difference or 0.0
    metric = evidence.metric.removeprefix("metrics/")
    by = f"{abs(difference):.4f} {metric} {'more' if difference > 0 else 'less'} than {verdict.reference_name}"
    if evidence.beyond is not None:
        return (
            f"{trial} is the best trial with {evidence.limits}, which {base} has not ({evidence.beyond}): it has {by}"
        )
    if evidence.is_knee and evidence.trials[0].trial == trial:
        return f"{trial} is the knee of the Pareto front: it has {by}"
    return None


def selection_lines(evidence: Evidence) -> list[str]:
    """Return what selects the winner, where there are several objectives."""
    if not evidence.rule:
        return []
    lines = [f"The winner has {evidence.rule}."]
    if evidence.outside:
        count = f"{evidence.outside} trial{'' if evidence.outside == 1 else 's'} with a score"
        lines.append(f"{count} did not keep {evidence.limits}.")
    return [*lines, evidence.front] if evidence.front is not None else lines
