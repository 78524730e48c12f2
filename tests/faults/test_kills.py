"""Sweeps under random SIGKILLs: whatever is killed and when, the ledger tells the same sweep as an undisturbed one.

Every kill waits for something the ledger tells (so many more rows, the next end of a trial), never for a time. What is
killed and when follows from a seed, which a failure prints. ``YOLOSWEEP_CHAOS_SEED=S`` replays it;
``YOLOSWEEP_CHAOS=N`` runs N long rounds with fresh seeds.
"""

from __future__ import annotations

import contextlib
import json
import os
import random
import subprocess
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psutil
import pytest
from tests.tools.placing import take

from yolosweep.backends import trainer_for
from yolosweep.data import write_view
from yolosweep.data.samples.parking_dataset import draw_parking
from yolosweep.ledger import RunFolder
from yolosweep.ledger.history import History
from yolosweep.records import Checkpoint, EpochResult, FileRef, TrialRecord, TrialRequest, Verdict
from yolosweep.search.controller import SweepController
from yolosweep.storage.atomic_files import sha256_of
from yolosweep.workflows.experiment_checks import check
from yolosweep.workflows.progress_listener import LogListener

SEED = os.environ.get("YOLOSWEEP_CHAOS_SEED")
ROUNDS = int(os.environ.get("YOLOSWEEP_CHAOS", "0"))
LONG = [int(SEED)] if SEED else [random.SystemRandom().randrange(10**6) for _ in range(ROUNDS)]
MEASURED_LIVE = {"seconds", "images_per_s", "memory_mb", "gpu_memory_mb"}
AT_MOST_S = 180.0
"""Nothing in a sweep of this size takes so long; a wait that does is a hang."""

WORKER, RANK, DRIVER, DESK, MACHINE = "worker", "rank", "driver", "controller", "machine"


# --- The model: what a ledger of one slot, with a checkpoint after every epoch, may tell.


@dataclass
class TrialTold:
    """One trial as the model knows it."""

    rows: list[dict[str, Any]] = field(default_factory=list)
    checkpoint: Checkpoint | None = None
    attempt: int = 0
    record: TrialRecord | None = None

    @property
    def ended(self) -> bool:
        return self.record is not None and self.record.ending.value != "cancelled"


@dataclass
class Told:
    """A ledger folded by rules of its own: an event that breaks one is an AssertionError."""

    events: list[dict[str, Any]] = field(default_factory=list)
    trials: dict[str, TrialTold] = field(default_factory=dict)

    @classmethod
    def by(cls, events: Iterable[dict[str, Any]]) -> Told:
        told = cls()
        for event in events:
            told.take(event)
        return told

    def take(self, event: dict[str, Any]) -> None:
        """Check one event against all before it."""
        assert event["seq"] == len(self.events), "a line is missing or double"
        self.events.append(event)
        getattr(self, f"_{event['event']}", lambda event: None)(event)

    def count(self, kind: str) -> int:
        return sum(event["event"] == kind for event in self.events)

    def _sweep_started(self, event: dict[str, Any]) -> None:
        assert event["seq"] == 0, "a sweep begins once"

    def _trial_started(self, event: dict[str, Any]) -> None:
        name = event["request"]["trial"]
        assert name == f"t{len(self.trials):04d}", "trials are numbered as they come"
        self.trials[name] = TrialTold()

    def _row(self, event: dict[str, Any]) -> None:
        trial, row = self.trials[event["trial"]], event["row"]
        assert not trial.ended, "an ended trial trains no more"
        assert row["epoch"] == len(trial.rows) + 1, "no gap, no epoch twice"
        trial.rows.append(row)
        assert event["checkpoint"] is not None, "every epoch is resumable"
        trial.checkpoint = Checkpoint.model_validate(event["checkpoint"])
        assert trial.checkpoint.epoch == row["epoch"], "the checkpoint is of this epoch"
        named = f"/a{trial.attempt:02d}-e{row['epoch']:04d}.state"
        assert trial.checkpoint.state.path.endswith(named), "a file of this attempt"

    def _trial_resumed(self, event: dict[str, Any]) -> None:
        trial = self.trials[event["trial"]]
        assert not trial.ended, "an ended trial is not run again"
        assert event["attempt"] == trial.attempt + 1, "attempts are counted one by one"
        assert event["cause"] in ("infra", "resumed"), "a kill is nothing else"
        assert event["from_epoch"] == len(trial.rows), "no acknowledged epoch is trained again"
        trial.attempt, trial.record = event["attempt"], None

    def _trial_ended(self, event: dict[str, Any]) -> None:
        record = TrialRecord.model_validate(event["record"])
        trial = self.trials[record.trial]
        assert trial.record is None, "a trial ends once"
        assert record.epochs == len(trial.rows), "the record sums up the rows"
        assert record.retries == trial.attempt, "the record counts the attempts"
        if trial.rows:
            best = trial.rows[-1]["best_score"], trial.rows[-1]["best_epoch"]
            assert (record.score, record.best_epoch) == best, "the record has the best of the rows"
        trial.record = record

    def at_rest(self, folder: RunFolder) -> None:
        """Check, while nothing runs, that every trial that has not ended can go on from its newest checkpoint."""
        for trial in self.trials.values():
            if trial.checkpoint is not None and trial.record is None:
                for reference in (trial.checkpoint.state, trial.checkpoint.best):
                    assert reference is None or is_whole(folder, reference), reference


