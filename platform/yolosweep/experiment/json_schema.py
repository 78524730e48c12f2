"""The JSON schema of the experiment file, which editors read to complete keys and underline faults.

``python -m tests.tools.generate_docs`` updates the file in a checkout.
"""

from __future__ import annotations

import ast
import inspect
import json
import sys
from itertools import pairwise, starmap
from types import ModuleType
from typing import Any

from yolosweep.backends import DEFAULT_BACKEND
from yolosweep.experiment import schema as schema_module
from yolosweep.experiment import search_parameter
from yolosweep.experiment.schema import Experiment
from yolosweep.records import objectives, trial_policy

__all__ = ["described_schema", "json_schema", "text"]

_DRAFT = "http://json-schema.org/draft-07/schema#"
"""The draft the YAML language server reads; pydantic's ``$defs`` and ``$ref`` mean the same in it."""


def json_schema() -> dict[str, Any]:
    """Return the schema, with the default backend's arguments described under ``train`` and ``search.parameters``.

    Arguments that are not listed pass: another release or backend may have more. Rules across fields are not part of
    the schema; ``yolosweep check`` applies them.
    """
    schema, arguments = described_schema(), DEFAULT_BACKEND.arguments
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


def described_schema() -> dict[str, Any]:
    """Return pydantic's schema with the explanation under each field as its description.

    pydantic can do so itself, but reads the sources whenever the classes are imported: a fifth of that time.
    """
    schema = Experiment.model_json_schema()
    models = {**schema["$defs"], Experiment.__name__: schema}
    for module in (schema_module, search_parameter, trial_policy, objectives):
        for name, explanations in _explanations(module).items():
            for field, explanation in explanations.items():
                if field in (properties := models.get(name, {}).get("properties", {})):
                    properties[field] = {"description": explanation, **properties[field]}
    return schema


def _explanations(module: ModuleType) -> dict[str, dict[str, str]]:
    """Return the text under each field of each class of a module."""
    classes = [node for node in ast.parse(inspect.getsource(module)).body if isinstance(node, ast.ClassDef)]
    return {node.name: dict(filter(None, starmap(_explained, pairwise(node.body)))) for node in classes}


def _explained(field: ast.stmt, text: ast.stmt) -> tuple[str, str] | None:
    """Return the name of a field and the text that follows it."""
    match field, text:
        case ast.AnnAssign(target=ast.Name(id=name)), ast.Expr(value=ast.Constant(value=str(explanation))):
            return name, inspect.cleandoc(explanation)
    return None


def text() -> str:
    """Return the schema as the file that ships with the package."""
    return json.dumps(json_schema(), indent=2) + "\n"


if __name__ == "__main__":
    sys.stdout.write(text())
