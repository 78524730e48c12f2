"""Sweeps as jobs of a cluster that is locked by a token: one head on this machine, shared by all tests here."""

from __future__ import annotations

import contextlib
import json
import os
import re
import secrets
import shutil
import signal
import subprocess
import sys
import tempfile
import urllib.error
import urllib.request
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from tests.tools.python_path import ahead_of_ours
from tests.tools.toy_patch import slow_toy

from yolosweep.cluster.job_package import package_of, write_package
from yolosweep.ledger import RunFolder
from yolosweep.ledger.history import History
from yolosweep.records import Ending

pytestmark = pytest.mark.slow

LONG = ("search.trials=40", "train.epochs=150", "train.patience=0", "search.pruner=none", "resources.max_concurrent=1")
SHORT = ("search.trials=2", "train.epochs=10", "search.pruner=none", "resources.max_concurrent=1")


@dataclass
class Head:
    """A running head node and how to reach it."""

    address: str
    token: Path
    place: Path
    """Ray's temporary folder."""
    storage: Path
    environ: dict[str, str] = field(default_factory=dict)

    def get(self, path: str, *, token: str | None) -> tuple[int, str]:
        request = urllib.request.Request(self.address + path)
        if token is not None:
            request.add_header("Authorization", f"Bearer {token}")
        try:
            with urllib.request.urlopen(request, timeout=120) as answer:
                return answer.status, answer.read().decode(errors="replace")
        except urllib.error.HTTPError as error:
            with error:
                return error.code, error.read().decode(errors="replace")

    def runs(self) -> list[Path]:
        return sorted(ledger.parent for ledger in self.storage.glob("*/ledger.jsonl"))


@pytest.fixture(scope="module")
def head(home: Path, tmp_path_factory: pytest.TempPathFactory, free_ports: Any, end_cluster: Any) -> Iterator[Head]:
    place, token = Path(tempfile.mkdtemp(prefix="ray")), tmp_path_factory.mktemp("token") / "token"
    token.touch(mode=0o600)
    token.write_text(secrets.token_hex(32))
    dashboard, agent, client = free_ports(3)
    slow = slow_toy(tmp_path_factory.mktemp("slow"))
    kept = {
        k: v
        for k, v in os.environ.items()
        if k == "RAY_worker_niceness" or not k.startswith(("RAY_", "WANDB", "AWS_", "XDG"))
    }
    reach = {"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN_PATH": str(token), "RAY_USAGE_STATS_ENABLED": "0"}
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    words = ["--head", "--port=0", f"--temp-dir={place}", "--num-cpus=2", "--include-dashboard=true"]
    words += ["--include-log-monitor=false", "--no-monitor"]  # nobody reads them here
    words += [f"--dashboard-port={dashboard}", f"--dashboard-agent-listen-port={agent}"]
    words += [f"--ray-client-server-port={client}"]
    try:
        done = subprocess.run(
            [sys.executable, "-m", "ray.scripts.scripts", "start", *words],
            env={**kept, **reach, "HOME": str(home), "PATH": path, "PYTHONPATH": ahead_of_ours(slow)},
            capture_output=True, text=True,
        )  # fmt: skip
        assert done.returncode == 0, done.stdout + done.stderr
        yield Head(f"http://127.0.0.1:{dashboard}", token, place, tmp_path_factory.mktemp("storage"), reach)
    finally:
        end_cluster(str(place))


@pytest.fixture
def toy(repository: Path) -> Path:
    return repository / "jobs" / "experiments" / "toy.yaml"


def words(head: Head, toy: Path, name: str, *more: str) -> tuple[str | Path, ...]:
    return ("submit", toy, f"name={name}", f"storage={head.storage}", *more, "--address", head.address)


def rows(head: Head, name: str) -> int:
    found = [folder for folder in head.runs() if folder.name.startswith(name)]
    return sum(len(trial.rows) for folder in found for trial in History.of(RunFolder(folder)).trials.values())


def test_who_has_no_token_is_refused(shell: Any, head: Head) -> None:
    assert head.get("/api/jobs/", token=None)[0] == 401
    assert head.get("/api/jobs/", token=secrets.token_hex(32))[0] == 403
    assert head.get("/api/jobs/", token=head.token.read_text())[0] == 200
    assert "no token" in shell("jobs", "--address", head.address, code=6).err
    wrong = shell("jobs", "--address", head.address, code=6, RAY_AUTH_MODE="token", RAY_AUTH_TOKEN="wrong" * 8)
    assert "the token is not the cluster's" in wrong.err
    shell("jobs", "--address", head.address, **head.environ)