def lines_of(folder: RunFolder) -> list[dict[str, Any]]:
    """Return the ledger as it is written, not as the product reads it."""
    return [json.loads(line) for line in folder.ledger.read_text().splitlines()]


def is_whole(folder: RunFolder, reference: FileRef) -> bool:
    file = folder.resolve(reference)
    return file.is_file() and sha256_of(file) == reference.sha256


# --- The undisturbed sweep: controller and trainer in this process, without Ray.


def undisturbed(experiment: Path, overrides: Sequence[str], folder: RunFolder) -> History:
    """Run a sweep one trial at a time, in this process, and return what its ledger tells."""
    checked = check(experiment, overrides, LogListener(), fetch=False)
    exp = checked.experiment
    folder.root.mkdir()
    controller = SweepController(
        str(folder.root),
        experiment=exp.model_dump(mode="json"),
        model=str(checked.model),
        model_fingerprint=str(checked.model),
        dataset=write_view(checked.gate.layout, checked.dataset, folder).model_dump(mode="json"),
        cpus=1,
        gpus=0,
        header={},
    )
    while (request := take(controller)) is not None:
        assert isinstance(request, TrialRequest)
        controller.ended(trainer_for(request.model).train(request, reporter(controller, request), lambda: False))
    controller.close()
    return History.of(folder)


def reporter(controller: SweepController, request: TrialRequest) -> Callable[[EpochResult, Checkpoint | None], Verdict]:
    return lambda row, checkpoint: controller.row(request.trial, row, checkpoint)


# --- The disturbance.


@dataclass(frozen=True)
class Kill:
    """What is killed, and what the ledger has to tell before."""

    victim: str
    rows: int
    """So many more rows…"""
    then: str | None = None
    """… and after them the next event of this kind."""
    at_once: bool = False
    """Take the sweep up again while processes of the dead one may still live."""


