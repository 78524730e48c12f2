"""Whole sweeps with the toy trainer: real Ray, real files, real signals, in seconds."""

from __future__ import annotations

import json
import shutil
import signal
import subprocess
from pathlib import Path
from typing import Any

import psutil
import pytest
from tests.tools.python_path import ahead_of_ours
from tests.tools.toy_patch import slow_toy, toy_patch

from yolosweep.ledger import RunFolder
from yolosweep.ledger.history import History
from yolosweep.records import Ending
from yolosweep.storage.atomic_files import sha256_of

pytestmark = pytest.mark.slow


@pytest.fixture
def toy(repository: Path) -> Path:
    return repository / "jobs" / "experiments" / "toy.yaml"


SERIAL = ("search.trials=5", "search.pruner=none", "train.epochs=4", "resources.max_concurrent=1")


@pytest.fixture(scope="module")
def finished(module_shell: Any, repository: Path) -> Any:
    """One sweep that ended by itself; read only."""
    return module_shell.run(repository / "jobs" / "experiments" / "toy.yaml", *SERIAL, "track={wandb: {project: lot}}")


def scores(history: History) -> list[tuple[Any, ...]]:
    return [
        (trial.request.trial, trial.request.asked, trial.status, [row.score for row in trial.rows])
        for trial in history.trials.values()
    ]


def running_folder(cwd: Path) -> RunFolder | None:
    found = list(cwd.glob("runs/*/ledger.jsonl"))
    return RunFolder(found[0].parent) if found else None


def rows(cwd: Path) -> int:
    folder = running_folder(cwd)
    return folder.ledger.read_bytes().count(b'"event":"row"') if folder else 0


def test_a_sweep_ends_with_a_verified_winner_and_every_command_reads_it(shell: Any, finished: Any) -> None:
    sweep, history = finished, finished.history
    assert len(history.trials) == 5
    assert {trial.record.ending for trial in history.trials.values()} == {Ending.FINISHED}
    assert all([row.epoch for row in trial.rows] == list(range(1, 5)) for trial in history.trials.values())
    assert history.ended.status == "finished"
    assert history.trials["t0000"].request.asked == {"lr0": 0.01, "weight_decay": 0.0005, "batch": 16}

    best = history.ranked()[0]
    assert history.winner.trial == best.request.trial
    assert history.winner.validations["val"].metrics[history.metric] == pytest.approx(best.score, abs=1e-4)
    assert "test" in history.winner.validations
    assert sha256_of(sweep.folder.winner / "best.pt") == best.record.files["best.pt"].sha256
    assert sweep.folder.report.is_file()
    assert not (sweep.folder.root / ".ray").exists()

    shown = json.loads(shell("show", sweep.folder.root, "--json").out)
    assert [trial["trial"] for trial in shown["trials"]] == list(history.trials)
    assert best.request.trial in shell("show", sweep.folder.root).out
    (listed,) = json.loads(shell("ls", sweep.folder.root.parent, "--json").out)
    assert listed["best_trial"] == best.request.trial
    assert listed["status"] == "finished"


@pytest.mark.nightly  # test_resume compares a resumed sweep with one that was not disturbed
def test_the_same_seed_gives_the_same_sweep(shell: Any, toy: Path, finished: Any) -> None:
    """That another seed gives another sweep is a matter of the searchers alone."""
    assert scores(finished.history) == scores(shell.run(toy, *SERIAL).history)


def test_without_a_key_one_line_says_how_to_mirror_later(shell: Any, finished: Any) -> None:
    assert sum("W&B" in line for line in finished.err.splitlines()) == 1
    assert "yolosweep track push" in finished.err
    assert not finished.folder.mirror("x").parent.exists()
    shell("track", "push", finished.folder.root, code=2)