@pytest.fixture
def canaries() -> dict[str, str]:
    """Credentials that must be seen nowhere."""
    return {name: f"canary{secrets.token_hex(16)}" for name in ("WANDB_API_KEY", "AWS_SECRET_ACCESS_KEY")}


@pytest.fixture
def nobody(free_ports: Any) -> dict[str, str]:
    """A W&B server where nobody answers."""
    return {"WANDB_BASE_URL": f"http://127.0.0.1:{free_ports(1)[0]}"}


TRACKED = 'track={"wandb": {"project": "p"}}'


def test_a_sweep_brings_data_and_credentials_is_followed_to_its_end_and_found_again(
    shell: Any, head: Head, toy: Path, parking: Path, tmp_path: Path, wait_for: Any, canaries: Any, nobody: Any
) -> None:
    shutil.copytree(parking, tmp_path / "lot")
    asked = words(head, toy, "once", f"data={tmp_path / 'lot' / 'data.yaml'}", TRACKED, *SHORT)
    client = shell.start(*asked, "--json", **head.environ, **canaries, **nobody)
    wait_for(lambda: client.poll() is not None or rows(head, "once") > 5)
    during = places_of(head, shell.home, texts=canaries.values())
    out, err = client.communicate(timeout=300)
    assert client.returncode == 0, out + err
    assert re.search(r"the job carries \d+\.\d MiB \(data .* in \d+ files, code", err), err
    assert "t0001 finished" in err
    assert "credentials delivered: AWS_SECRET_ACCESS_KEY, WANDB_API_KEY, WANDB_BASE_URL" in err
    assert f"W&B: mirrored to {nobody['WANDB_BASE_URL'].removeprefix('http://')}" in err  # the driver has the key
    told = json.loads(out)
    assert (told["status"], told["exit_code"]) == ("SUCCEEDED", 0)
    run = RunFolder(told["run"])
    assert [trial.record.ending for trial in History.of(run).trials.values()] == [Ending.FINISHED] * 2
    assert (run.root / "winner" / "best.pt").is_file()
    assert not during
    assert not places_of(head, shell.home, texts=canaries.values())
    assert not [value for value in canaries.values() if value in out + err]

    again = shell(*asked, **head.environ)
    assert f"{told['id']} ended: succeeded, exit code 0" in again.err
    assert "--again" in again.err
    listed = json.loads(shell("jobs", "--json", "--address", head.address, **head.environ).out)
    assert [job["exit_code"] for job in listed if job["id"].startswith("once-")] == [0]

    shutil.rmtree(tmp_path / "lot")
    assert Path(History.of(run).dataset.source).is_relative_to(head.storage)
    shell("submit", "--resume", run.root, "search.trials=3", "--address", head.address, **head.environ)
    assert len(History.of(run).trials) == 3


def test_a_job_outlives_its_client_stops_on_request_and_goes_on(
    shell: Any, head: Head, toy: Path, wait_for: Any
) -> None:
    client = shell.start(*words(head, toy, "long", *LONG), **head.environ)
    wait_for(lambda: client.poll() is not None or rows(head, "long") > 5)
    assert client.poll() is None, client.communicate()
    os.killpg(client.pid, signal.SIGKILL)
    client.communicate()

    attached = shell(*words(head, toy, "long", *LONG), "--no-follow", **head.environ)
    found = re.search(r"attached to (long-\w+): .* is running", attached.err)
    assert found, attached.err
    job, ways = found[1], ("--address", head.address)
    leaving = shell.start("follow", job, *ways, **head.environ)
    assert leaving.stdout.readline()
    leaving.send_signal(signal.SIGINT)
    _, err = leaving.communicate(timeout=300)
    assert leaving.returncode == 130, err
    assert f"detached; {job} continues" in err
    assert f"yolosweep stop {job}" in err

    follower = shell.start("follow", job, *ways, **head.environ)
    assert follower.stdout.readline()
    before = rows(head, "long")
    stopped = shell("stop", job, *ways, **head.environ)
    out, _ = follower.communicate(timeout=300)
    assert follower.returncode == 143, out
    assert "stopped on request; all results are kept" in out
    (run,) = [folder for folder in head.runs() if folder.name.startswith("long")]
    assert f"yolosweep submit --resume {run}" in stopped.err
    trials = History.of(RunFolder(run)).trials
    (cut,) = [trial for trial in trials.values() if trial.record.ending is Ending.CANCELLED]
    assert rows(head, "long") >= before

    shell("submit", "--resume", run, f"search.trials={len(trials)}", *ways, **head.environ)
    after = History.of(RunFolder(run)).trials
    assert {trial.record.ending for trial in after.values()} == {Ending.FINISHED}
    assert after[cut.request.trial].resumes[0].from_epoch >= len(cut.rows) - 1


