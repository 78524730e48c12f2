"""README's first command: nothing set up, no network, no GPU, and a winner that learned."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

pytestmark = pytest.mark.slow


def test_the_quickstart_in_short_ends_with_a_winner_and_a_report(shell: Any, repository: Path) -> None:
    quickstart = repository / "jobs" / "experiments" / "quickstart.yaml"
    sweep = shell.run(quickstart, "search.trials=1", "search.pruner=none", "train.epochs=1", "train.fraction=0.2")
    assert sweep.history.winner.validations["val"].metrics["metrics/mAP50(B)"] is not None
    assert sweep.folder.report.stat().st_size > 10_000


@pytest.mark.nightly
def test_the_quickstart_ends_with_a_winner_that_learned(shell: Any, repository: Path) -> None:
    sweep = shell.run(repository / "jobs" / "experiments" / "quickstart.yaml")
    history = sweep.history
    assert len(history.trials) == 6
    val = history.winner.validations["val"].metrics
    assert val["metrics/mAP50(B)"] >= 0.5
    first = next(row.score for row in history.trials[history.winner.trial].rows)
    assert history.winner.score > first + 0.1, "the winner was as good before it learned"
