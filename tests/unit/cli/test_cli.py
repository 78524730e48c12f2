"""The command line itself: short, listed, quick to answer, and clear when asked for what is not there."""

from __future__ import annotations

import ast
import json
import shutil
import subprocess
import sys
from importlib import resources
from pathlib import Path

import pytest
from typer.main import get_command
from typer.testing import CliRunner

from yolosweep.cli.app import COMMANDS, app
from yolosweep.cli.console import notify, print_json, print_line, print_table, show_error
from yolosweep.records.summary import DamagedRun

runner = CliRunner()

SURFACE = {
    "run": {"--dry-run", "--allow", "--json"},
    "plan": {"--allow", "--measure", "--json"},
    "simulate": {"--curves", "--set", "--workers", "--seeds", "--json"},
    "check": {"--task", "--imgsz", "--report", "--fail-on", "--allow", "--weights", "--json", "--format"},
    "split": {"--out", "--task", "--val", "--test", "--seed", "--by", "--allow", "--json"},
    "convert": {"--task", "--allow", "--json"},
    "autolabel": {"--weights", "--out", "--sam", "--conf", "--include-eval", "--allow", "--json"},
    "resume": {"--allow", "--json"},
    "best": {"--no-validate", "--json"},
    "export": {"--format", "--quantize", "--tolerance", "--json"},
    "export-study": {"--json"},
    "show": {"--all", "--save", "--json"},
    "ls": {"--json"},
    "report": {"--live", "--port", "--json"},
    "diagnose": {"--json"},
    "explain": {"--json"},
    "next": {"--out", "--json"},
    "init": {"--out", "--task", "--model", "--time", "--json"},
    "import": {"--out", "--data", "--model", "--task", "--json"},
    "sample": {"--seed", "--json"},
    "schema": {"--json"},
    "docs": {"--json"},
    "doctor": {"--address", "--json"},
    "submit": {"--address", "--resume", "--follow", "--again", "--data-on-nodes", "--allow", "--json"},
    "jobs": {"--address", "--json"},
    "follow": {"--address", "--json"},
    "stop": {"--address", "--json"},
    "token": {"--out", "--json"},
    "node": {"--grace", "--cloud", "--json"},
    "leave": {"--grace", "--json"},
    "track push": {"--to", "--json"},
    "track report": {"--json"},
}
"""Every command and flag. A new flag has to be written here, where a reviewer asks why it is not a key of the YAML."""


def test_the_command_line_is_what_is_listed() -> None:
    found = {}
    for name, command in get_command(app).commands.items():
        for path, leaf in [(name, command), *((f"{name} {n}", c) for n, c in getattr(command, "commands", {}).items())]:
            if not getattr(leaf, "commands", None):
                flags = {option for p in leaf.params for option in p.opts if option.startswith("--")}
                found[path] = flags - {"--help"}
    assert found == SURFACE


