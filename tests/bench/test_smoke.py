"""The benches still run. What they measure is read by people, never asserted."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = [pytest.mark.slow, pytest.mark.nightly]


def test_a_bench_runs_and_prints_its_table(repository: Path, bccd_tiny: Path) -> None:
    command = [sys.executable, "-m", "tests.bench.checkpoints", "--repeats", "1", "--epochs", "1", "--imgsz", "32"]
    done = subprocess.run(
        [*command, "--data", str(bccd_tiny)], cwd=repository, capture_output=True, text=True, timeout=500, check=False
    )
    assert done.returncode == 0, done.stderr
    assert "wall, every epoch / never" in done.stdout
