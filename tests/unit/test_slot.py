"""A place of the cluster, its ranks and the controller as they are; of Ray, what is called here is done at once."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import ray

from yolosweep.cluster.disk_estimate import Room
from yolosweep.cluster.node_probe import Asked
from yolosweep.cluster.preflight import Admission
from yolosweep.experiment import Experiment
from yolosweep.experiment.settings import resolved
from yolosweep.ledger import RunFolder
from yolosweep.ledger.history import History
from yolosweep.records import Ending, PreparedDataset
from yolosweep.runtime import control_channel as asking
from yolosweep.runtime import rank_group
from yolosweep.runtime import trial_actor as worker
from yolosweep.runtime.controller_actor import ControllerActor

DATASET = PreparedDataset(
    task="detect", source="/d/data.yaml", train_on="/d/data.yaml", names={0: "car"}, images={"train": 9, "val": 9},
    fingerprint="f" * 64,
)  # fmt: skip
FAULT = "versions: numpy 1.0.0, the driver has 2.4.6"


class Cluster:
    """Nodes on which bundle by bundle the ranks of one place lie; calls run at once, as if on the node called."""

    def __init__(self, nodes: list[str], bad: str) -> None:
        self.nodes, self.bad, self.here, self.looked = nodes, bad, nodes[0], list[str]()

    @contextlib.contextmanager
    def on(self, node: str) -> Iterator[None]:
        before, self.here = self.here, node
        try:
            yield
        finally:
            self.here = before

    def far(self, one: Any, node: str) -> Any:
        """Return a handle as Ray gives it: ``handle.method.remote(…)``."""
        cluster = self

        class Handle:
            def __getattr__(self, name: str) -> Any:
                def call(*arguments: Any) -> Any:
                    with cluster.on(node):
                        return getattr(one, name)(*arguments)

                return SimpleNamespace(remote=call)

        return Handle()

    def remote(self, kind: Any) -> Any:
        """Stand in for ``ray.remote``: an actor is made on the node of its bundle."""

        def options(scheduling_strategy: Any, **_: Any) -> Any:
            node = self.nodes[scheduling_strategy.placement_group_bundle_index]

            def make(*arguments: Any) -> Any:
                with self.on(node):
                    return self.far(kind(*arguments), node)

            return SimpleNamespace(remote=make)

        return SimpleNamespace(options=options)

    def look(self, admission: Admission, resources: object, clock: Callable[[], float]) -> tuple[str, str]:
        self.looked.append(self.here)  # from a process on it
        return FAULT if self.here == self.bad else "", ""


@pytest.fixture
def begin(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., tuple[Any, Any, Cluster]]]:
    """A function that places the ranks of a sweep's first place on nodes; only ``first`` was there at the start."""
    opened: list[ControllerActor] = []

    def start(*nodes: str, bad: str = "none", places: int = 2) -> tuple[Any, Any, Cluster]:
        cluster = Cluster(list(nodes), bad)
        parameters = {"parameters": {"lr0": {"min": 0.001, "max": 0.1}}, "trials": 5}
        exp = {"name": "d", "model": "yolo11n.yaml", "data": "d", "train": {"optimizer": "AdamW"}, "search": parameters}
        asked = Admission(asked=Asked(torch=False), room=Room(), address="a", dataset=DATASET, versions={})
        controller = ControllerActor(
            str(RunFolder.create(tmp_path, "d").root),
            experiment=resolved(Experiment.model_validate(exp)).model_dump(mode="json"),
            model="yolo11n.yaml", model_fingerprint="m", dataset=DATASET.model_dump(mode="json"), cpus=len(nodes),
            gpus=0, world_size=len(nodes), header={}, nodes=["first"], admission=asked, places=places,
        )  # fmt: skip
        opened.append(controller)
        group = SimpleNamespace(bundle_specs=[{"CPU": 1.0}] * len(nodes))
        monkeypatch.setattr(ray, "get", lambda answer: answer)
        monkeypatch.setattr(ray, "remote", cluster.remote)
        monkeypatch.setattr(ray, "get_actor", lambda name, namespace: cluster.far(controller, "first"))
        monkeypatch.setattr(ray, "get_runtime_context", lambda: SimpleNamespace(get_node_id=lambda: cluster.here))
        monkeypatch.setattr(ray, "nodes", lambda: [{"NodeID": node, "Resources": {}} for node in nodes])
        monkeypatch.setattr(ray.util, "get_current_placement_group", lambda: group)
        monkeypatch.setattr(asking, "check_joining_node", cluster.look)
        slot = worker.TrialActor({"slot": 0, "controller": "controller"})
        return slot, controller, cluster

    yield start
    for controller in opened:
        controller.close()


def notes(controller: ControllerActor) -> list[str]:
    return [str(note["text"]) for note in History.of(controller._folder).notes]


@pytest.mark.parametrize("nodes", [("first", "late"), ("late", "first"), ("first", "first", "late"), ("late",)])
def test_a_place_with_any_rank_on_a_bad_node_is_parked_and_begins_nothing(
    nodes: tuple[str, ...], begin: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    slot, controller, cluster = begin(*nodes, bad="late")
    waited = []

    def sleep(seconds: float) -> None:
        waited.append(seconds)
        assert not controller.over()
        if len(waited) == 3:
            controller.cancel("Ctrl-C")

    monkeypatch.setattr(worker.time, "sleep", sleep)
    monkeypatch.setattr(worker.TrialActor, "_train_one", lambda *_: pytest.fail("it asked for a trial"))
    assert slot.step() == {"done": True}
    assert len(waited) == 3, "it is held as long as the sweep lasts: nothing else is placed there"
    assert cluster.looked == ["late"]
    assert [note for note in notes(controller) if "left out" in note and note.endswith(FAULT)]
    assert History.of(controller._folder).trials == {}


def test_where_no_other_place_is_left_the_sweep_ends_and_says_why(begin: Any) -> None:
    slot, controller, _ = begin("first", "late", bad="late", places=1)
    assert slot.step() == {"done": True}
    assert f"every place is on a node that was left out ({FAULT})" in notes(controller)[-1]


def test_a_parked_place_whose_node_dies_counts_again(begin: Any) -> None:
    _, controller, _ = begin("late", bad="late")
    controller.node_checked("late", "n2", FAULT, "")
    controller.parked(0)
    controller.lost(0, "the node died")
    controller.parked(1)
    assert not controller.over()
    controller.parked(0)
    assert controller.over()


def test_ranks_on_good_nodes_that_joined_train(begin: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    slot, _, cluster = begin("first", "late", "later", "late")
    entered = []
    monkeypatch.setattr(rank_group.RankGroup, "enter", lambda group, *told: entered.append(told))
    record = SimpleNamespace(cause=None, recoveries=0, ending=Ending.CANCELLED, model_copy=lambda update: record)
    monkeypatch.setattr(worker, "_train", lambda controller, request, group: record)
    monkeypatch.setattr(ControllerActor, "ended", lambda controller, record, attempt: None)
    assert slot.step() == {"done": False}
    assert cluster.looked == ["late", "later"]  # each once
    assert [request.trial for request, _ in entered] == ["t0000"]
