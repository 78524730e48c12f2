"""What is said of a node, as a pure rule; and who may train on nodes that join."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from yolosweep.cluster.judge import Expected, judge
from yolosweep.cluster.preflight import Admission, NodeReport, arrived
from yolosweep.cluster.probe import Asked, NodeFacts, plant, probe, uproot
from yolosweep.cluster.room import Room, room_of
from yolosweep.errors import ClusterError
from yolosweep.experiment import Experiment
from yolosweep.experiment.schema import Resources, Search
from yolosweep.history import History
from yolosweep.records import PreparedDataset
from yolosweep.search.budget import room_for_another
from yolosweep.search.cluster_resources import allot
from yolosweep.search.nodes import Nodes
from yolosweep.search.places import Places

HERE = {"python": "3.11.7", "torch": "2.14.1"}
FACTS = NodeFacts(
    host="n1", versions=HERE, gpus=("H200",), disk_mb=9000, scratch_mb=9000, storage_mb=9000, shm_mb=9000, clock_s=105.0
)  # fmt: skip
ROOM = Room(trial_mb=500, cache_mb=800, running_mb=1000, kept_mb=100)
EXPECTED = Expected(
    versions=HERE, gpus=1, storage="/mnt/runs", room=ROOM, trials=2, trials_in_all=4, asked_s=100.0, answered_s=110.0
)  # fmt: skip

CASES: dict[str, tuple[dict[str, Any], dict[str, Any], list[tuple[str, bool, str]]]] = {
    "fine": ({}, {}, []),
    "another torch": ({"versions": {**HERE, "torch": "2.13.0"}}, {}, [("versions", True, "torch 2.13.0")]),
    "another build": ({"versions": {**HERE, "torch": "2.14.1+cu130"}}, {}, []),
    "no torch": ({"versions": {"python": "3.11.7"}}, {}, [("versions", True, "is not installed")]),
    "fewer GPUs": ({"gpus": (), "gpu_error": "driver too old"}, {}, [("GPUs", True, "can use 0 (driver too old)")]),
    "more GPUs": ({"gpus": ("a", "b")}, {}, [("GPUs", False, "stay idle")]),
    "declared GPUs": ({"gpus": (), "gpus_declared": True}, {}, [("GPUs", False, "not looked for")]),
    "a CPU node": ({"gpus": (), "gpu_error": "no CUDA"}, {"gpus": 0}, []),
    "trials that use none": ({"gpus": (), "gpu_error": "driver too old"}, {"gpus": None}, []),
    "no libGL": ({"opencv_error": "libGL.so.1"}, {}, [("OpenCV", True, "opencv-python-headless")]),
    "other storage": ({"storage_error": "another one"}, {}, [("storage", True, "/mnt/runs: another one")]),
    "full scratch": ({"scratch_mb": 900}, {}, [("disk", True, "about 1000 MiB needed for the states of 2 trials")]),
    "full cache": ({"disk_mb": 10}, {}, [("disk", True, "10 MiB free in the cache folder")]),
    "a cache for less": ({"disk_mb": 700}, {}, [("disk", False, "trial.image_cache_budget is 800")]),
    "full storage": ({"storage_mb": 4000}, {}, [("storage", True, "4000 MiB free in /mnt/runs, about 4100 MiB")]),
    "a bucket": ({"storage_mb": None}, {}, []),
    "little shared memory": ({"shm_mb": 64}, {}, [("shared memory", False, "--shm-size")]),
    "no loaders": ({"shm_mb": 64}, {"loaders": False}, []),
    "a clock that is behind": ({"clock_s": 80.0}, {}, [("clock", False, "20 s behind")]),
    "a clock that is far ahead": ({"clock_s": 1110.0}, {}, [("clock", True, "1000 s ahead of")]),
}


@pytest.mark.parametrize(("facts", "expected", "told"), CASES.values(), ids=CASES.keys())
def test_what_is_said_of_a_node(
    facts: dict[str, Any], expected: dict[str, Any], told: list[tuple[str, bool, str]]
) -> None:
    found = judge(replace(FACTS, **facts), replace(EXPECTED, **expected))
    assert [(problem.check, problem.red) for problem in found] == [(check, red) for check, red, _ in told]
    for problem, (_, _, text) in zip(found, told, strict=True):
        assert text in problem.text
    report = NodeReport(node="id", host="n1", resources={}, facts=FACTS, problems=tuple(found))
    assert report.good == (not any(red for _, red, _ in told))
    assert bool(report.reason) != report.good


@given(clock=st.floats(100.0, 110.0))
def test_a_clock_between_question_and_answer_is_never_blamed(clock: float) -> None:
    assert judge(replace(FACTS, clock_s=clock), EXPECTED) == []


def test_a_storage_is_known_by_what_was_planted_there(tmp_path: Any) -> None:
    marker = plant(str(tmp_path / "runs"))
    there = Asked(torch=False, storage=str(tmp_path / "runs"), marker=marker)
    facts = probe(there)
    assert facts.storage_error == ""
    assert facts.storage_mb == pytest.approx(facts.scratch_mb, rel=0.5)  # of this machine's disk
    assert arrived(str(tmp_path / "runs"), facts.storage_mark) == ""
    assert "not seen by the driver" in arrived(str(tmp_path / "runs"), facts.storage_mark)  # taken back already
    other = tmp_path / "other"
    other.mkdir()
    assert "not the storage" in probe(replace(there, storage=str(other))).storage_error
    assert list(other.iterdir()) == []  # nothing is written where it is not ours
    uproot(str(tmp_path / "runs"), marker)
    assert list((tmp_path / "runs").iterdir()) == []


FAKE_TORCH = """
class version: cuda = "13.0"
class Tensor:
    def __init__(self, device): self.device = device
    def __matmul__(self, other):
        if self.device == "cuda:1":
            raise RuntimeError("CUDA error: uncorrectable ECC error encountered")
        return self
