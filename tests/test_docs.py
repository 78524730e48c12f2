"""The pages: links lead somewhere, generated parts are up to date, and nothing that a user can meet is missing."""

from __future__ import annotations

import functools
import json
import re
from pathlib import Path

import pytest
from hatchling.builders.wheel import WheelBuilder
from tests.tools import generate_docs
from tests.tools.finding_meanings import MEANINGS
from typer.testing import CliRunner

from yolosweep.cli.app import app
from yolosweep.cli.docs import folder, pages, summary_of
from yolosweep.data.model.finding_codes import CODES

ROOT = Path(__file__).resolve().parents[1]
PACKAGE = ROOT / "platform" / "yolosweep"
DOCS = ROOT / "platform" / "docs"
MARKDOWN = sorted(
    [*ROOT.glob("*.md"), *DOCS.glob("*.md"), *(ROOT / "cluster").rglob("*.md"), *(ROOT / "jobs").rglob("*.md")]
)
runner = CliRunner()


def named(path: Path) -> str:
    return str(path.relative_to(ROOT))


def prose(path: Path) -> str:
    """Return a page without its fenced blocks."""
    return re.sub(r"^```.*?^```", "", path.read_text(encoding="utf-8"), flags=re.MULTILINE | re.DOTALL)


def anchors(path: Path) -> set[str]:
    """Return the anchors of a page's headings, as GitHub makes them."""
    headings = re.findall(r"^#+ (.*)$", prose(path), re.MULTILINE)
    return {generate_docs.slug(re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", heading)) for heading in headings}


@pytest.mark.parametrize("path", MARKDOWN, ids=named)
def test_relative_links_and_anchors_resolve(path: Path) -> None:
    broken = []
    for link in re.findall(r"\]\(([^)\s]+)\)", prose(path)):
        if "://" in link or link.startswith("mailto:"):
            continue
        file, _, anchor = link.partition("#")
        target = (path.parent / file).resolve() if file else path
        if not target.exists() or (anchor and anchor not in anchors(target)):
            broken.append(link)
    assert broken == []


@pytest.mark.parametrize("path", sorted(DOCS.glob("*.md")), ids=named)
def test_the_readme_links_every_page(path: Path) -> None:
    assert f"(platform/docs/{path.name})" in (ROOT / "README.md").read_text(encoding="utf-8")


generated = functools.cache(generate_docs.generated)


@pytest.mark.parametrize("name", ["cli.md", "yaml-reference.md", "data-checks.md", "arguments.md", "models.md"])
@pytest.mark.slow
def test_generated_pages_are_up_to_date(name: str) -> None:
    expected = generated()[DOCS / name]
    assert (DOCS / name).read_text(encoding="utf-8") == expected, "run: python -m tests.tools.generate_docs"


def test_every_finding_code_has_its_row_and_its_meaning() -> None:
    page = (DOCS / "data-checks.md").read_text(encoding="utf-8")
    assert [code for code in CODES if f"\n| `{code}` | {CODES[code].severity.value} |" not in page] == []
    assert set(MEANINGS) == set(CODES)


def test_every_command_has_its_section() -> None:
    page = (DOCS / "cli.md").read_text(encoding="utf-8")
    assert [name for name, _ in generate_docs.commands() if f"\n## yolosweep {name}\n" not in page] == []


def test_every_exit_code_has_its_row() -> None:
    assert set(generate_docs.EXIT_CODES) == generate_docs.known_exit_codes()
    page = (DOCS / "cli.md").read_text(encoding="utf-8")
    assert [code for code in generate_docs.EXIT_CODES if f"\n| {code} | " not in page] == []


def test_docs_lists_every_page_with_a_summary() -> None:
    listed = json.loads(runner.invoke(app, ["docs", "--json"]).stdout)
    assert [line["topic"] for line in listed] == sorted(path.stem for path in DOCS.glob("*.md"))
    assert all(20 < len(line["summary"]) < 120 for line in listed), listed
    text = runner.invoke(app, ["docs"]).stdout
    assert all(line["topic"] in text and line["summary"] in text for line in listed)


@pytest.mark.parametrize("topic", sorted(path.stem for path in DOCS.glob("*.md")))
def test_docs_prints_a_page_without_its_comments(topic: str) -> None:
    text = runner.invoke(app, ["docs", topic]).stdout
    assert text.startswith("# ")
    assert "<!--" not in text
    assert json.loads(runner.invoke(app, ["docs", topic, "--json"]).stdout) == {"topic": topic, "text": text}


def test_an_unknown_topic_names_the_nearest_ones() -> None:
    result = runner.invoke(app, ["docs", "fault-tolerence"])
    assert result.exit_code == 2
    assert "there is no page 'fault-tolerence'; did you mean fault-tolerance" in result.output
    assert "known: arguments, cli" in runner.invoke(app, ["docs", "zzz"]).output


def test_a_terminal_gets_rendered_markdown(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    from yolosweep.cli import docs

    monkeypatch.setattr("sys.stdout.isatty", lambda: True)
    docs.docs("run-folder")
    text = capsys.readouterr().out
    assert "Run folder" in text
    assert "```" not in text


def test_the_wheel_holds_the_pages_and_no_pictures() -> None:
    files = {file.distribution_path for file in WheelBuilder(str(ROOT)).recurse_included_files()}
    assert {f"yolosweep/docs/{path.name}" for path in DOCS.glob("*.md")} == {f for f in files if "/docs/" in f}
    assert {"yolosweep/__init__.py", "yolosweep/experiment/experiment.schema.json", "yolosweep/cli/docs.py"} <= files
    assert {file.partition("/")[0] for file in files} == {"yolosweep"}
    modules = {f"yolosweep/{path.relative_to(PACKAGE).as_posix()}" for path in PACKAGE.rglob("*.py")}
    assert modules - files == set(), "every module, whatever .gitignore says"


def test_an_installed_package_brings_its_own_pages(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert folder() == DOCS
    (tmp_path / "yolosweep" / "docs").mkdir(parents=True)
    (tmp_path / "yolosweep" / "docs" / "x.md").write_text("<!-- a note -->\n\n# X\n\nWhat `x` is. More.\n")
    monkeypatch.setattr("yolosweep.__file__", str(tmp_path / "yolosweep" / "__init__.py"))
    assert {topic: summary_of(text) for topic, text in pages().items()} == {"x": "What x is"}
    assert runner.invoke(app, ["docs", "x"]).stdout == "# X\n\nWhat `x` is. More.\n"
