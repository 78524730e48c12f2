"""The JSON schema that editors read says the same as the models."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft7Validator  # type: ignore[import-untyped]
from ruamel.yaml import YAML

from yolosweep.experiment import starter
from yolosweep.experiment.json_schema import json_schema
from yolosweep.experiment.schema import SCHEMA_FILE, Experiment
from yolosweep.records import DataProfile

EXAMPLES = sorted((Path(__file__).parents[3] / "jobs" / "experiments").glob("*.yaml"))
FINE: dict[str, Any] = {
    "name": "demo",
    "model": "yolo26n.pt",
    "data": "data.yaml",
    "train": {"epochs": 5, "an_argument_of_a_later_release": 1},
    "search": {"time_budget": "8h", "parameters": {"lr0": {"min": 0.1, "max": 0.2}, "later": {"value": None}}},
    "resources": {"gpus_per_trial": "auto"},
    "track": {"wandb": {"tags": ["a"]}},
}


@pytest.fixture(scope="module")
def validator() -> Draft7Validator:
    Draft7Validator.check_schema(json_schema())
    return Draft7Validator(json_schema())


@pytest.mark.slow
def test_the_file_that_ships_is_in_sync() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "yolosweep.experiment.json_schema"], capture_output=True, text=True, check=True
    )
    assert SCHEMA_FILE.read_text(encoding="utf-8") == done.stdout, "run: python -m tests.tools.generate_docs"
    assert done.stderr == ""


def test_a_fine_file_validates(validator: Draft7Validator) -> None:
    assert list(validator.iter_errors(FINE)) == []


@pytest.mark.parametrize("task", ["detect", "segment", "classify", "pose", "obb"])
def test_starters_validate(task: str, validator: Draft7Validator) -> None:
    text = starter("d.yaml", task=task, name="a", model=None, profile=DataProfile(train_images=60))
    assert list(validator.iter_errors(YAML(typ="safe", pure=True).load(text))) == []


def test_examples_validate(validator: Draft7Validator) -> None:
    if not EXAMPLES:
        pytest.skip("jobs/experiments holds no example")
    for example in EXAMPLES:
        assert list(validator.iter_errors(YAML(typ="safe", pure=True).load(example))) == [], example.name


@pytest.mark.parametrize(
    "change",
    [
        {"nme": "x"},
        {"seed": -1},
        {"seed": "x"},
        {"task": "detct"},
        {"name": "a b"},
        {"search": {"parameters": {}}},
        {"search": {"trials": 3}},
        {"search": {"parameters": {"lr0": {"mn": 1}}}},
        {"search": {"parameters": {"lr0": {"distribution": "normal"}}}},
        {"search": {"trails": 3, "parameters": {"lr0": {"value": 1}}}},
        {"resources": {"gpus_per_trial": -1}},
        {"train": 5},
    ],
    ids=str,
)
def test_a_wrong_file_does_not(change: dict[str, Any], validator: Draft7Validator) -> None:
    assert list(validator.iter_errors({**FINE, **change}))


def test_every_field_and_argument_is_explained_where_one_writes_it() -> None:
    schema = json_schema()
    assert set(schema["properties"]) == set(Experiment.model_fields)
    for model in (schema, *schema["$defs"].values()):
        for name, field in model["properties"].items():
            explained = field if "$ref" not in field else schema["$defs"][field["$ref"].rpartition("/")[2]]
            assert explained.get("description"), name
    train = schema["properties"]["train"]["properties"]
    searched = schema["$defs"]["Search"]["properties"]["parameters"]["properties"]
    assert train["lr0"]["default"] == 0.01
    assert "learning rate" in train["lr0"]["description"]
    assert train["lr0"]["description"] == searched["lr0"]["description"]
    assert {"epochs", "patience", "workers"} <= set(train) - set(searched)
    assert not {"device", "show", "project"} & (set(train) | set(searched))
    json.dumps(schema, allow_nan=False)
