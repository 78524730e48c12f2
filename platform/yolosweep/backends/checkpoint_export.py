"""What a backend offers for the use of its checkpoints outside of yolosweep: export, and facts for a model card."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from yolosweep.records import Validation
from yolosweep.records.export import Latency

__all__ = ["CardFacts", "Deployment", "ExportJob", "ExportedModel"]


@dataclass(frozen=True, kw_only=True)
class CardFacts:
    """What a model card says about a family of models, in the words of Hugging Face."""

    library: str
    """The library that loads the checkpoint."""
    pipeline_tag: str
    """The task."""
    license: str
    """Identifier of the license."""
    license_note: str
    """What the license follows from, as Markdown."""
    usage: str
    """Python that predicts with ``best.pt`` in the current folder."""


@dataclass(frozen=True, kw_only=True)
class ExportJob:
    """A checkpoint to export and to compare with the result."""

    weights: Path
    format: str
    quantize: int | None
    """Bits of the weights; None: 32."""
    task: str
    data: str
    settings: Mapping[str, Any]
    """The train arguments, as really used."""
    on_gpu: bool
    """Whether a GPU may be used."""


@dataclass(frozen=True, kw_only=True)
class ExportedModel:
    """An exported model, and what was measured on it and on its checkpoint."""

    path: Path
    """A file, or a folder of files, below the folder that was named."""
    checkpoint: Validation
    """Val, on the same inputs as the exported model."""
    exported: Validation
    latency: Latency
    versions: Mapping[str, str]


class Deployment(Protocol):
    """How the checkpoints of a backend are used outside of yolosweep."""

    @property
    def formats(self) -> Mapping[str, tuple[int | None, ...]]:
        """Formats that a checkpoint can be exported to, with the bits of their weights; None: 32."""

    def missing(self, format: str) -> tuple[str, ...]:
        """Return the distributions that an export needs and this machine lacks, as ``pip install`` takes them."""

    def export(self, job: ExportJob, folder: Path) -> ExportedModel:
        """Export a checkpoint into an empty folder, and validate both on the same images; nothing is downloaded.

        Raises:
            TrainingError: the library cannot export it, or cannot run the result.
        """

    def card(self, task: str, settings: Mapping[str, Any]) -> CardFacts:
        """Return what a model card says about a model of a task, trained with the settings."""
