"""The JSON schema of the experiment file, which editors read to complete keys and underline faults.

``yolosweep schema > platform/yolosweep/experiment/experiment.schema.json`` writes it anew.
"""

from __future__ import annotations

import json
import sys
from typing import Any

from yolosweep.experiment.arguments import NOT_TRAINING, OWNED, defaults, explanations, how_not_what
from yolosweep.experiment.schema import Experiment

__all__ = ["json_schema", "text"]

_DRAFT = "http://json-schema.org/draft-07/schema#"
"""What the YAML language server reads; pydantic's ``$defs`` and ``$ref`` mean the same in it."""


def json_schema() -> dict[str, Any]:
    """Return the schema, with Ultralytics' train arguments described under ``train`` and ``search.parameters``.

    Arguments that are not listed pass: another Ultralytics release may have more. Rules across fields are not in it;
    ``yolosweep check`` knows those.
    """
    schema = Experiment.model_json_schema()
    known = {name: value for name, value in defaults().items() if name not in OWNED and name not in NOT_TRAINING}
    told = explanations()
    train = schema["properties"]["train"]
    train["properties"] = {
        name: {"description": told[name], **({} if value is None else {"default": value})}
        for name, value in known.items()
    }
    parameters = schema["$defs"]["Search"]["properties"]["parameters"]
    parameters["properties"] = {
        name: {"description": told[name], "allOf": [parameters["additionalProperties"]]}
        for name in known
        if not how_not_what(name) and name not in ("epochs", "patience")
    }
    return {"$schema": _DRAFT, "title": "yolosweep experiment", **{k: v for k, v in schema.items() if k != "title"}}


def text() -> str:
    """Return the schema as the file that ships with the package."""
    return json.dumps(json_schema(), indent=2) + "\n"


if __name__ == "__main__":
    sys.stdout.write(text())
