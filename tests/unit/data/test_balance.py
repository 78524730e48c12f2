"""What a data set shows and what is said of it, and how train.balance draws an epoch."""

from __future__ import annotations

import itertools
import math
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from yolosweep.backends import backend_for
from yolosweep.backends.ultralytics.oversampling import epoch_draw, repeat_factors
from yolosweep.data.checks.class_balance import balance_findings, counts, val_objects_needed
from yolosweep.data.model.dataset_items import ImageFacts, Item, LabelFile, Layout, Problem, Row
from yolosweep.experiment import identity, settings_of
from yolosweep.experiment.rules import lint
from yolosweep.experiment.schema import Experiment
from yolosweep.records import Finding, Severity

Shown = Sequence[Sequence[int] | None]
"""Of every image its classes; None where there is no label file."""


def a_set(
    *,
    names: Sequence[str] = ("car", "bus"),
    box: tuple[float, float] = (0.2, 0.2),
    size: tuple[int, int] = (640, 480),
    orientation: int = 1,
    **splits: Shown,
) -> tuple[Layout, dict[Path, ImageFacts], dict[Path, LabelFile]]:
    """Make a detection data set of one box per class shown."""
    items: dict[str, tuple[Item, ...]] = {}
    pictures, labels = {}, {}
    for split, printable in splits.items():
        paths = [Path(f"/d/{split}/{number}.jpg") for number in range(len(printable))]
        items[split] = tuple(Item(path, path.with_suffix(".txt")) for path in paths)
        for item, classes in zip(items[split], printable, strict=True):
            pictures[item.image] = ImageFacts("ab", *size, orientation=orientation)
            rows = tuple(Row(line, number, (0.5, 0.5, *box)) for line, number in enumerate(classes or (), start=1))
            if classes is not None:
                labels[item.image.with_suffix(".txt")] = LabelFile("cd", rows)
    layout = Layout(
        task="detect", source=Path("/d/data.yaml"), root=Path("/d"), names=dict(enumerate(names)), splits=items
    )
    return layout, pictures, labels


def folders(**splits: Sequence[int]) -> Layout:
    """Make a classification data set of two classes."""
    items = {
        split: tuple(Item(Path(f"/d/{split}/{n}.jpg"), category=category) for n, category in enumerate(categories))
        for split, categories in splits.items()
    }
    return Layout(task="classify", source=Path("/d"), root=Path("/d"), names={0: "cat", 1: "dog"}, splits=items)


ENOUGH = [[0, 1]] * 500
"""A split nothing is to be said of."""


def told(*, imgsz: Sequence[int] = (), **about: object) -> dict[str, Finding]:
    """Return the findings of a data set, by code."""
    found = balance_findings(*a_set(**{"train": ENOUGH, "val": ENOUGH, "test": ENOUGH, **about}), imgsz=imgsz)  # type: ignore[arg-type]
    assert len({one.code for one in found}) == len(found)
    return {one.code: one for one in found}


def test_everything_is_counted() -> None:
    layout, _, labels = a_set(train=[[0, 0, 1], [0], [], None], val=[[1]])
    labels[Path("/d/train/1.txt")] = LabelFile("cd", (), (Problem("label-nan", 1, "nan"),))
    found = counts(layout, labels)
    train, val = found.splits["train"], found.splits["val"]
    assert (train.images, train.instances, train.images_with) == (4, {0: 2, 1: 1}, {0: 1, 1: 1})
    assert (train.objects, train.empty, train.unlabelled) == (3, 1, 1)  # a file of faulty lines is neither
    assert train.boxes.ravel().tolist() == pytest.approx([0.2] * 6)
    assert (val.images, val.instances, val.images_with, val.empty, val.unlabelled) == (
        1,
        {0: 0, 1: 1},
        {0: 0, 1: 1},
        0,
        0,
    )


def test_a_classification_set_is_counted_by_image() -> None:
    found = counts(folders(train=[0, 0, 1], val=[1]), {})
    assert found.splits["train"].instances == found.splits["train"].images_with == {0: 2, 1: 1}
    assert (found.splits["train"].empty, found.splits["train"].unlabelled, len(found.splits["train"].boxes)) == (
        0,
        0,
        0,
    )


def test_nothing_is_said_of_a_sound_set() -> None:
    assert told(imgsz=[640]) == {}
    assert balance_findings(folders(train=[0, 1] * 60, val=[0, 1] * 600, test=[0, 1]), {}, {}, imgsz=[64]) == []


