"""The finals: means over seeds, their intervals, and what the verdict makes of them."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
from scipy import stats

from yolosweep.diagnosis.finals_comparison import compared_seeds, seed_table
from yolosweep.diagnosis.verdict import judge
from yolosweep.records.events import PairedError, Reference
from yolosweep.records.verdict import Evidence, Finalist, Outcome, ScoredTrial

METRIC = "metrics/mAP50-95(B)"


def finalist(number: int, *scores: float | None, first: int = 1) -> Finalist:
    return Finalist(trial=f"t{number:04d}", number=number, scores=dict(enumerate(scores, first)))


def evidence(*finalists: Finalist, searched: Sequence[float] = (0.4, 0.5, 0.49), **more: Any) -> Evidence:
    order = sorted(range(len(searched)), key=lambda number: (-searched[number], number))
    trials = tuple(ScoredTrial(trial=f"t{n:04d}", number=n, score=searched[n], imgsz=640) for n in order)
    about = {"metric": METRIC, "mode": "max", "ended": True, "images": 100_000, "trials": trials}
    return Evidence(**{**about, "finalists": finalists, **more})


CLEAR = (finalist(0, 0.40, 0.41, 0.39), finalist(1, 0.45, 0.47, 0.44), finalist(2, 0.48, 0.48, 0.49))
UNCLEAR = (finalist(0, 0.40, 0.44, 0.39), finalist(1, 0.43, 0.41, 0.42), finalist(2, 0.41, 0.40, 0.43))


def test_two_trials_are_compared_as_by_the_paired_t_test() -> None:
    base, other = (0.40, 0.43, 0.38, 0.41), (0.43, 0.44, 0.42, 0.43)
    table = seed_table((finalist(0, *base), finalist(1, *other)), "max")
    assert table is not None
    found = compared_seeds(table, "max")
    interval = stats.ttest_rel(other, base).confidence_interval(0.95)
    assert (found.low, found.high) == pytest.approx(tuple(interval), abs=1e-6)
    assert found.difference == pytest.approx(np.mean(other) - np.mean(base))


def test_the_spread_is_what_a_two_way_analysis_of_variance_leaves() -> None:
    table = seed_table(CLEAR, "max")
    assert table is not None
    scores = np.array([list(one.scores.values()) for one in CLEAR], dtype=float)
    rest = scores - scores.mean(1, keepdims=True) - scores.mean(0, keepdims=True) + scores.mean()
    assert table.freedom == 4
    assert table.spread == pytest.approx(math.sqrt((rest**2).sum() / 4))
    assert list(table.rows) == ["t0002", "t0001", "t0000"]
    half = stats.t.ppf(1 - 0.05 / 4, 4) * table.spread * math.sqrt(2 / 3)
    found = compared_seeds(table, "max")
    assert (found.high - found.low) / 2 == pytest.approx(half, abs=1e-6)


def test_what_is_expected_has_no_part_in_the_choice() -> None:
    """Seed 1 is scored by the finalist and in the epoch that seeds 2 and 3 chose, and so on."""
    base, other = ((0.1, 0.40), (0.1, 0.40), (0.1, 0.40)), ((0.6, 0.3), (0.35, 0.37), (0.35, 0.39))
    rows = (
        Finalist(
            trial=f"t000{n}", number=n, scores=dict(enumerate(map(max, curves), 1)), curves=dict(enumerate(curves, 1))
        )
        for n, curves in enumerate((base, other))
    )
    table = seed_table(tuple(rows), "max")
    assert table is not None
    found = compared_seeds(table, "max")
    # Without seed 1, trial 0 is ahead in epoch 2; without 2 or 3 it is the other one, in epoch 1.
    assert (found.trial, found.score) == ("t0001", pytest.approx((0.6 + 0.37 + 0.39) / 3, abs=1e-6))
    assert found.expected == pytest.approx((0.40 + 0.35 + 0.35) / 3)
    told = judge(evidence(*(one for one in CLEAR)))
    assert told.seeds is not None
    assert told.seeds.expected is None  # a ledger without curves, or with an epoch that has no score


def test_luck_does_not_raise_what_is_expected() -> None:
    """Four finalists of equal worth, flat noisy curves: the mean of the best is too high, what is expected is not."""
    rng, means, expected = np.random.default_rng(0), list[float](), list[float]()
    for _ in range(200):
        finalists = []
        for number in range(4):
            curves = {seed: tuple(0.5 + 0.01 * rng.standard_normal(20)) for seed in (1, 2, 3)}
            scores = {seed: max(curve) for seed, curve in curves.items()}
            finalists.append(Finalist(trial=f"t000{number}", number=number, scores=scores, curves=curves))
        table = seed_table(tuple(finalists), "max")
        assert table is not None
        means.append(max(table.means.values()))
        expected.append(table.expected("max") or 0.0)
    assert np.mean(means) - 0.5 > 0.02
    assert np.mean(expected) == pytest.approx(0.5, abs=0.002)


def test_one_chance_in_twenty_to_be_wrong_where_nothing_can_be_won() -> None:
    """The best of three finalists that are no better than trial 0: the simultaneous interval covers the choice."""
    rng = np.random.default_rng(0)
    claims = 0
    for _ in range(400):
        table = seed_table([finalist(n, *rng.normal(0.4, 0.01, 3)) for n in range(4)], "max")
        assert table is not None
        claims += compared_seeds(table, "max").low > 0
    assert claims / 400 < 0.05


@pytest.mark.parametrize(
    ("finalists", "rows", "seeds"),
    [
        (CLEAR[1:], None, ()),
        (CLEAR[:1], None, ()),
        ((finalist(0, 0.4), finalist(1, 0.5)), None, ()),
        ((CLEAR[0], finalist(1, 0.5, None, 0.4), CLEAR[2]), ["t0002", "t0000"], (1, 2, 3)),
        ((CLEAR[0], finalist(1, 0.5), CLEAR[2]), ["t0002", "t0000"], (1, 2, 3)),
        ((CLEAR[0], finalist(1, 0.5, 0.5), CLEAR[2]), ["t0001", "t0002", "t0000"], (1, 2)),
        ((finalist(0, 0.4, None, 0.4), *CLEAR[1:]), ["t0002", "t0001", "t0000"], (1, 3)),
        ((finalist(0, 0.4, 0.4), finalist(1, 0.5, 0.5, first=9)), None, ()),
    ],
)
def test_only_seeds_that_all_of_them_have_count(
    finalists: Sequence[Finalist], rows: list[str] | None, seeds: tuple[int, ...]
) -> None:
    table = seed_table(finalists, "max")
    assert (None if table is None else list(table.rows)) == rows
    assert table is None or table.seeds == seeds


def test_less_is_better_in_mode_min() -> None:
    table = seed_table(CLEAR, "min")
    assert table is not None
    assert next(iter(table.rows)) == "t0000"
    found = compared_seeds(table, "min")
    assert (found.trial, found.difference) == ("t0001", pytest.approx(-0.053333, abs=1e-6))


def test_the_verdict_is_about_the_means_and_not_about_the_highest_score() -> None:
    found = judge(evidence(*CLEAR, winner="t0002", checkpoint="t0011", validated={"val": 0.491}))
    assert (found.outcome, found.trial) == (Outcome.BETTER, "t0002")  # t0001 scored highest in the search
    assert found.seeds is not None
    assert found.sentence == (
        "t0002 is better than the defaults by 0.0833 mAP50-95(B) on val over 3 new seeds "
        f"({found.seeds.low:+.4f} to {found.seeds.high:+.4f})."
    )
    assert found.details[1].startswith("Finals, trained again with 3 new seeds: t0002 0.4833 ± ")
    whose = "The checkpoint is that of t0011, which repeats t0002: the best of its seeds, 0.4910 on val."
    assert whose in found.details
    assert not any("one seed" in line for line in found.details)


def test_no_difference_where_the_interval_over_seeds_holds_0() -> None:
    found = judge(evidence(*UNCLEAR, winner="t0001"))
    assert found.outcome is Outcome.NO_DIFFERENCE
    assert found.sentence.startswith("No difference to the defaults that 3 new seeds can resolve: t0001 scores 0.0100")
    assert found.ties == ("t0002", "t0000")


def test_the_images_of_val_must_agree() -> None:
    """Seeds alone say better; a val of 200 images could be wrong about it."""
    reference = Reference(trial="t0000", errors={"val": PairedError(images=200, resamples=200, error=0.04)})
    found = judge(evidence(*CLEAR, winner="t0002", reference=reference, images=200))
    assert found.outcome is Outcome.NO_DIFFERENCE
    assert "that 200 val images can resolve" in found.sentence
    assert found.val is not None
    assert (found.val.score, found.val.reference_score) == (0.483333, 0.4)


def test_trial_0_with_the_best_mean_is_kept() -> None:
    rows = (finalist(0, 0.50, 0.51, 0.50), finalist(1, 0.40, 0.41, 0.40))
    found = judge(evidence(*rows, winner="t0000"))
    assert (found.outcome, found.trial) == (Outcome.WORSE, "t0001")
    assert found.sentence.startswith("Keep the defaults: t0001, the best other trial, is worse by 0.1000 mAP50-95(B)")


def test_seeds_decide_where_the_noise_over_images_is_unknown() -> None:
    found = judge(evidence(*CLEAR, winner="t0002", metric="val/box_loss"))
    assert found.val is not None
    assert (found.outcome, found.val.low) == (Outcome.BETTER, None)
    worse = judge(evidence(*CLEAR, winner="t0000", metric="val/box_loss", mode="min"))
    assert worse.outcome is Outcome.WORSE
    assert "t0001, the best other trial, is worse by 0.0533 val/box_loss" in worse.sentence
