"""The mirror's pure parts: whether to mirror, which messages an event gives, how the journal is tailed."""

import json
import os
import signal
import subprocess
import sys
import tempfile
import time

import psutil
import pytest
from filelock import FileLock
from hypothesis import given, settings
from hypothesis import strategies as st

from yolosweep.errors import RunFolderError, UsageError
from yolosweep.experiment.schema import Track, Wandb
from yolosweep.ledger import Ledger, RunFolder, Tail
from yolosweep.ledger.history import History
from yolosweep.records import EpochResult
from yolosweep.records.events import event_of_json
from yolosweep.tracking import Mirror, choose_sinks, finish_all, push, sinks_of
from yolosweep.tracking.message_planner import Planner
from yolosweep.tracking.mirror import _spawn
from yolosweep.tracking.mirror_state import MirrorState, SentRun
from yolosweep.tracking.outbox import Outbox
from yolosweep.tracking.sink import Artifact, Close, Open, Row, Summary, Table
from yolosweep.tracking.sink_registry import SINKS
from yolosweep.tracking.supervisor import Limits, supervise
from yolosweep.tracking.wandb import WandbSink, isolate

CANARY = "c4n4ry" * 8
SINK = WandbSink()
run_id = SINK.run_id


def choose(wandb, environ):
    return next(choice for choice in choose_sinks(Track(wandb=wandb), environ) if choice.sink == "wandb")


def plan(events, sent=None):
    """Return the messages of events that did not arrive yet; ``sent`` is the last event that arrived, by run."""
    planner = Planner("wandb", run_id)
    messages = [message for event in events for message in planner.add(event)]
    return [message for message in messages if message.seq > (sent or {}).get(message.run, -1)]


@pytest.fixture
def home(tmp_path):
    return {"HOME": str(tmp_path)}


class TestChoice:
    def test_without_a_section_it_is_off_without_a_line(self, home):
        choice = choose(None, {**home, "WANDB_API_KEY": CANARY})
        assert (choice.online, choice.line) == (False, "")

    def test_off_stays_off_with_a_key(self, home):
        assert choose(Wandb(mode="off"), {**home, "WANDB_API_KEY": CANARY}).online is False

    @pytest.mark.parametrize("name", ["WANDB_API_KEY", "WANDB_IDENTITY_TOKEN_FILE"])
    def test_auto_is_online_with_a_key_and_does_not_reveal_it(self, home, name):
        choice = choose(Wandb(), {**home, name: CANARY})
        assert choice.online
        assert "api.wandb.ai" in choice.line
        assert CANARY not in repr(choice)

    def test_auto_without_a_key_names_the_command_to_send_later(self, home):
        choice = choose(Wandb(), home)
        assert not choice.online
        assert "wandb login" in choice.line
        assert "yolosweep track push RUN" in choice.line
        assert "\n" not in choice.line

    def test_online_without_a_key_is_refused_with_the_fix(self, home):
        with pytest.raises(UsageError, match=r"track\.wandb\.mode=online.*wandb login.*mode: auto"):
            choose(Wandb(mode="online"), home)

    def test_auto_respects_a_disabled_wandb(self, home):
        assert choose(Wandb(), {**home, "WANDB_API_KEY": CANARY, "WANDB_MODE": "disabled"}).online is False

    @pytest.mark.parametrize("asked", ["offline", "dryrun"])
    def test_offline_needs_no_key_and_names_the_command_to_send(self, home, asked):
        choice = choose(Wandb(), {**home, "WANDB_MODE": asked})
        assert choice.online
        assert "wandb sync RUN/wandb/offline-run-*" in choice.line
        SINK.require_ready({**home, "WANDB_MODE": asked})
        assert SINK.address({}, {**home, "WANDB_MODE": asked}) == "offline", (
            "what is written there arrived at no server"
        )

    def test_online_and_offline_together_are_refused(self, home):
        with pytest.raises(UsageError, match=r"track\.wandb\.mode=online, but WANDB_MODE=offline; unset WANDB_MODE"):
            choose(Wandb(mode="online"), {**home, "WANDB_API_KEY": CANARY, "WANDB_MODE": "offline"})

    @pytest.mark.parametrize(
        ("machine", "base_url", "online"),
        [
            ("api.wandb.ai", None, True),
            ("wandb.example.org", None, False),
            ("wandb.example.org:8080", "http://wandb.example.org:8080/", True),
            ("api.wandb.ai", "http://wandb.example.org", False),
        ],
    )
    def test_netrc_counts_for_its_server_only(self, home, tmp_path, machine, base_url, online):
        (tmp_path / ".netrc").write_text(f"machine {machine}\n  login user\n  password {CANARY}\n")
        environ = {**home, "WANDB_BASE_URL": base_url} if base_url else home
        choice = choose(Wandb(), environ)
        assert choice.online == online
        assert CANARY not in repr(choice)

    def test_netrc_can_be_elsewhere(self, home, tmp_path):
        elsewhere = tmp_path / "keys"
        elsewhere.write_text(f"machine api.wandb.ai login user password {CANARY}\n")
        assert choose(Wandb(), {**home, "NETRC": str(elsewhere)}).online
        assert choose(Wandb(), {**home, "NETRC": str(tmp_path / "none")}).online is False

    def test_damaged_netrc_is_no_key(self, home, tmp_path):
        (tmp_path / ".netrc").write_text("machine api.wandb.ai what is this\n")
        assert choose(Wandb(), home).online is False

    def test_server_stored_by_wandb_login_counts(self, home, tmp_path):
        (tmp_path / ".config" / "wandb").mkdir(parents=True)
        (tmp_path / ".config" / "wandb" / "settings").write_text("[default]\nbase_url = https://own.example.org\n")
        (tmp_path / ".netrc").write_text(f"machine own.example.org\n  login user\n  password {CANARY}\n")
        choice = choose(Wandb(), home)
        assert choice.online
        assert "own.example.org" in choice.line


