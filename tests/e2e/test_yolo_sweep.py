"""Whole sweeps of real Ultralytics trainings: detect on real photos, segment and classify on drawn ones."""

from __future__ import annotations

import json
import math
import random
import re
import shutil
import signal
from pathlib import Path
from typing import Any

import pytest
from PIL import Image, ImageDraw
from tests.tools.micro_model import MICRO

from yolosweep.ledger import read_events
from yolosweep.records import Ending
from yolosweep.storage.atomic_files import sha256_of

pytestmark = pytest.mark.slow

FIXED = (
    "train: {{epochs: {epochs}, nbs: {batch}, batch: {batch}, imgsz: 64, optimizer: AdamW, warmup_epochs: 1, {more}}}"
)


def draw_shapes(folder: Path, *, count: int = 24) -> Path:
    """Draw discs with polygon labels: a segmentation set."""
    rng = random.Random(0)
    for split, number in (("train", count), ("val", 8)):
        (folder / "images" / split).mkdir(parents=True)
        (folder / "labels" / split).mkdir(parents=True)
        for index in range(number):
            ground = Image.frombytes("RGB", (6, 6), bytes(rng.randrange(220) for _ in range(108)))
            image = ground.resize((64, 64), Image.Resampling.BICUBIC)  # else the pictures would be one and the same
            x, y, r = rng.uniform(20, 44), rng.uniform(20, 44), rng.uniform(10, 18)
            ImageDraw.Draw(image).ellipse((x - r, y - r, x + r, y + r), fill=(220, 40, 40))
            image.save(folder / "images" / split / f"{index}.png")
            points = [(x + r * math.cos(a), y + r * math.sin(a)) for a in (i * math.pi / 8 for i in range(16))]
            flat = " ".join(f"{min(max(c / 64, 0), 1):.5f}" for point in points for c in point)
            (folder / "labels" / split / f"{index}.txt").write_text(f"0 {flat}\n")
    data = folder / "data.yaml"
    data.write_text("train: images/train\nval: images/val\nnames: [disc]\n")
    return data


def draw_classes(folder: Path, *, count: int = 16) -> Path:
    """Draw red and blue pictures: a classification set."""
    rng = random.Random(0)
    for split, number in (("train", count), ("val", 8)):
        for name, colour in (("red", (200, 40, 40)), ("blue", (40, 40, 200))):
            (folder / split / name).mkdir(parents=True)
            for index in range(number):
                noisy = tuple(min(255, max(0, c + rng.randint(-40, 40))) for c in colour)
                Image.new("RGB", (48, 48), noisy).save(folder / split / name / f"{index}.png")
    return folder


def snapshot(folder: Path) -> dict[str, tuple[int, int]]:
    return {str(p.relative_to(folder)): (p.stat().st_size, p.stat().st_mtime_ns) for p in sorted(folder.rglob("*"))}


def scores(sweep: Any) -> list[Any]:
    return [[row.score for row in trial.rows] for trial in sweep.history.trials.values()]


