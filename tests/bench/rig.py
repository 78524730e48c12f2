"""What the benches share: the fixed settings, clean environments, processes, and the printed table.

All variants train the same thing: same model, photos, image size, epochs, batch, optimizer, seed and CPU threads, with
plots, mixed precision and loader workers off. Every variant gets a home of its own, so that nothing is taken from (or
left in) the user's, and a copy of the photos that it may write label caches to. Nothing here reaches the network.
"""

from __future__ import annotations

import argparse
import contextlib
import csv
import os
import secrets
import shutil
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from yolosweep.ledger import read_events
from yolosweep.records import Ending
from yolosweep.records.events import EpochRecorded, TrialEnded, TrialStarted

REPOSITORY = Path(__file__).resolve().parents[2]
PHOTOS = REPOSITORY.parent / "shared" / "data" / "bccd_tiny" / "data.yaml"
MARK = "YOLOSWEEP_BENCH"
"""Environment variable by which every process that a bench started, however remotely, is found again."""

_YOLO = "from ultralytics.cfg import entrypoint; entrypoint()"
"""The ``yolo`` command, also where its script is not on the path."""
_GRACE_S = 60.0


@dataclass(frozen=True, kw_only=True)
class Line:
    """One figure of a bench; ``ratio`` to what it is compared with, where it is."""

    what: str
    value: float
    unit: str = "s"
    samples: int = 1
    spread: tuple[float, float] = (0.0, 0.0)
    ratio: float | None = None
    target: float | None = None


def line(what: str, samples: Sequence[float], *, unit: str = "s", to: float | None = None, **more: Any) -> Line:
    """Return the median of ``samples`` as a line, with its ratio to ``to``."""
    value = statistics.median(samples)
    ratio = value / to if to else None
    return Line(
        what=what,
        value=value,
        unit=unit,
        samples=len(samples),
        spread=(min(samples), max(samples)),
        ratio=ratio,
        **more,
    )


