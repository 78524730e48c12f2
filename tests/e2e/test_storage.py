"""Sweeps whose run folder is a bucket of a real S3 server: nothing but its address is needed to go on."""

from __future__ import annotations

import json
import shutil
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.tools.wire import Wire

from yolosweep.ledger import RunFolder, runs_below
from yolosweep.ledger.history import History
from yolosweep.records import Ending
from yolosweep.storage import Objects
from yolosweep.storage.atomic_files import sha256_of

pytestmark = pytest.mark.slow

SHORT = ("search.pruner=none", "train.epochs=3")
LONG = ("search.pruner=none", "train.epochs=150", "train.patience=0", "resources.max_concurrent=1")


@pytest.fixture(autouse=True)
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let this test process look at the storage from a machine of its own."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "of the test"))


@pytest.fixture
def toy(repository: Path, small_lot: Path, tmp_path: Path) -> Path:
    text = (repository / "jobs" / "experiments" / "toy.yaml").read_text()
    (tmp_path / "toy.yaml").write_text(text.replace("data: sample:parking", f"data: {small_lot / 'data.yaml'}"))
    return tmp_path / "toy.yaml"


@pytest.fixture
def storage(empty_bucket: Callable[[], str]) -> str:
    return empty_bucket()


def history(storage: str) -> History:
    """Return the only run of a storage as the storage has it now."""
    (run,) = runs_below(storage)
    return History.of(run)


def rows(storage: str) -> int:
    runs = runs_below(storage)
    return runs[0].ledger.read_bytes().count(b'"event":"row"') if runs else 0


def names(run: str) -> set[str]:
    return {one.name for one in Objects(run).stored()}


def leaks(storage: str, canary: str, *places: Path) -> list[str]:
    """Return the files and objects that hold the canary."""
    objects = Objects(storage)
    found = [one.name for one in objects.stored() if canary.encode() in (objects.get(one.name) or b"")]
    files = (file for place in places for file in place.rglob("*") if file.is_file() and not file.is_symlink())
    return found + [str(file) for file in files if canary.encode() in file.read_bytes()]


def test_a_run_is_in_its_bucket_and_read_from_the_address_alone(
    shell: Any, toy: Path, storage: str, credentials: dict[str, str], tmp_path: Path, new_home: Any
) -> None:
    mine = {**credentials, "HOME": str(new_home(tmp_path / "mine"))}
    done = shell(
        "run",
        toy,
        f"storage={storage}",
        "search.trials=3",
        "keep_top=2",
        "resources.max_concurrent=1",
        *SHORT,
        "--json",
        **mine,
    )
    told = json.loads(done.out)
    run = told["run"]
    assert run.startswith(storage.partition("?")[0])
    assert not list(tmp_path.glob("runs")), "nothing is kept in the working folder"
    stored = names(run)
    assert {"ledger/00000000.jsonl", "experiment.yaml", "report.html", "winner/best.pt", "winner/winner.json"} <= stored
    assert not [name for name in stored if "/checkpoints/" in name], "ended trials need none"
    ranked = sorted(told["summary"]["trials"], key=lambda trial: (-trial["score"], trial["number"]))
    kept = {name.split("/")[1] for name in stored if name.startswith("trials/") and name.endswith("/best.pt")}
    assert kept == {"t0000", *(trial["trial"] for trial in ranked[:2])}, (
        "keep_top, and what the winner is compared with"
    )
    assert "owner.json" not in stored
    canary = credentials["AWS_SECRET_ACCESS_KEY"]
    assert leaks(storage, canary, tmp_path / "mine") == []
    assert canary not in done.out + done.err

    shutil.rmtree(tmp_path / "mine")
    theirs = {**credentials, "HOME": str(tmp_path / "theirs")}
    shown = json.loads(shell("show", run, "--json", **theirs).out)
    assert [trial["ending"] for trial in shown["trials"]] == ["finished"] * 3
    (listed,) = json.loads(shell("ls", storage, "--json", **theirs).out)
    assert (listed["run"], listed["status"]) == (run, "finished")
    best = json.loads(shell("best", run, "--json", **theirs).out)
    assert best["file"]["sha256"] == told["winner"]["file"]["sha256"]
    assert sha256_of(Path(best["run"]) / "winner" / "best.pt") == best["file"]["sha256"]
    assert shell("report", run, **theirs).out.strip().endswith("report.html")


def test_a_lost_head_is_replaced_by_another_machine(
    shell: Any, toy: Path, storage: str, credentials: dict[str, str], tmp_path: Path, wait_for: Any, new_home: Any
) -> None:
    words = ("run", toy, f"storage={storage}", "search.trials=1", *LONG)
    process = shell.start(*words, **credentials, HOME=str(new_home(tmp_path / "lost")))
    wait_for(lambda: process.poll() is not None or rows(storage) > 40)
    process.kill()
    process.communicate(timeout=300)
    before = history(storage)
    (run,) = runs_below(storage)
    shutil.rmtree(tmp_path / "lost", ignore_errors=True)
    theirs = {**credentials, "HOME": str(new_home(tmp_path / "other"))}
    shell("resume", run.address, **theirs)  # once the hold of the lost head is stale
    after = history(storage)
    assert [trial.record.ending for trial in after.trials.values() if trial.record] == [Ending.FINISHED]
    for name, trial in before.trials.items():
        assert after.trials[name].resumes[-1].from_epoch >= len(trial.rows) - 1
        assert after.trials[name].rows[: len(trial.rows) - 1] == trial.rows[:-1]
    assert after.winner is not None


