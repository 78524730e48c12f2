"""One TensorBoard event file that is only appended to, and that says itself what it holds.

tensorboardX provides the messages and the checksum. Its own writer starts a new file with each process and writes in a
thread, so nobody would know what a process that was killed had written.
"""

from __future__ import annotations

import json
import os
import struct
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, BinaryIO

__all__ = ["EventFile", "events_in"]

_HEADER, _CHECKSUM = struct.Struct("<Q"), struct.Struct("<I")
_VERSION = "brain.Event:2"
_START, _END, _EXPERIMENT = (f"_hparams_/{name}" for name in ("session_start_info", "session_end_info", "experiment"))
_STATUS = {"finished": "STATUS_SUCCESS", "failed": "STATUS_FAILURE"}
_LEDGER_SEQ = "ledger_seq"


def _load() -> Any:
    """Return tensorboardX's messages. Its package would import torch: seconds and 300 MB for nothing used here."""
    blocked = "torch" not in sys.modules
    if blocked:
        sys.modules["torch"] = None  # type: ignore[assignment]
    try:
        import tensorboardX.proto as proto
        from tensorboardX import record_writer, summary
        from tensorboardX.proto import api_pb2, event_pb2, plugin_hparams_pb2, summary_pb2

        del record_writer, summary, api_pb2, event_pb2, plugin_hparams_pb2, summary_pb2
        return proto
    finally:
        if blocked:
            del sys.modules["torch"]


def events_in(stream: BinaryIO) -> Iterator[tuple[Any, int]]:
    """Yield each whole event of a file, and where it ends.

    Raises:
        ValueError: it is not an event file, or it is damaged.
    """
    from google.protobuf.message import DecodeError

    event_type = _load().event_pb2.Event
    size, end = os.fstat(stream.fileno()).st_size, 0
    frame = _HEADER.size + 2 * _CHECKSUM.size
    while size - end >= frame:
        header = stream.read(_HEADER.size)
        (length,), (checksum,) = _HEADER.unpack(header), _CHECKSUM.unpack(stream.read(_CHECKSUM.size))
        if checksum != _checksum(header):
            raise ValueError("it is damaged, or not an event file")
        end += frame + length
        if end > size:
            return
        try:
            event = event_type.FromString(stream.read(length))
        except DecodeError as error:
            raise ValueError("it is damaged, or not an event file") from error
        stream.read(_CHECKSUM.size)
        yield event, end


