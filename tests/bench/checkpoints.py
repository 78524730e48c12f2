"""What checkpointing every epoch costs, against never: the same training in one warm process, in turns.

Of the last epoch there is always a checkpoint, so "never" still writes one; and the training keeps its newest state in
its own scratch folder either way, to go back to after a NaN. What differs is the storage: copy, hash, fsync.
CPU seconds are told beside wall seconds: they wander less on a busy machine, but hold no waiting for the disk.
"""

from __future__ import annotations

import json
import os
import statistics
import sys
from pathlib import Path
from typing import Any

from tests.bench.rig import Line, Rig, line, parser, rig, show, trials_of

TARGET = 1.03
NEVER = 1_000_000


def request(bench: Rig) -> dict[str, Any]:
    """Return a request just as the controller hands it out: of a sweep of one short trial."""
    from dataclasses import replace

    home = bench.home("ours")
    command, storage = replace(bench, epochs=1).sweep(home, trials=1)
    bench.run(command, home)
    (trial,) = trials_of(storage)
    return {**trial.request, "settings": {**trial.request["settings"], "epochs": bench.epochs}}


def measure(bench: Rig) -> list[Line]:
    """Let the variants take turns and return the table."""
    asked = request(bench)
    home = bench.home("warm")
    turns = [1, NEVER] * bench.repeats
    requests = []
    for number, every in enumerate([NEVER, *turns]):  # the first only warms up
        policy = {**asked["policy"], "checkpoint_every": every}
        requests.append({**asked, "policy": policy, "folder": str(home / f"run{number}")})
    out, file = home / "out.json", home / "asked.json"
    file.write_text(json.dumps({"warm": 1, "requests": requests, "out": str(out)}))
    bench.loads.append(os.getloadavg()[0])
    bench.run([sys.executable, str(Path(__file__).with_name("warm_loop.py")), str(file)], home)
    took = json.loads(out.read_text())
    every, never = took[0::2], took[1::2]
    found = []
    for kind in ("wall", "cpu"):
        base = line(f"{kind}, never", [one[kind] for one in never])
        target = TARGET if kind == "wall" else None
        found += [
            base,
            line(f"{kind}, every epoch / never", [one[kind] for one in every], to=base.value, target=target),
        ]
    pairs = [one["wall"] / other["wall"] for one, other in zip(every, never, strict=True)]
    found.append(line("wall, ratio pair by pair", pairs, unit="x"))
    outside = [[one["wall"] - one["epochs"] for one in kind] for kind in (every, never)]
    return [
        *found,
        line("outside of epochs, every epoch", outside[0]),
        line("outside of epochs, never", outside[1]),
        _cost(bench, outside, [one["wall"] for one in never]),
    ]


def _cost(bench: Rig, outside: list[list[float]], never: list[float]) -> Line:
    """Return what one checkpoint costs: it is written after a row's seconds were taken, so they do not blur it."""
    more = statistics.median(outside[0]) - statistics.median(outside[1])
    one = 1000 * more / max(1, bench.epochs - 1)
    ratio = 1 + more / statistics.median(never)
    return Line(what="one checkpoint, ms; and 1 + all of them / wall", value=one, unit="ms", ratio=ratio, target=TARGET)


def main(words: list[str] | None = None) -> list[Line]:
    """Run the bench, print its table and return its lines."""
    asked = parser(__doc__, epochs=10, repeats=5).parse_args(words)
    with rig(asked) as bench:
        lines = measure(bench)
        show("Checkpoint after every epoch", lines, bench)
    return lines


if __name__ == "__main__":
    main()
