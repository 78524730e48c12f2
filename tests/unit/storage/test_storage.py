"""Runs in an object storage: objects, the segments of a ledger, the hold.

A folder behind ``file://`` stands for the bucket where neither the protocol nor its faults are the point.
"""

from __future__ import annotations

import contextlib
import errno
import http.server
import os
import shutil
import tempfile
import threading
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from yolosweep.errors import RunFolderError
from yolosweep.ledger import Ledger, RunFolder, read_events, runs_below
from yolosweep.records import FileRef
from yolosweep.records.events import Note
from yolosweep.search.checkpoint_retention import forget
from yolosweep.storage import Address, Objects, Segments, outage_retry, outages, pull
from yolosweep.storage.atomic_files import sha256_of
from yolosweep.storage.backend import Backend, Version
from yolosweep.storage.bucket import Bucket, _region, _shared_credentials
from yolosweep.storage.lease import Lease
from yolosweep.storage.local_folder import Local
from yolosweep.storage.outage_retry import Conflict, Refused


@pytest.fixture(autouse=True)
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return tmp_path / "cache"


def another_machine(monkeypatch: pytest.MonkeyPatch, place: Path) -> None:
    """Look at the storage from a machine with nothing in its cache."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(place))


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
    assert objects.head("none") is None
    assert objects.head("c") == objects.stored()[1]
    assert b"".join(objects.stream("c", 5)) == (tmp_path / "big").read_bytes()[5:]
    objects.delete("a/b")
    objects.delete("a/b")
    assert [one.name for one in objects.stored()] == ["c"]


def test_a_run_is_read_from_its_address_alone(storage: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run = RunFolder.create(storage, "toy")
    assert run.address.startswith(storage.partition("?")[0] + "/toy-")
    with run.held():
        ledger = Ledger(run)
        written = [ledger.append(Note(text="ä")), ledger.append(Note(text="b"))]
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
    with pytest.raises(
        RunFolderError, match=r"\(404 Not Found, NoSuchBucket\); check the address, that the bucket exists"
    ):
        RunFolder.create(address.replace(bucket, "not-there"), "toy")


def test_an_outage_is_waited_out_and_told() -> None:
    answers = iter([OSError("no route"), OSError("no route"), 7])

    def call() -> int:
        answer = next(answers)
        if isinstance(answer, OSError):
            raise answer
        return answer

    outages()
    assert outage_retry.retrying(call, "storage: s3://b/x", first_wait_s=0.001) == 7
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
        patched.setattr(outage_retry, "time", clock)
        if lasts_s > outage_retry._WAIT_S:
            with pytest.raises(RunFolderError, match=r"cannot be used, for 300 s \(no route\)"):
                outage_retry.retrying(call, "storage: s3://b/x")
            return
        assert outage_retry.retrying(call, "storage: s3://b/x") == "stored"
    assert clock.now < lasts_s + 15.0  # it is found again soon after
    assert len(outages()) == (lasts_s > 0)


def test_an_outage_without_end_is_refused_with_its_cause() -> None:
    def call() -> None:
        raise OSError("no route to host")

    with pytest.raises(RunFolderError, match=r"s3://b/x cannot be used, for .*no route to host.*credentials"):
        outage_retry.retrying(call, "storage: s3://b/x", wait_s=0.05, first_wait_s=0.001)


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EACCES])
def test_a_disk_of_this_machine_that_is_full_is_not_waited_for(number: int) -> None:
    clock = Clock()

    def call() -> None:
        raise OSError(number, os.strerror(number))

    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(outage_retry, "time", clock)
        with pytest.raises(OSError, match=os.strerror(number)):
            outage_retry.retrying(call, "storage: s3://b/x")
    assert clock.now == 0.0


class Crash(BaseException):
    """Power goes: nothing after this line ran."""


def crashing(run: RunFolder, at: int, landed: bool) -> None:
    """Let the process die in the ``at``-th write, before or after the storage has taken it."""
    assert run.objects is not None
    real, count = run.objects.put_if, iter(range(10_000))

    def put_if(name: str, content: bytes, version: Version | None) -> Version:
        if next(count) == at:
            if landed:
                real(name, content, version)
            raise Crash
        return real(name, content, version)

    run.objects.put_if = put_if  # type: ignore[method-assign]


SEGMENT = 200


@pytest.fixture
def short_segments() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(Segments.__init__.__kwdefaults__, "full", SEGMENT)
        yield


@given(
    lives=st.lists(
        st.tuples(st.integers(0, 9), st.booleans(), st.lists(st.integers(0, 150), max_size=8)), min_size=1, max_size=4
    )
)
@settings(max_examples=40, deadline=None)
@pytest.mark.slow
def test_all_acknowledged_lines_are_read_back_wherever_it_crashed(lives: list[tuple[int, bool, list[int]]]) -> None:
    with tempfile.TemporaryDirectory() as place, pytest.MonkeyPatch.context() as patch:
        patch.setitem(Segments.__init__.__kwdefaults__, "full", SEGMENT)
        address = (Path(place) / "bucket" / "run").as_uri()
        acknowledged: list[dict[str, Any]] = []
        for number, (at, landed, lines) in enumerate(lives):
            patch.setenv("XDG_CACHE_HOME", f"{place}/machine{number % 2}")
            run = RunFolder(address)
            run.root.mkdir(parents=True, exist_ok=True)
            crashing(run, at, landed)
            try:
                ledger = Ledger(run)
            except Crash:
                continue
            before = list(read_events(run.ledger))
            assert before[: len(acknowledged)] == acknowledged
            assert len(before) <= len(acknowledged) + 1, "only the line in flight may have come through"
            acknowledged = before
            try:
                for size in lines:
                    acknowledged.append(ledger.append(Note(text="x" * size)))
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
            assert all(size >= SEGMENT for size in stored[:-1])


@pytest.mark.parametrize("arrives", [False, True])
def test_a_refused_line_is_not_in_the_ledger_and_the_next_takes_its_place(tmp_path: Path, arrives: bool) -> None:
    run = RunFolder.create((tmp_path / "bucket").as_uri(), "toy")
    ledger = Ledger(run)
    first = ledger.append(Note(text="first"))
    assert run.objects is not None
    real = run.objects.put_if

    def down(name: str, content: bytes, version: Version | None) -> Version:
        if arrives:
            real(name, content, version)
        raise RunFolderError("the storage is down")

    run.objects.put_if = down  # type: ignore[method-assign]
    with pytest.raises(RunFolderError, match="is down"):
        ledger.append(Note(text="lost"))
    run.objects.put_if = real  # type: ignore[method-assign]
    second = ledger.append(Note(text="second"))
    ledger.close()
    assert second.seq == 1
    assert list(read_events(RunFolder.open(run.address).ledger)) == [first, second]


def test_a_missing_segment_is_told(tmp_path: Path, short_segments: None) -> None:
    run = RunFolder.create((tmp_path / "bucket").as_uri(), "toy")
    ledger = Ledger(run)
    for number in range(3):
        ledger.append(Note(text=str(number) * SEGMENT))
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
    if run.address.startswith("s3://"):
        from moto.s3.models import s3_backends

        bucket, _, place = run.address.partition("?")[0].removeprefix("s3://").partition("/")
        held = s3_backends["123456789012"]["aws"].get_object(bucket, f"{place}/owner.json")
        assert held is not None
        held.last_modified -= timedelta(seconds=seconds)
        return
    owner = Path(run.address.removeprefix("file://")) / "owner.json"
    then = owner.stat().st_mtime - seconds
    os.utime(owner, (then, then))


def test_a_run_held_elsewhere_is_taken_over_once_its_hold_is_stale(
    run: RunFolder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ledger = Ledger(run)
    first = ledger.append(Note(text="mine"))
    another_machine(monkeypatch, tmp_path / "other")
    there = RunFolder.open(run.address)
    age_hold(tmp_path, run, 21)
    with there.held():
        theirs = Ledger(there)
        second = theirs.append(Note(text="theirs"))
        with pytest.raises(RunFolderError, match="was taken over by process"):
            ledger.append(Note(text="mine again"))
        theirs.close()
    ledger.close()
    assert list(read_events(RunFolder.open(run.address).ledger)) == [first, second]


ABOUT = {"pid": 7, "host": "head", "since": "today"}


@pytest.mark.slow
def test_a_hold_that_is_renewed_is_refused_at_its_next_renewal(storage: str) -> None:
    held = Lease(Objects(storage), ABOUT, renew_s=0.2)
    with pytest.raises(RunFolderError, match="in use by process 7 on head since today; wait for it or stop it"):
        Lease(Objects(storage), {}, stale_s=3600)
    held.release()


@pytest.mark.slow
def test_a_hold_that_is_not_renewed_is_waited_out(storage: str) -> None:
    dead = Lease(Objects(storage), ABOUT, renew_s=3600)
    taken = Lease(Objects(storage), {}, stale_s=1.5)
    assert not dead._renew_once()
    taken.release()


@pytest.mark.slow
def test_who_waits_for_a_hold_gets_it_when_it_is_released(storage: str) -> None:
    held = Lease(Objects(storage), ABOUT, renew_s=3600)
    waiting: list[Lease] = []
    thread = threading.Thread(target=lambda: waiting.append(Lease(Objects(storage), {}, stale_s=3600)))
    thread.start()
    held.release()
    thread.join(60)
    waiting[0].release()


def test_a_hold_is_renewed_and_given_back(tmp_path: Path, wait_for: Any) -> None:
    objects = Objects((tmp_path / "bucket" / "run").as_uri())
    held = Lease(objects, {}, renew_s=0.02)
    seen = objects.get("owner.json")
    wait_for(lambda: objects.get("owner.json") not in (seen, None))
    held.release()
    assert objects.get("owner.json") is None
    Lease(objects, {}).release()


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


@pytest.mark.slow
def test_of_many_that_begin_at_once_one_holds_the_run(storage: str) -> None:
    answers: list[Lease | RunFolderError] = []

    def begin() -> None:
        try:
            answers.append(Lease(Objects(Address.parse(storage).join("run")), {}, renew_s=0.2))
        except RunFolderError as error:
            answers.append(error)

    threads = [threading.Thread(target=begin) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    held = [answer for answer in answers if isinstance(answer, Lease)]
    assert len(held) == 1
    assert all("is in use by" in str(answer) for answer in answers if isinstance(answer, RunFolderError))
    held[0].release()


def test_a_late_renewal_does_not_take_the_hold_back(storage: str, wait_for: Any) -> None:
    objects = Objects(storage)
    late = Lease(objects, {"who": "first"}, renew_s=3600)
    theirs = Lease(objects, {"who": "second"}, gone=late.token)
    content = objects.get("owner.json")
    assert not late._renew_once()
    late.release()
    assert objects.get("owner.json") == content, "it was renewed or deleted by a holder that lost it"
    theirs.release()


def test_a_renewal_whose_answer_was_lost_keeps_the_hold(tmp_path: Path) -> None:
    objects = Objects(tmp_path.as_uri(), wait_s=0)
    held = Lease(objects, {}, renew_s=3600)
    faults = Faults(objects)
    faults.plan = ["lost"]
    with pytest.raises(RunFolderError):
        held._renew_once()
    assert held._renew_once()
    assert held._renew_once()
    held.release()


def test_a_storage_that_ignores_conditions_is_refused(tmp_path: Path) -> None:
    objects = Objects(tmp_path.as_uri())
    Faults(objects).ignore = True
    with pytest.raises(RunFolderError, match="ignores conditional writes"):
        Lease(objects, {})
    assert objects.get("owner.json") is None


class Faults:
    """Stands between objects and their backend, and disturbs writes as planned."""

    def __init__(self, objects: Objects) -> None:
        self._real: Backend = objects._backend
        self.plan: list[str] = []
        self.late: list[tuple[str, bytes, Version | None]] = []
        self.ignore = False
        self.down = threading.Event()
        self.before: Callable[[], None] | None = None
        objects.__dict__["_backend"] = self

    def __getattr__(self, name: str) -> Any:
        if self.down.is_set():
            raise OSError("network is unreachable")
        return getattr(self._real, name)

    def put_if(self, name: str, content: bytes, version: Version | None) -> Version:
        if self.before is not None:
            self.before()
        if self.down.is_set():
            raise OSError("network is unreachable")
        if self.ignore:
            self._real.put(name, content)
            return self._real.get(name)[1]
        fault = self.plan.pop(0) if self.plan else ""
        if fault == "late":
            self.late.append((name, content, version))
        elif fault != "never":
            done = self._real.put_if(name, content, version)
            if fault != "lost":
                return done
        raise OSError("timed out")

    def arrive(self) -> None:
        """Let what was on its way arrive now."""
        for name, content, version in self.late:
            with contextlib.suppress(Conflict):
                self._real.put_if(name, content, version)
        self.late.clear()


class TestBackend:
    """What every storage has to do."""

    @pytest.fixture(params=["file", pytest.param("s3", marks=pytest.mark.slow)])
    def backend(self, request: pytest.FixtureRequest, tmp_path: Path) -> Backend:
        if request.param == "file":
            return Local(tmp_path / "bucket")
        return Bucket(Address.parse(request.getfixturevalue("empty_bucket")()))

    def test_an_object_is_replaced_whole(self, backend: Backend, tmp_path: Path) -> None:
        backend.put("a b/ü.txt", b"first")
        (tmp_path / "file").write_bytes(b"second")
        backend.put("a b/ü.txt", tmp_path / "file")
        assert backend.get("a b/ü.txt")[0] == b"second"
        assert b"".join(backend.stream("a b/ü.txt", 3)) == b"ond"
        assert backend.head("a b/ü.txt").size == 6

    def test_a_missing_object_is_a_file_not_found(self, backend: Backend) -> None:
        for call in (backend.get, backend.head, lambda name: list(backend.stream(name))):
            with pytest.raises(FileNotFoundError):
                call("none")
        assert backend.stored("") == backend.folders() == []

    def test_of_two_that_create_one_does(self, backend: Backend) -> None:
        version = backend.put_if("a", b"1", None)
        with pytest.raises(Conflict):
            backend.put_if("a", b"2", None)
        assert backend.get("a") == (b"1", version)

    def test_a_write_on_another_version_is_refused(self, backend: Backend) -> None:
        first = backend.put_if("a", b"1", None)
        second = backend.put_if("a", b"2", first)
        assert second != first
        for version in (first, None):
            with pytest.raises(Conflict):
                backend.put_if("a", b"3", version)
        with pytest.raises(Conflict):
            backend.put_if("b", b"3", first)
        assert backend.get("a") == (b"2", second)
        backend.delete("a")
        with pytest.raises(Conflict):
            backend.put_if("a", b"3", second)

    def test_a_plain_write_changes_the_version(self, backend: Backend) -> None:
        first = backend.put_if("a", b"1", None)
        backend.put("a", b"2")
        with pytest.raises(Conflict):
            backend.put_if("a", b"3", first)

    def test_of_many_writers_on_one_version_one_succeeds(self, backend: Backend) -> None:
        version, done = backend.put_if("a", b"0", None), list[bytes]()

        def write(content: bytes) -> None:
            try:
                backend.put_if("a", content, version)
            except (Conflict, OSError):
                return
            done.append(content)

        threads = [threading.Thread(target=write, args=(b"%d" % number,)) for number in range(1, 9)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert [backend.get("a")[0]] == done

    def test_listings_are_relative_and_deep(self, backend: Backend) -> None:
        for name in ("x/1", "x/y/2", "xy/3", "4"):
            backend.put(name, b"-")
        assert sorted(one.name for one in backend.stored("")) == ["4", "x/1", "x/y/2", "xy/3"]
        assert sorted(one.name for one in backend.stored("x")) == ["x/1", "x/y/2"]
        assert sorted(backend.folders()) == ["x", "xy"]
        assert backend.stored("none") == []


def test_a_writer_suspended_while_it_holds_the_lock_keeps_others_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    mine, theirs = Local(tmp_path), Local(tmp_path, locked_s=0.05)
    version, go, inside = mine.put_if("a", b"0", None), threading.Event(), threading.Event()
    real = mine.put

    def suspended(name: str, content: bytes | Path) -> None:
        inside.set()
        go.wait(60)
        real(name, content)

    monkeypatch.setattr(mine, "put", suspended)
    thread = threading.Thread(target=mine.put_if, args=("a", b"mine", version))
    thread.start()
    inside.wait(60)
    with pytest.raises(OSError, match="lock"):
        theirs.put_if("a", b"theirs", version)
    go.set()
    thread.join()
    with pytest.raises(Conflict):
        theirs.put_if("a", b"theirs", version)
    assert theirs.get("a")[0] == b"mine"


@pytest.mark.parametrize("fault", ["outage", "suspended"])
def test_a_head_that_was_cut_off_cannot_overwrite_its_successor(
    storage: str, fault: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The write of the first head is between check and storage while another one takes over."""
    first, told = RunFolder.create(storage, "r"), list[str]()
    assert first.objects is not None
    faults, cut, back = Faults(first.objects), threading.Event(), threading.Event()

    def write() -> None:
        with first.held():
            ledger = Ledger(first)
            ledger.append(Note(text="A1"))
            if fault == "outage":
                faults.down.set()
            else:
                faults.before = lambda: (cut.set(), back.wait(60))  # type: ignore[assignment,func-returns-value]
            cut.set()
            for text in ("A2", "A3"):
                try:
                    ledger.append(Note(text=text))
                    told.append(text)
                except RunFolderError as error:
                    told.append(str(error))
            ledger.close()

    head = threading.Thread(target=write)
    head.start()
    cut.wait(60)
    another_machine(monkeypatch, tmp_path / "other")
    second = RunFolder(first.address)
    age_hold(tmp_path, second, 100)
    with second.held():
        ledger = Ledger(second)
        for text in ("B1", "B2"):
            ledger.append(Note(text=text))
        faults.down.clear()
        faults.before = None
        back.set()
        head.join()
        ledger.append(Note(text="B3"))
        ledger.close()
    assert len(told) == 2
    assert all("was taken over by process" in text for text in told)
    assert [event.text for event in read_events(RunFolder.open(first.address).ledger)] == ["A1", "B1", "B2", "B3"]


