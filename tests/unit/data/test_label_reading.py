"""Label files as found in the wild, each with what is said about it, held against Ultralytics' own reader."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from yolosweep.data.model.dataset_items import LabelFile
from yolosweep.data.scan.label_reading import MOST_BYTES, MOST_PROBLEMS, dropped, read_labels
from yolosweep.data.scan.scan_codec import decode_label, encode_label

NAMES = {0: "red car", 1: "car", 2: "0"}
GOOD = "0 0.5 0.5 0.2 0.2\n"


@dataclass(frozen=True)
class Case:
    content: bytes | str
    codes: dict[str, int | None]
    """Code: line of its first problem."""
    rows: int
    task: str = "detect"
    kpt_shape: tuple[int, int] | None = None
    worse: bool = False
    """Ultralytics' reader of single files takes it, and yet it ruins a training."""

    @property
    def bytes(self) -> bytes:
        return self.content.encode() if isinstance(self.content, str) else self.content

    def read(self) -> LabelFile:
        return read_labels(self.bytes, self.task, NAMES, self.kpt_shape)


TRIANGLE = "0 0.1 0.1 0.5 0.1 0.5 0.5\n"
CORNERS = "1 0.1 0.1 0.5 0.1 0.5 0.5 0.1 0.5\n"
POSE = "0 0.5 0.5 0.2 0.2 0.4 0.4 2 0.6 0.6 1\n"
KPT = (2, 3)

