"""The report's numbers, in the page, in a table and as they come; nothing in a run becomes code in the page."""

from __future__ import annotations

import base64
import contextlib
import hashlib
import itertools
import json
import os
import re
import shutil
import threading
import zlib
from collections.abc import Mapping
from html.parser import HTMLParser
from importlib import resources
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from yolosweep.cli.app import app
from yolosweep.cli.live_view import LiveView
from yolosweep.cli.run_tables import describe_run
from yolosweep.ledger import Ledger, RunFolder
from yolosweep.ledger.history import History
from yolosweep.records import Ending, EpochResult, FileRef, TrialRecord, TrialRequest, Validation
from yolosweep.records.events import (
    EpochRecorded,
    Note,
    SweepEnded,
    SweepResumed,
    SweepStarted,
    TrialEnded,
    TrialResumed,
    TrialStarted,
    WinnerSelected,
)
from yolosweep.records.summary import Restart, Summary
from yolosweep.records.verdict import Outcome
from yolosweep.report import summarize, write_report
from yolosweep.report.figures import drawn_trials

FIXTURE = Path(__file__).resolve().parents[2] / "fixtures" / "run_v1"
METRIC = "metrics/mAP50-95(B)"
HOSTILE = "</script><script>document.title='owned'</script><img src=x onerror=alert(1)>"
SPACE = {
    "lr0": {"min": 1e-4, "max": 1e-1, "distribution": "log_uniform_values"},
    "batch": {"values": [4, 8]},
    "mosaic": {"min": 0.0, "max": 1.0},
    "augmentations": {"values": ["none", HOSTILE]},
    "imgsz": {"value": 640},
}
DRAWN = 4
"""Searched parameters with more than one value."""


def write_run(
    tmp_path: Path,
    *trials: tuple[list[float | None], Ending | None],
    mode: str = "max",
    name: str = "a car",
    space: dict[str, Any] = SPACE,
    ended: bool = True,
    records: Mapping[str, dict[str, Any]] | None = None,
    restarts: Mapping[str, list[tuple[int, str]]] | None = None,
    **more: Any,
) -> RunFolder:
    """Write a run whose trials have these scores per epoch; an ending of None is still running.

    ``records`` are further fields of the trials' records, ``restarts`` the epochs they went on from and why (before
    their first row), ``more`` further events, written before the end of the sweep.
    """
    folder = RunFolder.create(tmp_path, "report")
    ledger = Ledger(folder)
    experiment = {
        "name": "report", "task": "detect", "model": "yolo11n.yaml", "train": {"epochs": 3},
        "search": {"metric": METRIC, "mode": mode, "parameters": space},
    }  # fmt: skip
    ledger.append(
        SweepStarted(sweep=folder.sweep, experiment=experiment, versions={"ray": "2.60"}, notes=["odd " + name],
        dataset={
            "task": "detect", "source": "/d/" + name, "train_on": "/d", "names": {"0": name},
            "images": {"train": 9, "val": 3}, "fingerprint": "f" * 64
        },
    ))  # fmt: skip
    for number, (scores, ending) in enumerate(trials):
        trial = f"t{number:04d}"
        asked = {
            "lr0": 10.0 ** -(1 + number % 4), "batch": 4 + 4 * (number % 2), "mosaic": (number % 10) / 10,
            "augmentations": ("none", HOSTILE)[number % 2], "imgsz": 640,
        }  # fmt: skip
        asked = {key: value for key, value in asked.items() if key in space}
        request = TrialRequest(
            sweep=folder.sweep, trial=trial, number=number, task="detect", model="m", data="d", asked=asked,
            settings={"epochs": 3, **asked}, identity=str(number), metric=METRIC, mode=mode, folder=str(folder.root),
        )  # fmt: skip
        ledger.append(TrialStarted(request=request))
        for attempt, (epoch, reason) in enumerate((restarts or {}).get(trial, []), 1):
            about = {"attempt": attempt, "cause": "infra", "reason": reason, "from_epoch": epoch}
            ledger.append(TrialResumed(trial=trial, **about))
        known = []
        for epoch, score in enumerate(scores, 1):
            known += [score] if score is not None else []
            best = (max(known) if mode == "max" else min(known)) if known else None
            at = None if best is None else scores.index(best) + 1
            row = EpochResult(
                epoch=epoch, metrics={METRIC: score}, score=score, best_score=best, best_epoch=at,
                epochs_without_gain=0, seconds=2.0, images_per_s=9,
            )  # fmt: skip
            ledger.append(EpochRecorded(trial=trial, row=row))
        if ending is not None:
            record = TrialRecord(
                trial=trial, number=number, ending=ending, reason="because " + name, asked=asked,
                used={**asked, "batch": 4} if "batch" in asked else asked,
                score=best if scores else None, epochs=len(scores), seconds=2.0 * len(scores),
                notes=(name,), error="error " + name if ending is Ending.FAILED else None,
                **(records or {}).get(trial, {}),
            )  # fmt: skip
            ledger.append(TrialEnded(record=record))
    for event in more.values():
        ledger.append(event)
    if ended:
        ledger.append(SweepEnded(status="finished", reason="all trials ended"))
    ledger.close()
    return folder


