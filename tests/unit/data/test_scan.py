"""The scan over a whole dataset: the same however it is read, nothing read twice, no file that stops it."""

from __future__ import annotations

import os
import sqlite3
import sys
import time
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from PIL import Image

from yolosweep.data.checks.image_findings import image_findings
from yolosweep.data.checks.label_findings import label_findings
from yolosweep.data.model.dataset_items import Images, Item, Labels, Layout
from yolosweep.data.scan import dataset_scan as scan_module
from yolosweep.data.scan.dataset_scan import scan
from yolosweep.data.scan.reader_pool import read_all
from yolosweep.data.scan.reader_worker import Job, Rules
from yolosweep.data.scan.scan_cache import ScanCache, stamp_of
from yolosweep.data.scan.scan_codec import decode_image, decode_label
from yolosweep.records import Finding, Severity

NAMES = {0: "a", 1: "b", 2: "c"}
RULES = Rules("detect", NAMES, None)


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return tmp_path / "cache" / "yolosweep" / "scan" / "known-1.sqlite"


def layout_of(root: Path, names: dict[int, str] | None = None, task: str = "detect") -> Layout:
    splits = {
        split: tuple(
            Item(image, root / "labels" / split / f"{image.stem}.txt")
            for image in sorted((root / "images" / split).iterdir())
        )
        for split in ("train", "val", "test")
        if (root / "images" / split).is_dir()
    }
    return Layout(task=task, source=root / "data.yaml", root=root, names=names or NAMES, splits=splits)


def make(root: Path, count: int = 4, text: str = "0 0.5 0.5 0.2 0.2\n") -> Path:
    for split in ("train", "val"):
        for kind in ("images", "labels"):
            (root / kind / split).mkdir(parents=True)
        for index in range(count):
            Image.new("RGB", (16, 16), (index * 9, 0, 0)).save(root / "images" / split / f"{index}.png")
            (root / "labels" / split / f"{index}.txt").write_text(text)
    return root


def settle() -> None:
    """Wait until a further change of a file could not leave its times as they are."""
    time.sleep(0.08)


@pytest.fixture
def opened(monkeypatch: pytest.MonkeyPatch) -> Callable[[], set[str]]:
    """Return a function that tells which files were read since it was last asked."""
    names: set[str] = set()

    def watched(jobs: list[Job], rules: Rules, **more: object) -> object:
        names.update(f"{job.path.parent.name}/{job.path.name}" for job in jobs)
        return read_all(jobs, rules, workers=0)

    def tell() -> set[str]:
        told = set(names)
        names.clear()
        return told

    monkeypatch.setattr(scan_module, "read_all", watched)
    return tell


def codes(findings: list[Finding]) -> dict[str, Finding]:
    assert len({(finding.code, finding.split) for finding in findings}) == len(findings)
    return {f"{finding.code} {finding.split or ''}".strip(): finding for finding in findings}


def content_findings(layout: Layout, image_facts: Images, labels: Labels) -> list[Finding]:
    return image_findings(layout, image_facts) + label_findings(layout, labels)


def findings_of(layout: Layout) -> dict[str, Finding]:
    return codes(content_findings(layout, *scan(layout)))


# reading


def test_every_image_and_label_file_is_read(tmp_path: Path) -> None:
    layout = layout_of(make(tmp_path / "set"))
    told: list[tuple[int, int]] = []
    pictures, labels = scan(layout, progress=lambda done, total: told.append((done, total)))
    items = [item for split in layout.splits.values() for item in split]
    assert set(pictures) == {item.image for item in items}
    assert set(labels) == {item.label for item in items}
    assert all(picture.width == 16 and not picture.fault for picture in pictures.values())
    assert all(len(label.rows) == 1 for label in labels.values())
    assert told[-1] == (16, 16)
    assert content_findings(layout, pictures, labels) == []


@pytest.mark.slow
def test_reader_processes_see_the_same(tmp_path: Path, cache: Path) -> None:
    root = make(tmp_path / "set", 20)
    (root / "images" / "train" / "3.png").write_bytes(b"")
    (root / "labels" / "train" / "5.txt").write_text("9 0.5 0.5 0.2 0.2\n")
    os.rename(root / "images" / "val" / "1.png", root / "images" / "val" / os.fsdecode(b"\xff 'x'.png"))
    layout = layout_of(root)
    here = scan(layout, workers=0)
    cache.unlink()
    there = scan(layout, workers=2)
    assert here[0] == there[0]
    assert dict(here[1]) == dict(there[1])


