"""Decoded images for all trials of a node: equal to Ultralytics' own, made once, never trusted, within a budget.

Run as a script, this file is one of several processes that use the same store.
"""

from __future__ import annotations

import hashlib
import json
import multiprocessing
import os
import pickle
import resource
import signal
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from yolosweep.backends.ultralytics.training_environment import enter
from yolosweep.image_cache.cache_folder import Shelf
from yolosweep.image_cache.image_source import Loaded, Source
from yolosweep.image_cache.image_store import ImageStore, open_store
from yolosweep.image_cache.shared_images import shared_store, store_of

SIDE = 64
PAGE = 4096


@dataclass(frozen=True)
class Drawn(Source):
    """Images already at their size, decoded without Ultralytics; every decoding leaves a line in a file."""

    log: str = ""
    die_at: int = -1

    def versions(self) -> tuple[str, ...]:
        return ("drawn",)

    def load(self, index: int) -> Loaded:
        if index == self.die_at:
            os.kill(os.getpid(), signal.SIGKILL)
        with open(self.log, "a") as log:
            log.write(f"{index}\n")
        try:
            with Image.open(self.files[index]) as image:
                pixels = np.asarray(image)[..., ::-1].copy()
        except OSError as error:
            raise FileNotFoundError(f"Image Not Found {self.files[index]}") from error
        return pixels, pixels.shape[:2], pixels.shape[:2]

    def decoded(self) -> int:
        return len(Path(self.log).read_text().splitlines()) if Path(self.log).exists() else 0


def draw(folder: Path, count: int = 6, side: int = SIDE, **more: Any) -> Drawn:
    folder.mkdir(parents=True, exist_ok=True)
    random = np.random.default_rng(len(folder.name))
    files = []
    for index in range(count):
        file = folder / f"{index}.bmp"
        Image.fromarray(random.integers(0, 256, (side - index % 3, side, 3), np.uint8)).save(file)
        files.append(str(file))
    return Drawn(files, side, log=str(folder / "decoded.txt"), **more)


def assert_equal(got: Loaded, expected: Loaded) -> None:
    assert got[1:] == expected[1:]
    assert got[0].dtype == expected[0].dtype
    np.testing.assert_array_equal(got[0], expected[0], strict=True)


def opened(store: ImageStore | None) -> ImageStore:
    assert store is not None
    return store


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "store"


@pytest.fixture
def drawn(tmp_path: Path) -> Drawn:
    return draw(tmp_path / "drawn")


def test_images_come_back_as_copies_that_may_be_written(drawn: Drawn, folder: Path) -> None:
    store = opened(store_of(drawn, folder))
    assert len(store) == len(drawn.files)
    for index in range(len(store)):
        assert_equal(store.image(index), drawn.load(index))
    store.image(0)[0][:] = 0
    assert_equal(store.image(0), drawn.load(0))


def test_a_store_is_made_once(drawn: Drawn, folder: Path) -> None:
    first = opened(store_of(drawn, folder))
    made = first.path.stat()
    second = opened(store_of(drawn, folder))
    assert (second.path, second.path.stat().st_ino) == (first.path, made.st_ino)
    assert drawn.decoded() == len(drawn.files)


def flip(path: Path, place: int) -> None:
    with path.open("r+b") as file:
        file.seek(place)
        byte = file.read(1)
        file.seek(place)
        file.write(bytes([byte[0] ^ 1]))


