"""How much of the cluster one trial gets."""

import pytest

from yolosweep.errors import ClusterError
from yolosweep.experiment.schema import Resources
from yolosweep.runtime.trial_resources import allot

LAPTOP = [{"CPU": 8.0}]
GPU_BOX = [{"CPU": 32.0, "GPU": 4.0}]


@pytest.mark.parametrize(
    ("asked", "nodes", "cpus", "gpus", "concurrent"),
    [
        ({}, [{"CPU": 1.0}], 1, 0, 1),
        ({}, [{"CPU": 2.0}], 1, 0, 2),
        ({}, LAPTOP, 4, 0, 2),
        ({}, GPU_BOX, 8, 1, 4),
        ({"gpus_per_trial": 0.5}, GPU_BOX, 4, 0.5, 8),
        ({"gpus_per_trial": 0.4}, [{"CPU": 64.0, "GPU": 2.0}], 8, 0.4, 4),
        ({"gpus_per_trial": 0}, GPU_BOX, 4, 0, 8),
        ({"cpus_per_trial": 16}, GPU_BOX, 16, 1, 2),
        ({"max_concurrent": 3}, GPU_BOX, 8, 1, 3),
        ({"cpus_per_trial": 6}, [{"CPU": 8.0}, {"CPU": 8.0}], 6, 0, 2),
        ({"gpus_per_trial": 2}, GPU_BOX, 16, 2, 2),
        ({"gpus_per_trial": 4, "cpus_per_trial": 4}, GPU_BOX, 4, 4, 1),
        ({"workers": 2, "gpus_per_trial": 0, "cpus_per_trial": 2}, [{"CPU": 2.0}], 2, 0, 1),
        ({"workers": 2, "cpus_per_trial": 2}, [{"CPU": 4.0, "GPU": 1.0}, {"CPU": 4.0, "GPU": 1.0}], 2, 2, 1),
        ({"workers": 3, "cpus_per_trial": 3}, [{"CPU": 4.0, "GPU": 2.0}] * 3, 3, 3, 2),
    ],
)
def test_shares(asked: dict, nodes: list, cpus: float, gpus: float, concurrent: int) -> None:
    allocation = allot(Resources.model_validate(asked), nodes, None)
    assert (allocation.cpus, allocation.gpus, allocation.concurrent) == (cpus, gpus, concurrent)


def test_no_more_concurrent_trials_than_trials() -> None:
    assert allot(Resources(), GPU_BOX, 2).concurrent == 2


@pytest.mark.parametrize("asked", [{"gpus_per_trial": 1}, {"cpus_per_trial": 9}])
def test_what_fits_nowhere_is_refused_with_what_there_is(asked: dict) -> None:
    with pytest.raises(ClusterError, match=r"8 CPU \+ 0 GPU"):
        allot(Resources.model_validate(asked), LAPTOP, None)


def test_gpus_of_one_trial_are_on_one_node_and_those_of_workers_may_not_be() -> None:
    single = [{"CPU": 8.0, "GPU": 1.0}] * 2
    with pytest.raises(ClusterError, match="on one node"):
        allot(Resources(gpus_per_trial=2.0), single, None)
    spread = allot(Resources(workers=2), single, None)
    assert (spread.world_size, spread.spread, spread.gpus) == (2, True, 2)
