"""A sweep controller that is called directly, with trainings whose scores and speeds are functions: no Ray."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from tests.tools.placing import take

from yolosweep.experiment import Experiment
from yolosweep.experiment.trial_settings import resolved
from yolosweep.ledger import RunFolder
from yolosweep.records import Ending, EpochResult, PreparedDataset, TrialRecord, TrialRequest, Verdict
from yolosweep.records.footprint import Footprint
from yolosweep.search.controller import SweepController

EPOCHS = 4
DATASET = PreparedDataset(
    task="detect", source="/d/data.yaml", train_on="/d/data.yaml", names={0: "car"}, images={"train": 9, "val": 9},
    fingerprint="f" * 64,
)  # fmt: skip
PARAMETERS = {"lr0": {"min": 0.001, "max": 0.1, "distribution": "log_uniform_values"}, "batch": {"values": [8, 16, 32]}}

Seconds = Callable[[TrialRequest], float]


def experiment(*, train: Mapping[str, Any] | None = None, **search: Any) -> Experiment:
    about = {"parameters": PARAMETERS, "searcher": "random", "pruner": "none", "finals": "none", **search}
    exp = {"name": "d", "model": "yolo11n.yaml", "data": "/d/data.yaml", "seed": 7, "search": about}
    return resolved(
        Experiment.model_validate({**exp, "train": {"epochs": EPOCHS, "optimizer": "AdamW", **(train or {})}})
    )


@contextlib.contextmanager
def controlled(folder: RunFolder, exp: Experiment, **more: Any) -> Iterator[SweepController]:
    """Start or resume the sweep of a folder."""
    controller = SweepController(
        folder.address, experiment=exp.model_dump(mode="json"), model="yolo11n.yaml", model_fingerprint="m",
        dataset=DATASET.model_dump(mode="json"), cpus=1, gpus=0, **{"header": {}, **more},
    )  # fmt: skip
    try:
        yield controller
    finally:
        controller.close()


def peak(request: TrialRequest) -> float:
    """Return a score with a peak at lr0 = 0.03 and batch = 16."""
    return round(0.5 - abs(request.settings["lr0"] - 0.03) - 0.002 * abs(request.settings.get("batch", 16) - 16), 6)


def train(
    controller: SweepController,
    request: TrialRequest,
    *,
    score: Seconds = peak,
    seconds: Seconds = lambda _: 1.0,
    used: Mapping[str, Any] | None = None,
    objectives: Callable[[TrialRequest], Mapping[str, float | None]] = lambda _: {},
    footprint: Footprint | None = None,
    epochs: int | None = None,
) -> None:
    """Train a trial to its end, or so many epochs."""
    for epoch in range(1, (epochs or request.epochs) + 1):
        now = score(request) * epoch / request.epochs
        row = EpochResult(
            epoch=epoch, metrics={}, score=now, best_score=now, best_epoch=epoch, epochs_without_gain=0,
            seconds=seconds(request), images_per_s=9.0,
        )  # fmt: skip
        verdict = controller.row(request.trial, row, attempt=request.attempt)
        if verdict is not Verdict.CONTINUE:
            break
    if epochs is not None:
        return
    record = TrialRecord(
        trial=request.trial, number=request.number, asked=request.asked, used={**request.asked, **(used or {})},
        ending=Ending.PRUNED if verdict is Verdict.PRUNE else Ending.FINISHED, reason="r", score=now, epochs=epoch,
        objectives=dict(objectives(request)), footprint=footprint,
    )  # fmt: skip
    controller.ended(record, request.attempt)


def run(controller: SweepController, most: int = 100, **how: Any) -> list[TrialRequest]:
    """Train one trial after the other on one worker, at most so many; return their requests."""
    requests: list[TrialRequest] = []
    while len(requests) < most and isinstance(request := take(controller), TrialRequest):
        requests.append(request)
        train(controller, request, **how)
    return requests


def points(requests: list[TrialRequest]) -> list[dict[str, Any]]:
    return [dict(request.asked) for request in requests]