FATES = st.sampled_from(["", "", "", "lost", "late", "never", "lost lost", "late never"])


@given(
    steps=st.lists(
        st.tuples(st.integers(0, 2), st.sampled_from(["append", "append", "append", "open", "arrive"]), FATES),
        max_size=40,
    ),
    waits=st.booleans(),
)
@settings(max_examples=300, deadline=None)
@pytest.mark.slow
def test_no_acknowledged_line_is_lost_in_any_order_of_takeovers_and_late_writes(
    steps: list[tuple[int, str, str]], waits: bool
) -> None:
    """Three writers that know nothing of each other; writes are lost, arrive late, or only their answers are lost.

    From its fence on, nothing but a writer's own lines follows what it has read, until another one fences.
    """
    with tempfile.TemporaryDirectory() as place, pytest.MonkeyPatch.context() as patch:
        patch.setattr(outage_retry, "time", Clock())
        address, acknowledged = Path(place).as_uri(), list[bytes]()
        machines = [Objects(address, wait_s=60 if waits else 0) for _ in range(3)]
        faults = [Faults(objects) for objects in machines]
        writers: list[Segments | None] = [None] * 3
        last, views = -1, [list[bytes]() for _ in range(3)]
        """The writer that fenced last (-1: not known), and what each has read and written."""
        for count, (who, what, fate) in enumerate(steps):
            before = pull(machines[0])
            faults[who].plan = fate.split()
            try:
                if what == "arrive":
                    fences = any(not content.strip(b" \t").endswith(b"\n") for _, content, _ in faults[who].late)
                    faults[who].arrive()
                    if who != last and pull(machines[0]) != before:
                        assert fences, "a line arrived behind the fence of another writer"
                        last = -1
                elif what == "open":
                    writers[who] = None
                    writers[who] = Segments(machines[who], lambda: None, full=100)
                    last, views[who] = who, lines(pull(machines[0]))
                elif (writer := writers[who]) is not None:
                    line = b'{"n":%d,"x":"%s"}\n' % (count, b"x" * 30)
                    writer.append(line)
                    acknowledged.append(line)
                    views[who].append(line)
                    assert who == last or last == -1
                    assert lines(pull(machines[0])) == views[who]
            except RunFolderError as error:
                if "was taken over" in str(error):
                    writers[who] = None
                if what == "open" and pull(machines[0]) != before:
                    last = -1
            kept = iter(lines(pull(machines[0])))
            assert all(line in kept for line in acknowledged), "acknowledged lines are there, in their order"