def ones(*shape, device): return Tensor(device)
class cuda:
    device_count = staticmethod(lambda: 3)
    get_device_name = staticmethod(lambda index: f"H200 number {index}")
    synchronize = staticmethod(lambda index: None)
"""


def test_one_broken_gpu_does_not_hide_the_others(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "torch.py").write_text(FAKE_TORCH)
    monkeypatch.syspath_prepend(str(tmp_path))
    facts = probe(Asked(storage=None))  # a program of its own imports it
    assert facts.gpus == ("H200 number 0", "H200 number 2")
    assert facts.gpu_error == "GPU 1: CUDA error: uncorrectable ECC error encountered"
    (problem,) = list(judge(replace(FACTS, gpus=facts.gpus, gpu_error=facts.gpu_error), replace(EXPECTED, gpus=3)))
    assert "3 promised to Ray, torch can use 2 (GPU 1: CUDA error" in problem.text


def needs(size: int | None = None, **more: Any) -> Room:
    told = {"name": "n", "model": "yolo11n.yaml", "data": "d", "train": {"optimizer": "AdamW"}, **more}
    told["search"] = {"parameters": {"lr0": {"min": 0.001, "max": 0.1}}, **more.get("search", {})}
    return room_of(Experiment.model_validate(told), size)


def test_room_follows_model_and_trials() -> None:
    small, large, odd = needs(), needs(model="yolo11x.yaml"), needs(model="mine.yaml")
    assert small.trial_mb < 100 < 1000 < large.trial_mb == odd.trial_mb  # what is not known may be large
    assert needs(model="yolov8n.pt").trial_mb == small.trial_mb
    assert needs(model="toy/red").trial_mb < small.trial_mb
    assert needs(keep_top=9).kept_mb == 3 * small.kept_mb
    assert needs(trial={"keep_checkpoints": 5}).running_mb == 2 * small.running_mb
    assert small.storage_mb(3) == small.kept_mb + 3 * small.running_mb
    assert needs(trial={"image_cache_budget": 700}).cache_mb == 700
    assert needs(trial={"image_cache_budget": 700, "image_cache": "off"}).cache_mb == 0


def test_the_size_of_a_real_file_counts() -> None:
    assert needs(2**20, model="mine.pt").trial_mb == pytest.approx(12)  # half a million parameters, 24 bytes each


@pytest.mark.parametrize(
    ("resources", "node", "trials"),
    [
        ({}, {"CPU": 8, "GPU": 4}, 4),
        ({}, {"CPU": 8}, 2),
        ({"gpus_per_trial": 0.25}, {"CPU": 8, "GPU": 2}, 8),
        ({"gpus_per_trial": 2}, {"CPU": 8, "GPU": 5}, 2),
        ({"gpus_per_trial": 0, "cpus_per_trial": 2}, {"CPU": 8, "GPU": 1}, 4),
        ({"gpus_per_trial": 0, "cpus_per_trial": 1, "max_concurrent": 3}, {"CPU": 8}, 3),
        ({"gpus_per_trial": 1}, {"CPU": 0}, 1),
    ],
)
def test_trials_on_a_node(resources: dict[str, Any], node: dict[str, float], trials: int) -> None:
    assert needs(resources=resources).trials_on(node) == trials


def test_a_node_that_joins_is_asked_once() -> None:
    dataset = PreparedDataset(task="detect", source="d", train_on="d", names={}, images={}, fingerprint="f")
    admission = Admission(asked=Asked(torch=False), room=Room(), address="a", dataset=dataset, versions=HERE)
    nodes = Nodes(["first"], admission)
    assert nodes.ask("first") == "good"
    assert nodes.ask("late") is admission
    assert nodes.take("late", "n2", "disk: full") == "node n2 joined and is left out: disk: full"
    assert nodes.take("late", "n2", "") is None  # two of its places looked at the same time
    assert nodes.ask("late") == "bad"
    assert nodes.take("other", "n3", "") == "node n3 joined"
    assert nodes.ask("other") == "good"
    assert Nodes([], None).ask("anyone") == "good"


def test_where_no_node_is_left_the_error_says_why() -> None:
    with pytest.raises(ClusterError, match=r"the nodes have 0 CPU \+ 0 GPU(?s:.*)\n  node n2 is left out: disk: full$"):
        allot(Resources(), [{"CPU": 0.0}], 20, left_out=["node n2 is left out: disk: full"])


def test_places_beyond_what_fits_are_asked_for_only_where_nodes_may_join() -> None:
    asked, nodes = Resources(gpus_per_trial=0.0, cpus_per_trial=1.0, max_concurrent=8), [{"CPU": 2.0}]
    assert allot(asked, nodes, 20).concurrent == 2
    assert allot(asked, nodes, 20, may_grow=True).concurrent == 8
    assert allot(asked, nodes, 3, may_grow=True).concurrent == 3
    unsaid = asked.model_copy(update={"max_concurrent": None})
    assert allot(unsaid, nodes, 20, may_grow=True).concurrent == 2


def test_without_an_epoch_budget_there_is_room() -> None:
    search = Search.model_validate({"parameters": {"lr0": {"min": 0.1, "max": 1.0}}})
    assert room_for_another(search, History(), 10) == "yes"
    assert room_for_another(search.model_copy(update={"epoch_budget": 9}), History(), 10) == "no"
    assert room_for_another(search.model_copy(update={"epoch_budget": 10}), History(), 10) == "yes"


def test_processes_that_cannot_begin_are_hopeless_only_where_nobody_trains() -> None:
    places = Places()
    places.sit(0, "t0000")
    assert [places.lose(1, now=0.0)[1] for _ in range(4)] == [False] * 4
    places.rise("t0000", "cpu")
    assert places.lose(1, now=0.0) == (None, True)
