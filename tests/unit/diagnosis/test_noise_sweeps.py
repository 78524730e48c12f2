"""Sweeps in which nothing can be learned: the verdict must not find anything either.

Real toy trainings in this process, on crops whose labels are drawn at random: no setting is better than another, and
every difference is luck of the images, of the training, and of choosing the best trial.
"""

from __future__ import annotations

import functools
from collections import Counter
from collections.abc import Iterator

import numpy as np
import pytest

from yolosweep.backends.bootstrap_resampling import mean_over_images
from yolosweep.backends.toy.crops import Crops
from yolosweep.backends.toy.model import ACCURACY, Descent, RedModel
from yolosweep.diagnosis.verdict import judge
from yolosweep.records import Validation
from yolosweep.records.events import Reference
from yolosweep.records.verdict import Evidence, Outcome, ScoredTrial
from yolosweep.report.verified_winner import paired_error

pytestmark = pytest.mark.slow

SWEEPS = 25
TRIALS = 20


def crops(rng: np.random.Generator, count: int, *, signal: float = 0.0) -> Crops:
    """Draw crops whose label is random; with a signal, red ones are redder by so many standard deviations."""
    answers = rng.integers(0, 2, count).astype(float)
    red = 128 + 40 * (rng.normal(size=count) + signal * (answers - 0.5))
    return Crops(mean_red=red, is_red=answers, image=np.arange(count), images=count, positive="red")


def trained(train: Crops, val: Crops, *, lr0: float, weight_decay: float, batch: int, seed: int) -> RedModel:
    """Train like a trial and return the model of the best epoch."""
    descent = Descent(train, batch=batch, lr0=lr0, weight_decay=weight_decay, seed=seed)
    models = []
    for epoch in range(1, 9):
        list(descent.epoch(epoch))
        models.append(descent.model())
    return max(models, key=lambda model: model.measured(val)[ACCURACY] or 0.0)


def validation(model: RedModel, split: str, data: Crops) -> Validation:
    scores = mean_over_images(model.measured_each(data), data.image, data.images)
    return Validation(split=split, metrics=model.measured(data), resampled=scores)


@functools.cache
def sweep(seed: int, *, images: int, signal: float = 0.0, lr0: float = 0.01) -> Evidence:
    """Search a space of the toy at random, trial 0 being its defaults, and return what the verdict is made of."""
    rng = np.random.default_rng(seed)
    train, val, test = (crops(rng, count, signal=signal) for count in (2 * images, images, images))
    models = [trained(train, val, lr0=lr0, weight_decay=0.0005, batch=16, seed=seed)]
    for _ in range(TRIALS - 1):
        space = {"lr0": 10 ** rng.uniform(-4, 1), "weight_decay": 10 ** rng.uniform(-5, -1)}
        models.append(trained(train, val, **space, batch=int(rng.choice([4, 16, 64])), seed=seed))
    scores = [model.measured(val)[ACCURACY] or 0.0 for model in models]
    order = sorted(range(TRIALS), key=lambda number: (-scores[number], number))
    top = order[0]
    other = 0 if top else order[1]
    splits = {"val": val, "test": test}
    winner, reference = ({s: validation(models[n], s, data) for s, data in splits.items()} for n in (top, other))
    errors = {split: paired_error(winner[split], reference[split], ACCURACY) for split in splits}
    return Evidence(
        metric=ACCURACY,
        mode="max",
        ended=True,
        images=images,
        winner=f"t{top:04d}",
        trials=tuple(ScoredTrial(trial=f"t{n:04d}", number=n, score=scores[n]) for n in order),
        validated={split: one.metrics[ACCURACY] for split, one in winner.items()},
        reference=Reference(
            trial=f"t{other:04d}",
            validations=reference,
            errors={split: error for split, error in errors.items() if error is not None},
        ),
    )


def noise() -> Iterator[Evidence]:
    """Yield 25 sweeps of noise on few, some and more images; no chance level is given that could refuse them."""
    yield from (sweep(seed, images=(20, 60, 120)[seed % 3]) for seed in range(SWEEPS))


def test_of_25_sweeps_of_noise_at_most_two_claim_to_be_better() -> None:
    ahead = sum(one.trials[0].number != 0 for one in noise())
    found = Counter(judge(one).outcome for one in noise())
    assert ahead >= 15  # the score alone would call these better
    assert found[Outcome.BETTER] <= 2
    assert found[Outcome.NO_DIFFERENCE] >= 20


def test_without_scores_per_image_noise_claims_nothing() -> None:
    assert not any(judge(one.model_copy(update={"reference": None})).outcome is Outcome.BETTER for one in noise())


def test_a_real_gain_is_found() -> None:
    """A trial 0 that hardly learns stays as it was drawn, which in half of the sweeps is the wrong way round."""
    found = Counter(judge(sweep(seed, images=120, signal=3.0, lr0=1e-5)).outcome for seed in range(8))
    assert found[Outcome.BETTER] >= 3