DAMAGE: dict[str, Callable[[Path], Any]] = {
    "torn": lambda path: os.truncate(path, path.stat().st_size // 2),
    "longer": lambda path: os.truncate(path, path.stat().st_size + PAGE),
    "torn in the head": lambda path: os.truncate(path, 20),
    "empty": lambda path: os.truncate(path, 0),
    "other head": lambda path: flip(path, 3),
    "other key": lambda path: flip(path, 40),
    "other digest": lambda path: flip(path, 120),
    "other row": lambda path: flip(path, 160),
    "foreign": lambda path: path.write_bytes(pickle.dumps(list(range(9999)))),
}


@pytest.mark.parametrize("damage", DAMAGE.values(), ids=DAMAGE)
def test_a_damaged_file_is_made_again(damage: Callable[[Path], Any], drawn: Drawn, folder: Path) -> None:
    path = opened(store_of(drawn, folder)).path
    damage(path)
    assert open_store(path, drawn.key(), drawn) is None
    again = opened(store_of(drawn, folder))
    assert drawn.decoded() == 2 * len(drawn.files)
    assert_equal(again.image(5), drawn.load(5))


def test_altered_pixels_are_decoded_and_the_file_goes(drawn: Drawn, folder: Path) -> None:
    path = opened(store_of(drawn, folder)).path
    flip(path, PAGE + 10)
    store = opened(store_of(drawn, folder))
    for _ in range(2):
        assert_equal(store.image(0), drawn.load(0))
    assert_equal(store.image(1), drawn.load(1))
    assert not path.exists()
    before = drawn.decoded()
    assert_equal(opened(store_of(drawn, folder)).image(0), store.image(0))
    assert drawn.decoded() == before + len(drawn.files) + 1


def test_the_key_follows_all_that_decides_the_pixels(drawn: Drawn) -> None:
    keys = {drawn.key()}
    keys.add(Drawn(drawn.files, drawn.imgsz + 1, log=drawn.log).key())
    keys.add(Drawn(drawn.files, drawn.imgsz, 1, log=drawn.log).key())
    keys.add(Drawn(drawn.files[:-1], drawn.imgsz, log=drawn.log).key())
    keys.add(Drawn(drawn.files[::-1], drawn.imgsz, log=drawn.log).key())
    os.utime(drawn.files[0], ns=(1, 1))
    keys.add(drawn.key())
    os.truncate(drawn.files[0], 10)
    os.utime(drawn.files[0], ns=(1, 1))
    keys.add(drawn.key())
    Path(drawn.files[0]).unlink()
    keys.add(drawn.key())
    assert len(keys) == 8


def test_an_image_that_cannot_be_decoded_fails_only_when_asked_for(drawn: Drawn, folder: Path) -> None:
    Path(drawn.files[2]).write_bytes(b"no image")
    store = opened(store_of(drawn, folder))
    # Once its trainer is loaded, Ultralytics' own way to open images asks for a HEIF plugin first.
    with pytest.raises((FileNotFoundError, ImportError)):
        store.image(2)
    assert_equal(store.image(3), drawn.load(3))


def test_what_is_too_big_is_not_decoded(tmp_path: Path, folder: Path) -> None:
    big = draw(tmp_path / "big", count=6, side=512)
    assert store_of(big, folder, budget_mb=4) is None
    assert big.decoded() == 0
    assert opened(store_of(big, folder, budget_mb=5))
    assert big.decoded() == 6


def test_the_file_used_longest_ago_leaves_first(tmp_path: Path, folder: Path) -> None:
    sources = [draw(tmp_path / name, count=2, side=512) for name in ("a", "bb", "ccc")]  # 1.5 MiB each
    paths = [opened(store_of(source, folder, budget_mb=4)).path for source in sources[:2]]
    os.utime(paths[0], ns=(1, 1))
    os.utime(paths[1], ns=(2, 2))
    assert store_of(sources[0], folder, budget_mb=4)  # a hit is a use
    third = opened(store_of(sources[2], folder, budget_mb=4)).path
    assert [path.exists() for path in (*paths, third)] == [True, False, True]
    assert sources[0].decoded() == 2


def test_a_file_in_use_stays(tmp_path: Path, folder: Path) -> None:
    sources = [draw(tmp_path / name, count=2, side=512) for name in ("a", "bb", "ccc")]
    first = opened(store_of(sources[0], folder, budget_mb=4))
    unused = opened(store_of(sources[1], folder, budget_mb=4)).path
    os.utime(first.path, ns=(1, 1))
    third = opened(store_of(sources[2], folder, budget_mb=4))
    assert (first.path.exists(), unused.exists()) == (True, False)
    assert store_of(sources[1], folder, budget_mb=4) is None
    assert sources[1].decoded() == 2
    assert_equal(first.image(1), sources[0].load(1))
    del first
    assert store_of(sources[1], folder, budget_mb=4)
    assert third.path.exists()


def test_nothing_is_evicted_in_vain(tmp_path: Path, folder: Path) -> None:
    small, other = (draw(tmp_path / name, count=2, side=512) for name in ("a", "bb"))
    held = opened(store_of(small, folder, budget_mb=4))
    unused = opened(store_of(other, folder, budget_mb=4)).path
    big = draw(tmp_path / "big", count=4, side=512)  # 3 MiB: does not fit beside the held one
    assert store_of(big, folder, budget_mb=4) is None
    assert unused.exists()
    assert held.path.exists()


def test_a_draft_takes_its_share_of_the_budget(tmp_path: Path, folder: Path) -> None:
    shelf = Shelf(folder)
    with shelf.draft(folder / "x.pixels", 3 << 20, 4 << 20) as draft:
        assert draft is not None
        assert draft.path.stat().st_blocks * 512 >= 3 << 20
        assert store_of(draw(tmp_path / "a", count=2, side=512), folder, budget_mb=4) is None
    assert list(folder.glob(".*.draft")) == []


def test_a_budget_beyond_the_disk_is_no_budget(folder: Path) -> None:
    shelf = Shelf(folder)
    assert shelf.limit(1 << 40) < 1 << 60
    assert 0 < shelf.limit(None) <= shelf.limit(1 << 40)
    assert shelf.limit(7) == 7 << 20


@pytest.mark.parametrize("imgsz", [(64, 64), [64, 32], "64", 64.0, True, 0, None])
def test_other_sizes_are_not_for_a_store(imgsz: Any, drawn: Drawn) -> None:
    assert shared_store(drawn.files, imgsz) is None


def test_no_files_or_no_place_is_no_store(drawn: Drawn, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert shared_store([], 64) is None
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "file"))
    assert shared_store(drawn.files, 64) is None


