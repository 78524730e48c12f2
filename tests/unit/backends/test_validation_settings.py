"""One function decides with which settings a model is validated: all of its training, but those named here."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest
from tests.tools.argument_table import rows, value_of

import yolosweep
from yolosweep.backends.ultralytics.validation import shared_with_training

PACKAGE = Path(str(yolosweep.__file__)).parent
WITHOUT_MEANING = {
    *("compile", "cache", "pretrained", "distill_model", "freeze"),  # act on the training alone
    *("workers", "verbose", "plots"),  # change how it runs
    *("augmentations", "balance"),  # no arguments of Ultralytics' validation
}


def test_every_other_argument_of_a_training_is_handed_on() -> None:
    accepted = {row.name: value_of(row.name) for row in rows() if row.is_accepted}
    shared = shared_with_training(accepted)
    assert accepted.keys() - shared.keys() == WITHOUT_MEANING
    assert shared == {name: accepted[name] for name in shared}


@pytest.mark.slow
def test_no_other_module_makes_a_validator() -> None:
    makers = [
        file.relative_to(PACKAGE).as_posix()
        for file in PACKAGE.rglob("*.py")
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8")))
        if isinstance(node, ast.Call)
        and (
            (isinstance(node.func, ast.Name) and node.func.id == "keeping")
            or (isinstance(node.func, ast.Attribute) and node.func.attr == "val")
        )
    ]
    assert makers == ["backends/ultralytics/validation.py"]
