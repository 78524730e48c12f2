"""Runs in an object storage: addresses, objects, the segments of a ledger, the hold.

A folder behind pyarrow's own file system stands for the bucket where neither the protocol nor its faults are the point.
"""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from yolosweep.errors import RunFolderError
from yolosweep.ledger import Ledger, RunFolder, read_events, runs_below
from yolosweep.records import FileRef
from yolosweep.search.checkpoint_retention import forget
from yolosweep.storage import Objects, lease, outages, patience, segments
from yolosweep.storage.addresses import address_fault
from yolosweep.storage.atomic_files import sha256_of


@pytest.fixture(autouse=True)
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setattr(lease, "_SETTLE_S", 0.0)
    return tmp_path / "cache"


def another_machine(monkeypatch: pytest.MonkeyPatch, place: Path) -> None:
    """Look at the storage from a machine with nothing in its cache."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(place))


@pytest.mark.parametrize(
    "address",
    [
        "s3://bucket/sweeps",
        "s3://bucket?endpoint_override=127.0.0.1:9&scheme=http&region=eu-west-1",
        "gs://bucket/a/b",
        "abfs://container@account.dfs.core.windows.net/sweeps",
        "abfss://container@account.dfs.core.windows.net/sweeps?enable_tls=true",
        "file:///mnt/sweeps",
    ],
)
def test_an_address_of_a_storage_is_taken(address: str) -> None:
    assert address_fault(address) is None


@pytest.mark.parametrize(
    ("address", "told"),
    [
        ("s3://me:canary@bucket/x", "into the environment"),
        ("s3://me@bucket/x", "into the environment"),
        ("s3://bucket/x?access_key=canary", "into the environment"),
        ("s3://bucket/x?session_token=canary", "into the environment"),
        ("abfs://container:canary@account/x", "into the environment"),
        ("https://bucket/x", "s3://bucket/sweeps"),
        ("ftp://bucket/x", "s3://bucket/sweeps"),
        ("s3:///x", "names no bucket"),
    ],
)
def test_an_address_that_cannot_hold_runs_is_refused_with_the_way_out(address: str, told: str) -> None:
    with pytest.raises(RunFolderError, match=told) as refused:
        RunFolder(f"{address}")
    assert "canary" not in str(refused.value)


@pytest.fixture(params=["folder", pytest.param("s3", marks=pytest.mark.slow)])
def storage(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """Address of an empty storage: a folder, and a bucket of a real S3 server."""
    if request.param == "folder":
        return (tmp_path / "bucket" / "sweeps").as_uri()
    address: str = request.getfixturevalue("empty_bucket")()
    return address


def test_objects_come_back_as_they_were_put(storage: str, tmp_path: Path) -> None:
    objects = Objects(storage)
    assert objects.get("a/b") is None
    assert not objects.fetch("a/b", tmp_path / "b")
    assert objects.stored() == []
    objects.put("a/b", b"one")
    objects.put("a/b", b"two!")
    (tmp_path / "big").write_bytes(os.urandom(9 << 20))
    objects.put("c", tmp_path / "big")
    assert objects.get("a/b") == b"two!"
    assert objects.fetch("c", tmp_path / "deep" / "again")
    assert sha256_of(tmp_path / "deep" / "again") == sha256_of(tmp_path / "big")
    assert [(one.name, one.size) for one in objects.stored()] == [("a/b", 4), ("c", 9 << 20)]
    assert [one.name for one in objects.stored("a")] == ["a/b"]
    assert objects.folders() == ["a"]
    assert objects.time_ns("none") is None
    assert objects.time_ns("c") == objects.stored()[1].time_ns
    objects.delete("a/b")
    objects.delete("a/b")
    assert [one.name for one in objects.stored()] == ["c"]


def test_a_run_is_read_from_its_address_alone(storage: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run = RunFolder.create(storage, "toy")
    assert run.address.startswith(storage.partition("?")[0] + "/toy-")
    with run.held():
        ledger = Ledger(run)
        written = [ledger.append("note", text="ä"), ledger.append("note", text="b")]
        ledger.close()
        kept = run.publish(b"weights", run.trial("t0000") / "best.pt")
        gone = run.publish(b"state", run.checkpoint("t0000", "a00-e0001.state"))
        other = run.publish(b"state", run.checkpoint("t0001", "a00-e0001.state"))
        run.remove(gone)
    another_machine(monkeypatch, tmp_path / "other")
    there = RunFolder.open(run.address)
    assert there.root != run.root
    assert list(read_events(there.ledger)) == written
    assert there.resolve(kept).read_bytes() == b"weights"
    assert not there.resolve(gone).exists()
    assert there.files_in(there.checkpoint("t0001", "x").parent) == [there.root / other.path]
    there.remove_below([there.checkpoint(name, "x").parent for name in ("t0000", "t0001")])
    assert not there.resolve(other).exists()
    assert [found.address for found in runs_below(storage)] == [run.address]
    with pytest.raises(RunFolderError, match="outside"):
        there.resolve(FileRef(path="../x", sha256="", size=0))


def test_a_file_that_changed_here_is_fetched_again(tmp_path: Path) -> None:
    run = RunFolder.create((tmp_path / "bucket").as_uri(), "toy")
    reference = run.publish(b"weights", run.trial("t0000") / "best.pt")
    run.resolve(reference).write_bytes(b"of another attempt")
    assert run.resolve(reference).read_bytes() == b"weights"


def test_checkpoints_forgotten_here_come_back_from_the_storage(tmp_path: Path) -> None:
    bucket, local = RunFolder.create((tmp_path / "bucket").as_uri(), "toy"), RunFolder(tmp_path / "run")
    for run in (bucket, local):
        stored = run.publish(b"state", run.checkpoint("t0000", "a00-e0001.state"))
        forget(run, "t0000")
        assert run.checkpoint("t0000", "a00-e0001.state").exists() == (run is local)
        assert run.resolve(stored).read_bytes() == b"state"


@pytest.mark.slow
def test_a_wrong_bucket_is_told_at_once(empty_bucket: Any) -> None:
    address = empty_bucket()
    bucket = address.partition("://")[2].partition("/")[0]
    with pytest.raises(RunFolderError, match=r"NO_SUCH_BUCKET.*check the address, that the bucket exists"):
        RunFolder.create(address.replace(bucket, "not-there"), "toy")


def test_an_outage_is_ridden_out_and_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(patience, "_FIRST_WAIT_S", 0.001)
    answers = iter([OSError("no route"), OSError("no route"), 7])

    def call() -> int:
        answer = next(answers)
        if isinstance(answer, OSError):
            raise answer
        return answer

    outages()
    assert patience.patiently(call, "s3://b/x") == 7
    assert [told.startswith("the storage did not answer for") for told in outages()] == [True]
    assert outages() == ()


class Clock:
    """Time that passes only where somebody sleeps."""

    def __init__(self) -> None:
        self.now = 0.0

    def monotonic(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.now += seconds


@given(lasts_s=st.floats(0.0, 400.0))
def test_an_outage_of_minutes_is_waited_out(lasts_s: float) -> None:
    clock = Clock()

    def call() -> str:
        if clock.now < lasts_s:
            raise OSError("no route")
        return "stored"

    outages()
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(patience, "time", clock)
        if lasts_s > patience._PATIENCE_S:
            with pytest.raises(RunFolderError, match=r"cannot be used, for 300 s \(no route\)"):
                patience.patiently(call, "s3://b/x")
            return
        assert patience.patiently(call, "s3://b/x") == "stored"
    assert clock.now < lasts_s + patience._LONGEST_WAIT_S  # it is found again soon after
    assert len(outages()) == (lasts_s > 0)


def test_an_outage_without_end_is_refused_with_its_cause(monkeypatch: pytest.MonkeyPatch) -> None:
    def call() -> None:
        raise OSError("AWS Error ACCESS_DENIED")

    monkeypatch.setattr(patience, "_FIRST_WAIT_S", 0.001)
    with pytest.raises(RunFolderError, match=r"s3://b/x cannot be used, for .*ACCESS_DENIED.*credentials"):
        patience.patiently(call, "s3://b/x", patience_s=0.05)


class Crash(BaseException):
    """Power goes: nothing after this line ran."""


def crashing(run: RunFolder, at: int, landed: bool) -> None:
    """Let the process die in the ``at``-th put, before or after the storage has taken it."""
    assert run.objects is not None
    real, count = run.objects.put, iter(range(10_000))

    def put(name: str, content: bytes | Path) -> None:
        if next(count) == at:
            if landed:
                real(name, content)
            raise Crash
        real(name, content)

    run.objects.put = put  # type: ignore[method-assign]


@given(
    lives=st.lists(
        st.tuples(st.integers(0, 9), st.booleans(), st.lists(st.integers(0, 150), max_size=8)), min_size=1, max_size=4
    )
)
@settings(max_examples=40, deadline=None)
def test_all_acknowledged_lines_are_read_back_wherever_it_crashed(lives: list[tuple[int, bool, list[int]]]) -> None:
    with tempfile.TemporaryDirectory() as place, pytest.MonkeyPatch.context() as patch:
        patch.setattr(segments, "_FULL", 200)
        address = (Path(place) / "bucket" / "run").as_uri()
        acknowledged: list[dict[str, Any]] = []
        for number, (at, landed, lines) in enumerate(lives):
            patch.setenv("XDG_CACHE_HOME", f"{place}/machine{number % 2}")
            run = RunFolder(address)
            run.root.mkdir(parents=True, exist_ok=True)
            crashing(run, at, landed)
            ledger = Ledger(run)
            before = list(read_events(run.ledger))
            assert before[: len(acknowledged)] == acknowledged
            assert len(before) <= len(acknowledged) + 1, "only the line in flight may have come through"
            acknowledged = before
            try:
                for size in lines:
                    acknowledged.append(ledger.append("note", text="x" * size))
            except Crash:
                ledger._stream.close()
                ledger._lock.release()
            else:
                ledger.close()
        shutil.rmtree(f"{place}/machine0", ignore_errors=True)
        shutil.rmtree(f"{place}/machine1", ignore_errors=True)
        if acknowledged:
            assert list(read_events(RunFolder.open(address).ledger))[: len(acknowledged)] == acknowledged
            stored = [one.size for one in Objects(address).stored("ledger")]
            assert all(size >= 200 for size in stored[:-1])


def test_a_refused_line_is_not_in_the_ledger_and_the_next_takes_its_place(tmp_path: Path) -> None:
    run = RunFolder.create((tmp_path / "bucket").as_uri(), "toy")
    ledger = Ledger(run)
    first = ledger.append("note", text="first")
    assert run.objects is not None
    real = run.objects.put

    def down(name: str, content: bytes | Path) -> None:
        raise RunFolderError("the storage is down")

    run.objects.put = down  # type: ignore[method-assign]
    with pytest.raises(RunFolderError, match="is down"):
        ledger.append("note", text="lost")
    run.objects.put = real  # type: ignore[method-assign]
    second = ledger.append("note", text="second")
    ledger.close()
    assert second["seq"] == 1
    assert list(read_events(RunFolder.open(run.address).ledger)) == [first, second]


def test_a_missing_segment_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(segments, "_FULL", 10)
    run = RunFolder.create((tmp_path / "bucket").as_uri(), "toy")
    ledger = Ledger(run)
    for number in range(3):
        ledger.append("note", text=str(number))
    ledger.close()
    Objects(run.address).delete("ledger/00000001.jsonl")
    with pytest.raises(RunFolderError, match=r"00000001.jsonl of the ledger is missing; restore"):
        RunFolder.open(run.address)


@pytest.fixture
def run(tmp_path: Path) -> Iterator[RunFolder]:
    """A run that this machine holds."""
    run = RunFolder.create((tmp_path / "bucket").as_uri(), "toy")
    with run.held():
        yield run


def age_hold(tmp_path: Path, run: RunFolder, seconds: float) -> None:
    """Make the holder's last renewal older by the storage's own clock."""
    owner = tmp_path / "bucket" / run.root.name / "owner.json"
    then = owner.stat().st_mtime - seconds
    os.utime(owner, (then, then))


def test_a_run_held_elsewhere_is_refused_until_its_hold_is_stale(
    run: RunFolder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ledger = Ledger(run)
    first = ledger.append("note", text="mine")
    another_machine(monkeypatch, tmp_path / "other")
    there = RunFolder.open(run.address)
    age_hold(tmp_path, run, 50)
    with pytest.raises(RunFolderError, match=rf"in use by process {os.getpid()} on .*free in \d+ s"), there.held():
        pass
    age_hold(tmp_path, run, 61)
    with there.held():
        theirs = Ledger(there)
        second = theirs.append("note", text="theirs")
        with pytest.raises(RunFolderError, match="was taken over by process"):
            ledger.append("note", text="mine again")
        theirs.close()
    ledger.close()
    assert list(read_events(RunFolder.open(run.address).ledger)) == [first, second]


def test_a_hold_is_renewed_and_given_back(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, wait_for: Any) -> None:
    monkeypatch.setattr(lease, "_RENEW_S", 0.02)
    run = RunFolder.create((tmp_path / "bucket").as_uri(), "toy")
    with run.held():
        age_hold(tmp_path, run, 1000)
        owner = tmp_path / "bucket" / run.root.name / "owner.json"
        old = owner.stat().st_mtime
        wait_for(lambda: owner.exists() and owner.stat().st_mtime > old + 500)
    assert not owner.exists()
    with RunFolder(run.address).held():
        pass


def test_a_dead_holder_of_the_same_folder_is_taken_over_at_once(tmp_path: Path) -> None:
    run = RunFolder.create((tmp_path / "bucket").as_uri(), "toy")
    held = run.held()
    held.__enter__()
    owner, content = run.owner, run.owner.read_bytes()
    stored = Objects(run.address).get("owner.json")
    assert stored is not None
    held.__exit__(None, None, None)
    owner.write_bytes(content)  # as a process that was killed leaves it
    Objects(run.address).put("owner.json", stored)
    with run.held():
        assert run.owner.read_bytes() != content
