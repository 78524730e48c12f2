"""The rooms of the package and what each may import: the table here is the design, the walk compares the code with it.

Every import counts, also inside functions; only the place of an import (top of a module or inside a function) decides
whether a heavy library is loaded when nobody needs it.
"""

from __future__ import annotations

import ast
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

SOURCE = Path(__file__).resolve().parents[1] / "platform"
PACKAGE = "yolosweep"

ROOMS: dict[str, set[str]] = {
    "errors": set(),
    "experiment": set(),
    "records": {"experiment"},
    "durable": {"records"},
    "versions": set(),
    "storage": {"experiment", "durable"},
    "ledger": {"experiment", "records", "durable", "storage"},
    "history": {"records", "ledger"},
    "data": {"experiment", "records", "ledger", "durable"},
    "curves": {"records"},
    "tracking": {"experiment", "records", "ledger", "durable", "history"},
    "training": {"experiment", "records", "ledger", "durable", "curves"},
    "search": {
        *("experiment", "records", "ledger", "durable", "history", "curves", "tracking", "training"),
        *("storage", "cluster"),
    },
    "cluster": {"experiment", "records", "ledger", "durable", "data", "storage", "versions"},
    "pick": {"records", "ledger", "durable", "history", "curves", "training"},
    "report": {"experiment", "records", "ledger", "durable", "history", "curves", "training"},
    "cli": {
        *("experiment", "records", "durable", "ledger", "history", "data", "curves", "tracking", "training"),
        *("search", "cluster", "pick", "report", "storage", "versions"),
    },
    "__main__": {"cli"},
    "__init__": set(),
}
"""Room: the other rooms it may import. All may import ``errors`` and the package's version."""

DOORS: dict[str, set[str]] = {
    "ultralytics": {"training"},
    "torch": {"training"},
    "torchvision": {"training"},
    "albumentations": {"training"},
    "cv2": {"training"},
    "ray": {"search", "cluster"},
    "wandb": {"tracking"},
    "optuna": {"search"},
    "pyarrow": {"data", "storage"},
    "plotly": {"report"},
    "jinja2": {"report"},
    "typer": {"cli"},
    "rich": {"cli"},
}
"""Library: the only rooms that may import it."""

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


def room(module: str) -> str:
    """Return the room of a dotted module of ours."""
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


def walk(source: Path) -> list[Import]:
    known = modules(source)
    return [found for module, file in known.items() for found in imports_of(module, file, set(known))]


def wrong_rooms(found: list[Import]) -> list[str]:
    """Return the imports that the table of rooms does not allow."""
    wrong = []
    for item in found:
        if item.target.split(".")[0] != PACKAGE:
            continue
        here, there = room(item.module), room(item.target)
        if here not in ROOMS:
            wrong.append(f"{item.module}: there is no room {here}; put it in the table or in a room that exists")
        elif there not in {here, "errors", "__init__"} | ROOMS[here]:
            wrong.append(f"{item.place}: {here} may not import {there} ({item.target})")
    return wrong


def wrong_doors(found: list[Import]) -> list[str]:
    """Return the imports of a heavy library outside of its door."""
    return [
        f"{item.place}: only {' and '.join(sorted(DOORS[library]))} may import {library}"
        for item in found
        if (library := item.target.split(".")[0]) in DOORS and room(item.module) not in DOORS[library]
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
            if room(module) not in DOORS[library]:
                wrong.append(f"{module} loads {library} as soon as it is imported; import it inside the function")
            elif module == f"{PACKAGE}.{room(module)}":
                wrong.append(f"{module} loads {library} for everyone who enters the room; import it in a leaf module")
    return wrong


def test_rooms_import_only_what_the_table_allows() -> None:
    assert wrong_rooms(walk(SOURCE)) == []


def test_heavy_libraries_are_imported_only_at_their_door() -> None:
    assert wrong_doors(walk(SOURCE)) == []


def test_heavy_libraries_are_loaded_only_by_leaf_modules() -> None:
    assert wrong_loads(walk(SOURCE)) == []


def test_the_table_holds_no_circle() -> None:
    left = {name: set(allowed) for name, allowed in ROOMS.items()}
    while left:
        ready = {name for name, allowed in left.items() if not allowed & set(left)}
        assert ready, f"a circle among {sorted(left)}"
        left = {name: allowed for name, allowed in left.items() if name not in ready}


def test_every_room_has_someone_in_it() -> None:
    there = {room(module) for module in modules(SOURCE)}
    assert there <= set(ROOMS)
    assert set(ROOMS) - there <= {"cluster"}, "a room of the table is empty"


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
    "room": ("curves.py", "def f():\n    from yolosweep.ledger import RunFolder\n", "curves may not import ledger"),
    "room by package": ("curves.py", "from yolosweep import ledger\n", "curves may not import ledger"),
    "room by import": ("records.py", "import yolosweep.training.yolo\n", "records may not import training"),
    "room by name": ("curves.py", "import importlib\nimportlib.import_module('yolosweep.data')\n", "not import data"),
    "no such room": ("extra.py", "from yolosweep.errors import Fault\n", "there is no room extra"),
    "door": ("cli/x.py", "def f():\n    import torch.nn\n", "only training may import torch"),
    "door by from": ("history.py", "def f():\n    from ray import tune\n", "only cluster and search may import ray"),
    "top of a room": ("search/__init__.py", "import ray\n", "for everyone who enters the room"),
    "top of a room, through a leaf": (
        "search/__init__.py",
        "from yolosweep.search.leaf import x\n",
        "for everyone who enters the room",
    ),
    "through another room": ("cli/x.py", "from yolosweep.search.leaf import x\n", "inside the function"),
}


@pytest.mark.parametrize(("file", "text", "expected"), CASES.values(), ids=CASES.keys())
def test_the_walk_finds_what_is_forbidden(file: str, text: str, expected: str, tmp_path: Path) -> None:
    package = tmp_path / PACKAGE
    for name, content in {
        "__init__.py": "",
        "ledger.py": "",
        "data/__init__.py": "",
        "search/__init__.py": "",
        "search/leaf.py": "import ray\nx = 1\n",
        "cli/__init__.py": "def main():\n    import yolosweep.search.leaf\n",
        file: text,
    }.items():
        (package / name).parent.mkdir(parents=True, exist_ok=True)
        (package / name).write_text(content)
    found = walk(tmp_path)
    told = wrong_rooms(found) + wrong_doors(found) + wrong_loads(found)
    assert len([line for line in told if expected in line]) == 1, told


def test_relative_imports_are_refused(tmp_path: Path) -> None:
    file = tmp_path / "module.py"
    file.write_text("from . import ledger\n")
    with pytest.raises(AssertionError, match="relative import"):
        imports_of("yolosweep.module", file, set())
