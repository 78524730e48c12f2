"""Labelled trainings as the parameters of their curves, written as the ``results.csv`` of four generations.

Each case is drawn from a few numbers, so a reader can see what its label rests on: the score rises to ``top`` with time
constant ``tau``, scatters by ``noise``, and loses ``decay`` of it after ``decay_at``; the validation loss falls to
``val`` and climbs by ``val_rise`` of it from ``val_turn`` to the end.
"""

from __future__ import annotations

import math
import random
from collections.abc import Callable
from dataclasses import dataclass

__all__ = ["CASES", "Case", "results_csv"]


@dataclass(frozen=True, kw_only=True)
class Case:
    label: str
    epochs: int
    top: float
    tau: float
    start: float = 0.0
    noise: float = 0.006
    decay: float = 0.0
    decay_at: float = 0.4
    late_jump: float = 0.0
    """Gain when mosaic is closed, over the last tenth."""
    warm_dip: float = 0.0
    """Share of the score lost in the first epochs, as of fine-tuned weights while they warm up."""
    train: tuple[float, float, float] = (4.0, 2.2, 0.3)
    """Training loss at the start and at the end, and its time constant as a share of the epochs."""
    val: float | None = 2.4
    val_turn: float = 1.0
    val_rise: float = 0.0
    val_noise: float = 0.01
    planned: int | None = None
    """Epochs of the learning rate's schedule; None: those that were trained."""
    generation: str = "11"
    task: str = "detect"
    crashes: tuple[int, ...] = ()
    """Epochs in which the score falls to a tenth."""
    nan: tuple[int, int] = (0, 0)
    """First and last epoch with NaN losses; the scores are 0 there."""
    nan_val: bool = False
    strict: float = 0.68
    """mAP50-95 as a share of mAP50, which ``top`` is."""
    seed: int = 0


def _saturating(case: Case, epoch: int) -> float:
    share = 1 - math.exp(-epoch / case.tau)
    level = case.start + (case.top - case.start) * share
    position = epoch / case.epochs
    if position > case.decay_at:
        level -= case.decay * case.top * (position - case.decay_at) / (1 - case.decay_at)
    if epoch > 0.9 * case.epochs:
        level += case.late_jump
    if epoch in (2, 3, 4):
        level *= 1 - case.warm_dip
    return level


def _train_loss(case: Case, epoch: int) -> float:
    first, last, tau = case.train
    return last + (first - last) * math.exp(-(epoch - 1) / (tau * case.epochs))


def _val_loss(case: Case, epoch: int) -> float:
    assert case.val is not None
    turn = case.val_turn * case.epochs
    fall = case.val * 0.7 * math.exp(-4 * (epoch - 1) / max(1.0, min(turn, case.epochs)))
    climb = max(0.0, epoch - turn) / max(1.0, case.epochs - turn)
    return case.val * (1 + case.val_rise * climb) + fall


def _rates(case: Case, epoch: int) -> list[float]:
    planned = case.planned or case.epochs
    rate = 0.01 * ((1 - (epoch - 1) / planned) * 0.99 + 0.01)
    warm = min(1.0, epoch / 3)
    return [0.1 - (0.1 - rate) * warm, rate * warm, rate * warm]


def rows(case: Case) -> list[dict[str, float]]:
    draw = random.Random(case.seed)
    made = []
    for epoch in range(1, case.epochs + 1):
        score = _saturating(case, epoch) + draw.gauss(0, case.noise)
        score *= 0.1 if epoch in case.crashes else 1.0
        broken = case.nan[0] <= epoch <= case.nan[1] and case.nan[0] > 0
        score = 0.0 if broken else min(1.0 if case.task == "classify" else 0.995, max(0.0, score))
        train = math.nan if broken else _train_loss(case, epoch) * (1 + draw.gauss(0, 0.01))
        row = {"score": score, "train": train}
        if case.val is not None:
            noise = 1 + draw.gauss(0, case.val_noise)
            row["val"] = math.nan if broken or case.nan_val else _val_loss(case, epoch) * noise
        made.append({**row, "epoch": epoch, "rates": _rates(case, epoch)})  # type: ignore[dict-item]
    return made


PARTS = {"box_loss": 0.45, "cls_loss": 0.3, "dfl_loss": 0.25}
OLD_PARTS = {"box_loss": 0.5, "obj_loss": 0.3, "cls_loss": 0.2}


def _boxes(case: Case, row: dict[str, float], parts: dict[str, float], names: tuple[str, ...]) -> dict[str, float]:
    scores = (0.95 * row["score"], 0.9 * row["score"], row["score"], case.strict * row["score"])
    return {
        **{f"train/{part}": share * row["train"] for part, share in parts.items()},
        **dict(zip(names, scores, strict=True)),
        **({f"val/{part}": share * row["val"] for part, share in parts.items()} if "val" in row else {}),
    }


