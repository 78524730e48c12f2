"""The finals: which trial is best over seeds that nobody chose, and by how much; pure functions of scores.

Every finalist is trained with the same new seeds, so the scores are a table of trials by seeds without gaps. The spread
that the seeds leave is what is left of it after the means of rows and columns (a two-way analysis of variance), pooled
over all finalists: three seeds of one pair would leave two degrees of freedom, and an interval twice as wide. The best
of several finalists is compared with trial 0, so the interval of the difference is a simultaneous one (Bonferroni).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import fmean, variance
from typing import cast

from yolosweep.records.verdict import Comparison, Evidence, Finalist, SeedComparison, SweepVerdict

__all__ = ["CONFIDENCE", "SeedTable", "compared_seeds", "decisive", "of_finals", "seed_lines", "seed_table"]

CONFIDENCE = 0.95
"""Of the intervals."""
_SEEDS = 2
"""With fewer common seeds there is no interval."""
_Curves = dict[str, tuple[tuple[float, ...], ...]]


@dataclass(frozen=True, kw_only=True)
class SeedTable:
    """Scores of the finalists with the seeds that all of them have."""

    seeds: tuple[int, ...]
    rows: dict[str, tuple[float, ...]]
    """Scores by trial, in the order of the seeds; the trials best first, by their means."""
    reference: str
    """Trial 0."""
    curves: _Curves
    """Scores of the epochs, as the rows; without trials that lack one."""

    def expected(self, mode: str) -> float | None:
        """Return what a new training of the winner is expected to score; None where curves are missing.

        Winner and best epoch are chosen by luck, too, so the seed that scores them has no part in the choice.
        """
        if self.curves.keys() != self.rows.keys():
            return None
        best, found = (max if mode == "max" else min), list[float]()
        for seed in range(len(self.seeds)):
            others = [other for other in range(len(self.seeds)) if other != seed]
            trial = best(self.rows, key=lambda name: fmean(self.rows[name][other] for other in others))
            curves = self.curves[trial]
            epochs = range(min(map(len, curves)))
            means = [fmean(curves[other][epoch] for other in others) for epoch in epochs]
            found.append(curves[seed][best(epochs, key=means.__getitem__)])
        return fmean(found)

    @property
    def means(self) -> dict[str, float]:
        """Mean score by trial."""
        return {trial: fmean(scores) for trial, scores in self.rows.items()}

    @property
    def freedom(self) -> int:
        """Degrees of freedom of the spread."""
        return (len(self.rows) - 1) * (len(self.seeds) - 1)

    @property
    def spread(self) -> float:
        """Standard deviation of a score over seeds, after what a seed does to all trials alike."""
        columns = [fmean(scores) for scores in zip(*self.rows.values(), strict=True)]
        means, middle = self.means, fmean(columns)
        rest = [
            score - means[trial] - columns[place] + middle
            for trial, scores in self.rows.items()
            for place, score in enumerate(scores)
        ]
        return math.sqrt(sum(value * value for value in rest) / self.freedom)

    def half_width(self, chances: int) -> float:
        """Return half of the interval of the difference of two means that is the largest of so many."""
        return _quantile(self.freedom, chances) * self.spread * math.sqrt(2 / len(self.seeds))

    def half_width_of_mean(self) -> float:
        """Return half of the interval of one trial's mean, which takes part in what a seed does to all trials."""
        freedom = len(self.rows) * (len(self.seeds) - 1)
        pooled = math.sqrt(fmean(variance(scores) for scores in self.rows.values()))
        return _quantile(freedom, 1) * pooled / math.sqrt(len(self.seeds))


def _quantile(freedom: int, chances: int) -> float:
    """Return the quantile of Student's distribution for a two-sided interval of the largest of so many."""
    from scipy.special import stdtrit

    return float(stdtrit(freedom, 1 - (1 - CONFIDENCE) / (2 * max(chances, 1))))


