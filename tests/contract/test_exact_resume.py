"""A real training that is killed goes on in a new process to the bit, whatever it was killed in."""

import errno
import hashlib
import json
import logging
import os
import random
import signal
import subprocess
import sys
import weakref
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from tests.tools.micro_model import MICRO

from yolosweep.backends import trainer_for
from yolosweep.data.samples.parking_dataset import draw_parking
from yolosweep.ledger import RunFolder
from yolosweep.records import Cause, Checkpoint, Ending, EpochResult, TrialPolicy, TrialRecord, TrialRequest, Verdict

pytestmark = pytest.mark.slow

SEED = int(os.environ.get("YOLOSWEEP_TEST_SEED", random.SystemRandom().randrange(10**6)))
"""Chooses where trainings are killed; printed by every failure, so that it can be replayed."""

EPOCHS = 4

Make = Callable[..., TrialRequest]


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> str:
    images = {"train": 20, "val": 6, "test": 2}
    return str(draw_parking(tmp_path_factory.mktemp("data") / "parking", images=images, size=96))


@pytest.fixture
def make(data: str, tmp_path: Path) -> Make:
    def make(where: str, *, model: str = MICRO, keep: int = 99, on_oom: str = "fail", **settings: Any) -> Any:
        return TrialRequest(
            sweep="run", trial="t0000", number=0, task="detect", model=model, data=data, asked={}, identity="i",
            metric="metrics/mAP50-95(B)", folder=str(tmp_path / where),
            policy=TrialPolicy(keep_checkpoints=keep, on_oom=on_oom),
            # a step every 4 batches, 3 batches per epoch: gradients are held over the end of an epoch
            settings={
                "epochs": EPOCHS, "imgsz": 64, "batch": 8, "nbs": 32, "optimizer": "AdamW", "close_mosaic": 2,
                "plots": False, "verbose": False, "seed": 0, "warmup_epochs": 1.0, **settings,
            },
        )  # fmt: skip

    return make


class Told:
    """What a training reported."""

    def __init__(self, stop_after: int | None = None) -> None:
        self.rows: list[EpochResult] = []
        self.checkpoints: list[Checkpoint] = []
        self._stop_after = stop_after

    def report(self, row: EpochResult, checkpoint: Checkpoint | None) -> Verdict:
        self.rows.append(row)
        assert checkpoint is not None
        self.checkpoints.append(checkpoint)
        return Verdict.CONTINUE

    def cancelled(self) -> bool:
        return self._stop_after is not None and len(self.rows) >= self._stop_after


def train(request: TrialRequest, stop_after: int | None = None) -> tuple[Told, TrialRecord]:
    told = Told(stop_after)
    return told, trainer_for(request.model).train(request, told.report, told.cancelled)


def rewritten(request: TrialRequest, checkpoint: Checkpoint, **changes: Any) -> Checkpoint:
    """Change a stored state, and return its checkpoint with the new hash."""
    import torch

    from yolosweep.storage.atomic_files import sha256_of

    file = RunFolder(request.folder).resolve(checkpoint.state)
    torch.save({**torch.load(file, weights_only=True), **changes}, file)
    return checkpoint.model_copy(
        update={"state": checkpoint.state.model_copy(update={"sha256": sha256_of(file), "size": file.stat().st_size})}
    )


def train_epoch(request: TrialRequest) -> tuple[Told, TrialRecord]:
    """Train one epoch and stop before the next begins."""
    told = Told()

    def report(row: EpochResult, checkpoint: Checkpoint | None) -> Verdict:
        told.report(row, checkpoint)
        return Verdict.CANCEL

    return told, trainer_for(request.model).train(request, report, told.cancelled)