@pytest.mark.nightly  # what it runs is what `submit` sends: above
def test_a_plain_ray_job_runs_the_sweep_and_has_its_exit_code(
    shell: Any, head: Head, toy: Path, repository: Path, tmp_path: Path
) -> None:
    place = tmp_path / "place"
    shutil.copytree(repository / "jobs", place / "jobs")

    def submit(job: str, *overrides: str) -> subprocess.CompletedProcess[str]:
        ray = [sys.executable, "-m", "ray.scripts.scripts", "job", "submit", "--address", head.address]
        ray += ["--submission-id", job, "--working-dir", str(place), "--"]
        ray += ["python", "jobs/sweep.py", "jobs/experiments/toy.yaml", f"name={job}", *overrides]
        return subprocess.run(ray, env=shell.environment(**head.environ), capture_output=True, text=True, timeout=300)

    done = submit("plain", f"storage={head.storage}", *SHORT)
    assert done.returncode == 0, done.stdout + done.stderr
    assert [folder for folder in head.runs() if folder.name.startswith("plain")]
    assert submit("wrong").returncode != 0
    refused = shell("follow", "wrong", "--address", head.address, code=3, **head.environ)
    assert "storage (line" in refused.out or "storage: './runs' is relative" in refused.out
    assert "Traceback" not in refused.out


def test_a_wrong_experiment_is_refused_before_anything_is_sent(shell: Any, head: Head, toy: Path) -> None:
    refused = shell(*words(head, toy, "bad", "search.trails=3", "train.epochs=0"), code=3, **head.environ)
    assert "search.trails" in refused.err
    assert "train.epochs" in refused.err
    relative = shell("submit", toy, "--address", head.address, code=3, **head.environ)
    assert "storage: './runs' is relative" in relative.err
    jobs = json.loads(head.get("/api/jobs/", token=head.token.read_text())[1])
    assert not [job for job in jobs if str(job["submission_id"]).startswith("bad")]


def places_of(head: Head, *more: Path, texts: Iterable[str]) -> list[str]:
    """Return everywhere one of the texts can be seen: the dashboard's API, command lines, Ray's files, the storage."""
    token, found, wanted = head.token.read_text(), list[str](), [text.encode() for text in texts]

    def shows(content: bytes) -> bool:
        return any(text in content for text in wanted)

    state = ("actors", "jobs", "nodes", "tasks", "workers", "objects", "runtime_envs", "placement_groups")
    pages = ["/api/jobs/", *(f"/api/v0/{what}?detail=1&limit=10000" for what in state), "/api/v0/tasks/summarize"]
    for page in [*pages, "/api/cluster_status", "/logical/actors", "/nodes?view=summary"]:
        status, answer = head.get(page, token=token)
        assert status == 200, (page, status, answer)
        found += [page] if shows(answer.encode()) else []
    for process in Path("/proc").glob("[0-9]*/cmdline"):
        with contextlib.suppress(OSError):
            found += [str(process)] if shows(process.read_bytes()) else []
    for folder in (head.place, head.storage, *more):
        for file in folder.rglob("*"):
            if file.is_file() and not file.is_symlink():
                found += [str(file)] if shows(file.read_bytes()) else []
    return found


def test_the_search_finds_what_is_not_hidden(head: Head, wait_for: Any) -> None:
    marker = f"marker-{secrets.token_hex(8)}"
    body = {"entrypoint": "sleep 600", "submission_id": "open", "runtime_env": {"env_vars": {"OPEN": marker}}}
    request = urllib.request.Request(f"{head.address}/api/jobs/", data=json.dumps(body).encode())
    request.add_header("Authorization", f"Bearer {head.token.read_text()}")
    request.add_header("Content-Type", "application/json")
    urllib.request.urlopen(request, timeout=120).close()
    wait_for(lambda: json.loads(head.get("/api/jobs/open", token=head.token.read_text())[1])["status"] == "RUNNING")
    found = places_of(head, texts=[marker])
    assert "/api/jobs/" in found
    assert [place for place in found if place.startswith(str(head.place))]
    stop = urllib.request.Request(f"{head.address}/api/jobs/open/stop", method="POST", headers=dict(request.headers))
    urllib.request.urlopen(stop, timeout=120).close()


