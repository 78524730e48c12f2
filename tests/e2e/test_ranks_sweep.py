"""Trials of two ranks through the real command, and what Ray grants is what a trial uses."""

import contextlib
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest
from tests.tools.python_path import ahead_of_ours

from yolosweep.records import Cause, Ending

pytestmark = pytest.mark.slow

REAL_RANKS = """
import importlib.util, yolosweep.backends.ultralytics
place = yolosweep.backends.ultralytics.__path__[0] + "/ddp.py"
spec = importlib.util.spec_from_file_location("real_ranks", place)
real = importlib.util.module_from_spec(spec)
spec.loader.exec_module(real)
"""

ONE_GOES_WRONG = {
    "yolosweep.backends.ultralytics.ddp": REAL_RANKS
    + """
import os, pathlib
ddp_trainer, my_rank, preload = real.ddp_trainer, real.my_rank, real.preload

def enter_group(rank, world_size, address, *, on_gpu):
    died = pathlib.Path(__file__).with_name("died")
    if rank and not died.exists():
        died.touch()
        os.kill(os.getpid(), 9)
    real.enter_group(rank, world_size, address, on_gpu=on_gpu)
    if not rank:
        return
    import yolosweep.backends.ultralytics.trainer_mixins as loop
    begin = loop._CheckpointMixin.begin_epoch
    def begin_epoch(self):
        if self.epoch == 2:
            raise RuntimeError("CUDA out of memory")
        begin(self)
    loop._CheckpointMixin.begin_epoch = begin_epoch
"""
}


DOES_NOT_FIT = {
    # The other rank has no room for more than 8 images, and rank 0 none for more than 4.
    "yolosweep.backends.ultralytics.ddp": REAL_RANKS
    + """
enter_group, my_rank, preload = real.enter_group, real.my_rank, real.preload

def ddp_trainer(base):
    class Small(real.ddp_trainer(base)):
        def optimizer_step(self):
            if self.batch_size > (8 if real.my_rank() else 4):
                raise RuntimeError("CUDA out of memory. Tried to allocate 2.00 GiB")
            super().optimizer_step()
    return Small
"""
}


def replacing(folder: Path, modules: dict[str, str]) -> dict[str, str]:
    """Return an environment in which every Python process finds these modules in the place of ours."""
    folder.mkdir()
    for name, text in modules.items():
        (folder / f"{name}.txt").write_text(text)
    (folder / "sitecustomize.py").write_text(f"""
import importlib.util, sys
from importlib.machinery import SourceFileLoader
class Ours:
    def find_spec(name, path=None, target=None):
        if name in {sorted(modules)!r}:
            loader = SourceFileLoader(name, {str(folder)!r} + "/" + name + ".txt")
            return importlib.util.spec_from_loader(name, loader)
sys.meta_path.insert(0, Ours)
""")
    return {"PYTHONPATH": ahead_of_ours(folder)}


def test_what_goes_wrong_on_one_rank_alone_does_not_leave_the_other_waiting(
    shell: Any, two_ranks: Path, tmp_path: Path
) -> None:
    """The second rank dies where the first waits for it to join; anew, it is out of memory in epoch 3."""
    history = shell.run(two_ranks, "search.trials=1", **replacing(tmp_path / "ours", ONE_GOES_WRONG)).history
    (trial,) = history.trials.values()
    assert (tmp_path / "ours" / "died").exists()
    assert trial.resumes == [], "no trial had been asked for when it died"
    assert sum("died while it had no trial" in note.text for note in history.notes) == 1
    assert (trial.record.ending, trial.record.cause, trial.record.retries) == (Ending.OOM, Cause.RESOURCE, 0)
    assert trial.record.reason == "rank 1: out of memory at batch 16; lower batch or imgsz"
    assert (trial.record.epochs, len(trial.rows), trial.record.score) == (2, 2, trial.rows[-1].best_score)
    assert "best.pt" in trial.record.files