SWEEP = "cars-20260101-120000-ab12"
DATASET = {
    "task": "detect", "source": "/d", "train_on": "/d", "names": {"0": "car"}, "images": {"train": 1, "val": 1},
    "fingerprint": "f00d",
}  # fmt: skip
AT = "2026-01-01T12:00:00.000+00:00"


def started(**wandb):
    search = {"metric": "score", "mode": "max"}
    experiment = {"name": "cars", "model": "toy/red", "search": search, "track": {"wandb": wandb or None}}
    return ("sweep_started", {"sweep": SWEEP, "experiment": experiment, "dataset": DATASET})


def trial_started(number):
    request = {
        "sweep": SWEEP, "trial": f"t{number:04}", "number": number, "task": "detect", "model": "yolo26n.pt",
        "data": "/data.yaml", "settings": {"epochs": 9, "lr0": 0.01, "batch": 16}, "asked": {"lr0": 0.01},
        "identity": f"id{number}", "metric": "score", "folder": "/runs",
    }  # fmt: skip
    return ("trial_started", {"request": request})


def row(number, epoch):
    result = {
        "epoch": epoch, "metrics": {"train/box_loss": 1 / epoch, "val/box_loss": None}, "score": epoch / 10,
        "best_score": epoch / 10, "best_epoch": epoch, "epochs_without_gain": 0, "seconds": 1.5, "images_per_s": None,
    }  # fmt: skip
    return ("row", {"trial": f"t{number:04}", "row": result})


def trial_ended(number, ending="finished", score=0.5, **more):
    record = {
        "trial": f"t{number:04}", "number": number, "ending": ending, "reason": "because", "asked": {"lr0": 0.01},
        "used": {"lr0": 0.01, "batch": 8}, "score": score, **more,
    }  # fmt: skip
    return ("trial_ended", {"record": record})


def winner(number):
    file = {"path": "winner/best.pt", "sha256": "0" * 64, "size": 3}
    about = {
        "trial": f"t{number:04}", "score": 0.5, "metric": "score", "validations": {}, "settings": {}, "identity": "i",
        "model": "yolo26n.pt", "data_fingerprint": "f00d",
    }  # fmt: skip
    return ("winner", {**about, "file": file})


def events_of(entries):
    return [event_at(seq, name, payload) for seq, (name, payload) in enumerate(entries)]


def event_at(seq, name, payload):
    return event_of_json(json.dumps({"v": 1, "seq": seq, "at": AT, "event": name, **payload}).encode())


