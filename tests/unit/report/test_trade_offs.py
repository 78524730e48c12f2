"""A toy sweep for several objectives, trained in this process: from the measurement to the winner and the page."""

from __future__ import annotations

import base64
import json
import re
import zlib
from pathlib import Path
from typing import Any

import pytest
from tests.tools.placing import take
from typer.testing import CliRunner

import yolosweep
from yolosweep.backends.toy.trainer import ToyTrainer
from yolosweep.cli.app import app
from yolosweep.data.samples.parking_dataset import draw_parking
from yolosweep.experiment import load_experiment
from yolosweep.ledger import Ledger, RunFolder
from yolosweep.ledger.history import History
from yolosweep.records import PreparedDataset, TrialRequest
from yolosweep.records.events import SweepEnded
from yolosweep.search.controller import SweepController
from yolosweep.tracking.winner_values import winner_of
from yolosweep.workflows.winner_selection import select_winner_of

OBJECTIVES = [{"metric": "metrics/accuracy_top1"}, {"metric": "latency_ms"}, {"metric": "val/loss"}]


@pytest.fixture(scope="module")
def swept(tmp_path_factory: pytest.TempPathFactory) -> RunFolder:
    """A sweep that ended, with its winner and its report; read only."""
    home, images = tmp_path_factory.mktemp("sweep"), {"train": 30, "val": 30, "test": 20}
    data = draw_parking(home / "lot", images=images, size=48, empty_share=0)
    parameters = {"lr0": {"min": 0.001, "max": 5.0}, "batch": {"values": [4, 16]}}
    search = {"trials": 8, "objectives": OBJECTIVES, "parameters": parameters, "searcher_options": {"first": 5}}
    about = {"name": "toy", "model": "toy/red", "data": str(data), "train": {"epochs": 3}, "search": search}
    exp, folder = load_experiment(about), RunFolder.create(home, "toy")
    dataset = PreparedDataset(
        task="detect", source=str(data), names={0: "red_car", 1: "car"}, train_on=str(data), images=images,
        fingerprint="f" * 64,
    )  # fmt: skip
    controller = SweepController(
        folder.address, experiment=exp.model_dump(mode="json"), model="toy/red", model_fingerprint="m",
        dataset=dataset.model_dump(mode="json"), cpus=1, gpus=0, header={},
    )  # fmt: skip
    while isinstance(request := take(controller), TrialRequest):
        asked = request

        def report(row: Any, checkpoint: Any, asked: TrialRequest = asked) -> Any:
            return controller.row(asked.trial, row, checkpoint, asked.attempt)

        controller.ended(ToyTrainer().train(asked, report, lambda: False), asked.attempt)
    controller.close()
    select_winner_of(folder)
    ledger = Ledger(folder)
    ledger.append(SweepEnded(status="finished", reason="all trials ran"))
    ledger.close()
    yolosweep.open(folder.root).report()
    return folder


def shown(*command: str | Path) -> str:
    result = CliRunner().invoke(app, list(map(str, command)))
    assert result.exit_code == 0, result.output
    return result.output


@pytest.mark.slow
def test_every_trial_has_the_values_of_its_checkpoint(swept: RunFolder) -> None:
    for trial in History.of(swept).trials.values():
        record = trial.record
        assert record is not None
        assert record.footprint is not None
        best = trial.rows[(record.best_epoch or 0) - 1]
        assert record.objectives == {"latency_ms": record.footprint.latency_ms, "val/loss": best.metrics["val/loss"]}
        assert record.footprint.latency_ms is not None
        assert record.footprint.latency_ms > 0
        assert record.footprint.passes == 100


def test_winner_and_front_are_on_every_surface(swept: RunFolder) -> None:
    history = History.of(swept)
    winner, front = json.loads((swept.winner / "winner.json").read_text()), list(history.standing.front)
    assert winner["trial"] == history.eligible[0].request.trial == front[0]
    assert winner["rule"] == "the highest accuracy_top1"
    assert winner["front"] == front
    assert set(winner["objectives"]) == {"latency_ms", "val/loss"}

    summary = json.loads(shown("show", swept.root, "--json"))
    assert summary["front"] == front
    assert [one["trial"] for one in summary["trials"] if one["standing"] == "front"] == sorted(front)
    assert list(yolosweep.open(swept.root).pareto.index) == front
    sent = winner_of(history)
    assert sent["pareto_front"].split(", ") == front
    assert sent["winner/latency_ms"] == winner["objectives"]["latency_ms"]
    assert "front" in shown("show", swept.root)
    best = shown("best", swept.root, "--no-validate")
    assert "rule       the highest accuracy_top1" in best
    assert "median of 100 forward passes" in best


def test_the_page_draws_the_score_against_each_objective(swept: RunFolder) -> None:
    page = swept.report.read_text()
    packed = re.search(r'id="figures">([^<]+)<', page)
    assert packed is not None
    figures = json.loads(zlib.decompress(base64.b64decode(packed[1])))
    assert {"trade-off-0", "trade-off-1"} <= figures.keys()
    assert [figures[f"trade-off-{at}"]["layout"]["xaxis"]["title"]["text"] for at in (0, 1)] == [
        "latency_ms",
        "val/loss",
    ]
    assert 'id="trade-offs"' in page
    assert "is the median of 100 forward passes" in page


def test_the_optuna_study_has_the_values(swept: RunFolder) -> None:
    shown("export-study", swept.root)
    assert "objective/latency_ms" in swept.study.read_text()
