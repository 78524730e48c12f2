"""The contract of a sink: what is in the ledger arrives in order, exactly once, and a sink never disturbs the sweep.

To test a sink, write a :class:`Tracker` for it and subclass :class:`SinkContract`. The CSV sink below is the proof that
a new sink takes one class and one line in the registry. This file is also its mirror process.
"""

from __future__ import annotations

import csv
import importlib.util
import os
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Protocol

import psutil
import pytest

from yolosweep.errors import UsageError
from yolosweep.experiment.schema import Track
from yolosweep.ledger import Ledger, RunFolder
from yolosweep.records import Ending, EpochResult, PreparedDataset, TrialRecord, TrialRequest
from yolosweep.records.events import EpochRecorded, SweepEnded, SweepResumed, SweepStarted, TrialEnded, TrialStarted
from yolosweep.records.events import TrialResumed as Resumed
from yolosweep.tracking.__main__ import main
from yolosweep.tracking.mirror import Mirror, MirrorResult
from yolosweep.tracking.mirror_state import MirrorState
from yolosweep.tracking.mlflow import MlflowSink
from yolosweep.tracking.sink import Choice, Close, Destination, Message, NotSent, Open, Row, Sink
from yolosweep.tracking.sink_registry import SINKS, choose_sinks
from yolosweep.tracking.tensorboard import TensorBoardSink
from yolosweep.tracking.tensorboard_file import events_in
from yolosweep.tracking.wandb import WandbSink

SECRET = "canary" + "0123456789abcdef" * 3
METRIC = "metrics/accuracy_top1"


class Tracker(Protocol):
    """The far end of a sink, as a test sees it. It is down until ``start``."""

    sink: Sink
    command: Sequence[str]
    """Starts a mirror process that knows the sink."""
    section: Mapping[str, Any]
    """The sink's section of ``track``."""
    needs: str | None
    """What the user has to provide, as a refused push names it; None for a sink that needs nothing."""

    def watch(self, folder: RunFolder) -> None:
        """Learn which run folder is mirrored, before there is a mirror."""

    def start(self) -> None:
        """Start to accept runs."""

    def steps(self, run: str) -> list[int]:
        """Return the history steps of a run, in the order they arrived."""

    def outcome(self, run: str) -> str | None:
        """Return how a run ended last."""

    def content(self) -> bytes:
        """Return everything that arrived."""


class Sweep:
    """A ledger that is written event by event, and its mirror processes."""

    def __init__(self, folder: RunFolder, tracker: Tracker) -> None:
        self.folder, self.tracker, self.ledger = folder, tracker, Ledger(folder)
        tracker.watch(folder)
        self.processes: list[subprocess.Popen[bytes]] = []
        self.setup = {
            "experiment": {
                "name": "lot",
                "search": {"metric": METRIC, "mode": "max"},
                "track": {tracker.sink.name: {**tracker.section}},
            },
            "dataset": PreparedDataset(
                task="classify", source="/d", train_on="/d", names={0: "car"}, images={"train": 1}, fingerprint="f00d"
            ),
        }

    def begin(self, *trials: int) -> None:
        self.ledger.append(SweepStarted(sweep=self.folder.sweep, **self.setup))
        for number in trials:
            request = TrialRequest(
                sweep=self.folder.sweep, trial=f"t{number:04}", number=number, task="classify", model="toy/red",
                data="/d", settings={"epochs": 4, "lr0": 0.1}, asked={"lr0": 0.1}, identity=f"i{number}",
                metric=METRIC, folder=str(self.folder.root),
            )  # fmt: skip
            self.ledger.append(TrialStarted(request=request))

    def train(self, number: int, *epochs: int) -> None:
        for epoch in epochs:
            score = epoch / 10
            result = EpochResult(
                epoch=epoch, metrics={METRIC: score}, score=score, best_score=score, best_epoch=epoch,
                epochs_without_gain=0, seconds=1.0, images_per_s=None,
            )  # fmt: skip
            self.ledger.append(EpochRecorded(trial=f"t{number:04}", row=result))

    def end(self, number: int, ending: Ending) -> None:
        record = TrialRecord(
            trial=f"t{number:04}", number=number, ending=ending, reason="", asked={"lr0": 0.1}, used={"lr0": 0.1},
            score=0.4, epochs=4,
        )  # fmt: skip
        self.ledger.append(TrialEnded(record=record))

    def resume(self, number: int, from_epoch: int) -> None:
        self.ledger.append(SweepResumed(**self.setup))
        resumed = Resumed(trial=f"t{number:04}", attempt=1, cause="resumed", reason="", from_epoch=from_epoch)
        self.ledger.append(resumed)

    def finish(self, status: str) -> None:
        self.ledger.append(SweepEnded(status=status, reason=""))

    def mirror(self, *options: str) -> Mirror:
        command = [*self.tracker.command, self.folder.address, "--sink", self.tracker.sink.name, *options]
        log_file = self.folder.mirror(f"{self.tracker.sink.name}.log")
        log_file.parent.mkdir(exist_ok=True)
        with log_file.open("ab") as log:
            process = subprocess.Popen(command, stdout=log, stderr=subprocess.STDOUT, start_new_session=True)
        self.processes.append(process)
        return Mirror(self.folder, self.tracker.sink, process)

    def push(self) -> MirrorResult:
        result = self.mirror().finish(timeout_s=300)
        assert result.warning is None, self.folder.mirror(f"{self.tracker.sink.name}.log").read_text()
        return result

    def run(self, part: str) -> str:
        return self.tracker.sink.run_id(self.folder.sweep, part)

    @property
    def state(self) -> MirrorState:
        sink = self.tracker.sink
        return MirrorState.load(self.folder, sink.name, sink.address(self.tracker.section, os.environ))

    def rows(self, *steps: int) -> list[int]:
        """Return the history steps that have to arrive: none at a sink that shows no history."""
        return list(steps) if Row in self.tracker.sink.supports else []

    def arrived(self) -> dict[str, tuple[list[int], str | None]]:
        parts = ("t0000", "t0001", "sweep")
        return {part: (self.tracker.steps(self.run(part)), self.tracker.outcome(self.run(part))) for part in parts}


