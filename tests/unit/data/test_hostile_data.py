"""Datasets made to harm: each row is one attack, and each must end in a DataError or a finding, quickly and inertly.

Three canaries watch every row: a file that code of the dataset would make, the dataset's own files (nothing is
written), and Python's audit events (no process, no pickle, no socket, and no image, pipe or device is opened).
"""

from __future__ import annotations

import io
import os
import pickle
import socket
import sys
import tarfile
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from yolosweep.data.layout import image_lists
from yolosweep.data.layout.layout_reader import read_layout
from yolosweep.data.source import archive
from yolosweep.data.source.archive import Limits, unpack
from yolosweep.errors import DataError

USUAL = [
    f"{kind}/{split}/0.{end}" for kind, end in (("images", "png"), ("labels", "txt")) for split in ("train", "val")
]
PLAIN = "train: images/train\nval: images/val\n"
NAMES = "names: [a, b]\n"
RUNS = ("subprocess.Popen", "os.system", "os.exec", "os.posix_spawn", "os.fork", "pickle.find_class", "socket.connect")

_watched: list[tuple[str, str]] | None = None


def _watch(event: str, arguments: tuple[Any, ...]) -> None:
    if _watched is not None and (event in RUNS or event == "open"):
        _watched.append((event, str(arguments[0]) if arguments else ""))


sys.addaudithook(_watch)


@pytest.fixture
def events() -> Iterator[list[tuple[str, str]]]:
    global _watched
    _watched = []
    yield _watched
    _watched = None


class Bomb:
    """Makes the canary when it is unpickled."""

    def __init__(self, canary: Path) -> None:
        self.canary = canary

    def __reduce__(self) -> tuple[Any, ...]:
        return os.mkdir, (str(self.canary),)


def tree(folder: Path) -> list[tuple[str, int]]:
    return sorted((str(path.relative_to(folder)), path.lstat().st_mtime_ns) for path in folder.rglob("*"))


def usual(folder: Path) -> None:
    for name in USUAL:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).touch()


def yaml(text: str | bytes) -> Callable[[Path, Path], Path]:
    """Return a maker of a whole dataset with a hostile data.yaml; CANARY stands for the canary's path."""

    def make(folder: Path, canary: Path) -> Path:
        usual(folder)
        raw = text if isinstance(text, bytes) else text.encode()
        (folder / "data.yaml").write_bytes(raw.replace(b"CANARY", str(canary).encode()))
        return folder / "data.yaml"

    return make


def files(change: Callable[[Path, Path], object], text: str = PLAIN + NAMES) -> Callable[[Path, Path], Path]:
    """Return a maker of a dataset with a good data.yaml and hostile files."""

    def make(folder: Path, canary: Path) -> Path:
        source = yaml(text)(folder, canary)
        change(folder, canary)
        return source

    return make


def linked(link: str, target: str) -> Callable[[Path, Path], None]:
    def change(folder: Path, canary: Path) -> None:
        (folder / link).parent.mkdir(parents=True, exist_ok=True)
        (folder / link).unlink(missing_ok=True)
        (folder / link).symlink_to(target)

    return change


def fifo(name: str) -> Callable[[Path, Path], None]:
    def change(folder: Path, canary: Path) -> None:
        (folder / name).unlink(missing_ok=True)
        os.mkfifo(folder / name)

    return change


def listed(lines: str | bytes) -> Callable[[Path, Path], None]:
    def change(folder: Path, canary: Path) -> None:
        (folder / "l.txt").write_bytes(lines if isinstance(lines, bytes) else lines.encode())

    return change


LIST = "train: l.txt\nval: images/val\n" + NAMES
LAUGHS = "a0: &a0 [x,x,x,x,x,x,x,x,x]\n" + "".join(
    f"a{i}: &a{i} [{','.join([f'*a{i - 1}'] * 9)}]\n" for i in range(1, 12)
)


