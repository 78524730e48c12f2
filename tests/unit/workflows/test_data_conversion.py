"""``yolosweep convert``: a copy that passes the checks, and a source of which no byte changes."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import pytest
from tests.bench.foreign_data import coco_of, dataset, into_store, picture
from typer.testing import CliRunner

from yolosweep import api
from yolosweep.cli.app import app
from yolosweep.data import examine
from yolosweep.errors import DataError, UsageError
from yolosweep.workflows.data_conversion import convert_data
from yolosweep.workflows.progress_listener import LogListener


@pytest.fixture(autouse=True)
def _own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))


def digests(folder: Path) -> dict[str, str]:
    files = (path for path in folder.rglob("*") if path.is_file())
    return {str(path): f"{hashlib.sha256(path.read_bytes()).hexdigest()} {path.stat().st_mtime_ns}" for path in files}


def roboflow(place: Path) -> Path:
    for number, split in enumerate(("train", "valid")):
        names = [picture(place / split / f"{n}.jpg", 10 * number + n).name for n in range(3)]
        (place / split / "_annotations.coco.json").write_text(json.dumps(coco_of(names)))
    return place


def test_an_export_is_copied_and_passes_the_checks(tmp_path: Path) -> None:
    source = roboflow(tmp_path / "set")
    before = digests(source)
    made = convert_data(str(source), tmp_path / "out", LogListener())
    assert digests(source) == before
    assert made.images == {"train": 3, "val": 3}
    assert made.changes == ("the labels are converted from COCO JSON: 6 objects of 6 images",)
    found = examine(made.data, "detect")
    assert found.errors == []
    assert found.dataset.instances == examine(str(source), "detect").dataset.instances


def test_rows_are_rewritten_in_the_copy_only(tmp_path: Path) -> None:
    yaml = dataset(tmp_path / "set", label="1 0.5 0.5 0.2 0.2 0.9\n")
    before = digests(tmp_path / "set")
    done = CliRunner().invoke(app, ["convert", str(yaml), str(tmp_path / "out"), "--json"])
    assert done.exit_code == 0, done.output
    assert json.loads(done.stdout)["changes"] == ["confidences were removed, in 8 label files"]
    assert digests(tmp_path / "set") == before
    assert (tmp_path / "out" / "labels" / "train" / "train0.txt").read_text() == "1 0.5 0.5 0.2 0.2\n"


@pytest.mark.parametrize("where", ["set", "set/below", "full"])
def test_a_target_in_the_way_is_refused(where: str, tmp_path: Path) -> None:
    source = roboflow(tmp_path / "set")
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "mine.txt").write_text("x")
    before = digests(tmp_path)
    with pytest.raises(UsageError):
        convert_data(str(source), tmp_path / where, LogListener())
    assert digests(tmp_path) == before


def test_a_good_data_set_needs_no_conversion(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="needs no conversion"):
        convert_data(str(dataset(tmp_path / "set")), tmp_path / "out", LogListener())
    assert not (tmp_path / "out").exists()


def test_links_are_used_in_every_command_when_allowed(tmp_path: Path) -> None:
    yaml = dataset(tmp_path / "d", label="1 0.5 0.5 0.2 0.2 0.9\n")
    into_store(tmp_path)
    for command in (["split", "--out"], ["convert"]):
        words = [command[0], str(yaml), *command[1:], str(tmp_path / command[0])]
        refused = CliRunner().invoke(app, words)
        assert refused.exit_code == 4
        assert "--allow file-outside" in refused.stderr.replace("\n", " ")
        done = CliRunner().invoke(app, [*words, "--allow", "file-outside"])
        assert done.exit_code == 0, done.output
    copies = list((tmp_path / "convert" / "images").rglob("*.jpg"))
    assert len(copies) == 8
    assert not any(path.is_symlink() for path in copies)


def test_a_split_of_an_export_has_its_labels(tmp_path: Path) -> None:
    source = roboflow(tmp_path / "set")
    before = digests(source)
    made = api.split(source, tmp_path / "out", val=0.34, test=0)
    assert digests(source) == before
    found = examine(made.data, "detect")
    assert found.errors == []
    assert sum(sum(classes.values()) for classes in found.dataset.instances.values()) == 6
