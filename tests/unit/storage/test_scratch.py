"""Scratch folders: what a killed process leaves is cleared by the next one, and nothing else is."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from yolosweep.storage.temporary_folders import clear_dead_scratch, scratch_folder

HOLDS = """
import sys
from yolosweep.storage.temporary_folders import scratch_folder
with scratch_folder(sys.argv[1]) as folder:
    (folder / "weights.pt").write_bytes(b"w")
    print(folder, flush=True)
    sys.stdin.read()
"""
Start = Callable[[str], tuple[subprocess.Popen[str], Path]]


@pytest.fixture(autouse=True)
def temporary(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "[tmp]"
    folder.mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(folder))
    return folder


@pytest.fixture
def start(temporary: Path) -> Iterator[Start]:
    """A function that starts a process with a scratch folder of its own."""
    started: list[subprocess.Popen[str]] = []

    def hold(purpose: str) -> tuple[subprocess.Popen[str], Path]:
        process = subprocess.Popen(
            [sys.executable, "-c", HOLDS, purpose], env={**os.environ, "TMPDIR": str(temporary)}, text=True,
            stdin=subprocess.PIPE, stdout=subprocess.PIPE,
        )  # fmt: skip
        started.append(process)
        assert process.stdout is not None
        return process, Path(process.stdout.readline().strip())

    yield hold
    for process in started:
        process.kill()
        process.communicate()


@pytest.mark.slow
def test_what_a_killed_process_left_is_cleared_by_the_next_and_what_is_in_use_stays(
    start: Start, temporary: Path
) -> None:
    killed, left = start("lot-20261129-101010-abcd-t0000")
    living, used = start("lot-20261129-101010-abcd-t0000")
    assert (left / "weights.pt").exists()
    killed.kill()
    killed.wait()
    with scratch_folder("lot-20261129-101010-abcd-t0001") as mine:
        assert not left.exists()
        assert (used / "weights.pt").exists()
        assert list(mine.iterdir()) == []
        clear_dead_scratch()
        assert mine.is_dir(), "in use by this process"
    assert list(temporary.iterdir()) == [used.parent]
    living.communicate("")
    assert list(temporary.iterdir()) == []


def test_nothing_is_removed_that_is_not_known_to_be_ours(tmp_path: Path, temporary: Path) -> None:
    with scratch_folder("x") as mine:
        lock = next(path.name for path in mine.parent.iterdir() if path.is_file())
    victim = tmp_path / "victim"
    victim.mkdir()
    (victim / lock).touch()
    (victim / "precious").touch()
    (temporary / "yolosweep-lot-t0000-link").symlink_to(victim)
    (temporary / "yolosweep-by-hand").mkdir()
    linked = temporary / "yolosweep-lot-t0001-abc"
    linked.mkdir()
    (linked / lock).symlink_to(victim / lock)
    other = temporary / "others-lot-t0000-abc"
    other.mkdir()
    (other / lock).touch()
    before = sorted(temporary.iterdir())
    clear_dead_scratch()
    assert sorted(temporary.iterdir()) == before
    assert (victim / "precious").exists()


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can make a folder of somebody else")
def test_the_folders_of_other_users_stay(temporary: Path) -> None:
    with scratch_folder("x") as mine:
        lock = next(path.name for path in mine.parent.iterdir() if path.is_file())
    theirs = temporary / "yolosweep-lot-t0000-abc"
    theirs.mkdir()
    (theirs / lock).touch()
    os.chown(theirs, 12345, 12345)
    clear_dead_scratch()
    assert theirs.is_dir()
    os.chown(theirs, 0, 0)
    clear_dead_scratch()
    assert not theirs.exists()
