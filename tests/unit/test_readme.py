"""What the README shows is what the program does."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from typer.main import get_command

from yolosweep.cli.app import app
from yolosweep.errors import ExperimentError, Interrupted, YolosweepError
from yolosweep.experiment import load_experiment, notes

README = (Path(__file__).parents[2] / "README.md").read_text(encoding="utf-8")


def flags() -> dict[str, set[str]]:
    """Return the options of every command; those of ``track`` as ``track push``."""
    found = {}
    for name, command in get_command(app).commands.items():
        for path, leaf in [(name, command), *((f"{name} {n}", c) for n, c in getattr(command, "commands", {}).items())]:
            if not getattr(leaf, "commands", None):
                found[path] = {option for p in leaf.params for option in p.opts}
    return found


def test_the_experiment_it_shows_is_free_of_faults(tmp_path: Path) -> None:
    (shown,) = re.findall(r"```yaml\n(.*?)```", README, re.DOTALL)
    (tmp_path / "experiment.yaml").write_text(shown)
    exp = load_experiment(tmp_path / "experiment.yaml")
    assert exp.name == "parking-lot"
    assert notes(exp) == []


def test_the_faults_it_shows_are_told_in_these_words(tmp_path: Path) -> None:
    shown = re.search(r"```text\nerror: (experiment\.yaml has 2 problems\n.*?)```", README, re.DOTALL)
    assert shown is not None
    lines = ["name: demo", "model: yolo26n.pt", "data: data.yaml", "", "", "search:", "  trails: 40", "  parameters:"]
    (tmp_path / "experiment.yaml").write_text("\n".join([*lines, "    lr0: {min: 0.001, max: 0.1}", ""]))
    with pytest.raises(ExperimentError) as caught:
        load_experiment(tmp_path / "experiment.yaml")
    assert str(caught.value) == shown[1].strip()


def test_it_lists_every_command() -> None:
    table = README[README.index("| command |") : README.index("take `--json`")]
    assert [name for name in flags() if f"`yolosweep {name}" not in table] == []
    assert set(re.findall(r"`yolosweep (\w+)", table)) == {name.partition(" ")[0] for name in flags()}


def test_it_names_the_commands_that_speak_json() -> None:
    (sentence,) = re.findall(r"^(.*) take `--json`", README, re.MULTILINE)
    assert set(re.findall(r"`(\w+)`", sentence)) == {name for name, known in flags().items() if "--json" in known}


def test_it_tells_every_exit_code() -> None:
    told = README[README.index("Exit codes:") :].split(".")[0]
    known = {error.exit_code for error in YolosweepError.__subclasses__() if error is not Interrupted}
    assert {int(code) for code in re.findall(r"\b\d+\b", told)} == {0, 130, 143} | known