def test_a_disk_that_refuses_leaves_nothing_behind(tmp_path: Path, folder: Path) -> None:
    source = draw(tmp_path / "a", count=2, side=512)
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1 << 20, before[1]))
    try:
        with pytest.raises(OSError, match="large"):
            store_of(source, folder)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert list(folder.glob(".*.draft")) == []
    assert source.decoded() == 0
    assert store_of(source, folder)


def test_files_that_change_meanwhile_are_not_kept(drawn: Drawn, folder: Path) -> None:
    class Changing(Drawn):
        def load(self, index: int) -> Loaded:
            os.utime(self.files[0], ns=(5, 5))
            return super().load(index)

    assert store_of(Changing(drawn.files, drawn.imgsz, log=drawn.log), folder) is None
    assert [path.name for path in folder.iterdir() if not path.name.endswith(".lock")] == []


def test_a_pickled_store_opens_the_file_again(drawn: Drawn, folder: Path) -> None:
    store = opened(store_of(drawn, folder))
    content = pickle.dumps(store)
    assert len(content) < 2000
    before = drawn.decoded()
    copy = pickle.loads(content)
    shapes = [copy.image(index)[0].shape for index in range(len(copy))]
    assert drawn.decoded() == before
    store.path.unlink()
    orphan = pickle.loads(content)
    assert [orphan.image(index)[0].shape for index in range(len(orphan))] == shapes
    assert drawn.decoded() == before + len(drawn.files)


# Several processes


def start(task: str, source: Drawn, folder: Path) -> subprocess.Popen[str]:
    """Start a process of this file; it says ``ready``, waits for a line, and answers with one line of JSON."""
    asked = [task, str(folder), json.dumps([list(source.files), source.imgsz, source.log, source.die_at])]
    return subprocess.Popen(
        [sys.executable, __file__, *asked], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )


def answers(processes: list[subprocess.Popen[str]]) -> list[Any]:
    """Let the processes go at once and return what they answer; None for one that was killed."""
    for process in processes:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
    for process in processes:
        assert process.stdin is not None
        process.stdin.write("go\n")
        process.stdin.flush()
    told = [process.communicate(timeout=300)[0] for process in processes]
    return [json.loads(line) if line else None for line in told]


def content(store: ImageStore) -> str:
    digest = hashlib.sha256()
    for index in range(len(store)):
        digest.update(store.image(index)[0])
    return digest.hexdigest()


@pytest.mark.slow
def test_processes_that_start_at_once_share_one_build(tmp_path: Path, folder: Path) -> None:
    source = draw(tmp_path / "drawn", count=40, side=256)
    told = answers([start("build", source, folder) for _ in range(4)])
    assert len({told[0]["content"], *(one["content"] for one in told)}) == 1
    assert len({one["inode"] for one in told}) == 1
    assert sorted(map(int, Path(source.log).read_text().split())) == list(range(40))
    assert told[0]["content"] == content(opened(store_of(source, folder)))


@pytest.mark.slow
def test_a_builder_killed_midway_leaves_nothing_in_the_way(tmp_path: Path, folder: Path) -> None:
    source = draw(tmp_path / "drawn", count=12)
    dying = Drawn(source.files, source.imgsz, log=source.log, die_at=7)
    process = start("build", dying, folder)
    assert answers([process]) == [None]
    assert process.returncode == -signal.SIGKILL
    assert len(list(folder.glob(".*.draft"))) == 1
    assert list(folder.glob("*.pixels")) == []
    store = opened(store_of(source, folder))
    assert list(folder.glob(".*.draft")) == []
    assert_equal(store.image(7), source.load(7))


