"""Two ranks on the CPU: the same weights on both, and to the bit those of one process that sums their losses."""

import json
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from tests.tools.micro_model import MICRO

from yolosweep.backends import trainer_for
from yolosweep.data.samples.parking_dataset import draw_parking
from yolosweep.records import Cause, Ending, TrialPolicy, TrialRecord, TrialRequest, Verdict

pytestmark = pytest.mark.slow

COMMON = """
import hashlib, json, sys
from yolosweep.records import TrialRequest, Verdict
from yolosweep.backends.ultralytics.training_environment import enter

def told(what, value):
    print(json.dumps([what, value]), flush=True)

def sha(module):
    digest = hashlib.sha256()
    for name, parameter in module.named_parameters():
        digest.update(name.encode() + parameter.detach().float().contiguous().numpy().tobytes())
    return digest.hexdigest()

def watch_epochs():
    import yolosweep.backends.ultralytics.trainer_state as state
    from ultralytics.utils.torch_utils import unwrap_model
    real = state.captured
    def captured(trainer):
        told("epoch", [sha(unwrap_model(trainer.model)), sha(trainer.ema.ema)])
        return real(trainer)
    state.captured = captured

def train(request):
    from yolosweep.backends.ultralytics.trainer import YoloTrainer
    def report(row, checkpoint):
        told("row", row.epoch)
        told("checkpoint", checkpoint.model_dump(mode="json"))
        return Verdict.CANCEL if row.epoch == stop_after else Verdict.CONTINUE
    record = YoloTrainer().train(request, report, lambda: False)
    told("record", record.model_dump(mode="json"))

request = TrialRequest.model_validate_json(sys.argv[1])
stop_after = 0
"""

RANK = (
    COMMON
    + """
from yolosweep.backends.ultralytics.ddp import enter_group

enter_group(int(sys.argv[2]), 2, sys.argv[3], on_gpu=False)
stop_after, poisoned = map(int, sys.argv[4:])
enter()
watch_epochs()

def poison(trainer):
    global poisoned
    if dist.get_rank() == 1 and trainer.epoch + 1 == poisoned:
        poisoned = 0
        next(trainer.model.parameters()).data.fill_(float("nan"))

import torch.distributed as dist
import yolosweep.backends.ultralytics.trainer_mixins as loop
begin_epoch = loop._CheckpointMixin.begin_epoch
loop._CheckpointMixin.begin_epoch = lambda trainer: (begin_epoch(trainer), poison(trainer))
train(request)
"""
)

SUMMED = (
    COMMON
    + """
enter()
watch_epochs()
from ultralytics.nn.tasks import DetectionModel

real = DetectionModel.loss

def part(batch, rank):
    mine = batch["batch_idx"].long() % 2 == rank
    rows = {key: value[mine] for key, value in batch.items() if key in ("cls", "bboxes")}
    return {**batch, **rows, "img": batch["img"][rank::2], "batch_idx": batch["batch_idx"][mine] // 2}

def loss(self, batch, preds=None):
    if not self.training:
        return real(self, batch, preds)
    (first, items), (second, _) = (real(self, part(batch, rank)) for rank in (0, 1))
    return first.sum() + second.sum(), items

DetectionModel.loss = loss
train(request)
"""
)


@pytest.fixture(scope="module")
def request_of(tmp_path_factory: pytest.TempPathFactory) -> Any:
    folder = tmp_path_factory.mktemp("ranks")
    data = draw_parking(folder / "parking", images={"train": 16, "val": 6, "test": 2}, size=96)

    def make(where: str, **more: Any) -> TrialRequest:
        known = {
            "sweep": "run", "trial": "t0000", "number": 0, "task": "detect", "model": MICRO,
            "data": str(data), "asked": {}, "identity": "i", "metric": "metrics/mAP50-95(B)",
            "folder": str(folder / where), "policy": TrialPolicy(keep_checkpoints=9),
            "settings": {
                "epochs": 2, "imgsz": 64, "batch": 8, "nbs": 8, "optimizer": "AdamW", "mosaic": 0.5,
                "warmup_epochs": 1.0, "plots": False, "verbose": False, "seed": 0,
            },
        }  # fmt: skip
        return TrialRequest.model_validate({**known, **more})

    started = make("start", settings={**make("x").settings, "epochs": 1})
    record = trainer_for(started.model).train(started, lambda row, checkpoint: Verdict.CONTINUE, lambda: False)
    weights = Path(started.folder) / record.files["last.pt"].path
    return lambda where, **more: make(where, model=str(weights), **more)


