"""The page of a dataset in headless Chromium: silent, offline, as wide as a phone, and nothing in its names runs."""

from __future__ import annotations

import html
import importlib.util
import json
import re
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from yolosweep.report.data_page import render_data_page

pytestmark = pytest.mark.slow

DARK = "--blink-settings=preferredColorScheme=0"
PHONE = 390
Browse = Callable[..., tuple[str, list[str]]]
PROBE = """<script>
const wide = document.documentElement, over = [...document.querySelectorAll('main *')].filter(e =>
  e.getBoundingClientRect().right > innerWidth + 1 && !e.closest('.scroll, .picture svg')).map(e => e.outerHTML);
parent.document.documentElement.dataset.seen = JSON.stringify({
  inner: innerWidth, scroll: wide.scrollWidth, over, pwned: window.pwned ?? null,
  broken: [...document.images].filter(i => !i.naturalWidth).length, images: document.images.length,
  marks: document.querySelectorAll('.picture svg > *').length,
  reached: [...document.querySelectorAll('a, summary, .scroll')].filter(e => e.tabIndex < 0).length});
</script>"""


@pytest.fixture(scope="module")
def views() -> Any:
    """The unit tests of the page, which know how to fill one."""
    spec = importlib.util.spec_from_file_location(
        "views", Path(__file__).parents[1] / "unit" / "report" / "test_data_page.py"
    )
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def browse(tmp_path: Path) -> Browse:
    """Open a page from its file; give back its DOM and every line of the console and of requests that left it."""
    chromium = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if chromium is None:
        pytest.skip("no Chromium: apt-get install chromium")

    def opened(text: str, *more: str) -> tuple[str, list[str]]:
        page, log = tmp_path / "page.html", tmp_path / "net.json"
        page.write_text(text, encoding="utf-8")
        done = subprocess.run(
            [
                chromium, "--headless", "--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-sync",
                "--disable-background-networking", "--disable-component-update", f"--user-data-dir={tmp_path}/profile",
                "--host-resolver-rules=MAP * ~NOTFOUND", "--enable-logging=stderr", "--v=0", "--hide-scrollbars",
                "--window-size=1300,1600", "--virtual-time-budget=5000", f"--log-net-log={log}", *more,
                "--dump-dom", page.as_uri(),
            ],
            capture_output=True, text=True, timeout=300, check=True,
        )  # fmt: skip
        asked = re.findall(r'"url":"((?:https?|wss?|ftp):[^"]+)"', log.read_text())
        asked = [url for url in asked if "google" not in url and "gvt1" not in url]  # the browser's own
        return done.stdout, [line for line in done.stderr.splitlines() if "CONSOLE" in line] + asked

    return opened


def probed(page: str, width: int = PHONE) -> str:
    """Return the page in a frame of that width, with a script that measures it and without the policy against it.

    Chromium's own window is never narrower than 500 pixels.
    """
    policy = re.search(r'<meta http-equiv="Content-Security-Policy"[^>]*>', page)
    assert policy is not None
    page = page.replace(policy[0], "").replace("</body>", f"{PROBE}</body>")
    frame = f'<iframe style="border: 0; width: {width}px; height: 1500px" srcdoc="{html.escape(page)}"></iframe>'
    return f'<!doctype html><meta charset="utf-8"><link rel="icon" href="data:,"><body>{frame}</body>'


def seen(dom: str) -> dict[str, Any]:
    found = re.search(r'data-seen="([^"]*)"', dom)
    assert found is not None
    told: dict[str, Any] = json.loads(html.unescape(found[1]))
    return told


@pytest.mark.parametrize("theme", [(), (DARK,)], ids=["light", "dark"])
def test_it_opens_offline_and_the_console_is_silent(browse: Browse, views: Any, theme: tuple[str, ...]) -> None:
    dom, told = browse(render_data_page(views.full("plain")), *theme)
    assert told == []
    assert "No sweep can start on these data" in dom
    assert dom.count("<figure>") == 5


def test_a_request_would_be_seen(browse: Browse, views: Any) -> None:
    page = probed(render_data_page(views.full("plain")))
    _, told = browse(page.replace("</body>", "<img src='https://example.org/pixel.png'></body>"))
    assert any("example.org" in line for line in told)


@pytest.mark.parametrize(
    "smuggled",
    [
        "<script>window.pwned = 1; console.error('pwned')</script>",
        "<img src=x onerror=\"console.error('pwned')\">",
        "<img src='https://example.org/pixel.png'>",
    ],
    ids=["script", "handler", "picture"],
)
def test_what_is_smuggled_in_is_refused_by_the_page(browse: Browse, views: Any, smuggled: str) -> None:
    _, told = browse(render_data_page(views.full("plain")).replace("</main>", f"{smuggled}</main>"))
    assert any("Content Security Policy" in line for line in told)
    assert not any(line.startswith("http") or "pwned" in line.split("source:")[0].split("violates")[0] for line in told)


@pytest.mark.parametrize("width", [PHONE, 1200])
def test_hostile_names_neither_run_nor_widen_the_page(browse: Browse, views: Any, width: int) -> None:
    name = "".join(views.HOSTILE.values())
    dom, told = browse(probed(render_data_page(views.full(name)), width))
    measured = seen(dom)
    assert told == []
    assert measured["pwned"] is None
    assert measured["inner"] == width
    assert measured["scroll"] == width
    assert measured["over"] == []
    assert measured["broken"] == 0
    assert measured["images"] == 5
    assert measured["marks"] == 10
    assert measured["reached"] == 0


def test_every_hostile_name_alone_fits_a_phone(browse: Browse, views: Any) -> None:
    for name in views.HOSTILE.values():
        dom, told = browse(probed(render_data_page(views.full(name))))
        measured = seen(dom)
        assert (told, measured["pwned"], measured["scroll"], measured["over"]) == ([], None, PHONE, []), name


def test_the_pictures_can_be_seen_in_both_themes(browse: Browse, views: Any, tmp_path: Path) -> None:
    paper = []
    for number, theme in enumerate([(), (DARK,)]):
        shot = tmp_path / f"{number}.png"
        browse(render_data_page(views.full("plain")), *theme, f"--screenshot={shot}")
        image = Image.open(shot).convert("RGB")
        paper.append(sum(image.getpixel((3, 3))) / 3)  # type: ignore[arg-type]
        assert len(image.getcolors(1 << 24) or ()) > 500
    assert paper[0] > 230
    assert paper[1] < 30