@pytest.mark.slow
class SinkContract:
    """What every sink does. A subclass provides the fixture ``tracker``, down, and the environment that leads to it."""

    @pytest.fixture
    def sweep(self, tracker: Tracker, tmp_path: Path) -> Iterator[Sweep]:
        sweep = Sweep(RunFolder.create(tmp_path / "runs", "lot"), tracker)
        yield sweep
        sweep.ledger.close()
        for process in sweep.processes:
            process.terminate()
            process.wait()

    def two_trials(self, sweep: Sweep) -> None:
        sweep.begin(0, 1)
        for epoch in (1, 2):
            sweep.train(0, epoch)
            sweep.train(1, epoch)
        sweep.end(0, Ending.PRUNED)
        sweep.train(1, 3, 4)
        sweep.end(1, Ending.FAILED)

    def test_everything_arrives_once_in_order_and_the_state_says_so(self, sweep: Sweep) -> None:
        sweep.tracker.start()
        self.two_trials(sweep)
        sweep.finish("finished")
        result = sweep.push()
        assert (result.complete, result.runs) == (True, 3)
        before = sweep.arrived()
        assert before["t0000"] == (sweep.rows(1, 2), "finished")
        assert before["t0001"] == (sweep.rows(1, 2, 3, 4), "failed")
        assert before["sweep"][1] == "finished"
        assert before["sweep"][0] == sorted(set(before["sweep"][0]))
        runs = sweep.state.runs
        steps = {part: runs[sweep.run(part)].step for part in ("t0000", "t0001")}
        last = {part: max(arrived, default=-1) for part, (arrived, _) in before.items() if part != "sweep"}
        assert steps == last
        assert all(run.closed for run in runs.values())

        content = sweep.tracker.content()
        assert sweep.push().complete
        assert sweep.tracker.content() == content, "nothing is sent again"
        sweep.folder.mirror(f"{sweep.tracker.sink.name}.json").unlink()
        assert sweep.push().complete
        assert sweep.arrived() == before, "without the state, the tracker's own steps prevent duplicates"

    def test_a_closed_run_is_resumed(self, sweep: Sweep) -> None:
        sweep.tracker.start()
        sweep.begin(0, 1)
        sweep.train(0, 1, 2)
        sweep.end(0, Ending.CANCELLED)
        sweep.train(1, 1)
        sweep.finish("cancelled")
        sweep.push()
        assert sweep.arrived()["t0000"] == (sweep.rows(1, 2), "cancelled")
        assert sweep.arrived()["sweep"][1] == "cancelled"
        sweep.resume(0, from_epoch=1)
        sweep.train(0, 2, 3)
        assert sweep.push().complete is False
        assert sweep.arrived()["t0000"][0] == sweep.rows(1, 2, 3), "an epoch that is trained again is not sent again"
        sweep.end(0, Ending.FINISHED)
        sweep.train(1, 2)
        sweep.end(1, Ending.FINISHED)
        sweep.finish("finished")
        assert sweep.push().complete
        arrived = sweep.arrived()
        assert (arrived["t0000"], arrived["t0001"]) == (
            (sweep.rows(1, 2, 3), "finished"),
            (sweep.rows(1, 2), "finished"),
        )
        assert arrived["sweep"][1] == "finished"

    def test_a_dead_sink_never_blocks_and_gets_everything_later(self, sweep: Sweep) -> None:
        mirror = sweep.mirror("--follow", "--parent", str(os.getpid()), "--wait", "-1")
        self.two_trials(sweep)
        deadline = time.monotonic() + 300
        while (warning := mirror.warning) is None:
            assert time.monotonic() < deadline
            time.sleep(0.05)
        assert "\n" not in warning
        sweep.finish("finished")
        begun = time.monotonic()
        family = psutil.Process(sweep.processes[0].pid).children(recursive=True)
        result = mirror.finish(timeout_s=0)
        assert time.monotonic() - begun < 10
        assert sweep.processes[0].poll() is not None
        assert not psutil.wait_procs(family, timeout=10)[1], "no process of the tracker stays behind"
        assert (result.complete, result.runs) == (False, 0)
        assert f"yolosweep track push {sweep.folder.named}" in str(result.warning)
        sweep.tracker.start()
        assert sweep.push().complete
        assert sweep.arrived()["t0001"] == (sweep.rows(1, 2, 3, 4), "failed")

    def test_a_dead_sink_ends_in_a_warning(self, sweep: Sweep) -> None:
        self.two_trials(sweep)
        sweep.finish("finished")
        result = sweep.mirror().finish(timeout_s=300)
        assert (result.complete, result.runs) == (False, 0)
        assert str(result.warning).startswith(f"{sweep.tracker.sink.title}: not everything arrived (")
        assert "yolosweep track push" in str(result.warning)
        assert "Traceback" not in sweep.folder.mirror(f"{sweep.tracker.sink.name}.log").read_text()
        assert not any(SECRET.encode() in file.read_bytes() for file in sweep.folder.root.rglob("*") if file.is_file())

    def test_no_secret_is_sent_or_stored(self, sweep: Sweep) -> None:
        assert SECRET in os.environ.values()
        sweep.tracker.start()
        self.two_trials(sweep)
        sweep.push()
        assert b"t0001" in sweep.tracker.content()
        assert SECRET.encode() not in sweep.tracker.content()
        assert not any(SECRET.encode() in file.read_bytes() for file in sweep.folder.root.rglob("*") if file.is_file())

    def test_it_is_off_without_its_section(self, tracker: Tracker) -> None:
        choice = tracker.sink.choose(Track(), {})
        assert choice == Choice(sink=tracker.sink.name, online=False, line="")

    def test_a_push_that_lacks_something_is_refused(self, tracker: Tracker, tmp_path: Path) -> None:
        if tracker.needs is None:
            tracker.sink.require_ready({"HOME": str(tmp_path)})
            return
        with pytest.raises(UsageError, match=f"track push: .*{tracker.needs}"):
            tracker.sink.require_ready({"HOME": str(tmp_path)})


