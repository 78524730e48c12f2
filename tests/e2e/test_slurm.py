"""``cluster/slurm/sweep.sbatch`` as a job of two nodes: preempted in the middle, requeued, ended.

There is no SLURM here: ``srun`` and ``scontrol`` are stand-ins that run what they are given on this machine, once per
node. The Ray head, the second node, the token, the sweep and the signal are real.
"""

from __future__ import annotations

import json
import os
import secrets
import shutil
import signal
import stat
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from yolosweep.ledger import RunFolder
from yolosweep.ledger.history import History

pytestmark = pytest.mark.slow

SRUN = """#!/usr/bin/env bash
# A stand-in for srun: runs the command once per task on this machine, hands TERM on to all of them; they end with it.
tasks=1 pids=()
while [[ $1 == --* ]]; do
  if [[ $1 == --ntasks=* ]]; then tasks=${1#*=}; fi
  shift
done
trap 'kill -TERM "${pids[@]}" 2>/dev/null' TERM
for _ in $(seq "$tasks"); do setpriv --pdeathsig KILL "$@" & pids+=($!); done
for pid in "${pids[@]}"; do
  wait "$pid"; code=$?
  while kill -0 "$pid" 2>/dev/null; do wait "$pid"; code=$?; done
done
exit "$code"
"""

SCONTROL = """#!/usr/bin/env bash
# A stand-in for scontrol: names the two nodes of the job, and writes down what is requeued.
case $1 in
  show) printf 'node-a\\nnode-b\\n' ;;
  requeue) echo "$2" >> "$HOME/requeued" ;;
  *) exit 1 ;;
esac
"""


@dataclass(frozen=True)
class Job:
    """A SLURM job as its batch script sees it."""

    home: Path
    number: int
    script: Path
    started: list[subprocess.Popen[str]]

    def start(self, *arguments: str | Path, restarts: int = 0) -> subprocess.Popen[str]:
        kept = {
            k: v
            for k, v in os.environ.items()
            if k == "RAY_worker_niceness" or not k.startswith(("WANDB", "RAY_", "YOLO", "SLURM", "XDG"))
        }
        more = {
            "HOME": str(self.home),
            "PATH": f"{self.home / 'slurm'}:{os.environ['PATH']}",
            "YOLOSWEEP_VENV": str(self.home / "venv"),
            "YOLOSWEEP_STORAGE": str(self.home / "runs"),
            "SLURM_JOB_ID": str(self.number),
            "SLURM_JOB_NODELIST": "node-[a-b]",
            "SLURM_JOB_NUM_NODES": "2",
            "SLURM_CPUS_PER_TASK": "1",
            "SLURM_RESTART_COUNT": str(restarts),
        }
        process = subprocess.Popen(
            ["bash", self.script, *map(str, arguments)],
            env={**kept, **more},
            cwd=self.home,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )
        self.started.append(process)
        return process

    @property
    def scratch(self) -> Path:
        return Path(f"/tmp/yolosweep-{os.getuid()}-{self.number}")

    def processes(self) -> list[str]:
        """Return the command lines that name this job's scratch folder: its Ray."""
        found = []
        for file in Path("/proc").glob("[0-9]*/cmdline"):
            try:
                line = file.read_bytes().replace(b"\0", b" ").decode(errors="replace")
            except OSError:
                continue
            if str(self.scratch) in line:
                found.append(line)
        return found

    def run_folder(self) -> RunFolder | None:
        ledgers = list((self.home / "runs" / f"slurm-{self.number}").glob("*/ledger.jsonl"))
        assert len(ledgers) <= 1, ledgers
        return RunFolder(ledgers[0].parent) if ledgers else None

    def events(self) -> list[dict[str, Any]]:
        folder = self.run_folder()
        if folder is None:
            return []
        whole = folder.ledger.read_text(encoding="utf-8").rpartition("\n")[0]
        return [json.loads(line) for line in whole.splitlines()]


@pytest.fixture
def job(repository: Path, tmp_path: Path, processes: list[subprocess.Popen[str]]) -> Iterator[Job]:
    programs = {
        "slurm/srun": SRUN,
        "slurm/scontrol": SCONTROL,
        "venv/bin/python": f'#!/bin/sh\nexec {sys.executable} "$@"\n',
        "venv/bin/ray": f'#!/bin/sh\nexec {sys.executable} -m ray.scripts.scripts "$@"\n',
        "venv/bin/yolosweep": f'#!/bin/sh\nexec {sys.executable} -m yolosweep "$@"\n',
    }
    for name, text in programs.items():
        file = tmp_path / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)
        file.chmod(0o755)
    script = repository / "cluster" / "slurm" / "sweep.sbatch"
    job = Job(tmp_path, secrets.randbelow(900_000) + 100_000, script, processes)
    yield job
    shutil.rmtree(job.scratch, ignore_errors=True)


