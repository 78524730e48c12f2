"""Label files as found in the wild, each one row; and the same judged by Ultralytics' own function."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from yolosweep.data.codes import CODES
from yolosweep.data.labels import read_labels
from yolosweep.records import Severity

NAMES = {0: "car", 1: "red car", 2: "0"}


class Case(NamedTuple):
    content: bytes
    codes: tuple[str, ...] = ()
    rows: int = 1
    task: str = "detect"
    kpt_shape: tuple[int, int] | None = None
    line: int | None = None
    """Line of the first problem."""


SQUARE = b"0 .1 .1 .9 .1 .9 .9 .1 .9\n"
CASES = {
    "plain": Case(b"0 0.5 0.5 0.2 0.2\n"),
    "two rows": Case(b"0 0.5 0.5 0.2 0.2\n1 0.4 0.4 0.2 0.2\n", rows=2),
    "no newline at the end": Case(b"0 0.5 0.5 0.2 0.2"),
    "crlf": Case(b"0 0.5 0.5 0.2 0.2\r\n1 0.4 0.4 0.2 0.2\r\n", rows=2),
    "bom": Case(b"\xef\xbb\xbf0 0.5 0.5 0.2 0.2\n"),
    "extra spaces and tabs": Case(b"  0   0.5\t0.5  0.2 0.2   \n"),
    "blank lines": Case(b"\n\n0 0.5 0.5 0.2 0.2\n\n"),
    "scientific": Case(b"0 5e-1 5E-1 2e-1 .2\n"),
    "class as a float": Case(b"1.0 0.5 0.5 0.2 0.2\n"),
    "empty is background": Case(b"", rows=0),
    "only white space": Case(b" \r\n\n", rows=0),
    "a hair above 1": Case(b"0 0.5 0.5 1.000001 0.2\n", ("label-rounding",)),
    "a hair below 0": Case(
        b"0 0.5 0.5 0.2 0.2\n0 -0.001 0.5 0 0.2\n", ("label-rounding", "label-zero-area"), 2, line=2
    ),
    "over the edge": Case(b"0 0.95 0.5 0.3 0.2\n", ("label-partly-outside",)),
    "no width": Case(b"0 0.5 0.5 0 0.2\n", ("label-zero-area",)),
    "twice": Case(b"0 0.5 0.5 0.2 0.2\n0 0.5 0.5 0.2 0.2\n", ("label-duplicate-row",), 1, line=2),
    "the same box of two classes": Case(b"0 0.5 0.5 0.2 0.2\n1 0.5 0.5 0.2 0.2\n", rows=2),
    "commas": Case(b"0, 0.5, 0.5, 0.2, 0.2\n", ("label-separator",), 0),
    "csv": Case(b"0,0.5,0.5,0.2,0.2\n", ("label-separator",), 0),
    "class name": Case(b"car 0.5 0.5 0.2 0.2\n", ("label-class-name",), 0),
    "text": Case(b"# made by hand\n0 0.5 0.5 0.2 0.2\n", ("label-not-number",), 1, line=1),
    "class out of range": Case(b"0 0.5 0.5 0.2 0.2\n3 0.5 0.5 0.2 0.2\n", ("label-class-range",), 1, line=2),
    "class counted from 1": Case(b"3 0.5 0.5 0.2 0.2\n", ("label-class-range",), 0),
    "negative class": Case(b"-1 0.5 0.5 0.2 0.2\n", ("label-class-range",), 0),
    "half a class": Case(b"0.5 0.5 0.5 0.2 0.2\n", ("label-class-fraction",), 0),
    "pixels": Case(b"0 320 240 64 48\n", ("label-pixels",), 0),
    "outside": Case(b"0 1.2 0.5 0.2 0.2\n", ("label-outside",), 0),
    "far below 0": Case(b"0 -0.2 0.5 0.2 0.2\n", ("label-outside",), 0),
    "corners in place of a size": Case(b"0 0.5 0.5 -0.005 0.2\n", ("label-negative-size",), 0),
    "nan": Case(b"0 nan 0.5 0.2 0.2\n", ("label-nan",), 0),
    "inf": Case(b"0 0.5 0.5 inf 0.2\n", ("label-nan",), 0),
    "four columns": Case(b"0 0.5 0.5 0.2\n", ("label-columns",), 0),
    "a score behind": Case(b"0 0.5 0.5 0.2 0.2 0.9\n", ("label-columns",), 0),
    "not text": Case(b"\xff\xfe0\x00 \x00", ("label-not-text",), 0),
    "binary": Case(bytes(range(128, 256)), ("label-not-text",), 0),
    "nul bytes": Case(b"0 0.5 0.5 0.2 0.2\n\x00\x00\n", ("label-not-number",), 1, line=2),
    "outline in detect": Case(SQUARE),
    "boxes and outlines": Case(SQUARE + b"0 0.5 0.5 0.2 0.2\n", ("label-mixed",), 1, line=2),
    "outline": Case(SQUARE, task="segment"),
    "outline that reaches out": Case(b"0 .1 .1 1.005 .1 .9 .9 .1 .9\n", ("label-partly-outside",), task="segment"),
    "outline with half a point": Case(b"0 .1 .1 .9 .1 .9 .9 .1\n", ("label-columns",), 0, "segment"),
    "outlines of one box": Case(SQUARE + b"0 .1 .1 .9 .1 .9 .9 .1 .9 .5 .5\n", rows=2, task="segment"),
    "pose": Case(b"0 .5 .5 .2 .2 .4 .4 2 .6 .6 1\n", task="pose", kpt_shape=(2, 3)),
    "pose without visibility": Case(b"0 .5 .5 .2 .2 .4 .4 .6 .6\n", task="pose", kpt_shape=(2, 2)),
    "pose with a point missing": Case(b"0 .5 .5 .2 .2 .4 .4 2\n", ("label-columns",), 0, "pose", (2, 3)),
    "pose in pixels": Case(b"0 .5 .5 .2 .2 40 40 2 60 60 1\n", ("label-pixels",), 0, "pose", (2, 3)),
    "boxes of a set for pose": Case(b"0 .5 .5 .2 .2 .4 .4 2 .6 .6 1\n", kpt_shape=(2, 3)),
    "oriented": Case(SQUARE, task="obb"),
}
ONLY_OURS = {
    "boxes in segment": Case(b"0 0.5 0.5 0.2 0.2\n", ("label-columns",), 0, "segment"),
    "boxes in obb": Case(b"0 0.5 0.5 0.2 0.2\n", ("label-columns",), 0, "obb"),
    "five corners in obb": Case(b"0 .1 .1 .9 .1 .9 .9 .1 .9 .5 .5\n", ("label-columns",), 0, "obb"),
}
"""What Ultralytics' scan takes, and a training of the task cannot use."""