@pytest.mark.slow
def test_a_file_that_another_process_reads_stays(tmp_path: Path, folder: Path) -> None:
    source, other = (draw(tmp_path / name, count=2, side=512) for name in ("a", "bb"))
    reader = start("hold", source, folder)
    assert reader.stdin is not None
    assert reader.stdout is not None
    assert reader.stdout.readline() == "ready\n"  # it holds the store now
    assert store_of(other, folder, budget_mb=2) is None
    reader.kill()
    reader.communicate()
    assert store_of(other, folder, budget_mb=2)


@pytest.mark.slow
@pytest.mark.parametrize("method", ["fork", "spawn"])
def test_loader_workers_read_the_same_file(method: str, drawn: Drawn, folder: Path) -> None:
    expected = content(opened(store_of(drawn, folder)))
    before = drawn.decoded()
    (told,) = answers([start(method, drawn, folder)])
    assert told == {"content": expected}
    assert drawn.decoded() == before


@pytest.mark.slow
def test_a_second_process_does_not_pay_for_the_pixels(tmp_path: Path, folder: Path) -> None:
    source = draw(tmp_path / "drawn", count=40, side=640)
    store = opened(store_of(source, folder))
    content(store)  # all pages are mapped here
    pixels = store.path.stat().st_size
    (told,) = answers([start("measure", source, folder)])
    assert pixels > 45e6
    assert told["Rss"] > 0.9 * pixels, "it did not read the pixels"
    assert told["Private_Clean"] + told["Private_Dirty"] < 0.15 * pixels
    assert told["Pss"] < 0.65 * pixels


def memory() -> dict[str, int]:
    lines = Path("/proc/self/smaps_rollup").read_text().splitlines()[1:]
    return {line.split(":")[0]: int(line.split()[1]) * 1024 for line in lines}


def task_of_a_process(task: str, folder: Path, source: Drawn) -> Any:
    if task == "hold":
        store = opened(store_of(source, folder))
    print("ready", flush=True)
    sys.stdin.readline()
    if task == "measure":
        before = memory()
        store = opened(store_of(source, folder))
        content(store)
        return {name: value - before[name] for name, value in memory().items()}
    store = opened(store_of(source, folder))
    if task in ("fork", "spawn"):
        with multiprocessing.get_context(task).Pool(2) as pool:
            images = [image for image, _, _ in pool.map(store.image, range(len(store)))]
        return {"content": hashlib.sha256(b"".join(image.tobytes() for image in images)).hexdigest()}
    return {"content": content(store), "inode": store.path.stat().st_ino}


# The real decoder


@pytest.fixture
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    enter()
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return tmp_path / "cache"


def zoo(folder: Path) -> Path:
    """Draw images of all kinds that a data set may hold, with labels."""
    images, labels = folder / "images", folder / "labels"
    images.mkdir(parents=True)
    labels.mkdir()
    random = np.random.default_rng(0)

    def noise(height: int, width: int, *channels: int) -> Image.Image:
        return Image.fromarray(random.integers(0, 256, (height, width, *channels), np.uint8)).resize((width, height))

    exif = Image.Exif()
    exif[0x0112] = 6
    noise(70, 101, 3).save(images / "a_odd.jpg")
    noise(96, 40, 3).save(images / "b_turned.jpg", exif=exif)
    noise(33, 64).save(images / "c_gray.jpg")
    noise(50, 77).save(images / "d_gray.png")
    noise(64, 64, 4).save(images / "e_alpha.png")
    noise(64, 48, 3).convert("P").save(images / "f_palette.png")
    Image.fromarray(random.integers(0, 65536, (41, 60), np.uint16)).save(images / "g_deep.png")
    noise(12, 200, 3).save(images / "h_flat.bmp")
    noise(200, 12, 3).save(images / "i_tall.webp", lossless=True)
    noise(30, 31, 3).save(images / "j_small.tiff")
    noise(80, 60, 3).save(images / "k_turned.png", exif=exif)
    for number, image in enumerate(sorted(images.iterdir())):
        (labels / f"{image.stem}.txt").write_text(f"{number % 2} 0.5 0.5 0.6 0.{number % 5 + 3}\n")
    return images


def dataset(images: Path, imgsz: int, base: type[Any] | None = None, channels: int = 3, **settings: Any) -> Any:
    from ultralytics.cfg import get_cfg
    from ultralytics.data.dataset import YOLODataset

    data = {"names": {0: "a", 1: "b"}, "channels": channels}
    cache = settings.pop("cache", None)
    hyp = get_cfg(overrides={"deterministic": False, **settings})
    kind = base or YOLODataset
    return kind(img_path=str(images), imgsz=imgsz, data=data, hyp=hyp, augment=bool(settings), cache=cache)


