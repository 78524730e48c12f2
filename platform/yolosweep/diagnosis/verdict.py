"""Whether the best trial is better than trial 0: a pure function of scores and of how uncertain their difference is.

The difference on val is that of the recorded scores. Its standard error comes from a paired bootstrap over the images
of val where both checkpoints were scored image by image, else from the number of objects alone, as for two unpaired
proportions. That is wider: 0.046 instead of 0.017 in a sweep on 48 images with 216 objects. Two things make the
interval wider still:

- The best trial was chosen on val. With N trials there were N - 1 chances to beat trial 0 by luck, so the interval is a
  simultaneous one (Bonferroni, as in Dunnett's comparisons with a control): with 40 trials 3.2 standard errors to
  each side, not 2.0. A trial that is not worse than the best by this margin is a tie.
- A bootstrap knows no images but those of val. Where two checkpoints differ on very few of them it is too sure of
  itself: 4 of 100 images, all in favor of one, give 2.0 standard errors, although a sign test gives p = 0.125. One more
  image on which they differ is therefore added to the variance; then 4 images do not count, and 5 do (p = 0.06).

Where a part of val is also in train, a difference on it may be one of memory: then a clean test has to confirm it.

The test split chooses nothing, so its interval is an ordinary one. Neither interval covers the luck of a seed: finals
do (:mod:`yolosweep.diagnosis.finals_comparison`). After them, scores are means over the new seeds, and a difference
counts only if both intervals exclude 0, over images and over seeds.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from statistics import NormalDist

from yolosweep.diagnosis.finals_comparison import (
    CONFIDENCE,
    compared_seeds,
    decisive,
    of_finals,
    seed_lines,
    seed_table,
)
from yolosweep.diagnosis.selection_sentences import claim_of_limits, claim_of_rule, selection_lines
from yolosweep.diagnosis.ties import cheapest_of, tie_lines, ties_of
from yolosweep.diagnosis.verdict_explanation import advice, agreement, names_of
from yolosweep.records.events import PairedError
from yolosweep.records.verdict import Comparison, Evidence, Outcome, ScoredTrial, SeedComparison, SweepVerdict

__all__ = ["CONFIDENCE", "LEAKING", "judge"]

LEAKING = 0.05
"""Share of a split that is also in another one, from which its scores alone decide nothing; a smaller one is shown."""

_FLOORS = {"mAP50-95": 0.03, "mAP50": 0.05}
"""Scores below which a detector has learned next to nothing, by the kind of metric."""
_NOTHING_LEARNED = (
    "Differences between such trials mean nothing: check the labels (yolosweep check), lr0 and the number of epochs "
    "before you search on."
)


def judge(evidence: Evidence) -> SweepVerdict:
    """Return the verdict on a sweep, running or ended."""
    table = seed_table(evidence.finalists, evidence.mode)
    if table is not None:
        evidence = of_finals(evidence, table)
    pair = _pair(evidence)
    if pair is None:
        return _without_comparison(evidence)
    best, base = pair
    comparisons = [_on_val(evidence, best, base), *_on_test(evidence, best, base)]
    seeds = None if table is None else compared_seeds(table, evidence.mode, best.trial)
    resolution = _resolution(evidence, best, base, seeds)
    ties = ties_of(evidence, resolution)
    outcome = _outcome(evidence, comparisons, seeds)
    verdict = SweepVerdict(
        outcome=outcome,
        sentence="",
        trial=best.trial,
        reference=base.trial,
        reference_name=_reference_name(evidence),
        comparisons=tuple(comparisons),
        seeds=seeds,
        resolution=resolution,
        ties=tuple(trial.trial for trial in ties),
        cheapest=cheapest_of(evidence.trials[0], ties),
        optimism=_optimism(evidence, best, base, len(ties) + 1, seeds),
        trials=_count(evidence),
        leaks=evidence.leaks,
        off_defaults=evidence.off_defaults,
    )
    sentence = _sentence(evidence, verdict)
    return verdict.model_copy(update={"sentence": sentence, "details": tuple(_details(evidence, verdict))})


def _count(evidence: Evidence) -> int:
    """Return the number of trials that the best one was chosen from."""
    return evidence.searched or len(evidence.trials)


def _pair(evidence: Evidence) -> tuple[ScoredTrial, ScoredTrial] | None:
    """Return the best trial and trial 0; where trial 0 is best, the best of the others; None without two scores."""
    base = next((trial for trial in evidence.trials if trial.number == 0), None)
    others = [trial for trial in evidence.trials if trial.number != 0]
    if base is None or not others:
        return None
    # While a sweep runs on, its best trial counts, not the winner of before.
    handed_over = [trial for trial in others if evidence.ended and trial.trial == evidence.winner]
    return (handed_over or others)[0], base


def _is_compared(evidence: Evidence, best: ScoredTrial, base: ScoredTrial) -> bool:
    """Return whether both checkpoints were validated, as winner and reference."""
    reference = evidence.reference
    return reference is not None and {evidence.winner, reference.trial} == {best.trial, base.trial}


def _gain(evidence: Evidence, score: float, base: float) -> float:
    return score - base if evidence.mode == "max" else base - score


def _error(evidence: Evidence, best: ScoredTrial, base: ScoredTrial, split: str) -> PairedError | None:
    """Return the measured error of the difference, else one for two unpaired proportions; None for other metrics."""
    reference = evidence.reference
    if reference is not None and _is_compared(evidence, best, base) and split in reference.errors:
        return reference.errors[split]
    if split != "val" or not _is_proportion(evidence) or not evidence.images:
        return None
    share = min(max((best.score + base.score) / 2, 0.0), 1.0)
    error = math.sqrt(2 * share * (1 - share) / (evidence.instances or evidence.images))
    return PairedError(images=evidence.images, resamples=0, error=error)


def _is_proportion(evidence: Evidence) -> bool:
    """Return whether the metric is between 0 and 1, as all but losses are."""
    return evidence.metric.startswith("metrics/")


def _half_width(evidence: Evidence, error: PairedError, chances: int) -> float:
    """Return half of the interval of a difference that is the largest of so many."""
    quantile = NormalDist().inv_cdf(1 - (1 - CONFIDENCE) / (2 * max(chances, 1)))
    one_image = 1 / error.images if _is_proportion(evidence) else 0.0
    return quantile * math.hypot(error.error, one_image)


def _resolution(evidence: Evidence, best: ScoredTrial, base: ScoredTrial, seeds: SeedComparison | None) -> float | None:
    error = _error(evidence, best, base, "val")
    over_images = None if error is None else _half_width(evidence, error, _count(evidence) - 1)
    over_seeds = None if seeds is None else (seeds.high - seeds.low) / 2
    known = [half for half in (over_images, over_seeds) if half is not None]
    return round(max(known), 6) if known else None


def _on_val(evidence: Evidence, best: ScoredTrial, base: ScoredTrial) -> Comparison:
    error, difference = _error(evidence, best, base, "val"), _gain(evidence, best.score, base.score)
    half = None if error is None else _half_width(evidence, error, _count(evidence) - 1)
    return _comparison("val", evidence.images, (best.score, base.score), difference, error, half)


def _on_test(evidence: Evidence, best: ScoredTrial, base: ScoredTrial) -> list[Comparison]:
    """Return the comparison on test; empty unless both were validated on it."""
    reference = evidence.reference
    if reference is None or not _is_compared(evidence, best, base) or "test" not in reference.validations:
        return []
    of_reference = reference.validations["test"].metrics.get(evidence.metric)
    scores = {evidence.winner: evidence.validated.get("test"), reference.trial: of_reference}
    score, base_score = scores[best.trial], scores[base.trial]
    if score is None or base_score is None:
        return []
    error = _error(evidence, best, base, "test")
    half = None if error is None else _half_width(evidence, error, 1)
    images = error.images if error else 0
    return [_comparison("test", images, (score, base_score), _gain(evidence, score, base_score), error, half)]


def _comparison(
    split: str,
    images: int,
    scores: tuple[float, float],
    difference: float,
    error: PairedError | None,
    half: float | None,
) -> Comparison:
    return Comparison(
        split=split,
        images=images if error is None else error.images,
        score=scores[0],
        reference_score=scores[1],
        difference=round(difference, 6),
        low=None if half is None else round(difference - half, 6),
        high=None if half is None else round(difference + half, 6),
        resamples=0 if error is None else error.resamples,
    )


def _outcome(evidence: Evidence, comparisons: Sequence[Comparison], seeds: SeedComparison | None) -> Outcome:
    val, test = comparisons[0], comparisons[1] if len(comparisons) > 1 else None
    if _has_not_learned(evidence):
        return Outcome.NOT_LEARNED
    spans = [(one.low, one.high) for one in (val, seeds) if one is not None]
    known = [(low, high) for low, high in spans if low is not None and high is not None]
    if not known:
        return Outcome.UNDECIDED
    if all(high < 0 for _, high in known) or (test is not None and test.high is not None and test.high < 0):
        return Outcome.WORSE
    if any(low <= 0 for low, _ in known):
        return Outcome.NO_DIFFERENCE
    return Outcome.UNDECIDED if _leaks(evidence, "val") and not _confirms(evidence, test) else Outcome.BETTER


def _leaks(evidence: Evidence, split: str) -> bool:
    return evidence.leaks.get(split, 0.0) >= LEAKING


def _confirms(evidence: Evidence, test: Comparison | None) -> bool:
    """Return whether a test that was not trained on shows a gain by itself."""
    return test is not None and not _leaks(evidence, "test") and test.low is not None and test.low > 0


def _has_not_learned(evidence: Evidence) -> bool:
    floor = _floor(evidence)
    return floor is not None and bool(evidence.trials) and evidence.trials[0].score <= floor


def _floor(evidence: Evidence) -> float | None:
    """Return the score up to which a model may have learned nothing; None where that is unknown."""
    if evidence.mode != "max":
        return None
    if evidence.metric == "metrics/accuracy_top1" and evidence.majority and evidence.instances:
        share = evidence.majority
        return share + 2 * math.sqrt(share * (1 - share) / evidence.instances)
    kind = evidence.metric.removeprefix("metrics/").partition("(")[0]
    return _FLOORS.get(kind)


def _optimism(
    evidence: Evidence, best: ScoredTrial, base: ScoredTrial, alike: int, seeds: SeedComparison | None
) -> float | None:
    """Return how much the largest of ``alike`` equally good scores is expected to be above their mean (Blom)."""
    error = _error(evidence, best, base, "val")
    if error is None:
        return None
    expected = NormalDist().inv_cdf((alike - 0.375) / (alike + 0.25)) if alike > 1 else 0.0
    of_mean = 0.0 if seeds is None else seeds.error
    return round(math.hypot(error.error / math.sqrt(2), of_mean) * expected, 6)


def _reference_name(evidence: Evidence) -> str:
    return "trial 0" if evidence.off_defaults else "the defaults"


def _without_comparison(evidence: Evidence) -> SweepVerdict:
    trials = evidence.trials
    if not trials and evidence.outside:
        sentence = claim_of_limits(evidence)
        return SweepVerdict(outcome=Outcome.UNDECIDED, sentence=sentence, leaks=evidence.leaks)
    if not trials:
        sentence = "No trial gave a score." if evidence.ended else "No trial has a score yet."
        return SweepVerdict(outcome=Outcome.UNDECIDED, sentence=sentence, leaks=evidence.leaks)
    top = trials[0]
    nothing = _has_not_learned(evidence)
    made = SweepVerdict(
        outcome=Outcome.NOT_LEARNED if nothing else Outcome.UNDECIDED,
        sentence="",
        details=(*([_NOTHING_LEARNED] if nothing else []), *selection_lines(evidence), *_clamped(evidence)),
        trial=top.trial,
        reference=top.trial if top.number == 0 else None,
        reference_name=_reference_name(evidence),
        trials=len(trials),
        leaks=evidence.leaks,
        off_defaults=evidence.off_defaults,
    )
    return made.model_copy(update={"sentence": _sentence(evidence, made)})


def _sentence(evidence: Evidence, verdict: SweepVerdict) -> str:
    text = _claim(evidence, verdict)
    return text if evidence.ended else f"So far: {text[0].lower() if text[1:2].islower() else text[0]}{text[1:]}"


def _claim(evidence: Evidence, verdict: SweepVerdict) -> str:
    """Return the headline."""
    val, name, metric = verdict.val, verdict.reference_name, evidence.metric.removeprefix("metrics/")
    if verdict.outcome is Outcome.NOT_LEARNED:
        return _claim_of_nothing(evidence, metric)
    if val is None:
        if verdict.reference is None:
            return f"{verdict.trial} is best, but trial 0 gave no score to compare with."
        if evidence.outside:
            return f"Only {verdict.trial} keeps {evidence.limits}: there is nothing to compare it with."
        return f"Only {verdict.trial} has a score: there is nothing to compare it with."
    decides = decisive(verdict)
    if verdict.outcome is Outcome.UNDECIDED and decides.low is not None:
        seen = f"{_lead(verdict)} on val ({_interval(decides)})"
        return f"{seen}, but {evidence.leaks['val']:.1%} of val is also in another split and no clean test confirms it."
    if verdict.outcome is Outcome.UNDECIDED:
        return f"{_lead(verdict)}, but the noise of {metric} is unknown: one run of each does not decide."
    if verdict.outcome is not Outcome.BETTER and (text := claim_of_rule(evidence, verdict)) is not None:
        return f"{text} ({_interval(decides)})."
    seeds = f"{decides.seeds} new seeds" if isinstance(decides, SeedComparison) else None
    if verdict.outcome is Outcome.BETTER:
        where = f"val over {seeds}" if seeds else "val"
        by = f"{val.difference:.4f} {metric} on {where} ({_interval(decides)})"
        return f"{verdict.trial} is better than {name} by {by}."
    if verdict.outcome is Outcome.WORSE:
        return f"Keep {name}: {_worse(verdict, metric)}."
    what = seeds or f"{val.images} val images"
    return f"No difference to {name} that {what} can resolve: {_lead(verdict)} ({_interval(decides)})."


def _claim_of_nothing(evidence: Evidence, metric: str) -> str:
    score, floor = evidence.trials[0].score, _floor(evidence)
    if metric == "accuracy_top1":
        chance = f"always answering the most frequent class scores {evidence.majority:.4f}"
        return f"No trial has learned: the best {metric} is {score:.4f}, and {chance}."
    return f"No trial has learned: the best {metric} is {score:.4f}, below {floor:g}."


def _lead(verdict: SweepVerdict) -> str:
    """Return who is ahead, and by how much."""
    difference = verdict.comparisons[0].difference or 0.0
    if not difference:
        return f"{verdict.trial} scores the same"
    return f"{verdict.trial} scores {abs(difference):.4f} {'more' if difference > 0 else 'less'}"


def _worse(verdict: SweepVerdict, metric: str) -> str:
    decides = decisive(verdict)
    if decides.high is not None and decides.high < 0:
        behind = f"{-(decides.difference or 0):.4f} {metric}"
        return f"{verdict.trial}, the best other trial, is worse by {behind} ({_interval(decides)})"
    test, ahead = verdict.comparisons[-1], (verdict.comparisons[0].difference or 0.0) > 0
    who = f"{verdict.trial} is ahead on val, but" if ahead else f"{verdict.trial}, the best other trial, is"
    return f"{who} worse on test by {-(test.difference or 0):.4f} ({_interval(test)})"


def _interval(comparison: Comparison | SeedComparison) -> str:
    if comparison.low is None or comparison.high is None:
        return "interval unknown"
    return f"{comparison.low:+.4f} to {comparison.high:+.4f}"


def _details(evidence: Evidence, verdict: SweepVerdict) -> list[str]:
    """Return how the verdict was found, ties and limits."""
    if verdict.outcome is Outcome.NOT_LEARNED:
        return [_NOTHING_LEARNED, *_clamped(evidence)]
    return [
        *names_of(verdict),
        *advice(evidence, verdict),
        *selection_lines(evidence),
        *seed_lines(evidence, verdict),
        *_method(evidence, verdict),
        *_test(verdict),
        *tie_lines(evidence, verdict),
        *_clamped(evidence),
        *_limits(evidence, verdict),
    ]


def _method(evidence: Evidence, verdict: SweepVerdict) -> list[str]:
    val = verdict.comparisons[0]
    if val.low is None:
        return []
    widened = f", widened for the best of {verdict.trials} trials" if verdict.trials > 2 else ""
    if val.resamples:
        how = f"paired bootstrap over {val.images} val images, {val.resamples} resamples"
    else:
        objects = f"{evidence.instances} objects in " if evidence.instances else ""
        how = f"estimated from the size of val ({objects}{val.images} images), because it was not scored image by image"
    if verdict.seeds is not None:
        return [f"Over images: {_interval(val)}, {CONFIDENCE:.0%}, {how}{widened}."]
    return [f"Interval: {CONFIDENCE:.0%}, {how}{widened}."]


def _test(verdict: SweepVerdict) -> list[str]:
    if len(verdict.comparisons) < 2:
        return []
    test = verdict.comparisons[1]
    if test.low is None or test.high is None:
        return [f"On test: {test.difference:+.4f}."]
    reading = "better" if test.low > 0 else "worse" if test.high < 0 else "no difference that test can resolve"
    scores = f"On {test.images} test images, which chose nothing: {test.difference:+.4f} ({_interval(test)})"
    return [f"{scores}, {reading}{agreement(verdict.comparisons[0], test)}."]


def _clamped(evidence: Evidence) -> list[str]:
    if not evidence.off_defaults:
        return []
    values = ", ".join(
        f"{name}={value:.4g} (default {default})" if isinstance(value, float) else f"{name}={value} (default {default})"
        for name, (default, value) in evidence.off_defaults.items()
    )
    return [f"Trial 0 did not use the defaults: {values}."]


def _limits(evidence: Evidence, verdict: SweepVerdict) -> list[str]:
    lines = []
    top = evidence.trials[0].trial
    if evidence.ended and evidence.winner not in (None, top):
        lines.append(f"The best score is {top}'s, but its checkpoint is not the one handed over.")
    if evidence.reference is not None and evidence.reference.reason:
        lines.append(evidence.reference.reason)
    if verdict.outcome is Outcome.BETTER and verdict.seeds is None:
        lines.append("Each trial has one seed: the checkpoint is better, its settings may have been lucky.")
    return lines
