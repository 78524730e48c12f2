"""The scan over all files: once per content, in processes that may die."""

from __future__ import annotations

import os
import signal
import sqlite3
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from yolosweep.data import scan as module
from yolosweep.data.items import Item, Layout
from yolosweep.data.scan import scan


@pytest.fixture(autouse=True)
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return tmp_path / "cache" / "yolosweep" / "scan"


def layout(folder: Path, count: int) -> Layout:
    folder.mkdir()
    for index in range(count):
        values = np.random.default_rng(index).integers(0, 255, (16, 16, 3), dtype=np.uint8)
        Image.fromarray(values).save(folder / f"{index:03d}.png")
        (folder / f"{index:03d}.txt").write_text("0 0.5 0.5 0.2 0.2\n")
    items = tuple(Item(path, path.with_suffix(".txt")) for path in sorted(folder.glob("*.png")))
    return Layout(task="detect", source=folder, root=folder, names={0: "a"}, splits={"train": items})


def test_processes_find_what_one_finds(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made = layout(tmp_path / "set", 300)
    told: list[tuple[int, int]] = []
    many = scan(made, workers=2, tell=lambda done, of: told.append((done, of)))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "other"))
    assert scan(made, workers=1) == many
    assert len(many[0]) == len(many[1]) == 300
    assert told[-1] == (600, 600)
    assert [done for done, _ in told] == sorted(done for done, _ in told)


def test_what_has_not_changed_is_not_read_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made = layout(tmp_path / "set", 5)
    first = scan(made)
    read: list[Path] = []
    real = module.read_picture
    monkeypatch.setattr(module, "read_picture", lambda path: (read.append(path), real(path))[1])
    assert scan(made) == first
    assert read == []
    changed = made.splits["train"][2].image
    Image.new("RGB", (16, 16), "red").save(changed)
    again = scan(made)
    assert read == [changed]
    assert again[0][changed].sha256 != first[0][changed].sha256
    assert scan(made, trust_times=False) == again
    assert len(read) == 6


def test_a_file_of_the_same_size_and_time_is_told_apart(tmp_path: Path) -> None:
    made = layout(tmp_path / "set", 1)
    place = made.splits["train"][0].image
    before, stat = scan(made)[0][place], place.stat()
    content = bytearray(place.read_bytes())
    content[-5] ^= 1  # in the checksum of the last chunk
    place.write_bytes(bytes(content))
    os.utime(place, ns=(stat.st_atime_ns, stat.st_mtime_ns))
    assert scan(made)[0][place].sha256 != before.sha256


@pytest.mark.parametrize("damage", [b"not a database at all" * 100, b""])
def test_a_damaged_cache_only_costs_time(tmp_path: Path, own_cache: Path, damage: bytes) -> None:
    made = layout(tmp_path / "set", 3)
    first = scan(made)
    (cache,) = own_cache.glob("*.sqlite")
    for file in own_cache.glob("*"):
        file.unlink()
    cache.write_bytes(damage)
    assert scan(made) == first
    assert scan(made) == first


def test_facts_of_another_version_are_not_taken(tmp_path: Path, own_cache: Path) -> None:
    made = layout(tmp_path / "set", 3)
    first = scan(made)
    (cache,) = own_cache.glob("*.sqlite")
    with sqlite3.connect(cache) as link:
        link.execute("UPDATE pictures SET facts = '[1, 2, 3, 4, 5, 6, 7, 8, 9, 10]'")
    link.close()
    assert scan(made) == first


def test_a_cache_that_cannot_be_written_is_no_error(tmp_path: Path, own_cache: Path) -> None:
    own_cache.parent.mkdir(parents=True)
    own_cache.write_text("a file where the folder should be")
    assert len(scan(layout(tmp_path / "set", 3))[0]) == 3


def test_a_decoder_that_takes_its_process_down_costs_one_image(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made = layout(tmp_path / "set", 300)
    guilty = made.splits["train"][77].image
    deadly = tmp_path / "deadly" / "sitecustomize.py"
    deadly.parent.mkdir()
    deadly.write_text(
        "import os, signal, sys\n"
        "if 'yolosweep.data.pictures' in ' '.join(sys.orig_argv):\n"
        "    import PIL.Image as module\n"
        "    real = module.Image.load\n"
        "    def fatal(stream, *a, **k):\n"
        f"        if stream.getbuffer() == open({str(guilty)!r}, 'rb').read():\n"
        "            os.kill(os.getpid(), signal.SIGSEGV)\n"
        "        return opened(stream, *a, **k)\n"
        "    opened, module.open = module.open, fatal\n"
    )
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(deadly.parent), os.environ.get("PYTHONPATH", "")]))
    pictures, _ = scan(made, workers=2)
    assert pictures[guilty].fault == "image-unreadable"
    assert str(-signal.SIGSEGV) in pictures[guilty].detail
    assert [path for path, picture in pictures.items() if picture.fault] == [guilty]


def test_scans_at_the_same_time_do_not_disturb_each_other(tmp_path: Path) -> None:
    made = layout(tmp_path / "set", 40)
    code = (
        "import sys; from pathlib import Path; from yolosweep.data.items import Item, Layout; "
        "from yolosweep.data.scan import scan; f = Path(sys.argv[1]); "
        "items = tuple(Item(p, p.with_suffix('.txt')) for p in sorted(f.glob('*.png'))); "
        "l = Layout(task='detect', source=f, root=f, names={0: 'a'}, splits={'train': items}); "
        "print(sum(not p.fault for p in scan(l)[0].values()))"
    )
    command = [sys.executable, "-c", code, str(made.root)]
    running = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True) for _ in range(4)]
    assert [process.communicate()[0].strip() for process in running] == ["40"] * 4
