"""The gate as a whole: what becomes of a dataset before the first trial; nothing of the user's is changed."""

from __future__ import annotations

import json
import shutil
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from typer.testing import CliRunner

from yolosweep.cli.app import app
from yolosweep.data import described, examine, waive, write_view
from yolosweep.errors import DataError, UsageError
from yolosweep.ledger import RunFolder
from yolosweep.records import PreparedDataset, Severity

YAML = "train: images/train\nval: images/val\nnames: [a, b]\n"


def picture(number: int) -> Image.Image:
    """Return a picture that looks like no other."""
    blobs = np.random.default_rng(number).integers(0, 255, (6, 6, 3), dtype=np.uint8)
    return Image.fromarray(blobs).resize((64, 48), Image.Resampling.BICUBIC)


def make_set(folder: Path, yaml: str = YAML) -> Path:
    for place, split in enumerate(("train", "val")):
        for kind in ("images", "labels"):
            (folder / kind / split).mkdir(parents=True)
        for index in range(6):
            picture(100 * place + index).save(folder / "images" / split / f"{split}{index}.png")
            label = f"{index % 2} 0.5 0.5 0.2 0.2\n"
            (folder / "labels" / split / f"{split}{index}.txt").write_text(label)
    (folder / "data.yaml").write_text(yaml)
    return folder / "data.yaml"


def codes(source: Path, task: str = "detect") -> set[str]:
    return {finding.code for finding in examine(str(source), task).dataset.findings}


def grave(source: Path, task: str = "detect") -> set[str]:
    found = examine(str(source), task).dataset.findings
    return {finding.code for finding in found if finding.severity is Severity.ERROR}


def test_a_good_set_passes_and_nothing_beside_it_changes(tmp_path: Path) -> None:
    source = make_set(tmp_path / "set")
    before = {path: path.stat().st_mtime_ns for path in (tmp_path / "set").rglob("*")}
    gate = examine(str(source), "detect")
    dataset = write_view(gate.layout, waive(gate, ()), RunFolder.create(tmp_path / "runs", "x"))
    assert {path: path.stat().st_mtime_ns for path in (tmp_path / "set").rglob("*")} == before
    assert dataset.images == {"train": 6, "val": 6}
    assert dataset.names == {0: "a", 1: "b"}
    assert grave(source) == set()
    view = Path(dataset.train_on)
    assert json.loads(view.read_text())["names"] == {"0": "a", "1": "b"}
    listed = (view.parent / "train.txt").read_text().splitlines()
    assert listed == [str(tmp_path / "set" / "images" / "train" / f"train{i}.png") for i in range(6)]
    manifest = PreparedDataset.model_validate_json((view.parent / "manifest.json").read_text())
    assert manifest == dataset
    assert manifest.instances == {"train": {0: 3, 1: 3}, "val": {0: 3, 1: 3}}
    picture(99).save(tmp_path / "set" / "images" / "train" / "train0.png")
    other = examine(str(source), "detect").dataset
    assert other.fingerprint != dataset.fingerprint


def label(text: str) -> Callable[[Path], Any]:
    return lambda folder: (folder / "labels" / "train" / "train0.txt").write_text(text)


def copy_into_val(folder: Path) -> None:
    shutil.copy(folder / "images" / "train" / "train0.png", folder / "images" / "val" / "copy.png")
    shutil.copy(folder / "labels" / "train" / "train0.txt", folder / "labels" / "val" / "copy.txt")


def cut(folder: Path) -> None:
    place = folder / "images" / "train" / "train0.png"
    place.write_bytes(place.read_bytes()[:200])


