"""What holds for everything in ``cluster/``: pins, locks, no secrets, scripts that parse, commands that exist."""

from __future__ import annotations

import re
import shlex
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from typer.main import get_command

from yolosweep import __version__
from yolosweep.cli.app import app

ROOT = Path(__file__).resolve().parents[3]
CLUSTER = ROOT / "cluster"
FILES = sorted(path for path in CLUSTER.rglob("*") if path.is_file())
READMES = [path for path in FILES if path.name == "README.md"]
SCRIPTS = [path for path in FILES if path.suffix in (".sh", ".sbatch")]
SECRETS = {
    "an AWS key": re.compile(r"\b(AKIA|ASIA)[A-Z0-9]{16}\b"),
    "a private key": re.compile(r"-----BEGIN [A-Z ]*PRIVATE KEY-----"),
    "a token in clear": re.compile(r"RAY_AUTH_TOKEN[\"']?\s*[=:]"),
    "a value for a secret": re.compile(
        r"(?i)(api_key|secret_access_key|password|passwd|auth_token)[\"']?\s*[=:]\s*(?!\$HOME/|~/)[\"']?[\w$/+]"
    ),
    "sixty-four hexadecimal digits": re.compile(r"\b[0-9a-f]{64}\b"),
}


def named(file: Path) -> str:
    return file.relative_to(CLUSTER).as_posix()


def pins() -> dict[str, str]:
    found = re.findall(r"^(\S+)==(\S+)$", (CLUSTER / "constraints.txt").read_text(), re.MULTILINE)
    return {canonicalize_name(name): version for name, version in found}


def exposures(text: str) -> list[str]:
    """Return the lines without their comments that let something listen on every address."""
    return [line for line in text.splitlines() if "0.0.0.0" in line.partition("#")[0]]


def secrets_in(text: str) -> list[str]:
    return [what for what, shape in SECRETS.items() if shape.search(text)]


def test_the_constraints_are_the_pins_of_the_package() -> None:
    wanted = re.search(r"^dependencies = \[(.*?)^\]", (ROOT / "pyproject.toml").read_text(), re.MULTILINE | re.DOTALL)
    assert wanted is not None
    for text in re.findall(r'^\s*"([^"]+)"', wanted[1], re.MULTILINE):
        needed = Requirement(text)
        assert pins()[canonicalize_name(needed.name)] in needed.specifier, text


@pytest.mark.parametrize("file", FILES, ids=named)
def test_versions_are_the_pinned_ones(file: Path) -> None:
    text = file.read_text(encoding="utf-8")
    for name, version in re.findall(r"\b([a-z][\w.-]*)(?:\[[\w,]+\])?==([\d.]+\d)", text):
        assert version == pins().get(canonicalize_name(name), version), f"{name}=={version}"
    for shape, wanted in (
        (r"ray(?:\[[\w,]+\])?==(\d[\d.]*\d)", pins()["ray"]),
        (r"-ray(\d+\.\d+\.\d+)", pins()["ray"]),
        (r'rayVersion: "([^"]*)"', pins()["ray"]),
        (r"yolosweep:(\d+\.\d+\.\d+)", __version__),
    ):
        assert set(re.findall(shape, text)) <= {wanted}, shape


@pytest.mark.parametrize("file", FILES, ids=named)
def test_nothing_listens_everywhere_and_nothing_is_secret(file: Path) -> None:
    text = file.read_text(encoding="utf-8")
    assert exposures(text) == []
    assert secrets_in(text) == []


@pytest.mark.parametrize(
    "line",
    [
        "AKIAABCDEFGHIJKLMNOP",
        "WANDB_API_KEY=abc",
        "RAY_AUTH_TOKEN: abc",
        "auth_token: hunter2",
        "password = 'x'",
        "a" * 64,
    ],
)
def test_a_secret_would_be_seen(line: str) -> None:
    assert secrets_in(line)