@dataclass(frozen=True, kw_only=True)
class Rig:
    """The fixed settings, and a scratch folder that holds everything a bench writes."""

    data: Path
    root: Path
    epochs: int
    imgsz: int
    batch: int
    threads: int
    repeats: int
    model: str = "yolo11n.yaml"
    mark: str = field(default_factory=lambda: secrets.token_hex(8))
    loads: list[float] = field(default_factory=list)
    started: list[subprocess.Popen[bytes]] = field(default_factory=list)

    def train(self, **more: Any) -> dict[str, Any]:
        """Return the Ultralytics train arguments that all variants share."""
        return {
            "epochs": self.epochs, "imgsz": self.imgsz, "batch": self.batch, "nbs": self.batch,
            "optimizer": "AdamW", "lr0": 0.002,
            "amp": False, "plots": False, "workers": 0, "seed": 0, **more,
        }  # fmt: skip

    def home(self, name: str) -> Path:
        """Return a home folder with Ultralytics' settings folder in it, its font placed so that none is fetched."""
        import matplotlib

        home = self.root / name
        settings = home / "config" / "Ultralytics"
        settings.mkdir(parents=True, exist_ok=True)
        for font in ("Arial.ttf", "Arial.Unicode.ttf"):
            shutil.copy(Path(matplotlib.get_data_path()) / "fonts" / "ttf" / "DejaVuSans.ttf", settings / font)
        return home

    def environment(self, home: Path, **more: str) -> dict[str, str]:
        """Return the environment of a process that is at home in ``home``, offline, and marked as ours."""
        dropped = ("WANDB", "RAY_", "YOLO", "ULTRALYTICS", "XDG", "OMP_", "MKL_", "PYTEST")
        kept = {key: value for key, value in os.environ.items() if not key.startswith(dropped)}
        return {
            **kept, "HOME": str(home), "XDG_CACHE_HOME": str(home / "cache"), "YOLO_CONFIG_DIR": str(home / "config"),
            "YOLO_OFFLINE": "true", "YOLO_AUTOINSTALL": "false", "NO_ALBUMENTATIONS_UPDATE": "1", "MPLBACKEND": "Agg",
            "RAY_USAGE_STATS_ENABLED": "0", "RAY_worker_niceness": "0", "NO_COLOR": "1", MARK: self.mark, **more,
        }  # fmt: skip

    def start(self, command: Sequence[str], home: Path, **more: str) -> subprocess.Popen[bytes]:
        """Start a command in ``home``; what it prints goes to ``home/log.txt``."""
        with (home / "log.txt").open("ab") as log:
            process = subprocess.Popen(
                list(command), cwd=home, env=self.environment(home, **more), stdout=log, stderr=subprocess.STDOUT
            )
        self.started.append(process)
        return process

    def stop(self) -> None:
        """End what was started and still runs: a bench was interrupted."""
        for process in self.started:
            if process.poll() is None:
                process.terminate()
                with contextlib.suppress(subprocess.TimeoutExpired):
                    process.wait(_GRACE_S)
                process.kill()

    def run(self, command: Sequence[str], home: Path, **more: str) -> float:
        """Run a command to its end and return its wall seconds.

        Raises:
            RuntimeError: it failed; the end of its output is in the message.
        """
        self.loads.append(os.getloadavg()[0])
        began = time.perf_counter()
        process = self.start(command, home, **more)
        finish(process, home)
        return time.perf_counter() - began

    def plain_home(self) -> Path:
        """Return a home for plain ``yolo train``: without the Ray integration, which would import Ray each time."""
        home = self.home("plain")
        if not (home / "config" / "Ultralytics" / "settings.json").exists():
            self.run([sys.executable, "-c", _YOLO, "settings", "raytune=False"], home)
        return home

    def yolo_train(self, home: Path, name: str, **more: Any) -> tuple[list[str], Path]:
        """Return the command of a plain ``yolo train`` and the folder of its results."""
        settings = {
            **self.train(model=self.model, data=self.data, device="cpu", project=home / "runs", name=name),
            **more,
        }
        words = [f"{key}={value}" for key, value in settings.items()]
        return [sys.executable, "-c", _YOLO, "detect", "train", *words], home / "runs" / name

    def sweep(self, home: Path, *, trials: int, slots: int = 1, **more: Any) -> tuple[list[str], Path]:
        """Return the command of our sweep over the same training, and the folder of its run."""
        from ruamel.yaml import YAML

        train = {key: value for key, value in self.train().items() if key not in ("lr0", "seed")}
        storage = home / f"sweep-{secrets.token_hex(3)}"
        experiment = {
            "name": "bench", "model": self.model, "data": str(self.data), "train": train, "storage": str(storage),
            "search": {
                "trials": trials, "searcher": "random", "pruner": "none",
                "parameters": {"lr0": {"min": 0.0019, "max": 0.0021}},
            },
            "resources": {"gpus_per_trial": 0, "cpus_per_trial": self.threads, "max_concurrent": slots}, **more,
        }  # fmt: skip
        file = home / f"{storage.name}.yaml"
        with file.open("w", encoding="utf-8") as stream:
            YAML(typ="safe").dump(experiment, stream)
        return [sys.executable, "-m", "yolosweep", "run", str(file), "--json"], storage


def finish(process: subprocess.Popen[bytes], home: Path) -> None:
    """Wait for a process.

    Raises:
        RuntimeError: it failed; the end of its output is in the message.
    """
    if process.wait() != 0:
        tail = (home / "log.txt").read_text(errors="replace")[-3000:]
        raise RuntimeError(f"exit code {process.returncode} of {process.args!r}\n{tail}")


def epoch_seconds(results: Path) -> float:
    """Return the seconds Ultralytics spent in its epochs: the last ``time`` of a results.csv."""
    with results.open(newline="") as stream:
        return float([row["time"] for row in csv.DictReader(stream)][-1])


@dataclass(frozen=True, kw_only=True)
class Trial:
    """One trial as the ledger tells it; times in seconds of the epoch."""

    started: float
    ended: float
    epochs: float
    """Sum of the epochs' seconds."""
    request: dict[str, Any]