@pytest.mark.parametrize(
    ("spoil", "code"),
    [
        (label("7 0.5 0.5 0.2 0.2\n"), "label-class-range"),
        (label("0 320 240 50 50\n"), "label-pixels"),
        (label("a 0.5 0.5 0.2 0.2\n"), "label-class-name"),
        (copy_into_val, "leak-exact"),
        (cut, "image-truncated"),
    ],
)
def test_what_would_lie_stops_a_sweep_unless_it_is_allowed(
    tmp_path: Path, spoil: Callable[[Path], Any], code: str
) -> None:
    source = make_set(tmp_path / "set")
    spoil(tmp_path / "set")
    gate = examine(str(source), "detect")
    with pytest.raises(DataError, match=f"{code}: .*") as refused:
        waive(gate, ())
    assert f"--allow {code}" in str(refused.value)
    allowed = waive(gate, [code])
    assert allowed.allowed == (code,)
    assert allowed.caveats
    with pytest.raises(UsageError, match="did you mean label-class-range"):
        waive(gate, ["label-class-rang"])


def test_the_fingerprint_follows_the_content_not_the_place_or_the_time(tmp_path: Path) -> None:
    first = make_set(tmp_path / "a")
    shutil.copytree(tmp_path / "a", tmp_path / "moved")
    again = tmp_path / "moved" / "data.yaml"
    (tmp_path / "moved" / "images" / "train" / "train0.png").touch()

    def fingerprint(source: Path) -> str:
        return examine(str(source), "detect").dataset.fingerprint

    assert fingerprint(first) == fingerprint(again)
    (tmp_path / "moved" / "labels" / "train" / "train0.txt").write_text("1 0.5 0.5 0.1 0.1\n")
    changed = fingerprint(again)
    assert changed != fingerprint(first)
    picture(77).save(tmp_path / "moved" / "images" / "train" / "train0.png")
    assert fingerprint(again) != changed
    first.write_text(YAML.replace("[a, b]", "[a, c]"))
    assert fingerprint(first) != fingerprint(again)