def _columns(case: Case, row: dict[str, float]) -> dict[str, float]:
    kinds = ("metrics/precision", "metrics/recall", "metrics/mAP50", "metrics/mAP50-95")
    if case.task == "classify":
        scores = {"metrics/accuracy_top1": row["score"], "metrics/accuracy_top5": min(1.0, row["score"] + 0.1)}
        return {"train/loss": row["train"], **scores, **({"val/loss": row["val"]} if "val" in row else {})}
    if case.generation == "v5":
        names = ("metrics/precision", "metrics/recall", "metrics/mAP_0.5", "metrics/mAP_0.5:0.95")
        return _boxes(case, row, OLD_PARTS, names)
    boxes = _boxes(case, row, PARTS, tuple(f"{kind}(B)" for kind in kinds))
    extra = {"segment": "M", "pose": "P"}.get(case.task)
    more = (
        {}
        if extra is None
        else dict(zip((f"{kind}({extra})" for kind in kinds), list(boxes.values())[3:7], strict=False))
    )
    return {**boxes, **more}


def results_csv(case: Case) -> str:
    """Return the file as the generation writes it: v5 pads and counts from 0, v8 pads, 11 and 26 add the time."""
    lines: list[str] = []
    for row in rows(case):
        epoch = int(row["epoch"])
        rates = dict(zip(("lr/pg0", "lr/pg1", "lr/pg2"), row["rates"], strict=True))  # type: ignore[call-overload]
        columns = _columns(case, row)
        if case.generation == "v5":
            rates = {name.replace("lr/pg", "x/lr"): rate for name, rate in rates.items()}
            cells = {"epoch": epoch - 1, **columns, **rates}
        elif case.generation == "v8":
            cells = {"epoch": epoch, **columns, **rates}
        else:
            cells = {"epoch": epoch, "time": 12.5 * epoch, **columns, **rates}
        padded = case.generation in ("v5", "v8")
        form: Callable[[str], str] = (lambda text: f"{text:>23}") if padded else str
        if not lines:
            lines.append(",".join(map(form, cells)))
        lines.append(",".join(form(f"{value:.5g}") for value in cells.values()))
    return "\n".join(lines) + "\n"


