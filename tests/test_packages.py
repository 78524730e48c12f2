"""The packages and what each may import: the table here is the design, the walk compares the code with it.

Every import counts, also inside functions; only the place of an import (top of a module or inside a function) decides
whether a heavy library is loaded when nobody needs it.
"""

from __future__ import annotations

import ast
import functools
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

SOURCE = Path(__file__).resolve().parents[1] / "platform"
PACKAGE = "yolosweep"

PACKAGES: dict[str, set[str]] = {
    "errors": set(),
    "records": set(),
    "storage": {"records"},
    "ledger": {"records", "storage"},
    "diagnosis": {"records"},
    "image_cache": {"storage"},
    "backends": {"records", "storage", "ledger", "diagnosis", "image_cache"},
    "experiment": {"records", "storage", "backends"},
    "data": {"records", "experiment", "storage", "ledger"},
    "report": {"records", "experiment", "storage", "ledger", "diagnosis", "backends", "search"},
    "autolabel": {"records", "experiment", "storage", "ledger", "data", "diagnosis", "backends", "report"},
    "search": {"records", "experiment", "storage", "ledger", "diagnosis", "backends"},
    "tracking": {"records", "experiment", "storage", "ledger", "diagnosis"},
    "cluster": {"records", "experiment", "storage", "ledger", "data", "backends"},
    "runtime": {"records", "experiment", "storage", "ledger", "search", "backends", "cluster"},
    "workflows": {
        *("records", "experiment", "storage", "ledger", "data", "diagnosis", "backends", "report", "autolabel"),
        *("search", "tracking", "cluster", "runtime", "image_cache"),
    },
    "api": {"records", "experiment", "ledger", "report", "workflows"},
    "cli": {
        *("api", "workflows", "records", "experiment", "storage", "ledger", "data", "tracking", "cluster"),
    },
    "__main__": {"cli"},
    "__init__": {"api"},
}
"""Package: the other packages it may import. All may import ``errors`` and the version."""

LAYERS = ("model", "samples", "source", "layout", "duplicates", "scan", "foreign", "checks", "prepare")
"""Sub-packages of ``data``: each may import the ones before it."""

DOORS: dict[str, set[str]] = {
    "ultralytics": {"backends", "autolabel", "image_cache"},
    "torch": {"backends", "autolabel"},
    "torchvision": {"backends"},
    "albumentations": {"backends"},
    "cv2": {"backends", "autolabel", "image_cache", "data"},
    "ray": {"runtime", "cluster"},
    "wandb": {"tracking"},
    "tensorboardX": {"tracking"},
    "mlflow": {"tracking"},
    "wandb_workspaces": {"tracking"},
    "optuna": {"search"},
    "scipy": {"search", "diagnosis"},
    "obstore": {"storage"},
    "pandas": {"api", "workflows"},
    "jinja2": {"report"},
    "typer": {"cli"},
    "rich": {"cli"},
}
"""Library: the only packages that may import it."""

HEAVY = set(DOORS) - {"typer", "rich", "jinja2"}
"""Libraries that take long to load: nothing may load them before they are needed."""


@dataclass(frozen=True)
class Import:
    module: str
    """The module that imports, dotted."""
    target: str
    """What it imports, dotted; of ``from a import b`` it is ``a.b`` where that is a module, else ``a``."""
    line: int
    top: bool
    """Whether it runs when the module is loaded."""

    @property
    def place(self) -> str:
        return f"{self.module} line {self.line}"


def dotted(file: Path, source: Path) -> str:
    parts = list(file.relative_to(source).with_suffix("").parts)
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def modules(source: Path) -> dict[str, Path]:
    return {dotted(file, source): file for file in sorted((source / PACKAGE).rglob("*.py"))}


def package_of(module: str) -> str:
    """Return the package of a dotted module of ours."""
    parts = module.split(".")
    return parts[1] if len(parts) > 1 else "__init__"