CASES = {
    # fine
    "plain": Case(GOOD + "2 0.1 0.1 0.1 0.1\n", {}, 2),
    "empty is background": Case("", {}, 0),
    "blank lines are background": Case("\n \r\n\t\n", {}, 0),
    "CRLF": Case(GOOD.replace("\n", "\r\n") + "1 0.4 0.4 0.1 0.1\r\n", {}, 2),
    "old Mac line ends": Case("0 0.5 0.5 0.2 0.2\r1 0.5 0.5 0.2 0.2\r", {}, 2),
    "BOM": Case(b"\xef\xbb\xbf" + GOOD.encode(), {}, 1),
    "tabs and spaces": Case("  0\t0.5   0.5 0.2\t0.2  \n\n1 .5 .5 .2 .2", {}, 2),
    "scientific notation": Case("0 5e-1 5.0E-01 2e-1 +0.2\n", {}, 1),
    "class as 1.0": Case("1.0 0.5 0.5 0.2 0.2\n", {}, 1),
    "whole image": Case("0 0.5 0.5 1 1\n", {}, 1),
    "underscores, as Python reads them": Case("0 0.5 0.5 0.2 0.0_2\n", {}, 1),
    "no end of line": Case(GOOD.strip(), {}, 1),
    # accepted, with a remark
    "a hair above 1": Case("0 0.5 0.5 1.0000001 1.004\n", {"label-rounding": 1}, 1),
    "exactly 1.01": Case("0 0.5 0.5 0.2 1.01\n", {"label-rounding": 1}, 1),
    "a hair below 0": Case(GOOD + "0 -0.004 0.5 0.001 0.2\n", {"label-rounding": 2}, 2),
    "exactly -0.01": Case("0 -0.01 0.5 0 0.2\n", {"label-rounding": 1, "label-zero-area": 1}, 1),
    "partly outside": Case("0 0.9 0.5 0.4 0.2\n", {"label-partly-outside": 1}, 1),
    "zero width": Case("0 0.5 0.5 0 0.2\n", {"label-zero-area": 1}, 1),
    "twice": Case(GOOD * 3, {"label-duplicate-row": 2}, 1),
    "twice in other words": Case(GOOD + "0.0 .5 5e-1 0.20 0.2\n", {"label-duplicate-row": 2}, 1),
    "same box, two classes": Case(GOOD + "1 0.5 0.5 0.2 0.2\n", {}, 2),
    "polygons in detect": Case(TRIANGLE + CORNERS, {"label-polygon-as-box": 1}, 2),
    "keypoints in detect": Case(POSE, {"label-keypoints-unused": 1}, 1, kpt_shape=KPT),
    # a row that costs the image
    "class too high": Case(GOOD + "3 0.5 0.5 0.2 0.2\n", {"label-class-range": 2}, 1),
    "class below 0": Case("-1 0.5 0.5 0.2 0.2\n", {"label-class-range": 1}, 0),
    "class 0.5": Case("0.5 0.5 0.5 0.2 0.2\n", {"label-class-fraction": 1}, 0),
    "class a little below 0": Case("-0.005 0.5 0.5 0.2 0.2\n", {"label-class-fraction": 1}, 0),
    "class name": Case("car 0.5 0.5 0.2 0.2\n", {"label-class-name": 1}, 0),
    "class name of two words": Case("red car 0.5 0.5 0.2 0.2\n", {"label-class-name": 1}, 0),
    "unknown class name": Case(GOOD + "bike 0.5 0.5 0.2 0.2\n", {"label-class-name": 2}, 1),
    "text": Case(GOOD + "0 0.5 half 0.2 0.2\n", {"label-not-number": 2}, 1),
    "a comment": Case("# made by hand\n" + GOOD, {"label-not-number": 1}, 1),
    "hexadecimal": Case("0x0 0.5 0.5 0.2 0.2\n", {"label-class-name": 1}, 0),
    "commas": Case("0,0.5,0.5,0.2,0.2\n", {"label-separator": 1}, 0),
    "commas and spaces": Case("0, 0.5, 0.5, 0.2, 0.2\n", {"label-separator": 1}, 0),
    "decimal commas": Case("0 0,5 0,5 0,2 0,2\n", {"label-separator": 1}, 0),
    "semicolons": Case("0;0.5;0.5;0.2;0.2\n", {"label-separator": 1}, 0),
    "NaN": Case("\n0 nan 0.5 0.2 0.2\n", {"label-nan": 2}, 0),
    "class NaN": Case("nan 0.5 0.5 0.2 0.2\n", {"label-nan": 1}, 0),
    "infinity": Case("0 inf 0.5 0.2 0.2\n", {"label-nan": 1}, 0),
    "beyond 32 bits": Case("0 0.5 0.5 0.2 1e39\n", {"label-nan": 1}, 0),
    "four columns": Case("0 0.5 0.5 0.2\n", {"label-columns": 1}, 0),
    "with a confidence": Case("0 0.5 0.5 0.2 0.2 0.98\n", {"label-confidence": 1}, 0),
    "one short row": Case(GOOD + "1 0.5\n", {"label-columns": 2}, 1),
    "only a class": Case("1\n", {"label-columns": 1}, 0),
    "negative width": Case("0 0.5 0.5 -0.005 0.2\n", {"label-negative-size": 1}, 0),
    "above 1.01": Case(GOOD + "0 1.0101 0.5 0.2 0.2\n", {"label-outside": 2}, 1),
    "below -0.01": Case(GOOD + "0 -0.0101 0.5 0.2 0.2\n", {"label-outside": 2}, 1),
    "pixels": Case("0 320 240 50 60\n1 10 20 5 5\n", {"label-pixels": 1}, 0),
    "one row in pixels": Case(GOOD + "1 0.1 0.1 0.1 0.1\n0 320 240 50 60\n", {"label-outside": 3}, 2),
    "percent": Case("0 50 50 20 20\n", {"label-pixels": 1}, 0),
    "boxes and polygons": Case(TRIANGLE + GOOD, {"label-mixed": 2}, 1),
    "Latin-1": Case(b"0 0.5 0.5 0.2 0.2\n# gr\xfcn\n", {"label-encoding": 2}, 0),
    "UTF-16": Case(GOOD.encode("utf-16"), {"label-encoding": 1}, 0),
    "zeros": Case(b"\0" * 64, {"label-encoding": 1}, 0),
    "an image": Case(b"\x89PNG\r\n\x1a\n\0\0", {"label-encoding": 1}, 0),
    "JSON": Case('{"boxes": []}', {"label-not-number": 1}, 0),
    "two faults": Case(
        "7 0.5 0.5 0.2 0.2\n0 nan 0 0 0\n" + GOOD * 2,
        {"label-class-range": 1, "label-nan": 2, "label-duplicate-row": 4},
        1,
    ),
    # segment
    "polygons": Case(TRIANGLE + CORNERS, {}, 2, "segment"),
    "polygon twice": Case(TRIANGLE * 2, {"label-duplicate-row": 2}, 1, "segment"),
    "polygons with one box around them": Case(
        "0 0.1 0.1 0.5 0.1 0.5 0.5\n0 0.1 0.1 0.1 0.5 0.5 0.5\n", {}, 2, "segment"
    ),
    "odd number of coordinates": Case(TRIANGLE + "0 0.1 0.1 0.5 0.1 0.5\n", {"label-columns": 2}, 1, "segment"),
    "polygon without points": Case(TRIANGLE + "0\n", {"label-columns": 2}, 1, "segment"),
    "polygon of one point": Case(TRIANGLE + "0 0.5 0.5\n", {"label-zero-area": 2}, 2, "segment"),
    "polygon partly outside": Case(
        "0 -0.3 0.1 0.5 0.1 0.5 0.5\n", {"label-partly-outside": 1}, 1, "segment"
    ),
    "polygon a hair outside": Case("0 0.1 0.1 1.002 0.1 0.5 0.5\n", {"label-rounding": 1}, 1, "segment"),
    "polygon in pixels": Case("0 10 10 50 10 50 50\n", {"label-pixels": 1}, 0, "segment"),
    "polygon beside the image": Case("0 1.1 0.1 1.5 0.1 1.5 0.5\n", {"label-outside": 1}, 0, "segment"),
    "polygon with NaN": Case("0 0.1 nan 0.5 0.1 0.5 0.5\n", {"label-nan": 1}, 0, "segment"),
    "boxes in segment": Case(GOOD, {"label-boxes-only": 1}, 1, "segment", worse=True),
    "boxes and polygons in segment": Case(GOOD + TRIANGLE, {"label-mixed": 1}, 1, "segment"),
    # obb
    "four corners": Case(CORNERS, {}, 1, "obb"),
    "three corners": Case(TRIANGLE, {"label-obb-corners": 1}, 1, "obb"),
    "DOTA's own format": Case("10 10 50 10 50 50 10 50 plane 0\n", {"label-dota": 1}, 0, "obb"),
    "boxes in obb": Case(GOOD, {"label-boxes-only": 1}, 1, "obb", worse=True),
    "middle, size and angle": Case("0 0.5 0.5 0.2 0.2 0.78\n", {"label-xywhr": 1}, 0, "obb"),
    # pose
    "keypoints": Case(POSE, {}, 1, "pose", KPT),
    "keypoints of two values": Case("0 0.5 0.5 0.2 0.2 0.4 0.4 0.6 0.6\n", {}, 1, "pose", (2, 2)),
    "a keypoint missing": Case(POSE + "0 0.5 0.5 0.2 0.2 0.4 0.4 2\n", {"label-columns": 2}, 1, "pose", KPT),
    "boxes in pose": Case(GOOD, {"label-columns": 1}, 0, "pose", KPT),
    "keypoint at -1": Case("0 0.5 0.5 0.2 0.2 -1 -1 0 0.6 0.6 1\n", {"label-outside": 1}, 0, "pose", KPT),
    "keypoint in pixels": Case("0 0.5 0.5 0.2 0.2 40 40 2 60 60 2\n", {"label-pixels": 1}, 0, "pose", KPT),
    "keypoint a hair outside": Case(
        "0 0.5 0.5 0.2 0.2 1.004 0.4 2 0.6 0.6 1\n", {"label-rounding": 1}, 1, "pose", KPT
    ),
    "box in pixels, keypoints not": Case(
        "0 320 240 50 60 0.4 0.4 2 0.6 0.6 1\n", {"label-pose-box": 1}, 0, "pose", KPT, worse=True
    ),
    "infinite visibility": Case(
        "0 0.5 0.5 0.2 0.2 0.4 0.4 inf 0.6 0.6 1\n", {"label-nan": 1}, 0, "pose", KPT, worse=True
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", CASES.values(), ids=CASES.keys())
def test_every_odd_file_is_told_for_what_it_is(case: Case) -> None:
    label = case.read()
    first: dict[str, int | None] = {}
    for problem in label.problems:
        first.setdefault(problem.code, problem.line)
    assert first == case.codes
    assert len(label.rows) == case.rows
    assert decode_label(encode_label(label)) == label


@pytest.mark.slow
@pytest.mark.parametrize("case", CASES.values(), ids=CASES.keys())
@pytest.mark.filterwarnings("ignore:overflow encountered in cast:RuntimeWarning")
def test_an_image_that_ultralytics_would_drop_has_an_error_and_no_other(case: Case, tmp_path: Path) -> None:
    from ultralytics.data.utils import verify_image_label

    image, text = tmp_path / "a.png", tmp_path / "a.txt"
    Image.new("RGB", (64, 48)).save(image)
    text.write_bytes(case.bytes)
    keypoints, dims = case.kpt_shape or (0, 0)
    asked = (str(image), str(text), "", case.task == "pose", len(NAMES), keypoints, dims, False)
    _, boxes, _, segments, _, _, _, empty, corrupt, said = verify_image_label(asked)
    label = case.read()
    assert bool(corrupt) == (dropped(label) and not case.worse), said
    if not corrupt and not case.worse:
        assert bool(empty) == (not label.rows)
        clipped = sorted((int(row[0]), *(min(max(float(value), 0.0), 1.0) for value in row[1:])) for row in boxes)
        ours = sorted((row.category, *row.box) for row in label.rows)
        assert len(clipped) == len(ours)
        for one, other in zip(clipped, ours, strict=True):
            assert one == pytest.approx(other)
        if segments:
            points = sorted(tuple(float(value) for value in one.ravel()) for one in segments)
            assert points == sorted(row.points for row in label.rows)


token = st.sampled_from(
    ["0", "1", "2", "3", "-1", "0.5", "0.25", "1.0", "1.004", "1.0100001", "1.02", "-0.004", "-0.02", "7e2", "nan", "x"]
)
good = st.sampled_from(["0 0.5 0.5 0.2 0.2", "1 0.1 0.1 0.5 0.1 0.5 0.5", "0 .5 .5 .1 .1 .4 .4 2 .6 .6 1"])
odd_line = st.lists(token, max_size=11).map(" ".join)


@pytest.mark.slow
@settings(max_examples=400, deadline=None)
@given(
    st.lists(good | odd_line, max_size=4).map("\n".join),
    st.sampled_from(["detect", "segment", "obb", "pose"]),
    st.sampled_from([None, KPT]),
)
def test_ultralytics_and_we_agree_on_anything(
    tmp_path_factory: pytest.TempPathFactory, text: str, task: str, kpt_shape: tuple[int, int] | None
) -> None:
    from ultralytics.data.utils import verify_image_label

    folder = tmp_path_factory.getbasetemp() / "agree"
    folder.mkdir(exist_ok=True)
    if not (folder / "a.png").exists():
        Image.new("RGB", (64, 48)).save(folder / "a.png")
    (folder / "a.txt").write_text(text)
    shape = KPT if task == "pose" else kpt_shape
    keypoints, dims = shape or (0, 0)
    asked = (str(folder / "a.png"), str(folder / "a.txt"), "", task == "pose", len(NAMES), keypoints, dims, False)
    _, boxes, *_, corrupt, said = verify_image_label(asked)
    label = read_labels(text.encode(), task, NAMES, shape)
    beyond = {"label-boxes-only", "label-pose-box"} & {problem.code for problem in label.problems}
    assert bool(corrupt) == (dropped(label) and not beyond) or (beyond and dropped(label)), said
    if not corrupt and not beyond:
        assert len(boxes) == len(label.rows)


def test_rows_keep_their_line_class_and_points() -> None:
    label = read_labels(("\n" + CORNERS).encode(), "segment", NAMES)
    (row,) = label.rows
    assert (row.line, row.category) == (2, 1)
    assert row.box == pytest.approx((0.3, 0.3, 0.4, 0.4))
    assert row.points == pytest.approx((0.1, 0.1, 0.5, 0.1, 0.5, 0.5, 0.1, 0.5))
    (pose,) = read_labels(POSE.encode(), "pose", NAMES, KPT).rows
    assert pose.points == pytest.approx((0.4, 0.4, 2, 0.6, 0.6, 1))


def test_values_a_hair_outside_are_clipped() -> None:
    (row,) = read_labels(b"0 -0.004 0.5 0.001 1.004\n", "detect", NAMES).rows
    assert row.box == pytest.approx((0.0, 0.5, 0.001, 1.0))


def test_a_file_that_is_too_large_is_not_read() -> None:
    label = read_labels(GOOD.encode() * (MOST_BYTES // len(GOOD) + 1), "detect", NAMES)
    assert [problem.code for problem in label.problems] == ["label-too-big"]
    assert label.rows == ()


@pytest.mark.slow
def test_problems_are_bounded_and_an_error_is_never_pushed_out() -> None:
    text = GOOD * 5000 + "9 0.5 0.5 0.2 0.2\n"
    label = read_labels(text.encode(), "detect", NAMES)
    assert [problem.code for problem in label.problems].count("label-duplicate-row") == MOST_PROBLEMS
    assert dropped(label)


def test_what_is_shown_of_a_file_is_short_and_printable() -> None:
    label = read_labels(("0 \x1b[31m " + "x" * 5000).encode(), "detect", NAMES)
    (problem,) = label.problems
    assert len(problem.detail) <= 60
    assert problem.detail.isprintable()


share = st.floats(0, 1, width=32).map(abs)  # -0.0 and 0.0 are one


@given(st.lists(st.tuples(st.integers(0, 2), share, share, share, share), unique=True))
@pytest.mark.slow
def test_what_is_written_as_shares_is_read_back(boxes: list[tuple[float, ...]]) -> None:
    text = "".join(" ".join(map(repr, box)) + "\n" for box in boxes)
    label = read_labels(text.encode(), "detect", NAMES)
    assert not dropped(label)
    assert [(row.category, *row.box) for row in label.rows] == boxes
    assert decode_label(encode_label(label)) == label


@given(st.binary(max_size=200), st.sampled_from(["detect", "segment", "obb", "pose"]))
def test_no_content_raises(content: bytes, task: str) -> None:
    label = read_labels(content, task, NAMES, KPT if task == "pose" else None)
    assert decode_label(encode_label(label)) == label


@given(st.text("0123456789.,-+ein\n\t a", max_size=80), st.sampled_from(["detect", "segment", "obb", "pose"]))
def test_no_text_raises_and_rows_are_within_the_image(text: str, task: str) -> None:
    label = read_labels(text.encode(), task, NAMES, (1, 2) if task == "pose" else None)
    for row in label.rows:
        assert row.category in NAMES
        assert all(0 <= value <= 1 for value in row.box)