def resumed(number, attempt, from_epoch, cause="resumed"):
    about = {"attempt": attempt, "cause": cause, "reason": "its worker died", "from_epoch": from_epoch}
    return ("trial_resumed", {"trial": f"t{number:04}", **about})


def sweep_resumed(**wandb):
    return ("sweep_resumed", {key: value for key, value in started(**wandb)[1].items() if key != "sweep"})


END = ("sweep_ended", {"status": "finished", "reason": "all trials done"})


def of_type(kind, messages):
    return [message for message in messages if isinstance(message, kind)]


class TestPlan:
    def test_a_trial_is_one_run_from_open_to_close(self):
        entries = [started(tags=("red",)), trial_started(0), row(0, 1), row(0, 2), trial_ended(0, "patience")]
        run = run_id(SWEEP, "t0000")
        messages = [message for message in plan(events_of(entries)) if message.run == run]
        assert [type(message) for message in messages] == [Open, Row, Row, Close]
        opening, first, _, close = messages
        assert (opening.name, opening.sweep, opening.kind, opening.tags) == ("t0000", SWEEP, "trial", ("red",))
        assert opening.config["batch"] == 16
        assert opening.config["dataset_fingerprint"] == "f00d"
        assert first.step == 1
        assert first.values["train/box_loss"] == 1
        assert not {"val/box_loss", "images_per_s"} & set(first.values), "what was not measured is not sent"
        assert close.config["batch"] == 8, "the batch really used"
        assert close.tags == ("red", "patience")
        assert close.summary["ending"] == "patience"

    @pytest.mark.parametrize(
        ("ending", "outcome"),
        [
            ("finished", "finished"),
            ("patience", "finished"),
            ("pruned", "finished"),
            ("failed", "failed"),
            ("oom", "failed"),
            ("diverged", "failed"),
            ("cancelled", "cancelled"),
        ],
    )
    def test_every_ending_has_an_outcome(self, ending, outcome):
        entries = [started(), trial_started(0), trial_ended(0, ending)]
        (close,) = of_type(Close, plan(events_of(entries)))
        assert close.outcome == outcome

    def test_only_the_winner_is_uploaded_and_the_others_are_referenced(self):
        best = {"best.pt": {"path": "trials/t0001/best.pt", "sha256": "1" * 64, "size": 4}}
        entries = [
            started(),
            trial_started(0),
            trial_started(1),
            trial_ended(0),
            trial_ended(1, files=best),
            winner(0),
            END,
        ]
        messages = plan(events_of(entries))
        (artifact,) = of_type(Artifact, messages)
        assert artifact.file.path == "winner/best.pt"
        loser = next(close for close in of_type(Close, messages) if close.run == run_id(SWEEP, "t0001"))
        assert loser.summary["checkpoint_sha256"] == "1" * 64

    def test_the_table_compares_with_the_defaults(self):
        entries = [started(), trial_started(0), trial_started(1), trial_ended(0, score=0.5), trial_ended(1, score=0.75)]
        messages = plan(events_of([*entries, ("checkpoints_dropped", {"trial": "t0000"}), END]))
        (table,) = of_type(Table, messages)
        rows = [dict(zip(table.columns, row, strict=True)) for row in table.rows]
        assert [row["gain_over_defaults"] for row in rows] == [0, 0.25]
        summary = of_type(Close, messages)[-1].summary
        assert (summary["best_trial"], summary["best/lr0"], summary["gain_over_defaults"]) == ("t0001", 0.01, 0.25)

    def test_less_is_better_in_mode_min(self):
        first = started()
        first[1]["experiment"]["search"]["mode"] = "min"
        entries = [
            first,
            trial_started(0),
            trial_started(1),
            trial_ended(0, score=0.5),
            trial_ended(1, score=0.25),
            END,
        ]
        summary = of_type(Close, plan(events_of(entries)))[-1].summary
        assert (summary["best_trial"], summary["gain_over_defaults"]) == ("t0001", 0.25)

    def test_a_resumed_sweep_continues_in_the_same_runs(self):
        entries = [started(), trial_started(0), row(0, 1), row(0, 2), trial_ended(0, "cancelled", error="gone"), END]
        again = [sweep_resumed(tags=("night",)), resumed(0, 1, 1), row(0, 2), row(0, 3), trial_ended(0), END]
        messages = plan(events_of([*entries, *again]))
        assert {message.run for message in messages} == {run_id(SWEEP, "t0000"), run_id(SWEEP, "sweep")}
        trial = [message for message in messages if message.run == run_id(SWEEP, "t0000")]
        assert [type(message) for message in trial] == [Open, Row, Row, Close, Open, Summary, Row, Close]
        assert [message.step for message in of_type(Row, trial)] == [1, 2, 3], "epoch 2 was sent before"
        assert trial[4].tags == ("night",), "it has no ending now"
        assert (trial[-1].tags, trial[-1].outcome) == (("night", "finished"), "finished")
        sweep = [message for message in messages if message.run == run_id(SWEEP, "sweep")]
        first, second = [Open, Row, Table, Close], [Open, Summary, Row, Table, Close]
        assert [type(message) for message in sweep] == [*first, *second]
        assert sweep[5].values == {"status": None, "reason": None, "resumes": 1}

    def test_nothing_of_an_ending_is_left_when_a_trial_is_resumed(self):
        files = {"best.pt": {"path": "trials/t0000/best.pt", "sha256": "1" * 64, "size": 4}}
        lost = trial_ended(0, "cancelled", error="gone", best_epoch=1, files=files)
        entries = [started(), trial_started(0), row(0, 1), lost, sweep_resumed(), resumed(0, 1, 1)]
        (summary,) = [m for m in of_type(Summary, plan(events_of(entries))) if m.run == run_id(SWEEP, "t0000")]
        emptied = {key for key, value in summary.values.items() if value is None}
        assert {"ending", "reason", "error", "checkpoint_path", "checkpoint_sha256"} <= emptied
        assert not {"best_score", "best_epoch"} & set(summary.values), "what its rows report still holds"
        assert summary.values["retries"] == 1

    def test_a_retry_continues_in_the_open_run_with_its_cause(self):
        entries = [started(), trial_started(0), row(0, 1), row(0, 2), resumed(0, 1, 1, "infra"), row(0, 2), row(0, 3)]
        trial = [m for m in plan(events_of(entries)) if m.run == run_id(SWEEP, "t0000")]
        assert [type(message) for message in trial] == [Open, Row, Row, Summary, Row]
        assert trial[3].values == {"retries": 1, "last_retry": "infra, from epoch 2: its worker died"}

    def test_the_record_holds_what_it_ran_on(self):
        ran = {
            "device": "A100", "host": "n7", "world_size": 2, "threads": 4, "retries": 2, "recoveries": 1,
            "epoch_seconds": 1.5, "images_per_s": 80.0, "memory_mb": 900.0, "gpu_memory_mb": 7000.0, "cause": "stalled",
        }  # fmt: skip
        (close,) = of_type(Close, plan(events_of([started(), trial_started(0), trial_ended(0, "failed", **ran)])))
        config = {"lr0": 0.01, "batch": 8, "device": "A100", "host": "n7", "world_size": 2, "threads": 4}
        assert close.config == config
        measured = {
            "retries": 2, "recoveries": 1, "median_epoch_seconds": 1.5, "median_images_per_s": 80.0,
            "peak_memory_mb": 900.0, "peak_gpu_memory_mb": 7000.0, "cause": "stalled",
        }  # fmt: skip
        assert measured.items() <= close.summary.items()
        assert not set(measured) - {"retries", "recoveries", "cause"} & set(EpochResult.model_fields), (
            "rows overwrite theirs"
        )

    def test_the_best_so_far_does_not_drop_when_its_trial_is_resumed(self):
        entries = [started(), *map(trial_started, range(2)), trial_ended(1, "cancelled", 0.8), sweep_resumed()]
        messages = plan(events_of([*entries, resumed(1, 1, 2), trial_ended(0, score=0.5)]))
        headline = [m for m in of_type(Row, messages) if m.run == run_id(SWEEP, "sweep")][-1].values
        assert (headline["best_score"], headline["trials_ended"]) == (0.8, 1)

    def test_runs_stay_where_the_experiment_sent_them_first(self):
        first, planner = started(), Planner("wandb", run_id)
        del first[1]["experiment"]["track"]
        later = [sweep_resumed(project="parking", entity="us"), sweep_resumed(project="elsewhere")]
        for event, project in zip(events_of([first, *later]), (None, "parking", "parking"), strict=True):
            planner.add(event)
            assert (planner.section or {}).get("project") == project
        assert planner.section["entity"] == "us"

    def test_a_sweep_that_is_resumed_has_not_ended(self):
        planner = Planner("wandb", run_id)
        for event in events_of([started(), trial_started(0), END]):
            planner.add(event)
        assert planner.ended
        planner.add(event_at(3, "sweep_resumed", sweep_resumed()[1]))
        assert not planner.ended
        planner.add(event_at(4, "sweep_ended", END[1]))
        assert planner.ended

    def test_notes_and_unknown_events_give_no_message(self):
        entries = [("a_later_invention", {"x": 1}), ("note", {"text": "hm"})]
        assert plan(events_of(entries)) == []
        assert len(plan(events_of([started(), *entries]))) == 1

    def test_a_row_of_a_trial_that_never_started_is_a_damaged_ledger(self):
        with pytest.raises(RunFolderError, match="t0007"):
            plan(events_of([started(), row(7, 1)]))

    def test_run_ids_are_stable_and_fit_wandb(self):
        assert run_id("a", "t0000") == run_id("a", "t0000") != run_id("b", "t0000")
        assert run_id("ä/ö?", "t0000").isalnum()


