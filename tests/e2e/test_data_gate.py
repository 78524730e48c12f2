"""The data checks in a whole run: what they refuse, and what is shown with every score once it is waived."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from yolosweep.data import examine, waive, write_view
from yolosweep.ledger import RunFolder, read_events
from yolosweep.tracking.message_planner import Planner
from yolosweep.tracking.sink import Open, Summary
from yolosweep.tracking.wandb import WandbSink

pytestmark = pytest.mark.slow


def test_a_run_on_leaking_data_says_so_beside_every_score(
    shell: Any, repository: Path, tmp_path: Path, small_lot: Path
) -> None:
    shutil.copytree(small_lot, tmp_path / "lot")
    for kind, suffix in (("images", "jpg"), ("labels", "txt")):
        for number in range(2):
            source = tmp_path / "lot" / kind / "train" / f"train_{number:04d}.{suffix}"
            shutil.copy(source, tmp_path / "lot" / kind / "val" / f"again_{number:04d}.{suffix}")
    toy = repository / "jobs" / "experiments" / "toy.yaml"
    words = (f"data={tmp_path / 'lot' / 'data.yaml'}", "search.trials=3", "search.pruner=none", "train.epochs=2")
    refused = shell("run", toy, *words, code=4)
    assert "leak-exact: 2 of 10 val images (20.0%)" in refused.err
    assert "--allow leak-exact" in refused.err
    assert not list(tmp_path.glob("runs/*"))

    told = shell("run", toy, *words, "--allow", "leak-exact")
    caveat = "20.0% of val is also in another split: its scores are too high"
    assert f"warning    {caveat}" in told.out
    assert "20.0% of val leaks" in told.err
    (root,) = tmp_path.glob("runs/*")
    folder = RunFolder.open(root)
    assert f"warning: {caveat}" in shell("show", root).out
    assert caveat in folder.report.read_text()
    assert json.loads((folder.winner / "winner.json").read_text())["caveats"] == [caveat]
    events = list(read_events(folder.ledger))
    assert events[0].dataset.allowed == ("leak-exact",)
    planner = Planner("wandb", WandbSink().run_id)
    messages = [message for event in events for message in planner.add(event)]
    configs = [message.config for message in messages if isinstance(message, Open)]
    assert configs[0]["dataset"]["leaks"]["val"] == pytest.approx(0.2)
    assert all(config["dataset_leaks"]["val"] == pytest.approx(0.2) for config in configs[1:])
    assert caveat in [m.values.get("caveats") for m in messages if isinstance(m, Summary)]

    assert "nothing is left to train" in shell("resume", root).err  # waived codes stay waived


def test_an_experiment_is_checked_with_its_sizes_and_its_augmentations(
    shell: Any, repository: Path, tmp_path: Path
) -> None:
    quickstart = (repository / "jobs" / "experiments" / "quickstart.yaml").read_text()
    searched = quickstart.replace("  parameters:\n", "  parameters:\n    augmentations: {values: [none, soft]}\n")
    (tmp_path / "x.yaml").write_text(searched + "augmentations: {soft: [{Blur: {p: 0.1}}]}\n")
    done = shell("check", tmp_path / "x.yaml", "--report", tmp_path / "check.html", "--json")
    told = json.loads(done.out)
    assert told["errors"] == 0
    assert told["splits"]["train"]["images"] == 160
    page = (tmp_path / "check.html").read_text()
    for look in ("mosaic", "soft", "all together"):
        assert f"<bdi>{look}</bdi></h3>" in page
    assert len(page) < 1_000_000


def odd_set(folder: Path, source: Path) -> Path:
    """Write a data set whose labels lie where Ultralytics does not look."""
    for split in ("train", "val"):
        for kind, name in (("images", "photos"), ("labels", "labels")):
            shutil.copytree(source / kind / split, folder / split / name, copy_function=shutil.copyfile)
    (folder / "data.yaml").write_text("train: train/photos\nval: val/photos\nnames: [RBC, WBC, Platelets]\n")
    return folder / "data.yaml"


def copied_set(folder: Path, source: Path) -> Path:
    shutil.copytree(source, folder, copy_function=shutil.copyfile)
    for place in [folder, *folder.rglob("*")]:
        place.chmod(0o755 if place.is_dir() else 0o644)
    return folder / "data.yaml"


def items(data: Path, split: str, task: str = "detect") -> list[dict[str, Any]]:
    """Return what Ultralytics reads of a split, item by item."""
    from ultralytics.cfg import get_cfg
    from ultralytics.data.build import build_yolo_dataset
    from ultralytics.data.utils import check_det_dataset

    found = check_det_dataset(str(data), autodownload=False)
    settings = get_cfg(overrides={"task": task, "imgsz": 96, "plots": False})
    dataset = build_yolo_dataset(settings, found[split], 4, found, mode="val", rect=False)
    return [dataset.get_image_and_label(index) for index in range(len(dataset))]


@pytest.mark.parametrize("make", [copied_set, odd_set])
def test_ultralytics_reads_from_the_view_what_it_would_have_read_itself(
    tmp_path: Path, bccd_tiny: Path, make: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    from yolosweep.backends.ultralytics.training_environment import enter

    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    enter()
    source = make(tmp_path / "set", bccd_tiny.parent)
    plain = copied_set(tmp_path / "plain", bccd_tiny.parent)
    gate = examine(str(source), "detect")
    view = write_view(gate.layout, waive(gate, ()), RunFolder.create(tmp_path / "runs", "x"))
    for split in ("train", "val"):
        ours, theirs = items(Path(view.train_on), split), items(plain, split)
        assert len(ours) == len(theirs) == gate.dataset.images[split]
        for mine, other in zip(ours, theirs, strict=True):
            assert Path(mine["im_file"]).resolve().name == Path(other["im_file"]).name
            assert (mine["img"] == other["img"]).all()
            assert (mine["cls"] == other["cls"]).all()
            assert (mine["instances"].bboxes == other["instances"].bboxes).all()
    assert not [path for path in (tmp_path / "set").rglob("*") if path.suffix in (".cache", ".npy")]


ROWS = {
    "segment": ("{} 0.1 0.1 0.5 0.1 0.5 0.5\n{} 0.6 0.6 0.9 0.6 0.9 0.95 0.6 0.9\n", ""),
    "obb": ("{} 0.1 0.1 0.5 0.1 0.5 0.5 0.1 0.5\n", ""),
    "pose": ("{} 0.5 0.5 0.4 0.4 0.4 0.4 2 0.6 0.6 1\n", "kpt_shape: [2, 3]\nflip_idx: [1, 0]\n"),
}


@pytest.mark.parametrize("task", ROWS)
def test_outlines_corners_and_keypoints_are_read_from_the_view_as_from_the_set(
    tmp_path: Path, task: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    from yolosweep.backends.ultralytics.training_environment import enter

    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    enter()
    row, more = ROWS[task]
    for number in range(8):
        split = "val" if number % 4 == 3 else "train"
        for kind in ("images", "labels"):
            (tmp_path / "set" / kind / split).mkdir(parents=True, exist_ok=True)
        blobs = np.random.default_rng(number).integers(0, 255, (6, 6, 3), dtype=np.uint8)
        Image.fromarray(blobs).resize((64, 48)).save(tmp_path / "set" / "images" / split / f"{number}.png")
        (tmp_path / "set" / "labels" / split / f"{number}.txt").write_text(row.format(number % 2, 1 - number % 2))
    plain = "train: images/train\nval: images/val\nnames: [a, b]\n"
    (tmp_path / "set" / "data.yaml").write_text(plain + more)
    shutil.copytree(tmp_path / "set", tmp_path / "plain")
    gate = examine(str(tmp_path / "set" / "data.yaml"), task)
    view = write_view(gate.layout, waive(gate, ()), RunFolder.create(tmp_path / "runs", "x"))
    for split, count in (("train", 6), ("val", 2)):
        ours, theirs = items(Path(view.train_on), split, task), items(tmp_path / "plain" / "data.yaml", split, task)
        assert len(ours) == len(theirs) == count
        for mine, other in zip(ours, theirs, strict=True):
            assert (mine["img"] == other["img"]).all()
            assert (mine["cls"] == other["cls"]).all()
            for part in ("bboxes", "segments", "keypoints"):
                assert np.array_equal(getattr(mine["instances"], part), getattr(other["instances"], part))
