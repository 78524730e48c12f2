"""Run folders that somebody else wrote: no link and no name leads out of them, and nothing in them is run."""

from __future__ import annotations

import contextlib
import hashlib
import json
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from yolosweep.data import examine, write_view
from yolosweep.data.samples.parking_dataset import draw_parking
from yolosweep.errors import RunFolderError, YolosweepError
from yolosweep.ledger import Ledger, RunFolder, read_events
from yolosweep.ledger.history import History
from yolosweep.records import Ending, FileRef, TrialRecord, TrialRequest
from yolosweep.records.events import Note, SweepStarted, TrialEnded, TrialStarted
from yolosweep.report import write_report
from yolosweep.report.winner_exports import drop_export, place_of
from yolosweep.search.checkpoint_retention import clear_leftovers, drop_surplus, forget
from yolosweep.tracking.mirror_state import MirrorState
from yolosweep.tracking.tensorboard_file import EventFile
from yolosweep.tracking.wandb_sweep import JoinedSweep
from yolosweep.workflows.study_export import export_study

NAMES = (
    "..",
    ".",
    "",
    "../victim",
    "../../victim",
    "a/../../victim",
    "/etc",
    "a/b",
    "a\\b",
    "t\n0",
    "t\x000",
    "\x1b[2J",
)
LINKS = (
    "ledger.jsonl", ".ledger.lock", ".lock", ".owner.json", "experiment.yaml", "report.html", "data", "data/linked",
    "data/linked/images", "data/linked/images/train", "winner", "mirror", "mirror/wandb.json", "mirror/wandb.log",
    "mirror/wandb-sweep.json", "wandb", "wandb/data",
    "mirror/.lock", "model", "model/m.pt", ".ray", "trials", "trials/t0000", "trials/t0000/checkpoints",
    "trials/t0000/attempts", "trials/t0000/attempts/a00", "trials/t0000/best.pt", "trials/t0000/stacks-a00.txt",
    "trials/t0000/.best.pt.1.tmp", "winner/exports", "tensorboard", "tensorboard/t0000",
    "tensorboard/t0000/events.out.tfevents.yolosweep", "study.journal",
)  # fmt: skip


def snapshot(folder: Path) -> dict[str, str]:
    return {
        str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest() if path.is_file() else "folder"
        for path in sorted(folder.rglob("*"))
    }


@pytest.fixture
def victim(tmp_path: Path) -> Path:
    """A folder outside with what a run folder has, which nothing may touch."""
    victim = tmp_path / "victim"
    for name in ("checkpoints", "attempts/a00", "a00", "images/train", "train", "t0000/checkpoints", "onnx"):
        (victim / name).mkdir(parents=True)
    for name in (
        "best.pt", "last.pt", "winner.json", "wandb.log", "wandb.json", "checkpoints/a00-e0001.state", ".a.tmp",
        "stacks-a00.txt", "file", "t0000/best.pt", "t0000/checkpoints/x", "00.jpg", "images/train/00.jpg",
        "onnx/best.onnx",
    ):  # fmt: skip
        (victim / name).write_text("precious")
    (victim / "stacks-a01.txt").touch()
    return victim


@pytest.fixture
def run(tmp_path: Path) -> RunFolder:
    folder = RunFolder.create(tmp_path / "runs", "hostile")
    ledger = Ledger(folder)
    ledger.append(
        SweepStarted(sweep=folder.sweep, versions={}, slots={}, notes=[],
        experiment={
            "name": "h", "task": "detect", "model": "yolo11n.yaml", "data": "/d", "train": {"epochs": 1},
            "search": {"metric": "m", "mode": "max", "parameters": {}, "trials": 1},
        },
        dataset={
            "task": "detect", "source": "/d", "names": {"0": "car"}, "images": {"train": 1, "val": 1},
            "fingerprint": "f" * 64, "train_on": "/d",
        },
    ))  # fmt: skip
    request = TrialRequest(
        sweep=folder.sweep, trial="t0000", number=0, task="detect", model="yolo11n.yaml", data="d",
        settings={"epochs": 1}, asked={}, identity="i", metric="m", folder=str(folder.root),
    )  # fmt: skip
    ledger.append(TrialStarted(request=request))
    files = {name: folder.publish(b"w", folder.trial("t0000") / name) for name in ("best.pt", "last.pt")}
    record = TrialRecord(
        trial="t0000", number=0, ending=Ending.FINISHED, reason="r", asked={}, used={}, score=0.5, files=files
    )
    ledger.append(TrialEnded(record=record))
    ledger.close()
    return folder


