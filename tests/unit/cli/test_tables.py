"""``show``, ``ls`` and the end of ``run`` on a terminal: the verdict first, no number and no address cut."""

from __future__ import annotations

import io
import shutil
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from yolosweep.cli.final_summary import conclude
from yolosweep.cli.run_tables import SHOWN, describe_run, describe_runs
from yolosweep.ledger import RunFolder
from yolosweep.ledger.history import History
from yolosweep.records import FileRef
from yolosweep.records.summary import Summary
from yolosweep.records.verdict import Outcome
from yolosweep.report import summarize
from yolosweep.workflows.run_list import runs_in

FIXTURE = Path(__file__).resolve().parents[2] / "fixtures" / "run_v1"


@pytest.fixture
def run_folder(tmp_path: Path) -> RunFolder:
    """A sweep of the toy as an earlier version left it: three trials, a winner, no scores per image."""
    shutil.copytree(FIXTURE, tmp_path / "storage" / "toy-20261129-143840-dfb3")
    return RunFolder.open(str(tmp_path / "storage" / "toy-20261129-143840-dfb3"))


@pytest.fixture
def many(run_folder: RunFolder) -> Summary:
    """Twenty trials with fourteen parameters."""
    summary = summarize(History.of(run_folder))
    names = [f"a_parameter_with_a_long_name_{number}" for number in range(14)]
    trials = [
        summary.trials[0].model_copy(
            update={
                "trial": f"t{number:04d}", "number": number, "score": 0.5 + number / 1000, "gain": number / 1000,
                "parameters": dict.fromkeys(names, 0.123456 + number),
            }
        )
        for number in range(20)
    ]  # fmt: skip
    return summary.model_copy(update={"trials": tuple(trials), "ranking": ()})


class Terminal(io.StringIO):
    """Standard output as a terminal."""

    def isatty(self) -> bool:
        return True


def drawn(monkeypatch: pytest.MonkeyPatch, columns: int, draw: Callable[[], None]) -> list[str]:
    """Return the lines that are drawn on a terminal of so many columns."""
    monkeypatch.setenv("COLUMNS", str(columns))
    monkeypatch.setenv("TERM", "dumb")
    screen = Terminal()
    monkeypatch.setattr(sys, "stdout", screen)
    draw()
    return screen.getvalue().splitlines()


@pytest.mark.parametrize("columns", [80, 400])
def test_show_lists_the_best_first_and_cuts_no_number(
    many: Summary, columns: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    lines = drawn(monkeypatch, columns, lambda: describe_run(many))
    text = "\n".join(lines)
    assert text.startswith("No difference to the defaults")
    assert "…" not in text
    listed = [word for line in lines for word in line.split() if word[:1] == "t" and word[1:].isdigit()]
    ranked = [f"t{number:04d}" for number in range(19, 19 - SHOWN, -1)]
    assert [name for name in listed if name in ranked][-SHOWN:] == ranked
    assert "5 more: --all" in lines
    for number in range(5, 20):
        assert f"{0.5 + number / 1000:.4f}" in text
        assert f"{0.123456 + number:.4g}" in text
    assert max(map(len, lines)) <= columns


def test_show_all_lists_every_trial(many: Summary, monkeypatch: pytest.MonkeyPatch) -> None:
    lines = drawn(monkeypatch, 80, lambda: describe_run(many, every=True))
    assert sum(line.startswith("t00") for line in lines) == 20
    assert not any("--all" in line for line in lines)


def test_a_pipe_gets_whole_lines(many: Summary, capsys: pytest.CaptureFixture[str]) -> None:
    describe_run(many)
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == many.verdict.sentence
    assert "a_parameter_with_a_long_name_13" in "\n".join(lines)


def test_ls_cuts_no_address(run_folder: RunFolder, monkeypatch: pytest.MonkeyPatch) -> None:
    lines = drawn(monkeypatch, 40, lambda: describe_runs(runs_in(str(run_folder.root.parent))))
    assert lines == [str(run_folder.root), "  2026-11-29T14:39  finished  3  0.8056  t0002"]


def test_a_run_ends_with_the_answer_and_what_to_type_next(
    run_folder: RunFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(run_folder.root.parent)
    history = History.of(run_folder)
    assert history.winner is not None
    winner = history.winner.winner
    summary = summarize(history)
    lines = drawn(monkeypatch, 80, lambda: conclude(run_folder, summary, winner, run_folder.report))
    fields = {line[:11].strip(): line[11:] for line in lines if line[:1].isalpha() and line[10:11] == " "}
    assert lines[1].startswith("No difference to the defaults that 48 val images can resolve")
    assert fields["settings"] == "lr0=2.161 weight_decay=0.008626 batch=64"
    assert fields["val"] == "accuracy_top1 0.8056"
    assert fields["model"] == "toy-20261129-143840-dfb3/winner/best.pt"
    assert fields["report"] == "toy-20261129-143840-dfb3/report.html"
    assert "mistakes" not in fields  # of an earlier version
    assert "advice" not in fields  # no diagnosis asks for one
    assert fields["next"] == "yolosweep next toy-20261129-143840-dfb3"
    assert "repeat" not in fields
    assert max(map(len, lines)) <= 80

    drew = winner.model_copy(update={"pictures": (FileRef(path="winner/errors.html", sha256="5f" * 32, size=9),)})
    lines = drawn(monkeypatch, 80, lambda: conclude(run_folder, summary, drew, run_folder.report))
    assert "mistakes   toy-20261129-143840-dfb3/winner/errors.html" in lines

    better = summary.model_copy(update={"verdict": summary.verdict.model_copy(update={"outcome": Outcome.BETTER})})
    lines = drawn(monkeypatch, 80, lambda: conclude(run_folder, better, winner, run_folder.report))
    assert "next       yolosweep next toy-20261129-143840-dfb3" in lines
    assert any(
        line.startswith("repeat     yolosweep run toy-20261129-143840-dfb3/winner/reproduce.yaml") for line in lines
    )