CASES = {
    # settled and healthy
    "fine-tuned, 100 epochs": Case(label="just-right", epochs=100, top=0.86, tau=14, late_jump=0.004),
    "from scratch, 300 epochs": Case(label="just-right", epochs=300, top=0.62, tau=50, generation="v8"),
    "transfer: high from the first epoch": Case(
        label="just-right", epochs=50, top=0.91, tau=3, start=0.8, train=(1.4, 0.9, 0.4), val=1.1
    ),
    "transfer: three epochs, nothing left to gain": Case(
        label="just-right", epochs=4, top=0.9, tau=0.5, start=0.88, noise=0.003, train=(1.2, 1.1, 0.5), val=1.1
    ),
    "fine-tuned weights dip while warming up": Case(
        label="just-right", epochs=40, top=0.78, tau=4, start=0.7, warm_dip=0.6
    ),
    "small val set scatters": Case(label="just-right", epochs=100, top=0.7, tau=15, noise=0.025),
    "old, counted from 0": Case(
        label="just-right", epochs=100, top=0.8, tau=15, generation="v5", train=(0.12, 0.04, 0.3), val=0.05
    ),
    "easy set: mAP50 of 0.995 is no leak": Case(label="just-right", epochs=80, top=0.995, tau=5, strict=0.82),
    "jump when mosaic is closed": Case(label="just-right", epochs=120, top=0.74, tau=20, late_jump=0.012),
    "without validation losses": Case(label="just-right", epochs=100, top=0.75, tau=15, val=None),
    "validation losses are NaN": Case(label="just-right", epochs=60, top=0.75, tau=9, nan_val=True),
    "stopped by patience": Case(label="just-right", epochs=90, top=0.71, tau=9, planned=300, decay=0.015),
    "validation loss rises, the score still does, then settles": Case(
        label="just-right", epochs=150, top=0.66, tau=36, val_turn=0.5, val_rise=0.06, noise=0.004
    ),
    "classifier": Case(
        label="just-right", epochs=40, top=0.93, tau=5, start=0.5, task="classify", train=(1.5, 0.2, 0.2), val=0.3
    ),
    "masks": Case(label="just-right", epochs=100, top=0.8, tau=15, task="segment", generation="26"),
    "keypoints": Case(label="just-right", epochs=100, top=0.8, tau=15, task="pose", strict=0.6),
    "overfits a little: within 5 %": Case(
        label="just-right", epochs=100, top=0.8, tau=12, val_turn=0.5, val_rise=0.04, train=(4, 1.8, 0.4)
    ),
    # stopped too soon
    "ten epochs from scratch": Case(label="still-rising", epochs=10, top=0.6, tau=9, noise=0.01),
    "twenty epochs, steep": Case(label="still-rising", epochs=20, top=0.8, tau=15, noise=0.008, generation="v8"),
    "hundred epochs, slow set": Case(label="still-rising", epochs=100, top=0.7, tau=70),
    "interrupted at a third": Case(label="still-rising", epochs=33, top=0.75, tau=14, planned=100),
    "one epoch": Case(label="still-rising", epochs=1, top=0.5, tau=1),
    "two epochs": Case(label="still-rising", epochs=2, top=0.5, tau=2),
    "five epochs, nothing found yet, loss falls": Case(
        label="still-rising", epochs=5, top=0.004, tau=5, noise=0.0005, train=(9.0, 6.0, 0.5), val=7.0
    ),
    "validation loss rises while the score does": Case(
        label="still-rising", epochs=60, top=0.75, tau=35, val_turn=0.4, val_rise=0.12
    ),
    "classifier, three epochs": Case(
        label="still-rising", epochs=3, top=0.9, tau=2.5, task="classify", noise=0.004, train=(2.0, 0.9, 0.5), val=1.0
    ),
    "old, 15 epochs": Case(
        label="still-rising", epochs=15, top=0.55, tau=11, generation="v5", train=(0.12, 0.05, 0.5), val=0.06
    ),
    # overfitting
    "few images, long": Case(
        label="overfitting", epochs=200, top=0.66, tau=20, decay=0.08, decay_at=0.3, train=(4.2, 0.9, 0.4),
        val_turn=0.25, val_rise=0.3,
    ),
    "score flat, validation loss climbs": Case(
        label="overfitting", epochs=100, top=0.6, tau=10, train=(4.0, 1.2, 0.5), val_turn=0.3, val_rise=0.25
    ),
    "score falls, validation loss nearly flat": Case(
        label="overfitting", epochs=120, top=0.6, tau=10, decay=0.15, decay_at=0.3, train=(4.0, 1.0, 0.5),
        val_turn=0.3, val_rise=0.07,
    ),
    "classifier memorizes": Case(
        label="overfitting", epochs=60, top=0.74, tau=5, start=0.3, task="classify", noise=0.012, val=0.8,
        train=(1.6, 0.05, 0.25), val_turn=0.2, val_rise=0.6,
    ),
    "old, overfits": Case(
        label="overfitting", epochs=150, top=0.55, tau=14, generation="v5", decay=0.1, train=(0.11, 0.02, 0.4),
        val=0.06, val_turn=0.3, val_rise=0.35,
    ),
    "train far below val, score low": Case(
        label="overfitting", epochs=100, top=0.4, tau=12, train=(4.5, 1.0, 0.4), val=3.4, val_noise=0.015
    ),
    "past its peak for long: a little of both": Case(
        label="overfitting", epochs=300, top=0.7, tau=18, decay=0.045, decay_at=0.2, train=(4.0, 1.4, 0.5),
        val_turn=0.2, val_rise=0.08, noise=0.004,
    ),
    # underfitting
    "settles low": Case(label="underfitting", epochs=100, top=0.28, tau=14, train=(5.0, 3.9, 0.3), val=4.2),
    "settles at mAP50 0.4": Case(label="underfitting", epochs=100, top=0.42, tau=12, train=(4.6, 3.2, 0.3), val=3.4),
    "classifier settles at a half": Case(
        label="underfitting", epochs=50, top=0.45, tau=5, start=0.2, task="classify", train=(2.2, 1.5, 0.2), val=1.6
    ),
    # not learning
    "no labels": Case(label="not-learning", epochs=50, top=0.0, tau=5, noise=0.0, train=(0.0, 0.0, 0.3), val=None),
    "wrong classes": Case(
        label="not-learning", epochs=60, top=0.002, tau=5, noise=0.0005, train=(6.0, 5.6, 0.3), val=6.5
    ),
    "classifier at chance": Case(
        label="not-learning", epochs=20, top=0.5, tau=1, start=0.5, task="classify", noise=0.004,
        train=(0.694, 0.693, 0.3), val=0.41,
    ),
    # broken
    "NaN from the middle to the end": Case(label="diverged", epochs=40, top=0.6, tau=6, nan=(18, 40)),
    "NaN from the first epoch": Case(label="diverged", epochs=10, top=0.6, tau=6, nan=(1, 10)),
    "score collapses for good": Case(
        label="diverged", epochs=30, top=0.6, tau=4, crashes=tuple(range(20, 31)), noise=0.0, decay=0.95, decay_at=0.6
    ),
    "NaN for three epochs": Case(label="unstable", epochs=60, top=0.6, tau=8, nan=(20, 22)),
    "jumps from epoch to epoch": Case(label="unstable", epochs=80, top=0.5, tau=10, noise=0.09),
    "crashes repeatedly": Case(label="unstable", epochs=80, top=0.6, tau=10, crashes=(40, 52, 61, 70)),
    # too good
    "perfect": Case(label="leakage", epochs=60, top=0.995, tau=4, strict=0.985, noise=0.001),
    "classifier is perfect": Case(
        label="leakage", epochs=30, top=1.2, tau=3, start=0.8, task="classify", train=(0.6, 0.002, 0.2), val=0.003
    ),
}  # fmt: skip
"""By what they show; the label is the verdict of a reader who sees the curves."""