TRIALS = [trial_started(number) for number in range(4)]
ENTRIES = st.lists(
    st.one_of(
        st.builds(row, st.integers(0, 3), st.integers(1, 6)),
        st.builds(trial_ended, st.integers(0, 3), st.sampled_from(["finished", "pruned", "failed", "cancelled"])),
        st.builds(winner, st.integers(0, 3)),
        st.builds(resumed, st.integers(0, 3), st.integers(1, 3), st.integers(0, 5)),
        st.just(sweep_resumed()),
        st.just(END),
        st.just(("note", {"text": "x"})),
    ),
    max_size=40,
).map(lambda entries: [started(), *TRIALS, *entries])


class TestSplits:
    @settings(max_examples=150, deadline=None)
    @given(entries=ENTRIES, data=st.data())
    @pytest.mark.slow
    def test_a_ledger_read_in_pieces_gives_every_message_once(self, entries, data):
        events = events_of(entries)
        whole = plan(events)
        pieces, sent = [], {}
        for end in sorted({*data.draw(st.sets(st.integers(0, len(events)))), len(events)}):
            fresh = plan(events[:end], sent)
            pieces += fresh
            for message in fresh:
                sent[message.run] = message.seq
        assert sorted(map(repr, pieces)) == sorted(map(repr, whole))
        for run in {message.run for message in whole}:
            assert [m for m in pieces if m.run == run] == [m for m in whole if m.run == run], "in order, too"

    @settings(max_examples=150, deadline=None)
    @given(entries=ENTRIES)
    @pytest.mark.slow
    def test_runs_are_well_formed(self, entries):
        messages = plan(events_of(entries))
        for run in {message.run for message in messages}:
            is_open, steps = False, []
            for message in (message for message in messages if message.run == run):
                assert is_open or isinstance(message, Open), "a closed run gets no message"
                is_open = not isinstance(message, Close)
                steps += [message.step] if isinstance(message, (Row, Table)) else []
            assert steps == sorted(set(steps)), "steps grow"

    @settings(max_examples=50, deadline=None)
    @given(entries=ENTRIES)
    def test_what_arrived_is_not_planned_again(self, entries):
        events = events_of(entries)
        sent = {message.run: message.seq for message in plan(events)}
        assert plan(events, sent) == []


