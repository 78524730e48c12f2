"""Two Ray nodes on this machine that see different files under the same path: a mount namespace of its own each."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest

pytestmark = pytest.mark.slow


@pytest.fixture
def data(parking: Path, tmp_path: Path) -> Path:
    shutil.copytree(parking, tmp_path / "lot")
    return tmp_path / "lot"


@pytest.mark.nightly  # unit/cluster/test_node_preparation compares a node; several nodes: test_nodes
def test_nodes_that_see_other_labels_are_named_before_the_first_trial(
    shell: Any, home: Path, repository: Path, data: Path, tmp_path: Path, namespaces: None, two_nodes: Any
) -> None:
    changed = tmp_path / "changed"
    shutil.copytree(data, changed)
    next((changed / "labels" / "train").glob("*.txt")).write_text("1 0.5 0.5 0.1 0.1\n")
    toy = repository / "jobs" / "experiments" / "toy.yaml"
    words = ("run", toy, f"data={data / 'data.yaml'}", "search.trials=2", "search.pruner=none", "train.epochs=2")
    with two_nodes(home, f"mount --bind '{changed}' '{data}'") as reach:
        refused = shell(*words, code=4, **reach)
        assert "has different files or labels" in refused.err
        assert "is not the same on every node" in refused.err
        assert not list(tmp_path.glob("runs/*"))


@pytest.mark.nightly
def test_a_node_without_the_data_stages_them_from_storage(
    shell: Any, home: Path, repository: Path, data: Path, tmp_path: Path, namespaces: None, two_nodes: Any, bucket: Any
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


@pytest.mark.nightly
def test_nodes_that_see_the_same_data_train(
    shell: Any, home: Path, repository: Path, data: Path, tmp_path: Path, namespaces: None, two_nodes: Any
) -> None:
    toy = repository / "jobs" / "experiments" / "toy.yaml"
    words = ("run", toy, f"data={data / 'data.yaml'}", "search.trials=2", "search.pruner=none", "train.epochs=2")
    with two_nodes(home, "true") as reach:
        shell(*words, **reach)