def imports_of(module: str, file: Path, known: set[str]) -> list[Import]:
    found: list[Import] = []

    def add(target: str, node: ast.AST, top: bool) -> None:
        found.append(Import(module=module, target=target, line=getattr(node, "lineno", 0), top=top))

    def visit(node: ast.AST, top: bool) -> None:
        if isinstance(node, ast.Import):
            for alias in node.names:
                add(alias.name, node, top)
        elif isinstance(node, ast.ImportFrom):
            assert not node.level, f"{module} line {node.lineno}: relative import; write from {PACKAGE}... import ..."
            for alias in node.names:
                deeper = f"{node.module}.{alias.name}"
                add(deeper if deeper in known else str(node.module), node, top)
        elif isinstance(node, ast.Call) and node.args and isinstance(node.args[0], ast.Constant):
            name = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
            if name in ("import_module", "__import__") and isinstance(node.args[0].value, str):
                add(node.args[0].value, node, top)
        elif isinstance(node, ast.If) and "TYPE_CHECKING" in ast.dump(node.test):
            for statement in node.body:
                visit(statement, False)
            for statement in node.orelse:
                visit(statement, top)
            return
        inside = isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda))
        for child in ast.iter_child_nodes(node):
            visit(child, top and not inside)

    visit(ast.parse(file.read_text(encoding="utf-8")), True)
    return found


@functools.cache
def walk(source: Path) -> list[Import]:
    known = modules(source)
    return [found for module, file in known.items() for found in imports_of(module, file, set(known))]


def wrong_layers(found: list[Import]) -> list[str]:
    """Return the imports between sub-packages of ``data`` against their order."""
    wrong = []
    for item in found:
        here, there = item.module.split("."), item.target.split(".")
        inside = here[:2] == there[:2] == [PACKAGE, "data"] and len(here) > 2 and len(there) > 2
        if inside and LAYERS.index(there[2]) > LAYERS.index(here[2]):
            wrong.append(f"{item.place}: data.{here[2]} may not import data.{there[2]}")
    return wrong


def circles(found: list[Import]) -> list[str]:
    """Return the modules that import each other in a circle, lazily or not."""
    graph: dict[str, set[str]] = {}
    for item in found:
        # Whatever is imported loads the root first, which imports the API only when one of its names is used.
        if item.target.startswith(f"{PACKAGE}.") and item.target != item.module:
            graph.setdefault(item.module, set()).add(item.target)
    while True:
        ended = {name for name, targets in graph.items() if not targets & set(graph)}
        if not ended:
            return sorted(graph)
        graph = {name: targets for name, targets in graph.items() if name not in ended}


def wrong_packages(found: list[Import]) -> list[str]:
    """Return the imports that the table does not allow."""
    wrong = []
    for item in found:
        if item.target.split(".")[0] != PACKAGE:
            continue
        here, there = package_of(item.module), package_of(item.target)
        if here not in PACKAGES:
            wrong.append(f"{item.module}: there is no package {here}; add it to the table")
        elif there not in {here, "errors", "__init__"} | PACKAGES[here]:
            wrong.append(f"{item.place}: {here} may not import {there} ({item.target})")
    return wrong


def wrong_doors(found: list[Import]) -> list[str]:
    """Return the imports of a heavy library outside of its door."""
    return [
        f"{item.place}: only {' and '.join(sorted(DOORS[library]))} may import {library}"
        for item in found
        if (library := item.target.split(".")[0]) in DOORS and package_of(item.module) not in DOORS[library]
    ]


def packages_above(module: str) -> list[str]:
    """Return the packages that are loaded before a module is."""
    return [".".join(module.split(".")[:n]) for n in range(1, module.count(".") + 1)]


def loading(found: list[Import]) -> dict[str, set[str]]:
    """Return the modules that load a heavy library when they are loaded, themselves or through others of ours."""
    heavy: dict[str, set[str]] = {}
    while True:
        before = {module: set(libraries) for module, libraries in heavy.items()}
        for item in found:
            if not item.top:
                continue
            library = item.target.split(".")[0]
            loads = {library} & HEAVY
            for loaded in (item.target, *packages_above(item.target)):
                loads |= heavy.get(loaded, set())
            if loads:
                heavy.setdefault(item.module, set()).update(loads)
        if heavy == before:
            return heavy


def wrong_loads(found: list[Import]) -> list[str]:
    """Return the modules that load a heavy library too early."""
    wrong = []
    for module, libraries in loading(found).items():
        for library in sorted(libraries):
            if package_of(module) not in DOORS[library]:
                wrong.append(f"{module} loads {library} as soon as it is imported; import it inside the function")
            elif module == f"{PACKAGE}.{package_of(module)}":
                wrong.append(
                    f"{module} loads {library} for everyone who imports the package; import it in a leaf module"
                )
    return wrong