@st.composite
def interrupted_sweeps(draw):
    """Ledgers as a controller writes them: trials are retried and cancelled, the sweep ends or dies and is resumed."""
    entries, trials, attempt = [started()], {0: 0, 1: 0, 2: 0}, 0
    entries += [trial_started(number) for number in trials]
    for _ in range(draw(st.integers(1, 4))):
        for number in draw(st.lists(st.sampled_from(sorted(trials)), max_size=8)):
            if draw(st.booleans()):
                trials[number] += 1
                entries.append(row(number, trials[number]))
            else:
                attempt, trials[number] = attempt + 1, draw(st.integers(0, trials[number]))
                entries.append(resumed(number, attempt, trials[number], "infra"))
        closed = draw(st.booleans())
        if closed:
            entries += [trial_ended(number, "cancelled", epochs=epoch) for number, epoch in trials.items()]
            entries += [winner(0), END]
        entries.append(sweep_resumed())
        attempt += 1
        for number in trials:
            trials[number] = draw(st.integers(0, trials[number]))
            entries.append(resumed(number, attempt, trials[number]))
    entries += [trial_ended(number, epochs=epoch) for number, epoch in trials.items() if draw(st.booleans())]
    return [*entries, *draw(st.sampled_from([[], [END]]))]


class TestResumes:
    @settings(max_examples=150, deadline=None)
    @given(entries=interrupted_sweeps())
    @pytest.mark.slow
    def test_the_mirror_agrees_with_the_history(self, entries):
        events = events_of(entries)
        history, messages = History(), plan(events)
        history.extend(events)
        for name, trial in history.trials.items():
            run = [message for message in messages if message.run == run_id(SWEEP, name)]
            steps = [message.step for message in of_type(Row, run)]
            assert steps == list(range(1, len(steps) + 1)), "no gap, no double"
            assert len(steps) >= len(trial.rows)
            assert isinstance(run[-1], Close) == (trial.record is not None)
            closes = [place for place, message in enumerate(run) if isinstance(message, Close)]
            assert all(isinstance(run[place + 1], Open) for place in closes if place + 1 < len(run))
        sweep = [message for message in messages if message.run == run_id(SWEEP, "sweep")]
        assert isinstance(sweep[-1], Close) == (history.ended is not None)
        if history.ended is not None:
            listed = {cells[0] for cells in of_type(Table, sweep)[-1].rows}
            assert listed == {name for name, trial in history.trials.items() if trial.record is not None}

    def test_of_several_pending_winners_only_the_last_is_uploaded(self, tmp_path):
        """The file of the others is gone: all winners have one path."""
        entries = [started(), trial_started(0), trial_ended(0), winner(0), END, sweep_resumed(), winner(0), END]
        outbox, messages = outbox_in(tmp_path)
        for event in events_of(entries):
            outbox.take(event)
        outbox.deliver(flush=True)
        assert [message.seq for message in of_type(Artifact, messages)] == [6]
        assert all(run.closed for run in MirrorState.load(RunFolder(tmp_path), "wandb", "http://a").runs.values())

    @pytest.mark.parametrize("supported", [{Summary}, {Row, Summary}, {Table}])
    def test_a_sink_gets_only_the_messages_it_supports(self, supported, tmp_path):
        outbox, messages = outbox_in(tmp_path, supports=frozenset(supported))
        for event in events_of([started(), trial_started(0), row(0, 1), trial_ended(0), winner(0), END]):
            outbox.take(event)
        outbox.deliver(flush=True)
        assert {type(message) for message in messages} == {*supported, Close}
        assert outbox.empty

    def test_a_resumed_run_does_not_count_as_complete(self, tmp_path):
        entries = events_of([started(), trial_started(0), trial_ended(0, "cancelled"), resumed(0, 1, 0)])
        run = run_id(SWEEP, "t0000")
        state = MirrorState(server="http://a", runs={run: SentRun(name="t0000", seq=2, closed=True)})
        state.save(RunFolder(tmp_path), "wandb")
        outbox, messages = outbox_in(tmp_path)
        for event in entries[:3]:
            outbox.take(event)
        assert outbox.state.runs[run].closed
        outbox.take(entries[3])
        assert not outbox.state.runs[run].closed
        assert messages == []


