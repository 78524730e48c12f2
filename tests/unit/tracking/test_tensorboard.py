"""TensorBoard: the event files hold the ledger's numbers, survive kills, and never leave the run folder."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from yolosweep.experiment.schema import TensorBoard, Track
from yolosweep.ledger import RunFolder
from yolosweep.ledger.history import History
from yolosweep.records import FileRef
from yolosweep.storage.atomic_files import sha256_of
from yolosweep.tracking.mirror_state import MirrorState
from yolosweep.tracking.outbox import Outbox, send
from yolosweep.tracking.sink import Artifact, Destination, NotSent, Open
from yolosweep.tracking.tensorboard import TensorBoardSink
from yolosweep.tracking.tensorboard_file import EventFile, events_in

SINK = TensorBoardSink()


def mirror(folder: RunFolder) -> None:
    about = {"address": "tensorboard", "section": {}, "experiment": "x", "sweep": "x", "search": {}, "follow": False}
    with closing(SINK.connect(Destination(**about, folder=folder, scratch=folder.root))) as connection:
        send(folder, Outbox(folder, SINK, "tensorboard", lambda planner: connection), final=lambda: True)


def ending(path: Path) -> str:
    with closing(EventFile(path)) as file:
        return file.ending


def events(file: Path) -> list[Any]:
    with file.open("rb") as stream:
        return [event for event, _ in events_in(stream)]


def scalars(file: Path, tag: str) -> list[tuple[int, float]]:
    values = [(event.step, value) for event in events(file) for value in event.summary.value]
    return [(step, value.simple_value) for step, value in values if value.tag == tag]


def plugin_data(file: Path, kind: str) -> list[Any]:
    from tensorboardX.proto.plugin_hparams_pb2 import HParamsPluginData

    values = [value for event in events(file) for value in event.summary.value if value.tag == f"_hparams_/{kind}"]
    return [getattr(HParamsPluginData.FromString(v.metadata.plugin_data.content), kind) for v in values]


@pytest.fixture
def run(repository: Path, tmp_path: Path) -> RunFolder:
    shutil.copytree(repository / "tests" / "fixtures" / "run_v1", tmp_path / "run")
    return RunFolder(tmp_path / "run")


def test_every_trial_has_its_numbers_and_parameters(run: RunFolder) -> None:
    mirror(run)
    history = History.of(run)
    assert {file.parent.name for file in run.root.glob("tensorboard/*/*")} == {*history.trials, "sweep"}
    for name, trial in history.trials.items():
        (file,) = (run.root / "tensorboard" / name).iterdir()
        for tag, value_of in {
            "score": lambda row: row.score,
            "best_score": lambda row: row.best_score,
            "cost/seconds": lambda row: row.seconds,
            "lr/pg0": lambda row: row.metrics["lr/pg0"],
        }.items():
            assert scalars(file, tag) == [(row.epoch, pytest.approx(value_of(row), rel=1e-6)) for row in trial.rows]
        (started,) = plugin_data(file, "session_start_info")
        assert {key: value.number_value for key, value in started.hparams.items()} == pytest.approx(trial.request.asked)
        (ended,) = plugin_data(file, "session_end_info")
        assert ended.status == 1
        assert trial.record is not None
        assert trial.record.ending.value in ending(file)
    (sweep,) = (run.root / "tensorboard" / "sweep").iterdir()
    (columns,) = plugin_data(sweep, "experiment")
    assert {column.name for column in columns.hparam_infos} == set(history.experiment["search"]["parameters"])
    assert [step for step, _ in scalars(sweep, "sweep/best_score")] == [1, 2, 3]


def test_without_the_state_nothing_is_written_twice(run: RunFolder) -> None:
    mirror(run)
    before = {file: file.read_bytes() for file in run.root.glob("tensorboard/*/*")}
    run.mirror("tensorboard.json").unlink()
    mirror(run)
    assert {file: file.read_bytes() for file in run.root.glob("tensorboard/*/*")} == before


@pytest.mark.parametrize("lost", [1, 7, 20, 60])
def test_what_a_killed_process_left_is_cut_off_and_written_again(run: RunFolder, lost: int) -> None:
    mirror(run)
    file = next((run.root / "tensorboard" / "t0001").iterdir())
    whole = file.read_bytes()
    file.write_bytes(whole[:-lost])
    run.mirror("tensorboard.json").unlink()
    mirror(run)
    assert file.read_bytes() == whole


@pytest.mark.parametrize(
    "spoil",
    [
        lambda place: place.write_bytes(b"no event file, but long enough to be one"),
        lambda place: (place.write_bytes(b"mine"), place.rename(place.with_name("mine")), place.symlink_to("mine")),
    ],
    ids=["other content", "a link"],
)
def test_what_is_no_event_file_is_left_alone(run: RunFolder, spoil: Callable[[Path], Any]) -> None:
    place = run.tensorboard("t0000", "events.out.tfevents.yolosweep")
    place.parent.mkdir(parents=True)
    spoil(place)
    before = {file.name: file.read_bytes() for file in place.parent.iterdir()}
    with pytest.raises(NotSent, match="tensorboard/t0000/events"):
        mirror(run)
    assert {file.name: file.read_bytes() for file in place.parent.iterdir()} == before


@pytest.mark.parametrize("name", ["../../outside", "/tmp/outside", "..", "t0001/b"])
def test_no_trial_leads_outside(run: RunFolder, name: str, tmp_path: Path) -> None:
    text = run.ledger.read_text().replace('"t0001"', f'"{name}"')
    run.ledger.write_text(text)
    mirror(run)
    assert {path.name for path in tmp_path.iterdir()} == {"run"}
    assert not Path("/tmp/outside").exists()
    assert {path.name for path in run.root.iterdir()} == {
        "experiment.yaml",
        "ledger.jsonl",
        "mirror",
        "tensorboard",
        "trials",
    }
    assert {path.name for path in (run.root / "tensorboard").iterdir()} == {"t0000", "t0002", "sweep"}
    assert "would lead outside" in str(MirrorState.load(run, "tensorboard").last_error)


def test_a_trial_that_was_cancelled_has_no_status_until_it_ends(tmp_path: Path) -> None:
    path = tmp_path / "events.out.tfevents.x"
    for outcome, text in (
        ("cancelled", "cancelled: stopped"),
        ("finished", "finished: done"),
        ("finished", "finished: done"),
    ):
        file = EventFile(path)
        file.add_ending(outcome, text, 4, 1e9)
        file.close()
    assert ending(path) == "finished: done"
    assert [info.status for info in plugin_data(path, "session_end_info")] == [1]
    assert len(events(path)) == 4


@pytest.mark.slow
def test_the_mirror_loads_no_torch(tmp_path: Path) -> None:
    code = (
        "import sys; from pathlib import Path; from yolosweep.tracking.tensorboard_file import EventFile\n"
        "file = EventFile(Path(sys.argv[1])); file.add_scalars({'score': 1.0}, 1, 0.0); file.close()\n"
        "print(sorted({'torch', 'tensorboardX'} & set(sys.modules)))"
    )
    command = [sys.executable, "-c", code, str(tmp_path / "events")]
    assert subprocess.run(command, capture_output=True, text=True, check=True).stdout == "['tensorboardX']\n"


def test_it_is_switched_by_its_section() -> None:
    assert SINK.choose(Track(), {}).line == ""
    assert SINK.choose(Track(tensorboard=TensorBoard()), {}).online
    off = SINK.choose(Track(tensorboard=TensorBoard(mode="off")), os.environ)
    assert (off.online, "off" in off.line) == (False, True)


def test_the_pictures_of_the_winner_are_shown_once(run: RunFolder, tmp_path: Path) -> None:
    """Those that are as the ledger recorded them; what a stranger put in their place is not read."""
    from PIL import Image

    places = ["winner/plots/val/confusion_matrix.png", "winner/worst/01-val-a.jpg", "winner/worst/02-val-b.jpg"]
    for place in places:
        path = run.root / place
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (20, 10), "red").save(path)
    pictures = tuple(FileRef(path=place, sha256=sha256_of(run.root / place), size=1) for place in places)
    (run.root / places[2]).write_bytes(b"another")
    hostile = (FileRef(path="winner/plots/val/text.png", sha256=sha256_of(run.root / "experiment.yaml"), size=1),)
    shutil.copy(run.root / "experiment.yaml", run.root / hostile[0].path)
    about = {"address": "tensorboard", "section": {}, "experiment": "x", "sweep": "x", "search": {}, "follow": False}
    opening = Open(run="sweep", seq=0, name="x", kind="sweep", sweep="x", tags=(), config={"experiment": {}})
    message = Artifact(run="sweep", seq=9, name="best", file=pictures[0], metadata={}, pictures=pictures + hostile)
    for _ in range(2):
        with closing(SINK.connect(Destination(**about, folder=run, scratch=tmp_path))) as connection:
            connection.open(opening, closes=False)
            connection.send("sweep", [message])
    (file,) = (run.root / "tensorboard" / "sweep").iterdir()
    values = [(event.step, value) for event in events(file) for value in event.summary.value]
    images = [(step, value.tag, value.image) for step, value in values if value.HasField("image")]
    assert [(step, tag) for step, tag, _ in images] == [(9, "winner/val/confusion_matrix"), (9, "winner/worst/val-01")]
    assert [(image.width, image.height) for _, _, image in images] == [(20, 10)] * 2
    assert images[0][2].encoded_image_string == (run.root / places[0]).read_bytes()