def test_an_open_dashboard_would_be_seen() -> None:
    assert exposures("ray start --dashboard-host=0.0.0.0  # why not")


def working(file: Path) -> str:
    """Return a file without its comments: what is only told does not count (``#SBATCH`` is no comment)."""
    return re.sub(r"(?m)(^|\s)#(?!SBATCH).*$", "", file.read_text())


def test_the_slurm_script_says_what_a_sweep_lives_by() -> None:
    text = working(CLUSTER / "slurm" / "sweep.sbatch")
    for needed in (
        r'^export RAY_AUTH_MODE=token RAY_AUTH_TOKEN_PATH="\$private/token"$',
        r"--include-dashboard=false",
        r"^umask 077$|^umask 077 ",
        r"^#SBATCH --signal=B:TERM@\d+",
        r"^#SBATCH --requeue",
    ):
        assert re.search(needed, text, re.MULTILINE), needed


def test_every_place_turns_the_token_on() -> None:
    for place in sorted(path for path in CLUSTER.iterdir() if path.is_dir()):
        files = [path for path in place.iterdir() if path.suffix in (".yaml", ".sbatch")]
        assert files or place.name == "container"
        for file in files:
            if file.name != "surroundings.yaml":
                assert re.search(r"RAY_AUTH_MODE=token|authOptions: \{mode: token,", working(file)), file


