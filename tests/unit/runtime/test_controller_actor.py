"""Which nodes the controller admits, and what it does when workers are on nodes that it excludes."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from yolosweep.cluster import Admission, DiskEstimate, ProbeRequest
from yolosweep.errors import ClusterError
from yolosweep.experiment import Experiment
from yolosweep.experiment.trial_settings import resolved
from yolosweep.ledger import RunFolder
from yolosweep.ledger.history import History
from yolosweep.records import Ending, PreparedDataset
from yolosweep.runtime.controller_actor import ControllerActor
from yolosweep.search.trial_generator import Offer

DATASET = PreparedDataset(
    task="detect", source="/d/data.yaml", train_on="/d/data.yaml", names={0: "car"}, images={"train": 9, "val": 9},
    fingerprint="f" * 64,
)  # fmt: skip
FAULT = "versions: numpy 1.0.0, the driver has 2.4.6"
Start = Callable[..., tuple[ControllerActor, RunFolder]]


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Start]:
    """A function that starts a controller whose cluster had only the node ``first`` at the start."""
    opened: list[ControllerActor] = []

    def make() -> tuple[ControllerActor, RunFolder]:
        search = {"parameters": {"lr0": {"min": 0.001, "max": 0.1}}, "trials": 5}
        exp = {"name": "d", "model": "yolo11n.yaml", "data": "d", "train": {"optimizer": "AdamW"}, "search": search}
        probe = ProbeRequest(torch=False)
        folder = RunFolder.create(tmp_path, "d")
        controller = ControllerActor(
            str(folder.root),
            experiment=resolved(Experiment.model_validate(exp)).model_dump(mode="json"),
            model="yolo11n.yaml", model_fingerprint="m", dataset=DATASET.model_dump(mode="json"), cpus=1, gpus=0,
            world_size=1, header={}, nodes=["first"],
            admission=Admission(probe=probe, disk=DiskEstimate(), address="a", dataset=DATASET, versions={}),
        )  # fmt: skip
        opened.append(controller)
        return controller, folder

    yield make
    for controller in opened:
        with contextlib.suppress(ClusterError):  # one test is about it
            controller.close()


def notes(folder: RunFolder) -> list[str]:
    return [str(note.text) for note in History.of(folder).notes]


def test_a_node_that_joins_must_pass_its_checks_first(start: Start) -> None:
    controller, folder = start()
    assert controller.may_train("first") == "good"
    assert isinstance(controller.may_train("late"), Admission)
    controller.node_checked("late", "n2", "", "")
    controller.node_checked("bad", "n3", FAULT, "")
    controller.node_checked("bad", "n3", "", "")  # two of its workers checked it at the same time
    assert [controller.may_train(node) for node in ("late", "bad")] == ["good", "bad"]
    assert notes(folder) == ["node n2 joined", f"node n3 joined and is excluded: {FAULT}"]


def placed(controller: ControllerActor, count: int) -> list[str]:
    offers = [controller.suggest() for _ in range(count)]
    return [offer.trial for offer in offers if isinstance(offer, Offer)]


def test_nothing_is_placed_on_a_node_that_is_bad_or_about_to_shut_down(start: Start) -> None:
    controller, _ = start()
    trial, other = placed(controller, 2)
    assert controller.excluded(trial) == ()
    controller.node_checked("late", "n2", FAULT, "")
    controller.cordoned(trial)
    controller.cordoned(trial, "first")
    assert controller.excluded(trial) == ("first", "late")
    assert [set(controller.look({}).settled) for _ in range(2)] == [{trial, other}, set()]  # both are placed again


def test_the_sweep_ends_once_all_trials_are_on_excluded_nodes(start: Start) -> None:
    controller, folder = start()
    first, second = placed(controller, 2)
    controller.node_checked("late", "n2", FAULT, "")
    controller.cordoned(first)
    controller.lost(first, "exit")
    assert not controller.over()
    controller.cordoned(second)
    assert controller.over()
    assert set(controller.look({}).settled) == {first, second}
    assert notes(folder)[-1].startswith(f"all workers are on excluded nodes ({FAULT})")
    with pytest.raises(ClusterError, match="repair or remove these nodes, then resume"):
        controller.close()
    assert [trial.record.ending for trial in History.of(folder).trials.values() if trial.record] == [
        Ending.CANCELLED
    ] * 2


def test_a_trial_that_is_placed_elsewhere_is_no_longer_on_an_excluded_node(start: Start) -> None:
    controller, _ = start()
    first, second = placed(controller, 2)
    controller.node_checked("late", "n2", FAULT, "")
    controller.cordoned(first)
    assert controller.begin(first, "first") is not None
    controller.cordoned(second)
    assert not controller.over()
    controller.lost(first, "the node died")
    controller.cordoned(first)
    assert controller.over()
