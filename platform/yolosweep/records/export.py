"""A winner in another format: what was measured on it, and whether it may stand in for the checkpoint."""

from __future__ import annotations

from pydantic import Field

from yolosweep.records.record import Number, Record
from yolosweep.records.trials import FileRef

__all__ = ["ExportedWinner", "Latency"]


class Latency(Record):
    """Time for one image, of the checkpoint and of the exported model on the same machine."""

    checkpoint_ms: float
    """Median of the passes."""
    exported_ms: float
    """Median of the passes."""
    checkpoint_device: str
    exported_device: str
    passes: int
    """Forward passes of each, in turns, so that both meet the same load on the machine."""
    threads: int
    """CPU threads of torch; other runtimes choose their own."""
    imgsz: tuple[int, int]
    """Height and width of the input."""

    @property
    def how(self) -> str:
        """How it was measured, as a sentence."""
        height, width = self.imgsz
        same = self.checkpoint_device == self.exported_device
        devices = self.checkpoint_device if same else f"{self.checkpoint_device} and {self.exported_device}"
        return (
            f"Median of {self.passes} forward passes of one {width} x {height} image on {devices} (torch threads: "
            f"{self.threads}), both models in turns, without reading, resizing and NMS."
        )


class ExportedWinner(Record):
    """A winner exported, validated on the images of val, and compared with its checkpoint."""

    name: str
    """Format, and precision where it is not 32 bits: ``onnx``, ``openvino-8``."""
    format: str
    quantize: int | None
    """Bits of the weights; None: 32."""
    trial: str
    checkpoint_sha256: str
    """Of the ``best.pt`` it was made from."""
    files: dict[str, FileRef]
    """By the name below ``winner/exports``: one file, or those of a folder."""
    size: int
    """Bytes of all files."""
    checkpoint_size: int
    metric: str
    score: Number
    """Of the exported model on val."""
    checkpoint_score: Number
    """Of the checkpoint on the same inputs: square images, as an exported model takes them."""
    winner_score: Number
    """Of the checkpoint as it was selected: images keep their shape."""
    tolerance: float
    is_accepted: bool
    """Whether the scores differ by no more than the tolerance."""
    latency: Latency
    versions: dict[str, str] = Field(default_factory=dict)
    """Of the packages that exported it and ran it."""

    @property
    def difference(self) -> float | None:
        """Score of the exported model minus that of the checkpoint on the same inputs."""
        if self.score is None or self.checkpoint_score is None:
            return None
        return self.score - self.checkpoint_score
