"""A sweep read back from its ledger."""

from __future__ import annotations

import itertools
import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from yolosweep.errors import RunFolderError
from yolosweep.ledger import Ledger, RunFolder, read_events
from yolosweep.ledger.history import History
from yolosweep.records import Ending, EpochResult, TrialRecord, TrialRequest
from yolosweep.records.events import Event, UnknownEvent, event_of_json

DATASET = {
    "task": "detect", "source": "/d", "train_on": "/d", "names": {"0": "car"}, "images": {"train": 1, "val": 1},
    "fingerprint": "f",
}  # fmt: skip
WINNER = {
    "score": 0.5, "metric": "score", "validations": {}, "settings": {}, "identity": "i", "model": "m.pt",
    "data_fingerprint": "f", "file": {"path": "winner/best.pt", "sha256": "0", "size": 1},
}  # fmt: skip


def request(number: int) -> TrialRequest:
    return TrialRequest(
        sweep="demo", trial=f"t{number:04}", number=number, task="detect", model="m.pt", data="d.yaml",
        settings={"epochs": 3}, asked={"lr0": 0.1}, identity=f"id{number}", metric="score", folder="/runs",
    )  # fmt: skip


def row(epoch: int, best: float | None) -> EpochResult:
    return EpochResult(
        epoch=epoch, metrics={"score": best}, score=best, best_score=best, best_epoch=1, epochs_without_gain=0,
        seconds=1.0, images_per_s=10.0,
    )  # fmt: skip


def record(number: int, ending: Ending) -> TrialRecord:
    return TrialRecord(trial=f"t{number:04}", number=number, ending=ending, reason="r", asked={}, used={})


def sweep(mode: str = "max") -> list[tuple[str, dict[str, Any]]]:
    """Events of a small sweep: ties, a trial without a row, one without a score, one still running."""
    experiment = {"search": {"metric": "score", "mode": mode}}
    told: list[tuple[str, dict[str, Any]]] = [
        ("sweep_started", {"sweep": "demo", "experiment": experiment, "dataset": DATASET})
    ]
    curves: dict[int, list[float | None]] = {0: [0.1, 0.3], 1: [0.5, 0.5], 2: [], 3: [None], 4: [0.5], 5: [0.2]}
    for number, scores in curves.items():
        told.append(("trial_started", {"request": request(number).model_dump(mode="json")}))
        for epoch, score in enumerate(scores, 1):
            told.append(("row", {"trial": f"t{number:04}", "row": row(epoch, score).model_dump(mode="json")}))
        if number != 5:
            ending = Ending.FAILED if number == 2 else Ending.FINISHED
            told.append(("trial_ended", {"record": record(number, ending).model_dump(mode="json")}))
    told += [
        ("note", {"text": "n"}),
        ("checkpoints_dropped", {"trial": "t0000"}),
        ("a_kind_of_a_later_version", {"trial": "t0000"}),
        ("winner", {"trial": "t0001", **WINNER}),
        ("sweep_ended", {"reason": "done"}),
    ]
    return told


def lines(mode: str = "max") -> list[str]:
    return [
        json.dumps({"v": 1, "seq": seq, "at": f"2030-01-01T00:00:{seq:02}.000+00:00", "event": kind, **payload})
        for seq, (kind, payload) in enumerate(sweep(mode))
    ]


def events(mode: str = "max") -> list[Event]:
    return [event_of_json(line.encode()) for line in lines(mode)]


@given(cuts=st.lists(st.integers(0, len(events())), max_size=5))
@pytest.mark.slow
def test_folding_in_pieces_is_folding_at_once(cuts: list[int]) -> None:
    whole = History()
    whole.extend(events())
    pieces = History()
    bounds = [0, *sorted(cuts), len(events())]
    for start, end in itertools.pairwise(bounds):
        pieces.extend(events()[start:end])
    assert pieces == whole


def test_what_is_known_of_a_sweep(tmp_path: Path) -> None:
    run = RunFolder(tmp_path)
    run.ledger.write_text("".join(f"{line}\n" for line in lines()))
    history = History.of(run)
    assert (history.sweep, history.metric, history.mode) == ("demo", "score", "max")
    assert history.seq == len(list(read_events(run.ledger))) - 1
    assert history.baseline is history.trials["t0000"]
    assert [trial.status for trial in history.trials.values()] == [
        "finished", "finished", "failed", "finished", "finished", "running",
    ]  # fmt: skip
    assert [trial.score for trial in history.trials.values()] == [0.3, 0.5, None, None, 0.5, 0.2]
    assert [trial.dropped for trial in history.trials.values()] == [True, False, False, False, False, False]
    assert history.winner is not None
    assert history.winner.trial == "t0001"
    assert history.ended is not None
    assert [note.text for note in history.notes] == ["n"]


@pytest.mark.parametrize(
    ("mode", "order"), [("max", ["t0001", "t0004", "t0000", "t0005"]), ("min", ["t0005", "t0000", "t0001", "t0004"])]
)
def test_ranking_leaves_out_what_has_no_score_and_gives_ties_to_the_earlier(mode: str, order: list[str]) -> None:
    history = History()
    history.extend(events(mode))
    assert [trial.request.trial for trial in history.ranked()] == order


def test_an_empty_sweep_has_nothing() -> None:
    history = History()
    history.extend(events()[:1])
    assert history.baseline is None
    assert history.ranked() == []
    assert history.ended is None


def test_a_ledger_without_a_sweep_is_refused(tmp_path: Path) -> None:
    run = RunFolder(tmp_path)
    Ledger(run).close()
    with pytest.raises(RunFolderError, match="holds no sweep"):
        History.of(run)


def test_a_ledger_recorded_by_version_0_1_is_read_to_the_same_values(repository: Path) -> None:
    """Schema 1 as it was written before events had classes."""
    recorded = repository / "tests" / "fixtures" / "run_v1" / "ledger.jsonl"
    read = list(read_events(recorded))
    lines = [json.loads(line) for line in recorded.read_text().splitlines()]
    assert [event.event for event in read] == [line["event"] for line in lines]
    assert not [event for event in read if isinstance(event, UnknownEvent)]
    history = History()
    history.extend(read)
    assert [(trial.status, len(trial.rows)) for trial in history.trials.values()] == [
        ("finished", 6), ("pruned", 2), ("finished", 6),
    ]  # fmt: skip
    assert history.winner is not None
    assert history.winner.winner.validations.keys() == {"val", "test"}
    for event, written in zip(read, lines, strict=True):  # nothing that was written is lost
        again = json.loads(event.line(event.seq))
        kept = {key: value for key, value in written.items() if key not in ("at", "wandb")}
        assert _as_written(again, kept) == kept
    written = {**lines[-2], "wandb": "https://w/p"}
    assert written["event"] == "winner"
    assert event_of_json(json.dumps(written).encode()).pages == {"W&B": "https://w/p"}


def _as_written(value: Any, written: Any) -> Any:
    """Return a value without the keys that later versions added."""
    if isinstance(value, dict) and isinstance(written, dict):
        return {key: _as_written(value[key], written[key]) for key in written}
    return value