def socket_file(folder: Path, canary: Path) -> None:
    here = os.getcwd()
    os.chdir(folder / "images" / "val")  # a socket's path may have 107 bytes
    try:
        with socket.socket(socket.AF_UNIX) as bound:
            bound.bind("s.png")
    finally:
        os.chdir(here)


def bytes_name(folder: Path, canary: Path) -> None:
    (folder / "images" / "val" / os.fsdecode(b"\xff\xfe.png")).touch()


def poison(name: str) -> Callable[[Path, Path], None]:
    return lambda folder, canary: (folder / name).write_bytes(pickle.dumps(Bomb(canary)))


def deep(folder: Path, canary: Path) -> None:
    place = folder / "images" / "val"
    for _ in range(80):
        place = place / "d"
    place.mkdir(parents=True)
    (place / "x.png").touch()


HOSTILE: dict[str, tuple[Callable[[Path, Path], Path], str]] = {
    # id: maker, what is said (a finding's code, or words of the error)
    "yaml: laughs": (yaml(LAUGHS + PLAIN + NAMES), "more than 50000 values"),
    "yaml: laughs in names": (yaml(LAUGHS + PLAIN + "names: *a11\n"), "more than 50000 values"),
    "yaml: an alias to itself": (yaml(PLAIN + "names: &a [*a]\n"), "refers to nothing that is complete"),
    "yaml: an alias to nothing": (yaml(PLAIN + "names: *a\n"), "refers to nothing that is complete"),
    "yaml: merged keys": (yaml("x: &x {names: [a]}\n<<: *x\n" + PLAIN), "<< is not followed"),
    "yaml: python object": (
        yaml(PLAIN + "names: !!python/object/apply:os.mkdir [CANARY]\n"),
        "the tag tag:yaml.org,2002:python",
    ),
    "yaml: python new": (yaml(PLAIN + "names: !!python/object/new:os.mkdir [CANARY]\n"), "is not followed"),
    "yaml: python name": (yaml(PLAIN + "names: [!!python/name:os.system '']\n"), "is not followed"),
    "yaml: python module": (yaml(PLAIN + "x: !!python/module:antigravity ''\n" + NAMES), "is not followed"),
    "yaml: a tag as key": (yaml("!!python/name:os.system '': 1\n" + PLAIN + NAMES), "is not followed"),
    "yaml: own tag handle": (
        yaml("%TAG ! tag:yaml.org,2002:python/object/apply:\n---\nnames: !os.mkdir [CANARY]\n"),
        "is not followed",
    ),
    "yaml: ruby": (yaml(PLAIN + "names: !ruby/object:Gem::Installer {}\n"), "is not followed"),
    "yaml: set and binary": (yaml(PLAIN + "names: !!set {a, b}\n"), "is not followed"),
    "yaml: deep lists": (yaml("a: " + "[" * 200_000), "more than 16 levels"),
    "yaml: deep mappings": (yaml("a: " + "{a: " * 100_000), "more than 16 levels"),
    "yaml: deep blocks": (yaml("- " * 200_000), "more than 16 levels"),
    "yaml: deep keys": (yaml("? " * 200_000), "more than 16 levels"),
    "yaml: a list as key": (yaml("? [a, b]\n: 1\n" + PLAIN + NAMES), "a key must be a plain word"),
    "yaml: many values": (yaml("a: [" + "a," * 400_000 + "]"), "more than 50000 values"),
    "yaml: too large": (yaml(b"#" * (2 << 20)), "larger than 1 MiB"),
    "yaml: one long word": (yaml("train: " + "x" * 1_000_000 + "\nval: images/val\n" + NAMES), "is not a path"),
    "yaml: a huge number": (yaml(PLAIN + NAMES + "nc: " + "9" * 100_000), "must be the number of classes"),
    "yaml: nc beyond memory": (yaml(PLAIN + "nc: 99999999999\n"), "must be the number of classes"),
    "yaml: nc infinite": (yaml(PLAIN + "nc: .inf\n"), "must be the number of classes"),
    "yaml: names not numbers": (yaml(PLAIN + "names: {.nan: a}\n"), "must be class numbers"),
    "yaml: names infinite": (yaml(PLAIN + "names: {.inf: a}\n"), "must be class numbers"),
    "yaml: zero bytes": (yaml(b"train: images/train\x00\nval: images/val\n" + NAMES.encode()), "yaml-bytes"),
    "yaml: nothing but zero bytes": (yaml(bytes(5000)), "is in UTF-16"),
    "yaml: a zero byte in a path": (yaml('train: "a\\0b"\nval: images/val\n' + NAMES), "is not a path"),
    "yaml: a zero byte in path:": (yaml('path: "a\\0b"\n' + PLAIN + NAMES), "path: must be one folder"),
    "yaml: control characters": (yaml("# \x1b[2J\x07\n" + PLAIN + NAMES), "yaml-bytes"),
    "yaml: a picture": (yaml(b"\x89PNG\r\n\x1a\n" + bytes(range(256)) * 20), "must be a mapping"),
    "yaml: a pickle": (files(poison("data.yaml")), "data.yaml"),
    "yaml: a hostile class name": (yaml(PLAIN + 'names: ["<script>\\e[2J\\u202e", "\\n\\n"]\n'), "has no name"),
    "yaml: path a list": (yaml("path: [a]\n" + PLAIN + NAMES), "path: must be one folder"),
    "yaml: a train of mappings": (yaml("train: {a: b}\nval: images/val\n" + NAMES), "must be a folder"),
    "yaml: keypoints beyond memory": (yaml(PLAIN + NAMES + "channels: 99999999\n"), "channels: 99999999 must be"),
    "yaml: a fifo": (files(fifo("data.yaml")), "is not a regular file"),
    "yaml: a link to a device": (files(linked("data.yaml", "/dev/zero")), "is not a regular file"),
    "yaml: a link in a circle": (files(linked("data.yaml", "data.yaml")), "does not exist"),
    "download: bash": (yaml(PLAIN + NAMES + "download: bash -c 'mkdir CANARY'\n"), "yaml-download"),
    "download: bash and nothing there": (
        yaml("train: gone\nval: gone\n" + NAMES + "download: bash -c 'mkdir CANARY'\n"),
        "is never run",
    ),
    "download: python": (
        yaml("train: gone\nval: gone\n" + NAMES + "download: |\n  import os\n  os.mkdir('CANARY')\n"),
        "is never run",
    ),
    "download: an address": (
        yaml("train: gone\nval: gone\n" + NAMES + "download: http://127.0.0.1:9/x.zip\n"),
        "is never run",
    ),
    "download: a list": (yaml("train: gone\nval: gone\n" + NAMES + "download: [rm, -rf]\n"), "is never run"),
    "place: an address": (yaml("train: file:///etc\nval: images/val\n" + NAMES), "is an address"),
    "place: many levels up": (yaml("train: ../../../../../../../../etc\nval: images/val\n" + NAMES), "outside "),
    "place: etc": (yaml("train: /etc/passwd\nval: images/val\n" + NAMES), "there are no images"),
    "place: a device": (yaml("train: /dev/zero\nval: images/val\n" + NAMES), "is not a regular file"),
    "place: standard input": (yaml("train: /dev/stdin\nval: images/val\n" + NAMES), "train"),
    "place: proc": (yaml("train: /proc/self/fd\nval: images/val\n" + NAMES), "there are no images"),
    "place: memory": (yaml("train: /proc/self/mem\nval: images/val\n" + NAMES), "cannot be read"),
    "place: a fifo": (files(fifo("l.txt"), LIST), "is not a regular file"),
    "place: the whole disk": (yaml("path: /\ntrain: .\nval: images/val\n" + NAMES), "contains over"),
    "place: a link out": (files(linked("x", "/etc"), "train: x\nval: images/val\n" + NAMES), "through a link or .."),
    "place: shell words": (yaml("train: '$(mkdir CANARY)'\nval: '`mkdir CANARY`'\n" + NAMES), "does not exist"),
    "place: a pattern": (yaml("train: 'images/*'\nval: images/val\n" + NAMES), "does not exist"),
    "place: a name too long": (yaml("train: " + "x" * 3000 + "\nval: images/val\n" + NAMES), "does not exist"),
    "place: a link in a circle": (files(linked("x", "x"), "train: x\nval: images/val\n" + NAMES), "does not exist"),
    "links: a circle in the images": (files(linked("images/val/x", ".")), "file-loop"),
    "links: a circle over the root": (files(linked("images/val/x", "../..")), "file-loop"),
    "links: a link to itself": (files(linked("images/val/x.png", "x.png")), "file-missing"),
    "links: the disk": (files(linked("images/val/x", "/")), "file-outside"),
    "links: a secret as image": (files(linked("images/val/x.png", "/etc/passwd")), "file-outside"),
    "links: a device as image": (files(linked("images/val/x.png", "/dev/zero")), "file-outside"),
    "links: a secret as label": (files(linked("labels/val/0.txt", "/etc/passwd")), "no usable image"),
    "links: nothing behind": (files(linked("images/val/x.png", "gone.png")), "file-missing"),
    "files: an image is a fifo": (files(fifo("images/val/x.png")), "file-special"),
    "files: an image is a socket": (files(socket_file), "file-special"),
    "files: an image is a folder": (files(lambda f, c: (f / "images/val/x.png").mkdir()), ""),
    "files: a label is a fifo": (files(fifo("labels/val/0.txt")), "no usable image"),
    "files: a label is a folder": (
        files(lambda f, c: ((f / "labels/val/0.txt").unlink(), (f / "labels/val/0.txt").mkdir())),
        "no usable image",
    ),
    "files: a name of bytes": (files(bytes_name), "file-unwritable"),
    "files: a name that clears the screen": (
        files(lambda f, c: (f / "images/val/\x1b[2J\n.png").touch()),
        "file-name-odd",
    ),
    "files: very deep": (files(deep), "levels of folders"),
    "caches: labels": (files(poison("labels/val.cache")), "file-foreign-cache"),
    "caches: an image": (files(poison("images/val/0.npy")), "file-foreign-cache"),
    "caches: among the images": (files(poison("images/val/x.cache")), "file-foreign-cache"),
    "list: a device": (files(listed("/dev/zero\n./images/train/0.png\n"), LIST), "file-list-line"),
    "list: a secret": (files(listed("/etc/passwd\n/etc/shadow\n"), LIST), "there are no images in l.txt"),
    "list: an image outside": (files(listed("../outside.png\n./images/train/0.png\n"), LIST), "file-"),
    "list: zero bytes": (files(listed(b"./images/train/0.png\na\0b.png\n"), LIST), "file-list-line"),
    "list: not text": (files(listed(bytes(range(256)) * 10), LIST), "is not a UTF-8 list of images"),
    "list: very long lines": (files(listed("x" * 500_000 + ".png\n"), LIST), "do not exist"),
    "list: itself": (files(listed("./l.txt\n"), LIST), "there are no images"),
    "list: dots": (files(listed("./" + "../" * 200 + "etc/x.png\n./images/train/0.png\n"), LIST), "file-missing"),
    "list: another folder's link": (
        files(
            lambda f, c: (linked("y.png", "/etc/hostname")(f, c), listed("./y.png\n./images/train/0.png\n")(f, c)), LIST
        ),
        "file-outside",
    ),
}


