"""Findings as annotations of a GitHub workflow, and the files in jobs/ci and the hook that use them."""

from __future__ import annotations

import re
import shlex
from pathlib import Path
from typing import Any

import pytest
from PIL import Image
from ruamel.yaml import YAML
from typer.testing import CliRunner

from yolosweep.cli.app import app
from yolosweep.cli.github_annotations import annotation_of_error, workflow_commands
from yolosweep.records import DataCheck, Finding, Severity

ROOT = Path(__file__).resolve().parents[3]
runner = CliRunner()


def check_of(*findings: Finding, waived: tuple[str, ...] = ()) -> DataCheck:
    return DataCheck(
        source="data.yaml", task="detect", fingerprint="f", names={}, splits={}, errors=0, warnings=0, notes=0,
        allowed=(), findings=findings, report=None, is_trainable=False, waived=waived,
    )  # fmt: skip


def finding(code: str = "label-row", severity: Severity = Severity.ERROR, **more: Any) -> Finding:
    return Finding(code=code, severity=severity, **{"message": "wrong", "fix": "", **more})


def test_a_finding_is_at_its_file_and_line(tmp_path: Path) -> None:
    file = tmp_path / "labels" / "a,b:c%.txt"
    (line,) = workflow_commands(check_of(finding(file=str(file), line=3, fix="delete it")), tmp_path)
    assert line == "::error file=labels/a%2Cb%3Ac%25.txt,line=3,title=label-row::wrong; delete it"


def test_a_file_elsewhere_is_no_place_in_the_checkout(tmp_path: Path) -> None:
    (line,) = workflow_commands(check_of(finding(file="/elsewhere/a.txt", line=3)), tmp_path)
    assert line == "::error title=label-row::wrong"


def test_no_text_of_a_data_set_starts_a_command(tmp_path: Path) -> None:
    hostile = "50 % of x\r\n::set-env name=PATH::/tmp"
    (line,) = workflow_commands(check_of(finding(message=hostile)), tmp_path)
    assert line.splitlines() == [line]
    assert line.endswith("::50 %25 of x%0D%0A::set-env name=PATH::/tmp")
    assert annotation_of_error(hostile).count("\n") == 0


def test_what_github_would_drop_is_counted(tmp_path: Path) -> None:
    many = [finding(f"code-{n % 3}", message=str(n)) for n in range(13)]
    lines = list(workflow_commands(check_of(*many), tmp_path))
    assert len(lines) == 10
    assert lines[-1] == "::error title=4 more::code-0, code-1, code-2"


def test_severities_have_their_commands_and_what_is_waived_is_a_notice(tmp_path: Path) -> None:
    found = [finding("a"), finding("b", Severity.WARNING), finding("c", Severity.NOTE), finding("d")]
    lines = list(workflow_commands(check_of(*found, waived=("d",)), tmp_path))
    assert [line.split(" ")[0] for line in lines] == ["::error", "::warning", "::notice", "::notice"]


@pytest.fixture
def repository(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A repository with a small data set: one row of labels is out of range, and a class is a command."""
    for split in ("train", "val"):
        for number in range(3):
            image = tmp_path / "images" / split / f"{split}{number}.png"
            image.parent.mkdir(parents=True, exist_ok=True)
            Image.effect_noise((64, 64), 60 + 10 * number + len(split)).convert("RGB").save(image)
            label = tmp_path / "labels" / split / f"{split}{number}.txt"
            label.parent.mkdir(parents=True, exist_ok=True)
            label.write_text("0 0.5 0.5 0.2 0.2\n" + ("7 0.5 0.5 0.2 0.2\n" if (split, number) == ("train", 1) else ""))
    (tmp_path / "data.yaml").write_text('train: images/train\nval: images/val\nnames: ["::set-output name=x::1"]\n')
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("GITHUB_WORKSPACE", str(tmp_path))
    return tmp_path


def test_the_check_step_of_the_workflow_annotates_a_faulty_label(repository: Path) -> None:
    workflow = YAML(typ="safe", pure=True).load(ROOT / "jobs" / "ci" / "check-data.yaml")
    (step,) = (one for one in workflow["jobs"]["check"]["steps"] if one.get("name") == "check")
    command, *arguments = shlex.split(step["run"])
    assert command == "yolosweep"
    done = runner.invoke(app, arguments)
    assert done.exit_code == 4, done.output
    first, *lines = done.stdout.splitlines()
    token = first.removeprefix("::stop-commands::")
    end = lines.index(f"::{token}::")
    assert "::set-output name=x::1" in "\n".join(lines[:end]), "shown, where GitHub looks for no command"
    commands = lines[end + 1 :]
    assert any(re.match(r"::error file=labels/train/train1\.txt,line=2,title=label-class", line) for line in commands)
    assert all(line.startswith(("::error ", "::warning ", "::notice ")) for line in commands)
    assert (repository / "check.html").is_file(), "what the last step keeps"


def test_data_that_cannot_be_read_are_an_annotation(tmp_path: Path) -> None:
    done = runner.invoke(app, ["check", str(tmp_path / "none.yaml"), "--format", "github"])
    assert done.exit_code == 4
    assert done.stdout.startswith("::error title=yolosweep check::")


@pytest.mark.parametrize(
    ("arguments", "said"), [(["--format", "sarif"], "choose from text, github"), (["--format", "github", "--json"], "")]
)
def test_another_format_is_refused(arguments: list[str], said: str) -> None:
    done = runner.invoke(app, ["check", "data.yaml", *arguments])
    assert (done.exit_code, said in done.stderr) == (2, True)


def test_the_hook_runs_what_exists(repository: Path) -> None:
    (hook,) = YAML(typ="safe", pure=True).load(ROOT / ".pre-commit-hooks.yaml")
    command, *arguments = shlex.split(hook["entry"])
    assert command == "yolosweep"
    assert runner.invoke(app, [*arguments, *hook["args"]]).exit_code == 4
    label = repository / "labels" / "train" / "train1.txt"
    assert re.search(hook["files"], label.name)
    label.write_text("0 0.5 0.5 0.2 0.2\n")
    assert runner.invoke(app, [*arguments, *hook["args"]]).exit_code == 0


def test_the_workflow_installs_packages_that_are_pinned_here() -> None:
    workflow = YAML(typ="safe", pure=True).load(ROOT / "jobs" / "ci" / "check-data.yaml")
    install = next(step["run"] for step in workflow["jobs"]["check"]["steps"] if step.get("name") == "install")
    named = install.splitlines()[1].split()[2:]
    required = (ROOT / "pyproject.toml").read_text()
    assert [name for name in named if f'"{name}>=' not in required] == []
