"""Find the largest batch that fits on the GPU of a trial, in a Ray task that is granted what a trial is granted."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from yolosweep.backends import trainer_for
from yolosweep.cluster import import_credentials, preparation, prepare_node, with_local_paths
from yolosweep.errors import TrainingError, YolosweepError
from yolosweep.records import PreparedDataset, TrialRequest

__all__ = ["found_batch"]

_GPU_KIND = "accelerator_type:"
_LIMIT_S = 1800.0


def found_batch(request: TrialRequest, dataset: PreparedDataset, nodes: Mapping[str, Mapping[str, float]]) -> int:
    """Return the largest batch that one rank of a training fits with on every kind of GPU. Ray must be connected.

    Args:
        request: the training; its ``batch`` is -1 or the share of the GPU's memory to fill.
        dataset: what it trains on.
        nodes: the resources of the nodes that run trials, by Ray's id.

    Raises:
        TrainingError: no batch fits, the training cannot be built, or there was no answer within half an hour.
    """
    import ray
    from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

    # The process ends with the task, so it leaves nothing in the memory of the GPU.
    task = ray.remote(num_cpus=0, num_gpus=request.gpus, max_calls=1, max_retries=0)(_find)
    running = [
        task.options(scheduling_strategy=NodeAffinitySchedulingStrategy(node, soft=False)).remote(
            request, preparation(request.folder, dataset)
        )
        for node in one_of_each_kind(nodes, request.gpus)
    ]
    try:
        answers = ray.get(running, timeout=_LIMIT_S)
    except Exception as error:
        raise TrainingError(f"train.batch: no batch was found ({str(error).strip().splitlines()[-1]})") from error
    failures = [answer for answer in answers if isinstance(answer, str)]
    if failures:
        raise TrainingError(f"train.batch: no batch was found: {failures[0]}; write a number, e.g. 16")
    return min(int(answer) for answer in answers)


def one_of_each_kind(nodes: Mapping[str, Mapping[str, float]], gpus: float) -> Sequence[str]:
    """Return a node for each kind of GPU; any one node for trials on the CPU."""
    kinds: dict[str, str] = {}
    for node, resources in nodes.items():
        kind = next((name for name in resources if name.startswith(_GPU_KIND)), "") if gpus else ""
        if not gpus or resources.get("GPU", 0.0) >= gpus:
            kinds.setdefault(kind, node)
    return list(kinds.values())


def _find(request: TrialRequest, on_this_node: tuple[str, PreparedDataset] | None) -> int | str:
    """Return the batch, or why there is none."""
    try:
        import_credentials()
        if on_this_node is not None:
            request = with_local_paths(request, prepare_node(*on_this_node))
        return trainer_for(request.model).find_batch(request)
    except YolosweepError as error:
        return str(error)