class Disturbed:
    """A sweep that is killed as planned, and taken up again each time."""

    def __init__(self, shell: Any, experiment: Path, overrides: Sequence[str]) -> None:
        self._shell = shell
        self.told = Told()
        self.delivered: list[Kill] = []
        before = set(shell.cwd.glob("runs/*/ledger.jsonl"))
        self._process: subprocess.Popen[str] = shell.start("run", experiment, *overrides, "--json")
        self._said: dict[subprocess.Popen[str], tuple[str, str]] = {}
        self._family: set[psutil.Process] = set()
        found: list[Path] = []
        self._until(lambda: found.extend(set(shell.cwd.glob("runs/*/ledger.jsonl")) - before) or found)
        assert found, self._end()
        self.folder = RunFolder(found[0].parent)
        self._offset = 0

    def run(self, kills: Sequence[Kill]) -> None:
        """Do all of it; return when the sweep has ended by itself."""
        for kill in kills:
            if self._reached(kill) and self._strike(kill):
                print(f"event {len(self.told.events)}: {kill}")
                self.delivered.append(kill)
        out, err = self._end()
        assert self._process.returncode == 0, err
        assert "Traceback" not in err, err
        self._read()
        self.outcome = json.loads(out)

    def _read(self) -> None:
        if self.folder.ledger.exists():
            with self.folder.ledger.open("rb") as stream:
                stream.seek(self._offset)
                whole = stream.read().rpartition(b"\n")[0]
            self._offset += len(whole) + 1 if whole else 0
            for line in whole.splitlines():
                self.told.take(json.loads(line))

    def _until(self, condition: Callable[[], Any]) -> bool:
        """Wait until a condition holds; False where the command ended before."""
        deadline = time.monotonic() + AT_MOST_S
        while not condition():
            if self._process.poll() is not None:
                return bool(condition())
            assert time.monotonic() < deadline, f"nothing more happened after {self.told.events[-3:]}"
            time.sleep(0.003)
        return True

    def _reached(self, kill: Kill) -> bool:
        first, rows = len(self.told.events), self.told.count("row") + kill.rows

        def is_time() -> bool:
            self._read()
            if self.told.count("row") < rows:
                return False
            seen = 0
            for place, event in enumerate(self.told.events):
                seen += event["event"] == "row"
                if seen >= rows and place >= first and kill.then in (None, event["event"]):
                    return True
            return kill.rows == 0 and kill.then is None

        return self._until(is_time) and self._process.poll() is None

    def _strike(self, kill: Kill) -> bool:
        """Kill, and take the sweep up again; False where it was over by then."""
        driver = psutil.Process(self._process.pid)
        family = driver.children(recursive=True)
        self._family.update(family)
        # As Ray names the processes of Tune's trainables and of the controller.
        marks = ("::ResourceTrainable", "::_Rank", "::ControllerActor")
        workers, ranks, controllers = ([p for p in family if mark in command_of(p)] for mark in marks)
        everything = [driver, *family]
        victims = {WORKER: workers, RANK: ranks, DESK: controllers, DRIVER: [driver], MACHINE: everything}[kill.victim]
        for process in victims:
            end(process)
        if kill.victim in (WORKER, RANK) or not victims:
            return bool(victims)
        self._end()
        if self._process.returncode == 0:
            return False
        if not kill.at_once:
            living = psutil.wait_procs([*workers, *ranks, *controllers], timeout=AT_MOST_S)[1]
            assert not living, "they outlive their driver"
            self._read()
            self.told.at_rest(self.folder)
        self._process = self._shell.start("resume", self.folder.root, "--json")
        return True

    def _end(self) -> tuple[str, str]:
        """Wait for the command and return all it said; asked again, the same."""
        if self._process not in self._said:
            self._said[self._process] = self._process.communicate(timeout=AT_MOST_S)
        return self._said[self._process]

    def close(self) -> None:
        """Leave no process behind, however the test went."""
        if self._process.poll() is None:
            self._family.update(psutil.Process(self._process.pid).children(recursive=True))
            self._process.kill()
        self._end()
        for process in self._family:  # Ray's own agents take a minute to miss their head
            end(process)


def command_of(process: psutil.Process) -> str:
    try:
        return " ".join(process.cmdline())
    except psutil.NoSuchProcess:
        return ""


def end(process: psutil.Process) -> None:
    with contextlib.suppress(psutil.NoSuchProcess):
        process.kill()


def same_sweep(disturbed: Disturbed, undisturbed: History) -> None:
    """Check what the disturbed sweep left against the model and against the undisturbed one."""
    folder, told = disturbed.folder, disturbed.told
    assert lines_of(folder) == told.events, "what was acknowledged once stays as it was"
    history = History.of(folder)
    assert history.ended is not None
    assert history.ended.status == "finished"
    assert history.trials.keys() == told.trials.keys() == undisturbed.trials.keys()
    for name, trial in history.trials.items():
        model, other = told.trials[name], undisturbed.trials[name]
        assert [row.model_dump(mode="json") for row in trial.rows] == model.rows
        assert trial.request.asked == other.request.asked, name
        assert curve(trial.rows) == curve(other.rows), name
        assert trial.record is not None
        assert other.record is not None
        assert trial.record.ending is other.record.ending, trial.record.reason
        assert trial.record.score == other.record.score
        kept = {file: ref for file, ref in trial.record.files.items() if not (trial.dropped and file.endswith(".pt"))}
        assert all(is_whole(folder, reference) for reference in kept.values()), name
        assert not folder.checkpoint(name, "x").parent.exists(), "an ended trial keeps no resumable state"
    best = undisturbed.ranked()[0]
    assert history.winner is not None
    assert (history.winner.trial, history.ranked()[0].score) == (best.request.trial, best.score)
    assert disturbed.outcome["winner"]["trial"] == best.request.trial


