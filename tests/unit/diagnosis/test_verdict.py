"""The verdict: what is claimed, from which difference on, and what trial 0 is called."""

from __future__ import annotations

import math
from typing import Any

import pytest

from yolosweep.diagnosis.verdict import judge
from yolosweep.records import Validation
from yolosweep.records.events import PairedError, Reference
from yolosweep.records.verdict import Evidence, Outcome, ScoredTrial

METRIC = "metrics/mAP50-95(B)"


def evidence(*scores: float, mode: str = "max", metric: str = METRIC, images: int = 200, **more: Any) -> Evidence:
    """Return evidence of trials 0, 1, ... with these scores."""
    sign = -1 if mode == "max" else 1
    order = sorted(range(len(scores)), key=lambda number: (sign * scores[number], number))
    trials = tuple(ScoredTrial(trial=f"t{n:04d}", number=n, score=scores[n], imgsz=640) for n in order)
    about = {"metric": metric, "mode": mode, "ended": True, "images": images, "winner": trials[0].trial}
    return Evidence(**{**about, "trials": trials, **more})


def compared(trial: str, *, val: float, test: tuple[float, float] | None = None, metric: str = METRIC) -> Reference:
    """Return a reference with the error of the difference on val, and on test its score and the error."""
    validations = {"val": Validation(split="val", metrics={metric: 0.5})}
    errors = {"val": PairedError(images=200, resamples=200, error=val)}
    if test is not None:
        validations["test"] = Validation(split="test", metrics={metric: test[0]})
        errors["test"] = PairedError(images=100, resamples=200, error=test[1])
    return Reference(trial=trial, validations=validations, errors=errors)


def test_a_gain_beyond_the_interval_is_better() -> None:
    found = judge(evidence(0.5, 0.6, reference=compared("t0000", val=0.02)))
    assert found.outcome is Outcome.BETTER
    assert found.sentence == "t0001 is better than the defaults by 0.1000 mAP50-95(B) on val (+0.0596 to +0.1404)."
    assert found.ties == ()


def test_one_crop_of_216_is_no_difference_and_the_ties_are_listed() -> None:
    scores = [0.7685, *[0.7731] * 15, *[0.5] * 24]
    found = judge(evidence(*scores, metric="metrics/accuracy_top1", images=48, reference=None))
    assert found.outcome is Outcome.NO_DIFFERENCE
    assert "t0001 scores 0.0046 more" in found.sentence
    assert found.ties[:14] == tuple(f"t{number:04d}" for number in range(2, 16))
    assert "t0000" in found.ties


def test_the_more_trials_the_wider_the_interval() -> None:
    widths = [judge(evidence(0.5, *[0.55] * n, reference=compared("t0000", val=0.02))).resolution for n in (1, 5, 39)]
    assert widths == sorted(widths)
    # 1.96, 2.58 and 3.22 standard errors of 0.02 and one image of 200
    assert widths == pytest.approx([0.0404, 0.0531, 0.0664], abs=1e-4)


def test_few_differing_images_do_not_count() -> None:
    """A sign test gives p = 0.125 for 4 images all in favor of one, 0.06 for 5; a bootstrap alone would count 4."""
    outcomes = {}
    for won in (4, 5, 6, 7):
        error = (won / 100 * (1 - won / 100) / 100) ** 0.5
        reference = Reference(trial="t0000", errors={"val": PairedError(images=100, resamples=200, error=error)})
        found = judge(evidence(0.5, 0.5 + won / 100, images=100, reference=reference))
        outcomes[won] = found.outcome is Outcome.BETTER
    assert outcomes == {4: False, 5: True, 6: True, 7: True}


@pytest.mark.parametrize(
    ("scores", "test", "line"),
    [
        ((0.5, 0.52), (0.54, 0.02), "+0.0600 (+0.0162 to +0.1038), better; no contradiction to val: both intervals "
         "contain +0.0162 to +0.0604"),
        ((0.5, 0.55), (0.58, 0.02), "+0.0200 (-0.0238 to +0.0638), no difference that test can resolve; no "
         "contradiction to val: both intervals contain +0.0096 to +0.0638"),
        ((0.5, 0.6), (0.54, 0.02), "+0.0600 (+0.0162 to +0.1038), better"),
        ((0.5, 0.6), (0.65, 0.02), "-0.0500 (-0.0938 to -0.0062), worse"),
    ],
)  # fmt: skip
def test_where_only_one_split_resolves_the_difference_the_common_part_is_named(
    scores: tuple[float, float], test: tuple[float, float], line: str
) -> None:
    reference = compared("t0000", val=0.02, test=test)
    found = judge(evidence(*scores, validated={"val": scores[1], "test": 0.6}, reference=reference))
    assert f"On 100 test images, which chose nothing: {line}." in found.details


