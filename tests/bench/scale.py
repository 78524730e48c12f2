"""How the driver and the controller grow with the number of trials: toy sweeps over eight Ray nodes on this machine.

Times run from the first ``trial_started`` to the last ``trial_ended`` of a ledger, so that starting Ray and validating
the winner stay out of them. Memory is the highest share (PSS) seen of the driver and of the controller.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path

import psutil
from rich.console import Console
from rich.table import Table
from tests.bench.rig import REPOSITORY, Line, Rig, line

TARGET = 1.2
_SAMPLE_S = 1.0
_RAY = (sys.executable, "-m", "ray.scripts.scripts", "start")


@contextlib.contextmanager
def cluster(bench: Rig, home: Path, nodes: int) -> Iterator[str]:
    """Start Ray nodes of two declared cores each and yield their address; all their processes end with the block."""
    place = tempfile.mkdtemp(prefix="ray")
    environment = bench.environment(home, RAY_AUTH_MODE="disabled")
    head = ("--head", "--port=0", f"--temp-dir={place}", "--num-cpus=2", "--include-dashboard=false")
    try:
        told = subprocess.run([*_RAY, *head], env=environment, capture_output=True, text=True, check=True).stdout
        found = re.search(r"--address='([^']+)'", told)
        assert found, told
        for _ in range(nodes - 1):
            words = (f"--address={found[1]}", "--num-cpus=2")
            subprocess.run([*_RAY, *words], env=environment, capture_output=True, check=True)
        yield found[1]
    finally:
        ours = [one for one in psutil.process_iter(["cmdline"]) if place in " ".join(one.info["cmdline"] or [])]
        for process in [child for one in ours for child in one.children(recursive=True)] + ours:
            with contextlib.suppress(psutil.NoSuchProcess):
                process.kill()
        shutil.rmtree(place, ignore_errors=True)


def _share_mb(process: psutil.Process) -> float:
    try:
        return float(process.memory_full_info().pss) / 2**20
    except psutil.Error:
        return 0.0


def _controllers() -> list[psutil.Process]:
    """Return the controllers of this machine; Ray names a process after its actor."""
    return [
        one for one in psutil.process_iter(["cmdline"]) if "ray::ControllerActor" in " ".join(one.info["cmdline"] or [])
    ]


def sweep(bench: Rig, home: Path, address: str, trials: int, searcher: str) -> tuple[float, float, float]:
    """Run a toy sweep; return its seconds a trial, and the highest memory of driver and controller in MiB."""
    storage = home / f"runs-{searcher}-{trials}"
    words = [
        *(f"search.trials={trials}", f"search.searcher={searcher}", "train.epochs=3", "search.grace_epochs=1"),
        f"storage={storage}",
    ]
    toy = REPOSITORY / "jobs" / "experiments" / "toy.yaml"
    command = [sys.executable, "-m", "yolosweep", "run", str(toy), *words]
    process = bench.start(command, home, RAY_ADDRESS=address, RAY_AUTH_MODE="disabled")
    driver, highest, controller = psutil.Process(process.pid), 0.0, 0.0
    while process.poll() is None:
        highest = max(highest, _share_mb(driver))
        controller = max([controller, *(_share_mb(one) for one in _controllers())])
        time.sleep(_SAMPLE_S)
    if process.returncode:
        raise RuntimeError((home / "log.txt").read_text(errors="replace")[-3000:])
    (ledger,) = storage.glob("*/ledger.jsonl")
    events = [json.loads(text) for text in ledger.read_text().splitlines()]
    at = [datetime.fromisoformat(e["at"]).timestamp() for e in events if e["event"] in ("trial_started", "trial_ended")]
    return (at[-1] - at[0]) / trials, highest, controller


def measure(bench: Rig, sizes: list[int], nodes: int, searchers: list[str]) -> list[Line]:
    """Return seconds a trial and memory at each size, with ratios to the smallest size."""
    home, lines = bench.home("scale"), list[Line]()
    with cluster(bench, home, nodes) as address:
        sweep(bench, home, address, 2 * nodes, "random")  # the first one draws the data and fills caches
        for searcher in searchers:
            found = {size: sweep(bench, home, address, size, searcher) for size in sizes}
            for place, (what, unit) in enumerate((("wall", "s"), ("driver", "MiB"), ("controller", "MiB"))):
                first = found[sizes[0]][place]
                for size in sizes:
                    name = f"{searcher}, {size} trials: {what}{' a trial' if unit == 's' else ', peak'}"
                    target = TARGET if size != sizes[0] and unit == "s" else None
                    lines.append(line(name, [found[size][place]], unit=unit, to=first, target=target))
    return lines


def main(words: list[str] | None = None) -> list[Line]:
    """Run the bench, print its table and return its lines."""
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.ArgumentDefaultsHelpFormatter)
    arguments.add_argument("--sizes", type=int, nargs="+", default=[100, 1000], help="numbers of trials")
    arguments.add_argument("--nodes", type=int, default=8, help="Ray nodes on this machine")
    arguments.add_argument("--searchers", nargs="+", default=["tpe"], help="tpe, random")
    asked = arguments.parse_args(words)
    root = Path(tempfile.mkdtemp(prefix="yolosweep-bench-"))
    bench = Rig(data=root, root=root, epochs=3, imgsz=0, batch=0, threads=1, repeats=1, model="toy/red")
    try:
        lines = measure(bench, asked.sizes, asked.nodes, asked.searchers)
    finally:
        bench.stop()
        shutil.rmtree(root, ignore_errors=True)
    table = Table(title=f"Toy sweeps over {asked.nodes} nodes", title_justify="left")
    for column in ("", "value", "ratio", "target"):
        table.add_column(column, justify="left" if column == "" else "right")
    for one in lines:
        ratio = "" if one.ratio is None else f"{one.ratio:.3f}"
        table.add_row(one.what, f"{one.value:.3f} {one.unit}", ratio, f"<= {one.target:g}" if one.target else "")
    Console(width=120).print(table)
    return lines


if __name__ == "__main__":
    main()