ERROR, WARNING, NOTE = Severity.ERROR, Severity.WARNING, Severity.NOTE


@pytest.mark.parametrize(
    ("about", "code", "severity", "says"),
    [
        ({"train": [[0]] * 99}, "balance-class-untrained", ERROR, "class bus is in val or test"),
        ({"train": [[0]] * 99, "val": [[0]] * 1000}, "balance-class-untrained", ERROR, "class bus"),
        ({"val": [[0]] * 1000}, "balance-class-unscored", WARNING, "class bus is in train, but without any"),
        ({"val": [[]] * 9}, "split-val-empty", ERROR, "val has 9 images and no object"),
        ({"names": ["car", "bus", "x" * 99]}, "balance-class-unused", NOTE, f"class {'x' * 39}… is named"),
        ({"names": ["car", "bus", *"cdefghi"]}, "balance-class-unused", NOTE, "7 classes (c, d, e, f, g, h, …) are"),
        ({"train": [*[[0]] * 99, *[[1]] * 29]}, "balance-class-few", WARNING, "fewer than 30 objects, bus 29"),
        ({"train": [*[[0]] * 200, *[[1]] * 40]}, "balance-uneven", NOTE, "car has 200 objects, bus 40 (5 to 1"),
        ({"train": [*[[0]] * 800, *[[1]] * 40]}, "balance-uneven", WARNING, "in images 20 to 1"),
        ({"train": [*ENOUGH, *[[]] * 500]}, "balance-empty", NOTE, "500 of 1000 images of train (50%)"),
        ({"train": [[0, 1]] * 40 + [[]] * 50 + [None] * 9}, "balance-empty", WARNING, "(9 of them have no label file)"),
        ({"val": [[0, 1]] * 125}, "split-val-small", WARNING, "by less than 0.04 cannot be distinguished"),
    ],
)  # fmt: skip
def test_what_is_said(about: dict[str, object], code: str, severity: Severity, says: str) -> None:
    found = told(**about)
    assert set(found) == {code}
    assert found[code].severity is severity
    assert says in found[code].message
    assert found[code].fix


def test_a_test_split_that_is_not_there_is_told() -> None:
    (found,) = balance_findings(*a_set(train=ENOUGH, val=ENOUGH))
    assert (found.code, found.severity) == ("split-test-absent", NOTE)


def test_repeating_is_not_advised_where_classes_are_always_together() -> None:
    apart, together = [*[[0]] * 400, *[[1]] * 40], [[0] * 10 + [1]] * 40
    assert told(train=apart)["balance-uneven"].fix == "set or search train.balance and train.cls_pw, e.g. 0.5"
    assert told(train=together)["balance-uneven"].fix == "set or search train.cls_pw, e.g. 0.5"
    (found,) = balance_findings(folders(train=[0] * 400 + [1] * 40, val=[0, 1] * 600, test=[0]), {}, {})
    assert found.fix == "set or search train.balance, e.g. 0.5"


def test_a_val_that_is_too_small_names_the_size_that_is_not() -> None:
    assert val_objects_needed() == 1000
    assert val_objects_needed(0.01) == 4000
    assert (
        told(val=[[0, 1]] * 125)["split-val-small"].fix
        == "about 1000 objects distinguish trials that differ by 0.02: 500 images like these"
    )
    assert "split-val-small" not in told(val=[[0, 1]] * 500)
    (found,) = balance_findings(folders(train=[0, 1] * 60, val=[0, 1] * 50, test=[0]), {}, {})
    assert (found.code, found.fix) == ("split-val-small", "about 1000 images distinguish trials that differ by 0.02")


def small_boxes(*data: Any, imgsz: Sequence[int]) -> list[Finding]:
    return [one for one in balance_findings(*data, imgsz=imgsz) if one.code == "balance-boxes-small"]


