"""Data in an object storage: staged once, going on where it was cut off, nothing told that is secret."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from yolosweep.data import examine
from yolosweep.data.source.data_location import local_path
from yolosweep.data.source.remote_staging import staged
from yolosweep.errors import DataError


@pytest.fixture(autouse=True)
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return tmp_path / "cache" / "yolosweep" / "staged"


@pytest.mark.slow
def test_a_bucket_is_the_same_data_as_the_folder(tmp_path: Path, small_lot: Path, bucket: Any, own_cache: Path) -> None:
    shutil.copytree(small_lot, tmp_path / "lot")
    address, _ = bucket(tmp_path / "lot")
    told: list[tuple[int, int]] = []
    gate = examine(address, "detect", copying=lambda done, of: told.append((done, of)))
    plain = examine(str(tmp_path / "lot" / "data.yaml"), "detect")
    assert gate.dataset.fingerprint == plain.dataset.fingerprint
    assert gate.dataset.source == address
    assert told[-1][0] == told[-1][1] == sum(p.stat().st_size for p in (tmp_path / "lot").rglob("*") if p.is_file())
    count = len(told)
    assert examine(address, "detect", copying=lambda done, of: told.append((done, of))).dataset == gate.dataset
    assert len(told) == count, "it was copied again"


def test_an_archive_is_staged_then_unpacked(tmp_path: Path) -> None:
    (tmp_path / "set" / "images").mkdir(parents=True)
    (tmp_path / "set" / "data.yaml").write_text("x: 1\n")
    archive = shutil.make_archive(str(tmp_path / "set"), "gztar", tmp_path, "set")
    assert (local_path(Path(archive).as_uri()) / "data.yaml").read_text() == "x: 1\n"


def test_changed_data_are_other_data(tmp_path: Path) -> None:
    (tmp_path / "set").mkdir()
    (tmp_path / "set" / "data.yaml").write_text("one")
    first = staged((tmp_path / "set").as_uri())
    assert staged((tmp_path / "set").as_uri()) == first
    (tmp_path / "set" / "data.yaml").write_text("two!")
    second = staged((tmp_path / "set" / "data.yaml").as_uri())
    assert second.read_text() == "two!"
    assert (first / "data.yaml").read_text() == "one"


@pytest.mark.slow
def test_a_copy_that_was_killed_goes_on(tmp_path: Path, own_cache: Path, wait_for: Any) -> None:
    (tmp_path / "set").mkdir()
    content = os.urandom(1 << 20) * 400
    (tmp_path / "set" / "set.bin").write_bytes(content)
    address = (tmp_path / "set").as_uri()
    code = "import sys; from yolosweep.data.source.remote_staging import staged; staged(sys.argv[1])"
    process = subprocess.Popen([sys.executable, "-c", code, address], start_new_session=True)
    (part,) = wait_for(lambda: [p for p in own_cache.glob("*.part/set.bin.part") if p.stat().st_size > 1 << 23])
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    before = part.stat().st_size
    assert before < len(content)
    told: list[int] = []
    place = staged(address, lambda done, of: told.append(done))
    assert told[0] >= before, "it began anew"
    assert (place / "set.bin").read_bytes() == content


@pytest.mark.parametrize(
    ("address", "told"),
    [
        ("https://example.org/set.zip", "is not fetched"),
        ("s3://key:secret@bucket/set", "holds credentials"),
        ("file:///nowhere/at/all", "nowhere/at/all"),
        ("nonsense://x/y", "cannot hold data"),
        ("s3://bucket/set?token=secret", "the option token"),
    ],
)
def test_what_cannot_be_staged_is_said(address: str, told: str) -> None:
    with pytest.raises(DataError, match=told) as refused:
        staged(address)
    assert "secret" not in str(refused.value)


@pytest.mark.slow
def test_objects_that_stand_for_folders_are_no_files(s3: str, empty_bucket: Any) -> None:
    """Consoles of object storages make them."""
    import boto3

    address = empty_bucket()
    client = boto3.client("s3", endpoint_url=f"http://{s3}", region_name="us-east-1")
    for key, body in (("sweeps/", b""), ("sweeps/images/", b""), ("sweeps/images/a.txt", b"a"), ("sweeps/empty", b"")):
        client.put_object(Bucket=address.removeprefix("s3://").partition("/")[0], Key=key, Body=body)
    place = staged(address)
    assert sorted(path.relative_to(place).as_posix() for path in place.rglob("*")) == [
        "empty",
        "images",
        "images/a.txt",
    ]


@pytest.mark.slow
@pytest.mark.parametrize("key", ["sweeps/a/../../x", "sweeps/a//x"])
def test_names_that_lead_elsewhere_are_refused(s3: str, empty_bucket: Any, key: str) -> None:
    import boto3

    address = empty_bucket()
    client = boto3.client("s3", endpoint_url=f"http://{s3}", region_name="us-east-1")
    client.put_object(Bucket=address.removeprefix("s3://").partition("/")[0], Key=key, Body=b"")
    with pytest.raises(DataError, match="invalid path"):
        staged(address)


def test_a_disk_without_room_is_told_before_anything_is_copied(
    tmp_path: Path, own_cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "set").mkdir()
    with (tmp_path / "set" / "huge.bin").open("wb") as file:
        file.truncate(1 << 43)
    with pytest.raises(DataError, match="MiB more in"):
        staged((tmp_path / "set").as_uri())
    assert not list(own_cache.rglob("huge.bin*"))
