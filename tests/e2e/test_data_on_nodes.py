"""Two Ray nodes on this machine that see different files under the same path: a mount namespace of its own each."""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest

pytestmark = pytest.mark.slow


def ray_start(*words: str, home: Path, more: dict[str, str], before: str = "") -> str:
    """Start a Ray node, in a mount namespace of its own where something is to be done before."""
    kept = {k: v for k, v in os.environ.items() if not k.startswith("RAY_")}
    environment = {**kept, "HOME": str(home), "RAY_AUTH_MODE": "disabled", **more}
    command = [sys.executable, "-m", "ray.scripts.scripts", "start", *words]
    if before:
        command = ["unshare", "--mount", "sh", "-c", f'{before} && exec "$@"', "sh", *command]
    done = subprocess.run(command, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.fixture
def data(shell: Any, tmp_path: Path) -> Path:
    shell("sample", "parking", tmp_path / "lot")
    return tmp_path / "lot"


@contextlib.contextmanager
def two_nodes(home: Path, before: str, **more: str) -> Iterator[dict[str, str]]:
    """Yield how to reach a Ray of two nodes; the second runs ``before`` in its own namespace."""
    place = tempfile.mkdtemp(prefix="ray")
    try:
        head = ("--head", "--port=0", f"--temp-dir={place}", "--num-cpus=2", "--include-dashboard=false")
        found = re.search(r"--address='([^']+)'", ray_start(*head, home=home, more=more))
        assert found
        ray_start(f"--address={found[1]}", "--num-cpus=2", home=home, before=before, more=more)
        yield {"RAY_ADDRESS": found[1], "RAY_AUTH_MODE": "disabled"}
    finally:
        ours = [one for one in psutil.process_iter(["cmdline"]) if place in " ".join(one.info["cmdline"] or [])]
        for process in [child for one in ours for child in one.children(recursive=True)] + ours:
            with contextlib.suppress(psutil.NoSuchProcess):
                process.kill()
        shutil.rmtree(place, ignore_errors=True)


@pytest.fixture
def namespaces() -> None:
    if subprocess.run(["unshare", "--mount", "true"], capture_output=True).returncode:
        pytest.skip("mount namespaces need root")


def test_nodes_that_see_other_labels_are_named_before_the_first_trial(
    shell: Any, home: Path, repository: Path, data: Path, tmp_path: Path, namespaces: None
) -> None:
    changed = tmp_path / "changed"
    shutil.copytree(data, changed)
    next((changed / "labels" / "train").glob("*.txt")).write_text("1 0.5 0.5 0.1 0.1\n")
    toy = repository / "jobs" / "experiments" / "toy.yaml"
    words = ("run", toy, f"data={data / 'data.yaml'}", "search.trials=2", "search.pruner=none", "train.epochs=2")
    with two_nodes(home, f"mount --bind '{changed}' '{data}'") as reach:
        refused = shell(*words, code=4, **reach)
        assert "sees other files or labels" in refused.err
        assert "is not the same on every node" in refused.err
        assert not list(tmp_path.glob("runs/*"))


def test_a_node_without_the_data_stages_them_from_storage(
    shell: Any, home: Path, repository: Path, data: Path, tmp_path: Path, namespaces: None, bucket: Any
) -> None:
    address, credentials = bucket(data)
    mine, theirs = home / ".cache" / "yolosweep", tmp_path / "its own cache"
    mine.mkdir(parents=True, exist_ok=True)
    theirs.mkdir()
    toy = repository / "jobs" / "experiments" / "toy.yaml"
    words = ("run", toy, f"data={address}", "search.trials=4", "search.pruner=none", "train.epochs=2")
    with two_nodes(home, f"mount --bind '{theirs}' '{mine}'", **credentials) as reach:
        shell(*words, **reach, **credentials)
    (here,), (there,) = (list(place.glob("staged/*/images")) for place in (mine, theirs))
    assert sorted(p.name for p in here.rglob("*.jpg")) == sorted(p.name for p in there.rglob("*.jpg"))
    (folder,) = tmp_path.glob("runs/*")
    told = "".join(p.read_text() for p in (folder / "ledger.jsonl", folder / "experiment.yaml"))
    assert credentials["AWS_SECRET_ACCESS_KEY"] not in told


def test_nodes_that_see_the_same_data_train(
    shell: Any, home: Path, repository: Path, data: Path, tmp_path: Path, namespaces: None
) -> None:
    toy = repository / "jobs" / "experiments" / "toy.yaml"
    words = ("run", toy, f"data={data / 'data.yaml'}", "search.trials=2", "search.pruner=none", "train.epochs=2")
    with two_nodes(home, "true") as reach:
        shell(*words, **reach)
