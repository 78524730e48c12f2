"""Every command has --json, and with it prints one JSON value, also when it refuses."""

from __future__ import annotations

import json
import shutil
import signal
from pathlib import Path

import pytest
from tests.unit.cli.test_cli import SURFACE
from typer.testing import CliRunner

from yolosweep.cli import job_driver
from yolosweep.cli.app import app
from yolosweep.cli.run_and_resume import _Screen
from yolosweep.errors import Interrupted, YolosweepError
from yolosweep.ledger import RunFolder

runner = CliRunner()
FIXTURE = Path(__file__).parents[2] / "fixtures" / "run_v1"

REFUSED = {
    "run": (["nothing.yaml"], 2),
    "plan": (["wrong.yaml"], 3),
    "simulate": (["nothing.yaml", "--curves", "nothing"], 2),
    "check": (["nothing"], 4),
    "split": (["nothing", "--out", "x"], 4),
    "convert": (["nothing", "x"], 4),
    "autolabel": (["nothing", "--weights", "w.pt", "--out", "x"], 4),
    "resume": (["nothing"], 7),
    "best": (["nothing"], 7),
    "export": (["nothing"], 7),
    "export-study": (["nothing"], 7),
    "show": (["nothing"], 7),
    "ls": (["nothing"], 2),
    "report": (["nothing"], 7),
    "diagnose": (["nothing"], 7),
    "explain": (["nothing"], 7),
    "next": (["nothing"], 7),
    "init": (["nothing"], 4),
    "import": (["nothing"], 2),
    "sample": (["nothing", "x"], 2),
    "schema": (["too much"], 2),
    "docs": (["nothing"], 2),
    "doctor": (["nothing.yaml"], 2),
    "submit": ([], 2),
    "jobs": (["--address", "http://127.0.0.1:9"], 6),
    "follow": (["job", "--address", "http://127.0.0.1:9"], 6),
    "stop": (["job", "--address", "http://127.0.0.1:9"], 6),
    "token": (["--out", "wrong.yaml"], 2),
    "node": (["--cloud", "nothing", "--", "true"], 2),
    "leave": (["--grace", "-1"], 2),
    "track push": (["nothing"], 7),
    "track report": (["nothing"], 7),
}
"""Command: what it refuses, and with which exit code."""


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "wrong.yaml").write_text("name: small\n")
    return tmp_path


@pytest.mark.parametrize("command", SURFACE)
def test_every_command_has_it(command: str, here: Path) -> None:
    assert "--json" in SURFACE[command]
    arguments, code = REFUSED[command]
    done = runner.invoke(app, [*command.split(), "--json", *arguments])
    answer = json.loads(done.stdout)
    assert (done.exit_code, answer["exit_code"]) == (code, code), done.output
    assert answer["error"]
    assert done.stderr, "people read it on standard error"


@pytest.mark.parametrize("command", SURFACE)
def test_a_wrong_option_is_an_object_too(command: str) -> None:
    done = runner.invoke(app, [*command.split(), "--nope", "--json"])
    assert json.loads(done.stdout) == {"error": "No such option: --nope", "exit_code": 2}
    assert done.exit_code == 2


def test_without_it_nothing_is_on_standard_output() -> None:
    assert runner.invoke(app, ["show", "nothing"]).stdout == ""
    assert runner.invoke(app, ["show", "--nope"]).stdout == ""
    assert runner.invoke(app, ["node", "--cloud", "nothing", "--", "true", "--json"]).stdout == ""
    unknown = runner.invoke(app, ["nothing", "--json"])
    assert json.loads(unknown.stdout)["exit_code"] == 2


def test_a_job_prints_it_too(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    before = signal.getsignal(signal.SIGTERM)
    try:
        assert job_driver.main(["nothing.yaml", "--json"]) == 2
    finally:
        signal.signal(signal.SIGTERM, before)
    assert json.loads(capsys.readouterr().out)["exit_code"] == 2


def test_faults_keep_their_keys_and_lines(here: Path) -> None:
    answer = json.loads(runner.invoke(app, ["plan", "wrong.yaml", "--json"]).stdout)
    assert {"key": "model", "message": "is missing; write e.g. model: yolo26n.pt", "line": None} in answer["faults"]


@pytest.mark.parametrize(
    ("arguments", "keys"),
    [
        (["export-study", "run"], {"file"}),
        (["report", "run"], {"report"}),
        (["next", "run"], {"file", "text", "changes", "advice"}),
        (["next", "run", "-o", "next.yaml"], {"file", "text", "changes", "advice"}),
        (["schema"], {"$schema"}),
        (["token", "--out", "token"], {"file"}),
        (["track", "push", "run", "--to", "tensorboard"], None),
        (["node", "--json", "--", "true"], {"exit_code"}),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
@pytest.mark.slow
def test_what_a_command_did_is_one_value(arguments: list[str], keys: set[str] | None, here: Path) -> None:
    shutil.copytree(FIXTURE, here / "run")
    done = runner.invoke(app, arguments if "--json" in arguments else [*arguments, "--json"])
    assert done.exit_code == 0, done.output
    answer = json.loads(done.stdout)
    assert keys is None or keys <= answer.keys()


def test_a_sweep_that_is_stopped_prints_one_object(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    from yolosweep.cli.console import show_failure

    shutil.copytree(FIXTURE, here / "run")

    def stopped() -> None:
        with _Screen(as_json=True) as screen:
            screen.ended(RunFolder.open(here / "run"), None)
            raise Interrupted("stopped", signal_number=signal.SIGTERM)

    with pytest.raises(YolosweepError) as caught:
        stopped()
    show_failure(caught.value, as_json=True)
    answer = json.loads(capsys.readouterr().out)
    assert (answer["error"], answer["exit_code"], answer["winner"]) == ("stopped", 143, None)
    assert answer["run"].endswith("/run")
    assert answer["summary"]["trials"]