def trials_of(storage: Path) -> list[Trial]:
    """Read the ledger of the one run in ``storage``: its trials in the order they ended."""
    (ledger,) = storage.glob("*/ledger.jsonl")
    began: dict[str, tuple[float, dict[str, Any]]] = {}
    epochs: dict[str, float] = {}
    done: list[Trial] = []
    for event in read_events(ledger):
        at = event.at.timestamp()
        if isinstance(event, TrialStarted):
            began[event.request.trial] = (at, event.request.model_dump(mode="json"))
        elif isinstance(event, EpochRecorded):
            epochs[event.trial] = epochs.get(event.trial, 0.0) + event.row.seconds
        elif isinstance(event, TrialEnded):
            record = event.record
            if record.ending is not Ending.FINISHED:
                raise RuntimeError(f"{record.trial} ended as {record.ending.value}: {record.reason}")
            started, request = began[record.trial]
            done.append(Trial(started=started, ended=at, epochs=epochs[record.trial], request=request))
    return done


def parser(description: str | None, *, epochs: int, repeats: int) -> argparse.ArgumentParser:
    """Return the arguments all benches share."""
    found = argparse.ArgumentParser(description=description, formatter_class=argparse.ArgumentDefaultsHelpFormatter)
    found.add_argument("--data", type=Path, default=PHOTOS, help="a data.yaml; its folder is copied, never written")
    found.add_argument("--repeats", type=int, default=repeats, help="rounds; the variants take turns in each")
    found.add_argument("--epochs", type=int, default=epochs, help="epochs of one trial")
    found.add_argument("--imgsz", type=int, default=96, help="image size")
    found.add_argument("--batch", type=int, default=16, help="batch size")
    found.add_argument("--keep", action="store_true", help="keep the scratch folder and say where it is")
    return found


@contextlib.contextmanager
def rig(arguments: argparse.Namespace) -> Iterator[Rig]:
    """Copy the photos into a scratch folder and yield the rig; exit politely where there are none."""
    source: Path = arguments.data
    if not source.is_file():
        print(f"skipped: there are no photos at {source}; name a data.yaml with --data")
        raise SystemExit(0)
    root = Path(tempfile.mkdtemp(prefix="yolosweep-bench-"))
    try:
        photos = root / "photos"
        shutil.copytree(source.resolve().parent, photos, copy_function=shutil.copyfile)
        for folder in [photos, *(path for path in photos.rglob("*") if path.is_dir())]:
            folder.chmod(0o755)
        bench = Rig(
            data=photos / source.name,
            root=root,
            epochs=arguments.epochs,
            imgsz=arguments.imgsz,
            batch=arguments.batch,
            threads=min(8, max(1, (os.cpu_count() or 1) - 1)),  # what Ultralytics takes on a CPU, so that all have it
            repeats=arguments.repeats,
        )
        signal.signal(signal.SIGTERM, lambda number, frame: sys.exit(128 + number))
        try:
            yield bench
        finally:
            bench.stop()
    finally:
        if arguments.keep:
            print(f"kept: {root}")
        else:
            shutil.rmtree(root, ignore_errors=True)


def show(title: str, lines: Sequence[Line], bench: Rig) -> None:
    """Print a bench's table, and under what load it was measured."""
    table = Table(title=title, title_justify="left")
    for column in ("", "median", "min … max", "n", "ratio", "target"):
        table.add_column(column, justify="left" if column == "" else "right")
    for found in lines:
        digits = 0 if found.unit == "MiB" else 2
        table.add_row(
            found.what,
            f"{found.value:.{digits}f} {found.unit}",
            "" if found.samples == 1 else f"{found.spread[0]:.{digits}f} … {found.spread[1]:.{digits}f}",
            str(found.samples),
            "" if found.ratio is None else f"{found.ratio:.3f}",
            "" if found.target is None else f"<= {found.target:g}",
        )
    console = Console(width=120)
    console.print(table)
    loads = bench.loads or [os.getloadavg()[0]]
    console.print(
        f"{bench.model}, imgsz {bench.imgsz}, batch {bench.batch}, {bench.epochs} epochs, {bench.threads} torch threads"
        f" on {os.cpu_count()} cores; load average before the runs {min(loads):.1f} … {max(loads):.1f}\n",
        highlight=False,
    )