@pytest.mark.parametrize(
    ("model", "again"), [(MICRO, False), pytest.param("yolo11n.yaml", True, marks=pytest.mark.nightly)]
)
def test_real_photos_are_searched_and_the_same_seed_gives_the_same_scores(
    shell: Any, bccd_tiny: Path, tmp_path: Path, home: Path, model: str, again: bool
) -> None:
    """A shipped model, and its seed again, by night; by day: contract/test_models, contract/test_trainer."""
    experiment = tmp_path / "bccd.yaml"
    experiment.write_text(f"""
name: bccd
model: {model}
data: {bccd_tiny}
train: {{epochs: 12, nbs: 4, optimizer: AdamW, warmup_epochs: 1, close_mosaic: 0, cache: ram}}
augmentations:
  blur: [{{Blur: {{p: 0.2}}}}, {{RandomBrightnessContrast: {{p: 0.2}}}}]
search:
  trials: 2
  pruner: none
  parameters:
    lr0: {{distribution: log_uniform_values, min: 1.0e-3, max: 5.0e-3}}
    weight_decay: {{distribution: log_uniform_values, min: 1.0e-5, max: 1.0e-3}}
    batch: {{values: [4, 8]}}
    imgsz: {{values: [64, 96]}}
    mosaic: {{min: 0.0, max: 1.0}}
    augmentations: {{values: [none, blur]}}
resources: {{cpus_per_trial: 1, max_concurrent: 1}}
""")
    before = snapshot(bccd_tiny.parent)
    first = shell.run(experiment)

    history = first.history
    assert [trial.record.ending for trial in history.trials.values()] == [Ending.FINISHED] * 2
    assert all([row.epoch for row in trial.rows] == list(range(1, 13)) for trial in history.trials.values())
    row = history.trials["t0000"].rows[-1]
    assert {"train/box_loss", "train/cls_loss", "train/dfl_loss", "val/box_loss", "metrics/precision(B)"} <= set(
        row.metrics
    )
    assert {"metrics/recall(B)", "metrics/mAP50(B)", "metrics/mAP50-95(B)", "lr/pg0"} <= set(row.metrics)
    assert row.seconds > 0
    assert row.images_per_s > 0
    assert row.memory_mb > 100

    best = history.ranked()[0]
    assert best.score > 0.01  # it learned something, or two runs of zeros would agree too
    winner = history.winner
    assert winner.validations["val"].metrics[history.metric] == pytest.approx(best.score, abs=0.01)
    assert set(winner.validations["test"].per_class) <= {"RBC", "WBC", "Platelets"}
    if again:
        assert scores(first)[:1] == scores(shell.run(experiment, "search.trials=1"))
    assert {path.name for path in (first.folder.winner / "plots").iterdir()} == {
        *("val", "test", f"{winner.reference.trial}-val"),
    }
    plots = {path.name for path in (first.folder.winner / "plots" / "val").iterdir()}
    assert plots >= {"confusion_matrix.png", "confusion_matrix_normalized.png", "BoxPR_curve.png", "BoxF1_curve.png"}
    worst = [path.name for path in (first.folder.winner / "worst").iterdir()]
    assert [sum(f"-{split}-" in name for name in worst) for split in ("val", "test")] == [20, 20]
    assert "winner/errors.html" in first.folder.report.read_text()
    assert snapshot(bccd_tiny.parent) == before, "the user's data folder was touched"
    assert not (home / ".config" / "Ultralytics").exists(), "the user's Ultralytics settings were touched"
    export_is_checked(shell, first.folder)
    image = next((bccd_tiny.parent / "images").rglob("*.jpg"))
    winner_predicts_alone(shell, first.folder.winner, image, tmp_path / "elsewhere")


def export_is_checked(shell: Any, folder: Any) -> None:
    """Torch alone is needed for TorchScript; a tolerance below zero difference refuses what is not the same."""
    told = json.loads(shell("export", folder.root, "--format", "torchscript", "--json").out)
    assert told["is_accepted"]
    assert told["score"] == pytest.approx(told["checkpoint_score"], abs=1e-3)
    assert told["checkpoint_score"] > 0.01
    file = folder.winner / "exports" / "torchscript" / "best.torchscript"
    assert told["files"]["best.torchscript"]["sha256"] == sha256_of(file)
    assert told["latency"]["exported_ms"] > 0
    assert json.loads((folder.winner / "winner.json").read_text())["exports"] == {"torchscript": told}
    assert "| torchscript | accepted |" in (folder.winner / "README.md").read_text()


def winner_predicts_alone(shell: Any, winner: Path, image: Path, elsewhere: Path) -> None:
    """The snippet of the model card runs in a copy of the bundle where yolosweep cannot be imported."""
    shutil.copytree(winner, elsewhere)
    shutil.copy(image, elsewhere / "image.jpg")
    (snippet,) = re.findall(r"```python\n(.*?)```", (elsewhere / "README.md").read_text(), re.DOTALL)
    code = f"import os, sys\nsys.modules['yolosweep'] = None\nos.chdir({str(elsewhere)!r})\n{snippet}"
    process = shell.start_python("-c", code, YOLO_OFFLINE="true", YOLO_CONFIG_DIR=str(elsewhere / "config"))
    out, err = process.communicate(timeout=300)
    assert process.returncode == 0, err
    assert "ultralytics.engine.results.Boxes object" in out