def lines(ledger: bytes) -> list[bytes]:
    return [line.lstrip() + b"\n" for line in ledger.split(b"\n") if line.strip()]


class Answers:
    """A server that answers everything alike."""

    def __init__(self, status: int, body: bytes = b"", headers: tuple[tuple[str, str], ...] = ()) -> None:
        class Handler(http.server.BaseHTTPRequestHandler):
            def answer(self) -> None:
                self.rfile.read(int(self.headers.get("content-length") or 0))
                self.send_response(status)
                for name, value in headers:
                    self.send_header(name, value)
                self.send_header("content-length", str(len(body)))
                self.end_headers()
                if self.command != "HEAD":
                    self.wfile.write(body)

            do_GET = do_PUT = do_HEAD = do_POST = do_DELETE = answer

            def log_message(self, *args: object) -> None:
                pass

        self._server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=self._server.serve_forever, daemon=True).start()
        self.host = f"127.0.0.1:{self._server.server_port}"

    def __enter__(self) -> Answers:
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()


@pytest.mark.parametrize(
    ("status", "code", "expected"),
    [
        (403, "AccessDenied", Refused),
        (403, "InvalidAccessKeyId", Refused),
        (401, "Unauthorized", Refused),
        (400, "ExpiredToken", Refused),
        (404, "NoSuchBucket", Refused),
        (501, "NotImplemented", Refused),
        (400, "RequestTimeout", OSError),
        (408, "RequestTimeout", OSError),
        (429, "SlowDown", OSError),
        (500, "InternalError", OSError),
        (503, "SlowDown", OSError),
    ],
)
def test_refusals_and_outages_are_told_apart(
    status: int, code: str, expected: type[Exception], credentials: dict[str, str]
) -> None:
    with Answers(status, f"<Error><Code>{code}</Code></Error>".encode()) as server:
        address = f"s3://bucket/run?endpoint_override={server.host}&scheme=http&region=us-east-1"
        backend = Bucket(Address.parse(address))
        calls: list[Callable[[], object]] = [
            lambda: backend.put("a", b"1"),
            lambda: backend.put_if("a", b"1", None),
            lambda: backend.put_if("a", b"1", {"e_tag": '"x"'}),
            lambda: backend.get("a"),
            lambda: backend.stored(""),
            lambda: backend.delete("a"),
        ]
        for call in calls:
            with pytest.raises(expected, match=rf"^{status}.*, {code}$") as told:
                call()
            assert type(told.value) is expected
        if expected is Refused:
            with pytest.raises(RunFolderError, match=rf"cannot be used \({status}.*{code}\); check the address"):
                Objects(address).put("a", b"1")  # at once: an outage would be waited out for minutes


