"""TensorBoard: a folder of event files in the run folder. It needs no server, no credentials and no network.

``tensorboard --logdir RUN/tensorboard`` shows one run per trial, and ``sweep`` with the best score over ended trials.
"""

from __future__ import annotations

import contextlib
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from yolosweep.errors import RunFolderError
from yolosweep.experiment.schema import Track
from yolosweep.records import FileRef
from yolosweep.storage.atomic_files import sha256_of
from yolosweep.tracking.sink import Artifact, Choice, Close, Destination, Message, NotSent, Open, Row
from yolosweep.tracking.tensorboard_file import EventFile
from yolosweep.tracking.winner_pictures import picture_key

__all__ = ["TensorBoardConnection", "TensorBoardSink"]

_LARGEST_PICTURE = 1 << 24
"""Bytes."""
_FILE = "events.out.tfevents.yolosweep"
_PLAIN = re.compile(r"\w[\w.\-]*")
"""Names of runs; a ledger from somebody else may hold any text."""
_COSTS = frozenset({"seconds", "images_per_s", "memory_mb", "gpu_memory_mb"})
_HIDDEN = frozenset({"epoch", "best_epoch", "epochs_without_gain", "recoveries", "batch"})
"""Of a trial's row: the step itself, what follows from the curves, and what hardly ever changes."""
_METRICS = ("best_score", "cost/seconds", "cost/images_per_s")
"""Columns of the table of all trials, beside the parameters."""


class TensorBoardSink:
    """TensorBoard, switched on by ``track.tensorboard``."""

    name = "tensorboard"
    title = "TensorBoard"
    supports: frozenset[type[Message]] = frozenset({Row, Artifact})

    def choose(self, track: Track, environ: Mapping[str, str]) -> Choice:
        """Write wherever there is a section that is not off."""
        section = track.tensorboard
        if section is None:
            return Choice(sink=self.name, online=False, line="")
        if section.mode == "off":
            return Choice(sink=self.name, online=False, line="TensorBoard: off (track.tensorboard.mode=off)")
        line = (
            "TensorBoard: written to RUN/tensorboard while the sweep runs, on this machine only if RUN is in an object "
            "storage"
        )
        return Choice(sink=self.name, online=True, line=line)

    def require_ready(self, environ: Mapping[str, str]) -> None:
        """Return: nothing has to be provided."""

    def address(self, section: Mapping[str, Any], environ: Mapping[str, str]) -> str:
        """Return the name of the folder, so that a copy of the run folder needs no push."""
        return "tensorboard"

    def run_id(self, sweep: str, part: str) -> str:
        """Return the trial, or ``sweep``: the name of a run's folder."""
        return part

    def connect(self, destination: Destination) -> TensorBoardConnection:
        """Return the run's event files."""
        return TensorBoardConnection(destination)


class TensorBoardConnection:
    """The event files of a sweep, one per run."""

    def __init__(self, destination: Destination) -> None:
        self._folder = destination.folder
        self._files: dict[str, EventFile] = {}
        self.url: str | None = str(destination.folder.root / "tensorboard")
        self.warnings: dict[str, str] = {}
        self.note: str | None = None

    def open(self, opening: Open, *, closes: bool) -> int:
        """Open a run's file and return the last step in it."""
        if not _PLAIN.fullmatch(opening.run):
            name = repr(opening.run[:80])
            self.warnings[opening.run] = f"the trial {name} was not written: its name would lead outside of the folder"
            return -1
        try:
            file = EventFile(self._folder.tensorboard(opening.run, _FILE))
        except (OSError, ValueError, RunFolderError) as error:
            place = f"tensorboard/{opening.run[:80]}/{_FILE}"
            fix = "delete it, `yolosweep track push` writes it again"
            text = f"cannot write {place}: {getattr(error, 'strerror', None) or error}; {fix}"
            raise NotSent(" ".join(text.split())) from error
        self._files[opening.run] = file
        with _translated():
            if opening.kind == "trial":
                file.add_parameters(opening.config["asked"], opening.at.timestamp())
            else:
                columns = _columns_of(opening.config["experiment"])
                file.add_experiment(columns, _METRICS, opening.at.timestamp())
        return file.last_step

    def send(self, run: str, messages: Sequence[Message]) -> None:
        """Append the rows, and the pictures of the winner."""
        with _translated():
            for message in messages if run in self._files else ():
                if isinstance(message, Row):
                    _add_row(self._files[run], message)
                elif isinstance(message, Artifact):
                    self._add_pictures(self._files[run], message)

    def _add_pictures(self, file: EventFile, message: Artifact) -> None:
        """Append plots and worst images that are as the ledger recorded them."""
        for one in message.pictures:
            if (key := picture_key(one)) is not None and (picture := self._picture(one)) is not None:
                file.add_image(f"winner/{key}", *picture, message.seq, message.at.timestamp())

    def _picture(self, file: FileRef) -> tuple[bytes, int, int] | None:
        """Return a picture with its width and height; None where the file is missing, changed or no picture."""
        from PIL import Image

        with contextlib.suppress(Exception):  # Pillow raises anything for an untrusted file
            path = self._folder.resolve(file)
            if path.stat().st_size <= _LARGEST_PICTURE and sha256_of(path) == file.sha256:
                with Image.open(path) as picture:
                    return path.read_bytes(), *picture.size
        return None

    def finish(self, run: str, close: Close | None) -> None:
        """Close a run's file; what was appended is on the disk then."""
        if (file := self._files.pop(run, None)) is None:
            return
        with _translated():
            if close is not None:
                file.add_ending(close.outcome, _ending_of(close), close.seq, close.at.timestamp())
            file.close()

    def close(self) -> None:
        """Close the files of trials that continue."""
        for file in self._files.values():
            file.close()


@contextlib.contextmanager
def _translated() -> Iterator[None]:
    """Turn a disk that cannot be written into one line."""
    try:
        yield
    except OSError as error:
        raise NotSent(f"cannot write the run folder's tensorboard/: {error.strerror or error}") from error


def _add_row(file: EventFile, row: Row) -> None:
    """Append a row; that of a sweep stands over the number of ended trials."""
    numbers = {name: float(value) for name, value in row.values.items() if isinstance(value, (int, float))}
    if "ledger_seq" in numbers:
        step = int(numbers.get("trials_ended", 0))
        values = {name if name == "ledger_seq" else f"sweep/{name}": value for name, value in numbers.items()}
    else:
        step = row.step
        shown = {name: value for name, value in numbers.items() if name not in _HIDDEN}
        values = {f"cost/{name}" if name in _COSTS else name: value for name, value in shown.items()}
    file.add_scalars(values, step, row.at.timestamp())


def _ending_of(close: Close) -> str:
    """Return how a run ended, for people: the outcome, then the ending and its reason."""
    ending = close.summary.get("ending") or close.summary.get("status")
    reason = close.summary.get("reason")
    return f"{close.outcome}: {ending}, {reason}" if reason else f"{close.outcome}: {ending}"


def _columns_of(experiment: Mapping[str, Any]) -> dict[str, bool]:
    """Return the searched parameters, and whether their values are numbers."""
    search = experiment.get("search")
    parameters = search.get("parameters") if isinstance(search, dict) else None
    return {name: _is_numeric(axis) for name, axis in parameters.items()} if isinstance(parameters, dict) else {}


def _is_numeric(axis: Any) -> bool:
    values = axis.get("values", [axis.get("value", 0.0)]) if isinstance(axis, dict) else []
    return all(isinstance(value, (int, float)) and not isinstance(value, bool) for value in values)