def test_a_folder_of_images_beside_their_labels_may_be_called_otherwise(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    for number in range(6):
        picture(number).save(tmp_path / "a" / f"{number}.png")
        (tmp_path / "a" / f"{number}.txt").write_text("0 0.5 0.5 0.2 0.2\n")
    for split, numbers in (("train", range(4)), ("val", range(4, 6))):
        (tmp_path / "a" / f"{split}.txt").write_text("".join(f"./{number}.png\n" for number in numbers))
    (tmp_path / "a" / "data.yaml").write_text("train: train.txt\nval: val.txt\nnames: [a]\n")
    shutil.copytree(tmp_path / "a", tmp_path / "b")
    one, two = (examine(str(tmp_path / name / "data.yaml"), "detect").dataset for name in "ab")
    assert one.fingerprint == two.fingerprint


def test_labels_that_lie_elsewhere_are_linked_where_the_training_looks(tmp_path: Path) -> None:
    make_set(tmp_path / "set")
    for kind, name in (("images", "pictures"), ("labels", "labels")):
        for split in ("train", "val"):
            (tmp_path / "set" / split).mkdir(exist_ok=True)
            (tmp_path / "set" / kind / split).rename(tmp_path / "set" / split / name)
    source = tmp_path / "set" / "data.yaml"
    source.write_text("train: train/pictures\nval: val/pictures\nnames: [a, b]\n")
    gate = examine(str(source), "detect")
    dataset = write_view(gate.layout, waive(gate, ()), RunFolder.create(tmp_path / "runs", "x"))
    place = Path(dataset.train_on).parent
    assert json.loads(Path(dataset.train_on).read_text())["train"] == "linked/images/train"
    links = sorted((place / "linked" / "images" / "train").iterdir())
    assert [link.resolve().name for link in links] == [f"train{i}.png" for i in range(6)]
    told = [(place / "linked" / "labels" / "train" / f"{link.stem}.txt").read_text() for link in links]
    assert told == [f"{i % 2} 0.5 0.5 0.2 0.2\n" for i in range(6)]


def test_leaks_are_a_share_and_a_caveat(tmp_path: Path) -> None:
    source = make_set(tmp_path / "set")
    copy_into_val(tmp_path / "set")
    dataset = waive(examine(str(source), "detect"), ["leak-exact"])
    assert dataset.leaks == {"val": pytest.approx(1 / 7)}
    assert dataset.caveats == ("14.3% of val is also in another split: its scores are too high",)


@pytest.mark.slow
def test_bursts_over_two_splits_are_a_share_and_a_caveat(tmp_path: Path) -> None:
    source = make_set(tmp_path / "set")
    for clip in range(2):
        blobs = np.random.default_rng([1, clip]).integers(0, 255, (14, 14, 3), dtype=np.uint8)
        scene = Image.fromarray(blobs).resize((300, 300), Image.Resampling.BICUBIC)
        for step in range(4):
            split, name = "val" if step == 3 else "train", f"clip{clip}_{step:04d}"
            frame = scene.crop((step * 18, step * 9, 160 + step * 18, 160 + step * 9))
            frame.save(tmp_path / "set" / "images" / split / f"{name}.png")
            (tmp_path / "set" / "labels" / split / f"{name}.txt").write_text("0 0.5 0.5 0.2 0.2\n")
    dataset = waive(examine(str(source), "detect"), ())
    assert dataset.leaks == {"val": 0}
    assert dataset.same_source == {"val": pytest.approx(2 / 8)}
    (caveat,) = dataset.caveats
    assert caveat.startswith("25.0% of val is of a burst")
    done = CliRunner().invoke(app, ["check", str(source), "--report", str(tmp_path / "check.html")])
    assert "25.0%" in done.output
    assert "of val comes from a source in another split" in (tmp_path / "check.html").read_text()


def test_a_val_that_is_train_is_seen_on_the_page(tmp_path: Path) -> None:
    source = make_set(tmp_path / "set", YAML.replace("images/val", "images/train"))
    done = CliRunner().invoke(app, ["check", str(source), "--report", str(tmp_path / "check.html")])
    assert done.exit_code == 4
    page = (tmp_path / "check.html").read_text()
    assert page.count('<div class="pair">') == 6
    assert "train and val" in page


@pytest.mark.slow
def test_check_prints_tables_json_and_exits_by_severity(tmp_path: Path) -> None:
    source, runner = make_set(tmp_path / "set"), CliRunner()
    done = runner.invoke(app, ["check", str(source), "--report", str(tmp_path / "check.html")])
    assert done.exit_code == 0, done.output
    assert "a sweep can start" in done.output
    assert (tmp_path / "check.html").read_text().startswith("<!doctype html>")
    assert runner.invoke(app, ["check", str(source), "--fail-on", "warning"]).exit_code == 4
    assert runner.invoke(app, ["check", str(source), "--fail-on", "sin"]).exit_code == 2
    label("9 0.5 0.5 0.2 0.2\n")(tmp_path / "set")
    done = runner.invoke(app, ["check", str(source), "--json"])
    assert done.exit_code == 4
    told = json.loads(done.stdout)
    assert told["errors"] == 1
    (found,) = [finding for finding in told["findings"] if finding["severity"] == "error"]
    assert (found["code"], found["line"], found["count"]) == ("label-class-range", 1, 1)
    assert found["file"].endswith("labels/train/train0.txt")
    page = tmp_path / "allowed.html"
    done = runner.invoke(app, ["check", str(source), "--allow", "label-class-range", "--report", str(page)])
    assert done.exit_code == 0
    assert "(label-class-range waived): a sweep can start" in done.output
    assert "only because 1 error is waived" in page.read_text()
    assert "exit code 0" in page.read_text()
    done = runner.invoke(app, ["check", str(source), "--allow", "label-class-rang"])
    assert done.exit_code == 2
    assert "did you mean label-class-range?" in done.output
    runner.invoke(app, ["check", str(source), "--fail-on", "note", "--report", str(page)])
    assert "exit code 4" in page.read_text()


@pytest.mark.slow
def test_real_photos_pass_with_their_true_counts(bccd: Path) -> None:
    gate = examine(str(bccd), "detect", imgsz=[96])
    found = {split: tuple(one.instances.values()) for split, one in gate.counts.splits.items()}
    assert found["train"] == (1738, 163, 159)
    assert gate.dataset.images == {"train": 160, "val": 60, "test": 60}
    assert gate.errors == []
    # Two fields were photographed twice, once into train each; one pair is refocused and moved, so it is no copy.
    assert gate.dataset.leaks == {"val": pytest.approx(1 / 60), "test": 0}
    assert gate.dataset.same_source == {"val": 0, "test": pytest.approx(1 / 60)}
    assert all(described(finding) for finding in gate.dataset.findings)


def test_a_split_made_here_passes_the_gate(tmp_path: Path) -> None:
    source, runner = make_set(tmp_path / "set"), CliRunner()
    words = ["split", str(source), "--out", str(tmp_path / "new"), "--val", "0.25", "--test", "0.25"]
    done = runner.invoke(app, [*words, "--json"])
    assert done.exit_code == 0, done.output
    told = json.loads(done.stdout)
    assert told["images"] == {"train": 6, "val": 3, "test": 3}
    gate = examine(told["data"], "detect")
    assert gate.dataset.images == told["images"]
    assert gate.errors == []
    assert runner.invoke(app, words).exit_code == 2
    assert runner.invoke(app, [*words[:3], str(tmp_path / "other"), "--val", "0.9", "--test", "0.2"]).exit_code == 2


def test_a_folder_of_class_folders_is_split_without_copies(tmp_path: Path) -> None:
    for number in range(20):
        place = tmp_path / "set" / ("cat", "dog")[number % 2] / f"{number}.png"
        place.parent.mkdir(parents=True, exist_ok=True)
        picture(number).save(place)
    words = ["split", str(tmp_path / "set"), "--task", "classify", "--out", str(tmp_path / "new"), "--json"]
    done = CliRunner().invoke(app, words)
    assert done.exit_code == 0, done.output
    gate = examine(str(tmp_path / "new"), "classify")
    assert gate.errors == []
    assert gate.dataset.images == {"train": 14, "val": 4, "test": 2}
    assert all(item.image.stat().st_nlink == 2 for items in gate.layout.splits.values() for item in items)


def test_an_archive_is_data_too_and_a_hostile_one_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    source = make_set(tmp_path / "set")
    archive = shutil.make_archive(str(tmp_path / "set"), "zip", tmp_path, "set")
    packed, plain = examine(archive, "detect").dataset, examine(str(source), "detect").dataset
    assert packed.fingerprint == plain.fingerprint
    assert packed.source == archive
    with zipfile.ZipFile(tmp_path / "evil.zip", "w") as evil:
        evil.writestr("../../escaped.txt", "x")
    with pytest.raises(DataError, match=r"evil\.zip"):
        examine(str(tmp_path / "evil.zip"), "detect")
    assert not list(tmp_path.rglob("escaped.txt"))


def test_labels_by_machine_are_told_and_refused_in_val(tmp_path: Path) -> None:
    source = make_set(tmp_path / "set")
    (tmp_path / "set" / "labels" / "train" / "autolabel.json").write_text("{}")
    assert "label-machine" in codes(source)
    assert "label-machine-eval" not in codes(source)
    (tmp_path / "set" / "labels" / "val" / "autolabel.json").write_text("{}")
    assert "label-machine-eval" in grave(source)
    for split in ("train", "val"):
        (tmp_path / "set" / "labels" / split / "autolabel.json").unlink()
    listed = {"files": [{"label": "labels/train/train1.txt"}, {"label": None}]}
    (tmp_path / "set" / "autolabel.json").write_text(json.dumps(listed))
    (found,) = [one for one in examine(str(source), "detect").dataset.findings if one.code.startswith("label-machine")]
    assert (found.code, found.count, found.split) == ("label-machine", 1, "train")


def test_files_outside_are_read_only_where_that_is_allowed(tmp_path: Path) -> None:
    source = make_set(tmp_path / "set")
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    picture(55).save(elsewhere / "x.png")
    (tmp_path / "set" / "images" / "train" / "x.png").symlink_to(elsewhere / "x.png")
    gate = examine(str(source), "detect")
    assert gate.dataset.images["train"] == 6
    with pytest.raises(DataError, match="file-outside"):
        waive(gate, ())
    allowed = waive(examine(str(source), "detect", anywhere=True), ["file-outside"])
    assert allowed.images["train"] == 7
    assert allowed.allowed == ("file-outside",)


@pytest.mark.slow
@pytest.mark.parametrize("val", ["val", "valid"])
@pytest.mark.parametrize("link", ["", "cat/loop", "cat/0/again.png"])
def test_class_folders_are_trained_on_as_they_were_counted(tmp_path: Path, val: str, link: str) -> None:
    from torchvision.datasets import ImageFolder

    for place, split in enumerate(("train", val)):
        for number, name in enumerate(["cat/0/0.png", "cat/1.png", "dog/0.png", "dog/1.png"]):
            file = tmp_path / "set" / split / name
            file.parent.mkdir(parents=True, exist_ok=True)
            picture(10 * place + number).save(file)
    if link:
        target = ".." if link.endswith("loop") else "0.png"
        (tmp_path / "set" / "train" / link).symlink_to(target)
    gate = examine(str(tmp_path / "set"), "classify")
    dataset = write_view(gate.layout, waive(gate, ()), RunFolder.create(tmp_path / "runs", "x"))
    for split, items in gate.layout.splits.items():
        read = ImageFolder(f"{dataset.train_on}/{split}")
        assert list(enumerate(read.classes)) == list(dataset.names.items())
        told = [(Path(file).resolve(), number) for file, number in read.samples]
        assert sorted(told) == sorted((item.image.resolve(), item.category) for item in items)


def test_nothing_that_a_terminal_obeys_is_printed(tmp_path: Path) -> None:
    source = make_set(tmp_path / "set", YAML.replace("[a, b]", r'["a\e[2J\u202e", "[red]b"]'))
    for kind, suffix in (("images", "png"), ("labels", "txt")):
        place = tmp_path / "set" / kind / "train"
        (place / f"train0.{suffix}").rename(place / f"\x1b[2J\u202ex.{suffix}")
        shutil.copy(place / f"train1.{suffix}", place / f"\x1b]0;y\x07.{suffix}")
    label("9 0.5 0.5 0.2 0.2\n")(tmp_path / "set")
    (tmp_path / "set" / "labels" / "train" / "\x1b[2J\u202ex.txt").write_text("9 0.5 0.5 0.2 0.2\n")
    words = ["split", str(source), "--out", str(tmp_path / "new")]
    for done in (CliRunner().invoke(app, ["check", str(source)]), CliRunner().invoke(app, words)):
        assert all(line.isprintable() for line in done.output.splitlines()), done.output
        assert r"a\x1b[2J\u202e" in done.output
        assert "[red]b" in done.output
    with pytest.raises(DataError) as refused:
        waive(examine(str(source), "detect"), ())
    assert all(line.isprintable() for line in str(refused.value).splitlines())


@pytest.mark.parametrize(
    ("words", "code", "told"),
    [
        (["check", "set.zip"], 4, "set XDG_CACHE_HOME to a folder of your own"),
        (["check", "sample:parking"], 4, "set XDG_CACHE_HOME to a folder of your own"),
        (["check", "set", "--report", "set/data.yaml/x.html"], 2, "name another file"),
        (["split", "set", "--out", "set/data.yaml/x"], 2, "name another folder"),
    ],
    ids=["archive", "sample", "report", "split"],
)
def test_a_place_that_cannot_be_written_is_told(
    tmp_path: Path, words: list[str], code: int, told: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_set(tmp_path / "set")
    shutil.make_archive(str(tmp_path / "set"), "zip", tmp_path, "set")
    (tmp_path / "file").touch()
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "file" / "cache"))
    monkeypatch.chdir(tmp_path)
    done = CliRunner().invoke(app, words)
    assert done.exit_code == code, done.output
    assert told in done.output
