"""The same faults against a sweep and against a plain Ray Tune script: what is lost, repeated, and how long it takes.

Both train the toy model with the same learning rates, two at a time, with a checkpoint after every epoch. Ray Tune has
``FailureConfig(max_failures=3)`` and ``Tuner.restore``. A schedule is drawn from a seed; each fault waits for so many
more epochs. Every process writes the epochs it trains into a log of the bench's own, by which both are judged. A sweep
in which no epoch begins for ``--patience`` seconds is helped: what hangs is killed, which counts as help.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import random
import shutil
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import psutil
from rich.console import Console
from rich.table import Table
from tests.bench.rig import REPOSITORY, Rig

from yolosweep.backends.toy.crops import read_crops
from yolosweep.backends.toy.model import ACCURACY, Descent
from yolosweep.data.samples.dataset import draw_parking
from yolosweep.ledger import RunFolder
from yolosweep.ledger.history import History

VICTIMS = ("worker", "worker", "driver", "raylet", "pause")
RATES = (0.02, 0.05, 0.1, 0.2)
EPOCH_S = 0.3

LOGGED = f"""
import importlib.util, os, sys, time

class Finder:
    def find_spec(self, name, path=None, target=None):
        if name != "yolosweep.backends.toy.model":
            return None
        sys.meta_path.remove(self)
        spec = importlib.util.find_spec(name)
        load = spec.loader.exec_module
        def exec_module(module):
            load(module)
            train = module.Descent.epoch
            def tell(what, descent, number):
                line = f"{{time.time()}} {{os.getpid()}} {{what}} {{descent._lr!r}} {{number}}\\n"
                with open(os.environ["FAULTS_LOG"], "a") as log:
                    log.write(line)
            def epoch(descent, number):
                tell("begin", descent, number)
                time.sleep({EPOCH_S})
                yield from train(descent, number)
                tell("end", descent, number)
            module.Descent.epoch = epoch
        spec.loader.exec_module = exec_module
        return spec

sys.meta_path.insert(0, Finder())
"""


@dataclass(frozen=True, kw_only=True)
class Fault:
    """What is struck, after so many more epochs."""

    victim: str
    epochs: int


@dataclass(frozen=True)
class Line:
    """One line of the log."""

    at: float
    pid: int
    what: str
    trial: str
    epoch: int


@dataclass(kw_only=True)
class Outcome:
    """What a schedule did to one contestant."""

    lost: int = 0
    repeated: int = 0
    recovery_s: list[float] = field(default_factory=list)
    helped: int = 0
    right: bool = False


def schedule(seed: int, faults: int, epochs: int) -> list[Fault]:
    """Draw the faults of a seed, at least half of them in the first half of the sweep."""
    rng, most = random.Random(seed), len(RATES) * epochs // (faults + 2)
    return [Fault(victim=rng.choice(VICTIMS), epochs=rng.randint(1, most)) for _ in range(faults)]


Recorded = dict[str, tuple[list[int], float | None]]
"""The recorded epochs and the last score of every trial, by its learning rate."""


class Contest:
    """One contestant under one schedule."""

    def __init__(self, bench: Rig, home: Path, start: list[str], resume: Callable[[], list[str]]) -> None:
        self._bench, self._home, self._start, self._resume = bench, home, start, resume
        self._log, self.outcome = home / "epochs.log", Outcome()
        self._process = self._run(start)

    def _run(self, command: list[str]) -> subprocess.Popen[bytes]:
        path = os.pathsep.join((str(self._home / "site"), os.environ.get("PYTHONPATH", str(REPOSITORY / "platform"))))
        more = {"PYTHONPATH": path, "FAULTS_LOG": str(self._log), "RAY_AUTH_MODE": "disabled"}
        return self._bench.start(command, self._home, **more)

    def lines(self) -> list[Line]:
        """Return the log as it is now."""
        if not self._log.exists():
            return []
        words = [line.split() for line in self._log.read_text().splitlines()]
        return [Line(float(one[0]), int(one[1]), one[2], one[3], int(one[4])) for one in words if len(one) == 5]

    def _wait(self, condition: Callable[[], bool], patience_s: float) -> bool:
        """Wait for a condition; False where the command ended before, or nothing trains for too long."""
        seen, since = len(self.lines()), time.monotonic()
        while not condition():
            if self._process.poll() is not None:
                return condition()
            if len(self.lines()) != seen:
                seen, since = len(self.lines()), time.monotonic()
            if time.monotonic() - since > patience_s:
                return False
            time.sleep(0.05)
        return True

    def go(self, faults: list[Fault], patience_s: float, restarts: int = 8) -> None:
        """Strike as planned, restarting the driver where it died; return when the sweep has ended or is given up."""
        for fault in faults:
            wanted = self._ended() + fault.epochs
            if not self._to_the_end_or(lambda wanted=wanted: self._ended() >= wanted, patience_s, restarts):
                return
            self._strike(fault.victim, patience_s)
        self._to_the_end_or(lambda: False, patience_s, restarts)

    def _ended(self) -> int:
        return sum(line.what == "end" for line in self.lines())

    def _to_the_end_or(self, condition: Callable[[], bool], patience_s: float, restarts: int) -> bool:
        """Wait for a condition; False once the sweep has ended by itself, or is given up."""
        for _ in range(restarts):
            if self._wait(condition, patience_s):
                return True
            if self._process.poll() == 0:
                return False
            if self._process.poll() is None:  # it hangs
                self.outcome.helped += 1
            self._kill_all()
            self._process = self._run(self._resume())
        return False

    def _kill_all(self) -> None:
        for one in self._family():
            with contextlib.suppress(psutil.Error):
                one.kill()
        self._process.wait()

    def close(self) -> None:
        """End what is left."""
        self._kill_all()

    def _family(self) -> list[psutil.Process]:
        """Return all processes that this contestant has started: they know the bench's log."""
        found = []
        for one in psutil.process_iter():
            with contextlib.suppress(psutil.Error):
                if one.environ().get("FAULTS_LOG") == str(self._log):
                    found.append(one)
        return found

    def _strike(self, victim: str, patience_s: float) -> None:
        last = {line.trial: line for line in self.lines()}
        at_work = {trial: line for trial, line in last.items() if psutil.pid_exists(line.pid) and line.what == "begin"}
        if victim in ("worker", "pause"):
            at_work = dict(list(at_work.items())[:1])
        began = time.time()
        if victim in ("worker", "pause"):
            for line in at_work.values():
                os.kill(line.pid, signal.SIGKILL if victim == "worker" else signal.SIGSTOP)
        elif victim == "driver":
            self._process.kill()
        else:
            for one in psutil.Process(self._process.pid).children(recursive=True):
                if one.name() == "raylet":
                    one.kill()

        def back() -> bool:
            new = {line.trial for line in self.lines() if line.what == "end" and line.at > began + EPOCH_S}
            return all(trial in new for trial in at_work)

        if self._to_the_end_or(back, patience_s, 3) and at_work:
            self.outcome.recovery_s.append(time.time() - began)


