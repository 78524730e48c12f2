"""What is said of a node, as a pure rule; and who may train on nodes that join."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from yolosweep.cluster.disk_estimate import DiskEstimate, checkpoint_needs, decoded_mb
from yolosweep.cluster.node_checks import Expected, node_problems
from yolosweep.cluster.node_probe import Disk, NodeFacts, ProbeRequest, probe, remove_probe, write_probe
from yolosweep.cluster.preflight import NodeReport, reply_fault
from yolosweep.cluster.trial_capacity import Allocation
from yolosweep.data import copied
from yolosweep.errors import ClusterError
from yolosweep.experiment import Experiment
from yolosweep.experiment.schema import Resources, Search
from yolosweep.ledger.history import History
from yolosweep.runtime.trial_resources import allot
from yolosweep.search.budget import room_for_another
from yolosweep.search.worker_table import WorkerTable

HERE = {"python": "3.11.7", "torch": "2.14.1"}
DISKS = {"temporary folder": Disk(1, 9000), "cache folder": Disk(2, 9000), "storage": Disk(3, 9000)}
FACTS = NodeFacts(host="n1", versions=HERE, gpus=("H200", "H200"), disks=DISKS, shm_mb=9000, clock_s=105.0)
ALLOCATION = Allocation(cpus=1, gpus=1, concurrent=4)
DISK = DiskEstimate(
    rank_mb=500, trial_mb=1000, kept_mb=100, images_mb=800, budget_mb=700, copy_mb=300, allocation=ALLOCATION
)  # fmt: skip
BUCKET = replace(DISK, in_bucket=True)
EXPECTED = Expected(
    versions=HERE, storage="/mnt/runs", disk=DISK, resources={"CPU": 2, "GPU": 2},
    sent_s=100.0, answered_s=110.0,
)  # fmt: skip


def disks(*free: float, devices: tuple[int, ...] = (1, 2, 3)) -> dict[str, dict[str, Disk]]:
    """Return the facts of disks with so much free, of the temporary folder, the cache folder and the storage."""
    return {"disks": {place: Disk(device, mb) for place, device, mb in zip(DISKS, devices, free, strict=False)}}


CASES: dict[str, tuple[dict[str, Any], dict[str, Any], list[tuple[str, bool, str]]]] = {
    "fine": ({}, {}, []),
    "another torch": ({"versions": {**HERE, "torch": "2.13.0"}}, {}, [("versions", True, "torch 2.13.0")]),
    "another build": ({"versions": {**HERE, "torch": "2.14.1+cu130"}}, {}, []),
    "no torch": ({"versions": {"python": "3.11.7"}}, {}, [("versions", True, "is not installed")]),
    "fewer GPUs": ({"gpus": (), "gpu_error": "driver too old"}, {}, [("GPUs", True, "can use 0 (driver too old)")]),
    "a broken GPU among more": (
        {"gpus": ("a", "b"), "gpu_error": "GPU 2: ECC error"},
        {},
        [
            (
                "GPUs",
                True,
                "2 (GPU 2: ECC error); repair the GPU or its driver, or start Ray with CUDA_VISIBLE_DEVICES set to the",
            )
        ],
    ),
    "more GPUs": ({"gpus": ("a", "b", "c")}, {}, [("GPUs", False, "stay idle")]),
    "declared GPUs": ({"gpus": (), "gpus_declared": True}, {}, [("GPUs", False, "not checked")]),
    "a CPU node": ({"gpus": (), "gpu_error": "no CUDA"}, {"resources": {"CPU": 2}}, []),
    "trials that use none": ({"gpus": (), "gpu_error": "driver too old"}, {"uses_gpus": False}, []),
    "no libGL": ({"opencv_error": "libGL.so.1"}, {}, [("OpenCV", True, "opencv-python-headless")]),
    "other storage": ({"storage_error": "another one"}, {}, [("storage", True, "/mnt/runs: another one")]),
    "full scratch": (
        disks(900, 9000, 9000),
        {},
        [
            (
                "disk",
                True,
                "900 MiB free in the temporary folder, about 1050 MiB needed: 1000 for states of 2 trainings, 50",
            )
        ],
    ),
    "full cache": (
        disks(9000, 340, 9000),
        {},
        [("disk", True, "350 MiB needed: 50 for label caches, 300 for the data")],
    ),
    "data that are there": ({**disks(9000, 340, 9000), "has_copy": True, "decoded_mb": 700}, {}, []),
    "full storage": (
        disks(9000, 9000, 4000),
        {},
        [("storage", True, "4000 MiB free in the storage /mnt/runs, about 4100 MiB needed: 4100 for checkpoints of 4")],
    ),
    "a sweep that goes on": (disks(9000, 9000, 4000), {"disk": replace(DISK, held_mb=200)}, []),
    "a late node": (disks(9000, 9000, 10), {"late": True}, []),
    "one disk for all": (
        disks(5000, 5000, 5000, devices=(1, 1, 1)),
        {},
        [("disk", True, "in the temporary folder and the cache folder and the storage /mnt/runs, about 5500 MiB")],
    ),
    "one disk that is large enough": (disks(6500, 6500, 6500, devices=(1, 1, 1)), {}, []),
    "a bucket": (disks(9000, 9000), {"disk": BUCKET}, []),
    "a bucket and a small cache": (
        disks(9000, 2000),
        {"disk": BUCKET},
        [("disk", True, "2350 MiB needed: 50 for label caches, 300 for the data, 2000")],
    ),
    "little left for images": (disks(9000, 1000, 9000), {}, [("disk", False, "may take 700 MiB of the cache folder")]),
    "images that are there": ({**disks(9000, 1000, 9000), "decoded_mb": 500}, {}, []),
    "a quarter for images": (
        disks(9000, 460, 9000),
        {"disk": replace(DISK, budget_mb=None)},
        [("disk", False, "115 MiB")],
    ),
    "no trial fits": (disks(60, 360, 10), {"disk": replace(DISK, allocation=None, images_mb=0)}, []),
    "little shared memory": ({"shm_mb": 64}, {}, [("shared memory", False, "--shm-size")]),
    "no loaders": ({"shm_mb": 64}, {"loaders": False}, []),
    "a clock that is behind": ({"clock_s": 80.0}, {}, [("clock", False, "20 s behind")]),
    "a clock that is far ahead": ({"clock_s": 1110.0}, {}, [("clock", True, "1000 s ahead of")]),
}


@pytest.mark.parametrize(("facts", "expected", "told"), CASES.values(), ids=CASES.keys())
def test_what_is_said_of_a_node(
    facts: dict[str, Any], expected: dict[str, Any], told: list[tuple[str, bool, str]]
) -> None:
    found = node_problems(replace(FACTS, **facts), replace(EXPECTED, **expected))
    assert [(problem.check, problem.red) for problem in found] == [(check, red) for check, red, _ in told]
    for problem, (_, _, text) in zip(found, told, strict=True):
        assert text in problem.text
    report = NodeReport(node="id", host="n1", resources={}, facts=FACTS, problems=tuple(found))
    assert report.good == (not any(red for _, red, _ in told))
    assert bool(report.reason) != report.good


@given(clock=st.floats(100.0, 110.0))
def test_a_clock_between_question_and_answer_is_never_blamed(clock: float) -> None:
    assert node_problems(replace(FACTS, clock_s=clock), EXPECTED) == []


@pytest.mark.parametrize("place", [str, Path.as_uri], ids=["folder", "address"])
def test_a_storage_is_known_by_what_was_planted_there(tmp_path: Path, place: Callable[[Path], str]) -> None:
    storage = place(tmp_path / "runs")
    marker = write_probe(storage)
    there = ProbeRequest(torch=False, storage=storage, marker=marker)
    facts = probe(there)
    assert facts.storage_error == ""
    assert reply_fault(storage, facts.storage_reply) == ""
    assert "the driver does not see" in reply_fault(storage, facts.storage_reply)  # taken back already
    other = tmp_path / "other"
    other.mkdir()
    assert "not the storage" in probe(replace(there, storage=place(other))).storage_error
    assert list(other.iterdir()) == []  # nothing is written where it is not ours
    remove_probe(storage, marker)
    assert list((tmp_path / "runs").iterdir()) == []


def test_the_disks_of_this_machine_are_measured(tmp_path: Path) -> None:
    storage = str(tmp_path / "runs")
    marker = write_probe(storage)
    facts = probe(ProbeRequest(torch=False, storage=storage, marker=marker))
    assert facts.disks["storage"].device == tmp_path.stat().st_dev
    assert facts.disks["storage"].free_mb == pytest.approx(shutil.disk_usage(tmp_path).free / 2**20, rel=0.5)
    assert facts.disks.keys() == DISKS.keys()
    remove_probe(storage, marker)  # with the reply of a node that never answered
    assert list((tmp_path / "runs").iterdir()) == []


FAKE_TORCH = """
class version: cuda = "13.0"
class DeferredCudaCallError(Exception): pass
class Tensor:
    def __init__(self, device): self.device = device
    def __matmul__(self, other):
        if self.device == "cuda:1":
            raise RuntimeError("CUDA error: uncorrectable ECC error encountered")
        if self.device == "cuda:3":
            raise DeferredCudaCallError("CUDA call failed lazily\\nat initialization")
        return self