def test_credentials_reach_a_job_that_nobody_follows_and_are_seen_nowhere(
    shell: Any, head: Head, toy: Path, canaries: Any, nobody: Any
) -> None:
    asked = words(head, toy, "secret", *LONG, TRACKED, "--no-follow", "--json")
    unwatched = shell(*asked, **head.environ, **canaries, **nobody)
    assert "credentials delivered: AWS_SECRET_ACCESS_KEY" in unwatched.err
    job = json.loads(unwatched.out)["job"]
    during = places_of(head, shell.home, texts=canaries.values())
    stopped = shell("stop", job, "--json", "--address", head.address, **head.environ)
    assert json.loads(stopped.out)["exit_code"] == 143
    second = json.loads(shell(*asked, "--again", **head.environ, **canaries, **nobody).out)["job"]
    assert second == f"{job}-2"
    shell("stop", second, "--address", head.address, **head.environ)
    assert not during
    assert not places_of(head, shell.home, texts=canaries.values())
    told = unwatched.out + unwatched.err + stopped.out + stopped.err
    assert not [value for value in canaries.values() if value in told]


def test_workers_take_over_what_their_driver_shared(head: Head, shell: Any) -> None:
    canary = f"canary{secrets.token_hex(16)}"
    code = """
import os, ray, sys
from yolosweep.cluster import import_credentials, publish_credentials
ray.init(address=sys.argv[1], namespace="test", log_to_driver=False)
def seen():
    before = os.environ.get("AWS_SECRET_ACCESS_KEY")
    import_credentials()
    return before, os.environ.get("AWS_SECRET_ACCESS_KEY")
print(ray.get(ray.remote(seen).remote()))
keyring = publish_credentials(os.environ)
print(ray.get(ray.remote(seen).remote()) == (None, os.environ["AWS_SECRET_ACCESS_KEY"]))
"""
    address = (head.place / "ray_current_cluster").read_text().strip()
    environment = shell.environment(**head.environ, AWS_SECRET_ACCESS_KEY=canary)
    done = subprocess.run([sys.executable, "-c", code, address], env=environment, capture_output=True, text=True)
    assert done.stdout.split("\n")[:2] == ["(None, None)", "True"], done.stdout + done.stderr
    assert not places_of(head, texts=[canary])


def test_the_code_that_was_sent_is_what_driver_and_workers_run(head: Head, tmp_path: Path, shell: Any) -> None:
    load = package_of(None, {})
    load.texts["look.py"] = LOOK
    write_package(load, tmp_path / "load")
    code = "import os, sys; from yolosweep.cluster.jobs import JobServer; from pathlib import Path\n"
    code += "server = JobServer(sys.argv[1], os.environ)\n"
    code += "assert server.submit('look', Path(sys.argv[2]), ['look.py'])\n"
    code += "assert not server.submit('look', Path(sys.argv[2]), ['look.py'])\n"
    submitted = [sys.executable, "-c", code, head.address, str(tmp_path / "load")]
    subprocess.run(submitted, env=shell.environment(**head.environ), check=True, timeout=300)
    out = shell("follow", "look", "--address", head.address, **head.environ).out
    seen = [Path(line.partition(" ")[2]) for line in out.splitlines() if line.startswith("code ")]
    assert len(seen) == 2
    assert all(path.is_relative_to(head.place) for path in seen), seen
    assert "got {}" in out
    assert "warning: no credentials arrived from the submitter within 1 s" in out


LOOK = """
import os, ray, yolosweep
from yolosweep.cluster.secret_delivery import receive
print("code", yolosweep.__file__)
print("got", receive("look", os.environ["RAY_ADDRESS"], print, timeout_s=1))
ray.init(log_to_driver=False)
print("code", ray.get(ray.remote(lambda: __import__("yolosweep").__file__).remote()))
"""


@pytest.mark.nightly  # keys that reach a job: above; runs in a bucket: test_storage
def test_a_job_keeps_its_run_in_a_bucket_that_only_the_submitter_has_the_keys_of(
    shell: Any, head: Head, toy: Path, empty_bucket: Any, credentials: dict[str, str]
) -> None:
    storage = empty_bucket()
    asked = ("submit", toy, "name=bucket", f"storage={storage}", *SHORT, "--json", "--address", head.address)
    done = shell(*asked, **head.environ, **credentials)
    told = json.loads(done.out)
    assert told["run"].startswith("s3://"), done.err
    shown = json.loads(shell("show", told["run"], "--json", **credentials).out)
    assert shown["winner"] is not None
    assert not places_of(head, shell.home, texts=[credentials["AWS_SECRET_ACCESS_KEY"]])


def test_the_doctor_looks_at_the_nodes_from_outside(shell: Any, head: Head, toy: Path) -> None:
    assert "RAY_AUTH_MODE" in shell("doctor", "--address", "http://192.0.2.77:8265", code=6).err
    done = shell("doctor", toy, f"storage={head.storage}", "--address", head.address, **head.environ)
    assert re.search(r"good +2 +0", done.out), done.out
    assert "the same on every node" in done.out
    assert not list(head.storage.glob(".preflight-*"))