@pytest.mark.parametrize(
    ("off", "others", "line"),
    [
        ({}, 1, "t0000 with the default settings, t0001 the only other one"),
        ({}, 4, "t0000 with the default settings, t0001 the best of the 4 others"),
        ({"lr0": (0.01, 2.0)}, 1, "t0000 as near to the defaults as the space allows, t0001 the only other one"),
    ],
)
def test_the_names_of_the_headline_are_explained_first(off: dict[str, Any], others: int, line: str) -> None:
    found = judge(evidence(0.5, 0.6, *[0.4] * (others - 1), off_defaults=off))
    assert found.details[0] == f"Each trial is a training: {line}; val is the 200 images that ranked them."


@pytest.mark.parametrize(
    ("scores", "about", "kept"),
    [
        ((0.5, 0.51), {}, "Keep the defaults: so small a lead may be luck."),
        ((0.51, 0.5), {}, "Keep the defaults."),
        ((0.5, 0.5), {}, "Keep the defaults."),
        ((0.5, 0.51), {"off_defaults": {"lr0": (0.01, 2.0)}}, "Keep trial 0: so small a lead may be luck."),
        ((0.5, 0.6), {}, None),
        ((0.5, 0.4), {}, None),
        ((0.5, 0.51), {"beyond": "latency_ms 20.0", "limits": "latency_ms <= 15", "rule": "the best score"}, None),
        ((0.02, 0.025), {}, None),
    ],
    ids=["tie", "trial 0 leads", "equal", "other name", "better", "worse", "trial 0 beyond a limit", "not learned"],
)
def test_trial_0_is_to_be_kept_where_nothing_is_better_beyond_doubt(
    scores: tuple[float, float], about: dict[str, Any], kept: str | None
) -> None:
    rivals = ("t0001", "t0000") if scores[1] > scores[0] else ("t0000", "t0001")
    found = judge(evidence(*scores, winner=rivals[0], reference=compared(rivals[1], val=0.02), **about))
    said = [line for line in found.details if line.startswith("Keep")]
    assert said == ([kept] if kept else [])


def test_what_is_worse_on_test_is_not_better() -> None:
    found = judge(
        evidence(0.5, 0.7, validated={"val": 0.7, "test": 0.4}, reference=compared("t0000", val=0.02, test=(0.6, 0.03)))
    )
    assert found.outcome is Outcome.WORSE
    assert found.sentence.startswith("Keep the defaults: t0001 is ahead on val, but worse on test by 0.2000 (")
    assert [one.split for one in found.comparisons] == ["val", "test"]


@pytest.mark.parametrize(
    ("leaks", "test", "outcome"),
    [
        ({"val": 0.3}, None, Outcome.UNDECIDED),
        ({"val": 0.3}, (0.59, 0.03), Outcome.UNDECIDED),
        ({"val": 0.3}, (0.45, 0.03), Outcome.BETTER),
        ({"val": 0.3, "test": 0.3}, (0.45, 0.03), Outcome.UNDECIDED),
        ({"val": 0.02}, None, Outcome.BETTER),
    ],
)
def test_a_gain_on_a_val_that_leaks_counts_only_if_a_clean_test_confirms_it(
    leaks: dict[str, float], test: tuple[float, float] | None, outcome: Outcome
) -> None:
    reference = compared("t0000", val=0.02, test=test)
    found = judge(evidence(0.5, 0.7, validated={"val": 0.7, "test": 0.6}, reference=reference, leaks=leaks))
    assert found.outcome is outcome
    told = "t0001 scores 0.2000 more on val (+0.1596 to +0.2404), but 30.0% of val is also in another split and no "
    assert found.sentence.startswith(told) is (outcome is Outcome.UNDECIDED)


def test_a_trial_that_is_behind_on_val_too_is_not_called_ahead() -> None:
    """On val the difference is within its interval, on test it is not."""
    reference = compared("t0001", val=0.2, test=(0.4, 0.03))
    found = judge(evidence(0.7, 0.69, validated={"val": 0.7, "test": 0.6}, reference=reference))
    assert found.outcome is Outcome.WORSE
    assert found.sentence.startswith("Keep the defaults: t0001, the best other trial, is worse on test by 0.2000 (")