def start(code: str, *arguments: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", code, *arguments], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )


def told_by(process: subprocess.Popen[str]) -> dict[str, list[Any]]:
    out, err = process.communicate(timeout=300)
    assert process.returncode == 0, err
    told: dict[str, list[Any]] = {"epoch": [], "row": [], "checkpoint": [], "record": []}
    for line in out.splitlines():
        if line.startswith("["):
            what, value = json.loads(line)
            told[what].append(value)
    return told


def train(*requests: TrialRequest, stop_after: int = 0, poisoned: int = 0) -> list[dict[str, list[Any]]]:
    """Train on one rank per request, the second with a NaN in one epoch if asked; return what each told."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        address = f"tcp://127.0.0.1:{probe.getsockname()[1]}"
    ranks = [
        start(RANK, request.model_dump_json(), str(rank), address, str(stop_after), str(poisoned))
        for rank, request in enumerate(requests)
    ]
    return [told_by(process) for process in ranks]


def test_two_ranks_are_one_training(request_of: Any) -> None:
    request = request_of("two", world_size=2, cpus=2)
    first, second = train(request, request)
    record = TrialRecord.model_validate(first["record"][0])
    assert record.ending is Ending.FINISHED, record.reason
    assert (record.world_size, record.threads) == (2, 1)
    assert first["row"] == [1, 2]
    assert first["epoch"] == second["epoch"], "the ranks hold different weights"
    assert second["row"] == []  # only rank 0 tells
    assert TrialRecord.model_validate(second["record"][0]).files == {}

    summed = told_by(start(SUMMED, request_of("one", cpus=1).model_dump_json()))
    assert summed["epoch"] == first["epoch"], "two ranks are not one process that sums their losses"


@pytest.mark.nightly  # a rank that is killed: e2e/test_ranks_sweep; to the bit in one process: test_exact_resume
def test_two_ranks_go_on_to_the_bit(request_of: Any) -> None:
    """Also with gradients that are held from one epoch to the next."""
    settings = {**request_of("x").settings, "nbs": 24}
    whole, cut = (request_of(where, world_size=2, cpus=2, settings=settings) for where in ("whole", "cut"))
    expected = train(whole, whole)[0]["epoch"]
    assert len({epoch[0] for epoch in expected}) == 2, "no step was made in the second epoch"

    before = train(cut, cut, stop_after=1)[0]
    checkpoints = tuple(reversed(before["checkpoint"]))
    again = TrialRequest.model_validate({**cut.model_dump(), "attempt": 1, "resume": checkpoints})
    after, other = train(again, again)
    assert before["epoch"] + after["epoch"] == expected
    assert other["epoch"] == after["epoch"]

    older = again.model_copy(update={"resume": ()})  # to this rank the checkpoint looked damaged
    records = [TrialRecord.model_validate(told["record"][0]) for told in train(again, older)]
    assert [record.cause for record in records] == [Cause.UNKNOWN] * 2
    assert "the ranks would resume in different epochs (2, 1)" in records[0].reason


@pytest.mark.nightly  # a NaN: test_exact_resume; an error of one rank: e2e/test_ranks_sweep
def test_a_nan_on_one_rank_sends_all_of_them_back(request_of: Any) -> None:
    request = request_of("poisoned", world_size=2, cpus=2)
    first, second = train(request, request, poisoned=2)
    record = TrialRecord.model_validate(first["record"][0])
    assert (record.ending, record.recoveries, first["row"]) == (Ending.FINISHED, 1, [1, 2])
    assert first["epoch"] == second["epoch"]


@pytest.mark.nightly  # as above
def test_a_nan_on_one_rank_in_the_first_epoch_ends_all_of_them(request_of: Any) -> None:
    request = request_of("diverged", world_size=2, cpus=2)
    records = [TrialRecord.model_validate(told["record"][0]) for told in train(request, request, poisoned=1)]
    assert [record.ending for record in records] == [Ending.DIVERGED] * 2