@pytest.mark.nightly  # a sweep that is stopped and resumed: test_resume; what the job runs: below
def test_a_pre_empted_job_ends_resumable_and_goes_on_when_it_is_queued_again(
    job: Job, repository: Path, wait_for: Callable[..., Any]
) -> None:
    experiment = repository / "jobs" / "experiments" / "toy.yaml"
    wanted = ("search.trials=3", "train.epochs=400", "search.pruner=none", "resources.cpus_per_trial=1")

    first = job.start(experiment, *wanted)
    try:
        wait_for(lambda: first.poll() is not None or any(e["event"] == "row" for e in job.events()), timeout_s=300)
        assert first.poll() is None, first.communicate()[0]
        (private,) = job.home.glob(".yolosweep-*")
        token = private / "token"
        assert stat.S_IMODE(private.stat().st_mode) == 0o700
        assert stat.S_IMODE(token.stat().st_mode) == 0o600
        secret = token.read_text()
        assert len(secret) == 64
        running = job.processes()
        assert running
        assert not [line for line in running if secret in line], "the token is on a command line"
        first.send_signal(signal.SIGTERM)  # as `--signal=B:TERM` does: to the batch script alone
        told, _ = first.communicate(timeout=300)
    finally:
        first.kill()
    assert first.returncode == 143, told
    assert secret not in told
    assert (job.home / "requeued").read_text().split() == [str(job.number)]
    assert job.events()[-1]["event"] == "sweep_ended"
    assert job.events()[-1]["status"] == "cancelled"
    left_nothing(job, wait_for)
    before = History.of(job.run_folder())
    assert before.started.slots["concurrent"] == 2, "one slot on each of the two nodes"
    done = {i for i, t in before.trials.items() if t.record is not None and t.record.ending.value != "cancelled"}
    assert len(done) < 3

    second = job.start(experiment, *wanted, restarts=1)
    try:
        told, _ = second.communicate(timeout=400)
    finally:
        second.kill()
    assert second.returncode == 0, told
    assert "resuming " in told
    assert (job.home / "requeued").read_text().split() == [str(job.number)], "a finished job is not requeued"
    after = History.of(job.run_folder())
    assert len(after.trials) == 3
    endings = {i: t.record.ending.value for i, t in after.trials.items() if t.record is not None}
    assert len(endings) == 3
    assert set(endings.values()) <= {"finished", "patience", "diverged"}
    assert len(after.resumes) == 1
    assert any(event["event"] == "winner" for event in job.events())
    left_nothing(job, wait_for)


def left_nothing(job: Job, wait_for: Callable[..., Any]) -> None:
    """No process of its Ray, no token and no scratch folder is there any more."""
    wait_for(lambda: not job.processes())
    assert not list(job.home.glob(".yolosweep-*"))
    assert not job.scratch.exists()


@pytest.mark.nightly
def test_the_sweep_s_exit_code_is_the_job_s_and_nothing_is_queued_again(job: Job, wait_for: Callable[..., Any]) -> None:
    experiment = job.home / "wrong.yaml"
    experiment.write_text("nmae: wrong\n")
    process = job.start(experiment)
    try:
        told, _ = process.communicate(timeout=300)
    finally:
        process.kill()
    assert process.returncode == 3, told
    assert "did you mean name?" in told
    assert not (job.home / "requeued").exists()
    left_nothing(job, wait_for)


def test_a_job_that_is_stopped_while_ray_starts_leaves_nothing_and_is_not_queued_again(
    job: Job, repository: Path, wait_for: Callable[..., Any]
) -> None:
    process = job.start(repository / "jobs" / "experiments" / "toy.yaml")
    try:
        wait_for(lambda: process.poll() is not None or job.scratch.exists())  # its Ray has begun
        process.send_signal(signal.SIGINT)  # as `scancel --batch --signal=INT` does
        told, _ = process.communicate(timeout=300)
    finally:
        process.kill()
    assert process.returncode == 143, told
    assert "stopped on request" in told
    assert not (job.home / "requeued").exists()
    left_nothing(job, wait_for)


@pytest.mark.parametrize(
    ("first", "left", "runs"),
    [
        ("toy.yaml", None, "run toy.yaml search.trials=8 storage={runs}"),
        ("toy.yaml", "{runs}/toy-1", "resume {runs}/toy-1"),
        ("{home}/old/toy-1", "{home}/old/toy-1", "resume {home}/old/toy-1 search.trials=8"),
    ],
    ids=["a new sweep", "requeued", "an older run"],
)
def test_what_the_job_runs(job: Job, first: str, left: str | None, runs: str) -> None:
    """Only which command is chosen: Ray and yolosweep are stand-ins too."""
    places = {"home": job.home, "runs": job.home / "runs" / f"slurm-{job.number}"}
    for name, text in {"python": "", "ray": "", "yolosweep": 'echo "ran: $*"; exit 5'}.items():
        (job.home / "venv" / "bin" / name).write_text(f"#!/bin/sh\n{text}\n")
    if left is not None:
        ledger = Path(left.format(**places)) / "ledger.jsonl"
        ledger.parent.mkdir(parents=True)
        ledger.touch()
    process = job.start(first.format(**places), "search.trials=8")
    told, _ = process.communicate(timeout=300)
    assert f"ran: {runs.format(**places)}\n" in told
    assert process.returncode == 5


@pytest.mark.nightly  # a stop that Ray hears: above
def test_a_ray_that_does_not_hear_the_end_of_the_job_is_ended(job: Job, wait_for: Callable[..., Any]) -> None:
    """As one that is told in the midst of its own start may not; a stand-in that ignores it."""
    deaf = "trap '' TERM; touch \"$HOME/deaf\"; while :; do sleep 0.1; done"
    waits = 'while ! [ -e "$HOME/deaf" ]; do sleep 0.1; done'
    for name, text in {"python": waits, "ray": deaf, "yolosweep": "exit 5"}.items():
        (job.home / "venv" / "bin" / name).write_text(f"#!/bin/sh\n{text}\n")
    process = job.start("toy.yaml")
    told, _ = process.communicate(timeout=300)
    assert process.returncode == 5, told
    left_nothing(job, wait_for)