DOOMED = """
import json, os, signal, sys
from yolosweep.records import TrialRequest, Verdict
from yolosweep.backends import trainer_for

request = TrialRequest.model_validate_json(sys.argv[1])
epochs, batches = int(sys.argv[2]), int(sys.argv[3])
seen = {"rows": 0, "batches": 0}

def report(row, checkpoint):
    print(json.dumps([row.model_dump(mode="json"), checkpoint.model_dump(mode="json")]), flush=True)
    seen["rows"] += 1
    seen["batches"] = 0
    return Verdict.CONTINUE

def cancelled():
    seen["batches"] += 1
    if seen["rows"] == epochs and seen["batches"] > batches:
        os.kill(os.getpid(), signal.SIGKILL)
    return False

trainer_for(request.model).train(request, report, cancelled)
"""


def train_until_killed(request: TrialRequest, epochs: int, batches: int) -> tuple[list[EpochResult], list[Checkpoint]]:
    """Train in a process of its own that is killed after some epochs and some batches of the next one."""
    done = subprocess.run(
        [sys.executable, "-c", DOOMED, request.model_dump_json(), str(epochs), str(batches)],
        capture_output=True, text=True, timeout=300, check=False,
    )  # fmt: skip
    assert done.returncode == -signal.SIGKILL, done.stderr
    told = [json.loads(line) for line in done.stdout.splitlines() if line.startswith("[")]
    return [EpochResult.model_validate(row) for row, _ in told], [Checkpoint.model_validate(c) for _, c in told]


def weights(request: TrialRequest, checkpoint: Checkpoint) -> str:
    """Return the hash of raw and averaged weights and of the optimizer after an epoch."""
    import torch

    state = torch.load(RunFolder(request.folder).resolve(checkpoint.state), weights_only=True)
    digest = hashlib.sha256()
    tensors = [*state["model"].items(), *state["ema"].items()]
    tensors += [(f"{n}.{k}", v) for n, kept in state["optimizer"]["state"].items() for k, v in kept.items()]
    for name, tensor in tensors:
        digest.update(name.encode() + torch.as_tensor(tensor).contiguous().numpy().tobytes())
    return digest.hexdigest()


def held_gradients(request: TrialRequest, checkpoint: Checkpoint) -> int:
    import torch

    state = torch.load(RunFolder(request.folder).resolve(checkpoint.state), weights_only=True)
    return len(state["gradients"])


def measured(rows: list[EpochResult]) -> list[Any]:
    return [(row.epoch, row.metrics, row.best_score, row.best_epoch, row.epochs_without_gain) for row in rows]


@pytest.mark.parametrize(
    "settings",
    [
        pytest.param({"workers": 0}, id="alone"),
        pytest.param({"workers": 2}, id="two-loaders", marks=pytest.mark.nightly),
        pytest.param({"model": "yolo11n.yaml"}, id="yolo11", marks=pytest.mark.nightly),
        pytest.param({"model": "yolo26n.yaml"}, id="yolo26", marks=pytest.mark.nightly),
        pytest.param({"workers": 2, "balance": 1.0}, id="balanced", marks=pytest.mark.nightly),
    ],
)
def test_a_killed_training_goes_on_to_the_bit(make: Make, settings: dict[str, Any]) -> None:
    draw = random.Random(f"{SEED}{settings}")
    epochs, batches = draw.randint(1, EPOCHS - 1), draw.randint(0, 2)
    where = f"YOLOSWEEP_TEST_SEED={SEED}: killed in epoch {epochs + 1} after {batches} batches"
    whole = make("whole", **settings)
    told, record = train(whole)
    assert record.ending is Ending.FINISHED, record.reason
    assert any(held_gradients(whole, checkpoint) for checkpoint in told.checkpoints)

    doomed = make("doomed", **settings)
    rows, stored = train_until_killed(doomed, epochs, batches)
    assert len(rows) == epochs, where
    again = doomed.model_copy(update={"attempt": 1, "resume": tuple(reversed(stored))})
    rest, ended = train(again)
    assert ended.ending is Ending.FINISHED, f"{where}: {ended.reason}"
    assert measured(rows + rest.rows) == measured(told.rows), where
    expected = [weights(whole, checkpoint) for checkpoint in told.checkpoints]
    assert [weights(doomed, checkpoint) for checkpoint in stored + rest.checkpoints] == expected, where
    assert (ended.score, ended.best_epoch, ended.epochs) == (record.score, record.best_epoch, EPOCHS)
    results = (RunFolder(doomed.folder).root / ended.files["results.csv"].path).read_text().splitlines()
    assert [line.split(",")[0] for line in results] == ["epoch", *map(str, range(1, EPOCHS + 1))]


