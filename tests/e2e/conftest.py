"""Ray nodes on this machine for tests of a cluster."""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import socket
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import psutil
import pytest


def ray_start(*words: str, home: Path, more: dict[str, str], before: str = "") -> str:
    """Start a Ray node, in a mount namespace of its own where something is to be done before."""
    kept = {k: v for k, v in os.environ.items() if k == "RAY_worker_niceness" or not k.startswith(("RAY_", "XDG"))}
    environment = {**kept, "HOME": str(home), "RAY_AUTH_MODE": "disabled", **more}
    lean = ["--include-log-monitor=false", *(["--no-monitor"] if "--head" in words else [])]  # nobody reads them here
    command = [sys.executable, "-m", "ray.scripts.scripts", "start", *words, *lean]
    if before:
        command = ["unshare", "--mount", "sh", "-c", f'{before} && exec "$@"', "sh", *command]
    done = subprocess.run(command, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def end(place: str) -> None:
    """End all processes of the cluster that keeps its files in ``place``, and remove them."""
    here = Path(place) / "ray_current_cluster"  # the Ray client's server knows the cluster's address alone
    marks = [place, *([f"--address={here.read_text().strip()}"] if here.is_file() else [])]
    lines = {one: " ".join(one.info["cmdline"] or []) for one in psutil.process_iter(["cmdline"])}
    ours = [one for one, line in lines.items() if any(mark in line for mark in marks)]
    for process in [child for one in ours for child in one.children(recursive=True)] + ours:
        with contextlib.suppress(psutil.NoSuchProcess):
            process.kill()
    shutil.rmtree(place, ignore_errors=True)


@contextlib.contextmanager
def started(home: Path, before: str, **more: str) -> Iterator[dict[str, str]]:
    """Yield how to reach a Ray of two nodes; the second runs ``before`` in its own namespace."""
    place = tempfile.mkdtemp(prefix="ray")
    try:
        head = ("--head", "--port=0", f"--temp-dir={place}", "--num-cpus=2", "--include-dashboard=false")
        found = re.search(r"--address='([^']+)'", ray_start(*head, home=home, more=more))
        assert found
        ray_start(f"--address={found[1]}", "--num-cpus=2", home=home, before=before, more=more)
        yield {"RAY_ADDRESS": found[1], "RAY_AUTH_MODE": "disabled"}
    finally:
        end(place)


@pytest.fixture(scope="session")
def two_nodes() -> Callable[..., contextlib.AbstractContextManager[dict[str, str]]]:
    """A function that starts two nodes, the second with a mount namespace of its own."""
    return started


@pytest.fixture
def namespaces() -> None:
    if subprocess.run(["unshare", "--mount", "true"], capture_output=True).returncode:
        pytest.skip("mount namespaces need root")


@dataclass
class Nodes:
    """A Ray cluster on this machine to which nodes are added one by one."""

    home: Path
    place: str
    reach: dict[str, str]
    """The environment by which it is reached."""

    def raylets(self) -> list[psutil.Process]:
        """Return the process of every node, in the order they started."""
        found = [
            one
            for one in psutil.process_iter(["cmdline", "create_time"])
            if (line := one.info["cmdline"] or []) and line[0].endswith("raylet") and self.place in " ".join(line)
        ]
        return sorted(found, key=lambda one: float(one.info["create_time"]))

    def registered(self) -> int:
        """Return how many living nodes the head knows: a raylet runs a moment before it is one of them."""
        ask = (
            "import os; from ray._raylet import GcsClient; nodes = GcsClient(address=os.environ['RAY_ADDRESS'])"
            ".get_all_node_info().values(); print(sum(node.state == 0 for node in nodes))"
        )
        environment = {**os.environ, **self.reach}
        done = subprocess.run([sys.executable, "-c", ask], env=environment, capture_output=True, text=True, check=True)
        return int(done.stdout)

    def join(self, *words: str, alone: bool = False, **more: str) -> psutil.Process:
        """Add a node and return its raylet; ``alone``: with Ray's temporary folder of its own, as on another machine.

        Nodes that share one delete what the others still need of a job: its working directory.
        """
        address, before = f"--address={self.reach['RAY_ADDRESS']}", f"mount -t tmpfs tmpfs {self.place}"
        ray_start(address, *words, home=self.home, more={**self.reach, **more}, before=before if alone else "")
        return self.raylets()[-1]

    def kill(self, raylet: psutil.Process) -> None:
        """End a node as a machine that loses its power does."""
        for process in [raylet, *raylet.children(recursive=True)]:
            with contextlib.suppress(psutil.NoSuchProcess):
                process.kill()


@pytest.fixture
def start_cluster(home: Path) -> Iterator[Callable[..., Nodes]]:
    """A function that starts a head with the given words of ``ray start``; everything ends with the test."""
    places: list[str] = []

    def start(*words: str, **more: str) -> Nodes:
        places.append(place := tempfile.mkdtemp(prefix="ray"))
        told = ray_start("--head", "--port=0", f"--temp-dir={place}", *words, home=home, more=more)
        found = re.search(r"--address='([^']+)'", told)
        assert found, told
        how = {name: value for name, value in more.items() if name != "PYTHONPATH"}  # of the node alone
        return Nodes(home, place, {"RAY_ADDRESS": found[1], "RAY_AUTH_MODE": "disabled", **how})

    yield start
    for place in places:
        end(place)


@pytest.fixture(scope="session")
def end_cluster() -> Callable[[str], None]:
    """A function that ends all processes of a cluster, by the folder it keeps its files in."""
    return end


@pytest.fixture(scope="session")
def free_ports() -> Callable[[int], list[int]]:
    """A function that returns ports nobody listens on."""

    def find(count: int) -> list[int]:
        with contextlib.ExitStack() as held:
            found = [held.enter_context(socket.socket()) for _ in range(count)]
            for one in found:
                one.bind(("127.0.0.1", 0))
            return [one.getsockname()[1] for one in found]

    return find