@pytest.mark.timeout(60)
@pytest.mark.parametrize("case", HOSTILE, ids=str)
def test_a_hostile_dataset_is_inert(
    tmp_path: Path, case: str, events: list[tuple[str, str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    make, told = HOSTILE[case]
    monkeypatch.setattr(image_lists, "_ENTRIES", 20_000)  # of millions, so that a whole disk is refused within the test
    folder, canary = tmp_path / "set", tmp_path / "canary"
    folder.mkdir()
    (tmp_path / "outside.png").touch()
    source = make(folder, canary)
    before = tree(folder)
    events.clear()
    try:
        layout = read_layout(source, "detect")
        said = " ".join(f"{found.code} {found.message} {found.file}" for found in layout.findings)
        said += " ".join(layout.names.values())
        kept = [path for items in layout.splits.values() for item in items for path in (item.image, item.label)]
        assert all(path is not None and path.resolve().is_relative_to(folder) for path in kept)
    except DataError as error:
        said = str(error)
        assert len(said) < 5000
        assert all(line.isprintable() for line in said.splitlines())
    assert told in said
    assert not canary.exists()
    assert tree(folder) == before
    assert [event for event in events if event[0] != "open"] == []
    opened = {name for event, name in events if event == "open" and name.startswith((str(tmp_path), "/dev", "/etc"))}
    assert opened <= {str(folder / "data.yaml"), str(folder / "l.txt"), "/etc/passwd"}


@pytest.mark.timeout(60)
@pytest.mark.parametrize("name", ["train/cat/x.jpg", "val/cat/x.jpg"])
def test_class_folders_with_a_pipe_are_inert(tmp_path: Path, name: str, events: list[tuple[str, str]]) -> None:
    for file in ("train/cat/0.jpg", "train/dog/0.jpg", "val/cat/0.jpg"):
        (tmp_path / file).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / file).touch()
    os.mkfifo(tmp_path / name)
    (tmp_path / "train" / "dog" / "loop").symlink_to(tmp_path)
    (tmp_path / "train" / "dog" / "etc").symlink_to("/etc")
    events.clear()
    layout = read_layout(tmp_path, "classify")
    assert {found.code for found in layout.findings} == {"file-special", "file-loop", "file-outside"}
    assert [name for event, name in events if event != "open" or name.startswith(str(tmp_path))] == []


def zipped(*members: tuple[str, bytes], **more: Any) -> bytes:
    raw = io.BytesIO()
    with zipfile.ZipFile(raw, "w", zipfile.ZIP_DEFLATED) as file:
        for name, content in members:
            info = zipfile.ZipInfo(name)
            info.filename = name  # as it is: the constructor tidies up
            info.compress_type = zipfile.ZIP_DEFLATED
            info.external_attr = more.get("mode", 0o100644) << 16
            file.writestr(info, content)
    return raw.getvalue()


def tarred(*members: tuple[str, bytes], mode: str = "w", **more: Any) -> bytes:
    raw = io.BytesIO()
    with tarfile.open(fileobj=raw, mode=mode) as file:  # type: ignore[call-overload]
        for name, content in members:
            info = tarfile.TarInfo(name)
            info.size = len(content)
            for key, value in more.items():
                setattr(info, key, value)
            file.addfile(info, io.BytesIO(content) if content else None)
    return raw.getvalue()


def long_name() -> bytes:
    info = tarfile.TarInfo("././@LongLink")
    info.type, info.size = tarfile.GNUTYPE_LONGNAME, 1 << 40
    return info.tobuf(tarfile.GNU_FORMAT) + b"a" * 4096


def encrypted() -> bytes:
    raw = bytearray(zipped(("a.txt", b"x")))
    raw[6] |= 1
    raw[raw.index(b"PK\x01\x02") + 8] |= 1
    return bytes(raw)


def overlapping() -> bytes:
    """Return a zip of whose members all point to the first one's bytes."""
    raw = zipped(("a", os.urandom(100)), ("b", os.urandom(100)))
    start = raw.index(b"PK\x01\x02", raw.index(b"PK\x01\x02") + 4)
    return raw[: start + 42] + bytes(4) + raw[start + 46 :]


SMALL = Limits(size_bytes=1 << 20, ratio_from_bytes=1 << 16, ratio=20, members=50, depth=5)
ARCHIVES: dict[str, tuple[Callable[[], bytes], str]] = {
    "zip: up": (lambda: zipped(("../canary", b"x")), "leaves the folder"),
    "zip: up within": (lambda: zipped(("a/../../canary", b"x")), "leaves the folder"),
    "zip: up with backslashes": (lambda: zipped(("a\\..\\..\\canary", b"x")), "leaves the folder"),
    "zip: absolute": (lambda: zipped(("/tmp/canary", b"x")), "leaves the folder"),
    "zip: a drive": (lambda: zipped(("C:\\canary", b"x")), "leaves the folder"),
    "zip: a share": (lambda: zipped(("\\\\host\\canary", b"x")), "leaves the folder"),
    "zip: a link": (lambda: zipped(("a", b"/etc/passwd"), mode=0o120777), "is a link or a device"),
    "zip: a pipe": (lambda: zipped(("a", b""), mode=0o010644), "is a link or a device"),
    "zip: a device": (lambda: zipped(("a", b""), mode=0o020644), "is a link or a device"),
    "zip: a bomb": (lambda: zipped(("a", bytes(1 << 19))), "looks like a bomb"),
    "zip: too large": (lambda: zipped(*((f"{i}", os.urandom(1 << 18)) for i in range(5))), "larger than 1048576 bytes"),
    "zip: too many": (lambda: zipped(*((f"{i}", b"") for i in range(51))), "more than 50 members"),
    "zip: too deep": (lambda: zipped(("a/" * 6 + "b", b"")), "more than 5 folders deep"),
    "tar: twice": (lambda: tarred(("a", b"1"), ("a", b"2")), "is in it twice"),
    "zip: upper and lower case": (lambda: zipped(("Data/a", b"1"), ("Data/A", b"2")), "cannot distinguish"),
    "zip: two ways to write ü": (lambda: zipped(("\u00fc", b"1"), ("u\u0308", b"2")), "cannot distinguish"),
    "zip: a file and a folder": (lambda: zipped(("a", b"1"), ("a/b", b"2")), "is in it twice"),
    "zip: a password": (encrypted, "is password-protected"),
    "zip: control characters": (lambda: zipped(("a\x1b[2J\n", b"x")), "has control characters"),
    "zip: a name too long": (lambda: zipped(("x" * 300, b"x")), "has a name longer than 255 bytes"),
    "zip: overlapping": (overlapping, "nothing was kept"),
    "zip: a lie about the size": (
        lambda: zipped(("a", b"0" * 9000)).replace((9000).to_bytes(4, "little"), (90).to_bytes(4, "little")),
        "nothing was kept",
    ),
    "zip: wrong bytes": (
        lambda: zipped(("a", bytes(range(256)))).replace(b"\x10\x11", b"\x11\x10"),
        "nothing was kept",
    ),
    "zip: cut off": (lambda: zipped(("a", os.urandom(999)))[:-30], "neither a zip nor a tar"),
    "zip: a list that is not there": (lambda: b"PK\x05\x06" + b"\xff" * 18, "is not unpacked"),
    "zip: no member": (lambda: zipped(), "it is empty"),
    "tar: up": (lambda: tarred(("../canary", b"x")), "leaves the folder"),
    "tar: absolute": (lambda: tarred(("/tmp/canary", b"x")), "leaves the folder"),
    "tar: a link": (lambda: tarred(("a", b""), type=tarfile.SYMTYPE, linkname="/etc"), "is a link"),
    "tar: a hard link": (lambda: tarred(("a", b""), type=tarfile.LNKTYPE, linkname="/etc/passwd"), "is a link"),
    "tar: a device": (lambda: tarred(("a", b""), type=tarfile.CHRTYPE), "is a link, a device"),
    "tar: a disk": (lambda: tarred(("a", b""), type=tarfile.BLKTYPE), "is a link, a device"),
    "tar: a pipe": (lambda: tarred(("a", b""), type=tarfile.FIFOTYPE), "is a link, a device"),
    "tar: sparse": (
        lambda: tarred(("a", b""), pax_headers={"GNU.sparse.map": "0,1", "GNU.sparse.size": "9999999999"}),
        "not unpacked",
    ),
    "tar: a bomb": (lambda: tarred(("a", bytes(1 << 19)), mode="w:gz"), "looks like a bomb"),
    "tar: an xz bomb": (lambda: tarred(("a", bytes(1 << 19)), mode="w:xz"), "looks like a bomb"),
    "tar: a bz2 bomb": (lambda: tarred(("a", bytes(1 << 19)), mode="w:bz2"), "looks like a bomb"),
    "tar: a terabyte of name": (long_name, "larger than 1 MiB"),
    "tar: a size beyond the end": (
        lambda: tarred(("a", b"x" * 600))[:600],
        "nothing was kept",
    ),
    "tar: a size in the head that is not there": (
        lambda: tarred(("a", b""), pax_headers={"size": "800000"}),
        "",
    ),
    "tar: cut between members": (lambda: tarred(("a", b"x"), ("b", b"y"))[:1024], "it has no tar end marker"),
    "tar: damaged in the middle": (
        lambda: tarred(("a", b"x"), ("bbb", b"y")).replace(b"bbb", b"ccc"),
        "it has no tar end marker",
    ),
    "tar: gz cut off": (lambda: tarred(("a", os.urandom(9999)), mode="w:gz")[:-2000], "nothing was kept"),
    "tar: too many": (lambda: tarred(*((f"{i}", b"") for i in range(51)), mode="w:gz"), "more than 50 members"),
    "gz but no tar": (lambda: b"\x1f\x8b" + bytes(50), "nothing was kept"),
    "a picture": (lambda: b"\x89PNG\r\n\x1a\n" + bytes(2000), "neither a zip nor a tar"),
    "nothing": (lambda: b"", "neither a zip nor a tar"),
}


@pytest.mark.timeout(60)
@pytest.mark.parametrize("case", ARCHIVES, ids=str)
def test_a_hostile_archive_leaves_nothing_behind(tmp_path: Path, case: str, events: list[tuple[str, str]]) -> None:
    make, told = ARCHIVES[case]
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "a.bin").write_bytes(make())
    before = tree(tmp_path)
    with pytest.raises(DataError) as caught:
        unpack(tmp_path / "in" / "a.bin", tmp_path / "out", limits=SMALL)
    assert told in str(caught.value)
    assert all(line.isprintable() for line in str(caught.value).splitlines())
    assert [path for path, _ in tree(tmp_path)] == [path for path, _ in before]
    assert not Path("/tmp/canary").exists()
    assert [event for event in events if event[0] != "open"] == []


@pytest.mark.timeout(60)
@pytest.mark.parametrize("make", [lambda path: os.mkfifo(path), lambda path: path.mkdir(), lambda path: None])
def test_an_archive_that_is_no_file(tmp_path: Path, make: Callable[[Path], object]) -> None:
    make(tmp_path / "a.zip")
    with pytest.raises(DataError, match=r"is not a regular file|No such file"):
        unpack(tmp_path / "a.zip", tmp_path / "out")
    assert not (tmp_path / "out").exists()


@pytest.mark.timeout(60)
def test_a_full_disk_leaves_nothing_behind(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "a.zip").write_bytes(zipped(("a", b"x" * 100)))
    monkeypatch.setattr(archive.shutil, "disk_usage", lambda path: _Usage())
    with pytest.raises(DataError, match="has no space for 100 more bytes"):
        unpack(tmp_path / "a.zip", tmp_path / "out")
    assert [path.name for path in tmp_path.iterdir()] == ["a.zip"]


class _Usage:
    free = 99


def test_there_are_sixty_and_more() -> None:
    assert len(HOSTILE) + len(ARCHIVES) >= 60
