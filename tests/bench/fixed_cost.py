"""Fixed cost of a trial: everything but its epochs, against ``yolo train`` and ``model.tune(use_ray=True)``.

- ``yolo train``: a new process each time; its wall time, less the epochs.
- ``use_ray=True`` and ours: from one trial's beginning (end) to the next one's, less the epochs; so what lies between
  two trials counts too. The first trial, which waits for Ray to start, is told separately.

Epochs are what each writes down itself: ``time`` of the last line in results.csv for Ultralytics, the rows' seconds in
the ledger for ours.
"""

from __future__ import annotations

import json
import sys
import time
from itertools import pairwise
from pathlib import Path

from tests.bench.rig import Line, Rig, epoch_seconds, line, parser, rig, show, trials_of

TARGET = 0.3


def plain(bench: Rig, number: int) -> float:
    """Return the fixed cost of one ``yolo train`` process."""
    home = bench.plain_home()
    command, results = bench.yolo_train(home, f"train{number}")
    wall = bench.run(command, home)
    return wall - epoch_seconds(results / "results.csv")


def use_ray(bench: Rig, number: int, trials: int) -> tuple[list[float], float, float]:
    """Return the fixed costs of the later trials, that of the first, and the wall seconds of it all.

    A trial writes args.yaml at the same point of its own beginning, so two of them are one whole trial apart.
    """
    home = bench.home("use_ray")
    project = home / f"runs{number}"
    asked = {
        "threads": bench.threads, "model": bench.model, "trials": trials, "search_alg": "random",
        "space": {"lr0": {"min": 0.0019, "max": 0.0021}},
        "train": {
            **{key: value for key, value in bench.train().items() if key != "lr0"},
            "data": str(bench.data), "device": "cpu", "project": str(project), "name": "trial",
        },
    }  # fmt: skip
    file = home / f"asked{number}.json"
    file.write_text(json.dumps(asked))
    began = time.time()
    wall = bench.run([sys.executable, str(Path(__file__).with_name("use_ray.py")), str(file)], home)
    found = sorted(project.glob("**/results.csv"), key=lambda path: (path.parent / "args.yaml").stat().st_mtime)
    if len(found) != trials:
        raise RuntimeError(f"{len(found)} results of {trials} trials below {project}")
    starts = [(path.parent / "args.yaml").stat().st_mtime for path in found]
    epochs = [epoch_seconds(path) for path in found]
    later = [after - before - spent for (before, after), spent in zip(pairwise(starts), epochs, strict=False)]
    first = starts[0] - began  # up to the trainer's beginning; the rest of it is in ``later``
    return later, first, wall


def ours(bench: Rig, trials: int) -> tuple[list[float], list[float], float, float]:
    """Return per trial after the first: the fixed cost, and the part between its start and end; first trial; wall."""
    home = bench.home("ours")
    command, storage = bench.sweep(home, trials=trials)
    began = time.time()
    wall = bench.run(command, home)
    done = trials_of(storage)
    later = [after.ended - before.ended - after.epochs for before, after in pairwise(done)]
    inside = [trial.ended - trial.started - trial.epochs for trial in done[1:]]
    return later, inside, done[0].ended - done[0].epochs - began, wall


def measure(bench: Rig, trials: int) -> list[Line]:
    """Let the variants take turns and return the table."""
    processes: list[float] = []
    ray: list[list[float]] = [[], [], []]
    our: list[list[float]] = [[], [], [], []]
    for number in range(bench.repeats):
        processes.append(plain(bench, 2 * number))
        later, first, wall = use_ray(bench, number, trials)
        ray = [ray[0] + later, [*ray[1], first], [*ray[2], wall]]
        processes.append(plain(bench, 2 * number + 1))
        later, inside, first, wall = ours(bench, trials)
        our = [our[0] + later, our[1] + inside, [*our[2], first], [*our[3], wall]]
    base, peer = line("yolo train, a process per trial", processes), line("use_ray=True, later trials", ray[0])
    mine = "ours, warm trials"
    return [
        base,
        peer,
        line(f"{mine} / yolo train", our[0], to=base.value, target=TARGET),
        line(f"{mine} / use_ray=True", our[0], to=peer.value, target=TARGET),
        line("ours, of that from trial_started to trial_ended", our[1]),
        line("ours, first trial, from the command on", our[2]),
        line("use_ray=True, from the command to the first trainer", ray[1]),
        line(f"ours, whole command, {trials} trials", our[3]),
        line(f"use_ray=True, whole command, {trials} trials", ray[2]),
    ]


def main(words: list[str] | None = None) -> list[Line]:
    """Run the bench, print its table and return its lines."""
    arguments = parser(__doc__, epochs=3, repeats=3)
    arguments.add_argument("--trials", type=int, default=4, help="trials of one sweep")
    asked = arguments.parse_args(words)
    with rig(asked) as bench:
        lines = measure(bench, asked.trials)
        show("Fixed cost of a trial (everything but its epochs)", lines, bench)
    return lines


if __name__ == "__main__":
    main()
