"""The tree: nothing shadows the standard library, nothing lies around, and no file or function is too long."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
PACKAGE = ROOT / "platform" / "yolosweep"
FILES = sorted(PACKAGE.rglob("*.py"))
MODULES = {str(file.relative_to(PACKAGE.parent).with_suffix("")).removesuffix("/__init__") for file in FILES}
TOP = {
    *("platform", "jobs", "cluster", "tests", ".ci"),
    *(
        "pyproject.toml",
        "README.md",
        "LICENSE",
        "CHANGELOG.md",
        "CONTRIBUTING.md",
        ".gitignore",
        ".pre-commit-hooks.yaml",
    ),
}
BANNED = {"utils", "util", "helpers", "helper", "common", "base", "manager", "managers", "misc", "core"}
PICTURES = "platform/docs/images/"
MODULE_LINES = 400
FUNCTION_LINES = 40


def tracked() -> list[str]:
    """Return the files git knows, relative to the root."""
    try:
        done = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, check=True)
    except (OSError, subprocess.CalledProcessError):
        pytest.skip("not a git checkout")
    return [name for name in done.stdout.split("\0") if name]


def test_platform_is_no_package() -> None:
    assert not (ROOT / "platform" / "__init__.py").exists(), (
        "it would take the place of the standard library's platform"
    )
    assert {path.name for path in (ROOT / "platform").iterdir()} - {"__pycache__"} == {"yolosweep", "docs"}


@pytest.mark.parametrize("module", ["platform", "uuid"])
def test_the_standard_library_is_found_from_the_root(module: str) -> None:
    code = f"import {module}; print({module}.__file__)"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert Path(done.stdout.strip()).resolve().is_relative_to(Path(ast.__file__).resolve().parent)


def test_the_top_level_holds_what_it_should_and_nothing_else() -> None:
    assert {name.split("/")[0] for name in tracked()} == TOP


def test_no_build_output_or_data_is_tracked() -> None:
    endings = (".pyc", ".pt", ".onnx", ".egg-info", ".log", ".jpg", ".png")
    files = [name for name in tracked() if not name.startswith(PICTURES)]
    assert [name for name in files if name.endswith(endings) or "__pycache__" in name or "/runs/" in name] == []


def test_the_pictures_of_the_pages_are_small() -> None:
    sizes = {path.name: path.stat().st_size for path in (ROOT / PICTURES).iterdir()}
    assert {path.rpartition(".")[2] for path in sizes} <= {"png", "svg"}
    assert sum(sizes.values()) < 300_000, sizes


@pytest.mark.parametrize("file", FILES, ids=lambda file: str(file.relative_to(PACKAGE)))
def test_a_module_is_short_and_well_named(file: Path) -> None:
    lines = len(file.read_text(encoding="utf-8").splitlines())
    assert lines < MODULE_LINES, f"{lines} lines; split it by noun"
    name = file.parent.name if file.stem == "__init__" else file.stem
    assert not set(name.split("_")) & BANNED
    assert name == "yolosweep" or file.stem in ("__init__", "__main__") or name not in sys.stdlib_module_names


@pytest.mark.parametrize("file", FILES, ids=lambda file: str(file.relative_to(PACKAGE)))
def test_functions_are_short(file: Path) -> None:
    long = []
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
            lines = (node.end_lineno or 0) - node.lineno + 1
            if ast.get_docstring(node) is not None:
                lines -= (node.body[0].end_lineno or 0) - node.body[0].lineno + 1
            if lines >= FUNCTION_LINES:
                long.append(f"{node.name} has {lines} lines")
    assert long == []


@pytest.mark.parametrize(
    "file", [file for file in FILES if file.name == "__init__.py"], ids=lambda file: file.parent.name
)
def test_init_only_re_exports(file: Path) -> None:
    """Besides imports, ``__all__`` and ``__version__``, a room's door may be one small function that imports lazily."""
    for node in ast.parse(file.read_text(encoding="utf-8")).body:
        named = isinstance(node, ast.Assign) and all(
            isinstance(target, ast.Name) and target.id.startswith("__") for target in node.targets
        )
        docstring = isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)
        lazy_door = isinstance(node, ast.FunctionDef) and any(
            isinstance(inner, ast.ImportFrom) for inner in ast.walk(node)
        )
        typing = isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING"
        imports = typing or isinstance(node, (ast.Import, ast.ImportFrom))
        assert named or docstring or lazy_door or imports, ast.unparse(node)


@pytest.mark.parametrize("file", FILES, ids=lambda file: str(file.relative_to(PACKAGE)))
def test_modules_that_a_docstring_names_exist(file: Path) -> None:
    for name in re.findall(r":mod:`~?([\w.]+)`", file.read_text(encoding="utf-8")):
        assert any(f"/{one}/".endswith(f"/{name.replace('.', '/')}/") for one in MODULES), name
