"""The report in headless Chromium: everything is drawn, the console is silent, nothing is asked of the network."""

from __future__ import annotations

import importlib.util
import re
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from yolosweep.records import Ending
from yolosweep.report import write_report

pytestmark = pytest.mark.slow

DARK = "--blink-settings=preferredColorScheme=0"
Browse = Callable[..., tuple[str, list[str]]]


@pytest.fixture(scope="module")
def runs() -> Any:
    """The unit tests of the report, which know how to write a run."""
    spec = importlib.util.spec_from_file_location(
        "runs", Path(__file__).parents[1] / "unit" / "report" / "test_sweep_page.py"
    )
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def browse(tmp_path: Path) -> Browse:
    """Open a page; give back its DOM after its scripts ran, and every line of the browser's console."""
    chromium = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if chromium is None:
        pytest.skip("no Chromium: apt-get install chromium")

    def opened(page: Path, *more: str) -> tuple[str, list[str]]:
        done = subprocess.run(
            [
                chromium, "--headless", "--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-sync",
                "--disable-background-networking", "--disable-component-update", f"--user-data-dir={tmp_path}/profile",
                "--host-resolver-rules=MAP * ~NOTFOUND", "--enable-logging=stderr", "--v=0", "--window-size=1300,2000",
                "--virtual-time-budget=15000", *more, "--dump-dom", page.as_uri(),
            ],
            capture_output=True, text=True, timeout=300, check=True,
        )  # fmt: skip
        return done.stdout, [line for line in done.stderr.splitlines() if "CONSOLE" in line]

    return opened


def plot(dom: str, name: str) -> str:
    """Return the part of the DOM from one plot's element to the next."""
    start = dom.index(f'id="{name}"')
    following = [dom.find(mark, start) for mark in ('class="plot"', 'class="plot js', "<h2>")]
    return dom[start : min((place for place in following if place > 0), default=len(dom))]


def lines(dom: str, name: str) -> int:
    """Return how many lines of a plot have a course."""
    return len(re.findall(r'class="js-line"[^>]* d="M[^"]+L', plot(dom, name)))


def points(dom: str, name: str) -> int:
    return len(re.findall(r'class="point"[^>]* d="M', plot(dom, name)))


def rows(dom: str) -> list[str]:
    """Return the first cell of every row of the trials' table."""
    table = dom[dom.index('<table id="trials"') :]
    return re.findall(r"<tr[^>]*><td>(t\d+)", table[: table.index("</table>")])


def changed(page: Path, old: str, new: str) -> Path:
    """Return a copy of a page with something in it that was not there."""
    text = page.read_text()
    assert text.count(old) == 1
    copy = page.with_name("changed.html")
    copy.write_text(text.replace(old, new))
    return copy


@pytest.mark.parametrize("trials", [1, 20, 200])
def test_everything_is_drawn_and_the_console_is_silent(browse: Browse, runs: Any, tmp_path: Path, trials: int) -> None:
    endings = [Ending.FINISHED, Ending.PRUNED, Ending.PATIENCE, Ending.CANCELLED]
    scored = [([0.1 * (i % 5), 0.2 + 0.003 * i], endings[i % 4]) for i in range(trials)]
    best = f"t{trials - 1:04d}"
    folder = runs.write_run(
        tmp_path, *scored, ([], Ending.FAILED), name=runs.HOSTILE, winner=runs.winner(best, 0.5, label=runs.HOSTILE)
    )
    dom, console = browse(write_report(folder))
    assert console == []
    assert 'data-drawn="yes"' in dom
    assert lines(dom, "curves") == trials
    assert lines(dom, "parallel") == trials
    assert len(re.findall(r"<path[^>]*data-index", plot(dom, "parallel"))) == runs.DRAWN + 1  # the axes
    for index in range(runs.DRAWN):
        assert points(dom, f"scatter-{index}") == trials
    assert lines(dom, "losses") == 1  # the score of the best trial; this run has no losses
    if trials > 1:
        assert points(dom, "history") == trials
    best_first = sorted(range(trials), key=lambda number: (-max(scored[number][0]), number))
    assert rows(dom) == [f"t{number:04d}" for number in (*best_first, trials)]  # the failed one at the end


def test_hostile_names_stay_text(browse: Browse, runs: Any, tmp_path: Path) -> None:
    folder = runs.write_run(
        tmp_path, ([0.1], Ending.FINISHED), ([0.2], Ending.FAILED), name=runs.HOSTILE,
        records={"t0000": {"host": runs.HOSTILE, "device": runs.HOSTILE}}, restarts={"t0001": [(0, runs.HOSTILE)]},
    )  # fmt: skip
    dom, console = browse(write_report(folder))
    assert console == []
    assert "<title>owned" not in dom
    assert 'src="x"' not in dom
    assert "&lt;img src=x onerror=alert(1)&gt;" in plot(dom, "scatter-3")  # a tick, as it was written


