"""The run folder: nothing acknowledged is lost, nothing torn is read, and only one writes."""

from __future__ import annotations

import errno
import json
import os
import secrets
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from yolosweep.errors import RunFolderError
from yolosweep.ledger import Ledger, RunFolder, Tail, read_events
from yolosweep.records import SCHEMA_VERSION, EpochResult, FileRef
from yolosweep.records.events import EpochRecorded, Note, SweepResumed
from yolosweep.storage.atomic_files import HashingWriter, sha256_of, write_atomic

ROW = EpochResult(
    epoch=1,
    metrics={"m": 0.5},
    score=0.5,
    best_score=0.5,
    best_epoch=1,
    epochs_without_gain=0,
    seconds=1,
    images_per_s=2,
)


def python(code: str, *arguments: str | Path, **kwargs: Any) -> subprocess.Popen[str]:
    """Start a Python process of its own."""
    return subprocess.Popen(
        [sys.executable, "-c", code, *map(str, arguments)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        **kwargs,
    )


def journal(folder: Path, count: int = 4) -> RunFolder:
    """Return a run folder with some events in its journal."""
    run = RunFolder(folder)
    ledger = Ledger(run)
    for number in range(count):
        ledger.append(Note(text=f"ä line\nbreak {number / 3}"))
    ledger.close()
    return run


def test_events_come_back_as_written(tmp_path: Path) -> None:
    run = RunFolder(tmp_path)
    ledger = Ledger(run)
    written = [ledger.append(Note(text="ä")), ledger.append(EpochRecorded(trial="t0001", row=ROW))]
    assert list(read_events(run.ledger)) == written, "an event is on disk when append returns"
    ledger.close()
    assert [event.seq for event in written] == [0, 1]
    assert {event.v for event in written} == {SCHEMA_VERSION}


def test_a_journal_cut_at_any_byte_reads_as_a_prefix_and_goes_on(tmp_path: Path) -> None:
    run = journal(tmp_path, 2)
    whole = run.ledger.read_bytes()
    events = list(read_events(run.ledger))
    for cut in range(len(whole) + 1):
        run.ledger.write_bytes(whole[:cut])
        kept = whole[:cut].count(b"\n")
        assert list(read_events(run.ledger)) == events[:kept]
        ledger = Ledger(run)
        added = ledger.append(Note(text="after the crash"))
        ledger.close()
        assert added.seq == kept
        assert list(read_events(run.ledger)) == [*events[:kept], added]


@given(position=st.integers(0, 10_000), byte=st.integers(0, 255))
def test_a_damaged_line_is_refused_or_reads_as_json(
    position: int, byte: int, tmp_path_factory: pytest.TempPathFactory
) -> None:
    run = journal(tmp_path_factory.mktemp("run"))
    content = bytearray(run.ledger.read_bytes())
    content[position % len(content)] = byte
    run.ledger.write_bytes(content)
    try:
        for event in read_events(run.ledger):
            assert event.v <= SCHEMA_VERSION
    except RunFolderError as error:
        assert str(run.ledger) in str(error)  # noqa: PT017  (either outcome is right; what is read must hold)


@pytest.mark.parametrize("damage", [b"{", b"", b"null", b"[1]", b"{}", b'{"v": "1"}', b"\xff\xfe", b'{"v": 1'])
def test_a_damaged_line_in_the_middle_is_refused_with_its_number(damage: bytes, tmp_path: Path) -> None:
    run = journal(tmp_path)
    lines = run.ledger.read_bytes().split(b"\n")
    lines[1] = damage
    run.ledger.write_bytes(b"\n".join(lines))
    with pytest.raises(RunFolderError, match=r"line 2 is damaged; restore the file from a copy") as caught:
        list(read_events(run.ledger))
    assert caught.value.exit_code == 7
    with pytest.raises(RunFolderError, match="damaged"):
        Ledger(run)


def test_a_newer_schema_is_refused(tmp_path: Path) -> None:
    run = journal(tmp_path)
    with run.ledger.open("a") as stream:
        stream.write(json.dumps({"v": SCHEMA_VERSION + 1, "seq": 4, "event": "future"}) + "\n")
    with pytest.raises(RunFolderError, match=r"newer yolosweep .* upgrade"):
        list(read_events(run.ledger))


def test_what_json_cannot_say_is_not_written(tmp_path: Path) -> None:
    run = journal(tmp_path, 1)
    ledger = Ledger(run)
    with pytest.raises(ValueError, match="not JSON compliant"):
        ledger.append(SweepResumed(experiment={"seed": float("nan")}))
    assert ledger.append(Note(text="x")).seq == 1
    ledger.close()
    assert [event.seq for event in read_events(run.ledger)] == [0, 1]


FULL_DISK = """
import resource, signal, sys
from yolosweep.errors import RunFolderError
from yolosweep.ledger import Ledger, RunFolder
from yolosweep.records.events import Note
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
ledger = Ledger(RunFolder(sys.argv[1]))
limit = resource.getrlimit(resource.RLIMIT_FSIZE)
resource.setrlimit(resource.RLIMIT_FSIZE, (1000, limit[1]))
done = 0
try:
    while True:
        ledger.append(Note(text="x" * 100))
        done += 1
except RunFolderError as error:
    print(done, error)
resource.setrlimit(resource.RLIMIT_FSIZE, limit)
ledger.append(Note(text="after space was freed"))
"""


def test_a_full_disk_loses_only_what_was_not_acknowledged(tmp_path: Path) -> None:
    process = python(FULL_DISK, tmp_path)
    out, err = process.communicate(timeout=60)
    assert process.returncode == 0, err
    done, _, text = out.partition(" ")
    assert "cannot write" in text
    assert "free space" in text
    events = list(read_events(tmp_path / "ledger.jsonl"))
    assert [event.seq for event in events] == list(range(int(done) + 1))
    assert events[-1].text == "after space was freed"


def full(descriptor: int) -> None:
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def forbidden(descriptor: int) -> None:
    raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))


