"""A sweep keeps the search that its ledger names, whatever the defaults are by now."""

from pathlib import Path

from yolosweep.experiment import load_experiment
from yolosweep.ledger.journal import read_events
from yolosweep.workflows.resume_checks import _flat

FIXTURE = Path(__file__).resolve().parents[2] / "fixtures" / "run_v1"


def test_a_ledger_of_version_0_1_keeps_its_searcher_and_pruner() -> None:
    recorded = dict(_flat(next(read_events(FIXTURE / "ledger.jsonl")).experiment))  # type: ignore[union-attr]
    now = dict(_flat(load_experiment(FIXTURE / "experiment.yaml").model_dump(mode="json")))
    assert (now["search.searcher"], now["search.pruner"]) == ("tpe", "asha")
    searched = {key for key in {*recorded, *now} if key.startswith("search.")}
    assert {key for key in searched if recorded.get(key) != now.get(key)} == set()