def outbox_in(folder, **attributes):
    """Return an outbox whose connection only notes its messages, and the list of them."""
    messages = []

    class Noted:
        url, warnings, note = None, {}, None

        def open(self, opening, *, closes):
            return -1

        def send(self, run, sent):
            messages.extend(sent)

        def finish(self, run, close):
            pass

    sink = WandbSink()
    vars(sink).update(attributes)
    return Outbox(RunFolder(folder), sink, "http://a", lambda planner: Noted()), messages


class TestTail:
    def test_an_incomplete_line_is_left_for_later(self, tmp_path):
        path = tmp_path / "ledger.jsonl"
        first, second = (event.line(event.seq).decode() for event in events_of([started(), END]))
        path.write_text(first + second[:7])
        tail = Tail(path)
        assert [event.seq for event in tail.read()] == [0]
        assert list(tail.read()) == []
        path.write_text(first + second)
        assert [event.seq for event in tail.read()] == [1]
        assert list(tail.read()) == []

    @pytest.mark.parametrize(("line", "match"), [("nonsense\n", "damaged"), ('{"v": 99}\n', "newer yolosweep")])
    def test_a_line_that_cannot_be_read_is_refused(self, tmp_path, line, match):
        path = tmp_path / "ledger.jsonl"
        path.write_text(line)
        with pytest.raises(RunFolderError, match=match):
            list(Tail(path).read())