@pytest.mark.parametrize("case", {**CASES, **ONLY_OURS}.values(), ids={**CASES, **ONLY_OURS}.keys())
def test_a_label_file_is_read_or_its_fault_is_named(case: Case) -> None:
    found = read_labels(case.content, case.task, NAMES, case.kpt_shape)
    assert tuple(problem.code for problem in found.problems) == case.codes
    assert len(found.rows) == case.rows
    assert all(0 <= value <= 1 for row in found.rows for value in row.box)
    if case.line is not None:
        assert found.problems[0].line == case.line
    assert {problem.code for problem in found.problems} <= CODES.keys()


@pytest.mark.slow
@pytest.mark.parametrize("case", CASES.values(), ids=CASES.keys())
def test_ultralytics_drops_an_image_exactly_where_there_is_an_error(case: Case, tmp_path: Path) -> None:
    from yolosweep.training.environment import enter

    enter()
    from ultralytics.data.utils import verify_image_label

    image, label = tmp_path / "x.png", tmp_path / "x.txt"
    Image.new("RGB", (64, 48), "teal").save(image)
    label.write_bytes(case.content)
    keypoints, dimensions = case.kpt_shape or (0, 0)
    arguments = (str(image), str(label), "", case.task == "pose", len(NAMES), keypoints, dimensions, False)
    verified = verify_image_label(arguments)
    dropped = verified[8] == 1
    found = read_labels(case.content, case.task, NAMES, case.kpt_shape)
    wrong = [problem.code for problem in found.problems if CODES[problem.code].severity is Severity.ERROR]
    assert bool(wrong) == dropped, verified[9]
    if not dropped:
        assert len(verified[1]) == len(found.rows)
        assert sorted(row.category for row in found.rows) == sorted(verified[1][:, 0].tolist())


number = st.floats(0.05, 0.95).map(lambda value: round(value, 5))


@given(st.lists(st.tuples(st.integers(0, 2), number, number, number, number), max_size=8, unique=True))
def test_what_is_written_is_read(rows: list[tuple[int, float, float, float, float]]) -> None:
    text = "".join(f"{' '.join(map(str, row))}\n" for row in rows)
    found = read_labels(text.encode(), "detect", NAMES)
    assert [(row.category, *row.box) for row in found.rows] == rows
    assert {problem.code for problem in found.problems} <= {"label-partly-outside"}


@given(st.binary(max_size=300), st.sampled_from(["detect", "segment", "obb", "pose"]))
def test_no_bytes_raise(content: bytes, task: str) -> None:
    found = read_labels(content, task, NAMES, (2, 3) if task == "pose" else None)
    assert all(problem.code in CODES for problem in found.problems)
    assert all(row.category in NAMES for row in found.rows)