@pytest.mark.parametrize("file", SCRIPTS, ids=named)
def test_bash_and_shellcheck_accept_the_script(file: Path) -> None:
    done = subprocess.run(["bash", "-n", file], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    if shutil.which("shellcheck") is None:
        pytest.skip("shellcheck is not installed (Debian package shellcheck)")
    done = subprocess.run(["shellcheck", "--shell=bash", file], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout


def commands(text: str) -> Iterator[tuple[str, list[str]]]:
    """Yield every ``yolosweep …`` that a page shows as code: the line and its words."""
    blocks = re.findall(r"^```\w*\n(.*?)^```", text, re.MULTILINE | re.DOTALL)
    lines = [line for block in blocks for line in block.splitlines()]
    lines += re.findall(r"`([^`\n]+)`", re.sub(r"^```.*?^```", "", text, flags=re.MULTILINE | re.DOTALL))
    for line in lines:
        for part in re.split(r"&&|;", line):
            found = re.search(r"(?<!--namespace )(?<![\w-])yolosweep (?P<rest>[a-z].*)$", part.strip())
            if found is not None:
                yield line, shlex.split(found["rest"])


@pytest.mark.parametrize("file", READMES, ids=named)
def test_every_command_of_a_page_exists(file: Path) -> None:
    known = get_command(app).commands  # type: ignore[attr-defined]
    for line, (name, *words) in commands(file.read_text(encoding="utf-8")):
        assert name in known, line
        options = {option for parameter in known[name].params for option in parameter.opts}
        words = words[: words.index("--")] if "--" in words else words  # what follows is another program's
        assert [word for word in words if word.startswith("-") and word.partition("=")[0] not in options] == [], line


def test_a_command_that_does_not_exist_would_be_seen() -> None:
    text = "```\nexport X=1 && ~/sweep/bin/yolosweep shwo runs/a\n```\nand `yolosweep plan x.yaml --josn`\n"
    assert [words for _, words in commands(text)] == [["shwo", "runs/a"], ["plan", "x.yaml", "--josn"]]


@pytest.mark.parametrize("file", READMES, ids=named)
def test_a_page_tells_what_it_costs_how_it_ends_and_what_was_not_tried(file: Path) -> None:
    text = file.read_text(encoding="utf-8")
    assert "## What it costs" in text
    assert "## What was checked" in text
    assert not re.search(r"[$€]\s?\d|\d\s?(USD|EUR)", text), "prices change daily"
    if file.parent != CLUSTER:
        assert "## Taking it down" in text
    for link in re.findall(r"\]\(([^)#]+)[^)]*\)", text):
        assert (file.parent / link).exists(), link


def instructions(text: str) -> list[tuple[str, str]]:
    """Return a Dockerfile as (instruction, rest), continued lines joined."""
    joined = re.sub(r"\\\n\s*", "", "\n".join(line for line in text.splitlines() if not line.startswith("#")))
    return [(word, rest.strip()) for word, _, rest in (line.partition(" ") for line in joined.splitlines() if line)]


def dockerfile_faults(text: str) -> list[str]:
    """Return what is wrong with a Dockerfile, by the rules of this house."""
    steps = instructions(text)
    words = [word for word, _ in steps]
    # Docker knows in FROM only what stands before the first of them.
    base = dict(rest.partition("=")[::2] for word, rest in steps[: words.index("FROM")] if word == "ARG")
    froms = [re.sub(r"\$\{(\w+)\}", lambda it: base.get(it[1], it[0]), rest) for word, rest in steps if word == "FROM"]
    faults = [f"unknown or banned: {word}" for word in words if word not in DOCKER]
    faults += [f"not pinned: {rest}" for rest in froms if not PINNED.match(rest)]
    last = len(steps) - 1 - words[::-1].index("FROM")
    users = [rest for word, rest in steps[last:] if word == "USER"]
    if not users or users[-1].partition(":")[0] in ("0", "root"):
        faults.append("runs as root")
    faults += [
        f"a secret at build time: {rest}" for _, rest in steps if re.search(r"(?i)token|secret|api_key|password", rest)
    ]
    faults += [f"libGL is not needed: {rest}" for _, rest in steps if "libgl" in rest.lower()]
    for word, rest in steps:
        if word == "COPY" and not rest.startswith("--from=build "):
            faults += [f"not there: {source}" for source in rest.split()[:-1] if not (ROOT / source).exists()]
        if "pip install" in rest and "--constraint" not in rest:
            faults.append(f"without the pins: {rest}")
    return faults


DOCKER = {"ARG", "FROM", "RUN", "COPY", "ENV", "USER", "WORKDIR", "CMD"}
PINNED = re.compile(r"^[\w./-]+:\d+\.\d+\.\d+[\w.-]*( AS build)?$")
DOCKERFILE = (CLUSTER / "container" / "Dockerfile").read_text(encoding="utf-8")


def test_the_container_recipe_is_free_of_faults() -> None:
    assert dockerfile_faults(DOCKERFILE) == []


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("ARG BASE=python:3.11.14-slim-bookworm\n", "ARG BASE=python:latest\n", "not pinned"),
        ("ARG BASE=python:3.11.14-slim-bookworm\n", "", "not pinned"),
        ("FROM ${BASE}\n", "FROM python\n", "not pinned"),
        ("USER 1000:1000", "USER root", "runs as root"),
        ("WORKDIR", "WROKDIR", "unknown or banned"),
        ("ENV PATH", "ENV WANDB_API_KEY=x PATH", "a secret"),
        ("COPY jobs", "COPY jbos", "not there"),
        ("--constraint /build/constraints.txt ", "", "without the pins"),
        ("procps wget", "procps wget libgl1", "libGL"),
    ],
)
def test_a_broken_recipe_would_be_seen(old: str, new: str, said: str) -> None:
    assert old in DOCKERFILE
    assert any(said in fault for fault in dockerfile_faults(DOCKERFILE.replace(old, new)))


def test_only_what_the_recipe_copies_is_sent_to_the_builder() -> None:
    lines = (CLUSTER / "container" / "Dockerfile.dockerignore").read_text().splitlines()
    rules = [line for line in lines if line and not line.startswith("#")]
    copied = {
        source
        for word, rest in instructions(DOCKERFILE)
        if word == "COPY" and not rest.startswith("--from=")
        for source in rest.split()[:-1]
    }
    assert rules[0] == "*"
    assert {rule[1:] for rule in rules if rule.startswith("!")} == copied
