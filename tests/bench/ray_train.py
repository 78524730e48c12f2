"""Two ranks per trial: Ray Train's ``TorchTrainer`` inside a Tune trial, against ours in the trial's placement group.

Both train in trials one after the other, and the second rank of the last trial is killed once:

- *start*: from the trial's start to the first exchange between its ranks; the first trial also starts the processes.
- *end*: from the last exchange to the end of the trial, when the next one may start.
- *again*: from the kill to the first exchange afterwards.

``TorchTrainer`` starts its controller, the cleaner of its placement group and all ranks anew for each trial.
"""

from __future__ import annotations

import argparse
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import psutil
from tests.tools.micro_model import MICRO

from yolosweep.ledger import read_events
from yolosweep.records.events import EpochRecorded, TrialEnded, TrialStarted

EXCHANGES = 10
NESTED = "--nested"


def ranks(asked: dict[str, Any]) -> None:
    """Train on one rank of Ray Train: exchange a tensor some times, and die once where that is asked for."""
    import torch
    import torch.distributed as dist
    import ultralytics.engine.trainer

    assert ultralytics
    values, folder = torch.ones(4), Path(asked["folder"])
    dist.all_reduce(values)
    if not dist.get_rank():
        (folder / f"first-{asked['number']}-{time.time()}").touch()
    died = folder / "died"
    if asked["dies"] and dist.get_rank() and not died.exists():
        died.write_text(str(time.time()))
        os.kill(os.getpid(), 9)
    for _ in range(EXCHANGES):
        dist.all_reduce(values)
    if not dist.get_rank():
        (folder / f"last-{asked['number']}-{time.time()}").touch()


def nested(folder: Path, trials: int) -> None:
    """Run the trials through Tune, each a ``TorchTrainer``; the files they leave have the times in their names."""
    import ray
    from ray import tune

    def trial(config: dict[str, Any]) -> None:
        from ray.train import FailureConfig, RunConfig, ScalingConfig
        from ray.train.torch import TorchConfig, TorchTrainer

        number = config["number"]
        (folder / f"begun-{number}-{time.time()}").touch()
        TorchTrainer(
            ranks,
            train_loop_config={"folder": str(folder), "number": number, "dies": number == trials - 1},
            torch_config=TorchConfig(backend="gloo"),
            scaling_config=ScalingConfig(num_workers=2, resources_per_worker={"CPU": 1}),
            run_config=RunConfig(
                name=f"t{number}", storage_path=str(folder / "train"), failure_config=FailureConfig(max_failures=1)
            ),
        ).fit()
        (folder / f"ended-{number}-{time.time()}").touch()
        tune.report({"number": number})

    ray.init(address="local", num_cpus=4, include_dashboard=False, log_to_driver=False)
    tune.Tuner(
        tune.with_resources(trial, {"CPU": 0.01}),
        param_space={"number": tune.grid_search(list(range(trials)))},
        tune_config=tune.TuneConfig(max_concurrent_trials=1),
        run_config=tune.RunConfig(name="tune", storage_path=str(folder), verbose=0),
    ).fit()


def times_of(folder: Path, what: str, number: int) -> list[float]:
    """Return when something happened in a trial, in order."""
    return sorted(float(file.name.split("-", 2)[2]) for file in folder.glob(f"{what}-{number}-*"))


def with_ray_train(folder: Path, trials: int) -> tuple[list[float], list[float], float]:
    """Return starts and ends of the trials, and the seconds from the kill to the next exchange."""
    environment = {**os.environ, "RAY_TRAIN_V2_ENABLED": "1", "PYTHONPATH": os.pathsep.join(sys.path)}
    command = [sys.executable, "-m", "tests.bench.ray_train", NESTED, str(folder), "--trials", str(trials)]
    subprocess.run(command, env=environment, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    begun, first, last, ended = (
        [times_of(folder, what, number) for number in range(trials)] for what in ("begun", "first", "last", "ended")
    )
    starts = [first[number][0] - begun[number][0] for number in range(trials)]
    ends = [ended[number][0] - last[number][-1] for number in range(trials)]
    return starts, ends, first[-1][-1] - float((folder / "died").read_text())


def with_our_ranks(folder: Path, trials: int) -> tuple[list[float], list[float], float]:
    """Return starts and ends of the trials, and the seconds from the kill to the next epoch; without the epochs."""
    experiment = folder / "two_ranks.yaml"
    experiment.write_text(
        f"name: ranks\nmodel: {MICRO}\ndata: sample:parking\n"
        "train: {epochs: 6, imgsz: 64, batch: 16, nbs: 16, optimizer: AdamW, fraction: 0.2, warmup_epochs: 1}\n"
        f"search: {{trials: {trials}, pruner: none, finals: none, parameters: {{lr0: {{min: 0.001, max: 0.01}}}}}}\n"
        "resources: {workers: 2, gpus_per_trial: 0, cpus_per_trial: 2, max_concurrent: 1}\n"
    )
    command = [sys.executable, "-m", "yolosweep", "run", str(experiment), f"storage={folder / 'runs'}"]
    sweep = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    killed, last = 0.0, f"t{trials - 1:04}"
    while sweep.poll() is None:
        if not killed and any(isinstance(one, EpochRecorded) and one.trial == last for one in events(folder)):
            below = psutil.Process(sweep.pid).children(recursive=True)
            for process in below:
                if "ray::_Rank" in process.name() or "ray::_Rank" in " ".join(process.cmdline()):
                    process.kill()
                    killed = time.time()
        time.sleep(0.05)
    told = events(folder)
    begun = {event.request.trial: event.at for event in told if isinstance(event, TrialStarted)}
    ended = {event.record.trial: event.at for event in told if isinstance(event, TrialEnded)}
    epochs = [event for event in told if isinstance(event, EpochRecorded)]
    starts, ends = [], []
    for name in begun:
        mine = [event for event in epochs if event.trial == name]
        starts.append((mine[0].at - begun[name]).total_seconds() - mine[0].row.seconds)
        ends.append((ended[name] - mine[-1].at).total_seconds())
    after = next(event for event in epochs if event.trial == last and event.at.timestamp() > killed)
    return starts, ends, after.at.timestamp() - after.row.seconds - killed


def events(folder: Path) -> list[Any]:
    """Return what the ledger of the sweep holds by now."""
    return [event for ledger in folder.glob("runs/*/ledger.jsonl") for event in read_events(ledger)]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--trials", type=int, default=3, help="trials of each (default 3)")
    parser.add_argument(NESTED, type=Path, help=argparse.SUPPRESS)
    asked = parser.parse_args()
    if asked.nested:
        nested(asked.nested, asked.trials)
        return
    print(f"{'seconds':28}  first start  later starts    ends  again after a kill")
    for name, measured in (("TorchTrainer inside Tune", with_ray_train), ("our ranks", with_our_ranks)):
        folder = Path(tempfile.mkdtemp())
        starts, ends, again = measured(folder, asked.trials)
        shutil.rmtree(folder)
        later, end = statistics.median(starts[1:]), statistics.median(ends)
        print(f"{name:28}  {starts[0]:11.1f}  {later:12.1f}  {end:6.1f}  {again:18.1f}", flush=True)


if __name__ == "__main__":
    main()