def test_classify_has_no_labels(tmp_path: Path) -> None:
    root = make(tmp_path / "set")
    items = tuple(Item(path, None, 0) for path in sorted((root / "images" / "train").iterdir()))
    layout = Layout(task="classify", source=root, root=root, names={0: "a"}, splits={"train": items})
    pictures, labels = scan(layout)
    assert (len(pictures), len(labels), content_findings(layout, pictures, labels)) == (4, 0, [])


# what was read before


def test_an_unchanged_file_is_not_opened_again(tmp_path: Path, cache: Path, opened: Callable[[], set[str]]) -> None:
    layout = layout_of(make(tmp_path / "set"))
    settle()
    first = scan(layout)
    assert len(opened()) == 16
    second = scan(layout)
    assert opened() == set()
    assert (first[0], dict(first[1])) == (second[0], dict(second[1]))
    cache.unlink()
    scan(layout)
    assert len(opened()) == 16


def test_a_changed_file_is_opened_again_though_size_and_time_are_the_same(
    tmp_path: Path, opened: Callable[[], set[str]]
) -> None:
    layout = layout_of(make(tmp_path / "set"))
    file = tmp_path / "set" / "labels" / "val" / "2.txt"
    settle()
    scan(layout)
    opened()
    seen = file.stat()
    file.write_text("1 0.5 0.5 0.2 0.2\n")
    os.utime(file, ns=(seen.st_atime_ns, seen.st_mtime_ns))
    _, labels = scan(layout)
    assert opened() == {"val/2.txt"}
    assert labels[file].rows[0].category == 1


def test_other_classes_read_the_labels_anew_and_not_the_images(tmp_path: Path, opened: Callable[[], set[str]]) -> None:
    root = make(tmp_path / "set")
    settle()
    scan(layout_of(root))
    opened()
    scan(layout_of(root, {0: "a"}))
    assert {name[-4:] for name in opened()} == {".txt"}


def test_a_file_that_could_not_be_read_is_tried_again(tmp_path: Path, opened: Callable[[], set[str]]) -> None:
    root = make(tmp_path / "set")
    (root / "labels" / "train" / "0.txt").unlink()
    (root / "labels" / "train" / "0.txt").symlink_to("0.txt")
    layout = layout_of(root)
    settle()
    scan(layout)
    opened()
    scan(layout)
    assert opened() == {"train/0.txt"}


def test_a_file_of_this_moment_has_no_stamp(tmp_path: Path) -> None:
    (tmp_path / "a").write_text("")
    seen = (tmp_path / "a").stat()
    assert stamp_of(seen, seen.st_ctime_ns + 1_000_000) is None
    assert stamp_of(seen, seen.st_ctime_ns + 3_000_000_000) is not None


def damage(kind: str, file: Path) -> None:
    if kind == "garbage":
        file.write_bytes(b"no database at all" * 500)
    elif kind == "cut":
        file.write_bytes(file.read_bytes()[:5000])
    elif kind == "zeros inside":
        content = file.read_bytes()
        file.write_bytes(content[:4096] + bytes(len(content) - 4096))
    elif kind == "other table":
        file.unlink()
        with sqlite3.connect(file) as base:
            base.execute("CREATE TABLE known (x)")
        base.close()
    elif kind == "changed facts":
        with sqlite3.connect(file) as base:
            base.execute("UPDATE known SET facts = 'x' || facts")
        base.close()
    elif kind == "a folder":
        file.unlink()
        file.mkdir()
    elif kind == "no place":
        file.unlink()
        file.parent.rmdir()
        file.parent.write_text("in the way")


@pytest.mark.parametrize(
    "kind", ["garbage", "cut", "zeros inside", "other table", "changed facts", "a folder", "no place"]
)
def test_a_damaged_memory_costs_time_only(kind: str, tmp_path: Path, cache: Path) -> None:
    layout = layout_of(make(tmp_path / "set"))
    settle()
    first = scan(layout)
    damage(kind, cache)
    for _ in range(2):
        again = scan(layout)
        assert (first[0], dict(first[1])) == (again[0], dict(again[1]))