def test_a_full_disk_is_told_with_the_file_that_could_not_be_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = RunFolder(tmp_path)
    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match=rf"No space left on device: '{run.experiment}'"):
        write_atomic(run.experiment, "name: toy")
    with pytest.raises(RunFolderError, match=r"\.owner\.json: No space left on device; free space"), run.held():
        pytest.fail("nobody holds it")
    monkeypatch.setattr(os, "fsync", forbidden)
    with pytest.raises(RunFolderError, match=r"\.owner\.json: Permission denied; make the folder writable"), run.held():
        pytest.fail("nobody holds it")
    assert [one.name for one in tmp_path.iterdir()] == [".lock"]
    monkeypatch.undo()
    with run.held():
        pass


def test_a_journal_that_is_not_in_its_place_any_more_takes_no_line(tmp_path: Path) -> None:
    """The open file would take it, and nobody would ever read it there."""
    folder = RunFolder(tmp_path / "run")
    folder.root.mkdir()
    ledger = Ledger(folder)
    ledger.append(Note(text="before"))
    elsewhere = folder.root.rename(tmp_path / "moved")
    with pytest.raises(RunFolderError, match="it was moved, or its storage was"):
        ledger.append(Note(text="lost"))
    folder.root.mkdir()
    folder.ledger.touch()  # another one in its place
    with pytest.raises(RunFolderError, match="put it back"):
        ledger.append(Note(text="lost"))
    folder.ledger.unlink()
    folder.root.rmdir()
    elsewhere.rename(folder.root)
    ledger.append(Note(text="after"))
    ledger.close()
    assert [event.text for event in read_events(folder.ledger)] == ["before", "after"]


def test_a_tail_gives_every_whole_event_once(tmp_path: Path) -> None:
    run = RunFolder(tmp_path)
    tail = Tail(run.ledger)
    assert list(tail.read()) == []
    whole = journal(tmp_path).ledger.read_bytes()
    seen = []
    for cut in range(0, len(whole) + 1, 7):
        run.ledger.write_bytes(whole[:cut])
        seen += list(tail.read())
    run.ledger.write_bytes(whole)
    seen += list(tail.read())
    assert seen == list(read_events(run.ledger))
    assert list(tail.read()) == []