def test_trial_0_that_beats_all_others_is_kept() -> None:
    found = judge(evidence(0.7, 0.4, 0.5, reference=compared("t0002", val=0.02)))
    assert (found.outcome, found.trial) == (Outcome.WORSE, "t0002")
    assert "t0002, the best other trial, is worse by 0.2000" in found.sentence


@pytest.mark.parametrize(
    ("metric", "scores", "more"),
    [
        (METRIC, (0.0094, 0.022), {}),
        ("metrics/mAP50(M)", (0.001, 0.04), {}),
        ("metrics/accuracy_top1", (0.58, 0.62), {"majority": 0.6, "instances": 200}),
    ],
)
def test_what_learned_nothing_is_no_gain(metric: str, scores: tuple[float, ...], more: dict[str, Any]) -> None:
    found = judge(evidence(*scores, metric=metric, reference=compared("t0000", val=0.0001, metric=metric), **more))
    assert found.outcome is Outcome.NOT_LEARNED
    assert found.sentence.startswith("No trial has learned: ")


def test_a_default_that_was_replaced_takes_the_name() -> None:
    found = judge(evidence(0.5, 0.6, reference=compared("t0000", val=0.01), off_defaults={"lr0": (0.01, 2.161)}))
    assert found.reference_name == "trial 0"
    assert "defaults" not in found.sentence
    assert "Trial 0 did not use the defaults: lr0=2.161 (default 0.01)." in found.details


def test_a_single_trial_has_nothing_to_be_compared_with() -> None:
    found = judge(evidence(0.6, off_defaults={"lr0": (0.01, 2.161)}))
    assert found.outcome is Outcome.UNDECIDED
    assert found.sentence == "Only t0000 has a score: there is nothing to compare it with."
    assert found.details == ("Trial 0 did not use the defaults: lr0=2.161 (default 0.01).",)


def test_a_loss_without_scores_per_image_is_undecided() -> None:
    found = judge(evidence(0.5, 0.3, mode="min", metric="val/box_loss"))
    assert (found.outcome, found.resolution) == (Outcome.UNDECIDED, None)


def test_less_is_better_in_mode_min() -> None:
    found = judge(evidence(0.5, 0.3, mode="min", reference=compared("t0000", val=0.02)))
    assert (found.outcome, found.trial) == (Outcome.BETTER, "t0001")


def test_the_cheapest_tie_has_fewer_parameters_then_smaller_images() -> None:
    def trial(number: int, score: float, *, size: int, imgsz: int) -> ScoredTrial:
        return ScoredTrial(trial=f"t{number:04d}", number=number, score=score, weights_bytes=size, imgsz=imgsz)

    mib = 1 << 20
    trials = (
        trial(3, 0.71, size=20 * mib, imgsz=640),
        trial(1, 0.70, size=6 * mib, imgsz=640),
        trial(2, 0.70, size=6 * mib + 9, imgsz=480),
        trial(0, 0.69, size=20 * mib, imgsz=640),
    )
    found = judge(Evidence(metric=METRIC, mode="max", ended=True, images=50, trials=trials, winner="t0003"))
    assert found.cheapest == "t0002"
    assert "The cheapest of them is t0002 (imgsz 480)." in found.details
    assert "Keep the defaults, or take the cheapest tie, t0002: so small a lead may be luck." in found.details
    equal = judge(evidence(0.70, 0.71, images=50))
    assert equal.cheapest is None


def test_a_winner_compared_with_another_trial_uses_no_error_of_that_pair() -> None:
    """After a resume the best trial may be another than the one that was compared."""
    stale = evidence(0.5, 0.6, 0.7, winner="t0001", reference=compared("t0000", val=0.001))
    fresh = stale.model_copy(update={"winner": None})
    assert judge(stale).val.resamples == 200  # type: ignore[union-attr]
    assert judge(fresh).val.resamples == 0  # type: ignore[union-attr]


def test_a_sweep_that_runs_on_is_judged_by_its_best_trial() -> None:
    running = evidence(0.5, 0.6, 0.7, winner="t0001", reference=compared("t0000", val=0.001), ended=False)
    found = judge(running)
    assert found.trial == "t0002"
    assert found.sentence.startswith("So far: ")
    assert not any("handed over" in line for line in found.details)


def test_without_scores_per_image_the_objects_of_val_count() -> None:
    few, many = (judge(evidence(0.56, 0.67, images=48, instances=count)) for count in (0, 216))
    assert few.resolution == pytest.approx(1.96 * math.hypot((2 * 0.615 * 0.385 / 48) ** 0.5, 1 / 48), abs=1e-4)
    assert many.resolution < few.resolution / 1.5  # type: ignore[operator]
    assert "216 objects in 48 images" in many.details[1]