def winner(trial: str, score: float, *, test: float | None = None, label: str = "a car") -> WinnerSelected:
    """Return a winner event, with test images or without."""

    def validation(split: str, value: float) -> Validation:
        per_class = {label: {METRIC: value / 2}}
        return Validation(split=split, metrics={METRIC: value, "val/loss": 1.0}, per_class=per_class)

    splits = {"val": score, **({"test": test} if test is not None else {})}
    return WinnerSelected(
        trial=trial, score=score, metric=METRIC, passed_over=("t0009 left no checkpoint",),
        validations={split: validation(split, value) for split, value in splits.items()}, identity="i", model="m",
        file=FileRef(path="winner/best.pt", sha256="5f" * 32, size=5 << 20), settings={"lr0": 0.25},
        data_fingerprint="f" * 64,
    )  # fmt: skip


def summary_of(folder: RunFolder) -> Summary:
    return summarize(History.of(folder))


def test_the_page_links_the_pictures_of_the_winner_and_nothing_else(tmp_path: Path) -> None:
    names = (
        *("winner/plots/val/BoxPR_curve.png", "winner/errors.html", "winner/../../etc", "javascript:alert(1)"),
        f"winner/plots/val/{HOSTILE}.png",
    )
    pictures = tuple(FileRef(path=name, sha256="5f" * 32, size=9) for name in names)
    chosen = winner("t0000", 0.5).model_copy(update={"pictures": pictures})
    page = write_report(write_run(tmp_path, ([0.5], Ending.FINISHED), winner=chosen)).read_text()
    links = re.findall(r'href="([^"]*)"', page.split("<script type", 1)[0])
    assert "What t0000 gets wrong" in page
    assert '<dt>plots, val</dt><dd><a href="winner/plots/val/BoxPR_curve.png">BoxPR_curve</a>' in page
    assert set(links) - {"data:,", "#diagnosis"} == {
        *("winner/errors.html", "winner/plots/val/BoxPR_curve.png"),
        "winner/plots/val/%3C/script%3E%3Cscript%3Edocument.title%3D%27owned%27%3C/script%3E%3Cimg%20src%3Dx"
        "%20onerror%3Dalert%281%29%3E.png",
    }


def figures_of(page: str) -> dict[str, Any]:
    found = re.search(r'id="figures">(.*?)</script>', page, re.DOTALL)
    assert found is not None
    figures: dict[str, Any] = json.loads(zlib.decompress(base64.b64decode(found[1], validate=True)))
    return figures