@pytest.fixture
def wire(s3: str) -> Iterator[Wire]:
    wire = Wire(s3)
    yield wire
    wire.close()


@pytest.mark.nightly  # outages of a storage: unit/storage, unit/search
def test_an_outage_in_mid_run_loses_nothing(
    shell: Any, toy: Path, storage: str, s3: str, wire: Wire, credentials: dict[str, str], tmp_path: Path, wait_for: Any
) -> None:
    through = storage.replace(s3, wire.address)
    process = shell.start(
        "run", toy, f"storage={through}", "search.trials=1", *LONG, **credentials, HOME=str(tmp_path / "mine")
    )
    wait_for(lambda: process.poll() is not None or rows(storage) > 20)
    wire.cut()
    before = rows(storage)
    ledger = next((tmp_path / "mine").glob(".cache/yolosweep/runs/*/*/ledger.jsonl"))
    # The line in flight is written here, and waits: when nothing moves for a while, everything waits.
    wait_for(lambda: _still(ledger))
    assert process.poll() is None
    assert rows(storage) <= before + 1
    wire.mend()
    _, err = process.communicate(timeout=600)
    assert process.returncode == 0, err
    after = history(storage)
    assert [trial.record.ending for trial in after.trials.values() if trial.record] == [Ending.FINISHED]
    assert all([row.epoch for row in trial.rows] == list(range(1, 151)) for trial in after.trials.values())
    assert all(not trial.resumes for trial in after.trials.values()), "no trial was started again"
    assert any("did not answer for" in note.text for note in after.notes)


def _still(file: Path) -> bool:
    """Tell whether a file has not grown for longer than the storage's own client tries again by itself."""
    size = file.stat().st_size
    return not threading.Event().wait(12.0) and file.stat().st_size == size


@pytest.mark.nightly  # a run in a bucket: above; several nodes: test_nodes; staging: test_staging
def test_nodes_that_share_nothing_but_the_bucket_train(
    shell: Any,
    toy: Path,
    storage: str,
    small_lot: Path,
    bucket: Any,
    tmp_path: Path,
    namespaces: None,
    two_nodes: Any,
    new_home: Any,
) -> None:
    home = new_home(tmp_path / "home")
    data, credentials = bucket(small_lot)
    mine, theirs = home / ".cache" / "yolosweep", tmp_path / "of the other node"
    mine.mkdir(parents=True, exist_ok=True)
    theirs.mkdir()
    words = ("run", toy, f"data={data}", f"storage={storage}", "search.trials=4", *SHORT)
    with two_nodes(home, f"mount --bind '{theirs}' '{mine}'", **credentials) as reach:
        shell(*words, "resources.cpus_per_trial=2", **reach, **credentials, HOME=str(home))
    after = history(storage)
    assert [trial.record.ending for trial in after.trials.values() if trial.record] == [Ending.FINISHED] * 4
    assert list(theirs.glob("staged/*/images")), "the other node staged the data"
    (there,) = theirs.glob("runs/*/*")
    assert (there / "data" / "data.yaml").is_file(), "the other node wrote a view of its own"
    trained = {path.parents[2].name for path in there.glob("trials/*/attempts/*/best.pt")}
    assert 0 < len(trained) < 4, "both nodes trained"
    assert not list(there.rglob("*.state")), "no node keeps states of trials that have ended"
    assert after.winner is not None
    assert not (there / "ledger.jsonl").exists(), "the ledger is the driver's"


@pytest.mark.nightly
def test_a_real_training_ends_with_a_winner_that_verifies(
    shell: Any, repository: Path, storage: str, credentials: dict[str, str], tmp_path: Path
) -> None:
    experiment = tmp_path / "tiny.yaml"
    experiment.write_text(
        "name: tiny\nmodel: yolo11n.yaml\ndata: sample:parking\n"
        "train: {epochs: 1, imgsz: 32, batch: -1, optimizer: SGD}\n"
        "search: {trials: 1, pruner: none, parameters: {momentum: {min: 0.8, max: 0.95}}}\n"
    )
    done = shell("run", experiment, f"storage={storage}", "--json", **credentials)
    told = json.loads(done.out)
    assert {"winner/best.pt", "winner/args.yaml", "trials/t0000/results.csv"} <= names(told["run"])
    run = RunFolder.open(told["run"])
    sweep = History.of(run)
    assert (sweep.experiment["train"]["batch"], sweep.trials["t0000"].record.used["batch"]) == (16, 16)
    assert sha256_of(run.bring(run.winner / "best.pt")) == told["winner"]["file"]["sha256"]