HOLD = """
import sys
from yolosweep.ledger import RunFolder
with RunFolder(sys.argv[1]).held():
    print("held", flush=True)
    sys.stdin.read()
"""


def test_a_second_holder_is_refused_and_told_who_holds_it(tmp_path: Path) -> None:
    run = RunFolder(tmp_path)
    process = python(HOLD, tmp_path)
    assert process.stdout is not None
    assert process.stdout.readline() == "held\n"
    with (
        pytest.raises(RunFolderError, match=rf"in use by process {process.pid} on \S+ since 20\d\d-") as caught,
        run.held(),
    ):
        pass
    assert caught.value.exit_code == 7
    process.communicate(timeout=60)
    with run.held():
        pass


def test_a_killed_holder_leaves_the_folder_free(tmp_path: Path) -> None:
    process = python(HOLD, tmp_path)
    assert process.stdout is not None
    assert process.stdout.readline() == "held\n"
    process.send_signal(signal.SIGKILL)
    process.communicate(timeout=60)
    with RunFolder(tmp_path).held():
        assert json.loads((tmp_path / ".owner.json").read_text())["pid"] == os.getpid()


def test_an_unreadable_owner_is_another_process(tmp_path: Path) -> None:
    run = RunFolder(tmp_path)
    with run.held():
        (tmp_path / ".owner.json").write_text("{")
        with pytest.raises(RunFolderError, match="in use by another process"), RunFolder(tmp_path).held():
            pass


@given(sizes=st.lists(st.sampled_from([0, 1, 999, 400_000, 1 << 20, 3_000_000]), max_size=8))
@pytest.mark.slow
def test_a_large_file_is_hashed_as_it_is_written(sizes: list[int], tmp_path_factory: pytest.TempPathFactory) -> None:
    target = tmp_path_factory.mktemp("large") / "file"
    blocks = [bytes([number]) * size for number, size in enumerate(sizes, start=1)]

    def pour(sink: HashingWriter) -> None:
        for number, block in enumerate(blocks):
            assert sink.write(memoryview(block) if number % 2 else block) == len(block)

    reference = write_atomic(target, pour)
    assert target.read_bytes() == b"".join(blocks)
    assert (reference.sha256, reference.size) == (sha256_of(target), sum(sizes))


def test_write_atomic_returns_hash_and_size(tmp_path: Path) -> None:
    target = tmp_path / "new" / "file.bin"
    reference = write_atomic(target, b"abc")
    assert (reference.path, reference.size, reference.sha256) == ("file.bin", 3, sha256_of(target))
    source = tmp_path / "source"
    source.write_bytes(b"x" * 3_000_000)
    assert write_atomic(target, source).sha256 == sha256_of(source)
    write_atomic(target, "text ä")
    assert target.read_text(encoding="utf-8") == "text ä"
    assert [path.name for path in target.parent.iterdir()] == ["file.bin"]


def test_a_failed_write_leaves_the_old_file_and_no_draft(tmp_path: Path) -> None:
    target = tmp_path / "file"
    write_atomic(target, b"old")
    with pytest.raises(FileNotFoundError):
        write_atomic(target, tmp_path / "nothing")
    assert target.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [target]


WRITE = """
import sys
from pathlib import Path
from yolosweep.storage.atomic_files import write_atomic
print("ready", flush=True)
while True:
    for letter in (b"a", b"b"):
        write_atomic(Path(sys.argv[1]), letter * 300_000)
"""


@pytest.mark.slow
def test_readers_see_the_old_file_or_the_new_one_also_when_the_writer_is_killed(tmp_path: Path) -> None:
    target = tmp_path / "file"
    write_atomic(target, b"a" * 300_000)
    for _ in range(3):
        process = python(WRITE, target)
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        seen: set[bytes] = set()
        while len(seen) < 2:
            content = target.read_bytes()
            assert content in (b"a" * 300_000, b"b" * 300_000)
            seen.add(content[:1])
        process.send_signal(signal.SIGKILL)
        process.communicate(timeout=60)
        assert target.read_bytes() in (b"a" * 300_000, b"b" * 300_000)