@pytest.mark.nightly  # each task trained and scored: contract/test_validation
def test_segment_keeps_plots_where_they_are_asked_for_and_a_broken_trial_is_a_record(
    shell: Any, tmp_path: Path, home: Path
) -> None:
    """A crop larger than the images cannot be seen in the settings: Albumentations raises inside that one training."""
    data = draw_shapes(tmp_path / "discs")
    experiment = tmp_path / "segment.yaml"
    experiment.write_text(f"""
name: segment
task: segment
model: yolo11n-seg.yaml
data: {data}
{FIXED.format(epochs=2, batch=4, more="close_mosaic: 0, plots: true, copy_paste: 0.5")}
augmentations: {{broken: [{{RandomCrop: {{height: 4096, width: 4096, p: 1.0}}}}]}}
search: {{trials: 2, searcher: grid, parameters: {{augmentations: {{values: [default, broken]}}}}}}
""")
    sweep = shell.run(experiment, "resources.max_concurrent=1")
    history = sweep.history
    assert history.metric == "metrics/mAP50-95(M)"
    trials = {trial.request.asked["augmentations"]: trial for trial in history.trials.values()}
    good, broken = trials["default"], trials["broken"].record
    assert (good.record.ending, broken.ending) == (Ending.FINISHED, Ending.FAILED)
    assert "rop size" in broken.error
    assert "train.log" in broken.files
    assert {"metrics/mAP50-95(B)", "train/seg_loss"} <= good.rows[0].metrics.keys()
    newest_scan = (home / ".cache" / "yolosweep" / "labels").stat().st_mtime
    first = next(event for event in read_events(sweep.folder.ledger) if event.event == "row")
    begun = first.at.timestamp() - first.row.seconds
    assert newest_scan < begun, "labels are scanned before the time of a trial counts"
    assert history.winner.trial == good.request.trial
    kept = {path.name for path in sweep.folder.trial(good.request.trial).iterdir()}
    assert {"results.png", "labels.jpg", "train_batch0.jpg"} <= kept


@pytest.mark.nightly  # each task trained and scored: contract/test_validation
def test_classify_learns(shell: Any, tmp_path: Path) -> None:
    data = draw_classes(tmp_path / "colours")
    before = snapshot(data)
    experiment = tmp_path / "classify.yaml"
    experiment.write_text(f"""
name: classify
task: classify
model: yolo11n-cls.yaml
data: {data}
{FIXED.format(epochs=4, batch=8, more="auto_augment: null, hsv_h: 0.0, hsv_s: 0.0, hsv_v: 0.0")}
search: {{trials: 2, searcher: tpe, parameters: {{lr0: {{min: 0.001, max: 0.01}}, erasing: {{values: [0.0, 0.4]}}}}}}
""")
    sweep = shell.run(experiment, "resources.max_concurrent=1")
    history = sweep.history
    assert history.metric == "metrics/accuracy_top1"
    assert history.ranked()[0].score >= 0.75
    assert history.winner.validations["val"].metrics["metrics/accuracy_top1"] >= 0.75
    assert snapshot(data) == before


def test_values_ultralytics_refuses_are_refused_before_anything_starts(shell: Any, tmp_path: Path) -> None:
    data = draw_shapes(tmp_path / "discs", count=8)
    experiment = tmp_path / "refused.yaml"
    experiment.write_text(f"""
name: refused
task: segment
model: yolo11n-seg.yaml
data: {data}
{FIXED.format(epochs=1, batch=4, more="close_mosaic: 0, fliplr: 1.5")}
augmentations: {{odd: [{{Blurr: {{p: 0.1}}}}], args: [{{Blur: {{strength: 3}}}}]}}
search: {{trials: 2, parameters: {{lr0: {{min: 0.001, max: 3.0}}, augmentations: {{values: [odd, args]}}}}}}
""")
    refused = shell("run", experiment, code=3)
    for key in ("train.fliplr", "search.parameters.lr0", "augmentations.odd", "augmentations.args"):
        assert key in refused.err
    assert not (tmp_path / "runs").exists()


