"""Recorded curves, and what a surrogate makes of them."""

import math
from pathlib import Path

import numpy as np
import pytest
from tests.tools.curve_tables import EPOCHS, SECONDS, final, write_curves

from yolosweep.errors import UsageError
from yolosweep.ledger import RunFolder
from yolosweep.ledger.history import History
from yolosweep.search.recorded_curves import RecordedCurve, Surrogate, curves_of, read_table


def test_a_table_is_read_as_it_is_written(tmp_path: Path) -> None:
    curves = read_table(write_curves(tmp_path / "curves.csv"), "one")
    assert len(curves) == 30
    assert [len(curve.scores) for curve in curves] == [EPOCHS] * 30
    assert curves[0].parameters["optimizer"] == "AdamW"
    assert type(curves[0].parameters["batch"]) is int
    assert curves[0].epoch_s == pytest.approx(SECONDS / EPOCHS)
    assert [curve.seed for curve in curves[:3]] == [0, 1, 0]


def test_the_surrogate_knows_what_matters(tmp_path: Path) -> None:
    surrogate = Surrogate(read_table(write_curves(tmp_path / "curves.csv"), "one"))
    configs = [{"lr0": lr0, "batch": 8, "optimizer": word} for lr0 in (1e-3, 1e-2, 1e-1) for word in ("AdamW", "SGD")]
    true = surrogate.true(configs)
    assert true == pytest.approx([final(one["lr0"], one["optimizer"]) for one in configs], abs=0.03)
    assert surrogate.epoch_s(configs[0]) == pytest.approx(SECONDS / EPOCHS, rel=0.05)
    assert surrogate.axes["batch"] is None or surrogate.axes["batch"].corners() == [4.0, 16.0]


def test_a_training_repeats_and_another_seed_has_other_luck(tmp_path: Path) -> None:
    surrogate = Surrogate(read_table(write_curves(tmp_path / "curves.csv"), "one"))
    config = {"lr0": 0.01, "batch": 8, "optimizer": "SGD"}
    first = surrogate.training(config, 0)
    assert first == surrogate.training(config, 0)
    assert any(first != surrogate.training(config, seed) for seed in (1, 2, 3))
    spread = np.std([surrogate.training(config, seed)[-1] for seed in range(40)])
    assert 0.001 < spread < 0.03


@pytest.mark.parametrize("mode", ["max", "min"])
def test_an_epoch_or_a_training_that_collapsed_lifts_no_other(mode: str) -> None:
    """Luck scales with the scores: what a bad training differs by is that of bad ones alone."""
    curves = []
    for number in range(24):
        rate, level = 10 ** (-4 + number / 8), 0.6 if number < 16 else 0.02
        for seed in (0, 1):
            scores = [level * (1 + 0.02 * seed) * epoch / 8 for epoch in range(1, 9)]
            if seed:
                scores[1 + number % 6] = 0.0
            if seed and level < 0.1:
                scores = [0.0] * 8
            kept = tuple(scores if mode == "max" else (1 - score for score in scores))
            curves.append(RecordedCurve(parameters={"lr0": rate}, seed=seed, scores=kept, epoch_s=1.0))
    surrogate = Surrogate(curves, mode)
    trained = [score for seed in range(300) for score in surrogate.training({"lr0": 10 ** (-4 + seed / 100)}, seed)]
    assert 0.5 < (max(trained) if mode == "max" else 1 - min(trained)) < 0.75


@pytest.mark.parametrize("mode", ["max", "min"])
def test_no_share_is_expected_beyond_one_but_a_loss_may_be(mode: str) -> None:
    """Each of six arguments multiplies the score; no recorded training has all of them at their highest."""
    rng, curves = np.random.default_rng(0), []
    for _ in range(60):
        point = rng.random(6)
        scores = tuple(0.02 * math.exp(0.7 * point.sum()) * epoch / 4 for epoch in range(1, 5))
        curves.append(
            RecordedCurve(parameters=dict(zip("abcdef", point, strict=True)), seed=0, scores=scores, epoch_s=1)
        )
    assert max(max(curve.scores) for curve in curves) < 0.9
    highest = float(Surrogate(curves, mode).expected([dict.fromkeys("abcdef", 1.0)])[0].max())
    assert (0.8 < highest <= 1) if mode == "max" else highest > 1


def test_a_table_of_several_sets_asks_which(tmp_path: Path) -> None:
    file = write_curves(tmp_path / "curves.csv")
    with pytest.raises(UsageError, match="curves of one, two; choose with --set"):
        read_table(file)
    with pytest.raises(UsageError, match="no curves of three; there are one, two"):
        read_table(file, "three")


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("lr0,seconds,epoch 1\n0.1,3,nan\n", "no finite scores"),
        ("lr0,seconds,epoch 1\n0.1,3,\n", "no finite scores"),
        ("lr0,seconds,epoch 1\n0.1,x,0.5\n", "could not convert"),
        ("lr0,epoch 1\n0.1,0.5\n", "no seconds"),
        ("", "has no curves"),
    ],
)
def test_a_damaged_table_is_refused_with_its_reason(tmp_path: Path, text: str, why: str) -> None:
    (tmp_path / "curves.csv").write_text(text)
    with pytest.raises(UsageError, match=why):
        read_table(tmp_path / "curves.csv")


def test_a_missing_table_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="cannot be read"):
        read_table(tmp_path / "none.csv")


def test_a_run_gives_the_trials_that_reached_their_end(repository: Path) -> None:
    history = History.of(RunFolder(repository / "tests" / "fixtures" / "run_v1"))
    ended = [one for one in history.trials.values() if one.record is not None and one.record.ending.is_natural]
    curves = curves_of(history)
    assert [curve.scores for curve in curves] == [tuple(row.score for row in one.rows) for one in ended]
    assert all(curve.epoch_s > 0 and curve.parameters for curve in curves)


def test_losses_are_read_with_the_other_mode(tmp_path: Path) -> None:
    surrogate = Surrogate(read_table(write_curves(tmp_path / "curves.csv"), "one"), "min")
    config = {"lr0": 0.01, "batch": 8, "optimizer": "SGD"}
    assert surrogate.true([config])[0] == pytest.approx(surrogate.expected([config]).min())
    assert math.isfinite(surrogate.true([config])[0])