CREATE = """
import os, sys
from yolosweep.ledger import RunFolder

wait, go = os.pipe()
children = []
for _ in range(20):
    child = os.fork()
    if not child:
        os.close(go)
        os.read(wait, 1)  # returns to all of them at once, when nobody holds the other end any more
        os.write(1, f"{RunFolder.create(sys.argv[1], 'demo').root}\\n".encode())
        os._exit(0)
    children.append(child)
os.close(go)
sys.exit(any(os.waitpid(child, 0)[1] for child in children))
"""


def test_twenty_processes_make_twenty_folders(tmp_path: Path) -> None:
    process = python(CREATE, tmp_path / "runs")
    out, err = process.communicate(timeout=300)
    assert process.returncode == 0, err
    made = [Path(line) for line in out.splitlines()]
    assert len(set(made)) == 20
    assert sorted(made) == sorted((tmp_path / "runs").iterdir())
    assert all(path.name.startswith("demo-20") for path in made)


def test_a_name_that_is_taken_is_passed_over(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    endings = iter(["aaaa", "aaaa", "aaaa", "bbbb", "aaaa", "bbbb", "cccc"])
    monkeypatch.setattr(secrets, "token_hex", lambda size: next(endings))
    made = [RunFolder.create(tmp_path, "demo").root for _ in range(3)]
    assert len(set(made)) == 3, "they are told apart by the ending, or by the second"


def test_storage_that_cannot_be_written_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(RunFolderError, match=r"storage: cannot write to .* choose another folder"):
        RunFolder.create(tmp_path / "file" / "runs", "demo")


def test_open_refuses_what_is_no_run_folder(tmp_path: Path) -> None:
    with pytest.raises(RunFolderError, match="not a run folder"):
        RunFolder.open(tmp_path)
    assert RunFolder.open(journal(tmp_path).root).sweep == tmp_path.name


def test_published_files_are_found_after_the_folder_moved(tmp_path: Path) -> None:
    run = RunFolder(tmp_path / "before")
    source = tmp_path / "best.pt"
    source.write_bytes(b"weights")
    reference = run.publish(source, run.trial("t0001") / "best.pt")
    assert reference.path == "trials/t0001/best.pt"
    moved = RunFolder(run.root.rename(tmp_path / "after"))
    assert moved.resolve(reference).read_bytes() == b"weights"


@pytest.mark.parametrize("path", ["../secret", "/etc/hosts", "trials/../../x"])
def test_a_reference_that_leads_out_is_refused(path: str, tmp_path: Path) -> None:
    with pytest.raises(RunFolderError, match="it would lead outside"):
        RunFolder(tmp_path).resolve(FileRef(path=path, sha256="", size=0))


@pytest.mark.parametrize(
    "line",
    [
        b'{"v":1,"seq":9,"event":"note","text":' + b"[" * 200_000 + b"]" * 200_000 + b"}",
        b'{"v":1,"seq":9,"event":"note"}',
        b'{"v":1,"seq":9,"event":"trial_ended","record":{}}',
        b'{"v":true,"seq":"x","event":"sweep_started"}',
        b'{"v":1,"seq":9,"event":"row","trial":"t0000","row":null}',
    ],
    ids=["deep", "no text", "empty record", "no sweep", "no row"],
)
def test_a_line_that_is_no_event_is_refused(line: bytes, tmp_path: Path) -> None:
    run = journal(tmp_path, 1)
    run.ledger.write_bytes(run.ledger.read_bytes() + line + b"\n")
    with pytest.raises(RunFolderError, match="line 2 is damaged"):
        list(read_events(run.ledger))


def test_a_line_without_an_end_is_not_read_into_memory(tmp_path: Path) -> None:
    run = journal(tmp_path, 1)
    with run.ledger.open("ab") as stream:
        stream.truncate(stream.tell() + (65 << 20))
    with pytest.raises(RunFolderError, match="line 2 is damaged: it is too long"):
        list(read_events(run.ledger))