class Tables(HTMLParser):
    """The text of every cell of the page's tables, by the table's id."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.tables: dict[str, list[list[str]]] = {}
        self._rows: list[list[str]] = []
        self._open = False
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag == "table":
            self._rows = self.tables.setdefault(dict(attrs).get("id") or "", [])
        elif tag == "tr":
            self._rows.append([])
        elif tag in ("td", "th"):
            self._rows[-1].append("")
            self._open = True

    def handle_endtag(self, tag: str) -> None:
        self._open = self._open and tag not in ("td", "th")

    def handle_data(self, data: str) -> None:
        if self._open:
            self._rows[-1][-1] += data


def test_the_gain_is_over_trial_0_and_every_trial_is_there(tmp_path: Path) -> None:
    folder = write_run(
        tmp_path, ([0.1, 0.4], Ending.FINISHED), ([0.5, 0.3], Ending.PRUNED), ([], Ending.FAILED), ([0.2], None)
    )
    numbers = summary_of(folder)
    assert (numbers.best_trial, numbers.best_score, numbers.baseline_score) == ("t0001", 0.5, 0.4)
    assert numbers.gain == pytest.approx(0.1)
    assert numbers.gain_percent == 25.0
    assert numbers.endings == {"finished": 1, "pruned": 1, "failed": 1, "running": 1}
    assert numbers.epochs == 5
    assert numbers.seconds == 10.0
    assert [trial.gain for trial in numbers.trials] == [0.0, pytest.approx(0.1), None, pytest.approx(-0.2)]
    assert numbers.trials[1].parameters["batch"] == 4  # as used, not the 8 that was asked for
    assert numbers.verdict.outcome is Outcome.NO_DIFFERENCE  # 3 val images resolve nothing
    assert "lr0=0.1 (default 0.01)" in " ".join(numbers.verdict.details)
    assert sum(line.epochs for line in numbers.cost) == 5


KEYS = {
    "summary": (
        "sweep", "name", "status", "reason", "started_at", "ended_at", "metric", "mode", "best_trial", "best_score",
        "baseline_score", "gain", "gain_percent", "verdict", "winner", "endings", "epochs", "trainings", "seconds",
        "cost", "resumes", "caveats", "warnings", "trials", "notes", "diagnoses", "importance", "mistakes",
        "objectives", "front", "ranking",
    ),
    "trial": (
        "trial", "number", "repeats", "seed", "ending", "reason", "score", "gain", "best_epoch", "epochs",
        "seconds", "gpu_hours", "parameters", "used", "ran_on", "attempts", "diverged", "notes", "error", "checkpoint",
        "objectives", "standing", "latency",
    ),
    "ran_on": (
        "host", "device", "world_size", "threads", "epoch_seconds", "images_per_s", "memory_mb", "gpu_memory_mb",
        "retries", "recoveries",
    ),
    "verdict": (
        "outcome", "sentence", "details", "trial", "reference", "reference_name", "comparisons", "seeds", "resolution",
        "ties", "cheapest", "optimism", "trials", "leaks", "off_defaults",
    ),
    "comparison": (
        "split", "images", "score", "reference_score", "difference", "low", "high", "resamples",
    ),
    "winner": ("trial", "repeats", "score", "gain", "validated"),
    "cost": ("ending", "trials", "epochs", "seconds"),
    "resume": ("at", "changes", "allowed"),
    "attempt": ("from_epoch", "cause", "reason"),
    "note": ("trial", "text"),
    "run": ("run", "started", "status", "trials", "metric", "best", "best_trial"),
    "damaged": ("run", "started", "status", "fault"),
}  # fmt: skip
"""The keys of ``show --json`` and ``ls --json`` as of release 0.1 and since, in order: scripts rely on them."""


def test_the_keys_of_show_and_ls_as_json_are_as_recorded(tmp_path: Path) -> None:
    folder = write_run(
        tmp_path, ([0.4], Ending.FINISHED), ([0.3], Ending.FINISHED), ended=False,
        restarts={"t0000": [(0, "its worker died")]}, winner=winner("t0000", 0.4), note=Note(text="a note"),
    )  # fmt: skip
    resume_sweep(folder).close()
    shown = json.loads(CliRunner().invoke(app, ["show", str(folder.root), "--json"]).stdout)
    trial, verdict = shown["trials"][0], shown["verdict"]
    found = {
        "summary": shown, "verdict": verdict, "comparison": verdict["comparisons"][0],
        "trial": trial, "ran_on": trial["ran_on"], "winner": shown["winner"],
        "cost": shown["cost"][0], "resume": shown["resumes"][0], "attempt": trial["attempts"][0],
        "note": shown["notes"][0],
    }  # fmt: skip
    damaged = RunFolder.create(tmp_path, "damaged")
    damaged.ledger.write_text("{}\n{}\n")
    runs = json.loads(CliRunner().invoke(app, ["ls", str(tmp_path), "--json"]).stdout)
    found |= {"damaged" if run["status"] == "damaged" else "run": run for run in runs}
    assert {name: tuple(value) for name, value in found.items()} == KEYS
    moment = r"20\d\d-\d\d-\d\dT\d\d:\d\d:\d\d\.\d\d\d\+00:00"
    assert all(re.fullmatch(moment, at) for at in (shown["started_at"], shown["resumes"][0]["at"]))


def test_less_is_better_in_mode_min(tmp_path: Path) -> None:
    numbers = summary_of(write_run(tmp_path, ([0.9], Ending.FINISHED), ([0.7], Ending.FINISHED), mode="min"))
    assert numbers.best_trial == "t0001"
    assert numbers.gain == pytest.approx(0.2)


def test_trial_0_may_be_best(tmp_path: Path) -> None:
    numbers = summary_of(write_run(tmp_path, ([0.9], Ending.FINISHED), ([0.7], Ending.FINISHED)))
    assert numbers.verdict.outcome is Outcome.NO_DIFFERENCE
    assert numbers.verdict.trial == "t0001"
    assert "t0001 scores 0.2000 less" in numbers.verdict.sentence


def test_without_a_score_nothing_is_claimed(tmp_path: Path) -> None:
    folder = write_run(tmp_path, ([None, None], Ending.DIVERGED), ([], Ending.OOM))
    numbers = summary_of(folder)
    assert numbers.best_trial is None
    assert numbers.gain is None
    assert numbers.verdict.sentence == "No trial gave a score."
    assert write_report(folder).is_file()


def test_defaults_without_a_score_leave_the_gain_open(tmp_path: Path) -> None:
    folder = write_run(tmp_path, ([None], Ending.DIVERGED), ([0.7], Ending.FINISHED), ([0.1], Ending.FINISHED))
    numbers = summary_of(folder)
    assert numbers.gain is None
    assert numbers.best_trial == "t0001"
    assert "thin green ones are the best quarter" in write_report(folder).read_text()


def test_what_one_finding_says_no_other_repeats(tmp_path: Path) -> None:
    rising = [([start + 0.05 * epoch for epoch in range(8)], Ending.FINISHED) for start in (0.1, 0.12, 0.14)]
    folder = write_run(tmp_path, *rising)
    codes = [diagnosis.code for diagnosis in summary_of(folder).diagnoses]
    assert {"too-few-epochs", "still-rising"} <= set(codes)
    page = write_report(folder).read_text()
    assert "Too few epochs" in page
    assert "Still rising" not in page


def test_a_running_sweep_is_marked_as_such(tmp_path: Path) -> None:
    folder = write_run(tmp_path, ([0.9], Ending.FINISHED), ([0.7], None), ended=False)
    numbers = summary_of(folder)
    assert (numbers.status, numbers.ended_at) == ("not ended", None)
    assert numbers.verdict.sentence.startswith("So far: no difference to trial 0")
    assert summary_of(write_run(tmp_path, ([], None), ended=False)).verdict.sentence == "No trial has a score yet."
    assert "○ running" in " ".join(
        cell for row in Tables(write_report(folder).read_text()).tables["trials"] for cell in row
    )


def test_a_winner_that_is_not_the_best_is_named(tmp_path: Path) -> None:
    trials = ([0.4], Ending.FINISHED), ([0.6], Ending.FAILED), ([0.5], Ending.FINISHED)
    numbers = summary_of(write_run(tmp_path, *trials, winner=winner("t0002", 0.5, test=0.45)))
    assert numbers.best_trial == "t0001"
    assert numbers.winner.validated == {"val": 0.5, "test": 0.45}
    assert numbers.winner.gain == pytest.approx(0.1)
    handed_over = "The best score is t0001's, but its checkpoint is not the one handed over."
    assert numbers.verdict.trial == "t0002"
    assert handed_over in numbers.verdict.details
    assert handed_over not in summary_of(write_run(tmp_path, *trials, winner=winner("t0001", 0.6))).verdict.details


@pytest.mark.parametrize("scores", [(0.3, 0.5), (0.3, 0.31), (0.5, 0.3), (0.4, 0.4), (3.0, 150.0)])
def test_the_interval_stands_above_a_scale_with_zero_and_round_numbers(
    tmp_path: Path, scores: tuple[float, float]
) -> None:
    folder = write_run(tmp_path, *(([score], Ending.FINISHED) for score in scores), winner=winner("t0001", scores[1]))
    page = write_report(folder).read_text()
    ticks = re.findall(
        r'<span style="left: ([\d.]+)%">([^<]+)</span>', page.split('class="mark">')[1].split("</div>")[0]
    )
    assert not [text for _, text in ticks if "e" in text], "a number that people read"
    places, values = zip(*((float(place), float(value)) for place, value in ticks), strict=True)
    assert 3 <= len(ticks) <= 8
    assert 0.0 in values
    steps = [after - before for before, after in itertools.pairwise(values)]
    assert steps == pytest.approx([steps[0]] * len(steps)), "every tick has all its digits"
    assert 0 <= min(places) < max(places) <= 100


def test_the_page_shows_these_numbers(tmp_path: Path) -> None:
    folder = write_run(
        tmp_path, ([0.1, 0.4], Ending.FINISHED), ([0.5, 0.3], Ending.PRUNED), note=Note(text="batch was lowered")
    )
    page = write_report(folder).read_text()
    for shown in ("0.5000", "+0.1000", "batch was lowered", "2.60", "9 train, 3 val"):
        assert shown in page
    assert len(page) < 6_000_000


def test_the_table_has_every_trial_with_its_numbers(tmp_path: Path) -> None:
    folder = write_run(tmp_path, ([0.1, None, 0.4], Ending.FINISHED), ([0.5, 0.3], Ending.PRUNED), ([], Ending.FAILED))
    head, *rows = Tables(write_report(folder).read_text()).tables["trials"]
    assert head == [
        "trial", "ending", "mAP50-95(B)", "gain", "best epoch", "epochs", "time", *SPACE, "why it ended", "ran on",
    ]  # fmt: skip
    assert [row[0] for row in rows] == ["t0001", "t0000 tie", "t0002"]  # best first, then those without a score
    rows.sort()
    assert rows[0][:10] == ["t0000 tie", "● finished", "0.4000", "+0.0000", "3", "3", "6 s", "0.1", "4", "0"]
    assert rows[1][:10] == ["t0001", "✕ pruned", "0.5000", "+0.1000", "1", "2", "4 s", "0.01", "4", "0.1"]
    assert rows[1][10] == HOSTILE
    assert rows[2][1:7] == ["▲ failed", "–", "–", "–", "0", "0 s"]
    assert rows[2][-2:] == ["because a car error a car", "cpu"]
    assert len(rows) == 3


MEASURED: dict[str, Any] = {
    "host": "node-7", "device": "NVIDIA A100", "threads": 2, "epoch_seconds": 12.345, "images_per_s": 87.6,
    "memory_mb": 700.0, "gpu_memory_mb": 3072.0,
}  # fmt: skip


def test_a_trial_shows_what_it_ran_on(tmp_path: Path) -> None:
    more = {**MEASURED, "world_size": 2, "recoveries": 1}
    folder = write_run(tmp_path, ([0.4], Ending.FINISHED), ([0.5], Ending.FINISHED), records={"t0001": more})
    plain, measured = (trial.ran_on for trial in summary_of(folder).trials)
    assert measured.model_dump() == {**more, "retries": 0}
    assert (plain.epoch_seconds, plain.images_per_s) == (2.0, 9.0)  # of its rows, where the record has none
    assert [getattr(plain, name) for name in ("host", "threads", "memory_mb", "gpu_memory_mb")] == [None] * 4
    head, *rows = Tables(write_report(folder).read_text()).tables["trials"]
    rows.sort()
    place = head.index("ran on")
    assert rows[0][place] == "cpu · 2 s/epoch · 9 images/s"
    assert rows[1][place] == (
        "node-7 · NVIDIA A100 · 2 ranks · 2 threads · 12.3 s/epoch · 88 images/s · 700 MiB memory · "
        "3.0 GiB GPU memory · 1 epoch trained again"
    )


def test_a_running_trial_is_described_by_its_rows(tmp_path: Path) -> None:
    (trial,) = summary_of(write_run(tmp_path, ([0.4, 0.5], None), ended=False)).trials
    assert (trial.ran_on.device, trial.ran_on.epoch_seconds, trial.diverged) == (None, 2.0, None)


@pytest.mark.parametrize(("sizes", "warned"), [((1, 1, 2), True), ((2, 2, 2), False), ((1, 1, 1), False)])
def test_different_numbers_of_ranks_in_one_ranking_give_a_warning(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], sizes: tuple[int, ...], warned: bool
) -> None:
    trials = [([0.1 * (4 - number)], Ending.FINISHED) for number in range(len(sizes))]
    records = {f"t{number:04d}": {"world_size": size} for number, size in enumerate(sizes)}
    folder = write_run(tmp_path, *trials, ([], Ending.OOM), records={**records, "t0003": {"world_size": 8}})
    describe_run(summary_of(folder))
    for text in (write_report(folder).read_text(), capsys.readouterr().out):
        assert ("different numbers of ranks" in text) is warned
        assert ("(1: t0000, t0001; 2: t0002)" in text) is warned  # what has no score is in no ranking


def test_every_restart_of_a_trial_is_listed(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    restarts = {"t0001": [(0, "its worker died: " + HOSTILE), (0, "it stood still")]}
    folder = write_run(tmp_path, ([0.4], Ending.FINISHED), ([0.5], Ending.FINISHED), restarts=restarts)
    numbers = summary_of(folder)
    assert [trial.ran_on.retries for trial in numbers.trials] == [0, 2]
    assert numbers.trials[1].attempts[1] == Restart(from_epoch=1, cause="infra", reason="it stood still")
    page = write_report(folder).read_text()
    assert "<li><b>t0001</b> from epoch 1: it stood still</li>" in page
    assert "<li><b>t0001</b> from epoch 1: its worker died: &lt;/script&gt;" in page
    assert "None: all trials ran" not in page
    assert Tables(page).tables["trials"][1][-1].endswith("9 images/s · 3 starts")
    describe_run(numbers)
    described = capsys.readouterr().out
    assert re.search(r"│\s*3\s*│", described)
    assert "starts" in described
    describe_run(summary_of(write_run(tmp_path, ([0.4], Ending.FINISHED))))
    assert "starts" not in capsys.readouterr().out


def test_a_resumed_sweep_says_so(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = write_run(tmp_path, ([0.4], Ending.FINISHED), ended=False)
    assert "· resumed" not in write_report(folder).read_text()
    for count in ("once", "2 times"):
        resume_sweep(folder).close()
        numbers = summary_of(folder)
        assert numbers.resumes[-1].changes == {"search.trials": (1, 2)}
        page = write_report(folder).read_text()
        assert f"· resumed {count}" in page
        assert "; search.trials 1 → 2; different data allowed</li>" in page
        describe_run(numbers)
        assert f"resumed {count}" in capsys.readouterr().out


def resume_sweep(folder: RunFolder) -> Ledger:
    """Write what the controller writes first when a sweep is resumed; return the ledger."""
    experiment = History.of(folder).started.experiment
    ledger = Ledger(folder)
    changes = {"search.trials": [1, 2]}
    ledger.append(SweepResumed(experiment=experiment, versions={}, slots={}, changes=changes, allowed=["data"]))
    return ledger


def test_a_silent_divergence_is_reported(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = write_run(tmp_path, ([0.4], Ending.FINISHED), ([0.5, *[0.001] * 5], Ending.FINISHED))
    numbers = summary_of(folder)
    assert [bool(trial.diverged) for trial in numbers.trials] == [False, True]
    assert "the score collapsed" in Tables(write_report(folder).read_text()).tables["trials"][1][-2]
    describe_run(numbers)
    assert "t0001 diverged silently: the score collapsed" in capsys.readouterr().out


def test_a_page_that_cannot_be_written_gives_an_error_without_a_traceback(tmp_path: Path) -> None:
    folder = write_run(tmp_path, ([0.4], Ending.FINISHED))
    folder.report.mkdir()  # what else a file cannot replace
    done = CliRunner().invoke(app, ["report", str(folder.root)])
    assert done.exit_code == 1
    assert done.stderr == f"error: cannot read or write {folder.report}: Is a directory\n"


def test_the_live_view_of_a_resumed_sweep_prints_only_what_is_new(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = write_run(
        tmp_path, ([0.4], Ending.FINISHED), ([0.5], Ending.CANCELLED), ([0.3], None), note=Note(text="an old note")
    )
    resume_sweep(folder).close()  # an earlier resume: not printed either
    ledger = resume_sweep(folder)
    about = {"attempt": 1, "cause": "resumed", "reason": "the sweep was resumed"}
    ledger.append(TrialResumed(trial="t0001", from_epoch=1, **about))
    ledger.append(TrialResumed(trial="t0002", from_epoch=0, **about))
    rows = History.of(folder).trials["t0000"].rows
    with LiveView(folder, 4, 3):
        lines = capsys.readouterr().err.splitlines()
        assert lines == [
            "resumed; search.trials 1 -> 2; different data allowed  [1/4 trials, 3/12 epochs, best 0.5000 t0001]",
            "t0001 resumes from epoch 2: the sweep was resumed",
            "t0002 restarts: the sweep was resumed",
        ]
        ledger.append(EpochRecorded(trial="t0002", row=rows[0]))
        record = TrialRecord(trial="t0002", number=2, ending=Ending.PRUNED, reason="behind", asked={}, used={})
        ledger.append(TrialEnded(record=record))
    (line,) = capsys.readouterr().err.splitlines()
    assert re.fullmatch(
        r"t0002 pruned: behind  \[2/4 trials, 3/12 epochs, best 0\.5000 t0001, about \d+ s left\]", line
    )
    ledger.close()


def test_on_a_terminal_a_table_lists_every_trial_below_the_lines_of_events(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    trials = ([0.1, 0.4], Ending.FINISHED), ([], Ending.DIVERGED), ([0.3], None)
    folder = write_run(tmp_path, *trials, space={"lr0": {}}, ended=False)
    ledger = resume_sweep(folder)
    monkeypatch.setenv("COLUMNS", "120")
    monkeypatch.setenv("TERM", "xterm")
    read, write = os.openpty()
    drawn: list[bytes] = []

    def look() -> None:
        with contextlib.suppress(OSError):  # nobody writes any more
            while block := os.read(read, 4096):
                drawn.append(block)

    reader = threading.Thread(target=look, daemon=True)
    reader.start()
    with os.fdopen(write, "w") as terminal:
        monkeypatch.setattr("sys.stderr", terminal)
        with LiveView(folder, 5, 3):
            row = History.of(folder).trials["t0002"].rows[0].model_copy(update={"epoch": 2})
            ledger.append(EpochRecorded(trial="t0002", row=row))
            record = TrialRecord(trial="t0002", number=2, ending=Ending.OOM, reason="batch 64", asked={}, used={})
            ledger.append(TrialEnded(record=record))
            again = {"attempt": 1, "cause": "resource", "reason": "restarted with batch 32", "from_epoch": 2}
            ledger.append(TrialResumed(trial="t0002", **again))
    ledger.close()
    reader.join(timeout=60)
    os.close(read)
    screen = re.sub(r"\x1b\[[0-9;?]*[a-zA-Z]", "", b"".join(drawn).decode())
    last = screen[screen.rindex("2/5 trials") :]  # the picture is drawn again with every look
    above = [line.strip() for line in screen[: screen.rindex("2/5 trials")].splitlines()]
    for event in ("t0002 oom: batch 64", "t0002 resumes from epoch 3: restarted with batch 32"):
        assert above.count(event) == 1  # it is printed once, and never again
    assert re.match(
        r"2/5 trials, 4/15 epochs, best 0\.4000 t0000, about \d+ s left, 1 diverged", " ".join(last.split())
    )
    lines = [re.split(r"\s{2,}", line.strip()) for line in last.splitlines()]
    cells = [line for line in lines if re.match(r"t\d{4}", line[0])]
    assert cells == [
        ["t0002", "running", "2/3", "0.3000", "0.3000", "1", "2", "lr0=0.001"],
        ["t0000", "finished", "2/3", "0.4000", "0.4000", "2", "1", "lr0=0.1"],
        ["t0001", "diverged", "0/3", "1", "lr0=0.01"],
    ]


def test_the_time_left_is_reckoned_from_what_was_trained_since(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = write_run(tmp_path, ([0.4] * 100, None), ended=False)
    row = History.of(folder).trials["t0000"].rows[0]
    ledger = resume_sweep(folder)
    clock = [0.0]
    monkeypatch.setattr("yolosweep.cli.live_view.time.monotonic", lambda: clock[0])
    view = LiveView(folder, 1, 200)
    with view:
        pass
    clock[0] = 20.0
    for _ in range(2):
        ledger.append(EpochRecorded(trial="t0000", row=row))
    ledger.append(Note(text="new"))
    ledger.close()
    capsys.readouterr()
    view.__exit__()
    assert capsys.readouterr().err.splitlines() == ["note: new"]
    assert "about 16 min 20 s left" in view._state()  # 98 epochs, 10 s each


def test_the_winner_is_shown_with_its_file_and_its_classes(tmp_path: Path) -> None:
    folder = write_run(tmp_path, ([0.4], Ending.FINISHED), winner=winner("t0000", 0.4, test=0.3, label=HOSTILE))
    page = write_report(folder).read_text()
    for shown in (
        "winner/best.pt",
        "5f" * 32,
        "lr0=0.25",
        f"yolosweep run {folder.winner}/reproduce.yaml",
        "t0009 left no",
    ):
        assert shown in page
    head, *rows = Tables(page).tables["classes"]
    assert head == ["validated again", "mAP50-95(B)val", "mAP50-95(B)test"]
    assert rows == [["all", "0.4000", "0.3000"], [HOSTILE, "0.2000", "0.1500"]]


@pytest.mark.slow
def test_a_big_sweep_stays_a_page_that_can_be_mailed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("os.fsync", lambda descriptor: None)  # 20 000 lines
    scores: list[float | None] = [0.1 + epoch / 317 for epoch in range(100)]
    page = write_report(write_run(tmp_path, *[(scores, Ending.FINISHED)] * 200)).read_text()
    assert len(page) < 6_000_000
    assert len(Tables(page).tables["trials"]) == 201


def test_a_curve_ends_where_its_trial_ended_and_has_a_gap_where_nothing_was_measured(tmp_path: Path) -> None:
    folder = write_run(tmp_path, ([0.1, None, 0.4], Ending.FINISHED), ([0.2, 0.3], Ending.PRUNED), ([None], Ending.OOM))
    *lines, marks = figures_of(write_report(folder).read_text())["curves"]["data"]
    pruned, best = lines  # the trial without any score has no line
    assert (pruned["name"], pruned["y"]) == ("t0001", [0.2, 0.3])
    assert (best["name"], best["x0"], best["dx"], best["y"]) == ("t0000 (best)", 1, 1, [0.1, None, 0.4])
    ends = dict(zip(marks["text"], zip(marks["x"], marks["y"], strict=True), strict=True))
    assert ends == {"t0001: pruned": (2, 0.3), "t0000: best epoch": (3, 0.4)}


@pytest.mark.parametrize(("mode", "best"), [("max", "t0001"), ("min", "t0000")])
def test_the_best_is_on_top_of_the_parallel_coordinates(tmp_path: Path, mode: str, best: str) -> None:
    folder = write_run(tmp_path, ([0.2], Ending.FINISHED), ([0.6], Ending.FINISHED), ([0.5], Ending.PRUNED), mode=mode)
    figure = figures_of(write_report(folder).read_text())["parallel"]
    last = figure["data"][-1]  # drawn last, so over the others
    assert last["text"].startswith(f"<b>{best}</b>")
    assert last["y"][-1] == 1.0
    assert all(len(line["y"]) == DRAWN + 1 for line in figure["data"])
    lr0 = sorted(line["y"][0] for line in figure["data"])  # 0.1, 0.01 and 0.001 of 0.0001 to 0.1
    assert lr0 == pytest.approx([1 / 3, 2 / 3, 1], abs=1e-4)


def test_an_axis_is_as_it_was_searched(tmp_path: Path) -> None:
    figures = figures_of(write_report(write_run(tmp_path, ([0.2], Ending.FINISHED))).read_text())
    lr0, batch, mosaic = (figures[f"scatter-{index}"]["layout"]["xaxis"] for index in range(3))
    assert lr0["type"] == "log"
    assert lr0["ticktext"] == ["0.0001", "0.001", "0.01", "0.1"]
    assert (batch["type"], batch["categoryarray"]) == ("category", ["4", "8"])
    assert "type" not in mosaic
    assert f"scatter-{DRAWN}" not in figures  # imgsz had a single value


def test_defaults_outside_of_the_space_stay_on_the_axes(tmp_path: Path) -> None:
    space = {
        "lr0": {"min": 1e-5, "max": 1e-3, "distribution": "log_uniform_values"},
        "mosaic": {"min": 0.5, "max": 0.9},
    }
    folder = write_run(tmp_path, ([0.2], Ending.FINISHED), ([0.3], Ending.FINISHED), space=space)
    figures = figures_of(write_report(folder).read_text())
    assert [line["y"][:2] for line in figures["parallel"]["data"]] == [
        [1.0, 0.0],
        [pytest.approx(0.75), pytest.approx(1 / 9, abs=1e-4)],
    ]
    low, high = figures["scatter-0"]["layout"]["xaxis"]["range"]
    assert low < -5
    assert high > -1


def test_without_anything_searched_only_curves_are_drawn(tmp_path: Path) -> None:
    page = write_report(write_run(tmp_path, ([0.2], Ending.FINISHED), space={"imgsz": {"value": 640}})).read_text()
    assert set(figures_of(page)) == {"curves", "losses"}
    assert "All settings at once" not in page


def test_losses_are_there_for_every_drawn_trial_and_the_history_for_all(tmp_path: Path) -> None:
    folder = RunFolder.open(str(shutil.copytree(FIXTURE, tmp_path / "toy-20261129-143840-dfb3")))
    figures = figures_of(write_report(folder).read_text())
    history, losses = History.of(folder), figures["losses"]["data"]
    rows = history.trials["t0001"].rows
    train, val, score = (trace for trace in losses if trace["meta"] == "t0001")
    assert train["y"] == [pytest.approx(row.metrics["train/loss"], rel=1e-4) for row in rows]
    assert val["y"] == [pytest.approx(row.metrics["val/loss"], rel=1e-4) for row in rows]
    assert (score["y"], score["yaxis"]) == ([pytest.approx(row.score, rel=1e-4) for row in rows], "y2")
    assert {trace["meta"] for trace in losses} == set(history.trials)
    line, *dots = figures["history"]["data"]
    assert line["y"] == sorted(line["y"])
    assert sorted(x for trace in dots for x in trace["x"]) == [0, 1, 2]


@pytest.mark.slow
def test_of_very_many_trials_the_best_and_some_others_are_drawn_and_the_best_listed(tmp_path: Path) -> None:
    folder = write_run(tmp_path, *(([0.1 + 0.002 * i], Ending.FINISHED) for i in range(320)))
    page = write_report(folder).read_text()
    drawn = drawn_trials(summary_of(folder))
    assert drawn[:100] == [f"t{number:04d}" for number in range(319, 219, -1)]
    assert 150 < len(drawn) <= 201
    assert "t0000" in drawn
    assert len(figures_of(page)["curves"]["data"]) == len(drawn) + 1
    assert f"{len(drawn)} of 320 trials are drawn: the best 100, and the others evenly thinned out." in page
    assert sum(len(trace["x"]) for trace in figures_of(page)["scatter-0"]["data"]) == 320
    assert len(Tables(page).tables["trials"]) == 1 + 300
    assert "The best 300 of 320 trials; <code>yolosweep show --all</code> lists all of them." in page


def test_every_colour_of_a_figure_is_in_both_themes(tmp_path: Path) -> None:
    page = write_report(
        write_run(tmp_path, ([0.2], Ending.FINISHED), ([0.9], Ending.FINISHED), *(([0.5], e) for e in [*Ending, None]))
    ).read_text()
    light, dark = page[: page.index("</style>")].split("@media (prefers-color-scheme: dark)")
    used = set(re.findall(r'"(--\w+)"', json.dumps(figures_of(page))))
    assert {f"--{ending.value}" for ending in Ending} <= used
    for theme in (light, dark):
        assert used <= set(re.findall(r"(--\w+):", theme))


def test_a_page_is_small_and_carries_the_bundle_of_plotly_with_its_licence(tmp_path: Path) -> None:
    page = write_report(write_run(tmp_path, ([0.2], Ending.FINISHED))).read_text()
    assert len(page.encode()) < 2_000_000
    assert "plotly.js (basic - minified) v4.1.1" in page
    assert "Licensed under the MIT license" in page
    licence = resources.files("yolosweep.report") / "plotly" / "LICENSE"
    assert licence.read_text(encoding="utf-8").startswith("MIT License")


def test_nothing_in_a_run_becomes_markup_or_code(tmp_path: Path) -> None:
    folder = write_run(tmp_path, ([0.1], Ending.FAILED), name=HOSTILE, note=Note(text=HOSTILE, trial="t0000"))
    page = write_report(folder).read_text()
    plotly = max(page.split("<script>"), key=len)
    own = page.replace(plotly, "")
    assert "<img src=x" not in own
    assert own.count("<script>") == 2
    assert "&lt;/script&gt;" in own


def test_a_value_is_no_markup_in_a_figure_either(tmp_path: Path) -> None:
    page = write_report(write_run(tmp_path, ([0.1], Ending.FINISHED), ([0.2], Ending.FINISHED))).read_text()
    figures = figures_of(page)
    assert HOSTILE not in json.dumps(figures)
    assert "&lt;/script&gt;" in figures["scatter-3"]["layout"]["xaxis"]["categoryarray"][1]
    assert any("&lt;/script&gt;" in label["text"] for label in figures["parallel"]["layout"]["annotations"])


def test_nothing_is_loaded_from_anywhere_and_only_known_scripts_run(tmp_path: Path) -> None:
    page = write_report(write_run(tmp_path, ([0.1], Ending.FINISHED))).read_text()
    scripts = re.findall(r"<script>(.*?)</script>", page, re.DOTALL)
    own = page.replace(scripts[0], "")
    assert not re.search(r"(?:src|href)\s*=\s*[\"']?(?:https?:)?//", own)
    assert not re.search(r"@import|url\(", own)
    policy = re.search(r'Content-Security-Policy" content="([^"]+)"', page)
    assert policy is not None
    rules = dict(rule.strip().split(" ", 1) for rule in policy[1].split(";"))
    assert rules["default-src"] == "'none'"
    hashes = [base64.b64encode(hashlib.sha256(script.encode()).digest()).decode() for script in scripts]
    assert rules["script-src"].split() == [f"'sha256-{value}'" for value in hashes]