def sharing() -> type[Any]:
    from ultralytics.data.dataset import YOLODataset

    class Sharing(YOLODataset):  # type: ignore[misc]
        def build_transforms(self, hyp: Any = None) -> Any:
            self.store = opened(shared_store(self.im_files, self.imgsz, budget_mb=64))
            self.cache = "ram"  # mosaic then draws from all images
            return super().build_transforms(hyp)

        def load_image(self, i: int, rect_mode: bool = True) -> Loaded:
            return self.store.image(i)

    return Sharing


@pytest.mark.slow
@pytest.mark.parametrize("channels", [3, 1])
@pytest.mark.parametrize("imgsz", [64, 160])
def test_images_are_those_of_ultralytics(imgsz: int, channels: int, own_cache: Path, tmp_path: Path) -> None:
    images = zoo(tmp_path / "zoo")
    as_shipped = dataset(images, imgsz, channels=channels)
    in_ram = dataset(images, imgsz, channels=channels, cache="ram")
    store = opened(shared_store(as_shipped.im_files, imgsz, channels=channels))
    assert len(store) == 11
    for index in range(len(store)):
        assert store._rows[index]["shape"].all(), f"{as_shipped.im_files[index]} is not in the store"
        assert_equal(store.image(index), as_shipped.load_image(index))
        assert_equal(store.image(index), in_ram.load_image(index))


def samples(data: Any, draws: int = 2) -> list[dict[str, Any]]:
    import random

    import torch

    found = []
    for number in range(draws * len(data)):
        random.seed(number)
        np.random.seed(number)
        torch.manual_seed(number)
        found.append(data[number % len(data)])
    return found


@pytest.mark.slow
@pytest.mark.parametrize("imgsz", [64, 160])
@pytest.mark.parametrize("mosaic", [0.0, 1.0])
def test_samples_are_those_of_ultralytics(mosaic: float, imgsz: int, own_cache: Path, tmp_path: Path) -> None:
    import torch

    images = zoo(tmp_path / "zoo")
    settings = {"mosaic": mosaic, "augmentations": []}
    shared = samples(dataset(images, imgsz, sharing(), **settings))
    others = [samples(dataset(images, imgsz, cache="ram", **settings))]
    if not mosaic:  # without a cache mosaic draws from a buffer of what came last
        others.append(samples(dataset(images, imgsz, **settings)))
    for other in others:
        for got, expected in zip(shared, other, strict=True):
            assert got.keys() == expected.keys()
            for name, value in expected.items():
                same = torch.equal(got[name], value) if isinstance(value, torch.Tensor) else got[name] == value
                assert same, name


@pytest.mark.slow
def test_a_damaged_image_fails_as_ultralytics_does(own_cache: Path, tmp_path: Path) -> None:
    images = zoo(tmp_path / "zoo")
    data = dataset(images, 64)
    Path(data.im_files[0]).write_bytes(b"\xff\xd8 no image")
    Path(data.im_files[1]).unlink()
    store = opened(shared_store(data.im_files, 64))
    for index in (0, 1):
        told = []
        for load in (store.image, data.load_image):
            with pytest.raises(FileNotFoundError) as error:
                load(index)
            told.append(str(error.value))
        assert told[0] == told[1]
    assert_equal(store.image(2), data.load_image(2))


@pytest.mark.slow
def test_arrays_beside_the_images_are_neither_read_nor_touched(own_cache: Path, tmp_path: Path) -> None:
    images = zoo(tmp_path / "zoo")
    expected = dataset(images, 64).load_image(0)
    fake = images / "a_odd.npy"
    np.save(fake, np.zeros((70, 101, 3), np.uint8))
    torn = images / "c_gray.npy"
    torn.write_bytes(b"torn")
    before = {file: file.read_bytes() for file in images.iterdir()}
    data = dataset(images, 64)
    store = opened(shared_store(data.im_files, 64))
    for index in range(len(store)):
        assert_equal(store.image(index), data.load_image(index))
    assert_equal(store.image(0), expected)
    assert {file: file.read_bytes() for file in images.iterdir()} == before


if __name__ == "__main__":
    given = json.loads(sys.argv[3])
    answer = task_of_a_process(sys.argv[1], Path(sys.argv[2]), Drawn(given[0], given[1], log=given[2], die_at=given[3]))
    print(json.dumps(answer), flush=True)
