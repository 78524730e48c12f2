"""Other finders of repeated pictures, each run on a folder by the Python that has it, for ``tests.bench.leaks``.

``PYTHON leak_peers.py TOOL FOLDER WORK`` prints pairs of files and CPU seconds as JSON. This file imports nothing of
the project. The tools: ``imagehash`` (pHash, 8 of 64 bits), ``cleanvision`` (its defaults), ``fastdup`` (0.9).
"""

from __future__ import annotations

import contextlib
import itertools
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any, NamedTuple

TOOLS = ("imagehash", "cleanvision", "fastdup")


class Answer(NamedTuple):
    """What a tool found in a folder."""

    pairs: list[tuple[str, str]]
    """Names of files."""
    seconds: float
    """CPU seconds without imports."""


def ask(python: str, tool: str, folder: Path) -> Answer | None:
    """Run a tool on a folder; None if that Python does not have it."""
    with tempfile.TemporaryDirectory() as work:
        command = [python, str(Path(__file__).absolute()), tool, str(folder), work]
        environment = {key: value for key, value in os.environ.items() if key != "PYTHONPATH"}
        done = subprocess.run(
            command, cwd=work, env={**environment, "SENTRY_OPT_OUT": "1"}, capture_output=True, text=True, check=False
        )
    if done.returncode:
        return None
    found = json.loads(done.stdout.splitlines()[-1])
    return Answer([(one, two) for one, two in found["pairs"]], found["seconds"])


def _imagehash(folder: Path) -> list[tuple[str, str]]:
    import imagehash
    from PIL import Image

    files = sorted(folder.iterdir())
    hashes = [imagehash.phash(Image.open(file)) for file in files]
    numbers = itertools.combinations(range(len(files)), 2)
    return [(files[i].name, files[j].name) for i, j in numbers if hashes[i] - hashes[j] <= 8]


def _cleanvision(folder: Path) -> list[tuple[str, str]]:
    from cleanvision import Imagelab

    lab: Any = Imagelab(data_path=str(folder))
    lab.find_issues({"exact_duplicates": {}, "near_duplicates": {}}, n_jobs=1, verbose=False)
    sets = [group for kind in ("exact_duplicates", "near_duplicates") for group in lab.info[kind]["sets"]]
    return [(Path(a).name, Path(b).name) for group in sets for a, b in itertools.combinations(sorted(group), 2)]


def _fastdup(folder: Path, work: str) -> list[tuple[str, str]]:
    import fastdup

    finder: Any = fastdup.create(work_dir=work, input_dir=str(folder))
    finder.run(overwrite=True, ccthreshold=0.9)
    found = finder.similarity()
    rows = zip(found["filename_from"], found["filename_to"], found["distance"], strict=True)
    pairs = {tuple(sorted((Path(a).name, Path(b).name))) for a, b, similarity in rows if similarity >= 0.9}
    return [(a, b) for a, b in sorted(pairs)]


def main(tool: str, folder: Path, work: str) -> None:
    """Run a tool and print what it finds."""
    __import__(tool)
    began = time.process_time()
    with contextlib.redirect_stdout(sys.stderr):
        if tool == "fastdup":
            pairs = _fastdup(folder, work)
        else:
            pairs = {"imagehash": _imagehash, "cleanvision": _cleanvision}[tool](folder)
    sys.stdout.flush()
    print("\n" + json.dumps({"pairs": pairs, "seconds": time.process_time() - began}))


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]), sys.argv[3])