def test_a_copy_elsewhere_is_crowned_and_a_flipped_byte_is_refused(shell: Any, finished: Any, tmp_path: Path) -> None:
    copy = tmp_path / "elsewhere" / "copied"
    shutil.copytree(finished.folder.root, copy)
    shutil.rmtree(copy / "winner")
    told = json.loads(shell("best", copy, "--json").out)
    assert told["trial"] == finished.told["winner"]["trial"]
    assert (copy / "winner" / "best.pt").is_file()
    again = json.loads(shell("best", copy, "--json").out)
    assert again == told

    weights = copy / "trials" / told["trial"] / "best.pt"
    content = bytearray(weights.read_bytes())
    content[len(content) // 2] ^= 1
    weights.write_bytes(content)
    refused = shell("best", copy, code=8)
    assert "was changed after the training" in refused.err


@pytest.mark.nightly  # contract/test_models trains a winner again, too
def test_the_reproduce_file_trains_the_winner_again(shell: Any, finished: Any) -> None:
    again = shell.run(finished.folder.winner / "reproduce.yaml")
    assert again.told["winner"]["score"] == finished.told["winner"]["score"]
    assert again.told["winner"]["identity"] == finished.told["winner"]["identity"]
    assert again.told["winner"]["file"]["sha256"] == finished.told["winner"]["file"]["sha256"]


@pytest.mark.nightly  # finals of a resumed search: unit/search/test_finals
def test_a_sweep_is_given_finals_later(shell: Any, finished: Any, tmp_path: Path) -> None:
    """Trial 0 and the best other one are trained again; nothing is searched, because the budget is for the finals."""
    copy = tmp_path / "copied"
    shutil.copytree(finished.folder.root, copy)
    done = shell("resume", copy, "search.trials=9", "search.finals={top: 1, seeds: 2}")
    history = History.of(RunFolder(copy))
    best = next(trial for trial in finished.history.ranked() if trial.request.number)
    names = ["t0000", best.request.trial]
    repeats = [(one.request.repeats, one.request.seed) for one in history.repeats()]
    assert repeats == [(name, seed) for seed in (1, 2) for name in names]
    assert all(len(one.rows) == 4 for one in history.repeats())
    shown = json.loads(shell("show", copy, "--json").out)
    means = {
        name: sum(one.score or 0 for one in history.repeats(name)) / 2 for name in names
    }  # the searched scores do not count
    seeds = shown["verdict"]["seeds"]
    assert (seeds["trial"], seeds["seeds"]) == (best.request.trial, 2)
    assert (seeds["score"], seeds["reference_score"]) == pytest.approx((means[names[1]], means["t0000"]), abs=1e-6)
    assert history.winner.settings_trial == max(names, key=lambda name: (means[name], name == "t0000"))
    assert "over 2 new seeds on val" in done.out
    reproduce = (copy / "winner" / "reproduce.yaml").read_text()
    assert f"seed: {history.trials[history.winner.trial].request.seed}" in reproduce


def test_a_run_says_by_whom_it_is_in_use_and_ctrl_c_keeps_everything_and_exits_130(
    shell: Any, toy: Path, tmp_path: Path, wait_for: Any
) -> None:
    slow = {"PYTHONPATH": ahead_of_ours(slow_toy(tmp_path / "slow"))}
    process = shell.start("run", toy, "search.trials=500", "train.epochs=1000", "train.patience=0", **slow)
    wait_for(lambda: rows(tmp_path) > 5)
    for command in ("best", "resume"):
        refused = shell(command, running_folder(tmp_path).root, code=7)
        assert f"in use by process {process.pid}" in refused.err
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=300)
    assert process.returncode == 130, err
    assert "Traceback" not in err
    history = History.of(running_folder(tmp_path))
    assert history.ended.status == "cancelled"
    assert all(trial.record is not None for trial in history.trials.values())
    cancelled = [t for t in history.trials.values() if t.record.ending is Ending.CANCELLED]
    assert cancelled
    assert all(len(trial.rows) == trial.record.epochs for trial in cancelled)
    assert (running_folder(tmp_path).winner / "best.pt").is_file()


