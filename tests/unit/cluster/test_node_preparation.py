"""What a node needs before its first trial: the data, its own view of them, and the run's files."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from yolosweep.cluster import (
    Admission,
    DiskEstimate,
    ProbeRequest,
    disk_needs,
    prepare_node,
    reply_fault,
    with_local_paths,
    write_probe,
    write_view_on_driver,
)
from yolosweep.cluster import node_preparation as node_module
from yolosweep.cluster.preflight import check_this_node
from yolosweep.cluster.versions import versions
from yolosweep.data import examine
from yolosweep.errors import DataError
from yolosweep.experiment import Experiment
from yolosweep.ledger import RunFolder
from yolosweep.records import PreparedDataset, TrialRequest


def draw(folder: Path) -> None:
    """Write a data set of four noisy pictures."""
    for number, split in enumerate(("train", "train", "val", "val")):
        for kind in ("images", "labels"):
            (folder / kind / split).mkdir(parents=True, exist_ok=True)
        Image.effect_noise((64, 64), 40 + number).convert("RGB").save(folder / "images" / split / f"{number}.png")
        (folder / "labels" / split / f"{number}.txt").write_text("0 0.5 0.5 0.2 0.2\n")
    (folder / "data.yaml").write_text("train: images/train\nval: images/val\nnames: [car]\n")


@pytest.fixture
def begun(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[RunFolder, PreparedDataset]:
    """A run in an object storage as the machine left it where the sweep began; then this is another machine."""
    draw(tmp_path / "lot")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "head"))
    run = RunFolder.create((tmp_path / "bucket").as_uri(), "toy")
    gate = examine(str(tmp_path / "lot" / "data.yaml"), "detect")
    dataset = write_view_on_driver(gate, gate.dataset, run)
    (tmp_path / "start.pt").write_bytes(b"weights")
    run.publish(tmp_path / "start.pt", run.model("start.pt"))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "node"))
    return run, dataset


def test_a_node_writes_its_own_view_and_fetches_the_model_once(
    begun: tuple[RunFolder, PreparedDataset], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run, dataset = begun
    train_on = prepare_node(run.address, dataset)
    assert Path(train_on).is_relative_to(tmp_path / "node")
    view = json.loads(Path(train_on).read_text())
    assert all(Path(line).is_file() for line in (Path(train_on).parent / view["train"]).read_text().splitlines())
    request = TrialRequest(
        sweep=run.sweep, trial="t0000", number=0, task="detect", model=str(run.model("start.pt")),
        data=dataset.train_on, settings={"epochs": 1}, asked={}, identity="", metric="m",
        folder=run.address,
    )  # fmt: skip
    here = with_local_paths(request, train_on)
    assert Path(here.model).read_bytes() == b"weights"
    assert here.model != request.model
    assert here.data == train_on

    def never(*_: Any) -> None:
        raise AssertionError("it was prepared again")

    monkeypatch.setattr(node_module, "examine", never)
    assert prepare_node(run.address, dataset) == train_on


def test_a_node_with_other_data_is_refused(begun: tuple[RunFolder, PreparedDataset], tmp_path: Path) -> None:
    run, dataset = begun
    next((tmp_path / "lot" / "labels" / "train").glob("*.txt")).write_text("0 0.5 0.5 0.1 0.1\n")
    with pytest.raises(DataError, match="different files or labels"):
        prepare_node(run.address, dataset)


def test_a_request_of_a_local_run_stays_as_it_is(tmp_path: Path) -> None:
    request = TrialRequest(
        sweep="s", trial="t0000", number=0, task="detect", model="/x/start.pt", data="/x/data.yaml", settings={},
        asked={}, identity="", metric="m", folder=str(tmp_path),
    )  # fmt: skip
    assert with_local_paths(request, "/y/data.yaml") == request


@pytest.fixture
def admission(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Admission:
    """What a node is asked that joins a sweep with its run in a folder and its data in a storage."""
    draw(tmp_path / "lot")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "head"))
    gate, run = examine((tmp_path / "lot" / "data.yaml").as_uri(), "detect"), str(tmp_path / "run")
    return Admission(
        probe=ProbeRequest(torch=False, storage=run, marker=write_probe(run)), disk=DiskEstimate(), address=run,
        dataset=gate.dataset,
        versions=versions(), first=str(gate.layout.splits["train"][0].image),
    )  # fmt: skip


def test_a_node_that_joins_may_train_where_all_is_the_same(admission: Admission) -> None:
    fault, reply = check_this_node(admission, {"CPU": 1.0}, time.time)
    assert fault == ""
    assert reply_fault(admission.address, reply) == ""


def test_a_node_that_joins_is_asked_for_its_clock(admission: Admission) -> None:
    fault, _ = check_this_node(admission, {"CPU": 1.0}, lambda: time.time() + 1000)
    assert fault.startswith("clock: ")
    assert "s behind the driver's" in fault


def test_a_node_that_joins_needs_the_data_at_the_same_place(
    admission: Admission, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "node"))
    fault, _ = check_this_node(admission, {"CPU": 1.0}, time.time)
    assert fault.startswith(f"data: the same files are under another path ({tmp_path / 'node'}")
    label = next((tmp_path / "lot" / "labels" / "train").glob("*.txt"))
    label.write_text("0 0.5 0.5 0.1 0.1\n")
    assert "different files or labels" in check_this_node(admission, {"CPU": 1.0}, time.time)[0]


def test_a_copy_of_staged_data_needs_disk_and_data_of_ones_own_need_none(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    draw(tmp_path / "lot")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    told = {"name": "n", "model": "yolo11n.yaml", "data": "d", "train": {"optimizer": "AdamW", "imgsz": 64}}
    exp = Experiment.model_validate({**told, "search": {"parameters": {"lr0": {"min": 0.001, "max": 0.1}}}})
    own, address = (tmp_path / "lot" / "data.yaml"), (tmp_path / "lot" / "data.yaml").as_uri()

    def needs(source: str) -> DiskEstimate:
        return disk_needs(
            exp, examine(source, "detect"), model_bytes=None, address=str(tmp_path / "run"), allocation=None
        )

    assert needs(str(own)).copy_mb == 0
    copy_mb = needs(address).copy_mb
    (staged,) = (place for place in (tmp_path / "cache" / "yolosweep" / "staged").iterdir() if place.is_dir())
    assert copy_mb == pytest.approx(sum(file.stat().st_size for file in staged.rglob("*") if file.is_file()) / 2**20)
    assert copy_mb > 0
    assert needs(address).images_mb > 0
    weights = tmp_path / "run" / "trials" / "t0000" / "best.pt"
    weights.parent.mkdir(parents=True)
    weights.write_bytes(bytes(2**20))
    assert needs(address).held_mb == 1
