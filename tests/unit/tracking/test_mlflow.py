"""MLflow: what is sent, what is never sent, and what a server that does not answer does."""

from __future__ import annotations

import os
import shutil
import socket
from contextlib import closing
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest

from yolosweep.errors import UsageError
from yolosweep.experiment.schema import Mlflow, Track
from yolosweep.ledger import Ledger, RunFolder
from yolosweep.ledger.history import History
from yolosweep.records.events import SweepEnded, WinnerSelected
from yolosweep.tracking.mirror_state import MirrorState
from yolosweep.tracking.mlflow import MlflowSink
from yolosweep.tracking.outbox import Outbox, send
from yolosweep.tracking.sink import Destination, NotSent

SINK = MlflowSink()
CANARY = "c4n4ry" * 6
installed = pytest.mark.skipif(find_spec("mlflow") is None, reason="mlflow-skinny is not installed")


@pytest.fixture
def run(repository: Path, tmp_path: Path) -> RunFolder:
    shutil.copytree(repository / "tests" / "fixtures" / "run_v1", tmp_path / "run")
    return RunFolder(tmp_path / "run")


@pytest.fixture
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """MLflow's own file store in a folder; returns its address."""
    for name in ("MLFLOW_HTTP_REQUEST_TIMEOUT", "MLFLOW_HTTP_REQUEST_MAX_RETRIES", "MLFLOW_DISABLE_TELEMETRY"):
        monkeypatch.setenv(name, "1")
    monkeypatch.setenv("MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT", "true")
    monkeypatch.setenv("MLFLOW_DISABLE_TELEMETRY", "true")
    monkeypatch.setenv("MLFLOW_ALLOW_FILE_STORE", "true")
    monkeypatch.setenv("MLFLOW_TRACKING_TOKEN", CANARY)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", (tmp_path / "store").as_uri())
    return (tmp_path / "store").as_uri()


def mirror(folder: RunFolder, section: dict[str, Any] | None = None) -> None:
    address = SINK.address({}, os.environ)
    about = {
        "address": address,
        "section": section or {},
        "experiment": "lot",
        "sweep": "x",
        "search": {},
        "follow": False,
    }

    def connect(planner: Any) -> Any:
        return SINK.connect(Destination(**about, folder=folder, scratch=folder.root))

    with closing(Outbox(folder, SINK, address, connect)) as outbox:
        try:
            send(folder, outbox, final=lambda: True)
        except NotSent as error:
            outbox.record(str(error))
            raise


def client(address: str) -> Any:
    from mlflow import MlflowClient

    return MlflowClient(tracking_uri=address)


def content(folder: Path) -> dict[str, bytes]:
    return {str(file.relative_to(folder)): file.read_bytes() for file in folder.rglob("*") if file.is_file()}