@pytest.mark.nightly  # one process that lowers its batch: contract/test_exact_resume; ranks that meet an error: above
def test_a_batch_that_does_not_fit_on_one_of_two_ranks_is_lowered(shell: Any, two_ranks: Path, tmp_path: Path) -> None:
    short = ("search.trials=1", "search.pruner=none", "train.epochs=2")
    history = shell.run(two_ranks, *short, **replacing(tmp_path / "ours", DOES_NOT_FIT)).history
    (trial,) = history.trials.values()
    record = trial.record
    assert (record.ending, record.retries, record.used["batch"]) == (Ending.FINISHED, 2, 4), record.reason
    first, second = trial.resumes
    assert (first.cause, first.batch, second.cause, second.batch) == ("resource", 8, "resource", 4)
    assert first.reason.endswith("out of memory at batch 16; lower batch or imgsz: restarted with batch 8")
    assert "out of memory: batch 16 was lowered to 4" in record.notes
    asked = shell.run(two_ranks, *short, "train.batch=4").history.trials["t0000"]
    assert [row.metrics for row in trial.rows] == [row.metrics for row in asked.rows]


PROBE = {
    # Stands in for the whole Ultralytics training: tells what it was given, and ends.
    "yolosweep.backends.ultralytics.trainer_mixins": """
import json, os, pathlib, time, types
import torch

torch.cuda.get_device_name = lambda index: "a declared GPU"

def make_trainer_class(base, request, watch, *, threads, workers):
    class Probe:
        def __init__(self, overrides):
            names = ("CUDA_VISIBLE_DEVICES", "YOLOSWEEP_TEST_GROUP", "RANK", "LOCAL_RANK", "WORLD_SIZE")
            told = {**{name: os.environ.get(name) for name in names}, "device": overrides["device"], "threads": threads}
            told["labels"] = [file.name for file in pathlib.Path.home().glob(".cache/yolosweep/labels/*.labels")]
            if request.world_size > 1:
                import torch.distributed as dist
                told["group"] = [dist.get_rank(), dist.get_world_size()]
            where = pathlib.Path(request.folder, "told", f"{request.trial}-{os.environ.get('RANK', '')}.json")
            where.parent.mkdir(exist_ok=True)
            where.write_text(json.dumps(told))
            self.args, self.told = types.SimpleNamespace(patience=1, cache=False), where.parent
            with pathlib.Path(request.folder, "ledger.jsonl").open() as ledger:
                self.at_a_time = json.loads(next(ledger))["slots"]["concurrent"]

        def train(self):
            while len({file.name[:5] for file in self.told.iterdir()}) < self.at_a_time:  # till all slots have one
                time.sleep(0.05)
            if request.world_size > 1:
                import torch.distributed as dist
                dist.barrier()
    return Probe
""",
    # Nothing here has a GPU that NCCL could use.
    "yolosweep.backends.ultralytics.ddp": REAL_RANKS
    + """
import os
my_rank, preload = real.my_rank, real.preload

def ddp_trainer(base):
    return base

def enter_group(rank, world_size, address, *, on_gpu):
    os.environ["YOLOSWEEP_TEST_GROUP"] = "nccl" if on_gpu else "gloo"
    granted = {key: value for key, value in os.environ.items() if key == "CUDA_VISIBLE_DEVICES" and on_gpu}
    real.enter_group(rank, world_size, address, on_gpu=False)
    os.environ.update(granted)
""",
}


