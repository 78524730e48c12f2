"""A package of its own adds a searcher and a pruner by entry points."""

import os
import subprocess
import sys
from pathlib import Path

import yolosweep

PROGRAM = """
from yolosweep.experiment.search_choices import PRUNERS, SEARCHERS
from yolosweep.search.searchers.searcher import searcher_for
from yolosweep.experiment import Parameter
print(SEARCHERS["mine"].summary, PRUNERS["strict"].factory, SEARCHERS["tpe"].factory)
print(searcher_for("mine", {"lr0": Parameter(value=0.1)}, seed=0, mode="max").suggest(1))
"""


def test_a_package_adds_words_and_replaces_none(tmp_path: Path) -> None:
    (tmp_path / "mine.py").write_text(
        "class Mine:\n"
        "    def __init__(self, space, *, seed, mode): pass\n"
        "    def suggest(self, number, attempt=0): return {'lr0': 0.1}\n"
    )
    about = tmp_path / "sweep_extras-1.0.dist-info"
    about.mkdir()
    (about / "METADATA").write_text("Metadata-Version: 2.1\nName: sweep-extras\nVersion: 1.0\n")
    (about / "entry_points.txt").write_text(
        "[yolosweep.searchers]\nmine = mine:Mine\ntpe = mine:Mine\n[yolosweep.pruners]\nstrict = mine:Strict\n"
    )
    paths = os.pathsep.join([str(tmp_path), str(Path(yolosweep.__file__).parents[1])])
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM], capture_output=True, text=True, check=False, timeout=120,
        env={**os.environ, "PYTHONPATH": paths},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines() == [
        "of the installed package sweep-extras mine:Strict yolosweep.search.searchers.tpe:tpe", "{'lr0': 0.1}",
    ]  # fmt: skip
