"""Make the pictures of the README from a finished run: ``python -m tests.tools.make_pictures RUN``.

Chromium takes the screenshots of ``report.html`` and of the data page; rich draws the terminal. Look at the pictures
before you commit them.
"""

from __future__ import annotations

import io
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from PIL import Image
from rich.console import Console
from rich.terminal_theme import DEFAULT_TERMINAL_THEME

IMAGES = Path(__file__).resolve().parents[2] / "platform" / "docs" / "images"
WIDTH = 1400
"""Pixels of the browser window."""
SCALED = 1050
"""Pixels of the pictures."""
COLORS = 96


def screenshot(page: Path, target: Path, height: int, hide: str = "") -> None:
    """Write the top of a page as a small PNG, without the parts that the CSS selector ``hide`` names."""
    browser = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if browser is None:
        sys.exit("no chromium is installed")
    with tempfile.TemporaryDirectory() as folder:
        raw, copy = Path(folder) / "page.png", Path(folder) / "page.html"
        style = f"<style>{hide} {{ display: none }}</style></head>" if hide else "</head>"
        copy.write_text(page.read_text(encoding="utf-8").replace("</head>", style, 1), encoding="utf-8")
        command = [
            *(browser, "--headless=new", "--no-sandbox", "--disable-gpu", "--hide-scrollbars"),
            *(f"--user-data-dir={folder}/profile", f"--window-size={WIDTH},{height}", "--virtual-time-budget=20000"),
            *(f"--screenshot={raw}", copy.as_uri()),
        ]
        subprocess.run(command, check=True, capture_output=True, timeout=300)
        with Image.open(raw) as image:
            shape = SCALED, round(image.height * SCALED / image.width)
            small = image.convert("RGB").resize(shape, Image.Resampling.LANCZOS)
    small.quantize(COLORS, dither=Image.Dither.NONE).save(target, optimize=True)


def terminal(commands: list[list[str]], target: Path, shown: list[str]) -> None:
    """Write what commands print as an SVG; ``shown`` is what stands after the prompt."""
    console = Console(record=True, width=1, file=io.StringIO(), force_terminal=True, highlight=False)
    lines = []
    for command, prompt in zip(commands, shown, strict=True):
        done = subprocess.run([sys.executable, "-m", *command], check=True, capture_output=True, text=True)
        output = done.stdout.replace(f"{command[-1].rpartition('/runs/')[0]}/runs/", "runs/")
        lines += [f"$ {prompt}", *output.rstrip().splitlines(), ""]
    console.width = max(map(len, lines)) + 1
    console.print("\n".join(lines[:-1]), markup=False, soft_wrap=True)
    text = console.export_svg(title="yolosweep", theme=DEFAULT_TERMINAL_THEME)
    target.write_text(re.sub(r"@font-face \{.*?\}\s*", "", text, flags=re.DOTALL), encoding="utf-8")


def main(run: Path) -> None:
    """Write all pictures."""
    IMAGES.mkdir(exist_ok=True)
    screenshot(run / "report.html", IMAGES / "report.png", 1115)
    with tempfile.TemporaryDirectory() as folder:
        page = Path(folder) / "check.html"
        check = [sys.executable, "-m", "yolosweep", "check", "sample:parking", "--report", str(page)]
        subprocess.run(check, check=True, capture_output=True)
        screenshot(page, IMAGES / "data-check.png", 1360, hide="#sizes")
    shown = ["yolosweep show runs/" + run.name, "yolosweep best runs/" + run.name]
    terminal([["yolosweep", "show", str(run)], ["yolosweep", "best", str(run)]], IMAGES / "terminal.svg", shown)


if __name__ == "__main__":
    main(Path(sys.argv[1]).resolve())