def judge(contest: Contest, epochs: int, recorded: Recorded, calm: dict[str, float]) -> None:
    """Compare what a contestant says at its end with the log and with undisturbed trainings."""
    ends = [(line.trial, line.epoch) for line in contest.lines() if line.what == "end"]
    contest.outcome.repeated = len(ends) - len(set(ends))
    contest.outcome.lost = sum(epochs - len(recorded.get(trial, ([], None))[0]) for trial in calm)
    whole = {trial: found[1] for trial, found in recorded.items() if found[0] == list(range(1, epochs + 1))}
    contest.outcome.right = whole == calm


def of_ours(storage: Path) -> Recorded:
    """Return what the ledger has of every trial, by its learning rate."""
    found = {}
    for ledger in storage.glob("*/ledger.jsonl"):
        for trial in History.of(RunFolder(ledger.parent)).trials.values():
            rows = trial.rows
            key = repr(float(trial.request.settings["lr0"]))
            found[key] = ([row.epoch for row in rows], rows[-1].score if rows and trial.record else None)
    return found


def of_tune(done: Path) -> Recorded:
    """Return what Ray Tune has of every trial, by its learning rate."""
    if not done.exists():
        return {}
    return {trial: (one["epochs"], one["accuracy"]) for trial, one in json.loads(done.read_text()).items()}


def undisturbed(data: Path, epochs: int) -> dict[str, float]:
    """Train in this process; return the last accuracy by learning rate."""
    train, val = (read_crops(str(data), split) for split in ("train", "val"))
    found = {}
    for rate in RATES:
        descent = Descent(train, batch=16, lr0=rate, weight_decay=0.0, seed=0)
        for epoch in range(1, epochs + 1):
            for _ in descent.epoch(epoch):
                pass
        found[repr(rate)] = descent.model().measured(val)[ACCURACY]
    return found


def home_of(bench: Rig, name: str) -> Path:
    """Return a home whose Python processes log their epochs."""
    home = bench.root / name
    (home / "site").mkdir(parents=True)
    (home / "site" / "sitecustomize.py").write_text(LOGGED)
    return home


