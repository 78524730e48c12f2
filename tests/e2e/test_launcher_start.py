"""The start commands of launcher files, run on this machine: a head, a node of one's own and a spot machine of AWS.

Ray's launcher would run them over ssh. The ports are free ones here, and ``--block`` keeps each start a child of the
test; the rest of each line, its shell, the token's file and the autoscaler with its local provider are as in the file.
"""

from __future__ import annotations

import contextlib
import json
import os
import secrets
import socket
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import psutil
import pytest
from ruamel.yaml import YAML

pytestmark = pytest.mark.slow


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@dataclass
class Machines:
    """A home folder as the launcher leaves it, in which the two nodes start."""

    home: Path
    config: dict[str, Any]
    ip: str
    port: int = field(default_factory=free_port)
    dashboard: int = field(default_factory=free_port)
    running: list[subprocess.Popen[str]] = field(default_factory=list)

    def environment(self, **more: str) -> dict[str, str]:
        kept = {k: v for k, v in os.environ.items() if k == "RAY_worker_niceness" or not k.startswith(("RAY_", "XDG"))}
        return {**kept, "HOME": str(self.home), "RAY_HEAD_IP": self.ip, **more}

    def start(self, key: str, config: dict[str, Any] | None = None) -> None:
        """Run the start command of one kind of node, without the ``ray stop`` before it: it would end all Rays here."""
        (command,) = [line for line in (config or self.config)[key] if "ray start" in line]
        for asked, here in (("6379", self.port), ("8265", self.dashboard)):
            command = command.replace(f"port={asked}", f"port={here}").replace(f":{asked}", f":{here}")
        last, size = "--disable-usage-stats", "--dashboard-agent-listen-port=0 --num-cpus=1 --num-gpus=1"
        block = "" if "--block" in command else "--block"
        command = command.replace(last, f"{last} {size} {block}").replace(
            "object-manager-port=8076", "object-manager-port=0"
        )
        with (self.home / f"{key}.log").open("w") as log:
            process = subprocess.Popen(
                ["bash", "-c", command],
                env=self.environment(AWS_EC2_METADATA_SERVICE_ENDPOINT="http://127.0.0.1:1"),
                stdout=log,
                stderr=log,
                text=True,
                start_new_session=True,
            )
        self.running.append(process)

    def join_without_token(self) -> subprocess.CompletedProcess[str]:
        """Try to run code on the cluster from a process that has no token."""
        code = "import ray; ray.init(log_to_driver=False); print(ray.nodes())"
        return subprocess.run(
            [sys.executable, "-W", "ignore", "-c", code],
            env=self.environment(RAY_ADDRESS=f"{self.ip}:{self.port}", RAY_AUTH_MODE="disabled"),
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )

    def ask(self, path: str, token: str | None) -> tuple[int, bytes]:
        """Ask the dashboard and return the answer's status and body; 0 if nobody answers."""
        headers = {} if token is None else {"Authorization": f"Bearer {token}"}
        asked = urllib.request.Request(f"http://127.0.0.1:{self.dashboard}{path}", headers=headers)
        try:
            with urllib.request.urlopen(asked, timeout=120) as answer:
                return int(answer.status), answer.read()
        except urllib.error.HTTPError as error:
            error.close()
            return error.code, b""
        except OSError:
            return 0, b""

    def nodes(self, token: str) -> int:
        status, body = self.ask("/nodes?view=summary", token)
        return len(json.loads(body)["data"]["summary"]) if status == 200 else 0

    def mine(self, word: str = "") -> list[psutil.Process]:
        """Return the processes that are at home here, those whose command holds a word."""
        found = []
        for process in psutil.process_iter():
            with contextlib.suppress(psutil.Error):
                if process.environ().get("HOME") == str(self.home) and word in " ".join(process.cmdline()):
                    found.append(process)
        return found

    def end(self, wait_for: Callable[..., Any]) -> None:
        """End all nodes, the latest first, with all that they started."""
        for process in reversed(self.running):
            everything = self.mine()
            if process is not self.running[0]:
                everything = [one for one in everything if process.pid in (one.pid, *(up.pid for up in one.parents()))]
            for one in everything:
                with contextlib.suppress(psutil.NoSuchProcess):
                    one.terminate()
            with contextlib.suppress(AssertionError):
                wait_for(partial(gone, everything), timeout_s=20)
            for one in filter(alive, everything):
                one.kill()
            process.wait(timeout=300)


def gone(processes: list[psutil.Process]) -> bool:
    return not any(map(alive, processes))


def alive(process: psutil.Process) -> bool:
    try:
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


@pytest.fixture
def machines(repository: Path, tmp_path: Path, wait_for: Callable[..., Any]) -> Iterator[Machines]:
    from ray.autoscaler._private.util import prepare_config
    from ray.util import get_node_ip_address

    ip = get_node_ip_address()
    config = YAML(typ="safe", pure=True).load(repository / "cluster" / "on-premises" / "cluster.yaml")
    here = {
        **config,
        "cluster_name": f"test-{secrets.token_hex(4)}",
        "provider": {"type": "local", "head_ip": ip, "worker_ips": []},
        "min_workers": 0,
        "max_workers": 0,
        "file_mounts": {},
    }
    (tmp_path / "ray_bootstrap_config.yaml").write_text(json.dumps(prepare_config(here)))
    for name, module in (("ray", "ray.scripts.scripts"), ("yolosweep", "yolosweep")):
        program = tmp_path / "sweep" / "bin" / name
        program.parent.mkdir(parents=True, exist_ok=True)
        program.write_text(f'#!/bin/sh\nexec {sys.executable} -m {module} "$@"\n')
        program.chmod(0o755)
    token = tmp_path / ".ray" / "auth_token"
    token.parent.mkdir(mode=0o700)
    token.touch(mode=0o600)
    token.write_text(secrets.token_hex(32))
    machines = Machines(tmp_path, config, ip)
    yield machines
    machines.end(wait_for)


def test_head_and_worker_find_each_other_and_let_nobody_in_without_the_token(
    machines: Machines, repository: Path, wait_for: Callable[..., Any]
) -> None:
    machines.start("head_start_ray_commands")
    token = (machines.home / ".ray" / "auth_token").read_text()
    wait_for(lambda: machines.nodes(token) == 1)
    machines.start("worker_start_ray_commands")
    wait_for(lambda: machines.nodes(token) == 2)

    jobs = "/api/jobs/"
    assert [machines.ask(jobs, key)[0] for key in (token, None, "0" * 64)] == [200, 401, 403]
    refused = machines.join_without_token()
    assert refused.returncode != 0
    assert "uthentication" in refused.stderr, refused.stderr
    listening = {
        connection.laddr.ip
        for connection in psutil.net_connections("tcp")
        if connection.status == psutil.CONN_LISTEN and connection.laddr.port == machines.dashboard
    }
    assert listening <= {"127.0.0.1", "::1"}
    assert listening

    aws = YAML(typ="safe", pure=True).load(repository / "cluster" / "aws" / "cluster.yaml")
    machines.start("worker_start_ray_commands", aws)
    wait_for(lambda: machines.nodes(token) == 3)
    assert machines.running[-1].wait(timeout=300) == 0  # the launcher goes on; the node stays
    (spot, *_) = machines.mine("yolosweep node")
    spot.terminate()
    wait_for(lambda: not alive(spot))
    assert len(machines.mine("raylet/raylet")) == 2
    assert "node drained" in (machines.home / "node.log").read_text()
    for log in machines.home.glob("*.log"):
        assert token not in log.read_text(errors="replace")
