"""What a first and a second signal do, and when."""

import os
import signal
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from yolosweep.workflows.stop_signals import Stop

BOTH = pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM], ids=["SIGINT", "SIGTERM"])


@BOTH
def test_a_signal_stops_at_once_and_the_handlers_of_before_come_back(number: signal.Signals) -> None:
    before = signal.getsignal(number)
    with pytest.raises(KeyboardInterrupt), Stop(print) as stop:
        signal.raise_signal(number)
    assert stop.signal == number
    assert signal.getsignal(number) is before


def test_the_exit_code_of_a_module_holds_where_the_signal_came_while_a_class_was_made(tmp_path: Path) -> None:
    """CPython remembers an interrupt that left ``exec("…")``, as in ``dataclasses``, and ends ``-m`` by SIGINT."""
    (tmp_path / "interrupted.py").write_text(
        "import signal, sys\n"
        "from yolosweep.workflows.stop_signals import Stop\n"
        "try:\n"
        "    with Stop(print):\n"
        "        exec('signal.raise_signal(signal.SIGTERM)')\n"
        "except KeyboardInterrupt:\n"
        "    sys.exit(143)\n"
    )
    path = os.pathsep.join([str(tmp_path), *sys.path])
    done = subprocess.run([sys.executable, "-m", "interrupted"], env={**os.environ, "PYTHONPATH": path})
    assert done.returncode == 143


@BOTH
def test_the_first_waits_for_a_safe_moment_and_the_second_does_not(
    number: signal.Signals, capsys: pytest.CaptureFixture[str]
) -> None:
    with Stop(print) as stop, stop.waits():
        stop.check()
        signal.raise_signal(number)
        assert f"{number.name}: stopping as soon as" in capsys.readouterr().out
        with pytest.raises(KeyboardInterrupt):
            stop.check()
        with pytest.raises(KeyboardInterrupt):
            signal.raise_signal(signal.SIGINT)
        assert stop.signal == number, "the first one counts"


@BOTH
def test_what_runs_is_told_and_the_second_does_not_wait(number: signal.Signals) -> None:
    told: list[str] = []
    with Stop(print) as stop, stop.waits():
        with stop.cancels(told.append):
            signal.raise_signal(number)
            assert told == [f"stopped by {number.name}"]
            with pytest.raises(KeyboardInterrupt):
                signal.raise_signal(number)
        assert told == [f"stopped by {number.name}"]


def test_what_came_just_before_is_not_run() -> None:
    with Stop(print) as stop, stop.waits():
        signal.raise_signal(signal.SIGTERM)
        with pytest.raises(KeyboardInterrupt), stop.cancels(print):
            pytest.fail("it ran")


def test_what_takes_too_long_to_stop_is_stopped_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("yolosweep.workflows.stop_signals._GRACE_S", 0.01)
    told: list[str] = []
    with Stop(print) as stop, pytest.raises(KeyboardInterrupt):
        waits_for_ever(stop, told)
    assert told == ["stopped by SIGTERM"]


def waits_for_ever(stop: Stop, told: list[str]) -> None:
    with stop.cancels(told.append):
        signal.raise_signal(signal.SIGTERM)
        signal.pause()


def test_outside_of_the_main_thread_nothing_is_handled() -> None:
    before, seen = signal.getsignal(signal.SIGINT), []

    def inside() -> None:
        with Stop(print) as stop, stop.cancels(print):
            seen.append(signal.getsignal(signal.SIGINT))

    thread = threading.Thread(target=inside)
    thread.start()
    thread.join()
    assert seen == [before]