def append(folder: RunFolder) -> None:
    ledger = Ledger(folder)
    try:
        ledger.append(Note(text="x"))
    finally:
        ledger.close()


def prepare(folder: RunFolder) -> None:
    data = draw_parking(folder.root.parents[1] / "parking", images={"train": 2, "val": 2}, size=32)
    odd = data.parent / "images" / "train" / " odd .jpg"  # a name that asks for a link
    shutil.copy(next((data.parent / "images" / "train").glob("*.jpg")), odd)
    gate = examine(str(data), "detect")
    write_view(gate.layout, gate.dataset, folder)


def hold(folder: RunFolder) -> None:
    with folder.held():
        pass


def everything(folder: RunFolder) -> Iterator[Callable[[], Any]]:
    """Yield all that a command does in a run folder."""
    state = FileRef(path="trials/t0000/best.pt", sha256="0" * 64, size=1)
    yield lambda: RunFolder.open(folder.root)
    yield lambda: hold(folder)
    yield lambda: append(folder)
    yield lambda: list(read_events(folder.ledger))
    yield lambda: write_report(folder)
    yield lambda: prepare(folder)
    yield lambda: MirrorState(server="s").save(folder, "wandb")
    yield lambda: MirrorState.load(folder, "wandb", "s")
    yield lambda: folder.mirror("wandb.log").open("ab").close()
    yield lambda: EventFile(folder.tensorboard("t0000", "events.out.tfevents.yolosweep")).close()
    yield lambda: export_study(folder)
    yield lambda: JoinedSweep(server="s", project="p", id="x", name="x", state="RUNNING").save(folder)
    yield lambda: shutil.rmtree(folder.offline_runs("data"), ignore_errors=True)
    yield lambda: folder.publish("x", folder.experiment)
    yield lambda: folder.publish(b"x", folder.winner / "best.pt")
    yield lambda: folder.publish(b"x", place_of(folder, "onnx", "best.onnx"))
    yield lambda: drop_export(folder, "onnx")
    yield lambda: folder.publish(b"x", folder.model("m.pt"))
    yield lambda: folder.publish(b"x", folder.attempt("t0000", 0, "best.pt"))
    yield lambda: folder.publish(b"x", folder.checkpoint("t0000", "a00-e0002.state"))
    yield lambda: folder.move(state, folder.trial("t0000") / "moved.pt")
    yield lambda: folder.remove(state)
    yield lambda: folder.remove(folder.trial("t0000") / "last.pt")
    yield lambda: folder.remove_below([folder.checkpoint("t0000", "x").parent, folder.ray])
    yield lambda: folder.stacks("t0000", 0).open("w").close()
    yield lambda: shutil.rmtree(folder.ray)
    yield lambda: forget(folder, "t0000")
    yield lambda: clear_leftovers(folder, History.of(folder))
    yield lambda: drop_surplus(folder, History.of(folder), 0, lambda *event, **about: None)


@pytest.mark.parametrize("name", LINKS)
def test_no_link_in_a_run_folder_leads_a_write_or_a_deletion_outside(name: str, run: RunFolder, victim: Path) -> None:
    place = run.root / name
    if place.is_dir():
        shutil.rmtree(place)
    place.unlink(missing_ok=True)
    place.parent.mkdir(parents=True, exist_ok=True)
    inside = victim / ("images" if name.endswith("linked") else "")
    place.symlink_to(victim / "file" if "." in Path(name).name.lstrip(".") or "lock" in name else inside)
    before = snapshot(victim)
    for step in everything(run):
        with contextlib.suppress(YolosweepError, OSError):
            step()
    assert snapshot(victim) == before