@pytest.mark.parametrize(
    ("number", "moment"),
    [
        pytest.param(signal.SIGINT, "told", id="SIGINT-told", marks=pytest.mark.nightly),
        pytest.param(signal.SIGINT, "raylet", id="SIGINT-raylet"),
        pytest.param(signal.SIGTERM, "told", id="SIGTERM-told"),
        pytest.param(signal.SIGTERM, "raylet", id="SIGTERM-raylet", marks=pytest.mark.nightly),
    ],
)
def test_a_stop_while_ray_starts_leaves_nothing_and_does_not_say_otherwise(
    shell: Any, toy: Path, tmp_path: Path, wait_for: Any, number: signal.Signals, moment: str
) -> None:
    process = shell.start("run", toy, "search.trials=500")
    while "starting Ray" not in process.stderr.readline():
        assert process.poll() is None

    def begun() -> bool:
        children = [child.name() for child in psutil.Process(process.pid).children() if child.is_running()]
        return moment in children

    if moment != "told":
        wait_for(begun)
    process.send_signal(number)
    _, err = process.communicate(timeout=300)
    assert process.returncode == 128 + number, err
    assert "nothing had started" in err
    assert "yolosweep resume" not in err
    assert not list((tmp_path / "runs").iterdir())


def test_a_trial_whose_worker_is_killed_or_stopped_goes_on_from_its_checkpoint(
    shell: Any, toy: Path, tmp_path: Path, wait_for: Any
) -> None:
    """A stopped process (as one that waits in the kernel) runs none of its own threads: it is killed from outside."""
    process = shell.start(
        "run", toy, "search.trials=2", "train.epochs=150", "train.patience=0", "search.pruner=none", "--json",
        "resources.max_concurrent=1", "trial.stall_timeout=8s",
    )  # fmt: skip
    wait_for(lambda: rows(tmp_path) > 5)

    def worker() -> psutil.Process | None:
        for child in psutil.Process(process.pid).children(recursive=True):
            if child.is_running() and "ResourceTrainable" in " ".join(child.cmdline()):
                return child
        return None

    wait_for(worker).kill()
    before = rows(tmp_path)
    wait_for(lambda: rows(tmp_path) > before + 5)
    stopped = wait_for(worker)
    stopped.suspend()
    _, err = process.communicate(timeout=300)
    assert process.returncode == 0, err
    assert not stopped.is_running()
    history = History.of(running_folder(tmp_path))
    assert {trial.record.ending for trial in history.trials.values()} == {Ending.FINISHED}
    killed, hung = [event for trial in history.trials.values() for event in trial.resumes]
    assert (killed.cause, hung.cause) == ("infra", "infra")
    assert "its worker died" in killed.reason
    assert "gave no sign of life" in hung.reason
    assert killed.from_epoch > 0
    for trial in history.trials.values():
        assert [row.epoch for row in trial.rows] == list(range(1, 151))
    assert not list(running_folder(tmp_path).root.glob("trials/*/checkpoints"))


STANDS_STILL = toy_patch("""
import os, pathlib, time

def changed(train):
    def stands_still(trainer, request, report, *more):
        def reported(row, checkpoint):
            verdict = report(row, checkpoint)
            doomed = (request.number, request.attempt) in ((1, 0), (2, 0), (2, 1))
            if doomed and row.epoch == 3 + request.attempt:
                time.sleep(600)
            return verdict
        with pathlib.Path(request.folder, "processes.txt").open("a") as told:
            told.write(f"{os.getpid()} {request.trial}\\n")
        return train(trainer, request, reported, *more)
    return stands_still
""")