@pytest.mark.slow
def test_packages_import_only_what_the_table_allows() -> None:
    assert wrong_packages(walk(SOURCE)) == []


def test_heavy_libraries_are_imported_only_at_their_door() -> None:
    assert wrong_doors(walk(SOURCE)) == []


def test_heavy_libraries_are_loaded_only_by_leaf_modules() -> None:
    assert wrong_loads(walk(SOURCE)) == []


def test_the_sub_packages_of_data_import_in_order() -> None:
    assert wrong_layers(walk(SOURCE)) == []


def test_no_modules_import_each_other_in_a_circle() -> None:
    assert circles(walk(SOURCE)) == []


def test_the_table_holds_no_circle() -> None:
    left = {name: set(allowed) for name, allowed in PACKAGES.items()}
    while left:
        ready = {name for name, allowed in left.items() if not allowed & set(left)}
        assert ready, f"a circle among {sorted(left)}"
        left = {name: allowed for name, allowed in left.items() if name not in ready}


def test_every_package_of_the_table_exists() -> None:
    there = {package_of(module) for module in modules(SOURCE)}
    assert there <= set(PACKAGES)
    assert set(PACKAGES) - there <= {"cluster"}, "a package of the table is empty"


@pytest.mark.slow
def test_importing_all_light_modules_loads_nothing_heavy() -> None:
    found = walk(SOURCE)
    light = sorted(set(modules(SOURCE)) - set(loading(found)) - {f"{PACKAGE}.__main__", f"{PACKAGE}.tracking.__main__"})
    assert len(light) > 15
    code = "import importlib, sys\n" + "".join(f"importlib.import_module({name!r})\n" for name in light)
    code += f"print(*sorted({HEAVY!r} & set(sys.modules)))\n"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout == "\n"


CASES = {
    "package": (
        "diagnosis.py",
        "def f():\n    from yolosweep.ledger import RunFolder\n",
        "diagnosis may not import ledger",
    ),
    "package by from": ("diagnosis.py", "from yolosweep import ledger\n", "diagnosis may not import ledger"),
    "package by import": (
        "records.py",
        "import yolosweep.backends.ultralytics.trainer\n",
        "records may not import backends",
    ),
    "package by name": (
        "diagnosis.py",
        "import importlib\nimportlib.import_module('yolosweep.data')\n",
        "not import data",
    ),
    "no such package": ("extra.py", "from yolosweep.errors import Fault\n", "there is no package extra"),
    "door": ("cli/x.py", "def f():\n    import torch.nn\n", "only autolabel and backends may import torch"),
    "door by from": ("ledger2.py", "def f():\n    from ray import tune\n", "only cluster and runtime may import ray"),
    "top of a package": ("runtime/__init__.py", "import ray\n", "for everyone who imports the package"),
    "top of a package, through a leaf": (
        "runtime/__init__.py",
        "from yolosweep.runtime.leaf import x\n",
        "for everyone who imports the package",
    ),
    "through another package": ("cli/x.py", "from yolosweep.runtime.leaf import x\n", "inside the function"),
}


@pytest.mark.parametrize(("file", "text", "expected"), CASES.values(), ids=CASES.keys())
def test_the_walk_finds_what_is_forbidden(file: str, text: str, expected: str, tmp_path: Path) -> None:
    package = tmp_path / PACKAGE
    for name, content in {
        "__init__.py": "",
        "ledger.py": "",
        "data/__init__.py": "",
        "runtime/__init__.py": "",
        "runtime/leaf.py": "import ray\nx = 1\n",
        "cli/__init__.py": "def main():\n    import yolosweep.runtime.leaf\n",
        file: text,
    }.items():
        (package / name).parent.mkdir(parents=True, exist_ok=True)
        (package / name).write_text(content)
    found = walk(tmp_path)
    told = wrong_packages(found) + wrong_doors(found) + wrong_loads(found)
    assert len([line for line in told if expected in line]) == 1, told


def test_relative_imports_are_refused(tmp_path: Path) -> None:
    file = tmp_path / "module.py"
    file.write_text("from . import ledger\n")
    with pytest.raises(AssertionError, match="relative import"):
        imports_of("yolosweep.module", file, set())