def seed_table(finalists: Sequence[Finalist], mode: str) -> SeedTable | None:
    """Return the scores of the seeds that are complete; None without trial 0, a rival, or two such seeds.

    A finalist with a repeat that ended without a score is left out, and so is one that has only begun; of the others,
    the seeds that all of them have count.
    """
    base = next((one for one in finalists if one.number == 0), None)
    if base is None:
        return None
    common = {seed for seed, score in base.scores.items() if score is not None}
    whole = [one for one in finalists if one.number and None not in one.scores.values()]
    rivals = [one for one in whole if len(common.intersection(one.scores)) >= _SEEDS]
    common = common.intersection(*(one.scores for one in rivals))
    if not rivals or len(common) < _SEEDS:
        return None
    seeds = tuple(sorted(common))
    rows = {one.trial: tuple(float(one.scores[seed] or 0.0) for seed in seeds) for one in (base, *rivals)}
    sign = -1.0 if mode == "max" else 1.0
    # Trial 0 comes first in the table, so it wins a tie.
    ranked = dict(sorted(rows.items(), key=lambda row: sign * fmean(row[1])))
    known = {one.trial: tuple(one.curves.get(seed, ()) for seed in seeds) for one in (base, *rivals)}
    curves = {trial: lines for trial, lines in known.items() if all(lines) and not any(None in line for line in lines)}
    return SeedTable(seeds=seeds, rows=ranked, reference=base.trial, curves=cast("_Curves", curves))


def compared_seeds(table: SeedTable, mode: str, trial: str | None = None) -> SeedComparison:
    """Return a finalist, or the best one beside trial 0, compared with trial 0."""
    means, base = table.means, table.reference
    trial = trial or next(name for name in table.rows if name != base)
    difference = means[trial] - means[base] if mode == "max" else means[base] - means[trial]
    half = table.half_width(len(table.rows) - 1)
    return SeedComparison(
        trial=trial,
        reference=base,
        seeds=len(table.seeds),
        finalists=len(table.rows) - 1,
        score=round(means[trial], 6),
        reference_score=round(means[base], 6),
        error=round(table.spread / math.sqrt(len(table.seeds)), 6),
        margin=round(table.half_width_of_mean(), 6),
        expected=None if (expected := table.expected(mode)) is None else round(expected, 6),
        difference=round(difference, 6),
        low=round(difference - half, 6),
        high=round(difference + half, 6),
    )


def of_finals(evidence: Evidence, table: SeedTable) -> Evidence:
    """Return evidence with the finalists alone, their scores the means over the new seeds."""
    known = {trial.trial: trial for trial in evidence.trials}
    last = table.reference if evidence.beyond is not None else None
    means = {name: table.means[name] for name in sorted(table.means, key=lambda name: name == last) if name in known}
    trials = tuple(known[name].model_copy(update={"score": round(mean, 6)}) for name, mean in means.items())
    return evidence.model_copy(update={"trials": trials, "searched": len(evidence.trials)})


def decisive(verdict: SweepVerdict) -> Comparison | SeedComparison:
    """Return the comparison with the wider interval: over the images of val, or over seeds."""
    val, seeds = verdict.comparisons[0], verdict.seeds
    if seeds is None or (val.low is not None and val.high is not None and val.high - val.low > seeds.high - seeds.low):
        return val
    return seeds


def seed_lines(evidence: Evidence, verdict: SweepVerdict) -> list[str]:
    """Return what the finals found, and whose checkpoint is handed over, one sentence each."""
    seeds, handed_over = verdict.seeds, evidence.checkpoint
    if seeds is None:
        return []
    widened = f", widened for the best of {seeds.finalists}" if seeds.finalists > 1 else ""
    expected = []
    if seeds.expected is not None and seeds.trial == evidence.trials[0].trial:
        expected = [f"Expect {seeds.expected:.4f} of a new training: the best mean, of best epochs, is partly luck."]
    lines = [
        f"Finals, trained again with {seeds.seeds} new seeds: {seeds.trial} {seeds.score:.4f} ± {seeds.margin:.4f}, "
        f"{verdict.reference_name} {seeds.reference_score:.4f} ± {seeds.margin:.4f}.",
        *expected,
        f"Over seeds: {seeds.low:+.4f} to {seeds.high:+.4f}, {CONFIDENCE:.0%}{widened}.",
    ]
    if evidence.ended and handed_over is not None:
        score = evidence.validated.get("val")
        value = "" if score is None else f", {score:.4f} on val"
        repeat = "" if handed_over == evidence.winner else f", which repeats {evidence.winner}"
        lines.append(f"The checkpoint is that of {handed_over}{repeat}: the best of its seeds{value}.")
    return lines