class EventFile:
    """A run of TensorBoard: scalars over steps, searched parameters, and how it ended.

    Each append is one record with all values of a step, so a step is there as a whole or not at all.

    Args:
        path: the file, created with its folder where it is missing. What a killed process left of a record at its end
            is cut off.

    Raises:
        OSError: it cannot be written.
        ValueError: it is not an event file.
    """

    def __init__(self, path: Path) -> None:
        self._proto = _load()
        self.last_step = -1
        """Largest step of a history, -1 without any."""
        self.ending = ""
        """The text of the last ending."""
        self._tags = set[str]()
        self._images = set[tuple[str, int]]()
        path.parent.mkdir(parents=True, exist_ok=True)
        # Never follow a link: the folder may come from somebody else.
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o644)
        self._stream = os.fdopen(descriptor, "r+b")
        try:
            self._begin()
        except BaseException:
            self._stream.close()
            raise

    def _begin(self) -> None:
        """Read what is there, and go to its end."""
        end = 0
        for event, end in events_in(self._stream):  # noqa: B007
            self._note(event)
        self._stream.truncate(end)
        self._stream.seek(end)
        if not end:
            self._append(self._proto.event_pb2.Event(file_version=_VERSION))

    def _note(self, event: Any) -> None:
        """Remember what an event says."""
        scalars = {value.tag: value.simple_value for value in event.summary.value if value.HasField("simple_value")}
        if scalars:
            self.last_step = max(self.last_step, int(scalars.get(_LEDGER_SEQ, event.step)))
        for value in event.summary.value:
            self._tags.add(value.tag)
            if value.HasField("image"):
                self._images.add((value.tag, event.step))
            if value.tag == "ending/text_summary":
                self.ending = value.tensor.string_val[0].decode(errors="replace") if value.tensor.string_val else ""

    def add_scalars(self, values: Mapping[str, float], step: int, time_s: float) -> None:
        """Append the values of a step."""
        value_type = self._proto.summary_pb2.Summary.Value
        self._add([value_type(tag=tag, simple_value=value) for tag, value in values.items()], step, time_s)

    def add_image(self, tag: str, encoded: bytes, width: int, height: int, step: int, time_s: float) -> None:
        """Append a picture, unless it is there at this step.

        Args:
            tag: what it is called.
            encoded: a PNG or JPEG file.
            width, height: its size, pixels.
            step: number of the ledger event.
            time_s: when it was made.
        """
        if (tag, step) in self._images:
            return
        summary = self._proto.summary_pb2.Summary
        image = summary.Image(height=height, width=width, colorspace=3, encoded_image_string=encoded)
        self._add([summary.Value(tag=tag, image=image)], step, time_s)

    def add_parameters(self, values: Mapping[str, Any], time_s: float) -> None:
        """Append the searched parameters, unless they are there."""
        info = self._proto.plugin_hparams_pb2.SessionStartInfo(start_time_secs=time_s)
        for name, value in values.items():
            if isinstance(value, (int, float)) and not isinstance(value, bool):
                info.hparams[name].number_value = value
            else:
                info.hparams[name].string_value = value if isinstance(value, str) else json.dumps(value)
        self._add_plugin_data(_START, time_s, session_start_info=info)

    def add_experiment(self, parameters: Mapping[str, bool], metrics: tuple[str, ...], time_s: float) -> None:
        """Append the columns of the table of all trials, unless they are there.

        Args:
            parameters: names, and whether the values are numbers.
            metrics: tags of scalars.
            time_s: when the sweep began.
        """
        api = self._proto.api_pb2
        types = {True: api.DATA_TYPE_FLOAT64, False: api.DATA_TYPE_STRING}
        experiment = api.Experiment(
            time_created_secs=time_s,
            hparam_infos=[api.HParamInfo(name=name, type=types[number]) for name, number in parameters.items()],
            metric_infos=[api.MetricInfo(name=api.MetricName(tag=tag)) for tag in metrics],
        )
        self._add_plugin_data(_EXPERIMENT, time_s, experiment=experiment)

    def add_ending(self, outcome: str, text: str, step: int, time_s: float) -> None:
        """Append how a run ended, unless that is there."""
        from tensorboardX.summary import text as text_summary

        if text != self.ending:
            self._add(list(text_summary("ending", text).value), step, time_s)
        # TensorBoard keeps the first status it reads, and what was cancelled may be resumed.
        if outcome in _STATUS:
            status = self._proto.api_pb2.Status.Value(_STATUS[outcome])
            info = self._proto.plugin_hparams_pb2.SessionEndInfo(status=status, end_time_secs=time_s)
            self._add_plugin_data(_END, time_s, session_end_info=info)

    def _add_plugin_data(self, tag: str, time_s: float, **content: Any) -> None:
        if tag in self._tags:
            return
        data = self._proto.plugin_hparams_pb2.HParamsPluginData(version=0, **content)
        metadata = self._proto.summary_pb2.SummaryMetadata
        plugin = metadata.PluginData(plugin_name="hparams", content=data.SerializeToString())
        self._add([self._proto.summary_pb2.Summary.Value(tag=tag, metadata=metadata(plugin_data=plugin))], 0, time_s)

    def _add(self, values: list[Any], step: int, time_s: float) -> None:
        summary = self._proto.summary_pb2.Summary(value=values)
        event = self._proto.event_pb2.Event(wall_time=time_s, step=step, summary=summary)
        self._append(event)
        self._note(event)

    def _append(self, event: Any) -> None:
        payload = event.SerializeToString()
        header = _HEADER.pack(len(payload))
        frame = (header, _CHECKSUM.pack(_checksum(header)), payload, _CHECKSUM.pack(_checksum(payload)))
        self._stream.write(b"".join(frame))
        self._stream.flush()

    def close(self) -> None:
        """Close the file; what was appended is on the disk afterwards."""
        os.fsync(self._stream.fileno())
        self._stream.close()


def _checksum(data: bytes) -> int:
    from tensorboardX.record_writer import masked_crc32c

    checksum: int = masked_crc32c(data)
    return checksum