def test_a_damaged_checkpoint_is_told_by_its_hash_and_the_one_before_is_used(make: Make) -> None:
    request = make("run", keep=2)
    told, _ = train(request, stop_after=2)
    folder = RunFolder(request.folder)
    newest = folder.resolve(told.checkpoints[-1].state)
    content = bytearray(newest.read_bytes())
    content[len(content) // 2] ^= 1
    newest.write_bytes(content)
    again = request.model_copy(update={"attempt": 1, "resume": tuple(reversed(told.checkpoints))})
    rest, record = train(again, stop_after=1)
    assert rest.rows[0].epoch == 2
    assert any("checkpoint of epoch 2 skipped" in note for note in record.notes)

    for checkpoint in told.checkpoints:
        folder.resolve(checkpoint.state).write_bytes(b"torn")
    rest, record = train(again.model_copy(update={"attempt": 2}), stop_after=1)
    assert rest.rows[0].epoch == 1
    assert any("no intact checkpoint is left" in note for note in record.notes)


@pytest.mark.parametrize(("every", "epochs"), [(2, [2, 3]), ("10m", [3]), (1e-9, [1, 2, 3])])
def test_checkpoints_come_as_often_as_asked_and_after_the_last_epoch(make: Make, every: Any, epochs: list[int]) -> None:
    request = make("run", epochs=3)
    request = request.model_copy(update={"policy": TrialPolicy.model_validate({"checkpoint_every": every})})
    stored: list[Checkpoint | None] = []

    def report(row: EpochResult, checkpoint: Checkpoint | None) -> Verdict:
        stored.append(checkpoint)
        return Verdict.CONTINUE

    trainer_for(request.model).train(request, report, lambda: False)
    assert [checkpoint.epoch for checkpoint in stored if checkpoint] == epochs


def test_a_stopped_training_stores_its_last_epoch_though_it_was_not_due(make: Make) -> None:
    request = make("run")
    request = request.model_copy(update={"policy": TrialPolicy(checkpoint_every=3)})
    rows: list[EpochResult] = []
    stored: list[Checkpoint | None] = []

    def report(row: EpochResult, checkpoint: Checkpoint | None) -> Verdict:
        rows.append(row)
        stored.append(checkpoint)
        return Verdict.CANCEL if row.epoch == 2 else Verdict.CONTINUE

    record = trainer_for(request.model).train(request, report, lambda: False)
    assert (record.ending, stored) == (Ending.CANCELLED, [None, None])
    assert record.checkpoint is not None
    assert record.checkpoint.epoch == 2
    told, ended = train(
        request.model_copy(update={"attempt": 1, "resume": (record.checkpoint,), "policy": TrialPolicy()})
    )
    assert [row.epoch for row in told.rows] == [3, 4]
    assert ended.ending is Ending.FINISHED


def test_a_process_that_trained_another_trial_before_gives_the_same(make: Make) -> None:
    alone = subprocess.run(
        [sys.executable, "-c", DOOMED, make("alone", epochs=2).model_dump_json(), "9", "0"],
        capture_output=True, text=True, timeout=300, check=True,
    )  # fmt: skip
    train(make("other", seed=5, epochs=1, batch=4, model="yolo26n.yaml", deterministic=False))
    after, _ = train(make("after", epochs=2))
    first = [json.loads(line) for line in alone.stdout.splitlines() if line.startswith("[")]
    assert measured(after.rows) == measured([EpochResult.model_validate(row) for row, _ in first])
    expected = [weights(make("alone"), Checkpoint.model_validate(stored)) for _, stored in first]
    assert [weights(make("after"), checkpoint) for checkpoint in after.checkpoints] == expected


@pytest.fixture
def forward(monkeypatch: pytest.MonkeyPatch) -> Callable[[Callable[[int], float | None]], None]:
    """Let forward passes fail the way a GPU fails: by number, with an out-of-memory error or a loss of NaN."""
    from yolosweep.backends.ultralytics.training_environment import enter

    enter()
    from ultralytics.nn.tasks import DetectionModel

    def arrange(fault: Callable[[int], float | None]) -> None:
        count, real = iter(range(10**6)), DetectionModel.loss

        def loss(self: Any, batch: Any, preds: Any = None) -> Any:
            if not self.training:
                return real(self, batch, preds)
            number = next(count)
            factor = fault(number)
            value, items = real(self, batch, preds)
            return (value if factor is None else value * factor), items

        monkeypatch.setattr(DetectionModel, "loss", loss)

    return arrange


def out_of_memory(first: int) -> Callable[[int], float | None]:
    def fault(number: int) -> float | None:
        if number < first:
            raise RuntimeError("CUDA out of memory. Tried to allocate 2.00 GiB")
        return None

    return fault


def test_a_batch_that_does_not_fit_is_halved_where_the_policy_says_so(make: Make, forward: Any) -> None:
    forward(out_of_memory(1))
    _, record = train(make("run", epochs=1, on_oom="lower_batch"))
    assert (record.ending, record.cause) == (Ending.FINISHED, None)
    assert record.used["batch"] == 4
    assert any("batch 8 was lowered to 4" in note for note in record.notes)
    assert record.recoveries == 1


@contextmanager
def too_large_once(where: str) -> Iterator[list[bool]]:
    """Let a method run out of memory when it is first called; yields whether its owner was there in each later call."""
    from ultralytics.models.yolo import detect

    owner, name = where.split(".")
    real, failed, seen = getattr(getattr(detect, owner), name), list[Any](), list[bool]()

    def once_too_large(self: Any, *args: Any, **kwargs: Any) -> Any:
        if not failed:
            failed.append(weakref.ref(self))
            raise RuntimeError("CUDA out of memory. Tried to allocate 2.00 GiB")
        seen.append(failed[0]() is not None)
        return real(self, *args, **kwargs)

    with pytest.MonkeyPatch.context() as small:
        small.setattr(getattr(detect, owner), name, once_too_large)
        yield seen


@pytest.mark.parametrize("where", ["DetectionValidator.postprocess", "DetectionTrainer.optimizer_step"])
def test_what_does_not_fit_beside_the_batches_begins_anew_with_half_of_it(make: Make, where: str) -> None:
    with too_large_once(where) as seen:
        told, record = train(make("run", epochs=2, nbs=8, on_oom="lower_batch"))
    assert (record.ending, record.cause, record.used["batch"]) == (Ending.FINISHED, None, 4)
    assert "out of memory: batch 8 was lowered to 4" in record.notes
    assert {row.batch for row in told.rows} == {4}
    assert record.recoveries == 1, "the next training would be given this process"
    assert set(seen) == {False}, "what did not fit was still in memory"
    log = RunFolder(make("run").folder).resolve(record.files["train.log"]).read_text()
    assert "out of memory at batch 8: restarted with batch 4" in log
    asked, _ = train(make("asked", epochs=2, nbs=8, batch=4))
    assert measured(told.rows) == measured(asked.rows)
    assert weights(make("run"), told.checkpoints[-1]) == weights(make("asked"), asked.checkpoints[-1])


@pytest.mark.parametrize(("on_oom", "resumed"), [("fail", False), ("lower_batch", True)], ids=["fail", "resumed"])
def test_a_validation_that_does_not_fit_ends_a_trial_that_keeps_its_batch(
    make: Make, on_oom: str, resumed: bool
) -> None:
    request = make("run", epochs=2, on_oom=on_oom)
    if resumed:
        before, _ = train_epoch(request)
        request = request.model_copy(update={"attempt": 1, "resume": tuple(before.checkpoints)})
    with too_large_once("DetectionValidator.postprocess") as seen:
        told, record = train(request)
    assert (record.ending, record.cause, record.used["batch"]) == (Ending.OOM, Cause.RESOURCE, 8)
    assert (told.rows, seen) == ([], [])


def test_what_never_fits_ends_as_out_of_memory(make: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    from ultralytics.models.yolo.detect import DetectionTrainer

    def never(self: Any, *args: Any, **kwargs: Any) -> Any:
        raise RuntimeError("CUDA out of memory. Tried to allocate 2.00 GiB")

    monkeypatch.setattr(DetectionTrainer, "get_model", never)
    _, record = train(make("run", epochs=1, on_oom="lower_batch"))
    assert (record.ending, record.cause, record.used["batch"]) == (Ending.OOM, Cause.RESOURCE, 1)


def test_a_batch_that_does_not_fit_ends_the_trial_where_the_policy_says_so(make: Make, forward: Any) -> None:
    forward(out_of_memory(1))
    _, record = train(make("run", epochs=1, on_oom="fail"))
    assert (record.ending, record.cause) == (Ending.OOM, Cause.RESOURCE)
    assert record.used["batch"] == 8


def test_a_nan_is_recovered_from_and_counted(make: Make, forward: Any) -> None:
    batches = 3
    forward(lambda number: float("nan") if number == 2 * batches - 1 else None)  # the last batch of the second epoch
    told, record = train(make("run", epochs=3))
    assert record.ending is Ending.FINISHED, record.reason
    assert [row.epoch for row in told.rows] == [1, 2, 3]
    assert record.recoveries == 1


def test_a_nan_in_the_first_epoch_ends_the_trial_at_once(make: Make, forward: Any) -> None:
    asked = []
    forward(lambda number: asked.append(number) or (float("nan") if number == 1 else None))
    told, record = train(make("run", epochs=2))
    assert (record.ending, told.rows) == (Ending.DIVERGED, []), record.reason
    assert asked == [0, 1], "it went on with weights that were lost"
    assert not {"best.pt", "last.pt"} & record.files.keys()


def test_a_nan_that_stays_ends_the_trial(make: Make, forward: Any) -> None:
    forward(lambda number: float("nan") if number >= 3 else None)
    told, record = train(make("run", epochs=3))
    assert (record.ending, len(told.rows)) == (Ending.DIVERGED, 1)
    assert record.recoveries == 3


def test_a_nan_in_the_middle_of_an_epoch_is_recovered_from_too(make: Make, forward: Any) -> None:
    """The last loss of that epoch is finite and its score is 0, but its weights are lost."""
    import torch

    forward(lambda number: float("nan") if number == 4 else None)
    request = make("run", epochs=3, nbs=24)  # 3 batches, then a step: the second epoch ends in broken weights
    told, record = train(request)
    assert (record.ending, record.recoveries) == (Ending.FINISHED, 1), record.reason
    for checkpoint in told.checkpoints:
        state = torch.load(RunFolder(request.folder).resolve(checkpoint.state), weights_only=True)
        assert all(tensor.isfinite().all() for tensor in state["model"].values())


def test_a_nan_right_after_a_resume_is_redone_as_without_one(make: Make, forward: Any) -> None:
    """Batch 1 of the second epoch is lost once; the state gone on from must not have been trained on since."""
    forward(lambda number: float("nan") if number == 4 else None)
    whole, _ = train(make("whole", epochs=3, nbs=24))
    forward(lambda number: float("nan") if number == 4 else None)
    request = make("resumed", epochs=3, nbs=24)
    first, _ = train_epoch(request)
    newest = rewritten(request, first.checkpoints[0], seconds=1000.0)
    rest, record = train(request.model_copy(update={"attempt": 1, "resume": (newest,)}))
    assert (record.ending, record.recoveries) == (Ending.FINISHED, 1), record.reason
    assert measured(first.rows + rest.rows) == measured(whole.rows)
    lines = (RunFolder(request.folder).root / record.files["results.csv"].path).read_text().splitlines()[1:]
    assert [float(line.split(",")[1]) // 1000 for line in lines] == [0, 1, 1]  # the time before counts once


def test_the_optimizer_steps_when_ultralytics_would_step_it(make: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    """The same training, without our counting of batches, has the same weights after every epoch."""
    from yolosweep.backends.ultralytics import trainer as yolo
    from yolosweep.backends.ultralytics import trainer_mixins as yolo_loop

    settings = {"epochs": 3, "batch": 4, "nbs": 40, "warmup_epochs": 2.0}
    ours, _ = train(make("ours", **settings))

    def native(base: type[Any], request: TrialRequest, watch: Any, *, threads: int, workers: int) -> type[Any]:
        members = {"ours": request, "watch_": watch, "threads_": threads, "workers_": workers, "last_step": -1}
        return type("Trainer", (yolo_loop._DataMixin, yolo_loop._CheckpointMixin, base), members)

    monkeypatch.setattr(yolo, "make_trainer_class", native)
    theirs, _ = train(make("theirs", **settings))
    expected = [weights(make("theirs"), checkpoint) for checkpoint in theirs.checkpoints]
    assert [weights(make("ours"), checkpoint) for checkpoint in ours.checkpoints] == expected


def test_best_weights_are_those_of_the_best_epoch_also_where_scores_tie(
    make: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    from yolosweep.backends.ultralytics.training_environment import enter

    enter()
    from ultralytics.engine.trainer import BaseTrainer

    validate, scores = BaseTrainer.validate, (0.1, 0.5, 0.5)

    def tied(self: Any) -> Any:
        metrics, fitness = validate(self)
        return {**metrics, "metrics/mAP50-95(B)": scores[self.epoch]}, fitness

    monkeypatch.setattr(BaseTrainer, "validate", tied)
    told, record = train(make("run", epochs=3))
    assert record.best_epoch == 2
    assert [checkpoint.best.sha256 for checkpoint in told.checkpoints[1:] if checkpoint.best] == [
        record.files["best.pt"].sha256
    ] * 2


def test_patience_goes_on_counting_where_it_was(make: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    from yolosweep.backends.ultralytics.training_environment import enter

    enter()
    from ultralytics.engine.trainer import BaseTrainer

    validate, scores = BaseTrainer.validate, (0.5, 0.1, 0.2, 0.3, 0.4, 0.45)

    def scored(self: Any) -> Any:
        metrics, fitness = validate(self)
        return {**metrics, "metrics/mAP50-95(B)": scores[self.epoch]}, fitness

    monkeypatch.setattr(BaseTrainer, "validate", scored)
    request = make("run", epochs=6, patience=3)
    told, _ = train(request, stop_after=2)
    rest, record = train(request.model_copy(update={"attempt": 1, "resume": tuple(reversed(told.checkpoints))}))
    assert [row.epoch for row in told.rows + rest.rows] == [1, 2, 3, 4]
    assert (record.ending, record.best_epoch, record.score) == (Ending.PATIENCE, 1, 0.5)
    assert record.files["best.pt"].sha256 == told.checkpoints[0].best.sha256


@pytest.fixture
def mixed_precision(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let trainings scale their loss as they do on a GPU; the scale doubles after every second step."""
    import torch

    real = torch.amp.GradScaler
    monkeypatch.setattr(torch.amp, "GradScaler", lambda *_, **__: real("cpu", init_scale=64.0, growth_interval=2))


def test_a_training_with_a_gradient_scaler_goes_on_to_the_bit(make: Make, mixed_precision: None) -> None:
    """Held gradients are scaled ones: the scale has to come back with them."""
    import torch

    whole, _ = train(make("whole"))
    scales = [
        torch.load(RunFolder(make("whole").folder).resolve(c.state))["scaler"]["scale"] for c in whole.checkpoints
    ]
    assert len(set(scales)) > 1, "the scale never changed"
    request = make("cut")
    first, _ = train(request, stop_after=2)
    again = request.model_copy(update={"attempt": 1, "resume": tuple(reversed(first.checkpoints))})
    rest, record = train(again)
    assert record.ending is Ending.FINISHED, record.reason
    expected = [weights(make("whole"), checkpoint) for checkpoint in whole.checkpoints]
    assert [weights(request, checkpoint) for checkpoint in first.checkpoints + rest.checkpoints] == expected


def test_a_training_begun_on_the_cpu_goes_on_with_a_gradient_scaler(make: Make, request: pytest.FixtureRequest) -> None:
    asked = make("run", epochs=2)
    first, _ = train_epoch(asked)
    request.getfixturevalue("mixed_precision")
    rest, record = train(asked.model_copy(update={"attempt": 1, "resume": (first.checkpoints[0],)}))
    assert record.ending is Ending.FINISHED, record.reason
    assert [row.epoch for row in rest.rows] == [2]


def test_a_training_that_was_over_only_gets_its_files(make: Make) -> None:
    request = make("run", epochs=1)
    told, first = train(request)
    again, record = train(request.model_copy(update={"attempt": 1, "resume": tuple(told.checkpoints)}))
    assert (again.rows, record.ending, record.epochs) == ([], Ending.FINISHED, 1)
    assert record.files.keys() == first.files.keys()
    assert record.files["best.pt"].sha256 == first.files["best.pt"].sha256


def test_a_state_of_another_version_becomes_a_record(make: Make) -> None:
    request = make("run", epochs=2)
    told, _ = train_epoch(request)
    other = rewritten(request, told.checkpoints[0], format="yolosweep state 0")
    _, record = train(request.model_copy(update={"attempt": 1, "resume": (other,)}))
    assert (record.ending, record.cause) == (Ending.FAILED, Cause.CONFIG)
    assert "yolosweep state 0" in (record.error or "")


class Full:
    """A disk that is full after some bytes; a real one whose buffers are empty just then cannot be had at will."""

    left = 100_000

    def write(self, block: bytes | memoryview) -> int:
        size = memoryview(block).nbytes
        if size > self.left:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        self.left -= size
        return size

    def flush(self) -> None:
        pass


def test_a_full_disk_is_told_as_what_it_is() -> None:
    """Torch itself tells of a position in its archive."""
    import torch

    from yolosweep.backends.failure_causes import classified
    from yolosweep.backends.ultralytics.trainer_state import save_state
    from yolosweep.storage.atomic_files import HashingWriter

    with pytest.raises(OSError, match="No space left on device") as caught:
        save_state({"weights": torch.zeros(50_000)}, HashingWriter(Full()))  # type: ignore[arg-type]
    assert classified(caught.value, batch=8, begun=True).cause is Cause.STORAGE


def test_a_run_folder_that_is_full_is_no_fault_of_the_training(make: Make) -> None:
    request = make("small", epochs=2)
    Path(request.folder).mkdir()
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", request.folder], capture_output=True)
    if mounted.returncode:
        pytest.skip("a small file system cannot be mounted here (needs root)")
    try:
        _, record = train(request)
    finally:
        subprocess.run(["umount", request.folder], check=True)
    assert (record.ending, record.cause) == (Ending.FAILED, Cause.STORAGE), record.reason
    assert "No space left on device" in record.reason


def test_a_training_leaves_no_log_open(make: Make) -> None:
    from ultralytics.utils import LOGGER

    train(make("run", epochs=1))
    LOGGER.error("said after a training")  # would open the deleted log again
    assert not [handler for handler in LOGGER.handlers if isinstance(handler, logging.FileHandler)]