def curve(rows: Sequence[EpochResult]) -> list[dict[str, Any]]:
    return [row.model_dump(exclude=MEASURED_LIVE) for row in rows]


@pytest.fixture
def ordeal(
    shell: Any, home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Callable[[int, Path, Sequence[str], Sequence[Kill]], tuple[Disturbed, History]]:
    """Run one experiment twice, undisturbed and disturbed, and compare; a failure tells how to replay it."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(home / ".cache"))  # where the command keeps its own: drawn once for both

    def run(
        seed: int, experiment: Path, overrides: Sequence[str], kills: Sequence[Kill], calm: History | None = None
    ) -> tuple[Disturbed, History]:
        print(f"to replay this: YOLOSWEEP_CHAOS_SEED={seed} pytest tests/faults", *kills, sep="\n  ")
        calm = calm or undisturbed(experiment, overrides, RunFolder(tmp_path / "undisturbed"))
        disturbed = Disturbed(shell, experiment, overrides)
        try:
            disturbed.run(kills)
        finally:
            disturbed.close()
        same_sweep(disturbed, calm)
        return disturbed, calm

    return run


def one_at_a_time(trials: int) -> tuple[str, ...]:
    """Return overrides with which the order of what the searcher learns hangs on nothing but the seed."""
    return f"search.trials={trials}", "resources.max_concurrent=1", "resources.cpus_per_trial=1"


@pytest.fixture
def toy(repository: Path) -> Path:
    return repository / "jobs" / "experiments" / "toy.yaml"


@pytest.fixture
def tiny_yolo(tmp_path: Path) -> Path:
    """A search over real trainings of a second per epoch; every one has a loss of its own to be ranked by."""
    data = draw_parking(tmp_path / "parking", images={"train": 12, "val": 6}, size=64)
    experiment = tmp_path / "tiny.yaml"
    experiment.write_text(f"""
name: tiny
model: yolo11n.yaml
data: {data}
train: {{epochs: 3, batch: 4, nbs: 4, imgsz: 64, optimizer: AdamW, warmup_epochs: 1, close_mosaic: 0}}
search:
  metric: val/box_loss
  mode: min
  searcher: random
  pruner: none
  parameters: {{lr0: {{min: 0.0005, max: 0.005}}}}
resources: {{gpus_per_trial: 0}}
""")
    return experiment


@pytest.mark.slow
@pytest.mark.nightly  # a killed worker: test_toy_sweep; a killed driver or controller: test_resume
def test_a_few_kills_leave_no_trace_in_a_toy_sweep(ordeal: Any, toy: Path) -> None:
    seed = int(SEED or 3)
    rng = random.Random(seed)
    kills = [Kill(victim, rng.randint(1, 40)) for victim in (WORKER, rng.choice([DRIVER, MACHINE]))]
    rng.shuffle(kills)
    overrides = (*one_at_a_time(3), "train.epochs=60", "train.patience=30")
    disturbed, calm = ordeal(seed, toy, overrides, kills)
    assert disturbed.delivered == kills
    best, weights = calm.ranked()[0].record, disturbed.folder.winner / "best.pt"
    assert sha256_of(weights) == best.files["best.pt"].sha256


@pytest.mark.slow
@pytest.mark.nightly
def test_a_few_kills_leave_no_trace_in_a_sweep_of_real_trainings(ordeal: Any, tiny_yolo: Path) -> None:
    seed = int(SEED or 3)
    rng = random.Random(seed)
    kills = [Kill(victim, rng.randint(1, 2)) for victim in (WORKER, rng.choice([DRIVER, MACHINE]))]
    rng.shuffle(kills)
    disturbed, _ = ordeal(seed, tiny_yolo, one_at_a_time(2), kills)
    assert disturbed.delivered == kills


@pytest.fixture
def calm_ranks(shell: Any, two_ranks: Path) -> History:
    """A sweep of trials of two ranks that nothing disturbs."""
    calm: History = shell.run(two_ranks).history
    ended = [trial.record for trial in calm.trials.values() if trial.record]
    assert [(record.ending.value, record.world_size) for record in ended] == [("finished", 2), ("pruned", 2)]
    return calm


@pytest.mark.slow
@pytest.mark.nightly  # test_ranks_sweep and test_nodes lose a rank, too
def test_the_kill_of_a_rank_leaves_no_trace(ordeal: Any, two_ranks: Path, calm_ranks: History) -> None:
    seed = int(SEED or 7)
    rng = random.Random(seed)
    # Rank 0 or the other; after rows 4 and 6 a trial has nothing left to train, and its loss costs nothing.
    kills = [Kill(rng.choice([WORKER, RANK]), rng.choice([1, 2, 3, 5]))]
    disturbed, _ = ordeal(seed, two_ranks, (), kills, calm_ranks)
    assert disturbed.delivered == kills
    assert sum(trial.attempt for trial in disturbed.told.trials.values()) == 1


def many_kills(rng: random.Random, count: int, rows: int) -> list[Kill]:
    """Draw kills of everything at every stage: in and between epochs and trials, in a fresh resume, at the crowning."""
    kills = []
    for _ in range(count):
        victim = rng.choice([WORKER, WORKER, DRIVER, MACHINE, DESK])
        then = rng.choice([None, None, None, "trial_started", "trial_ended"])
        kills.append(Kill(victim, rng.randint(1, rows), then, at_once=rng.random() < 0.4))
        if victim != WORKER and rng.random() < 0.3:
            kills.append(Kill(rng.choice([DRIVER, MACHINE]), 0, "sweep_resumed", at_once=rng.random() < 0.4))
    if rng.random() < 0.5:
        kills.append(Kill(rng.choice([DRIVER, MACHINE]), 0, rng.choice(["winner", "sweep_ended"])))
    return kills


long = pytest.mark.skipif(not LONG, reason="takes minutes: YOLOSWEEP_CHAOS=N runs N rounds of kills")


@long
@pytest.mark.chaos
@pytest.mark.timeout(1800)
@pytest.mark.slow
@pytest.mark.parametrize("seed", LONG)
def test_many_kills_leave_no_trace_in_a_toy_sweep(ordeal: Any, toy: Path, seed: int) -> None:
    kills = many_kills(random.Random(seed), count=6, rows=80)
    overrides = (*one_at_a_time(8), "train.epochs=100", "train.patience=40")
    disturbed, calm = ordeal(seed, toy, overrides, kills)
    assert disturbed.delivered
    best, weights = calm.ranked()[0].record, disturbed.folder.winner / "best.pt"
    assert sha256_of(weights) == best.files["best.pt"].sha256


@long
@pytest.mark.chaos
@pytest.mark.timeout(1800)
@pytest.mark.slow
@pytest.mark.parametrize("seed", LONG)
def test_many_kills_leave_no_trace_in_a_sweep_of_real_trainings(ordeal: Any, tiny_yolo: Path, seed: int) -> None:
    kills = many_kills(random.Random(seed), count=4, rows=4)
    disturbed, _ = ordeal(seed, tiny_yolo, (*one_at_a_time(3), "train.epochs=6"), kills)
    assert disturbed.delivered


@pytest.fixture(scope="module")
def ledger(tmp_path_factory: pytest.TempPathFactory, repository: Path) -> str:
    """A real ledger as JSON: two trials of three epochs, the second one resumed after its first epoch."""
    place = tmp_path_factory.mktemp("model")
    data = draw_parking(place / "parking", images={"train": 12, "val": 8}, size=64)
    folder, toy = RunFolder(place / "run"), repository / "jobs" / "experiments" / "toy.yaml"
    undisturbed(toy, [*one_at_a_time(2), f"data={data}", "train.epochs=3", "search.pruner=none"], folder)
    events = lines_of(folder)
    here = place_of(events, "row", 3) + 1
    resumed = {"event": "trial_resumed", "trial": "t0001", "attempt": 1, "cause": "infra", "from_epoch": 1}
    after = json.dumps(events[here:]).replace("a00-e", "a01-e").replace('"retries": 0', '"retries": 1')
    return json.dumps(numbered([*events[:here], resumed, *json.loads(after)]))


class TestModel:
    """The model sees what it is there for."""

    @pytest.mark.slow
    def test_a_sound_ledger_is_taken(self, ledger: str) -> None:
        told = Told.by(json.loads(ledger))
        assert [len(trial.rows) for trial in told.trials.values()] == [3, 3]
        assert all(trial.ended for trial in told.trials.values())

    def test_a_missing_line_is_seen(self, ledger: str) -> None:
        events = json.loads(ledger)
        del events[place_of(events, "row", 1)]
        with pytest.raises(AssertionError, match="missing or double"):
            Told.by(events)

    @pytest.mark.parametrize(
        ("kind", "number", "moved_to", "rule"),
        [
            ("row", 1, "nowhere", "no epoch twice"),
            ("row", 1, "twice", "no epoch twice"),
            ("row", 2, "the end", "trains no more"),
            ("trial_ended", 0, "the end", "ends once"),
            ("sweep_started", 0, "the end", "begins once"),
            ("trial_resumed", 0, "the end", "not run again"),
            ("trial_resumed", 0, "nowhere", "of this attempt"),
        ],
    )
    def test_events_out_of_place_are_seen(self, ledger: str, kind: str, number: int, moved_to: str, rule: str) -> None:
        events = json.loads(ledger)
        place = place_of(events, kind, number)
        event = events[place]
        if moved_to == "nowhere":
            del events[place]
        else:
            events.insert(place if moved_to == "twice" else len(events), event)
        with pytest.raises(AssertionError, match=rule):
            Told.by(numbered(events))

    @pytest.mark.parametrize(
        ("kind", "number", "inside", "wrong", "rule"),
        [
            ("trial_resumed", 0, None, {"from_epoch": 0}, "trained again"),
            ("trial_resumed", 0, None, {"attempt": 2}, "one by one"),
            ("trial_resumed", 0, None, {"cause": "damaged"}, "nothing else"),
            ("row", 0, None, {"checkpoint": None}, "resumable"),
            ("row", 0, "checkpoint", {"epoch": 2}, "of this epoch"),
            ("trial_ended", 0, "record", {"epochs": 2}, "sums up"),
            ("trial_ended", 0, "record", {"score": 0.123}, "best of the rows"),
            ("trial_ended", 1, "record", {"retries": 0}, "counts the attempts"),
        ],
    )
    def test_wrong_values_are_seen(
        self, ledger: str, kind: str, number: int, inside: str | None, wrong: dict[str, Any], rule: str
    ) -> None:
        events = json.loads(ledger)
        event = events[place_of(events, kind, number)]
        (event[inside] if inside else event).update(wrong)
        with pytest.raises(AssertionError, match=rule):
            Told.by(events)

    def test_a_checkpoint_that_is_not_as_recorded_is_seen(self, tmp_path: Path) -> None:
        folder = RunFolder(tmp_path)
        source = tmp_path / "source"
        source.write_text("whole")
        checkpoint = Checkpoint(epoch=1, state=folder.publish(source, folder.checkpoint("t0000", "a00-e0001.state")))
        told = Told(trials={"t0000": TrialTold(checkpoint=checkpoint)})
        told.at_rest(folder)
        folder.checkpoint("t0000", "a00-e0001.state").write_text("torn")
        with pytest.raises(AssertionError, match=r"a00-e0001\.state"):
            told.at_rest(folder)


def place_of(events: list[dict[str, Any]], kind: str, number: int) -> int:
    """Return where the event of a kind stands, counted from 0."""
    return [place for place, event in enumerate(events) if event["event"] == kind][number]


def numbered(events: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Number the lines anew, so that they look untouched to all but the model."""
    return [{**event, "seq": place} for place, event in enumerate(events)]


@long
@pytest.mark.chaos
@pytest.mark.timeout(1800)
@pytest.mark.slow
@pytest.mark.parametrize("seed", LONG)
def test_many_kills_leave_no_trace_in_a_sweep_of_ranks(
    ordeal: Any, two_ranks: Path, calm_ranks: History, seed: int
) -> None:
    rng = random.Random(seed)
    kills = [Kill(rng.choice([RANK, RANK, WORKER, DRIVER, MACHINE]), rng.randint(1, 2)) for _ in range(3)]
    disturbed, _ = ordeal(seed, two_ranks, (), kills, calm_ranks)
    assert disturbed.delivered