def test_a_damaged_memory_is_made_anew(tmp_path: Path, cache: Path, opened: Callable[[], set[str]]) -> None:
    layout = layout_of(make(tmp_path / "set"))
    settle()
    scan(layout)
    damage("garbage", cache)
    scan(layout)
    opened()
    scan(layout)
    assert opened() == set()


def test_a_memory_in_use_is_waited_for(tmp_path: Path) -> None:
    paths = [Path(f"/x/{index}") for index in range(300)]

    def write(kind: str) -> None:
        for start in range(0, 300, 50):
            ScanCache(tmp_path).keep(kind, [(path, "stamp", kind) for path in paths[start : start + 50]])

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(write, ["a", "b", "c", "d"]))
    for kind in ("a", "b", "c", "d"):
        assert ScanCache(tmp_path).find(kind, dict.fromkeys(paths, "stamp")) == dict.fromkeys(paths, kind)


def test_the_oldest_are_forgotten_when_there_are_too_many(tmp_path: Path) -> None:
    known = ScanCache(tmp_path, most_bytes=200_000)
    for number in range(20):
        known.keep(f"run {number}", [(Path(f"/x/{index}"), "s", "x" * 500) for index in range(50)])
    asked = {Path(f"/x/{index}"): "s" for index in range(50)}
    assert known.find("run 0", asked) == {}
    assert len(known.find("run 19", asked)) == 50
    assert sum(file.stat().st_size for file in tmp_path.iterdir()) < 400_000


# readers that die

READER = """
import os, signal, time
from yolosweep.data.scan import reader_worker as reader
whole = reader.read
def read(job, rules):
    name = job.path.name
    if name.startswith("kill"):
        os.kill(os.getpid(), signal.SIGSEGV)
    if name == "hang.png":
        time.sleep(600)
    if name.startswith("once"):
        try:
            open(str(job.path) + ".tried", "x")
        except FileExistsError:
            pass
        else:
            os._exit(3)
    print("noise")
    return whole(job, rules)
reader.read = read
reader.main()
"""


def jobs_in(folder: Path, names: list[str]) -> list[Job]:
    jobs = []
    for name in names:
        Image.new("RGB", (16, 16)).save(folder / f"{name}.png")
        (folder / f"{name}.txt").write_text("0 0.5 0.5 0.2 0.2\n")
        jobs += [Job("image", folder / f"{name}.png"), Job("label", folder / f"{name}.txt")]
    return jobs