def test_a_server_that_is_not_there_is_an_outage(credentials: dict[str, str]) -> None:
    backend = Bucket(Address.parse("s3://bucket/run?endpoint_override=127.0.0.1:9&scheme=http&region=us-east-1"))
    with pytest.raises(OSError, match="error sending request"):
        backend.put("a", b"1")


@pytest.mark.parametrize("status", [200, 301, 403])
def test_amazon_is_asked_for_the_region_of_a_bucket(status: int) -> None:
    with Answers(status, headers=(("x-amz-bucket-region", "eu-west-3"),)) as server:
        assert _region("bucket", f"http://{server.host}") == "eu-west-3"
    assert _region("bucket", "http://127.0.0.1:9") is None


def test_keys_of_a_profile_are_read(tmp_path: Path) -> None:
    file = tmp_path / "credentials"
    file.write_text("[default]\naws_access_key_id = a\naws_secret_access_key = b%c\n[role]\nrole_arn = x\n")
    there = {"AWS_SHARED_CREDENTIALS_FILE": str(file)}
    assert _shared_credentials(there) == {"access_key_id": "a", "secret_access_key": "b%c"}
    assert _shared_credentials({**there, "AWS_ACCESS_KEY_ID": "of the environment"}) == {}
    assert _shared_credentials({"AWS_SHARED_CREDENTIALS_FILE": str(tmp_path / "none")}) == {}
    with pytest.raises(Refused, match="export-credentials"):
        _shared_credentials({**there, "AWS_PROFILE": "role"})