class TestState:
    def test_it_is_read_for_the_same_sink_and_server_only(self, tmp_path):
        folder = RunFolder(tmp_path)
        state = MirrorState(server="http://a", runs={"ys1": SentRun(name="t0000", seq=7, step=3, closed=True)})
        state.save(folder, "wandb")
        assert MirrorState.load(folder, "wandb", "http://a").runs == state.runs
        assert MirrorState.load(folder, "wandb", "http://b").runs == {}
        assert MirrorState.load(folder, "csv", "http://a").runs == {}

    def test_the_file_of_an_earlier_version_is_read(self, tmp_path):
        """As version 0.1 wrote it."""
        folder = RunFolder(tmp_path)
        folder.mirror("x").parent.mkdir()
        folder.mirror("wandb.json").write_text(
            '{"server": "http://a", "runs": {"ys0123456789abcdef01": {"name": "t0000", "seq": 7, "step": 3, '
            '"closed": true}}, "complete": true, "url": "http://a/p", "last_error": null, '
            '"at": "2026-01-01T12:00:00+00:00"}'
        )
        state = MirrorState.load(folder, "wandb", "http://a")
        assert state.runs == {"ys0123456789abcdef01": SentRun(name="t0000", seq=7, step=3, closed=True)}
        assert (state.complete, state.url) == (True, "http://a/p")
        assert run_id(SWEEP, "t0000") == "ys59d6f8f2952b061892", "ids never change"

    def test_a_damaged_file_is_an_empty_state(self, tmp_path):
        folder = RunFolder(tmp_path)
        folder.mirror("x").parent.mkdir()
        folder.mirror("wandb.json").write_text("{half")
        assert MirrorState.load(folder, "wandb", "http://a").runs == {}


@pytest.mark.slow
def test_a_sent_sweep_is_pushed_again_without_wandb(tmp_path):
    """Nothing to send: the process ends without the SDK, and without a server."""
    folder = RunFolder.create(tmp_path, "cars")
    ledger = Ledger(folder)
    events = [ledger.append(event) for event in events_of([started(), trial_started(0), trial_ended(0), END])]
    ledger.close()
    sent = {message.run: SentRun(name="", seq=message.seq, closed=True) for message in plan(events)}
    MirrorState(server="http://127.0.0.1:9", runs=sent).save(folder, "wandb")
    code = (
        "import sys; sys.modules['wandb'] = None; sys.argv = ['x', sys.argv[1], '--sink', 'wandb']\n"
        "from yolosweep.tracking.__main__ import main; sys.exit(main())"
    )
    environ = {"WANDB_BASE_URL": "http://127.0.0.1:9", "HOME": str(tmp_path), "TMPDIR": str(tmp_path)}
    environ |= {name: os.environ[name] for name in ("PYTHONPATH",) if name in os.environ}
    done = subprocess.run([sys.executable, "-c", code, str(folder.root)], env=environ, capture_output=True, text=True)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    assert MirrorState.load(folder, "wandb", "http://127.0.0.1:9").complete


@pytest.mark.slow
def test_importing_the_package_imports_no_wandb():
    code = "import sys, yolosweep.tracking; sys.exit('wandb' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0


