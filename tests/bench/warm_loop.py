"""A program of its own: the trainer called in a loop, in one warm process, without Ray, controller or ledger.

Argument: a JSON file with ``requests`` (run in turn, the first ones of which only warm up), ``warm`` (how many) and
``out``; there it leaves, for every request after those, its wall seconds, CPU seconds and seconds in epochs.
"""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path
from typing import Any

from yolosweep.backends import trainer_for
from yolosweep.records import Checkpoint, EpochResult, TrialRequest, Verdict


def train(asked: dict[str, Any]) -> dict[str, float]:
    """Train one request and return what it took."""
    request = TrialRequest.model_validate(asked)
    rows: list[EpochResult] = []

    def report(row: EpochResult, checkpoint: Checkpoint | None) -> Verdict:
        rows.append(row)
        return Verdict.CONTINUE

    wall, cpu = time.perf_counter(), time.process_time()
    record = trainer_for(request.model).train(request, report, lambda: False)
    wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
    if len(rows) != request.epochs:
        raise RuntimeError(f"{record.ending.value} after {len(rows)} epochs: {record.reason}")
    return {"wall": wall, "cpu": cpu, "epochs": sum(row.seconds or 0.0 for row in rows)}


def main() -> None:
    asked = json.loads(Path(sys.argv[1]).read_text())
    took = [train(request) for request in asked["requests"]]
    Path(asked["out"]).write_text(json.dumps(took[asked["warm"] :]))


if __name__ == "__main__":
    main()
