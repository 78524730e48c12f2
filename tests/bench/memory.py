"""Memory of two trials at the same time, against two ``yolo train cache=ram`` processes.

The proportional set size (a page that n processes share counts 1/n in each) of every training process and its children
is summed several times a second; the figure is the largest sum. In ours, the training processes are those below Ray's
node service that hold torch; Ray's own processes, the controller and the driver are told separately. Linux only.

Photos as small and few as the test set's say little: torch alone takes half a GiB in every process, and Ray more. So
the same is asked with ``--photos`` of them at 640 px, and a network so narrow that its activations do not count.
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import psutil
from tests.bench.rig import MARK, Line, Rig, line, parser, rig, show

TARGET = 0.75
SAMPLE_S = 0.2


def pss_mb(pid: int) -> float:
    """Return a process's proportional set size in MiB; 0 where it is gone."""
    try:
        for text in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
            if text.startswith("Pss:"):
                return int(text.split()[1]) / 1024
    except OSError:
        pass
    return 0.0


def holds_torch(pid: int) -> bool:
    """Tell whether a process has torch loaded."""
    try:
        return "libtorch_cpu" in Path(f"/proc/{pid}/maps").read_text()
    except OSError:
        return False


def marked(mark: str) -> set[int]:
    """Return the processes that inherited the mark, ourselves excepted."""
    found = set()
    for process in psutil.process_iter():
        try:
            if process.environ().get(MARK) == mark and process.pid != os.getpid():
                found.add(process.pid)
        except (psutil.Error, OSError):
            continue
    return found


def peak(bench: Rig, running: Callable[[], bool], trains: Callable[[int], bool]) -> tuple[float, float]:
    """Return the largest sum over the training processes, and over all the others, in MiB."""
    most = rest = 0.0
    while running():
        now = other = 0.0
        for pid in marked(bench.mark):
            if trains(pid):
                now += pss_mb(pid)
            else:
                other += pss_mb(pid)
        most, rest = max(most, now), max(rest, other)
        time.sleep(SAMPLE_S)
    return most, rest


def plain(bench: Rig, number: int) -> float:
    """Return the peak of two ``yolo train cache=ram`` at once."""
    bench.loads.append(os.getloadavg()[0])
    home = bench.plain_home()
    commands = [bench.yolo_train(home, f"train{number}{twin}", cache="ram")[0] for twin in "ab"]
    twins = [bench.start(command, home) for command in commands]
    most, _ = peak(bench, lambda: any(twin.poll() is None for twin in twins), lambda pid: True)
    if any(twin.returncode for twin in twins):
        raise RuntimeError((home / "log.txt").read_text(errors="replace")[-3000:])
    return most


def ours(bench: Rig) -> tuple[float, float]:
    """Return the peak of two of our trials at once, and of everything else of that sweep."""
    bench.loads.append(os.getloadavg()[0])
    home = bench.home("ours")
    command, storage = bench.sweep(home, trials=2, slots=2)
    driver = bench.start(command, home)

    def training() -> bool:
        """Not the crowning afterwards: that is the driver's."""
        ledgers = list(storage.glob("*/ledger.jsonl"))
        told = ledgers[0].read_text().splitlines() if ledgers else []
        ended = sum(json.loads(text)["event"] == "trial_ended" for text in told)
        return ended < 2 and driver.poll() is None

    most, rest = peak(bench, training, lambda pid: pid != driver.pid and holds_torch(pid))
    if driver.wait():
        raise RuntimeError((home / "log.txt").read_text(errors="replace")[-3000:])
    return most, rest


def with_many(bench: Rig, photos: int) -> Rig:
    """Return the rig with as many photos of 640 px, for one epoch of a narrow network."""
    from PIL import Image
    from ruamel.yaml import YAML
    from ultralytics import cfg

    folder, small = bench.root / "many", bench.data.parent
    for split, count in (("train", photos), ("val", 16)):
        sources = sorted((small / "images" / split).glob("*.*"))
        for kind in ("images", "labels"):
            (folder / kind / split).mkdir(parents=True)
        for number in range(count):
            source = sources[number % len(sources)]
            target = folder / "images" / split / f"{number:05d}.jpg"
            if number < len(sources):
                with Image.open(source) as photo:
                    photo.convert("RGB").resize((640, 480)).save(target, quality=85)
            else:
                target.write_bytes((target.parent / f"{number % len(sources):05d}.jpg").read_bytes())
            label = small / "labels" / split / f"{source.stem}.txt"
            (folder / "labels" / split / f"{number:05d}.txt").write_bytes(label.read_bytes())
    (folder / "data.yaml").write_text(f"path: {folder}\ntrain: images/train\nval: images/val\nnames: [a, b, c]\n")
    yaml = YAML(typ="safe")
    network = yaml.load(Path(cfg.__file__).parent / "models" / "11" / "yolo11.yaml")
    network["scales"] = {"n": [0.33, 0.0625, 128]}
    yaml.dump(network, bench.root / "yolo11n.yaml")
    model = str(bench.root / "yolo11n.yaml")
    return replace(bench, data=folder / "data.yaml", imgsz=640, batch=8, epochs=1, repeats=1, model=model)


def measure(bench: Rig) -> list[Line]:
    """Let the variants take turns and return the table."""
    twins: list[float] = []
    slots: list[float] = []
    rests: list[float] = []
    for number in range(bench.repeats):
        twins.append(plain(bench, number))
        most, rest = ours(bench)
        slots.append(most)
        rests.append(rest)
    base = line("two yolo train cache=ram", twins, unit="MiB")
    return [
        base,
        line("ours, two trials / two yolo train", slots, unit="MiB", to=base.value, target=TARGET),
        line("ours, driver, controller and Ray beside them", rests, unit="MiB"),
    ]


def main(words: list[str] | None = None) -> list[Line]:
    """Run the bench, print its table and return its lines."""
    arguments = parser(__doc__, epochs=5, repeats=2)
    arguments.add_argument("--photos", type=int, default=2000, help="photos of the second table; 0 leaves it out")
    asked = arguments.parse_args(words)
    if not Path("/proc/self/smaps_rollup").exists():
        print("skipped: the proportional set size is told by Linux only")
        return []
    with rig(asked) as bench:
        lines = measure(bench)
        show("Memory of two concurrent trials (peak sum of PSS)", lines, bench)
        if asked.photos:
            many = with_many(bench, asked.photos)
            more = measure(many)
            show(f"The same, {asked.photos} photos of 640 px", more, many)
            lines += more
    return lines


if __name__ == "__main__":
    main()