@pytest.fixture(scope="module")
def two_gpus(home: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, str]]:
    """A Ray of its own that was told of two GPUs; nothing looks for them."""
    kept = {
        k: v for k, v in os.environ.items() if k == "RAY_worker_niceness" or not k.startswith(("RAY_", "CUDA", "XDG"))
    }
    environment = {
        **kept,
        "HOME": str(home),
        "RAY_AUTH_MODE": "disabled",
        "YOLOSWEEP_DECLARED_GPUS": "1",
        **replacing(tmp_path_factory.mktemp("gpus") / "ours", PROBE),
    }
    place = tempfile.mkdtemp(prefix="ray")  # short: sockets lie in it
    ray = [sys.executable, "-m", "ray.scripts.scripts", "start", "--head", "--port=0", f"--temp-dir={place}"]
    try:
        started = subprocess.run(
            [*ray, "--num-gpus=2", "--num-cpus=4", "--include-dashboard=false"],
            env=environment, capture_output=True, text=True, check=True,
        )  # fmt: skip
        found = re.search(r"--address='([^']+)'", started.stdout)
        assert found, started.stdout
        yield {"RAY_ADDRESS": found[1], "RAY_AUTH_MODE": "disabled"}
    finally:
        ours = [one for one in psutil.process_iter(["cmdline"]) if place in " ".join(one.info["cmdline"] or [])]
        for process in [child for one in ours for child in one.children(recursive=True)] + ours:
            with contextlib.suppress(psutil.NoSuchProcess):
                process.kill()
        shutil.rmtree(place, ignore_errors=True)


@pytest.mark.parametrize(
    ("asked", "ranks", "granted"),
    [
        pytest.param("gpus_per_trial: 0.5", 1, [("0",), ("0",), ("1",), ("1",)], marks=pytest.mark.nightly),
        pytest.param("gpus_per_trial: 1", 1, [("0",), ("1",)], marks=pytest.mark.nightly),
        ("gpus_per_trial: 2", 2, [("0", "1")]),
        pytest.param("gpus_per_trial: 0", 1, [(), (), (), ()], marks=pytest.mark.nightly),
        pytest.param("workers: 2, gpus_per_trial: 0", 2, [(), ()], marks=pytest.mark.nightly),
    ],
)
def test_what_a_trial_was_granted_is_what_its_ranks_use(
    asked: str, ranks: int, granted: list[tuple[str, ...]], shell: Any, two_ranks: Path, two_gpus: Any
) -> None:
    """On four cores and two GPUs, some trials; ``granted`` are the GPUs of those that run at a time."""
    trials = max(2, len(granted))
    some = (
        f"resources={{{asked}, cpus_per_trial: {ranks}}}",
        f"search.trials={trials}",
        "search.parameters={lr0: {min: 0.001, max: 0.01}}",
    )
    labels = shell.home / ".cache" / "yolosweep" / "labels"
    shutil.rmtree(labels, ignore_errors=True)
    sweep = shell.run(two_ranks, *some, code=5, **two_gpus)  # without a score, no winner
    scanned = {file.name for file in labels.glob("*.labels")}
    assert len(scanned) == 2, "train and val"
    assert sweep.history.started.slots["concurrent"] == len(granted)
    assert len(sweep.history.trials) == trials
    on_gpu = any(granted)
    for name, trial in sweep.history.trials.items():
        assert (trial.record.ending, trial.record.retries) == (Ending.PATIENCE, 0), trial.record.reason
        assert (trial.record.world_size, trial.record.device) == (ranks, "a declared GPU" if on_gpu else "cpu")
        told = [json.loads(file.read_text()) for file in sorted((sweep.folder.root / "told").glob(f"{name}-*.json"))]
        assert [rank["device"] for rank in told] == ["0" if on_gpu else "cpu"] * ranks  # the first of those it can see
        assert [rank["threads"] for rank in told] == [1] * ranks
        assert all(scanned <= set(rank["labels"]) for rank in told), "scanned before a training began"
        assert [rank["CUDA_VISIBLE_DEVICES"] for rank in told] == (list(trial.record.gpus) if on_gpu else [""] * ranks)
        if ranks > 1:
            assert [rank["YOLOSWEEP_TEST_GROUP"] for rank in told] == ["nccl" if on_gpu else "gloo"] * ranks
            assert [[int(rank[key]) for key in ("RANK", "WORLD_SIZE")] for rank in told] == [[0, 2], [1, 2]]
            assert [rank["group"] for rank in told] == [[0, 2], [1, 2]]
        else:
            assert told[0]["WORLD_SIZE"] is None
    first = [trial.record.gpus for trial in list(sweep.history.trials.values())[: len(granted)]]
    assert sorted(first) == granted