@pytest.mark.parametrize(
    ("box", "size", "orientation", "imgsz", "fitting"),
    [
        ((0.01, 0.2), (640, 480), 1, 320, None),  # 3.2 pixels wide
        ((0.01, 0.2), (640, 480), 1, 288, 320),  # 2.9
        ((0.2, 0.01), (640, 480), 1, 320, 416),  # 2.4 pixels high: the image is 240 high at imgsz=320
        ((0.01, 0.2), (640, 480), 6, 320, 416),  # stored lying, shown standing: 240 wide
        ((0.0005, 0.2), (640, 480), 1, 640, math.inf),
        ((0.0, 0.2), (640, 480), 1, 640, None),
    ],
    ids=["large-enough", "small", "flat-image", "turned-image", "hopeless", "no-area"],
)
def test_small_boxes_name_the_imgsz_that_would_do(
    box: tuple[float, float], size: tuple[int, int], orientation: int, imgsz: int, fitting: float | None
) -> None:
    data = a_set(train=[[0]] * 30, val=[], names=["car"], box=box, size=size, orientation=orientation)
    found = small_boxes(*data, imgsz=[1920, imgsz])
    if fitting is None:
        assert found == []
        return
    (one,) = found
    assert (one.code, one.split, one.count) == ("balance-boxes-small", "train", 30)
    assert f"at imgsz={imgsz}" in one.message
    if math.isinf(fitting):
        assert "tile the images" in one.fix
        return
    assert one.fix == f"set train.imgsz to {fitting}"
    assert small_boxes(*data, imgsz=[int(fitting)]) == []


@given(st.integers(0, 300), st.integers(0, 3))
@pytest.mark.slow
def test_few_small_boxes_are_let_pass(large: int, small: int) -> None:
    layout, pictures, labels = a_set(train=[[0]] * (large + small), val=[], names=["car"])
    for item in layout.splits["train"][:small]:
        assert item.label is not None
        labels[item.label] = LabelFile("cd", (Row(1, 0, (0.5, 0.5, 0.001, 0.001)),))
    found = [
        one for one in balance_findings(layout, pictures, labels, imgsz=[640]) if one.code == "balance-boxes-small"
    ]
    assert bool(found) == (small > 0.01 * (large + small))


# ----------------------------------------------------------------------------------------------- train.balance

images = st.lists(st.sets(st.integers(0, 5), max_size=3), min_size=1, max_size=60)
strengths = st.floats(0, 1)


def test_factors_are_those_of_lvis_with_the_most_frequent_class_as_threshold() -> None:
    printable = [{0}] * 16 + [{0, 1}] * 4 + [set()]
    assert repeat_factors(printable, 0.5).tolist() == pytest.approx([1.0] * 16 + [math.sqrt(20 / 4)] * 4 + [1.0])
    assert repeat_factors(printable, 1.0).tolist() == pytest.approx([1.0] * 16 + [5.0] * 4 + [1.0])


def test_empty_frames_can_be_the_most_frequent_class_but_are_never_repeated() -> None:
    assert repeat_factors([set()] * 19 + [{0}], 1.0).tolist() == pytest.approx([1.0] * 19 + [19.0])
    assert repeat_factors([set()] + [{0}] * 19, 1.0).tolist() == [1.0] * 20


@given(images, strengths)
def test_factors_grow_with_the_strength_and_are_one_at_the_least(printable: list[set[int]], strength: float) -> None:
    off, some, full = (repeat_factors(printable, s) for s in (0.0, strength, 1.0))
    assert (off == 1).all()
    assert (some >= 1).all()
    assert (some <= full * (1 + 1e-12)).all()


@given(images)
def test_the_rarest_class_is_shown_more_and_more_often(printable: list[set[int]]) -> None:
    seen = Counter(number for one in printable for number in one)
    rare = min(seen, key=lambda number: seen[number], default=None)

    def share(strength: float) -> float:
        factors = repeat_factors(printable, strength)
        return float(sum(f for f, one in zip(factors, printable, strict=True) if rare in one) / factors.sum())

    shares = [share(strength) for strength in (0.0, 0.25, 0.5, 0.75, 1.0)]
    assert all(b >= a - 1e-9 for a, b in itertools.pairwise(shares))


factors_of = st.lists(st.floats(1, 50), min_size=1, max_size=80).map(np.array)
seeds = st.integers(0, 2**63 - 1)


@given(factors_of, seeds)
def test_an_epoch_keeps_its_length_and_draws_by_factor(factors: np.ndarray, seed: int) -> None:
    drawn, repetition = epoch_draw(factors, seed)
    assert drawn.shape == repetition.shape == factors.shape
    expected = len(factors) * factors / factors.sum()
    times = np.bincount(drawn, minlength=len(factors))
    assert (np.abs(times - expected) <= 1 + 1e-9).all()
    assert len(set(zip(drawn.tolist(), repetition.tolist(), strict=True))) == len(factors)
    assert all(sorted(repetition[drawn == image]) == list(range(times[image])) for image in set(drawn.tolist()))