def test_copy_paste_is_refused_in_detect_where_the_labels_are_boxes(shell: Any, parking: Path, tmp_path: Path) -> None:
    experiment = tmp_path / "boxes.yaml"
    experiment.write_text(f"""
name: boxes
model: yolo11n.yaml
data: {parking / "data.yaml"}
search: {{parameters: {{copy_paste: {{min: 0.0, max: 1.0}}}}}}
""")
    assert "search.parameters.copy_paste (line 5): has no effect" in shell("plan", experiment, code=3).err
    shell("plan", experiment, f"data={draw_shapes(tmp_path / 'discs', count=80)}")


def test_sets_below_nbs_are_refused(shell: Any, tmp_path: Path) -> None:
    data = draw_shapes(tmp_path / "discs", count=8)
    experiment = tmp_path / "nbs.yaml"
    experiment.write_text(f"""
name: nbs
task: segment
model: yolo11n-seg.yaml
data: {data}
train: {{epochs: 1, batch: 4, imgsz: 64, optimizer: AdamW, close_mosaic: 0}}
search: {{trials: 2, parameters: {{lr0: {{min: 0.001, max: 0.01}}}}}}
""")
    refused = shell("run", experiment, code=3)
    assert "64 holds the gradients of 16 batches of 4" in refused.err
    assert "set train.nbs: 4" in refused.err


@pytest.mark.parametrize("name", ["quickstart", "toy", "detect-pretrained", "segment", "classify"])
def test_every_worked_example_can_be_planned(
    name: str, shell: Any, repository: Path, parking: Path, tmp_path: Path
) -> None:
    """With data of its task where it names some of the reader's own; nothing is downloaded."""
    data = {
        "detect-pretrained": lambda: parking / "data.yaml",
        "segment": lambda: draw_shapes(tmp_path / "discs", count=80),
        "classify": lambda: draw_classes(tmp_path / "colours", count=40),
    }
    own = [f"data={data[name]()}"] if name in data else []
    plan = json.loads(shell("plan", repository / "jobs" / "experiments" / f"{name}.yaml", *own, "--json").out)
    assert plan["experiment"]["name"]
    assert plan["epochs_at_most"] == plan["trials"] * plan["epochs_per_trial"]
    assert set(plan["first_trial"]) == set(plan["experiment"]["search"]["parameters"])
    assert not (tmp_path / "runs").exists()


@pytest.mark.nightly  # a stop: test_toy_sweep; a winner that is validated later: test_resume
def test_a_stop_while_the_winner_is_validated_ends_at_once_and_it_can_be_validated_later(
    shell: Any, small_lot: Path, tmp_path: Path
) -> None:
    experiment = tmp_path / "tiny.yaml"
    experiment.write_text(
        f"name: tiny\nmodel: {MICRO}\ndata: {small_lot / 'data.yaml'}\n"
        "train: {epochs: 1, imgsz: 32, batch: 8, nbs: 8, optimizer: SGD}\n"
        "search: {trials: 1, pruner: none, parameters: {momentum: {min: 0.8, max: 0.95}}}\n"
    )
    process = shell.start("run", experiment)
    while "verifying the winner" not in process.stderr.readline():
        assert process.poll() is None
    process.send_signal(signal.SIGTERM)
    _, err = process.communicate(timeout=300)
    assert process.returncode == 143, err
    (ledger,) = tmp_path.glob("runs/*/ledger.jsonl")
    assert f"stopped at once; to go on: yolosweep resume {ledger.parent}" in err
    assert "winner" not in {json.loads(line)["event"] for line in ledger.read_text().splitlines()}
    shell("best", ledger.parent)
    assert (ledger.parent / "winner" / "best.pt").is_file()
