"""Files outside a data set's folders: a person at a terminal is asked once; nobody else is."""

from __future__ import annotations

import os
import pty
import subprocess
import sys
from pathlib import Path

import pytest
from tests.bench.foreign_data import dataset, into_store, split


def at_terminal(answer: str, *words: str) -> tuple[int, str]:
    """Run a command whose standard input and error are a terminal; return exit code and all that it printed."""
    master, slave = pty.openpty()
    process = subprocess.Popen(
        [sys.executable, "-m", "yolosweep", *words], stdin=slave, stdout=subprocess.PIPE, stderr=slave, text=True
    )
    os.close(slave)
    os.write(master, answer.encode())
    printed, _ = process.communicate()
    asked = b""
    try:
        while part := os.read(master, 65536):
            asked += part
    except OSError:  # the terminal is closed, and empty
        pass
    os.close(master)
    return process.returncode, printed + asked.decode()


@pytest.fixture
def linked(tmp_path: Path) -> Path:
    yaml = dataset(tmp_path / "d", images=6)
    into_store(tmp_path)
    return yaml


@pytest.mark.parametrize("answer", ["y\n", "\n"])
@pytest.mark.slow
def test_a_person_is_asked(linked: Path, answer: str) -> None:
    code, printed = at_terminal(answer, "check", str(linked))
    assert printed.count("[y/N]") == 1
    assert "24 files are outside the data set's folders" in printed
    assert code == (0 if answer == "y\n" else 4)
    assert ("used, as with --allow file-outside" in printed) == (answer == "y\n")


@pytest.mark.slow
def test_nobody_is_asked_without_a_terminal(linked: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "yolosweep", "check", str(linked)],
        input="y\n", capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 4
    assert "[y/N]" not in done.stderr + done.stdout
    assert "--allow file-outside" in done.stderr


def test_nobody_is_asked_in_the_api(linked: Path, tmp_path: Path) -> None:
    assert "refused" in split(linked, tmp_path / "out")