class CsvSink:
    """A sink in a few lines: one CSV file per run, in a folder that the section names, below ``CSV_FOLDER``."""

    name, title = "csv", "CSV"
    supports: frozenset[type[Message]] = frozenset({Row})

    def choose(self, track: Track, environ: Mapping[str, str]) -> Choice:
        return Choice(sink=self.name, online="CSV_FOLDER" in environ, line="")

    def require_ready(self, environ: Mapping[str, str]) -> None:
        if "CSV_FOLDER" not in environ:
            raise UsageError("track push: set CSV_FOLDER")

    def address(self, section: Mapping[str, Any], environ: Mapping[str, str]) -> str:
        return str(Path(environ["CSV_FOLDER"]) / section["folder"])

    def run_id(self, sweep: str, part: str) -> str:
        return f"{sweep}.{part}"

    def connect(self, destination: Destination) -> CsvConnection:
        return CsvConnection(Path(destination.address))


class CsvConnection:
    def __init__(self, folder: Path) -> None:
        self._folder, self.url, self.warnings, self.note = folder, folder.as_uri(), dict[str, str](), None

    def open(self, opening: Open, *, closes: bool) -> int:
        self._write(opening.run, "open", opening.name)
        return max((int(line[1]) for line in lines_of(self._folder, opening.run) if line[0] == "row"), default=-1)

    def send(self, run: str, messages: Sequence[Message]) -> None:
        for message in messages:
            if isinstance(message, Row):
                self._write(run, "row", message.step, message.values)

    def finish(self, run: str, close: Close | None) -> None:
        if close is not None:
            self._write(run, "close", close.outcome)

    def close(self) -> None:
        pass

    def _write(self, run: str, *cells: Any) -> None:
        try:
            with (self._folder / f"{run}.csv").open("a", newline="") as stream:
                csv.writer(stream).writerow(cells)
        except OSError as error:
            raise NotSent(f"{self._folder}: {error.strerror}") from error