@pytest.mark.parametrize("name", NAMES)
def test_no_name_in_a_ledger_leads_outside(name: str, run: RunFolder, victim: Path) -> None:
    lines = [json.loads(line) for line in run.ledger.read_text().splitlines()]
    lines[1]["request"]["trial"] = lines[2]["record"]["trial"] = name
    run.ledger.write_text("".join(json.dumps(line) + "\n" for line in lines))
    before = snapshot(run.root.parents[1])
    with pytest.raises(RunFolderError):
        clear_leftovers(run, History.of(run))
    assert snapshot(run.root.parents[1]) == before


@pytest.mark.parametrize("name", NAMES)
def test_a_path_is_made_of_plain_names(name: str, run: RunFolder) -> None:
    paths: list[Callable[[], Path]] = [
        lambda: run.trial(name),
        lambda: run.checkpoint(name, "x"),
        lambda: run.checkpoint("t0000", name),
        lambda: run.attempt(name, 0, "x"),
        lambda: run.attempt("t0000", 0, name),
        lambda: run.stacks(name, 0),
        lambda: run.model(name),
        lambda: run.mirror(name),
    ]
    if name != "a/b":  # a reference may name a file in a folder
        paths.append(lambda: run.resolve(FileRef(path=f"winner/{name}", sha256="0" * 64, size=1)))
    for path in paths:
        with pytest.raises(RunFolderError, match=r"lead outside"):
            path()


@pytest.mark.parametrize(
    "download",
    [
        "import pathlib; pathlib.Path({canary!r}).write_text('ran')",
        "bash {script}",
        "https://127.0.0.1:9/data.zip",
    ],
    ids=["python", "bash", "url"],
)
def test_a_data_yaml_runs_and_fetches_nothing(download: str, tmp_path: Path) -> None:
    from yolosweep.backends.ultralytics.training_environment import enter

    enter()
    from ultralytics.data import utils
    from ultralytics.engine import trainer, validator

    canary, script = tmp_path / "canary", tmp_path / "x.sh"
    script.write_text(f"touch {canary}\n")
    data = tmp_path / "data.yaml"
    about = {"train": "t.txt", "val": "/nowhere/v.txt", "names": {"0": "car"}, "nc": 1}
    data.write_text(json.dumps({**about, "download": download.format(canary=str(canary), script=script)}))
    for module in (utils, trainer, validator):
        with pytest.raises(FileNotFoundError):
            module.check_det_dataset(str(data), autodownload=True)
    assert not canary.exists()


def test_an_archive_named_data_yaml_is_not_unpacked(tmp_path: Path) -> None:
    import zipfile

    from yolosweep.backends.ultralytics.training_environment import enter

    enter()
    from ultralytics.data import utils

    with zipfile.ZipFile(tmp_path / "data.yaml", "w") as archive:
        archive.writestr("data.yaml", "train: .\nval: .\nnames: [a]\n")
    with pytest.raises(ValueError, match="not a text file"):
        utils.check_det_dataset(str(tmp_path / "data.yaml"))


@pytest.mark.parametrize("place", ["https://127.0.0.1:9/c.zip", "imagenet", "mnist160", "{here}/c.tar.gz", "{here}"])
def test_a_classification_set_is_never_fetched_or_split(place: str, tmp_path: Path) -> None:
    from yolosweep.backends.ultralytics.training_environment import enter

    enter()
    from ultralytics.engine import validator

    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "1.jpg").write_bytes(b"")
    before = snapshot(tmp_path)
    with pytest.raises(FileNotFoundError, match="not a folder of images"):
        validator.check_cls_dataset(place.format(here=tmp_path), split="val")
    assert snapshot(tmp_path) == before
