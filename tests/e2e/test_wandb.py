"""The mirror against a real W&B server: everything in the ledger arrives exactly once, whatever fails on the way."""

import contextlib
import importlib.util
import io
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest
from PIL import Image

from yolosweep.experiment import Experiment
from yolosweep.ledger import Ledger, RunFolder
from yolosweep.records import Ending, EpochResult, PreparedDataset, TrialRecord, TrialRequest, Validation
from yolosweep.records.events import (
    EpochRecorded,
    SweepEnded,
    SweepResumed,
    SweepStarted,
    TrialEnded,
    TrialResumed,
    TrialStarted,
    WinnerSelected,
)
from yolosweep.storage.atomic_files import write_atomic
from yolosweep.tracking import push, start_mirror
from yolosweep.tracking.mirror_state import MirrorState
from yolosweep.tracking.wandb import WandbSink

_spec = importlib.util.spec_from_file_location("wandb_server", Path(__file__).with_name("wandb_server.py"))
wandb_server = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(wandb_server)

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(wandb_server.find() is None, reason=wandb_server.HOW_TO),
]

run_id = WandbSink().run_id
KEY = "canary" + "0123456789abcdef" * 3
ENDINGS = (
    Ending.FINISHED,
    Ending.PATIENCE,
    Ending.PRUNED,
    Ending.DIVERGED,
    Ending.OOM,
    Ending.FAILED,
    Ending.CANCELLED,
)
EPOCHS = {0: 4, 1: 4, 2: 2, 3: 1, 4: 0, 5: 3, 6: 2}
EXIT_CODES = {0: 0, 1: 0, 2: 0, 3: 1, 4: 1, 5: 1, 6: 255}


def until(condition, timeout_s=300.0):
    deadline = time.monotonic() + timeout_s
    while not (found := condition()):
        assert time.monotonic() < deadline, f"did not happen within {timeout_s} s"
        time.sleep(0.05)
    return found