@pytest.mark.slow
def test_help_and_reading_commands_import_nothing_heavy() -> None:
    code = (
        "import sys\nfrom yolosweep.cli.app import app\n"
        "try:\n    app(['--help'])\nexcept SystemExit:\n    pass\n"
        "import yolosweep.cli.run_tables, yolosweep.cli.run_and_resume, yolosweep.cli.check, yolosweep.api\n"
        "heavy = {'torch', 'ray', 'ultralytics', 'wandb', 'optuna', 'cv2', 'pandas'} & set(sys.modules)\n"
        "print(sorted(heavy), file=sys.stderr)\nsys.exit(bool(heavy))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "Exit codes" in done.stdout


def test_the_help_loads_no_model_of_values_and_no_table() -> None:
    """``--help`` has to answer within half a second; pydantic and rich alone take most of that."""
    code = (
        "import sys\nfrom yolosweep.cli.app import app\n"
        "try:\n    app(['--help'])\nexcept SystemExit:\n    pass\n"
        "print(sorted({'pydantic', 'numpy', 'yolosweep.experiment', 'yolosweep.records'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.endswith("\n[]\n")


def test_only_the_console_prints() -> None:
    package = Path(__file__).parents[3] / "platform" / "yolosweep" / "cli"
    wrong = []
    for file in sorted(package.glob("*.py")):
        if file.name == "console.py":
            continue
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            named = ast.unparse(node.func) if isinstance(node, ast.Call) else ""
            if named in ("print", "typer.echo", "json.dumps", "Console", "sys.stdout.write", "sys.stderr.write"):
                wrong.append(f"{file.name} line {node.lineno}: {named}")
    assert wrong == []


def test_a_command_is_one_module_and_one_line() -> None:
    package = Path(__file__).parents[3] / "platform" / "yolosweep" / "cli"
    having = {file.stem for file in package.glob("*.py") if "\ndef register(app: typer.Typer)" in file.read_text()}
    assert having == set(COMMANDS)
    assert len(set(COMMANDS)) == len(COMMANDS)


def test_text_is_never_markup(capsys: pytest.CaptureFixture[str]) -> None:
    hostile = "[bold red]x[/bold red] [link=file:///etc/passwd]y[/link] :smile:"
    print_line(hostile)
    print_line(hostile, style="bold")
    print_table(("head [b]", hostile), [(hostile, 1)])
    print_table(("head [b]", hostile), [(hostile, 1)], right=[hostile], box=True)
    out = capsys.readouterr().out
    assert out.count(hostile) == 6
    assert out.count("head [b]") == 2


def test_records_are_printed_as_json_at_any_depth(capsys: pytest.CaptureFixture[str]) -> None:
    run = DamagedRun(run="runs/a", fault="no event")
    print_json({"runs": [run, None], "one": run, "count": 2})
    fields = {"run": "runs/a", "started": "", "status": "damaged", "fault": "no event"}
    assert json.loads(capsys.readouterr().out) == {"runs": [fields, None], "one": fields, "count": 2}


def test_messages_go_to_standard_error(capsys: pytest.CaptureFixture[str]) -> None:
    notify("a note")
    show_error("no disk")
    assert capsys.readouterr() == ("", "a note\nerror: no disk\n")


def test_python_dash_m_is_the_same_command() -> None:
    done = subprocess.run([sys.executable, "-m", "yolosweep", "--version"], capture_output=True, text=True, check=True)
    assert done.stdout.startswith("yolosweep 0.")


def test_the_schema_command_prints_the_shipped_file() -> None:
    shipped = resources.files("yolosweep.experiment") / "experiment.schema.json"
    assert runner.invoke(app, ["schema"]).stdout == shipped.read_text()


@pytest.mark.parametrize(
    ("arguments", "code", "told"),
    [
        (["run"], 2, "Missing argument"),
        (["run", "gone.yaml"], 2, "there is no file gone.yaml"),
        (["show", "nowhere"], 7, "is not a run folder"),
        (["best", "nowhere"], 7, "is not a run folder"),
        (["report", "nowhere"], 7, "is not a run folder"),
        (["track", "push", "nowhere"], 7, "is not a run folder"),
        (["ls", "nowhere"], 2, "there is no folder nowhere"),
        (["sample", "harbour", "x"], 2, "known: parking"),
        (["docs", "data-chekcs"], 2, "did you mean data-checks?"),
        (["init", "gone.yaml"], 4, "does not exist"),
        (["init", "sample:parking", "--task", "detct"], 2, "must be one of detect"),
        (["init", "sample:parking", "--model", "yolo26n-seg.pt"], 2, "made for segment, not for detect"),
        (["sample", "parking", "/dev/null/lot"], 2, "cannot write /dev/null/lot: Not a directory"),
        (["rum", "x.yaml"], 2, "No such command"),
    ],
)
def test_what_is_not_there_is_said_with_its_exit_code(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, arguments: list[str], code: int, told: str
) -> None:
    monkeypatch.chdir(tmp_path)
    result = runner.invoke(app, arguments)
    assert result.exit_code == code, result.output
    assert told in result.output
    assert "Traceback" not in result.output
    assert list(tmp_path.iterdir()) == []


@pytest.mark.slow
def test_sample_draws_what_is_built_in(parking: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert runner.invoke(app, ["sample", "parking", "lot"]).exit_code == 0
    drawn, built_in = (
        {file.relative_to(folder): file.read_bytes() for file in folder.rglob("*") if file.is_file()}
        for folder in (tmp_path / "lot", parking)
    )
    assert drawn == built_in
    assert len(drawn) > 500


@pytest.mark.slow
def test_init_makes_an_experiment_that_plans(small_lot: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    shutil.copytree(small_lot, "lot")
    assert runner.invoke(app, ["init", "lot/data.yaml", "--model", "toy/red"]).exit_code == 0
    again = runner.invoke(app, ["init", "lot/data.yaml"])
    assert again.exit_code == 2
    assert "is not overwritten" in again.output
    nowhere = runner.invoke(app, ["init", "lot/data.yaml", "--out", "/dev/null/x.yaml"])
    assert nowhere.exit_code == 2
    assert "cannot write /dev/null/x.yaml" in nowhere.output
    plan = runner.invoke(app, ["plan", "experiment.yaml", "--json"])
    assert plan.exit_code == 0, plan.output
    assert json.loads(plan.stdout)["data"]["names"] == {"0": "red_car", "1": "car"}
    assert not (tmp_path / "runs").exists()
