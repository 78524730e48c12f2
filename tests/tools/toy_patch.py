"""Toy trainings that do something else, in every process that finds a ``sitecustomize`` module in its path."""

from __future__ import annotations

from pathlib import Path

__all__ = ["SLOW", "slow_toy", "toy_patch"]


def toy_patch(changed: str) -> str:
    """Return the code of a ``sitecustomize`` module.

    Args:
        changed: code that defines ``changed(train)``, which returns what takes the place of ``ToyTrainer.train``.
    """
    return f"""{changed}
import importlib.util, sys

class Finder:
    def find_spec(self, name, path=None, target=None):
        if name != "yolosweep.backends.toy.trainer":
            return None
        sys.meta_path.remove(self)
        spec = importlib.util.find_spec(name)
        load = spec.loader.exec_module
        def exec_module(module):
            load(module)
            module.ToyTrainer.train = changed(module.ToyTrainer.train)
        spec.loader.exec_module = exec_module
        return spec

sys.meta_path.insert(0, Finder())
"""


SLOW = toy_patch("""
import time

def changed(train):
    def slowly(self, request, report, *more):
        def later(*row):
            time.sleep(0.1)
            return report(*row)
        return train(self, request, later, *more)
    return slowly
""")
"""Epochs take a tenth of a second: while a test waits for something, others have the cores."""


def slow_toy(folder: Path) -> Path:
    """Fill a folder that is to stand in ``PYTHONPATH``, so that trainings are slow, and return it."""
    folder.mkdir(exist_ok=True)
    (folder / "sitecustomize.py").write_text(SLOW)
    return folder
