"""A sweep that was interrupted is taken up again from its ledger alone, or refused with every reason."""

import json
import shutil
import signal
from pathlib import Path
from typing import Any

import psutil
import pytest

from yolosweep.ledger import Ledger, RunFolder, read_events
from yolosweep.ledger.history import History
from yolosweep.records import Ending
from yolosweep.records.events import SweepResumed

pytestmark = pytest.mark.slow

ONE = "resources.max_concurrent=1"
LONG = ("train.epochs=60", "train.patience=0", "search.pruner=none", ONE)


@pytest.fixture
def toy(repository: Path) -> Path:
    return repository / "jobs" / "experiments" / "toy.yaml"


def running_folder(tmp_path: Path) -> RunFolder:
    (folder,) = (tmp_path / "runs").glob("*/")
    return RunFolder(folder)


def rows(tmp_path: Path) -> int:
    found = list((tmp_path / "runs").glob("*/ledger.jsonl"))
    return sum(event.event == "row" for event in read_events(found[0])) if found else 0


def curves(history: History) -> list[Any]:
    return [(t.request.asked, [(row.epoch, row.score) for row in t.rows]) for t in history.trials.values()]


def test_a_sweep_that_lost_its_ledger_process_then_its_driver_ends_as_if_it_had_not(
    shell: Any, toy: Path, tmp_path: Path, wait_for: Any
) -> None:
    process = shell.start("run", toy, "search.trials=3", *LONG)
    wait_for(lambda: process.poll() is not None or rows(tmp_path) > 20)
    (controller,) = [
        child
        for child in psutil.Process(process.pid).children(recursive=True)
        if child.is_running() and "ray::ControllerActor" in " ".join(child.cmdline())
    ]
    controller.kill()
    _, err = process.communicate(timeout=300)
    assert process.returncode == 6, err
    assert "Traceback" not in err
    folder = running_folder(tmp_path)
    assert f"yolosweep resume {folder.root}" in err

    process = shell.start("resume", folder.root)
    wait_for(lambda: process.poll() is not None or rows(tmp_path) > 80)
    below = psutil.Process(process.pid).children(recursive=True)
    process.kill()
    process.communicate(timeout=300)
    psutil.wait_procs(below, timeout=120)  # else the folder changes while it is copied
    shutil.rmtree(folder.root / ".ray", ignore_errors=True)
    before = History.of(folder)
    assert before.ended is None
    assert len(before.ranked()) >= 1
    shutil.copytree(folder.root, tmp_path / "copy" / folder.root.name)
    crowned = json.loads(shell("best", tmp_path / "copy" / folder.root.name, "--json").out)
    assert crowned["score"] is not None
    told = json.loads(shell("resume", folder.root, "--json").out)

    after = History.of(folder)
    assert len(after.trials) == 3
    assert after.ended.status == "finished"
    assert {trial.record.ending for trial in after.trials.values()} == {Ending.FINISHED}
    for name, trial in before.trials.items():  # what had been acknowledged is still there, and was not trained again
        assert after.trials[name].rows[: len(trial.rows)] == trial.rows
    assert [resumed.changes for resumed in after.resumes] == [{}, {}]
    undisturbed = shell.run(toy, "search.trials=3", *LONG)
    assert curves(after) == curves(undisturbed.history)
    assert told["winner"]["file"]["sha256"] == undisturbed.told["winner"]["file"]["sha256"]


@pytest.mark.nightly  # a stop: test_toy_sweep; a resume: above; an extension: the run of version 0.1, below
def test_a_stopped_sweep_goes_on_where_it_stopped_and_can_be_extended(
    shell: Any, toy: Path, tmp_path: Path, wait_for: Any
) -> None:
    process = shell.start("run", toy, "search.trials=2", *LONG)
    wait_for(lambda: process.poll() is not None or rows(tmp_path) > 20)
    process.send_signal(signal.SIGTERM)
    _, err = process.communicate(timeout=300)
    assert process.returncode == 143, err
    folder = running_folder(tmp_path)
    assert f"yolosweep resume {folder.root}" in err
    assert History.of(folder).ended.status == "cancelled"
    stopped = History.of(folder).trials["t0000"]
    assert stopped.record.ending is Ending.CANCELLED
    shell("best", folder.root)
    shell("resume", folder.root, "search.trials=3", "track.wandb.mode=off")
    history = History.of(folder)
    assert [trial.record.ending for trial in history.trials.values()] == [Ending.FINISHED] * 3
    assert history.trials["t0000"].resumes[0].from_epoch >= len(stopped.rows) - 1
    assert history.resumes[0].changes["search.trials"] == (2, 3)
    assert history.experiment["search"]["trials"] == 3

    again = shell("resume", folder.root)
    assert "nothing is left to train" in again.err
    assert History.of(folder).trials.keys() == history.trials.keys()


