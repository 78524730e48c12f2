"""Exports of the winner as the run folder keeps them: ``winner/exports/NAME`` holds the files and their record."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from yolosweep.backends import backend_for
from yolosweep.ledger import RunFolder
from yolosweep.records import FileRef
from yolosweep.records.events import Winner
from yolosweep.records.export import ExportedWinner

__all__ = [
    "drop_export",
    "drop_stale_exports",
    "export_name",
    "exports_of",
    "list_exports",
    "place_of",
    "record_export",
]

_RECORD = "export.json"
_LARGEST = 1 << 24
"""Bytes: records are some KiB, even of a thousand classes; a larger file is none of ours."""


def export_name(format: str, quantize: int | None) -> str:
    """Return the name of an export: its folder, and its key in ``winner.json``."""
    return format if quantize is None else f"{format}-{quantize}"


def place_of(folder: RunFolder, name: str, *names: str) -> Path:
    """Return the folder of an export, or the place of a file in it."""
    return folder.bundled("exports", name, *names)


def exports_of(folder: RunFolder, model: str, checkpoint: FileRef) -> dict[str, ExportedWinner]:
    """Return by name what was exported from a checkpoint; what is not a record of ours is passed over."""
    found = {name: _read(folder, name) for name in _names(folder, model)}
    return {
        name: export
        for name, export in found.items()
        if export is not None and export.name == name and export.checkpoint_sha256 == checkpoint.sha256
    }


def drop_stale_exports(folder: RunFolder, model: str, checkpoint: FileRef) -> None:
    """Delete what was exported from another checkpoint."""
    kept = exports_of(folder, model, checkpoint)
    for name in _names(folder, model):
        if name not in kept:
            drop_export(folder, name)


def drop_export(folder: RunFolder, name: str) -> None:
    """Delete an export with its record, if there is one."""
    place = place_of(folder, name)
    if place.exists() or folder.objects is not None:
        folder.remove_below([place])


def record_export(folder: RunFolder, export: ExportedWinner) -> None:
    """Write the record of an export beside its files.

    Raises:
        OSError: the folder cannot be written.
    """
    folder.publish(export.model_dump_json(indent=2) + "\n", place_of(folder, export.name, _RECORD))


def list_exports(folder: RunFolder, winner: Winner, exports: Mapping[str, ExportedWinner]) -> None:
    """Write the exports into ``winner.json``.

    Raises:
        OSError: the folder cannot be written.
    """
    path = folder.bring(folder.bundled("winner.json"))
    listed = {name: export.model_dump(mode="json") for name, export in exports.items()}
    bundle = {**(_content(path) or {}), **winner.model_dump(mode="json"), "exports": listed}
    folder.publish(json.dumps(bundle, indent=2) + "\n", path)


def _names(folder: RunFolder, model: str) -> tuple[str, ...]:
    """Return the names that exports of a model can have; none where nothing was exported."""
    if not folder.files_in(folder.bundled("exports")):
        return ()
    deployment = backend_for(model).deployment()
    formats = deployment.formats if deployment else {}
    return tuple(export_name(format, bits) for format, precisions in formats.items() for bits in precisions)


def _read(folder: RunFolder, name: str) -> ExportedWinner | None:
    content = _content(folder.bring(place_of(folder, name, _RECORD)))
    try:
        return ExportedWinner.model_validate(content) if content else None
    except ValidationError:
        return None


def _content(path: Path) -> dict[str, Any] | None:
    """Return a JSON object from a file; None where it is none."""
    if not path.is_file() or path.stat().st_size > _LARGEST:
        return None
    try:
        content = json.loads(path.read_bytes())
    except (ValueError, RecursionError):
        return None
    return content if isinstance(content, dict) else None
