"""README's first command: nothing set up, no network, no GPU, and a winner that learned."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

pytestmark = pytest.mark.slow


@pytest.mark.parametrize("trials", [1, pytest.param(6, marks=pytest.mark.nightly)])
def test_the_quickstart_ends_with_a_winner_that_learned(shell: Any, repository: Path, trials: int) -> None:
    sweep = shell.run(repository / "jobs" / "experiments" / "quickstart.yaml", f"search.trials={trials}")
    history = sweep.history
    assert len(history.trials) == trials
    val = history.winner.validations["val"].metrics
    assert val["metrics/mAP50(B)"] >= 0.5
    first = next(row.score for row in history.trials[history.winner.trial].rows)
    assert history.winner.score > first + 0.1, "the winner was as good before it learned"
    assert sweep.folder.report.stat().st_size > 10_000