@pytest.mark.nightly  # what a second signal does: unit/workflows/test_stop_signals; a killed driver: above
def test_a_second_signal_stops_at_once_and_loses_no_result(
    shell: Any, toy: Path, tmp_path: Path, wait_for: Any
) -> None:
    process = shell.start("run", toy, "search.trials=3", *LONG)
    wait_for(lambda: process.poll() is not None or rows(tmp_path) > 20)
    process.send_signal(signal.SIGINT)
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=300)
    assert process.returncode == 130, err
    assert "Traceback" not in err
    folder = running_folder(tmp_path)
    seen = {name: trial.rows for name, trial in History.of(folder).trials.items()}
    shell("resume", folder.root, "search.trials=1")
    after = History.of(folder)
    assert all(after.trials[name].rows[: len(rows)] == rows for name, rows in seen.items())
    assert after.trials["t0000"].record.ending is Ending.FINISHED


def recorded_run(repository: Path, tmp_path: Path) -> RunFolder:
    """A copy of the run that version 0.1 recorded; its driver died in the third trial."""
    recorded = repository / "tests" / "fixtures" / "run_v1"
    folder = tmp_path / "runs" / "toy-20261129-143840-dfb3"
    shutil.copytree(recorded, folder)
    for file in folder.rglob("*.pt.txt"):
        file.rename(file.with_suffix(""))
    lines = (folder / "ledger.jsonl").read_text().splitlines(keepends=True)
    cut = next(i for i, line in enumerate(lines) if '"event":"row","trial":"t0002"' in line)
    (folder / "ledger.jsonl").write_text("".join(lines[: cut + 1]))
    return RunFolder(folder)


def change_data(folder: RunFolder) -> None:
    """Let the ledger say that other data were trained on."""
    dataset = History.of(folder).started.dataset
    folder.ledger.write_text(folder.ledger.read_text().replace(dataset.fingerprint, "0" * 64))


def test_another_sweep_is_refused_with_every_reason(shell: Any, repository: Path, tmp_path: Path) -> None:
    folder = recorded_run(repository, tmp_path)
    change_data(folder)
    started = next(iter(read_events(folder.ledger)))
    ledger = Ledger(folder)
    versions = {**started.versions, "torch": "1.0.0"}
    ledger.append(SweepResumed(experiment=started.experiment, dataset=started.dataset, versions=versions))
    ledger.close()
    before = folder.ledger.read_bytes()

    refused = shell("resume", folder.root, "train.epochs=5", "search.trials=4", code=7)
    assert "train.epochs was 6 and is 5: that is another experiment" in refused.err
    assert "have changed (fingerprint" in refused.err
    assert "torch was 1.0.0 and is" in refused.err
    assert "search.trials" not in refused.err
    assert folder.ledger.read_bytes() == before
    folder.ledger.write_bytes(before.replace(b'"world_size":1', b'"world_size":2', 1))
    refused = shell("resume", folder.root, "search.trials=4", code=7)
    assert "a trial had 2 ranks and would have 1" in refused.err
    folder.ledger.write_bytes(before)
    assert "choose from data, versions" in shell("resume", folder.root, "--allow", "model", code=2).err


def test_what_is_no_run_is_refused(shell: Any, tmp_path: Path) -> None:
    assert "is not a run folder" in shell("resume", tmp_path, code=7).err


def test_a_run_folder_of_version_0_1_is_resumed(shell: Any, repository: Path, tmp_path: Path) -> None:
    """What had not ended is trained to the same scores, and a trial is added; what differs is waived."""
    folder = recorded_run(repository, tmp_path)
    change_data(folder)
    whole = History()
    whole.extend(read_events(repository / "tests" / "fixtures" / "run_v1" / "ledger.jsonl"))
    shell("resume", folder.root, "search.trials=4", "--allow", "versions", "--allow", "data")
    after = History.of(folder)
    assert after.ended.status == "finished"
    assert after.resumes[-1].allowed == ("data", "versions")
    assert len(after.trials) == 4
    for name, trial in whole.trials.items():
        both = zip(after.trials[name].rows, trial.rows, strict=False)  # which is pruned depends on who came first
        assert [one.score for one, _ in both] == [row.score for row in trial.rows][: len(after.trials[name].rows)]
        assert after.trials[name].request.asked == trial.request.asked
