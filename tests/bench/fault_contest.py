"""One contestant under one schedule of faults: its processes are struck, and its sweep is resumed where it has died."""

from __future__ import annotations

import contextlib
import os
import random
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import psutil
from tests.bench.fault_places import Folder
from tests.bench.rig import REPOSITORY, Rig

EPOCH_S = 0.2
KILLS = ("worker", "controller", "driver", "raylet", "gcs", "machine", "pause", "freeze")
"""``pause`` stops a worker for good; ``freeze`` stops all processes for seconds, as a machine that is suspended."""
PLACES = {"folder": None, "disk": "full disk", "bucket": "outage"}
"""Where a sweep is kept, and the fault that only this place has."""
_ENDS_DRIVER = ("controller", "driver", "machine")
_RESTARTS = 10
_NAMES = {"raylet": "raylet", "gcs": "gcs_server"}


@dataclass(frozen=True, kw_only=True)
class Fault:
    """What is struck, after so many epochs of all trials, and how long what passes by itself lasts."""

    kind: str
    epochs: int
    hold_s: float


@dataclass(frozen=True, kw_only=True)
class Schedule:
    """What happens to a sweep."""

    seed: int
    place: str
    at_once: bool
    """Resume although processes of the dead sweep may still live."""
    faults: tuple[Fault, ...]

    @classmethod
    def drawn(cls, seed: int, faults: int, epochs: int) -> Schedule:
        """Draw the schedule of a seed.

        Args:
            seed: of the draw.
            faults: how many of them.
            epochs: of all trials together.
        """
        rng = random.Random(seed)
        place = rng.choice(list(PLACES))
        own = [found] if (found := PLACES[place]) else []
        kinds = [*own, *rng.sample(KILLS, faults - len(own))]
        rng.shuffle(kinds)
        moments = sorted(rng.sample(range(1, 4 * epochs // 5), faults))
        drawn = (
            Fault(kind=kind, epochs=moment, hold_s=round(rng.uniform(2, 8), 1))
            for kind, moment in zip(kinds, moments, strict=True)
        )
        return cls(seed=seed, place=place, at_once=rng.random() < 0.5, faults=tuple(drawn))


@dataclass(frozen=True)
class Line:
    """One line of the log of epochs."""

    at: float
    pid: int
    what: str
    trial: str
    epoch: int


@dataclass(kw_only=True)
class Outcome:
    """What a schedule did to a contestant."""

    struck: list[str] = field(default_factory=list)
    recovery_s: list[tuple[str, float]] = field(default_factory=list)
    """What was struck, and the seconds until each trial that it hit had trained a whole epoch."""
    repeated: int = 0
    """Epochs trained again."""
    lost: int = 0
    """Epochs that the record lacks at the end."""
    acknowledged: int = 0
    acknowledged_lost: int = 0
    """Epochs whose result was acknowledged, and that the record lacks or has with another score."""
    acknowledged_repeated: int = 0
    """Epochs that were trained again after their result had been acknowledged."""
    resumes: int = 0
    helped: int = 0
    """How often a sweep that trained nothing for too long was killed from outside."""
    right: bool = False
    seconds: float = 0.0


class Contest:
    """One contestant under one schedule.

    Args:
        bench: the rig.
        home: folder of the contestant.
        place: where its sweep is kept.
        start: the command that starts it.
        resume: returns the command that resumes it.
        patience_s: a sweep in which no epoch begins or ends for so long hangs.
    """

    def __init__(
        self,
        bench: Rig,
        home: Path,
        place: Folder,
        *,
        start: list[str],
        resume: Callable[[], list[str]],
        patience_s: float,
    ) -> None:
        self._bench, self._home, self.place = bench, home, place
        self._start, self._resume, self._patience_s = start, resume, patience_s
        self._log, self.outcome = home / "epochs.log", Outcome()

    def go(self, schedule: Schedule, epochs: int) -> None:
        """Strike as planned, and resume what has died; return when the sweep has ended or is given up."""
        began = time.monotonic()
        self._at_once, self._epochs = schedule.at_once, epochs
        self._process = self._run(self._start)
        for fault in schedule.faults:
            if not self._reached(lambda fault=fault: self._trained() >= fault.epochs and bool(self._at_work())):
                break
            self._strike(fault)
        else:
            self._reached(lambda: False)
        self.outcome.seconds = round(time.monotonic() - began, 1)

    @property
    def has_ended(self) -> bool:
        """Whether the sweep says that it ended well."""
        return self._process.poll() == 0

    def _run(self, command: list[str]) -> subprocess.Popen[bytes]:
        found = os.environ.get("PYTHONPATH", "")
        path = [str(Path(__file__).with_name("epoch_log")), str(REPOSITORY / "platform"), found]
        more = {
            "PYTHONPATH": os.pathsep.join(filter(None, path)), "TMPDIR": str(self._bench.root / "t"),
            "FAULTS_LOG": str(self._log), "FAULTS_EPOCH_S": str(EPOCH_S),
            "RAY_worker_niceness": "0", "RAY_AUTH_MODE": "disabled", "PYTHONDONTWRITEBYTECODE": "",
        }  # fmt: skip
        return self._bench.start([*self.place.prefix, *command], self._home, **more)

    def lines(self) -> list[Line]:
        """Return the log as it is now."""
        words = [line.split() for line in self._log.read_text().splitlines()] if self._log.exists() else []
        return [Line(float(one[0]), int(one[1]), one[2], one[3], int(one[4])) for one in words if len(one) == 5]

    def _trained(self) -> int:
        return len({(line.trial, line.epoch) for line in self.lines() if line.what == "end"})

    def _at_work(self) -> dict[str, Line]:
        """Return the trials that are in an epoch, by the beginning of it."""
        last = {line.trial: line for line in self.lines()}
        return {trial: one for trial, one in last.items() if one.what == "begin" and psutil.pid_exists(one.pid)}

    def _reached(self, condition: Callable[[], bool]) -> bool:
        """Wait for a condition; False once the sweep has ended by itself, or is given up."""
        while not self._waited(condition):
            if self.has_ended or self.outcome.resumes >= _RESTARTS:
                return False
            if self._process.poll() is None:
                self.outcome.helped += 1
            if self._process.poll() is None or not self._at_once:
                self._kill_all()
            self.outcome.resumes += 1
            self._process = self._run(self._resume())
        return True

    def _waited(self, condition: Callable[[], bool]) -> bool:
        """Wait for a condition; False where the command ended before, or nothing trains for too long."""
        seen, since = -1, time.monotonic()
        while not condition():
            if self._process.poll() is not None:
                return False
            if (size := self._log.stat().st_size if self._log.exists() else 0) != seen:
                seen, since = size, time.monotonic()
            if time.monotonic() - since > self._patience_s:
                return False
            time.sleep(0.1)
        return True

    def _family(self) -> Iterator[psutil.Process]:
        """Yield all processes that this contestant has started: they know the log."""
        for one in psutil.process_iter():
            with contextlib.suppress(psutil.Error):
                if one.environ().get("FAULTS_LOG") == str(self._log):
                    yield one

    def _kill_all(self) -> None:
        for one in self._family():
            with contextlib.suppress(psutil.Error):
                one.kill()
        self._process.wait()

    def close(self) -> None:
        """End what is left."""
        self.place.repair()
        self._kill_all()

    def _strike(self, fault: Fault) -> None:
        hit, began = self._at_work(), time.time()
        # Where the driver has to end, what its workers train before they notice is no recovery.
        known = {line.pid for line in self.lines()} if fault.kind in _ENDS_DRIVER else set()
        if fault.kind in ("worker", "pause"):
            hit = dict(list(hit.items())[:1])
        if not hit:  # between two epochs by now
            return
        self.outcome.struck.append(fault.kind)
        if fault.kind in PLACES.values():
            self.place.fail()
            self._waited(lambda: time.time() > began + fault.hold_s)
            time.sleep(max(0.0, began + fault.hold_s - time.time()))
            self.place.repair()
        elif fault.kind == "freeze":
            self._freeze(fault.hold_s)
        else:
            number = signal.SIGSTOP if fault.kind == "pause" else signal.SIGKILL
            for one in self._victims(fault.kind, hit):
                with contextlib.suppress(psutil.Error):
                    one.send_signal(number)
        if self._reached(lambda: self._trains_again(hit, began, known)):
            self.outcome.recovery_s.append((fault.kind, round(time.time() - began, 2)))

    def _victims(self, kind: str, hit: dict[str, Line]) -> list[psutil.Process]:
        if kind in ("worker", "pause"):
            return [psutil.Process(line.pid) for line in hit.values()]
        family, driver = list(self._family()), psutil.Process(self._process.pid)
        if kind == "controller":  # as Ray names its process; a plain script has none but its driver
            found = [one for one in family if any("::ControllerActor" in word for word in one.cmdline())]
            return found or [driver]
        if kind in _NAMES:
            return [one for one in family if one.name() == _NAMES[kind]]
        return family if kind == "machine" else [driver]

    def _freeze(self, seconds: float) -> None:
        frozen = list(self._family())
        for number in (signal.SIGSTOP, signal.SIGCONT):
            for one in frozen:
                with contextlib.suppress(psutil.Error):
                    one.send_signal(number)
            if number == signal.SIGSTOP:
                time.sleep(seconds)

    def _trains_again(self, hit: dict[str, Line], began: float, known: set[int]) -> bool:
        """Return whether each trial that was hit has trained an epoch that began afterwards, or has ended.

        At least one epoch is of another process than those known.
        """
        lines = [line for line in self.lines() if line.at > began]
        fresh = {(line.pid, line.trial, line.epoch) for line in lines if line.what == "begin" and line.pid not in known}
        ends = [line for line in lines if line.what == "end"]
        trained = {line.trial for line in ends if (line.pid, line.trial, line.epoch) in fresh}
        return bool(trained) and trained | {line.trial for line in ends if line.epoch == self._epochs} >= hit.keys()
