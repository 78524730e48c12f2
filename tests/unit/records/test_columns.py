"""One table of trial columns and one of endings: what is added there appears on every surface."""

from __future__ import annotations

import re
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import pytest

from yolosweep.cli.live_screen import Pace, screen
from yolosweep.cli.run_tables import describe_run
from yolosweep.ledger import Ledger, RunFolder
from yolosweep.ledger.history import History
from yolosweep.ledger.trial_summary import summarize_trial
from yolosweep.records import Ending, EpochResult, TrialRecord, TrialRequest, trial_columns
from yolosweep.records.events import EpochRecorded, SweepStarted, TrialEnded, TrialStarted
from yolosweep.records.trial_columns import Column, Surface, columns_of
from yolosweep.report import summarize, write_report
from yolosweep.report.ending_styles import STYLES

SURFACES: tuple[Surface, ...] = ("show", "live", "page", "tracker")


def write_run(tmp_path: Path, *endings: Ending | None) -> RunFolder:
    """Write a run with one trial of one epoch per ending; None is a running trial."""
    folder = RunFolder.create(tmp_path, "columns")
    ledger = Ledger(folder)
    search = {"metric": "score", "mode": "max", "parameters": {"lr0": {"min": 0.1, "max": 1.0}}}
    experiment = {"name": "columns", "task": "detect", "model": "toy/red", "search": search}
    dataset: Any = {
        "task": "detect", "source": "/d", "train_on": "/d", "names": {"0": "car"}, "images": {"train": 1},
        "fingerprint": "f" * 64,
    }  # fmt: skip
    ledger.append(SweepStarted(sweep=folder.sweep, experiment=experiment, dataset=dataset))
    for number, ending in enumerate(endings):
        trial = f"t{number:04d}"
        request = TrialRequest(
            sweep=folder.sweep, trial=trial, number=number, task="detect", model="m", data="d", asked={"lr0": 0.5},
            settings={"epochs": 4, "lr0": 0.5}, identity=trial, metric="score", folder=str(folder.root),
        )  # fmt: skip
        ledger.append(TrialStarted(request=request))
        row = EpochResult(
            epoch=1, metrics={}, score=0.25, best_score=0.25, best_epoch=1, epochs_without_gain=0, seconds=2.0,
            images_per_s=9.0,
        )  # fmt: skip
        ledger.append(EpochRecorded(trial=trial, row=row))
        if ending is not None:
            record = TrialRecord(
                trial=trial, number=number, ending=ending, reason="some reason", asked={"lr0": 0.5}, used={"lr0": 0.5}
            )
            ledger.append(TrialEnded(record=record))
    ledger.close()
    return folder


def texts(folder: RunFolder, capsys: pytest.CaptureFixture[str]) -> dict[Surface, str]:
    """Return what each surface shows of a run."""
    history = History.of(folder)
    describe_run(summarize(history))
    pace = Pace(trials=4, epochs=4, elapsed_s=1.0, trained=0)
    trials = [summarize_trial(history, trial) for trial in history.trials.values()]
    tracked = columns_of("tracker", trials)
    rows = [[str(column.value(trial)) for column in tracked] for trial in trials]
    return {
        "show": capsys.readouterr().out,
        "live": "\n".join(screen(history, (), pace, width=400, height=50)),
        "page": re.sub(r"<script.*?</script>", "", write_report(folder).read_text(), flags=re.DOTALL),
        "tracker": "\n".join(map(" ".join, [[column.name for column in tracked], *rows])),
    }


def test_a_column_added_to_the_table_is_on_every_surface(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    added = Column(
        name="speed_of_light",
        heading="speed_of_light",
        value=lambda trial: 299792.458 + trial.number,
        text="{:.3f}".format,
        surfaces=frozenset(SURFACES),
    )
    folder = write_run(tmp_path, Ending.FINISHED, None)
    assert not any("speed_of_light" in text for text in texts(folder, capsys).values())
    monkeypatch.setattr(trial_columns, "COLUMNS", (*trial_columns.COLUMNS, added))
    for surface, text in texts(folder, capsys).items():
        assert text.count("speed_of_light") == 1, surface
        for value in ("299792.458", "299793.458"):
            assert value in text, surface


@pytest.mark.parametrize("surface", SURFACES)
def test_a_column_without_a_value_is_empty(tmp_path: Path, surface: Surface) -> None:
    history = History.of(write_run(tmp_path, None))
    trial = summarize_trial(history, history.trials["t0000"]).model_copy(update={"score": None, "gain": None})
    assert [c.cell(trial, "–") for c in columns_of(surface, [trial]) if c.name == "best_score"] == ["–"]


def test_the_names_for_trackers_are_stable(tmp_path: Path) -> None:
    history = History.of(write_run(tmp_path, Ending.FINISHED))
    trials = [summarize_trial(history, trial) for trial in history.trials.values()]
    assert [column.name for column in columns_of("tracker", trials)] == [
        "trial", "ending", "best_score", "gain_over_defaults", "best_epoch", "epochs", "seconds", "retries",
        "recoveries", "lr0", "checkpoint",
    ]  # fmt: skip


@pytest.mark.parametrize(("gpus", "hours", "text"), [(4.0, 4 * 1.5, "6"), (0.25, 0.25 * 1.5, "0.375"), (0.0, None, "")])
def test_gpu_hours_count_all_gpus_of_a_trial(tmp_path: Path, gpus: float, hours: float | None, text: str) -> None:
    history = History.of(write_run(tmp_path, Ending.FINISHED))
    known = history.trials["t0000"]
    known.request = known.request.model_copy(update={"gpus": gpus})
    known.record = known.record.model_copy(update={"seconds": 5400.0})
    trial = summarize_trial(history, known)
    assert trial.gpu_hours == hours
    for surface in ("show", "page", "tracker"):
        shown = [column.cell(trial) for column in columns_of(surface, [trial]) if column.name == "gpu_hours"]
        assert shown == ([text] if gpus else []), surface


def test_every_ending_is_on_every_surface(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert set(STYLES) == {*(ending.value for ending in Ending), "running"}
    folder = write_run(tmp_path, *Ending, None)
    found = texts(folder, capsys)
    for name, style in STYLES.items():
        assert all(name in text for text in found.values()), name
        assert f'<span class="e-{name}">{style.character}</span> {name}' in found["page"]
        assert f"--{name}: {style.light};" in found["page"]
        assert f"--{name}: {style.dark};" in found["page"]
        assert f".e-{name} {{" in found["page"]
    failures = [ending.value for ending in Ending if ending.is_failure]
    assert re.findall(r"^t\d{4} (\w+): some reason$", found["show"], re.MULTILINE) == failures
    final = sum(ending.is_final for ending in Ending)
    assert f"{final}/4 trials" in found["live"]
    assert all(f"1 {name}" in found["live"] for name in failures)


def test_the_properties_of_the_endings() -> None:
    assert {ending.value for ending in Ending if ending.is_failure} == {"diverged", "oom", "failed"}
    assert {ending.value for ending in Ending if not ending.is_final} == {"cancelled"}
    assert {ending.value for ending in Ending if ending.is_complete} == {"finished", "patience", "pruned"}


def test_times_in_a_summary_are_those_of_the_ledger(tmp_path: Path) -> None:
    started = summarize(History.of(write_run(tmp_path, None))).started_at
    assert started.tzinfo is not None
    assert abs((datetime.now(timezone.utc) - started).total_seconds()) < 600
