"""Toy trainings whose epochs take a tenth of a second: while a test waits for something, others have the cores."""

from __future__ import annotations

from pathlib import Path

__all__ = ["SLOW_TOY", "slow_toy"]

SLOW_TOY = """
import importlib.util, sys, time

class SlowToy:
    def find_spec(self, name, path=None, target=None):
        if name != "yolosweep.backends.toy.trainer" or self not in sys.meta_path:
            return None
        sys.meta_path.remove(self)
        spec = importlib.util.find_spec(name)
        execute = spec.loader.exec_module
        def exec_module(module):
            execute(module)
            train = module.ToyTrainer.train
            def slowly(self, request, report, *more):
                def later(*row):
                    time.sleep(0.1)
                    return report(*row)
                return train(self, request, later, *more)
            module.ToyTrainer.train = slowly
        spec.loader.exec_module = exec_module
        return spec

sys.meta_path.insert(0, SlowToy())
"""
"""For ``sitecustomize``: it comes before the trainer's module."""


def slow_toy(folder: Path) -> Path:
    """Fill a folder that is to stand in ``PYTHONPATH``, and return it."""
    folder.mkdir(exist_ok=True)
    (folder / "sitecustomize.py").write_text(SLOW_TOY)
    return folder
