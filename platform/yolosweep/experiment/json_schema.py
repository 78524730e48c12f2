"""The JSON schema of the experiment file, which editors read to complete keys and underline faults.

``python -m tests.tools.generate_docs`` updates the file in a checkout.
"""

from __future__ import annotations

import json
import sys
from typing import Any

from yolosweep.backends import DEFAULT_BACKEND
from yolosweep.experiment.schema import Experiment

__all__ = ["json_schema", "text"]

_DRAFT = "http://json-schema.org/draft-07/schema#"
"""The draft the YAML language server reads; pydantic's ``$defs`` and ``$ref`` mean the same in it."""


def json_schema() -> dict[str, Any]:
    """Return the schema, with the default backend's arguments described under ``train`` and ``search.parameters``.

    Arguments that are not listed pass: another release or backend may have more. Rules across fields are not part of
    the schema; ``yolosweep check`` applies them.
    """
    schema, arguments = Experiment.model_json_schema(), DEFAULT_BACKEND.arguments
    hidden = {*arguments.owned, *arguments.not_training}
    known = {name: value for name, value in arguments.defaults.items() if name not in hidden}
    explained = arguments.explanations
    train = schema["properties"]["train"]
    train["properties"] = {
        name: {"description": explained[name], **({} if value is None else {"default": value})}
        for name, value in known.items()
    }
    parameters = schema["$defs"]["Search"]["properties"]["parameters"]
    parameters["properties"] = {
        name: {"description": explained[name], "allOf": [parameters["additionalProperties"]]}
        for name in known
        if name not in arguments.runtime_only and name not in ("epochs", "patience")
    }
    return {"$schema": _DRAFT, "title": "yolosweep experiment", **{k: v for k, v in schema.items() if k != "title"}}


def text() -> str:
    """Return the schema as the file that ships with the package."""
    return json.dumps(json_schema(), indent=2) + "\n"


if __name__ == "__main__":
    sys.stdout.write(text())