@given(factors_of, seeds)
def test_an_epoch_is_a_pure_function_of_its_seed(factors: np.ndarray, seed: int) -> None:
    np.random.seed(0)
    first = epoch_draw(factors, seed)
    np.random.random(9)
    again = epoch_draw(factors.copy(), seed)
    assert np.array_equal(first[0], again[0])
    assert np.array_equal(first[1], again[1])


def test_equal_factors_give_a_permutation_and_other_seeds_others() -> None:
    drawn = [epoch_draw(np.ones(50), seed)[0].tolist() for seed in range(4)]
    assert all(sorted(one) == list(range(50)) for one in drawn)
    assert len({tuple(one) for one in drawn}) == 4


def test_the_mean_over_many_epochs_is_the_factor() -> None:
    """20 images of which one has the factor 9.5: it is drawn 20 * 9.5 / 28.5 = 6.67 times in the mean."""
    factors = np.array([1.0] * 19 + [9.5])
    times = np.mean([np.bincount(epoch_draw(factors, seed)[0], minlength=20) for seed in range(2000)], axis=0)
    assert times[19] == pytest.approx(20 * 9.5 / 28.5, abs=0.05)
    assert times[:19] == pytest.approx(np.full(19, 20 / 28.5), abs=0.05)


def test_a_draw_of_nothing_is_empty() -> None:
    assert [len(part) for part in epoch_draw(np.empty(0), 1)] == [0, 0]


# ------------------------------------------------------------------------------------ as an argument of experiments


def experiment(train: dict[str, object] | None = None, **parameters: object) -> Experiment:
    searched = parameters or {"lr0": {"min": 0.001, "max": 0.01}}
    given_ = {
        "name": "x", "model": "yolo11n.yaml", "data": "d.yaml", "train": {"optimizer": "AdamW", **(train or {})},
        "search": {"parameters": searched},
    }  # fmt: skip
    return Experiment.model_validate(given_)


@pytest.mark.parametrize("value", [0, 0.5, 1, 1.0])
def test_a_strength_from_0_to_1_is_taken(value: float) -> None:
    assert lint(experiment({"balance": value})) == []
    assert lint(experiment(balance={"values": [0, value or 0.1]})) == []


@pytest.mark.parametrize("value", [-0.1, 1.5, True, "0.5", None, float("nan")], ids=repr)
def test_another_strength_is_refused(value: object) -> None:
    (fault,) = lint(experiment({"balance": value}))
    assert fault.key == "train.balance"
    assert "must be a number from 0 (off) to 1" in fault.message


def test_a_range_beyond_1_is_refused() -> None:
    (fault,) = lint(experiment(balance={"min": 0.0, "max": 2.0}))
    assert (fault.key, "2.0 must be a number" in fault.message) == ("search.parameters.balance", True)


def test_it_is_part_of_what_a_trial_is() -> None:
    assert backend_for("yolo26n.pt").arguments.defaults["balance"] == 0.0
    exp = experiment(balance={"min": 0.0, "max": 1.0})
    settings = [settings_of(exp, {"balance": strength}) for strength in (0.0, 0.5)]
    assert [one["balance"] for one in settings] == [0.0, 0.5]
    assert len({identity(one, model="m", task="detect", data_fingerprint="f") for one in settings}) == 2


@pytest.mark.parametrize(
    ("exp", "key", "says"),
    [
        (experiment({"balance": 0.5, "rect": True}), "train.balance", "set train.rect: false"),
        (experiment({"rect": True}, balance={"min": 0.0, "max": 1.0}), "search.parameters.balance", "train.rect"),
    ],
    ids=["fixed", "searched"],
)
def test_it_is_dead_where_the_order_is_fixed(exp: Experiment, key: str, says: str) -> None:
    (fault,) = [fault for fault in lint(exp) if fault.key == key]
    assert says in fault.message


def test_the_toy_does_not_know_it() -> None:
    exp = experiment({"balance": 7}).model_copy(update={"model": "toy/red", "train": {"balance": 7}})
    (fault,) = [fault for fault in lint(exp) if fault.key == "train.balance"]
    assert "has no effect on toy/red" in fault.message
