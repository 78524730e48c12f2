"""What the README and the pages show is what the program does: their experiments load, their commands exist."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest
from typer.main import get_command

from yolosweep.cli.app import app
from yolosweep.errors import ExperimentError
from yolosweep.experiment import load_experiment, notes

ROOT = Path(__file__).parents[1]
README = ROOT / "README.md"
PAGES = [README, ROOT / "CONTRIBUTING.md", ROOT / "jobs" / "README.md", *sorted((ROOT / "platform/docs").glob("*.md"))]


def named(path: Path) -> str:
    return str(path.relative_to(ROOT))


def blocks(text: str, language: str) -> list[str]:
    """Return the fenced blocks of one language."""
    return re.findall(rf"^```{language}\n(.*?)^```", text, re.MULTILINE | re.DOTALL)


def commands(text: str) -> list[list[str]]:
    """Return the commands after a prompt in the console blocks, and every ``yolosweep …`` in backticks."""
    lines = [line[2:] for block in blocks(text, "console") for line in block.splitlines() if line.startswith("$ ")]
    prose = re.sub(r"^```.*?^```", "", text, flags=re.MULTILINE | re.DOTALL)
    lines += re.findall(r"`(yolosweep [^`\n]+)`", prose)
    return [shlex.split(line.replace("…", "")) for line in lines]


def leaf(words: list[str]) -> tuple[object, list[str]]:
    """Return the command that words name, and what follows its name."""
    known = get_command(app).commands  # type: ignore[attr-defined]
    assert words[0] in known, words
    inner = getattr(known[words[0]], "commands", None)
    if inner:
        assert words[1] in inner, words
        return inner[words[1]], words[2:]
    return known[words[0]], words[1:]


@pytest.mark.parametrize("page", PAGES, ids=named)
def test_the_experiments_it_shows_are_free_of_problems(page: Path, tmp_path: Path) -> None:
    for shown in blocks(page.read_text(encoding="utf-8"), "yaml"):
        (tmp_path / "experiment.yaml").write_text(shown)
        exp = load_experiment(tmp_path / "experiment.yaml")
        assert notes(exp) == []


@pytest.mark.parametrize("page", PAGES, ids=named)
@pytest.mark.slow
def test_the_commands_it_shows_exist(page: Path) -> None:
    for words in commands(page.read_text(encoding="utf-8")):
        if words[0] != "yolosweep":
            continue
        if words[1:] == ["--help"]:
            continue
        command, rest = leaf(words[1:])
        options = {option for p in command.params for option in (*p.opts, *p.secondary_opts)}  # type: ignore[attr-defined]
        rest = rest[: rest.index("--")] if "--" in rest else rest  # the rest belongs to another program
        assert [word for word in rest if word.startswith("-") and word not in options] == [], words


@pytest.mark.parametrize("page", PAGES, ids=named)
def test_the_files_its_commands_name_exist(page: Path) -> None:
    for words in commands(page.read_text(encoding="utf-8")):
        ours = [word for word in words if word.startswith(("jobs/", "cluster/", "platform/", ".ci/", "tests/"))]
        assert [word for word in ours if not (ROOT / word).exists()] == [], words


def test_a_command_that_does_not_exist_would_be_seen() -> None:
    text = "```console\n$ yolosweep plan x.yaml --josn\noutput\n```\nand `yolosweep shwo runs/a`\n"
    assert commands(text) == [["yolosweep", "plan", "x.yaml", "--josn"], ["yolosweep", "shwo", "runs/a"]]
    with pytest.raises(AssertionError):
        leaf(["shwo", "runs/a"])


def test_the_readme_is_short_and_in_order() -> None:
    text = README.read_text(encoding="utf-8")
    assert len(text.split()) < 800
    heads = re.findall(r"^## (.*)$", text, re.MULTILINE)
    order = ["Try it", "One experiment", "What you get", "Your own data", "On a cluster", "Documentation", "License"]
    assert heads == order
    assert len(re.findall(r"^!\[", text, re.MULTILINE)) == 3


def test_the_experiment_of_the_readme_is_the_one_of_its_text() -> None:
    (shown,) = blocks(README.read_text(encoding="utf-8"), "yaml")
    assert "name: parking-lot" in shown


def test_the_problems_shown_are_reported_in_these_words(tmp_path: Path) -> None:
    page = (ROOT / "platform" / "docs" / "search.md").read_text(encoding="utf-8")
    shown = re.search(r"```text\nerror: (experiment\.yaml has 2 problems\n.*?)```", page, re.DOTALL)
    assert shown is not None
    lines = ["name: demo", "model: yolo26n.pt", "data: data.yaml", "", "", "search:", "  trails: 40", "  parameters:"]
    (tmp_path / "experiment.yaml").write_text("\n".join([*lines, "    lr0: {min: 0.001, max: 0.1}", ""]))
    with pytest.raises(ExperimentError) as caught:
        load_experiment(tmp_path / "experiment.yaml")
    assert str(caught.value) == shown[1].strip()