@pytest.mark.parametrize(
    "smuggled",
    [
        "<script>document.title = 'owned'</script>",
        "<img src=x onerror=\"document.title = 'owned'\">",
        "<img src='https://example.org/pixel.png'>",
        "<link rel='stylesheet' href='https://example.org/style.css'>",
    ],
)
def test_what_is_smuggled_in_is_refused_by_the_page(browse: Browse, runs: Any, tmp_path: Path, smuggled: str) -> None:
    page = write_report(runs.write_run(tmp_path, ([0.1], Ending.FINISHED)))
    dom, console = browse(changed(page, "</main>", f"{smuggled}</main>"))
    assert "<title>owned" not in dom
    assert any("Content Security Policy" in line for line in console)


@pytest.mark.parametrize(("theme", "number"), [((), 0), ((DARK,), 1)])
def test_each_theme_has_its_colours(
    browse: Browse, runs: Any, tmp_path: Path, theme: tuple[str, ...], number: int
) -> None:
    page = write_report(runs.write_run(tmp_path, ([0.1, 0.2], Ending.FINISHED)))
    colour = re.findall(r"--best: #(\w\w)(\w\w)(\w\w);", page.read_text())[number]
    dom, console = browse(page, *theme)
    assert console == []
    assert f"stroke: rgb({', '.join(str(int(part, 16)) for part in colour)})" in plot(dom, "curves")


@pytest.mark.parametrize(("clicks", "order"), [(1, (2, 0, 3, 1)), (2, (3, 0, 2, 1))])
def test_a_click_on_a_head_sorts_and_what_has_no_score_stays_last(
    browse: Browse, runs: Any, tmp_path: Path, clicks: int, order: tuple[int, ...]
) -> None:
    trials = ([0.2], Ending.FINISHED), ([], Ending.FAILED), ([0.9], Ending.FINISHED), ([0.05], Ending.FINISHED)
    page = write_report(runs.write_run(tmp_path, *trials))
    policy = re.search(r'<meta http-equiv="Content-Security-Policy"[^>]*>', page.read_text())
    assert policy is not None
    page = changed(page, policy[0], "")  # which would refuse the script below
    click = "document.querySelectorAll('#trials button')[2].click();" * clicks
    dom, console = browse(changed(page, "</body>", f"<script>{click}</script></body>"))
    assert console == []
    assert rows(dom) == [f"t{number:04d}" for number in order]


READER = """
const later = (done) => setTimeout(() => "drawn" in document.documentElement.dataset ? done() : later(done), 50);
later(() => {
  const [filter, trial, plot] = ["filter", "trial", "losses"].map((name) => document.getElementById(name));
  if (!sessionStorage.getItem("reloaded")) {
    sessionStorage.setItem("reloaded", "yes");
    filter.value = "finished";
    filter.dispatchEvent(new Event("input"));
    document.querySelectorAll("#trials button")[0].click();
    trial.value = "t0000";
    trial.dispatchEvent(new Event("change"));
    Plotly.relayout(plot, { "xaxis.range[0]": 1, "xaxis.range[1]": 2 }).then(() => location.reload());
  } else document.title = [filter.value, trial.value, ...plot.layout.xaxis.range].join(" ");
});
"""
"""Sets everything that a reader can set, reloads the page, and says in its title what is left."""


def test_a_page_that_reloads_itself_keeps_what_its_reader_has_set(browse: Browse, runs: Any, tmp_path: Path) -> None:
    trials = ([0.2, 0.3], Ending.FINISHED), ([], Ending.FAILED), ([0.8, 0.9], Ending.FINISHED)
    page = write_report(runs.write_run(tmp_path, *trials))
    policy = re.search(r'<meta http-equiv="Content-Security-Policy"[^>]*>', page.read_text())
    assert policy is not None
    page = changed(page, policy[0], "")  # which would refuse the script below
    dom, console = browse(changed(page, "</body>", f"<script>{READER}</script></body>"))
    assert console == []
    assert "<title>finished t0000 1 2</title>" in dom
    assert rows(dom) == ["t0000", "t0001", "t0002"]  # by name; at first the best is on top
    assert re.findall(r"<tr[^>]*hidden[^>]*><td>(t\d+)", dom) == ["t0001"]


def test_a_run_without_any_score_still_opens(browse: Browse, runs: Any, tmp_path: Path) -> None:
    folder = runs.write_run(tmp_path, ([None], Ending.DIVERGED), ([], Ending.OOM), ended=False)
    dom, console = browse(write_report(folder))
    assert console == []
    assert "No trial has a score yet." in dom
    assert rows(dom) == ["t0000", "t0001"]