def ours(bench: Rig, name: str, data: Path, epochs: int) -> tuple[Contest, Callable[[], Recorded]]:
    """Start a sweep."""
    home = home_of(bench, name)
    storage = home / "runs"
    words = (
        "search.searcher=grid", "search.pruner=none", f"train.epochs={epochs}", "train.patience=0",
        f"train.lr0={RATES[0]}", "train.batch=16", "train.weight_decay=0.0", f"search.trials={len(RATES)}",
        f"search.parameters={{lr0: {{values: [{', '.join(map(str, RATES))}]}}}}", "trial.stall_timeout=10s",
        "resources.max_concurrent=2", "resources.cpus_per_trial=1", f"data={data}", f"storage={storage}",
    )  # fmt: skip
    toy = str(REPOSITORY / "jobs" / "experiments" / "toy.yaml")
    command = [sys.executable, "-m", "yolosweep"]

    def resume() -> list[str]:
        folders = [ledger.parent for ledger in storage.glob("*/ledger.jsonl")]
        return [*command, "resume", str(folders[0])] if folders else [*command, "run", toy, *words]

    return Contest(bench, home, [*command, "run", toy, *words], resume), lambda: of_ours(storage)


def plain(bench: Rig, name: str, data: Path, epochs: int) -> tuple[Contest, Callable[[], Recorded]]:
    """Start the plain Ray Tune script."""
    home = home_of(bench, name)
    done, asked = home / "done.json", home / "asked.json"
    about = {"lr0": RATES, "data": str(data), "epochs": epochs, "storage": str(home / "tune"), "done": str(done)}
    asked.write_text(json.dumps(about))
    command = [sys.executable, str(Path(__file__).with_name("plain_tune.py")), str(asked)]
    return Contest(bench, home, command, lambda: command), lambda: of_tune(done)


CONTESTANTS = {"yolosweep": ours, "Ray Tune": plain}


def measure(bench: Rig, seeds: list[int], faults: int, epochs: int, patience_s: float) -> dict[str, list[Outcome]]:
    """Let both take turns at each schedule and return what became of them."""
    data = draw_parking(bench.root / "parking", images={"train": 12, "val": 8}, size=64)
    calm, outcomes = undisturbed(data, epochs), {name: list[Outcome]() for name in CONTESTANTS}
    for seed in seeds:
        for name, begin in CONTESTANTS.items():
            contest, recorded = begin(bench, f"{name.replace(' ', '')}-{seed}", data, epochs)
            try:
                contest.go(schedule(seed, faults, epochs), patience_s)
            finally:
                contest.close()
            judge(contest, epochs, recorded(), calm)
            outcomes[name].append(contest.outcome)
            print(seed, [fault.victim for fault in schedule(seed, faults, epochs)], name, contest.outcome, flush=True)
    return outcomes


def main(words: list[str] | None = None) -> None:
    """Run the bench and print its table."""
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.ArgumentDefaultsHelpFormatter)
    arguments.add_argument("--seeds", type=int, nargs="+", default=list(range(10)), help="one schedule each")
    arguments.add_argument("--faults", type=int, default=3, help="faults of a schedule")
    arguments.add_argument("--epochs", type=int, default=20, help="epochs of each of the four trials")
    arguments.add_argument("--patience", type=float, default=120.0, help="seconds without an epoch that are a hang")
    asked = arguments.parse_args(words)
    root = Path(tempfile.mkdtemp(prefix="yolosweep-bench-"))
    bench = Rig(data=root, root=root, epochs=0, imgsz=0, batch=0, threads=1, repeats=1, model="toy/red")
    try:
        outcomes = measure(bench, asked.seeds, asked.faults, asked.epochs, asked.patience)
    finally:
        bench.stop()
        shutil.rmtree(root, ignore_errors=True)
    table = Table(title=f"{len(asked.seeds)} schedules of {asked.faults} faults", title_justify="left")
    for column in ("", "epochs lost", "epochs repeated", "s to recover, median", "most", "hangs", "ended right"):
        table.add_column(column, justify="left" if column == "" else "right")
    for name, found in outcomes.items():
        seconds = [one for outcome in found for one in outcome.recovery_s] or [float("nan")]
        table.add_row(
            name, str(sum(one.lost for one in found)), str(sum(one.repeated for one in found)),
            f"{statistics.median(seconds):.1f}", f"{max(seconds):.1f}", str(sum(one.helped for one in found)),
            f"{sum(one.right for one in found)} of {len(found)}",
        )  # fmt: skip
    Console(width=120).print(table)


if __name__ == "__main__":
    main()
