"""The report in headless Chromium: no console error, nothing asked of the network, curves and table are there."""

from __future__ import annotations

import importlib.util
import re
import shutil
import subprocess
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from yolosweep.records import Ending
from yolosweep.report import write_report

pytestmark = pytest.mark.slow


def _runs() -> ModuleType:
    spec = importlib.util.spec_from_file_location("runs", Path(__file__).parents[1] / "unit" / "test_report.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def chromium() -> str:
    found = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if found is None:
        pytest.skip("no Chromium: apt-get install chromium")
    return found


def open_page(chromium: str, page: Path, profile: Path) -> tuple[str, list[str]]:
    """Return the page's DOM after its scripts ran, and what the browser's console said."""
    done = subprocess.run(
        [
            chromium, "--headless", "--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-sync",
            "--disable-background-networking", "--disable-component-update", f"--user-data-dir={profile}",
            "--host-resolver-rules=MAP * ~NOTFOUND", "--enable-logging=stderr", "--v=0", "--window-size=1300,2000",
            "--virtual-time-budget=15000", "--dump-dom", page.as_uri(),
        ],
        capture_output=True, text=True, timeout=120, check=True,
    )  # fmt: skip
    return done.stdout, [line for line in done.stderr.splitlines() if "CONSOLE" in line]


def plot(dom: str, name: str) -> str:
    """Return the part of the DOM from one plot's element to the next."""
    start = dom.index(f'id="{name}"')
    following = [dom.find(mark, start) for mark in ('class="plot"', 'class="plot js', "<h2>")]
    return dom[start : min((place for place in following if place > 0), default=len(dom))]


@pytest.mark.parametrize("trials", [1, 20])
def test_everything_is_drawn_and_the_console_is_silent(chromium: str, tmp_path: Path, trials: int) -> None:
    runs: Any = _runs()
    endings = [Ending.FINISHED, Ending.PRUNED, Ending.PATIENCE, Ending.CANCELLED]
    scored = [([0.1 * (i % 5), 0.2 + 0.03 * i], endings[i % 4]) for i in range(trials)]
    folder = runs.write_run(tmp_path, *scored, ([], Ending.FAILED), name=runs.HOSTILE)
    dom, console = open_page(chromium, write_report(folder), tmp_path / "profile")
    assert console == []
    assert 'data-drawn="yes"' in dom
    assert "<title>owned" not in dom
    assert len(re.findall(r'class="trace scatter', plot(dom, "curves"))) == trials
    assert len(re.findall(r'class="trace scatter', plot(dom, "parallel"))) == trials
    for index in range(3):
        assert len(re.findall(r'class="point"', plot(dom, f"scatter-{index}"))) == trials
    table = dom[dom.index('<table id="trials"') :]
    assert table[: table.index("</table>")].count("<tr") == trials + 2  # the head, and the failed one


def test_a_run_without_any_score_still_opens(chromium: str, tmp_path: Path) -> None:
    folder = _runs().write_run(tmp_path, ([None], Ending.DIVERGED), ([], Ending.OOM))
    dom, console = open_page(chromium, write_report(folder), tmp_path / "profile")
    assert console == []
    assert "No trial gave a score." in dom