def test_the_winner_is_sent_at_once():
    entries = [started(), trial_started(0), trial_ended(0), winner(0)]
    (summary,) = of_type(Summary, plan(events_of(entries)))
    assert summary.values == {
        "winner": "t0000", "winner_score": 0.5, "verdict": "undecided", "ties": 0,
        "verdict_text": "No trial has a score yet.", "winner/lr0": 0.01,
    }  # fmt: skip


@pytest.mark.slow
def test_two_mirrors_of_one_run_do_not_mix(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    folder = RunFolder.create(tmp_path, "cars")
    Ledger(folder).close()
    folder.mirror("x").parent.mkdir()
    with FileLock(folder.mirror(".wandb.lock")):
        result = _spawn(folder, "wandb", "--wait", "0").finish(timeout_s=60)
    assert (result.complete, result.runs) == (False, 0)
    assert "another process" in result.warning


def test_push_without_a_key_is_refused(tmp_path, monkeypatch):
    for name in [name for name in os.environ if name.startswith("WANDB_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("NETRC", str(tmp_path / "none"))
    folder = RunFolder.create(tmp_path, "cars")
    with pytest.raises(RunFolderError, match="not a run folder"):
        push(folder, "wandb")
    Ledger(folder).close()
    with pytest.raises(UsageError, match="wandb login"):
        push(folder, "wandb")


def test_a_users_settings_for_trainings_do_not_reach_the_mirror(tmp_path, monkeypatch):
    monkeypatch.setattr(tempfile, "tempdir", None)
    environ = {"WANDB_RUN_ID": "mine", "WANDB_SWEEP_ID": "s", "WANDB_API_KEY": CANARY, "WANDB_BASE_URL": "u", "X": "y"}
    isolate(environ, tmp_path)
    assert not {"WANDB_RUN_ID", "WANDB_SWEEP_ID"} & set(environ)
    assert {"WANDB_API_KEY", "WANDB_BASE_URL", "X"} <= set(environ)
    assert environ["WANDB_DIR"] == str(tmp_path)


def test_push_goes_to_the_sinks_of_the_experiment_or_the_default_one(tmp_path):
    folder = RunFolder.create(tmp_path, "cars")
    ledger = Ledger(folder)
    assert sinks_of(folder) == ("wandb",)
    ledger.append(*events_of([started(tags=["a"])]))
    ledger.close()
    assert sinks_of(folder) == ("wandb",)


HANGS = """
import signal, subprocess, sys, time
signal.signal(signal.SIGTERM, signal.SIG_IGN)
child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
print(child.pid, flush=True)
time.sleep(600)
"""


@pytest.mark.slow
def test_the_end_waits_for_all_trackers_together_and_leaves_none_of_their_processes(tmp_path):
    """A client library that hangs, and whose processes do not answer a signal."""
    folder = RunFolder.create(tmp_path, "hangs")
    hanging = [
        subprocess.Popen([sys.executable, "-c", HANGS], stdout=subprocess.PIPE, start_new_session=True) for _ in "ab"
    ]
    family = [psutil.Process(int(process.stdout.readline())) for process in hanging]
    for process in hanging:
        process.stdout.close()
    begun = time.monotonic()
    results = finish_all([Mirror(folder, SINKS["wandb"], process) for process in hanging], timeout_s=0.5)
    assert time.monotonic() - begun < 10
    for result in results:
        assert result.complete is False
        assert result.warning.startswith("W&B: not everything arrived in time")
        assert f"`yolosweep track push {folder.root}`" in result.warning
    assert [process.returncode for process in hanging] == [-signal.SIGKILL] * 2
    assert not psutil.wait_procs(family, timeout=10)[1]


class HangingSink(WandbSink):
    """A sink whose client library never returns."""

    def connect(self, destination):
        time.sleep(600)


def test_a_mirror_of_a_dead_driver_does_not_hang_for_ever(tmp_path):
    folder = RunFolder.create(tmp_path, "orphan")
    ledger = Ledger(folder)
    for event in events_of([started(), trial_started(0)]):
        ledger.append(event)
    ledger.close()
    folder.mirror("x").parent.mkdir()
    gone = subprocess.Popen([sys.executable, "-c", ""])
    gone.wait()
    code = supervise(folder, HangingSink(), follow=True, parent=gone.pid, limits=Limits(poll_s=0.05, orphaned_s=0.2))
    assert code != 0
    assert not psutil.Process().children()
