"""What is known of all trackers at once: whether their servers answer, their pages, which of them a push fills."""

from __future__ import annotations

import shutil
import socket
from contextlib import closing
from pathlib import Path

import pytest
from typer.testing import CliRunner

from yolosweep.cli.app import app
from yolosweep.experiment.schema import Mlflow, TensorBoard, Track, Wandb
from yolosweep.ledger import Ledger, RunFolder
from yolosweep.ledger.history import History
from yolosweep.records.events import SweepResumed
from yolosweep.tracking import SINKS, pages_of, reach_notes
from yolosweep.tracking.message_planner import section_of
from yolosweep.tracking.mirror_state import MirrorState


def test_a_note_says_of_each_tracker_with_a_server_whether_it_answers(tmp_path: Path) -> None:
    with socket.socket() as there, socket.socket() as gone:
        there.bind(("127.0.0.1", 0))
        there.listen()
        gone.bind(("127.0.0.1", 0))
        up, down = (f"127.0.0.1:{one.getsockname()[1]}" for one in (there, gone))
        environ = {"HOME": str(tmp_path), "WANDB_BASE_URL": f"http://{down}"}
        environ["MLFLOW_TRACKING_URI"] = f"http://me:secret@{up}"
        track = Track(wandb=Wandb(), mlflow=Mlflow(), tensorboard=TensorBoard())
        dead, alive = reach_notes(track, environ)
        assert dead.startswith(f"W&B at http://{down} does not answer (")
        assert alive == f"MLflow at http://{up} answers"
        assert reach_notes(Track(wandb=Wandb(mode="off"), tensorboard=TensorBoard()), environ) == ()


def test_a_sink_keeps_the_section_it_had_first(repository: Path, tmp_path: Path) -> None:
    shutil.copytree(repository / "tests" / "fixtures" / "run_v1", tmp_path / "run")
    folder = RunFolder(tmp_path / "run")
    assert section_of(folder, "mlflow") == {}
    experiment = History.of(folder).experiment
    with closing(Ledger(folder)) as ledger:
        for name in ("first", "second"):
            ledger.append(SweepResumed(experiment={**experiment, "track": {"mlflow": {"experiment": name}}}))
    assert section_of(folder, "mlflow") == {"experiment": "first"}
    assert section_of(folder, "wandb") == {}


def test_pages_are_those_of_servers(tmp_path: Path) -> None:
    folder = RunFolder(tmp_path)
    for sink, url in {"wandb": "https://w/p", "tensorboard": "/runs/tensorboard", "mlflow": None}.items():
        MirrorState(server="any", url=url).save(folder, sink)
    assert pages_of(folder) == {"W&B": "https://w/p"}


@pytest.mark.slow
def test_a_push_fills_the_named_trackers(repository: Path, tmp_path: Path) -> None:
    shutil.copytree(repository / "tests" / "fixtures" / "run_v1", tmp_path / "run")
    done = CliRunner().invoke(app, ["track", "push", str(tmp_path / "run"), "--to", "tensorboard"])
    assert (done.exit_code, done.stdout) == (0, f"TensorBoard: 4 runs are complete at {tmp_path}/run/tensorboard\n")
    assert {folder.name for folder in (tmp_path / "run" / "tensorboard").iterdir()} == {
        *("t0000", "t0001", "t0002", "sweep")
    }


@pytest.mark.parametrize("name", ["tensorbord", "../wandb"])
def test_a_tracker_that_does_not_exist_is_named(name: str, repository: Path) -> None:
    run = repository / "tests" / "fixtures" / "run_v1"
    done = CliRunner().invoke(app, ["track", "push", str(run), "--to", name])
    assert (done.exit_code, done.stderr) == (2, f"error: --to {name}: the trackers are {', '.join(SINKS)}\n")