@pytest.mark.nightly  # who stands still: unit/runtime/test_watchdog; one that is stopped: above
def test_a_trial_that_stands_still_is_ended_with_its_stacks_and_tried_again_once(
    shell: Any, toy: Path, tmp_path: Path
) -> None:
    """A process runs one trial after the other, here two at most, and none after one that stood still in it."""
    (tmp_path / "ours").mkdir()
    (tmp_path / "ours" / "sitecustomize.py").write_text(STANDS_STILL)
    short = (
        "search.trials=6",
        "train.epochs=6",
        "train.patience=0",
        "search.pruner=none",
        "resources.max_concurrent=1",
    )
    policy = ("trial.stall_timeout=4", "trial.recycle_after=2")
    sweep = shell.run(toy, *short, *policy, PYTHONPATH=ahead_of_ours(tmp_path / "ours"))
    trials = sweep.history.trials
    told = {name: [(e.cause, e.from_epoch) for e in trial.resumes] for name, trial in trials.items()}
    again = {"t0001": [("stalled", 3)], "t0002": [("stalled", 3)]}
    assert told == {name: again.get(name, []) for name in trials}
    endings = {name: trial.record.ending for name, trial in trials.items()}
    assert endings == {**dict.fromkeys(trials, Ending.FINISHED), "t0002": Ending.FAILED}
    assert (trials["t0002"].record.epochs, trials["t0002"].record.retries) == (4, 1)
    assert "it stalled 2 times" in trials["t0002"].record.reason
    for name, attempt in (("t0001", 0), ("t0002", 0), ("t0002", 1)):
        assert "in stands_still" in sweep.folder.stacks(name, attempt).read_text()

    of_process: dict[str, list[str]] = {}
    for line in (sweep.folder.root / "processes.txt").read_text().splitlines():
        process, trial = line.split()
        of_process.setdefault(process, []).append(trial)
    expected = [["t0000", "t0001"], ["t0001", "t0002"], ["t0002"], ["t0003", "t0004"], ["t0005"]]
    assert list(of_process.values()) == expected


def test_a_sweep_in_which_all_trials_fail_says_so(shell: Any, toy: Path) -> None:
    sweep = shell.run(
        toy,
        "search.trials=2",
        "search.parameters={lr0: {values: [1.0e+300, 1.0e+301]}}",
        "train.epochs=2",
        "resources.max_concurrent=1",
        "search.pruner=none",
        code=5,
    )
    assert {trial.record.ending for trial in sweep.history.trials.values()} == {Ending.DIVERGED}
    assert "none of 2 trials has a score" in sweep.err
    assert sweep.history.winner is None
    assert sweep.folder.report.is_file()


def test_wrong_input_is_refused_before_anything_is_written(shell: Any, toy: Path, tmp_path: Path) -> None:
    refused = shell("run", toy, "search.trails=3", code=3)
    assert "did you mean search.trials" in refused.err
    assert not (tmp_path / "runs").exists()
    shell("run", "missing.yaml", code=2)
    too_big = shell("run", toy, "resources.cpus_per_trial=4096", code=6)
    assert "lower resources.cpus_per_trial" in too_big.err
    assert not list((tmp_path / "runs").glob("*"))
    shell("best", tmp_path, code=7)


def test_plan_and_dry_run_write_nothing(shell: Any, toy: Path, tmp_path: Path) -> None:
    plan = json.loads(shell("plan", toy, "--json").out)
    assert plan["trials"] == 20
    assert plan["epochs_at_most"] == 200
    assert "at most 200 epochs" in shell("run", toy, "--dry-run").out
    assert not list(tmp_path.iterdir())


def test_a_full_disk_ends_the_sweep_with_a_message_and_a_ledger_that_can_be_read(
    shell: Any, toy: Path, tmp_path: Path
) -> None:
    small = tmp_path / "small"
    small.mkdir()
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=100k", "tmpfs", str(small)], capture_output=True)
    if mounted.returncode:
        pytest.skip("a small file system cannot be mounted here (needs root)")
    try:
        refused = shell("run", toy, f"storage={small}", "search.trials=400", "train.epochs=20", SERIAL[-1], code=7)
        assert "No space left on device" in refused.err
        (ledger,) = small.glob("*/ledger.jsonl")
        history = History.of(RunFolder(ledger.parent))
        assert history.ended is None
        assert history.ranked()
        subprocess.run(["mount", "-o", "remount,size=64m", str(small)], check=True)
        resumed = shell("resume", ledger.parent, f"search.trials={len(history.trials)}")
        assert "the finals are left out: the smaller budget has no room for them" in resumed.err
        whole = History.of(RunFolder(ledger.parent))
        assert whole.ended.status == "finished"
        assert all(trial.record.ending is not Ending.FAILED for trial in whole.trials.values())
    finally:
        subprocess.run(["umount", str(small)], check=True)
