"""The examples of the page and of the notebook call what there is, with arguments that exist."""

from __future__ import annotations

import ast
import importlib
import inspect
import json
import re
from pathlib import Path

import pytest

import yolosweep

ROOT = Path(__file__).resolve().parents[3]
PAGE = (ROOT / "platform" / "docs" / "python.md").read_text(encoding="utf-8")
NOTEBOOK = json.loads((ROOT / "jobs" / "notebook.ipynb").read_text(encoding="utf-8"))
EXAMPLES = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)
EXAMPLES.append("\n".join("".join(cell["source"]) for cell in NOTEBOOK["cells"] if cell["cell_type"] == "code"))


@pytest.mark.parametrize("text", EXAMPLES)
def test_an_example_calls_what_there_is(text: str) -> None:
    called = 0
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.ImportFrom) and str(node.module).startswith("yolosweep"):
            module = importlib.import_module(str(node.module))
            assert all(hasattr(module, alias.name) for alias in node.names)
        if not isinstance(node, ast.Call) or not isinstance(node.func, ast.Attribute):
            continue
        owner = ast.unparse(node.func.value)
        if owner in ("yolosweep", "sweep"):
            function = getattr(yolosweep if owner == "yolosweep" else yolosweep.Sweep, node.func.attr)
            given = [*([None] if owner == "sweep" else []), *node.args]
            inspect.signature(function).bind(*given, **{str(word.arg): word.value for word in node.keywords})
            called += 1
        elif owner.startswith("sweep"):
            assert hasattr(yolosweep.Sweep, owner.split(".")[1])
    assert called


def test_every_name_of_the_api_is_on_the_page() -> None:
    functions = {name for name in yolosweep.__all__ if name[0].islower()}
    assert functions == set(re.findall(r"^\| `yolosweep\.(\w+)\(", PAGE, re.MULTILINE))
    members = {name for name in vars(yolosweep.Sweep) if not name.startswith("_")} - {"address", "path"}
    assert members == set(re.findall(r"^\| `(\w+)(?:\(…?\))?` \|", PAGE, re.MULTILINE)) - {"space", "gpu_per_trial"} - {
        "search_alg"
    }


def test_the_notebook_is_stored_without_outputs() -> None:
    code = [cell for cell in NOTEBOOK["cells"] if cell["cell_type"] == "code"]
    assert len(code) > 5
    assert all(cell["outputs"] == [] and cell["execution_count"] is None for cell in code)
