"""Calls of ``tune`` under Ultralytics' names, as experiments."""

from __future__ import annotations

import ast
import importlib.util
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from ray import tune

from yolosweep.backends import DEFAULT_BACKEND
from yolosweep.errors import ExperimentError
from yolosweep.experiment import Experiment, Parameter, load_experiment
from yolosweep.runtime.tune_domains import parameter_of
from yolosweep.workflows.ultralytics_tune import DEFAULT_SPACE, TuneCall, experiment_of

TRANSLATED = [
    (tune.uniform(0.1, 0.9), {"min": 0.1, "max": 0.9, "distribution": "uniform"}),
    (tune.loguniform(1e-5, 1e-2), {"min": 1e-5, "max": 1e-2, "distribution": "log_uniform_values"}),
    (tune.quniform(0.1, 0.9, 0.1), {"min": 0.1, "max": 0.9, "distribution": "q_uniform", "q": 0.1}),
    (tune.qloguniform(0.1, 8, 0.1), {"min": 0.1, "max": 8.0, "distribution": "q_log_uniform_values", "q": 0.1}),
    (tune.randint(0, 11), {"min": 0, "max": 10, "distribution": "int_uniform"}),
    (tune.randint(3, 4), {"value": 3}),
    (tune.qrandint(320, 640, 32), {"values": list(range(320, 641, 32))}),
    (tune.lograndint(1, 64), {"min": 1, "max": 63, "distribution": "q_log_uniform_values", "q": 1}),
    (tune.choice(["SGD", "AdamW"]), {"values": ["SGD", "AdamW"]}),
]  # fmt: skip
REFUSED = [
    (tune.randn(0.5, 0.1), "no bounds"),
    (tune.qrandn(0.5, 0.1, 0.1), "no bounds"),
    (tune.sample_from(lambda spec: 1), "function"),
    (tune.qrandint(0, 4096, 8), "513 multiples of 8"),
]


@pytest.mark.parametrize(("domain", "expected"), TRANSLATED, ids=lambda value: str(value)[:40])
def test_a_domain_of_ray_is_a_parameter_with_the_same_values(domain: Any, expected: dict[str, Any]) -> None:
    assert parameter_of(domain) == expected
    parameter = Parameter.model_validate(expected)
    drawn = [domain.sample() for _ in range(50)]
    possible = [parameter.nearest(value) for value in drawn]
    assert possible == (pytest.approx(drawn) if isinstance(drawn[0], float) else drawn)


@pytest.mark.parametrize(("domain", "reason"), REFUSED, ids=[reason for _, reason in REFUSED])
def test_a_domain_without_an_equivalent_is_refused(domain: Any, reason: str) -> None:
    with pytest.raises(ValueError, match=reason):
        parameter_of(domain)


def assigned(file: str, name: str) -> ast.Dict:
    """Return a mapping in Ultralytics' source, as written: importing it takes long."""
    package = importlib.util.find_spec("ultralytics")
    assert package is not None
    assert package.origin is not None
    (found,) = (
        node.value
        for node in ast.walk(ast.parse((Path(package.origin).parent / file).read_text()))
        if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == name
    )
    assert isinstance(found, ast.Dict)
    return found


def test_trials_are_ranked_by_the_metric_that_ultralytics_tunes() -> None:
    theirs = ast.literal_eval(assigned("cfg/__init__.py", "TASK2METRIC"))
    ours = {task: known.default_metric for task, known in DEFAULT_BACKEND.tasks.items()}
    assert ours.items() <= theirs.items()


def test_the_default_space_is_that_of_the_installed_release() -> None:
    table = assigned("utils/tuner.py", "default_space")
    theirs = {}
    for key, call in zip(table.keys, table.values, strict=True):
        assert isinstance(key, ast.Constant)
        assert isinstance(call, ast.Call)
        low, high = (ast.literal_eval(argument) for argument in call.args)
        whole = ast.unparse(call.func) == "tune.randint"
        theirs[key.value] = (low, high - 1 if whole else high)
    assert theirs == DEFAULT_SPACE


def experiment(model: Any = "yolo11n.yaml", data: Any = "data.yaml", **more: Any) -> Experiment:
    return load_experiment(experiment_of(TuneCall(model=model, data=data, **more)))


@pytest.mark.parametrize("task", ["detect", "segment", "classify", "pose", "obb"])
def test_without_a_space_what_has_an_effect_is_searched(task: str) -> None:
    suffix = {"detect": "", "classify": "-cls", "segment": "-seg"}.get(task, f"-{task}")
    exp = experiment(f"yolo11n{suffix}.yaml")
    assert exp.task == task
    assert "lr0" in exp.search.parameters
    assert ("mosaic" in exp.search.parameters) == (task != "classify")
    assert ("copy_paste" in exp.search.parameters) == (task == "segment")
    assert exp.train["optimizer"] == "AdamW"
    assert (exp.search.trials, exp.search.grace_epochs, exp.search.reduction_factor) == (300, 10, 3)


def test_arguments_go_to_their_keys() -> None:
    exp = experiment(
        SimpleNamespace(ckpt_path=None, cfg="yolo11n-seg.yaml", model_name="yolo11n-seg.yaml", task="segment"),
        Path("lot.yaml"),
        space={
            "lr0": tune.loguniform(1e-4, 1e-2),
            "batch": {"values": [4, 8]},
            "box": {"grid_search": [5, 7]},
            "mosaic": 0.5,
        },
        iterations=12,
        grace_period=50,
        gpu_per_trial=1,
        search_alg=None,
        train_args={"epochs": 30, "imgsz": 320, "seed": 3, "name": "my lot", "project": "out", "optimizer": "SGD"},
    )  # fmt: skip
    assert (exp.name, exp.task, exp.model, exp.storage, exp.seed) == ("my-lot", "segment", "yolo11n-seg.yaml", "out", 3)
    assert {key: exp.train[key] for key in ("epochs", "imgsz", "mosaic", "optimizer")} == {
        "epochs": 30, "imgsz": 320, "mosaic": 0.5, "optimizer": "SGD",
    }  # fmt: skip
    assert set(exp.search.parameters) == {"lr0", "batch", "box"}
    assert (exp.search.trials, exp.search.searcher, exp.search.grace_epochs) == (12, "random", 29)
    assert exp.resources.gpus_per_trial == 1
    assert exp.data == str(Path("lot.yaml").absolute())


def test_a_single_epoch_is_not_pruned() -> None:
    assert experiment(train_args={"epochs": 1}).search.pruner == "none"


def test_all_that_has_no_equivalent_is_named_at_once() -> None:
    with pytest.raises(ExperimentError) as caught:
        experiment(
            SimpleNamespace(task="detect"), ["a.yaml", "b.yaml"], search_alg="bohb",
            space={"lr0": tune.randn(), "box": (1, 20), "cls": tune.uniform(0.1, 4)},
        )  # fmt: skip
    assert [fault.key for fault in caught.value.faults] == ["model", "space.lr0", "space.box", "data", "search_alg"]
    with pytest.raises(ExperimentError, match="resume RUN"):
        experiment(train_args={"resume": True})