@pytest.mark.slow
def test_a_file_that_kills_or_hangs_its_reader_costs_that_file_only(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    names = [f"good{index}" for index in range(30)]
    jobs = jobs_in(tmp_path, [*names[:9], "kill", *names[9:20], "hang", "once", *names[20:]])
    program = tmp_path / "python"
    program.write_text(f"#!{sys.executable}\nimport sys; sys.path[:] = {sys.path!r}\n{READER}")
    program.chmod(0o755)
    monkeypatch.setattr(sys, "executable", str(program))
    answers = dict(read_all(jobs, RULES, workers=2, file_timeout_s=2))
    assert set(answers) == set(jobs)
    said = {}
    for job, text in answers.items():
        if job.kind == "image":
            picture = decode_image(text)
            said[job.path.name] = picture.detail if picture.fault else ""
        else:
            label = decode_label(text)
            said[job.path.name] = " ".join(problem.detail for problem in label.problems)
    assert {name: text for name, text in said.items() if text} == {
        "kill.png": "reading it ends the reader (signal 11)",
        "kill.txt": "reading it ends the reader (signal 11)",
        "hang.png": "reading it takes longer than 2 s",
    }


@pytest.mark.parametrize("program", ["/no/such/program", "/bin/false"])
def test_where_no_reader_starts_the_files_are_read_here(
    program: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "executable", program)
    jobs = jobs_in(tmp_path, [f"good{index}" for index in range(20)])
    answers = dict(read_all(jobs, RULES, workers=2))
    assert set(answers) == set(jobs)
    assert all(decode_image(text).width == 16 for job, text in answers.items() if job.kind == "image")


@pytest.mark.slow
def test_leaving_early_leaves_no_process(tmp_path: Path) -> None:
    import psutil

    before = {process.pid for process in psutil.Process().children()}
    answers = read_all(jobs_in(tmp_path, [f"good{index}" for index in range(40)]), RULES, workers=2)
    next(answers)
    assert {process.pid for process in psutil.Process().children()} > before
    answers.close()  # type: ignore[attr-defined]
    assert {process.pid for process in psutil.Process().children()} <= before


# what is told


def test_images_with_a_wrong_label_are_told_once_for_each_split(tmp_path: Path) -> None:
    root = make(tmp_path / "set", 10)
    for index in (4, 7):
        (root / "labels" / "train" / f"{index}.txt").write_text("0 0.5 0.5 0.2 0.2\n7 0.5 0.5 0.2 0.2\n8 0 0 0 0\n")
    found = findings_of(layout_of(root))
    assert set(found) == {"label-class-range train"}
    finding = found["label-class-range train"]
    assert (finding.severity, finding.count, finding.line) == (Severity.ERROR, 4, 2)
    assert finding.file == str(root / "labels" / "train" / "4.txt")
    for text in ("2 label files", "20%", "class 7 of 3"):
        assert text in finding.message


@pytest.mark.parametrize(
    ("missing", "code", "severity"),
    [
        (0, None, None),
        (1, "label-background", Severity.NOTE),
        (4, "label-background", Severity.WARNING),
        (11, "label-background", Severity.WARNING),
        (20, "label-missing", Severity.ERROR),
    ],
)
def test_missing_label_files(missing: int, code: str | None, severity: Severity | None, tmp_path: Path) -> None:
    root = make(tmp_path / "set", 20)
    for index in range(missing):
        (root / "labels" / "val" / f"{index}.txt").unlink()
    found = findings_of(layout_of(root))
    assert {name: finding.severity for name, finding in found.items()} == ({f"{code} val": severity} if code else {})
    if code:
        assert found[f"{code} val"].count == missing
        assert f"{missing} of 20 val images" in found[f"{code} val"].message


def test_what_the_layout_said_of_missing_labels_is_not_said_twice(tmp_path: Path) -> None:
    root = make(tmp_path / "set")
    for file in (root / "labels" / "val").iterdir():
        file.unlink()
    said = Finding(code="file-no-labels", severity=Severity.ERROR, message="none", fix="", split="val")
    plain = layout_of(root)
    layout = Layout(**{**vars(plain), "findings": (said,)})
    assert findings_of(layout) == {}


@pytest.mark.parametrize("split", ["train", "val"])
def test_a_split_without_any_object_is_an_error(split: str, tmp_path: Path) -> None:
    root = make(tmp_path / "set")
    for file in (root / "labels" / split).iterdir():
        file.write_text("")
    found = findings_of(layout_of(root))
    assert {name: finding.severity for name, finding in found.items()} == {f"label-none {split}": Severity.ERROR}


def test_boxes_that_reach_out_are_a_warning_when_they_are_many(tmp_path: Path) -> None:
    root = make(tmp_path / "set", 30)
    (root / "labels" / "train" / "0.txt").write_text("0 0.95 0.5 0.3 0.2\n")
    for index in range(10):
        (root / "labels" / "val" / f"{index}.txt").write_text("0 0.95 0.5 0.3 0.2\n")
    found = findings_of(layout_of(root))
    assert {name: finding.severity for name, finding in found.items()} == {
        "label-partly-outside train": Severity.NOTE,
        "label-partly-outside val": Severity.WARNING,
    }


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("0 0.4 0.3 0.9 0.8\n1 0.1 0.1 0.5 0.5\n", True),
        ("0 0.5 0.5 1 1\n", False),
        ("0 0.4 0.3 0.9 0.8\n1 0.5 0.5 0.2 0.2\n", False),
    ],
    ids=["corners", "whole images", "some reach out"],
)
def test_corners_in_place_of_middle_and_size(text: str, told: bool, tmp_path: Path) -> None:
    found = findings_of(layout_of(make(tmp_path / "set", 20, text)))
    assert ("label-corners train" in found) == told