def lines_of(folder: Path, run: str) -> list[list[str]]:
    file = folder / f"{run}.csv"
    return list(csv.reader(file.read_text().splitlines())) if file.exists() else []


class CsvTracker(Tracker):
    sink, command = CsvSink(), (sys.executable, __file__)
    section, needs = {"folder": "lots"}, "CSV_FOLDER"

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def start(self) -> None:
        self._folder.mkdir()

    def steps(self, run: str) -> list[int]:
        return [int(line[1]) for line in lines_of(self._folder, run) if line[0] == "row"]

    def outcome(self, run: str) -> str | None:
        return next((line[1] for line in reversed(lines_of(self._folder, run)) if line[0] == "close"), None)

    def content(self) -> bytes:
        return b"".join(file.name.encode() + file.read_bytes() for file in sorted(self._folder.iterdir()))


class TestCsvSink(SinkContract):
    @pytest.fixture
    def tracker(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> CsvTracker:
        monkeypatch.setenv("CSV_FOLDER", str(tmp_path / "csv"))
        monkeypatch.setenv("CSV_TOKEN", SECRET)
        (tmp_path / "csv").mkdir()
        return CsvTracker(tmp_path / "csv" / "lots")

    def test_a_registered_sink_is_chosen_beside_the_others(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setitem(SINKS, "csv", CsvSink())
        choices = choose_sinks(Track(), {"CSV_FOLDER": "x"})
        assert {choice.sink: choice.online for choice in choices} == {
            **dict.fromkeys(set(SINKS) - {"csv"}, False),
            "csv": True,
        }


class TensorBoardTracker(Tracker):
    sink, command = TensorBoardSink(), (sys.executable, "-m", "yolosweep.tracking")
    section, needs = {"mode": "on"}, None

    def watch(self, folder: RunFolder) -> None:
        self._folder = folder.root / "tensorboard"
        self._folder.write_text("a file where the folder should be")

    def start(self) -> None:
        self._folder.unlink()

    def steps(self, run: str) -> list[int]:
        events = [
            (event.step, {value.tag: value.simple_value for value in event.summary.value})
            for event in self._events(run)
        ]
        return [
            int(values.get("ledger_seq", step)) for step, values in events if {"score", "ledger_seq"} & values.keys()
        ]

    def outcome(self, run: str) -> str | None:
        values = [value for event in self._events(run) for value in event.summary.value]
        texts = [value.tensor.string_val[0].decode() for value in values if value.tag == "ending/text_summary"]
        return texts[-1].split(":")[0] if texts else None

    def content(self) -> bytes:
        files = sorted(file for file in self._folder.rglob("*") if file.is_file())
        return b"".join(str(file.relative_to(self._folder)).encode() + file.read_bytes() for file in files)

    def _events(self, run: str) -> list[Any]:
        with next((self._folder / run).iterdir()).open("rb") as stream:
            return [event for event, _ in events_in(stream)]


class TestTensorBoardSink(SinkContract):
    @pytest.fixture
    def tracker(self, monkeypatch: pytest.MonkeyPatch) -> TensorBoardTracker:
        monkeypatch.setenv("SOME_TOKEN", SECRET)
        return TensorBoardTracker()

    @pytest.mark.nightly
    def test_a_dead_sink_ends_in_a_warning(self, sweep: Sweep) -> None:
        super().test_a_dead_sink_ends_in_a_warning(sweep)


class MlflowTracker(Tracker):
    """MLflow's own file store in a folder; it is down while a file is in the place of the folder."""

    sink, command = MlflowSink(), (sys.executable, "-m", "yolosweep.tracking")
    section, needs = {"experiment": "lots"}, "MLFLOW_TRACKING_URI"

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        folder.write_text("a file where the folder should be")

    def start(self) -> None:
        self._folder.unlink()

    def steps(self, run: str) -> list[int]:
        found = self._run(run)
        marker = "ledger_seq" if found.data.tags["yolosweep.kind"] == "sweep" else "epoch"
        return [metric.step for metric in self._client.get_metric_history(found.info.run_id, marker)]

    def outcome(self, run: str) -> str | None:
        return {"FINISHED": "finished", "FAILED": "failed", "KILLED": "cancelled"}.get(self._run(run).info.status)

    def content(self) -> bytes:
        files = sorted(file for file in self._folder.rglob("*") if file.is_file())
        return b"".join(str(file.relative_to(self._folder)).encode() + file.read_bytes() for file in files)

    @property
    def _client(self) -> Any:
        from mlflow import MlflowClient

        return MlflowClient(tracking_uri=self._folder.as_uri())

    def _run(self, run: str) -> Any:
        experiment = self._client.get_experiment_by_name("lots").experiment_id
        (found,) = self._client.search_runs([experiment], f"tags.`yolosweep.run` = '{run}'")
        return found


@pytest.mark.slow
@pytest.mark.skipif(find_spec("mlflow") is None, reason="mlflow-skinny is not installed")
class TestMlflowSink(SinkContract):
    @pytest.fixture
    def tracker(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> MlflowTracker:
        monkeypatch.setenv("MLFLOW_TRACKING_URI", (tmp_path / "mlruns").as_uri())
        monkeypatch.setenv("MLFLOW_TRACKING_TOKEN", SECRET)
        monkeypatch.setenv("MLFLOW_ALLOW_FILE_STORE", "true")
        monkeypatch.setenv("MLFLOW_DISABLE_TELEMETRY", "true")
        return MlflowTracker(tmp_path / "mlruns")

    @pytest.mark.nightly
    def test_no_secret_is_sent_or_stored(self, sweep: Sweep) -> None:
        super().test_no_secret_is_sent_or_stored(sweep)

    @pytest.mark.nightly
    def test_a_dead_sink_never_blocks_and_gets_everything_later(self, sweep: Sweep) -> None:
        super().test_a_dead_sink_never_blocks_and_gets_everything_later(sweep)

    @pytest.mark.nightly
    def test_a_dead_sink_ends_in_a_warning(self, sweep: Sweep) -> None:
        super().test_a_dead_sink_ends_in_a_warning(sweep)


_file = Path(__file__).parents[1] / "e2e" / "wandb_server.py"
_spec = importlib.util.spec_from_file_location("wandb_server", _file)
assert _spec is not None
assert _spec.loader is not None
wandb_server = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(wandb_server)


class WandbTracker(Tracker):
    sink, command = WandbSink(), (sys.executable, "-m", "yolosweep.tracking")
    section, needs = {"project": "lots", "entity": None, "tags": ["night"]}, "W&B API key"

    def __init__(self, server: Any) -> None:
        self._server = server

    def start(self) -> None:
        self._server.connect()

    def steps(self, run: str) -> list[int]:
        query = "SELECT step FROM metrics WHERE run_id=? AND key='score' ORDER BY rowid"
        return [row["step"] for row in self._server.rows(query, run)]

    def outcome(self, run: str) -> str | None:
        code = self._server.exit_codes.get(run)
        return {0: "finished", 1: "failed", 255: "cancelled"}.get(code)

    def content(self) -> bytes:
        tables = ("runs", "metrics", "artifacts", "files")
        return repr([self._server.rows(f"SELECT * FROM {table} ORDER BY rowid") for table in tables]).encode()


@pytest.mark.slow
@pytest.mark.skipif(wandb_server.find() is None, reason=wandb_server.HOW_TO)
class TestWandbSink(SinkContract):
    @pytest.fixture
    def tracker(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[WandbTracker]:
        for name in ("server", "home", "tmp"):
            (tmp_path / name).mkdir()
        server = wandb_server.Server(tmp_path / "server", SECRET)
        for name in [name for name in os.environ if name.startswith("WANDB_")]:
            monkeypatch.delenv(name)
        monkeypatch.setenv("WANDB_BASE_URL", server.url)
        monkeypatch.setenv("WANDB_API_KEY", SECRET)
        monkeypatch.setenv("HOME", str(tmp_path / "home"))
        monkeypatch.setenv("TMPDIR", str(tmp_path / "tmp"))
        deadline = time.monotonic() + 300
        while not server.ready():
            assert time.monotonic() < deadline
            time.sleep(0.05)
        yield WandbTracker(server)
        server.stop()

    @pytest.mark.nightly  # kills, lost uploads and late servers: e2e/test_wandb
    def test_a_dead_sink_never_blocks_and_gets_everything_later(self, sweep: Sweep) -> None:
        super().test_a_dead_sink_never_blocks_and_gets_everything_later(sweep)

    @pytest.mark.nightly  # W&B's client gives up after two minutes; a wrong key: e2e/test_wandb
    def test_a_dead_sink_ends_in_a_warning(self, sweep: Sweep) -> None:
        super().test_a_dead_sink_ends_in_a_warning(sweep)


if __name__ == "__main__":
    SINKS["csv"] = CsvSink()
    sys.exit(main())
