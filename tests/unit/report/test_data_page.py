"""The page of a dataset: the verdict, every finding, bounded pictures, and nothing hostile in it that is not text."""

from __future__ import annotations

import io
import re
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from yolosweep.records import Finding, PreparedDataset, Severity
from yolosweep.report.contact_sheets import PALETTE, Mark, Tile, affordable, encoded, overlay, thumbnail
from yolosweep.report.data_figures import BoxSize, Count, class_rows, size_histogram, size_scatter, size_shares
from yolosweep.report.data_page import DataView, Gallery, Pair, render_data_page

HOSTILE = {
    "script": "<script>window.pwned=1</script>",
    "quotes": "\"' onerror='window.pwned=1' x=\"",
    "right to left": "\u202egpj.exe\u2066\u05d0\u05d1",
    "long": "n" * 300,
    "emoji": "🚗👩\u200d🔬",
    "surrogate": "caf\udce9.jpg",
    "control": "a\x00b\x1b[31mc\r\nd",
    "template": "{{ dataset }}{% include 'page.css' %}",
    "comment": "--><!-- ]]> </style></svg></title>",
}
VOID = {"meta", "link", "img", "br"}


class Outline(HTMLParser):
    """Checks that a page is well formed, and keeps its tags, its attributes and its text."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.attributes: list[tuple[str, str]] = []
        self.text = ""
        self._open: list[str] = []
        self.feed(page)
        self.close()
        assert self._open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.attributes += [(name, value or "") for name, value in attrs]
        if tag not in VOID:
            self._open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self._open.pop() == tag

    def handle_data(self, data: str) -> None:
        if self._open[-1:] != ["style"]:
            self.text += data


def found(severity: Severity, code: str = "label-class-range", **more: Any) -> Finding:
    return Finding(**{"code": code, "severity": severity, "message": "class 7", "fix": "add the class", **more})


def dataset(*findings: Finding, **more: Any) -> PreparedDataset:
    return PreparedDataset(
        **{
            "task": "detect", "source": "/d/data.yaml", "train_on": "/d/data.yaml", "names": {0: "red car", 1: "car"},
            "images": {"train": 9, "val": 3}, "fingerprint": "f" * 64, "findings": findings, **more,
        }
    )  # fmt: skip


def tile(name: str = "a.jpg", size: int = 160, **more: Any) -> Tile:
    noise = np.random.default_rng(0).integers(0, 256, (size, size, 3), np.uint8)
    marks = (Mark(0, (0.5, 0.5, 0.2, 0.2)), Mark(1, (0.1, 0.1, 0.1, 0.1), (0.1, 0.1, 0.2, 0.1, 0.2, 0.2)))
    return Tile(**{"jpeg": encoded(noise, size), "name": name, "split": "train", "marks": marks, **more})


def full(name: str, **more: Any) -> DataView:
    """Return a view in which a name stands in every place that comes from a dataset."""
    one = tile(name)
    return DataView(
        dataset=dataset(
            *(found(severity, message=name, file=name, line=3, split=name) for severity in Severity),
            source=name, names={0: name, 1: "car"}, notes=(name,), leaks={"val": 0.25},
        ),
        counts={"train": {0: Count(5, 4), 1: Count(1, 1)}, "val": {0: Count(2, 2)}},
        boxes=[BoxSize(0, 20, 30, 640), BoxSize(1, 3, 4, 640)],
        imgsz=(320, 640),
        samples={0: [one], 1: [one]},
        pairs=[Pair(first=one, second=one, kind="exact", detail=name)],
        previews=[Gallery(name=name, tiles=(one,), note=name)],
        **more,
    )  # fmt: skip


VERDICTS = {
    "nothing": ((), (), "found no problem: a sweep can start"),
    "note": ((found(Severity.NOTE),), (), "found no problem: a sweep can start"),
    "warning": ((found(Severity.WARNING),), (), "A sweep can start; 1 warning"),
    "error": ((found(Severity.ERROR), found(Severity.WARNING)), (), "No sweep can start on these data: 1 error."),
    "allowed": ((found(Severity.ERROR),), ("label-class-range",), "only because 1 error is waived"),
    "one allowed": (
        (found(Severity.ERROR), found(Severity.ERROR, "leak-exact")),
        ("leak-exact",),
        "No sweep can start on these data: 1 error.",
    ),
}


@pytest.mark.parametrize(("findings", "allowed", "verdict"), VERDICTS.values(), ids=VERDICTS.keys())
def test_the_verdict_comes_first(findings: tuple[Finding, ...], allowed: tuple[str, ...], verdict: str) -> None:
    page = render_data_page(DataView(dataset=dataset(*findings, allowed=allowed), exit_code=4))
    text = Outline(page).text
    assert verdict in text
    assert text.index(verdict) < text.index("Findings")
    assert "exit code 4" in text


def test_findings_come_by_severity_with_place_reason_and_way_out() -> None:
    findings = [
        found(Severity.NOTE, "yaml-path-resolved", message="path: is not here", fix=""),
        found(Severity.ERROR, file="/d/labels/a.txt", line=7, message="class 9 of 2"),
        found(Severity.WARNING, "split-val-small", message="val is small", fix="more images into val"),
        found(Severity.ERROR, file="/d/labels/b.txt", line=1, message="class 5 of 2"),
    ]
    text = Outline(render_data_page(DataView(dataset=dataset(*findings)))).text
    expected = ["class 9 of 2", "/d/labels/a.txt:7", "class 5 of 2", "/d/labels/b.txt:1", "add the class"]
    expected += ["val is small", "more images into val", "path: is not here"]
    places = [text.index(part) for part in expected]
    assert places == sorted(places)
    assert text.count("add the class") == 1


def test_thousands_of_findings_are_counted_not_shown() -> None:
    page = render_data_page(DataView(dataset=dataset(*(found(Severity.ERROR, line=n) for n in range(5000)))))
    assert "and 4940 more: yolosweep check --json" in page
    assert len(page) < 100_000


@pytest.mark.parametrize("name", HOSTILE.values(), ids=HOSTILE.keys())
def test_hostile_names_stay_text(name: str) -> None:
    harmless, page = Outline(render_data_page(full("plain"))), render_data_page(full(name))
    outline = Outline(page)
    assert outline.tags == harmless.tags
    assert [key for key, _ in outline.attributes] == [key for key, _ in harmless.attributes]
    assert page.encode()  # a name that is no Unicode does not stop the file from being written
    assert not re.search("[\u202a-\u202e\u2066-\u2069\x00\x1b]", page)


def test_nothing_outside_of_the_page_is_named_and_nothing_in_it_can_run() -> None:
    outline = Outline(render_data_page(full("plain")))
    assert "script" not in outline.tags
    links = [value for key, value in outline.attributes if key in ("href", "src")]
    assert links
    assert all(value.startswith(("#", "data:")) for value in links)
    assert not [key for key, _ in outline.attributes if key.startswith("on")]
    policy = next(value for key, value in outline.attributes if value.startswith("default-src"))
    assert "default-src 'none'" in policy
    assert "script-src" not in policy


def test_every_link_on_the_page_leads_somewhere() -> None:
    outline = Outline(render_data_page(full("plain")))
    ids = {value for key, value in outline.attributes if key == "id"}
    assert {value[1:] for key, value in outline.attributes if key == "href" and value.startswith("#")} <= ids


def test_a_class_missing_in_a_split_is_told() -> None:
    page = render_data_page(full("plain"))
    row = next(row for row in re.findall("<tr>.*?</tr>", page) if ">car<" in row)
    assert ">none<" in row


def test_the_page_stays_small_and_says_what_is_left_out() -> None:
    many = [tile(f"{n}.jpg") for n in range(60)]
    view = DataView(
        dataset=dataset(*(found(Severity.ERROR, f"code-{n % 40}", line=n) for n in range(3000)),
                        names={n: f"class {n}" for n in range(1000)}),
        counts={split: {n: Count(n, n) for n in range(1000)} for split in ("train", "val", "test")},
        boxes=[BoxSize(n % 12, 1 + n % 500, 1 + n % 333, 640) for n in range(9000)],
        samples={n: [many[n % 60]] * 4 for n in range(80)},
        pairs=[Pair(first=many[0], second=many[1], kind="near")] * 50,
        pairs_found=700,
        previews=[Gallery(name=f"pipeline {n}", tiles=tuple(many[:8])) for n in range(9)],
    )  # fmt: skip
    page = render_data_page(view)
    assert len(page.encode()) < 1_000_000
    shown = page.count('<div class="pair">')
    assert f"{shown} of 700 pairs are shown" in page
    assert re.search(r"\d+ more classes did not fit", page)
    assert "and 600 rarer classes" in page


def test_pictures_are_shared_out_evenly() -> None:
    one = tile()
    shown = affordable({"a": [one] * 9, "b": [one], "c": [one] * 9, "d": []}, one.weight * 6)
    assert {group: len(tiles) for group, tiles in shown.items()} == {"a": 3, "b": 1, "c": 2, "d": 0}


MARKS = {
    "box": (Mark(0, (0.5, 0.5, 0.2, 0.4)), '<rect x="400" y="300" width="200" height="400"'),
    "beyond the edge": (Mark(0, (0.0, 0.0, 9.0, 1.0)), '<rect x="-500" y="-500" width="2000" height="1000"'),
    "polygon": (Mark(0, (0.5, 0.5, 1, 1), (0, 0, 1, 0, 0.5, 1)), '<polygon points="0,0 1000,0 500,1000"'),
    "machine": (Mark(0, (0.5, 0.5, 1, 1), machine=True), 'class="d"'),
    "not a number": (Mark(0, (float("nan"), 0.5, 1, 1)), 'aria-hidden="true"></svg>'),
    "infinite": (Mark(0, (0.5, 0.5, 1, 1), (float("inf"), 0)), 'aria-hidden="true"></svg>'),
    "unknown class": (Mark(99, (0.5, 0.5, 1, 1)), "<title>class 99</title>"),
}


@pytest.mark.parametrize(("mark", "drawn"), MARKS.values(), ids=MARKS.keys())
def test_marks_are_drawn(mark: Mark, drawn: str) -> None:
    assert drawn in overlay([mark], {0: "car"})


def test_many_marks_and_many_points_are_bounded() -> None:
    marks = [Mark(n % 3, (0.5, 0.5, 1, 1), tuple(0.001 * k for k in range(4000))) for n in range(500)]
    drawn = overlay(marks, {}, bold=2)
    assert drawn.count("<polygon") == 80
    assert drawn.count('class="b"') == 80
    assert len(drawn) < 80 * 700


def test_every_colour_can_be_told_from_both_cards() -> None:
    def light(colour: str) -> float:
        parts = [int(colour[at : at + 2], 16) / 255 for at in (1, 3, 5)]
        linear = [part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts]
        return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2] + 0.05

    for card in ("#ffffff", "#161b22"):
        for colour in PALETTE:
            low, high = sorted((light(card), light(colour)))
            assert high / low >= 3, (colour, card)


def read(content: bytes) -> Image.Image:
    image = Image.open(io.BytesIO(content))
    assert image.format == "JPEG"
    return image


def test_a_thumbnail_is_small_and_upright(tmp_path: Path) -> None:
    image = Image.new("RGB", (400, 200), "blue")
    image.paste("red", (0, 0, 200, 200))  # the left half
    exif = Image.Exif()
    exif[0x0112] = 6  # to be turned by 90 degrees: left comes to the top
    image.save(tmp_path / "turned.jpg", exif=exif)
    small = read(thumbnail(tmp_path / "turned.jpg", 100))
    assert small.size == (50, 100)
    assert small.getpixel((25, 10)) == pytest.approx((255, 0, 0), abs=12)
    assert small.getpixel((25, 90)) == pytest.approx((0, 0, 255), abs=12)


MODES = {"RGB": "png", "CMYK": "jpg", "L": "png", "1": "png", "P": "gif", "RGBA": "png", "LA": "png", "I;16": "png",
         "I": "tif", "F": "tif"}  # fmt: skip


@pytest.mark.parametrize(("mode", "suffix"), MODES.items(), ids=MODES.keys())
def test_every_kind_of_picture_becomes_a_thumbnail(mode: str, suffix: str, tmp_path: Path) -> None:
    file = tmp_path / f"image.{suffix}"
    ramp = np.linspace(0, 1, 64)[None, :].repeat(48, 0)
    if mode in ("I;16", "I", "F"):
        Image.fromarray((ramp * 40000).astype({"I;16": np.uint16, "I": np.int32, "F": np.float32}[mode])).save(file)
    else:
        Image.fromarray((ramp * 255).astype(np.uint8)).convert(mode).save(file)
    small = read(thumbnail(file, 32))
    assert (small.mode, small.size) == ("RGB", (32, 24))
    dark, bright = (np.asarray(small)[:, columns].mean() for columns in (slice(0, 6), slice(-6, None)))
    assert dark < 70
    assert bright > 185


UNREADABLE = {
    "missing": None, "empty": b"", "text": b"not an image", "truncated": b"\xff\xd8\xff\xe0\x00\x10JFIF",
    "program": b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n(pwned) run\n%%EOF\n",
}  # fmt: skip


@pytest.mark.parametrize("content", UNREADABLE.values(), ids=UNREADABLE.keys())
def test_what_cannot_be_read_gets_a_placeholder(content: bytes | None, tmp_path: Path) -> None:
    file = tmp_path / "image.jpg"
    if content is not None:
        file.write_bytes(content)
    assert read(thumbnail(file)).size == (160, 120)


def test_a_picture_with_too_many_pixels_is_not_decoded(tmp_path: Path) -> None:
    file = tmp_path / "bomb.bmp"
    Image.new("1", (20, 10)).save(file)
    content = bytearray(file.read_bytes())
    content[18:26] = (60000).to_bytes(4, "little") * 2  # width and height in the head
    file.write_bytes(content)
    assert read(thumbnail(file)).size == (160, 120)


def test_rows_are_ordered_by_the_first_split() -> None:
    rows = class_rows({"train": {0: Count(1, 1), 2: Count(4, 2)}, "val": {0: Count(3, 1)}}, [0, 1, 2])
    assert [row.category for row in rows] == [2, 0, 1]
    assert [bar.share for bar in rows[1].bars] == [0.25, 1.0]


sizes = st.floats(allow_nan=True, allow_infinity=True)


@given(st.lists(st.builds(BoxSize, st.integers(0, 99), sizes, sizes, sizes), max_size=20), st.integers(1, 4096))
def test_sizes_are_drawn_whatever_they_are(boxes: list[BoxSize], imgsz: int) -> None:
    shares = size_shares(boxes, imgsz)
    total = shares.tiny + shares.small + shares.medium + shares.large
    assert total == pytest.approx(1 if any(all(1e-6 < v < 1e9 for v in box[1:]) for box in boxes) else 0)
    for drawn in (size_histogram(boxes, imgsz), size_scatter(boxes, imgsz)):
        assert not re.search("nan|inf|e[+-]", drawn)


def test_sizes_are_those_in_training() -> None:
    boxes = [BoxSize(0, 14, 14, 1280), BoxSize(0, 100, 100, 1280), BoxSize(0, 400, 400, 1280)]
    at_640 = size_shares(boxes, 640)
    assert (at_640.tiny, at_640.small, at_640.medium, at_640.large) == pytest.approx((1 / 3, 0, 1 / 3, 1 / 3))
    assert size_shares(boxes, 1280).tiny == 0
