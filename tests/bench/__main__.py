"""All benches, one after the other, and a summary: ``python -m tests.bench``. Nothing is asserted; read the ratios."""

from __future__ import annotations

import argparse
from pathlib import Path

from rich.console import Console
from rich.table import Table
from tests.bench import checkpoints, fixed_cost, memory, overhead
from tests.bench.rig import PHOTOS

BENCHES = {"fixed cost": fixed_cost, "overhead": overhead, "memory": memory, "checkpoints": checkpoints}


def main() -> None:
    """Run them all and print the lines that have a target."""
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--data", type=Path, default=PHOTOS, help="a data.yaml (default: %(default)s)")
    arguments.add_argument("--repeats", type=int, help="rounds of each bench (default: its own)")
    asked = arguments.parse_args()
    words = ["--data", str(asked.data), *(["--repeats", str(asked.repeats)] if asked.repeats else [])]
    table = Table(title="Summary (ratios of medians)", title_justify="left")
    for column in ("bench", "", "ratio", "target", ""):
        table.add_column(column)
    for name, bench in BENCHES.items():
        for line in bench.main(words):
            if line.ratio is not None and line.target is not None:
                verdict = "held" if line.ratio <= line.target else "missed"
                table.add_row(name, line.what, f"{line.ratio:.3f}", f"<= {line.target:g}", verdict)
    Console(width=120).print(table)


if __name__ == "__main__":
    main()
