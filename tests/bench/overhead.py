"""Orchestration overhead: sweep wall x slots, over the same trainings done warm in one process without Ray.

The sweep counts from its first ``trial_started`` to its last ``trial_ended``. With more slots than one the trainings of
a sweep share the machine, so they are also compared with as many warm processes at the same time.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

from tests.bench.rig import Line, Rig, finish, line, parser, rig, show, trials_of

TARGET = 1.10
WARM_EPOCHS = 1


def loops(bench: Rig, requests: list[dict[str, Any]], processes: int) -> tuple[float, float]:
    """Return the summed wall seconds of the requests, and the part outside of epochs.

    They are split over warm processes that run at the same time.
    """
    home = bench.home("warm")
    running, outs = [], []
    for number in range(processes):
        mine = requests[number::processes]
        first = {**mine[0], "settings": {**mine[0]["settings"], "epochs": WARM_EPOCHS}}
        folder = {"folder": str(home / f"run{number}"), "resume": []}
        out, file = home / f"out{number}.json", home / f"asked{number}.json"
        asked = {"warm": 1, "requests": [{**request, **folder} for request in (first, *mine)], "out": str(out)}
        file.write_text(json.dumps(asked))
        outs.append(out)
        running.append(bench.start([sys.executable, str(Path(__file__).with_name("warm_loop.py")), str(file)], home))
    for process in running:
        finish(process, home)
    took = [one for out in outs for one in json.loads(out.read_text())]
    return sum(one["wall"] for one in took), sum(one["wall"] - one["epochs"] for one in took)


def measure(bench: Rig, trials: int, slots: int) -> list[Line]:
    """Let the variants take turns and return the table."""
    home = bench.home("ours")
    sweeps: list[tuple[float, float]] = []
    alone: list[tuple[float, float]] = []
    together: list[tuple[float, float]] = []
    for _ in range(bench.repeats):
        command, storage = bench.sweep(home, trials=trials, slots=slots)
        bench.run(command, home)
        done = trials_of(storage)
        wall = slots * (done[-1].ended - min(trial.started for trial in done))
        sweeps.append((wall, wall - sum(trial.epochs for trial in done)))
        requests = [trial.request for trial in done]
        alone.append(loops(bench, requests, 1))
        if slots > 1:
            together.append(loops(bench, requests, slots))
    found = _lines(f"sweep of {trials} trials, wall x {slots} slots", sweeps, "one warm process", alone)
    if together:
        found += _lines(f"wall x {slots} slots", sweeps, f"{slots} warm processes at once, summed", together)
    return found


def _lines(what: str, mine: list[tuple[float, float]], other: str, theirs: list[tuple[float, float]]) -> list[Line]:
    """Return one comparison: of the walls, and of what lies outside of epochs (which wanders less)."""
    base = line(other, [wall for wall, _ in theirs])
    out = line(f"{other}, outside of epochs", [outside for _, outside in theirs])
    outside = [rest for _, rest in mine]
    return [
        base,
        line(f"{what} / {other}", [wall for wall, _ in mine], to=base.value, target=TARGET),
        out,
        line(f"{what}, outside of epochs", outside),
        line("the same epochs with either outside", [base.value - out.value + rest for rest in outside], to=base.value),
    ]


def main(words: list[str] | None = None) -> list[Line]:
    """Run the bench, print its table and return its lines."""
    arguments = parser(__doc__, epochs=30, repeats=2)
    arguments.add_argument("--trials", type=int, default=3, help="trials of the sweep")
    arguments.add_argument("--slots", type=int, default=1, help="trials at the same time")
    asked = arguments.parse_args(words)
    with rig(asked) as bench:
        lines = measure(bench, asked.trials, asked.slots)
        show("Orchestration overhead", lines, bench)
    return lines


if __name__ == "__main__":
    main()