def ones(*shape, device): return Tensor(device)
class cuda:
    device_count = staticmethod(lambda: 4)
    get_device_name = staticmethod(lambda index: f"H200 number {index}")
    synchronize = staticmethod(lambda index: None)
    get_device_properties = staticmethod(lambda index: type("Properties", (), {"total_memory": 140 << 30}))
"""


def test_one_broken_gpu_does_not_hide_the_others(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "torch.py").write_text(FAKE_TORCH)
    monkeypatch.syspath_prepend(str(tmp_path))
    facts = probe(ProbeRequest(storage=None))  # a program of its own imports it
    assert facts.gpus == ("H200 number 0", "H200 number 2")
    broken = "GPU 1: CUDA error: uncorrectable ECC error encountered; GPU 3: CUDA call failed lazily"
    assert facts.gpu_error == broken
    four = replace(EXPECTED, resources={"GPU": 4.0})
    (problem,) = node_problems(replace(FACTS, gpus=facts.gpus, gpu_error=facts.gpu_error), four)
    assert f"4 registered with Ray, torch can use 2 ({broken})" in problem.text


def needs(size: int | None = None, **more: Any) -> DiskEstimate:
    told = {"name": "n", "model": "yolo11n.yaml", "data": "d", "train": {"optimizer": "AdamW"}, **more}
    told["search"] = {"parameters": {"lr0": {"min": 0.001, "max": 0.1}}, **more.get("search", {})}
    return checkpoint_needs(Experiment.model_validate(told), size)


def test_room_follows_model_and_trials() -> None:
    small, large, odd = needs(), needs(model="yolo11x.yaml"), needs(model="mine.yaml")
    assert small.trial_mb < 300 < 3000 < large.trial_mb < odd.trial_mb  # what is not known may be large
    assert needs(model="yolov8x.pt") == odd
    assert needs(model="yolo26.yaml") == needs(model="yolo12n.pt") == small
    assert needs(model="toy/red").trial_mb < 1
    # Trial 0 is kept beside the best, and the one that falls out goes after the new one has come.
    assert needs(keep_top=9).kept_mb == pytest.approx((9 + 2) / (3 + 2) * small.kept_mb)
    assert needs(trial={"keep_checkpoints": 5}).trial_mb == 2 * small.trial_mb
    assert small.storage_mb(3) == small.kept_mb + 3 * small.trial_mb
    assert needs(trial={"image_cache_budget": 700}).budget_mb == 700


def test_the_size_of_a_real_file_counts() -> None:
    assert needs(2**20, model="mine.pt").rank_mb == pytest.approx(12)  # half a million parameters, 24 bytes each
    assert needs(2**33, model="mine.pt") == needs(2**40, model="mine.pt")  # no model is so large


@given(
    st.builds(
        Allocation, cpus=st.integers(1, 8), gpus=st.sampled_from([0, 0.25, 1]), concurrent=st.integers(1, 6),
        world_size=st.sampled_from([1, 2]), spread=st.booleans(),
    ),
    st.booleans(),
)  # fmt: skip
def test_more_nodes_never_need_less_and_none_more_than_all_trials(allocation: Allocation, in_bucket: bool) -> None:
    disk, before = replace(DISK, allocation=allocation, in_bucket=in_bucket), 0.0
    for cpus in range(0, 40, 4):
        found = disk.needs({"CPU": cpus, "GPU": cpus / 4}, has_copy=False)
        total = sum(need.mb for need in found)
        assert before <= total
        assert total <= 400 + allocation.concurrent * (allocation.world_size * 500 + 1000) + 100
        before = total


@pytest.mark.parametrize(
    ("resources", "node", "trials"),
    [
        ({}, {"CPU": 8, "GPU": 4}, 4),
        ({}, {"CPU": 8}, 2),
        ({}, {"CPU": 64}, 16),
        ({"gpus_per_trial": 0.25}, {"CPU": 8, "GPU": 2}, 8),
        ({"gpus_per_trial": 2}, {"CPU": 8, "GPU": 5}, 2),
        ({"gpus_per_trial": 0, "cpus_per_trial": 2}, {"CPU": 8, "GPU": 1}, 4),
        ({"gpus_per_trial": 0, "cpus_per_trial": 1, "max_concurrent": 3}, {"CPU": 8}, 3),
        ({"workers": 2, "gpus_per_trial": 0, "cpus_per_trial": 2}, {"CPU": 5}, 2),
    ],
)
def test_trials_on_a_node(resources: dict[str, Any], node: dict[str, float], trials: int) -> None:
    allocation = allot(Resources.model_validate(resources), [node], None)
    assert allocation.trials_on(node) == trials
    assert allocation.ranks_on(node) == allocation.world_size * trials
    assert allocation.trials_on({"CPU": 0.0}) == allocation.ranks_on({"CPU": 0.0}) == 0


def test_decoded_images_take_what_the_store_takes() -> None:
    assert decoded_mb([(640, 480), (100, 100), (0, 0)], [1024]) == pytest.approx(3 * (0.75 + 1))
    assert decoded_mb([(640, 640)], [512, 1024]) == pytest.approx(3 * 1.25)


def test_data_of_ones_own_are_no_copy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    inside = tmp_path / "cache" / "yolosweep" / "unpacked" / "abc" / "set"
    inside.mkdir(parents=True)
    (inside / "a.jpg").write_bytes(bytes(1000))
    (inside.parent / "b.txt").write_bytes(bytes(24))
    assert copied(inside) == "unpacked/abc"
    assert copied(tmp_path) == copied(inside.parents[1]) == ""
    assert probe(ProbeRequest(torch=False, copy="unpacked/abc")).has_copy
    assert not probe(ProbeRequest(torch=False, copy="unpacked/abd")).has_copy
    assert not probe(ProbeRequest(torch=False)).has_copy


def test_where_no_node_is_left_the_error_says_why() -> None:
    with pytest.raises(
        ClusterError, match=r"the good nodes have 0 CPU \+ 0 GPU(?s:.*)\n  node n2 is excluded: disk: full$"
    ):
        allot(Resources(), [{"CPU": 0.0}], 20, excluded=["node n2 is excluded: disk: full"])


def test_more_trials_than_fit_are_allotted_only_where_nodes_may_join() -> None:
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
    workers = WorkerTable()
    workers.begin("t0000", "n0")
    assert [workers.mark_lost("t0001") for _ in range(4)] == ["idle"] * 4
    workers.release("t0000", "cpu")
    assert workers.mark_lost("t0001") == "hopeless"