def test_polygons_in_some_files_only(tmp_path: Path) -> None:
    root = make(tmp_path / "set", text="0 0.1 0.1 0.5 0.1 0.5 0.5\n")
    (root / "labels" / "train" / "1.txt").write_text("0 0.5 0.5 0.2 0.2\n")
    boxes = findings_of(layout_of(root, task="segment"))["label-boxes-only train"]
    assert (boxes.severity, boxes.count) == (Severity.ERROR, 1)
    assert "rejects the whole dataset" in boxes.message
    assert {finding.severity for finding in findings_of(layout_of(root)).values()} == {Severity.NOTE}


def test_other_files_among_the_labels(tmp_path: Path) -> None:
    root = make(tmp_path / "set")
    folder = root / "labels" / "train"
    (folder / "classes.txt").write_text("a\nb\nc\n")
    (folder / "notes.txt").write_text("made in May")
    (folder / "gone.txt").write_text("0 0.5 0.5 0.2 0.2\n")
    found = findings_of(layout_of(root))
    assert set(found) == {"label-stranger", "label-orphan"}
    assert found["label-stranger"].count == 2
    assert (found["label-orphan"].file, found["label-orphan"].count) == (str(folder / "gone.txt"), 1)


def test_labels_of_images_that_are_there_and_not_listed_are_no_orphans(tmp_path: Path) -> None:
    plain = layout_of(make(tmp_path / "set"))
    splits = {split: items[:2] for split, items in plain.splits.items()}
    assert findings_of(Layout(**{**vars(plain), "splits": splits})) == {}


@pytest.mark.parametrize(
    ("place", "listed", "told"),
    [
        ("labels/train/classes.txt", "b\na\nc\n", "class 0 is 'b' there and 'a' in names:"),
        ("labels/classes.txt", "a\nb\n", "2 classes, not 3"),
        ("labels/classes.txt", "\ufeffa\r\nb\r\nc\r\n", None),
    ],
)
def test_a_list_of_classes_in_another_order(place: str, listed: str, told: str | None, tmp_path: Path) -> None:
    root = make(tmp_path / "set")
    (root / place).write_text(listed)
    found = findings_of(layout_of(root))
    assert ("label-classes-differ" in found) == (told is not None)
    if told:
        assert told in found["label-classes-differ"].message


def test_images_with_a_fault_are_told_once_for_each_split(tmp_path: Path) -> None:
    root = make(tmp_path / "set")
    for name in ("1.png", "3.png"):
        (root / "images" / "val" / name).write_bytes(b"")
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.new("RGB", (16, 16)).save(root / "images" / "train" / "0.png", exif=exif)
    found = findings_of(layout_of(root))
    assert set(found) == {"image-empty val", "image-rotated train"}
    assert (found["image-empty val"].severity, found["image-empty val"].count) == (Severity.ERROR, 2)
    assert found["image-empty val"].file == str(root / "images" / "val" / "1.png")
    assert "upright" in found["image-rotated train"].message


def test_names_in_other_bytes_can_be_shown(tmp_path: Path) -> None:
    root = make(tmp_path / "set")
    (root / "images" / "val" / os.fsdecode(b"\xff.png")).write_bytes(b"")
    found = findings_of(layout_of(root))
    assert str(found["image-empty val"].file).endswith("\\udcff.png")
    assert found["image-empty val"].model_dump_json()


@pytest.mark.slow
def test_real_photos_pass_with_their_true_counts(repository: Path) -> None:
    root = repository.parent / "shared" / "data" / "bccd"
    if not root.is_dir():
        pytest.skip(f"the BCCD photos are not at {root}")
    layout = layout_of(root, {0: "RBC", 1: "WBC", 2: "Platelets"})
    pictures, labels = scan(layout)
    assert content_findings(layout, pictures, labels) == []
    counts = {
        split: Counter(
            layout.names[row.category] for item in items if item.label is not None for row in labels[item.label].rows
        )
        for split, items in layout.splits.items()
    }
    assert {split: len(items) for split, items in layout.splits.items()} == {"train": 160, "val": 60, "test": 60}
    assert counts["train"] == {"RBC": 1738, "WBC": 163, "Platelets": 159}
    assert sum(counts["val"].values()) == sum(
        len(file.read_text().split("\n")) - 1 for file in (root / "labels" / "val").iterdir()
    )
    assert {picture.width for picture in pictures.values()} == {320}
