"""What the shell completes: asked as bash and zsh ask."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner

from yolosweep.cli.app import app

FIXTURE = Path(__file__).parents[2] / "fixtures" / "run_v1"
runner = CliRunner()


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    for name in ("runs/first", "runs/second"):
        shutil.copytree(FIXTURE, tmp_path / name)
    (tmp_path / "runs" / "other").mkdir()
    os.utime(tmp_path / "runs" / "first", (1, 1))
    return tmp_path


def bash(*words: str) -> list[str]:
    """Return what bash gets for the last word; it parts words at ``=``."""
    asked = {"_YOLOSWEEP_COMPLETE": "complete_bash", "COMP_WORDS": " ".join(words), "COMP_CWORD": str(len(words) - 1)}
    return runner.invoke(app, [], prog_name="yolosweep", env=asked).stdout.split()


def zsh(line: str) -> str:
    asked = {"_YOLOSWEEP_COMPLETE": "complete_zsh", "_TYPER_COMPLETE_ARGS": line}
    return runner.invoke(app, [], prog_name="yolosweep", env=asked).stdout


def test_keys_come_with_their_default_or_choices() -> None:
    assert bash("yolosweep", "run", "a.yaml", "train.epo") == ["train.epochs=100"]
    assert {"search.pruner=asha", "search.pruner=none"} <= set(bash("yolosweep", "plan", "a.yaml", "search.pru"))
    assert "resources.gpus_per_trial=auto" in bash("yolosweep", "run", "a.yaml", "resources.")


def test_bash_asks_for_the_value_alone() -> None:
    assert bash("yolosweep", "run", "a.yaml", "search.pruner", "=", "as") == ["asha"]
    assert "tpe" in bash("yolosweep", "run", "a.yaml", "search.searcher", "=")
    assert "train.epochs=100" in bash("yolosweep", "run", "a.yaml", "search.pruner", "=", "asha", "train.ep")


def test_zsh_asks_for_the_pair() -> None:
    assert "search.pruner=asha" in zsh("yolosweep run a.yaml search.pruner=as")


def test_run_folders_are_named_newest_first(here: Path) -> None:
    assert bash("yolosweep", "show", "''") == ["runs/second", "runs/first"]
    assert bash("yolosweep", "show", "runs/fi") == ["runs/first"]
    assert bash("yolosweep", "resume", "runs/") == ["runs/second", "runs/first"]
    assert bash("yolosweep", "best", f"{here}/runs/se") == [f"{here}/runs/second"]


def test_further_words_of_resume_are_overrides() -> None:
    assert bash("yolosweep", "resume", "runs/first", "search.tria") == ["search.trials="]


@pytest.mark.slow
def test_a_missing_library_is_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    """As where the wheel was installed without what it depends on."""
    code = (
        "import sys; sys.modules['pandas'] = None\n"
        "from yolosweep.cli.app import app\n"
        f"app(['show', {str(FIXTURE)!r}, '--save', 'x.csv'])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert (done.returncode, "Traceback" in done.stderr) == (1, False)
    assert "this needs pandas, which is not installed here; pip install yolosweep" in done.stderr