@pytest.fixture
def server(tmp_path, monkeypatch):
    """A server that is up but not connected yet; the environment leads to it, with the right key."""
    (tmp_path / "server").mkdir()
    server = wandb_server.Server(tmp_path / "server", KEY)
    for name in [name for name in os.environ if name.startswith("WANDB_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("WANDB_BASE_URL", server.url)
    monkeypatch.setenv("WANDB_API_KEY", KEY)
    monkeypatch.setenv("WANDB_RUN_GROUP", "of-another-training")
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.setenv("TMPDIR", str(tmp_path / "tmp"))
    (tmp_path / "home").mkdir()
    (tmp_path / "tmp").mkdir()
    until(server.ready)
    yield server
    server.stop()


@pytest.fixture
def folder(tmp_path):
    return RunFolder.create(tmp_path / "runs", "cars")


@pytest.fixture
def ledger(folder):
    ledger = Ledger(folder)
    yield ledger
    ledger.close()


def about_the_sweep(**search):
    experiment = Experiment.model_validate(
        {
            "name": "cars",
            "model": "yolo26n.pt",
            "data": "cars.yaml",
            "train": {"epochs": 4, "optimizer": "AdamW"},
            "search": {"metric": "metrics/mAP50-95(B)", "parameters": {"lr0": {"min": 0.001, "max": 0.1}}, **search},
            "track": {"wandb": {"project": "parking", "tags": ["night"]}},
        }
    )
    dataset = PreparedDataset(
        task="detect", source="/d", train_on="/d/data.yaml", names={0: "car"}, images={"train": 9}, fingerprint="f00d"
    )
    return {
        "experiment": experiment.model_dump(mode="json"),
        "dataset": dataset.model_dump(mode="json"),
        "versions": {"ultralytics": "8"},
        "notes": [],
    }


def start(folder, ledger):
    ledger.append(SweepStarted(sweep=folder.sweep, **about_the_sweep()))


def start_trial(folder, ledger, number):
    lr0 = 0.01 + number / 1000
    request = TrialRequest(
        sweep=folder.sweep, trial=f"t{number:04}", number=number, task="detect",
        model="yolo26n.pt", data="/d/data.yaml",
        settings={"epochs": 4, "optimizer": "AdamW", "batch": 16, "lr0": lr0}, asked={"lr0": lr0},
        folder=str(folder.root),
        metric="metrics/mAP50-95(B)", identity=f"i{number}",
    )  # fmt: skip
    ledger.append(TrialStarted(request=request))


def add_row(ledger, number, epoch):
    score = number / 10 + epoch / 100
    row = EpochResult(
        epoch=epoch, metrics={"train/box_loss": 1 / epoch, "metrics/mAP50-95(B)": score, "lr/pg0": None}, score=score,
        best_score=score, best_epoch=epoch, epochs_without_gain=0, seconds=2.5, images_per_s=11,
    )  # fmt: skip
    ledger.append(EpochRecorded(trial=f"t{number:04}", row=row))


def resume(folder, ledger, number, attempt, from_epoch):
    about = {"attempt": attempt, "cause": "resumed", "reason": "resumed", "from_epoch": from_epoch}
    ledger.append(TrialResumed(trial=f"t{number:04}", **about))


def end_trial(folder, ledger, number, ending=None, **more):
    epochs, lr0 = EPOCHS[number], 0.01 + number / 1000
    files = {}
    if epochs:
        target = folder.trial(f"t{number:04}") / "best.pt"
        reference = write_atomic(target, f"weights of {number}".encode() * 100)
        files["best.pt"] = reference.model_copy(update={"path": target.relative_to(folder.root).as_posix()})
    record = TrialRecord(
        trial=f"t{number:04}", number=number, ending=ending or ENDINGS[number], reason="because", asked={"lr0": lr0},
        used={"lr0": lr0, "batch": 8, "optimizer": "AdamW"}, score=number / 10 + epochs / 100 if epochs else None,
        best_epoch=epochs or None, epochs=epochs, seconds=9.5, files=files, **more,
    )  # fmt: skip
    ledger.append(TrialEnded(record=record))


def publish(folder, name, content):
    reference = write_atomic(folder.winner / name, content)
    return reference.model_copy(update={"path": f"winner/{name}"})


def drawn(colour, kind):
    stream = io.BytesIO()
    Image.new("RGB", (32, 24), colour).save(stream, kind)
    return stream.getvalue()


def end(folder, ledger, winner=1, status="finished"):
    metrics = {"metrics/mAP50-95(B)": 0.14}
    pictures = (
        publish(folder, "plots/val/confusion_matrix.png", drawn("red", "PNG")),
        publish(folder, "worst/01-val-night.jpg", drawn("blue", "JPEG")),
        publish(folder, "errors.html", b"<p>page</p>"),
    )
    ledger.append(
        WinnerSelected(
            trial=f"t{winner:04}", score=0.14, metric="metrics/mAP50-95(B)", settings={}, pictures=pictures,
            validations={"val": Validation(split="val", metrics=metrics, per_class={"car": metrics})},
            file=publish(folder, "best.pt", f"weights of {winner}".encode() * 100),
            identity=f"i{winner}", model="yolo26n.pt", data_fingerprint="f00d",
        )
    )  # fmt: skip
    ledger.append(SweepEnded(status=status, reason="all trials done"))


def first_half(folder, ledger):
    """Two trials side by side; one goes on."""
    start(folder, ledger)
    for number in (0, 1):
        start_trial(folder, ledger, number)
    for epoch in (1, 2):
        add_row(ledger, 0, epoch)
        add_row(ledger, 1, epoch)
    add_row(ledger, 0, 3)
    add_row(ledger, 0, 4)
    end_trial(folder, ledger, 0)


def second_half(folder, ledger, **more):
    for epoch in (3, 4):
        add_row(ledger, 1, epoch)
    end_trial(folder, ledger, 1, **more)
    for number in range(2, len(ENDINGS)):
        start_trial(folder, ledger, number)
        for epoch in range(1, EPOCHS[number] + 1):
            add_row(ledger, number, epoch)
        end_trial(folder, ledger, number)
    end(folder, ledger)


def run_of(folder, number):
    return run_id(folder.sweep, f"t{number:04}")


def steps_at(server, run, key="score"):
    return [
        row["step"] for row in server.rows("SELECT step FROM metrics WHERE run_id=? AND key=? ORDER BY step", run, key)
    ]


def check_all_arrived(server, folder, again=0, endings=1, offline=False):
    """Every trial, every row exactly once, endings, groups, settings, the table, the winner.

    ``again`` trials ended once more, and the sweep ended ``endings`` times. W&B's client uses no artifact ``offline``.
    """
    runs = {row["run_id"]: row for row in server.rows("SELECT * FROM runs")}
    sweep_run = run_id(folder.sweep, "sweep")
    assert set(runs) == {run_of(folder, number) for number in EPOCHS} | {sweep_run}
    for number, epochs in EPOCHS.items():
        run = runs[run_of(folder, number)]
        for key in ("score", "train/box_loss", "metrics/mAP50-95(B)", "epoch", "seconds", "images_per_s"):
            assert steps_at(server, run["run_id"], key) == list(range(1, epochs + 1)), (number, key)
        assert steps_at(server, run["run_id"], "lr/pg0") == []
        assert server.groups[run["run_id"]] == (folder.sweep, "trial", f"{folder.sweep}/t{number:04}")
        assert server.exit_codes[run["run_id"]] == EXIT_CODES[number]
        assert run["state"] == "finished"
        assert json.loads(run["tags_json"]) == ["night", ENDINGS[number].value]
        config = {key: value["value"] for key, value in json.loads(run["config_json"]).items()}
        assert (config["batch"], config["lr0"]) == (8, 0.01 + number / 1000), "as really used"
        assert (config["asked"], config["task"], config["model"]) == ({"lr0": config["lr0"]}, "detect", "yolo26n.pt")
        assert config["dataset_fingerprint"] == "f00d"
        summary = json.loads(run["summary_json"])
        assert (summary["ending"], summary["reason"]) == (ENDINGS[number].value, "because")
        assert summary.get("best_epoch") == (epochs or None)
        assert ("checkpoint_sha256" in summary) == bool(epochs)
    assert server.groups[sweep_run] == (folder.sweep, "sweep", folder.sweep)
    if server.has_sweeps:
        (joined,) = server.sweeps.values()
        assert (joined["display_name"], joined["states"][-1]) == (folder.sweep, "FINISHED")
        assert json.loads(joined["config"])["parameters"]["lr0"]["max"] == 0.1
        assert server.joined == dict.fromkeys(set(runs) - {sweep_run}, joined["name"])
    summary = server.summaries[sweep_run]
    assert (summary["winner"], summary["trials_ended"], summary["status"]) == ("t0001", len(EPOCHS), "finished")
    assert len(steps_at(server, sweep_run, "best_score")) == len(EPOCHS) + again
    tables = [row["name"] for row in server.rows("SELECT name FROM files WHERE name LIKE 'media/table/%'")]
    assert len(tables) == 2 * endings, "of trials, and of the winner's classes"
    assert summary["winner/val/mAP50-95(B)"] == 0.14
    assert summary["classes"]["nrows"] == 1
    images = [row["name"] for row in server.rows("SELECT name FROM files WHERE name LIKE 'media/images/%'")]
    assert len([name for name in images if name.startswith("media/images/val/confusion_matrix_")]) == 1
    assert len([name for name in images if name.startswith("media/images/worst/val-01_")]) == 1
    assert not {"score", "best_score", "best_trial", "best/lr0"} & set(summary), "of other trials"
    assert summary["trials"]["nrows"] == len(EPOCHS), "the table is part of the summary, where W&B looks for it"
    models = server.rows("SELECT * FROM artifacts WHERE artifact_type='model'")
    assert {(model["run_id"], model["name"]) for model in models} == {(sweep_run, f"{folder.sweep}-best")}
    assert len(server.digests) == 1, "W&B makes one version of equal contents, even if they are sent again"
    metadata = json.loads(models[0]["metadata_json"])
    assert (metadata["winner"], metadata["dataset_fingerprint"]) == ("t0001", "f00d")
    assert server.aliases == {f"{folder.sweep}-best": {"best", folder.sweep}}
    data = {row["name"] for row in server.rows("SELECT name FROM artifacts WHERE artifact_type='dataset'")}
    assert data == (set() if offline else {"data-f00d"})
    linked = set(server.used.values())
    assert linked == (set() if offline else {sweep_run}), (
        "the winner's run uses its data, so its model is linked to them"
    )


def counts(server):
    """Return what the server has; models and data that are sent again count only if they are new, as at W&B."""
    found = ("runs", "metrics", "artifacts WHERE artifact_type NOT IN ('model', 'dataset')")
    counted = {table: server.rows(f"SELECT count(*) AS n FROM {table}")[0]["n"] for table in found}
    return {**counted, "models": len(server.digests)}


def check_no_secret_and_no_litter(folder, tmp_path):
    for file in [*folder.root.rglob("*"), *(tmp_path / "home").rglob("*")]:
        assert not file.is_file() or KEY.encode() not in file.read_bytes(), file
    assert list((tmp_path / "tmp").iterdir()) == [], "the SDK's files are gone"
    assert not (Path.cwd() / "wandb").exists()


def mirror_processes(folder):
    """The mirror process, and the sender it forked."""
    found = []
    for process in psutil.process_iter():
        try:
            if str(folder.root) in process.cmdline() and "yolosweep.tracking" in process.cmdline():
                found.append(process)
        except (psutil.NoSuchProcess, psutil.ZombieProcess, psutil.AccessDenied):
            continue
    return found


def describe(result, folder):
    return f"{result}\n{folder.mirror('wandb.log').read_text()}"


def test_push_sends_everything_once(server, folder, ledger, tmp_path):
    first_half(folder, ledger)
    second_half(folder, ledger)
    server.connect()
    result = push(folder, "wandb")
    assert result.warning is None, describe(result, folder)
    assert (result.complete, result.runs) == (True, len(EPOCHS) + 1)
    assert result.url.endswith("/parking")
    check_all_arrived(server, folder)
    before, asked = counts(server), server.requests

    again = push(folder, "wandb")
    assert (again.complete, again.warning) == (True, None)
    assert (counts(server), server.requests) == (before, asked), "no request was made"

    folder.mirror("wandb.json").unlink()
    lost = push(folder, "wandb")
    assert (lost.complete, lost.warning) == (True, None)
    assert counts(server) == before, "the server's own steps kept rows from being there twice"
    check_all_arrived(server, folder)
    check_no_secret_and_no_litter(folder, tmp_path)


@pytest.mark.nightly  # a push: above; a mirror that is killed: below
def test_a_push_between_leaves_running_trials_running(server, folder, ledger):
    server.has_sweeps = False
    server.connect()
    first_half(folder, ledger)
    early = push(folder, "wandb")
    assert (early.complete, early.warning, early.runs) == (False, None, 1)
    assert early.note == "W&B: this server has no sweeps, so trials are grouped instead"
    assert steps_at(server, run_of(folder, 1)) == [1, 2]
    assert set(server.exit_codes) == {run_of(folder, 0)}, "the other trial and the sweep go on"
    second_half(folder, ledger)
    assert push(folder, "wandb").complete
    check_all_arrived(server, folder)


def test_kills_and_resumes_leave_every_run_once(server, folder, ledger):
    summaries = server.summaries
    server.connect()
    mirror = start_mirror(folder, "wandb")
    first_half(folder, ledger)
    end_trial(folder, ledger, 1, Ending.CANCELLED)
    until(lambda: server.exit_codes.get(run_of(folder, 1)) == 255)

    ledger.append(SweepResumed(**about_the_sweep()))
    resume(folder, ledger, 1, attempt=1, from_epoch=1)
    add_row(ledger, 1, 2)
    add_row(ledger, 1, 3)
    end_trial(folder, ledger, 1, Ending.CANCELLED, error="gone")
    until(lambda: steps_at(server, run_of(folder, 1)) == [1, 2, 3])  # its closed run was reopened
    until(lambda: summaries[run_of(folder, 1)].get("error") == "gone")
    mirror.stop()
    end(folder, ledger, winner=0, status="cancelled")  # this winner is not sent before its file is replaced

    ledger.append(SweepResumed(**about_the_sweep(trials=7)))
    resume(folder, ledger, 1, attempt=2, from_epoch=2)
    second_half(folder, ledger, retries=2, recoveries=1, host="n7", threads=2, memory_mb=900.0, images_per_s=80.0)
    result = push(folder, "wandb")
    assert (result.complete, result.warning, result.runs) == (True, None, len(EPOCHS) + 1), describe(result, folder)
    check_all_arrived(server, folder, again=2, endings=2)
    summary = summaries[run_of(folder, 1)]
    expected = {"retries": 2, "recoveries": 1, "peak_memory_mb": 900.0, "median_images_per_s": 80.0}
    assert expected.items() <= summary.items()
    assert summary["images_per_s"] == 11, "the last epoch's"
    assert "error" not in summary, "the ending that said so no longer holds"
    runs = {row["run_id"]: row for row in server.rows("SELECT * FROM runs")}
    config = json.loads(runs[run_of(folder, 1)]["config_json"])
    ran_on = {key: config[key]["value"] for key in ("host", "threads", "world_size", "device")}
    assert ran_on == {"host": "n7", "threads": 2, "world_size": 1, "device": "cpu"}
    sweep = runs[run_id(folder.sweep, "sweep")]
    assert json.loads(sweep["summary_json"])["resumes"] == 2
    assert json.loads(sweep["config_json"])["experiment"]["value"]["search"]["trials"] == 7
    assert json.loads(sweep["tags_json"]) == ["night", "finished"]

    before = counts(server)
    folder.mirror("wandb.json").unlink()
    assert push(folder, "wandb").warning is None
    assert counts(server) == before, "even a mirror without its state file sends nothing twice"
    check_all_arrived(server, folder, again=2, endings=2)


@pytest.mark.nightly  # contract/test_sink: a dead sink gets everything later
def test_a_server_that_comes_late_gets_everything(server, folder, ledger, tmp_path):
    mirror = start_mirror(folder, "wandb")
    first_half(folder, ledger)
    warning = until(lambda: mirror.warning)
    assert "\n" not in warning
    server.connect()
    second_half(folder, ledger)
    result = mirror.finish(timeout_s=300)
    assert (result.complete, result.warning) == (True, None), describe(result, folder)
    check_all_arrived(server, folder)
    check_no_secret_and_no_litter(folder, tmp_path)


def test_rows_arrive_while_the_sweep_runs_and_no_argument_holds_the_key(server, folder, ledger, tmp_path):
    server.connect()
    mirror = start_mirror(folder, "wandb")
    first_half(folder, ledger)
    until(lambda: steps_at(server, run_of(folder, 1)) == [1, 2])
    process = min(mirror_processes(folder), key=psutil.Process.create_time)

    def arguments() -> list[list[str]]:
        lines = []
        for member in [process, *process.children(recursive=True)]:
            with contextlib.suppress(psutil.NoSuchProcess):  # some come and go
                lines.append(member.cmdline())
        return lines

    until(lambda: any("wandb-core" in line[0] for line in arguments() if line))
    assert not any(KEY in argument for line in arguments() for argument in line)
    second_half(folder, ledger)
    assert mirror.finish(timeout_s=300).complete
    check_all_arrived(server, folder)
    check_no_secret_and_no_litter(folder, tmp_path)


@pytest.mark.nightly  # a push: test_push_sends_everything_once; kills: test_kills_and_resumes
def test_push_completes_what_a_killed_mirror_left(server, folder, ledger):
    server.connect()
    mirror = start_mirror(folder, "wandb")
    first_half(folder, ledger)
    until(lambda: steps_at(server, run_of(folder, 1)) == [1, 2])
    process = min(mirror_processes(folder), key=psutil.Process.create_time)
    os.killpg(process.pid, signal.SIGKILL)
    assert mirror.finish().complete is False
    second_half(folder, ledger)
    result = push(folder, "wandb")
    assert (result.complete, result.warning) == (True, None), describe(result, folder)
    check_all_arrived(server, folder)


@pytest.mark.nightly  # kills, after which all is sent again: test_kills_and_resumes
def test_uploads_that_are_lost_on_the_way_are_noticed_and_sent_again(server, folder, ledger):
    """The SDK's finish returns normally after a fatal upload error; the mirror must not count that as success."""
    server.connect()
    server.refuse_uploads = True
    mirror = start_mirror(folder, "wandb")
    first_half(folder, ledger)
    until(lambda: mirror.warning)
    assert not any(run.closed for run in MirrorState.load(folder, "wandb", server.url).runs.values())
    server.refuse_uploads = False
    second_half(folder, ledger)
    result = mirror.finish(timeout_s=300)
    assert (result.complete, result.warning) == (True, None), describe(result, folder)
    check_all_arrived(server, folder)


@pytest.mark.nightly
def test_rate_limits_are_waited_out(server, folder, ledger):
    """By the SDK; what a sink's own refusal costs is in ``tests/unit/tracking/test_bad_servers.py``."""
    first_half(folder, ledger)
    second_half(folder, ledger)
    server.connect()
    server.too_many = 4
    result = push(folder, "wandb")
    assert (server.too_many, result.complete, result.warning) == (0, True, None), describe(result, folder)
    check_all_arrived(server, folder)


def test_a_wrong_key_gives_one_warning_and_an_end(server, folder, ledger, monkeypatch):
    server.connect()
    wrong = "wrong" + "0" * 40
    monkeypatch.setenv("WANDB_API_KEY", wrong)
    first_half(folder, ledger)
    second_half(folder, ledger)
    result = push(folder, "wandb")
    assert result.complete is False
    assert "\n" not in result.warning
    assert "401" in result.warning
    assert "yolosweep track push" in result.warning
    log = folder.mirror("wandb.log").read_text()
    assert "Traceback" not in log
    for file in folder.root.rglob("*"):
        assert not file.is_file() or wrong.encode() not in file.read_bytes()
    monkeypatch.setenv("WANDB_API_KEY", KEY)
    assert push(folder, "wandb").complete, "with the right key everything is sent"
    check_all_arrived(server, folder)


@pytest.mark.nightly  # contract/test_sink: a dead sink ends in a warning
def test_a_server_that_never_comes_ends_in_a_warning(server, folder, ledger):
    first_half(folder, ledger)
    second_half(folder, ledger)
    mirror = start_mirror(folder, "wandb")
    until(lambda: mirror.warning)
    result = mirror.finish(timeout_s=300)
    assert result.complete is False
    assert "yolosweep track push" in result.warning
    assert "Traceback" not in folder.mirror("wandb.log").read_text()


@pytest.mark.nightly  # a whole sweep with its mirror: test_wandb_run
def test_a_mirror_outlives_its_driver_just_long_enough(server, folder, ledger):
    """The driver is killed: the mirror sends what is in the ledger and ends by itself."""
    server.connect()
    first_half(folder, ledger)
    code = "import os, sys; from yolosweep.tracking import start_mirror; from yolosweep.ledger import RunFolder\n"
    code += "start_mirror(RunFolder(sys.argv[1]), 'wandb'); os._exit(9)"
    assert subprocess.run([sys.executable, "-c", code, str(folder.root)]).returncode == 9
    until(lambda: folder.mirror("wandb.json").exists() and not mirror_processes(folder))
    assert steps_at(server, run_of(folder, 0)) == [1, 2, 3, 4]
    assert steps_at(server, run_of(folder, 1)) == [1, 2]
    assert server.exit_codes[run_of(folder, 1)] == 255, "W&B does not show it as running"
    (sweep,) = server.sweeps.values()
    assert sweep["states"] == ["RUNNING", "PAUSED"]
    assert not MirrorState.load(folder, "wandb", server.url).complete
    mirror = start_mirror(folder, "wandb")
    second_half(folder, ledger)
    assert mirror.finish(timeout_s=300).complete
    check_all_arrived(server, folder)
    assert sweep["states"] == ["RUNNING", "PAUSED", "RUNNING", "FINISHED"]


def test_offline_runs_are_sent_by_wandb_sync(server, folder, ledger, tmp_path, monkeypatch):
    """A sweep that is written in two parts, one of them without a key, has one folder per run."""
    server.has_sweeps = False
    monkeypatch.setenv("WANDB_MODE", "offline")
    with monkeypatch.context() as without:
        without.delenv("WANDB_API_KEY")
        first_half(folder, ledger)
        assert push(folder, "wandb").warning is None
    second_half(folder, ledger)
    result = push(folder, "wandb")
    assert (result.complete, result.warning, result.runs) == (True, None, len(EPOCHS) + 1), describe(result, folder)
    check_no_secret_and_no_litter(folder, tmp_path)
    written = sorted((folder.root / "wandb").glob("offline-run-*"))
    assert len({path.name.rsplit("-", 1)[1] for path in written}) == len(written) == len(EPOCHS) + 1
    server.connect()
    assert server.requests == 0
    environ = {name: value for name, value in os.environ.items() if name != "WANDB_MODE"}
    command = [sys.executable, "-m", "wandb", "sync", *map(str, written)]
    done = subprocess.run(command, env=environ, cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    check_all_arrived(server, folder, offline=True)


def test_a_stopped_mirror_ends_its_child_processes(server, folder, ledger, tmp_path):
    server.connect()
    mirror = start_mirror(folder, "wandb")
    first_half(folder, ledger)
    until(lambda: run_of(folder, 0) in server.exit_codes)
    process = min(mirror_processes(folder), key=psutil.Process.create_time)
    family = process.children(recursive=True)
    assert family
    mirror.stop()
    until(lambda: not any(member.is_running() and member.status() != psutil.STATUS_ZOMBIE for member in family))
    assert list((tmp_path / "tmp").iterdir()) == []