class TestChoice:
    def test_it_follows_the_section_and_the_environment(self) -> None:
        here = {"MLFLOW_TRACKING_URI": "http://h:5000"}
        assert SINK.choose(Track(), here).line == ""
        assert SINK.choose(Track(mlflow=Mlflow(mode="off")), here).online is False
        off = SINK.choose(Track(mlflow=Mlflow()), {})
        assert (off.online, "MLFLOW_TRACKING_URI is not set" in off.line) == (False, True)
        with pytest.raises(UsageError, match="mode=online: MLFLOW_TRACKING_URI is not set"):
            SINK.choose(Track(mlflow=Mlflow(mode="online")), {})
        with pytest.raises(UsageError, match="track push: MLFLOW_TRACKING_URI"):
            SINK.require_ready({})

    def test_a_client_that_is_missing_is_named(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
        choice = SINK.choose(Track(mlflow=Mlflow()), {"MLFLOW_TRACKING_URI": "http://h:5000"})
        assert (choice.online, "yolosweep[mlflow]" in choice.line) == (False, True)

    def test_no_password_in_an_address_is_kept(self) -> None:
        environ = {"MLFLOW_TRACKING_URI": f"https://me:{CANARY}@h.example:5000/x/"}
        assert SINK.address({}, environ) == "https://h.example:5000/x"
        assert SINK.address({"experiment": "http://elsewhere"}, environ) == "https://h.example:5000/x"
        assert CANARY not in SINK.choose(Track(mlflow=Mlflow()), environ).line


@installed
@pytest.mark.slow
def test_runs_have_the_numbers_of_the_ledger(run: RunFolder, store: str, tmp_path: Path) -> None:
    history, best = History.of(run), tmp_path / "best.pt"
    best.write_bytes(b"weights")
    run.publish("# a card", run.winner / "README.md")
    assert history.winner is not None
    picture = run.publish(best, run.bundled("plots", "val", "confusion_matrix.png"))
    changed = run.publish(best, run.bundled("plots", "test", "confusion_matrix.png"))
    run.bundled("plots", "test", "confusion_matrix.png").write_bytes(b"another one")
    files = {"file": run.publish(best, run.winner / "best.pt"), "pictures": (picture, changed)}
    winner = history.winner.winner.model_copy(update=files)
    with closing(Ledger(run)) as ledger:
        ledger.append(WinnerSelected(**dict(winner)))
        ledger.append(SweepEnded(status="finished", reason="all trials ran"))
    mirror(run, {"experiment": "parking"})

    reader = client(store)
    experiment = reader.get_experiment_by_name("parking").experiment_id
    runs = {found.info.run_name: found for found in reader.search_runs([experiment])}
    parent = runs.pop(history.sweep)
    assert runs.keys() == history.trials.keys()
    assert parent.info.status == "FINISHED"
    assert parent.data.params["search.trials"] == str(history.experiment["search"]["trials"])
    assert parent.data.metrics["winner_score"] == winner.score
    artifacts = {file.path for file in reader.list_artifacts(parent.info.run_id, "winner")}
    assert artifacts == {"winner/best.pt", "winner/README.md", "winner/plots"}
    assert [file.path for file in reader.list_artifacts(parent.info.run_id, "winner/plots")] == ["winner/plots/val"]
    for name, trial in history.trials.items():
        found = runs[name]
        assert found.data.tags["mlflow.parentRunId"] == parent.info.run_id
        assert found.data.tags["ending"] == trial.status
        assert found.info.start_time == int(trial.started_at.timestamp() * 1000)
        points = reader.get_metric_history(found.info.run_id, "score")
        assert [(point.step, point.value) for point in points] == [(row.epoch, row.score) for row in trial.rows]
        assert found.data.params["lr0"] == str(trial.request.asked["lr0"])

    before = content(tmp_path / "store")
    mirror(run, {"experiment": "parking"})
    assert content(tmp_path / "store") == before
    run.mirror("mlflow.json").unlink()
    mirror(run, {"experiment": "parking"})
    found = {found.info.run_name: found for found in reader.search_runs([experiment])}
    assert len(found) == 1 + len(runs)
    assert [found[name].data.metrics for name in runs] == [runs[name].data.metrics for name in runs]
    points = reader.get_metric_history(runs["t0000"].info.run_id, "score")
    assert [point.step for point in points] == [row.epoch for row in history.trials["t0000"].rows]
    assert CANARY.encode() not in b"".join((content(tmp_path / "store") | content(run.root)).values())


@installed
@pytest.mark.parametrize("name", ["../../outside", "t'; drop", "a" * 5000])
def test_text_of_a_ledger_stays_inside(run: RunFolder, store: str, name: str, tmp_path: Path) -> None:
    text = run.ledger.read_text().replace('"t0001"', f'"{name}"').replace('"train/loss"', '"../../../train"')
    run.ledger.write_text(text)
    before = {path for path in tmp_path.rglob("*") if "store" not in path.parts and path.is_file()}
    with pytest.raises(NotSent):
        mirror(run)
    after = {path for path in tmp_path.rglob("*") if "store" not in path.parts and path.is_file()}
    assert after - before == {run.mirror("mlflow.json")}


@installed
def test_a_server_that_is_gone_is_one_line_without_a_secret(
    run: RunFolder, store: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"http://me:{CANARY}@127.0.0.1:{port}")
    with pytest.raises(NotSent) as refusal:
        mirror(run)
    state = MirrorState.load(run, "mlflow")
    assert state.last_error == str(refusal.value)
    assert state.server == f"http://127.0.0.1:{port}"
    assert "\n" not in str(refusal.value)
    assert CANARY.encode() not in b"".join(content(run.root).values()) + str(refusal.value).encode()
