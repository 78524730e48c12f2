"""The same faults against a sweep and against a plain Ray Tune script: what is lost, repeated, and how long it takes.

Both train the toy model with the same learning rates, two at a time, with a checkpoint after every epoch. Ray Tune has
``FailureConfig(max_failures=3)`` and ``Tuner.restore``. A schedule is drawn from a seed. Every process logs the epochs
it trains, and both contestants are judged by that log. A result counts as acknowledged once its process begins the next
epoch. Outcomes are appended to ``--results``, where an interrupted bench continues.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import logging
import os
import shutil
import signal
import statistics
import sys
import tempfile
import threading
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from pathlib import Path

import psutil
from rich.console import Console
from rich.table import Table
from tests.bench.fault_contest import Contest, Line, Outcome, Schedule
from tests.bench.fault_places import Bucket, Folder, SmallDisk
from tests.bench.rig import MARK, REPOSITORY, Rig

from yolosweep.backends.toy.crops import read_crops
from yolosweep.backends.toy.model import Descent
from yolosweep.data.samples.parking_dataset import draw_parking
from yolosweep.ledger import runs_below
from yolosweep.ledger.history import History

RATES = (0.01, 0.05, 0.1, 0.2)  # the first one is the default
Curves = dict[str, dict[int, float | None]]
"""Scores by learning rate and epoch."""


@dataclass(frozen=True, kw_only=True)
class Course:
    """What all contests share."""

    bench: Rig
    data: Path
    epochs: int
    faults: int
    patience_s: float
    server: str
    calm: Curves
    failures: Path
    """Where the logs of sweeps that did not end right are kept."""


def undisturbed(data: Path, epochs: int) -> Curves:
    """Train in this process."""
    train, val = (read_crops(str(data), split) for split in ("train", "val"))
    found: Curves = {}
    for rate in RATES:
        descent = Descent(train, batch=16, lr0=rate, weight_decay=0.0, seed=0)
        for epoch in range(1, epochs + 1):
            for _ in descent.epoch(epoch):
                pass
            found.setdefault(repr(rate), {})[epoch] = descent.model().measured(val)["val/loss"]
    return found


def acknowledged(lines: Iterable[Line], epochs: int) -> tuple[set[tuple[str, int]], set[tuple[str, int]]]:
    """Return the results that were acknowledged, and those of them that were trained again afterwards."""
    last: dict[int, Line] = {}
    known: set[tuple[str, int]] = set()
    again: set[tuple[str, int]] = set()
    for line in lines:
        before = last.get(line.pid)
        if line.what == "begin" and before is not None and before.what == "end":
            is_next = (line.trial, line.epoch) == (before.trial, before.epoch + 1)
            known.update([(before.trial, before.epoch)] if is_next or before.epoch == epochs else [])
        if line.what == "begin" and (line.trial, line.epoch) in known:
            again.add((line.trial, line.epoch))
        last[line.pid] = line
    return known, again


def judge(contest: Contest, course: Course, recorded: Curves) -> None:
    """Compare what a contestant says at its end with the log and with undisturbed trainings."""
    outcome, lines = contest.outcome, contest.lines()
    ends = [(line.trial, line.epoch) for line in lines if line.what == "end"]
    known, again = acknowledged(lines, course.epochs)
    wrong = {
        (trial, epoch) for trial, epoch in known
        if recorded.get(trial, {}).get(epoch, "none") != course.calm[trial][epoch]
    }  # fmt: skip
    outcome.repeated = len(ends) - len(set(ends))
    outcome.lost = sum(len(curve.keys() - recorded.get(trial, {}).keys()) for trial, curve in course.calm.items())
    outcome.acknowledged, outcome.acknowledged_lost, outcome.acknowledged_repeated = map(len, (known, wrong, again))
    outcome.right = contest.has_ended and recorded == course.calm


def of_ours(place: Folder) -> Curves:
    """Return what the ledger has of every trial that ended well; nothing unless the best one is the winner."""
    (run,) = runs_below(place.readable())
    history = History.of(run)
    found: Curves = {}
    for trial in history.trials.values():
        found[repr(float(trial.request.settings["lr0"]))] = {row.epoch: row.score for row in trial.rows}
        if trial.record is None or trial.record.ending.value != "finished":
            return {}
    return found if history.winner and history.winner.trial == history.ranked()[0].request.trial else {}


def of_tune(done: Path) -> Curves:
    """Return what Ray Tune has of every trial."""
    found = json.loads(done.read_text()) if done.exists() else {}
    return {trial: {int(epoch): score for epoch, score in curve.items()} for trial, curve in found.items()}


Contestant = tuple[Contest, Callable[[], Curves]]


def ours(course: Course, home: Path, place: Folder) -> Contestant:
    """Return a sweep."""
    words = (
        "search.searcher=grid", "search.pruner=none", "search.metric=val/loss", "search.mode=min",
        f"train.epochs={course.epochs}", "train.patience=0",
        "train.batch=16", "train.weight_decay=0.0", f"search.trials={len(RATES)}",
        f"search.parameters={{lr0: {{values: [{', '.join(map(str, RATES))}]}}}}", "trial.stall_timeout=10s",
        "resources.max_concurrent=2", "resources.cpus_per_trial=1", f"data={course.data}", f"storage={place.storage}",
    )  # fmt: skip
    command = [sys.executable, "-m", "yolosweep"]
    start = [*command, "run", str(REPOSITORY / "jobs" / "experiments" / "toy.yaml"), *words]

    def resume() -> list[str]:
        found = place.runs()
        return [*command, "resume", found[0]] if found else start

    contest = Contest(course.bench, home, place, start=start, resume=resume, patience_s=course.patience_s)
    return contest, lambda: of_ours(place)


def plain(course: Course, home: Path, place: Folder) -> Contestant:
    """Return the plain Ray Tune script."""
    done, asked = home / "done.json", home / "asked.json"
    what = {"lr0": RATES, "data": str(course.data), "epochs": course.epochs, "done": str(done)}
    asked.write_text(json.dumps({**what, "storage": place.plain, "endpoint": place.endpoint}))
    command = [sys.executable, str(Path(__file__).with_name("plain_tune.py")), str(asked)]
    contest = Contest(course.bench, home, place, start=command, resume=lambda: command, patience_s=course.patience_s)
    return contest, lambda: of_tune(done)


CONTESTANTS = {"yolosweep": ours, "Ray Tune": plain}


@dataclass(frozen=True, kw_only=True)
class Result:
    """One line of the results."""

    contestant: str
    schedule: Schedule
    outcome: Outcome


def read(results: Path) -> list[Result]:
    """Return the lines of the results."""
    lines = map(json.loads, results.read_text().splitlines()) if results.exists() else ()
    return [
        Result(contestant=one["contestant"], schedule=Schedule(**one["schedule"]), outcome=Outcome(**one["outcome"]))
        for one in lines
    ]


def keep(home: Path, place: Folder, kept: Path) -> None:
    """Keep the logs and the ledger of a contest."""
    kept.mkdir(parents=True, exist_ok=True)
    for file in [*home.glob("*.*"), *(run.ledger for run in runs_below(place.readable()))]:
        shutil.copy(file, kept)


def contested(course: Course, name: str, seed: int) -> Result:
    """Run one contest and return its result."""
    schedule = Schedule.drawn(seed, course.faults, course.epochs * len(RATES))
    home = course.bench.root / f"{name.replace(' ', '')}-{seed}"
    home.mkdir()
    places = {"folder": Folder, "disk": SmallDisk, "bucket": lambda home: Bucket(home, course.server)}
    place = places[schedule.place](home)
    contest, recorded = CONTESTANTS[name](course, home, place)
    try:
        try:
            contest.go(schedule, course.epochs)
        finally:
            contest.close()
        judge(contest, course, recorded())
        if not contest.outcome.right or contest.outcome.acknowledged_lost or contest.outcome.helped:
            keep(home, place, course.failures / home.name)
    finally:
        place.close()
        shutil.rmtree(home, ignore_errors=True)
    return Result(contestant=name, schedule=schedule, outcome=contest.outcome)


@contextlib.contextmanager
def s3_server() -> Iterator[str]:
    """Start an S3 server in this process and yield its host and port."""
    from moto.server import ThreadedMotoServer

    os.environ.update(AWS_ACCESS_KEY_ID="someone", AWS_SECRET_ACCESS_KEY="something", AWS_EC2_METADATA_DISABLED="true")
    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    yield "{}:{}".format(*server.get_host_and_port())
    server.stop()


def measure(asked: argparse.Namespace, bench: Rig) -> None:
    """Let the contestants run each schedule that the results lack."""
    data = draw_parking(bench.root / "parking", images={"train": 12, "val": 8}, size=64)
    known = {(result.contestant, result.schedule.seed) for result in read(asked.results)}
    seeds = range(asked.first, asked.first + asked.schedules)
    wanted = [(name, seed) for seed in seeds for name in asked.contestants if (name, seed) not in known]
    lock = threading.Lock()
    pool = ThreadPoolExecutor(asked.jobs)
    with s3_server() as server:
        course = Course(
            bench=bench, data=data, epochs=asked.epochs, faults=asked.faults, patience_s=asked.patience, server=server,
            calm=undisturbed(data, asked.epochs), failures=asked.results.with_suffix(".failures"),
        )  # fmt: skip

        def contest(one: tuple[str, int]) -> None:
            line = json.dumps(asdict(contested(course, *one)))
            with lock, asked.results.open("a") as results:
                results.write(line + "\n")
            print(line, flush=True)

        for done in [pool.submit(contest, one) for one in wanted]:
            done.result()


def end_all(bench: Rig) -> None:
    """Kill all processes of contests that were interrupted."""
    for one in psutil.process_iter():
        with contextlib.suppress(psutil.Error):
            if one.environ().get(MARK) == bench.mark:
                one.kill()


def show(results: list[Result]) -> None:
    """Print the tables."""
    names = [name for name in CONTESTANTS if any(result.contestant == name for result in results)]
    found = {name: [one.outcome for one in results if one.contestant == name] for name in names}
    table = Table("", *names, title="Schedules of faults", title_justify="left")
    table.add_row("schedules", *(str(len(all_of)) for all_of in found.values()))
    table.add_row("faults", *(str(sum(len(one.struck) for one in all_of)) for all_of in found.values()))
    table.add_row("ended right", *(str(sum(one.right for one in all_of)) for all_of in found.values()))
    table.add_row("hung, killed from outside", *(str(sum(one.helped for one in all_of)) for all_of in found.values()))
    for what in ("lost", "repeated", "acknowledged", "acknowledged_lost", "acknowledged_repeated"):
        name = f"epochs {what.replace('_', ', ')}"
        table.add_row(name, *(str(sum(getattr(one, what) for one in all_of)) for all_of in found.values()))
    for kind in sorted({kind for result in results for kind in result.outcome.struck}):
        seconds = [[s for one in all_of for what, s in one.recovery_s if what == kind] for all_of in found.values()]
        cells = (f"{statistics.median(n):.1f} (most {max(n):.1f}, n = {len(n)})" if n else "" for n in seconds)
        table.add_row(f"{kind}: s to recover, median", *cells)
    Console(width=120).print(table)


def main(words: list[str] | None = None) -> None:
    """Run the bench and print its table."""
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.ArgumentDefaultsHelpFormatter)
    arguments.add_argument("--results", type=Path, required=True, help="outcomes are appended here, a line for each")
    arguments.add_argument("--first", type=int, default=0, help="seed of the first schedule")
    arguments.add_argument("--schedules", type=int, default=10, help="how many; 0 prints the table")
    arguments.add_argument("--contestants", nargs="+", choices=CONTESTANTS, default=list(CONTESTANTS))
    arguments.add_argument("--faults", type=int, default=2, help="faults of a schedule")
    arguments.add_argument("--epochs", type=int, default=10, help="epochs of each of the four trials")
    arguments.add_argument("--patience", type=float, default=150.0, help="seconds without an epoch that are a hang")
    arguments.add_argument("--jobs", type=int, default=1, help="contests at a time")
    asked = arguments.parse_args(words)
    root = Path(tempfile.mkdtemp(prefix="f"))  # short: paths of Ray's sockets are limited
    (root / "t").mkdir()
    os.environ["XDG_CACHE_HOME"] = str(root / "cache")
    bench = Rig(data=root, root=root, epochs=0, imgsz=0, batch=0, threads=1, repeats=1, model="toy/red")
    signal.signal(signal.SIGTERM, lambda number, frame: sys.exit(128 + number))
    try:
        measure(asked, bench)
    except (KeyboardInterrupt, SystemExit):
        end_all(bench)
        shutil.rmtree(root, ignore_errors=True)
        os._exit(130)  # contests that were not over are repeated when the bench continues
    shutil.rmtree(root, ignore_errors=True)
    show(read(asked.results))


if __name__ == "__main__":
    main()
