"""Unpacking: what is whole comes out as it went in, and nothing else comes out at all."""

from __future__ import annotations

import io
import os
import tarfile
import zipfile
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from yolosweep.data.layout.layout_reader import read_layout
from yolosweep.data.source.archive import Limits, unpack
from yolosweep.errors import DataError

SET = {
    "cars/data.yaml": b"train: images/train\nval: images/val\nnames: [a]\n",
    "cars/images/train/0.jpg": os.urandom(70_000),
    "cars/labels/train/0.txt": b"",
    "cars/images/val/" + "x" * 150 + " é 汽车.jpg": os.urandom(512),
    "cars/labels/val/" + "x" * 150 + " é 汽车.txt": b"0 0.5 0.5 0.1 0.1\n",
}


def pack(path: Path, members: dict[str, bytes], format: int = tarfile.PAX_FORMAT) -> Path:
    if path.suffix == ".zip":
        with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as file:
            for name, content in members.items():
                file.writestr(name, content)
        return path
    mode = "w:" + path.suffix[1:].replace("tar", "").replace("tgz", "gz")
    with tarfile.open(path, mode, format=format) as packed:  # type: ignore[call-overload]
        for name, content in members.items():
            info = tarfile.TarInfo(name)
            info.size, info.mode, info.uid = len(content), 0o6777, 4242
            packed.addfile(info, io.BytesIO(content))
    return path


def content(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.mark.parametrize("format", [tarfile.GNU_FORMAT, tarfile.PAX_FORMAT], ids=["gnu", "pax"])
@pytest.mark.parametrize("name", ["a.zip", "a.tar", "a.tar.gz", "a.tgz", "a.tar.bz2", "a.tar.xz"])
def test_a_whole_archive_comes_out_as_it_went_in(tmp_path: Path, name: str, format: int) -> None:
    packed = pack(tmp_path / name, SET, format)
    target = unpack(packed, tmp_path / "out")
    assert target == tmp_path / "out"
    assert content(target) == SET
    assert {path.name for path in tmp_path.iterdir()} == {name, "out"}
    modes = {path.stat().st_mode & 0o7022 for path in target.rglob("*")}
    assert modes == {0}, "permissions of the archive were taken over"
    assert {path.stat().st_uid for path in target.rglob("*")} == {os.getuid()}


def test_what_comes_out_is_a_dataset(tmp_path: Path) -> None:
    target = unpack(pack(tmp_path / "a.zip", SET), tmp_path / "out")
    layout = read_layout(target, "detect")
    assert {split: len(items) for split, items in layout.splits.items()} == {"train": 1, "val": 1}


def test_the_suffix_does_not_matter(tmp_path: Path) -> None:
    packed = pack(tmp_path / "a.tar.xz", SET).rename(tmp_path / "download")
    assert content(unpack(packed, tmp_path / "out")) == SET


def test_xz_streams_one_after_the_other(tmp_path: Path) -> None:
    import lzma

    raw = pack(tmp_path / "a.tar", SET).read_bytes()
    (tmp_path / "b.xz").write_bytes(lzma.compress(raw[:5000]) + bytes(8) + lzma.compress(raw[5000:]))
    assert content(unpack(tmp_path / "b.xz", tmp_path / "out")) == SET


def test_an_archive_in_the_archive_stays_packed(tmp_path: Path) -> None:
    inner = pack(tmp_path / "a.zip", SET).read_bytes()
    target = unpack(pack(tmp_path / "b.tar", {"inner.zip": inner}), tmp_path / "out")
    assert content(target) == {"inner.zip": inner}


def test_folders_and_backslashes(tmp_path: Path) -> None:
    packed = pack(tmp_path / "a.zip", {"a/": b"", "./b/c.txt": b"1", "D\\e.txt": b"2", "d/f.txt": b"3"})
    target = unpack(packed, tmp_path / "out")
    assert content(target) == {"b/c.txt": b"1", "D/e.txt": b"2", "d/f.txt": b"3"}
    assert (target / "a").is_dir()


@pytest.mark.parametrize("there", ["folder", "file", "link"])
def test_nothing_is_overwritten(tmp_path: Path, there: str) -> None:
    target = tmp_path / "out"
    {"folder": target.mkdir, "file": target.touch, "link": lambda: target.symlink_to("nowhere")}[there]()
    with pytest.raises(DataError, match="exists and is not overwritten; name another folder"):
        unpack(pack(tmp_path / "a.zip", SET), target)
    assert not target.is_dir() or not list(target.iterdir())


def test_a_zip_packed_with_lzma_is_refused(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "a.zip", "w", zipfile.ZIP_LZMA) as file:
        file.writestr("a", b"x")
    with pytest.raises(DataError, match="'a' has an unsupported compression method; repack it as an ordinary zip"):
        unpack(tmp_path / "a.zip", tmp_path / "out")


def test_the_default_limits_let_ordinary_sets_pass() -> None:
    limits = Limits()
    assert limits.size_bytes > 25 << 30
    assert limits.members > 250_000


@pytest.mark.parametrize("suffix", ["zip", "tar.gz"])
@given(
    members=st.dictionaries(
        st.text(alphabet="ab/\\.: Ü\n", min_size=1, max_size=8) | st.text(min_size=1, max_size=5),
        st.binary(max_size=600),
        max_size=4,
    )
)
@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_whatever_the_names_all_comes_out_inside_or_nothing_does(
    tmp_path_factory: pytest.TempPathFactory, suffix: str, members: dict[str, bytes]
) -> None:
    here = tmp_path_factory.mktemp("h")
    try:
        packed = pack(here / f"a.{suffix}", members)
    except (UnicodeEncodeError, ValueError, IndexError):
        return  # zipfile will not write such a name
    try:
        target = unpack(packed, here / "out")
    except DataError:
        assert [path.name for path in here.iterdir()] == [packed.name]
        return
    assert {path.name for path in here.iterdir()} == {packed.name, "out"}
    assert set(content(target).values()) <= set(members.values())


@pytest.mark.parametrize("suffix", ["zip", "tar", "tar.gz", "tar.bz2", "tar.xz"])
@given(data=st.data())
@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_damage_is_told_and_never_a_traceback(
    tmp_path_factory: pytest.TempPathFactory, suffix: str, data: st.DataObject
) -> None:
    here = tmp_path_factory.mktemp("h")
    packed = pack(here / f"a.{suffix}", {"a/b.txt": b"hello" * 40, "a/" + "c" * 120: b"x" * 600})
    raw = bytearray(packed.read_bytes())
    for _ in range(data.draw(st.integers(1, 4))):
        raw[data.draw(st.integers(0, len(raw) - 1))] = data.draw(st.integers(0, 255))
    packed.write_bytes(raw[: data.draw(st.integers(len(raw) // 2, len(raw)))])
    try:
        unpack(packed, here / "out", limits=Limits(size_bytes=1 << 20))
    except DataError:
        assert [path.name for path in here.iterdir()] == [packed.name]