def test_a_ledger_of_an_older_release_is_resumed(storage: str) -> None:
    """Its segments have no fence, its hold no number of renewals."""
    run = RunFolder.create(storage, "toy")
    assert run.objects is not None
    line = b'{"v":1,"seq":0,"at":"2026-11-29T00:00:00.000+00:00","event":"note","text":"old"}\n'
    run.objects.put("ledger/00000000.jsonl", line)
    run.objects.put("owner.json", b'{"host": "h", "pid": 1, "since": "s", "token": "old"}')
    Lease(run.objects, {}, stale_s=0.0).release()
    with run.held():
        ledger = Ledger(run)
        added = ledger.append(Note(text="new"))
        ledger.close()
    assert added.seq == 1
    assert [event.text for event in read_events(RunFolder.open(run.address).ledger)] == ["old", "new"]


HOSTILE = (
    "winner/../../../../../../.bash_profile",
    "model/../../escape",
    "trials/t0000/checkpoints/../../../../escape",
    "winner//etc/escape",
    "winner/./escape",
    "winner/a\\b",
)


@pytest.mark.slow
@pytest.mark.parametrize("name", HOSTILE)
def test_no_object_in_a_bucket_is_written_outside_of_the_cache(
    name: str, empty_bucket: Callable[[], str], own_cache: Path, tmp_path: Path
) -> None:
    """The names are put into the store of the server itself: no client would send them."""
    from moto.s3.models import s3_backends

    run = RunFolder.create(empty_bucket(), "hostile")
    run.publish(b"fine", run.winner / "best.pt")
    address = Address.parse(run.address)
    bucket = s3_backends["123456789012"]["aws"].buckets[address.authority]
    prefix = address.path.strip("/")
    (key,) = [key for key in bucket.keys if key.endswith("winner/best.pt")]
    bucket.keys[f"{prefix}/{name}"] = bucket.keys[key]
    before = {path for path in tmp_path.rglob("*") if not path.is_relative_to(own_cache)}
    fresh = RunFolder(run.address)
    for folder in (fresh.winner, fresh.model("x").parent, fresh.checkpoint("t0000", "x").parent):
        with contextlib.suppress(RunFolderError):
            fresh.bring_below(folder)
        with contextlib.suppress(RunFolderError):
            assert all(path.is_relative_to(fresh.root) for path in fresh.files_in(folder))
    assert {path for path in tmp_path.rglob("*") if not path.is_relative_to(own_cache)} == before
    written = {path.resolve() for path in own_cache.rglob("*") if path.is_file()}
    assert all(path.is_relative_to(own_cache.resolve() / "yolosweep") for path in written)
    assert not [path for path in written if path.name in ("escape", ".bash_profile")]
