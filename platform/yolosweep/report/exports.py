"""Exports of the winner as the run folder keeps them: ``winner/exports/NAME`` holds the files and their record."""

from __future__ import annotations

import json
from typing import Any

from pydantic import ValidationError

from yolosweep.backends import backend_for
from yolosweep.ledger import RunFolder
from yolosweep.records import FileRef
from yolosweep.records.export import ExportedWinner

__all__ = ["PRECISIONS", "RECORD", "drop_export", "drop_stale_exports", "export_name", "exports_of", "list_exports"]

RECORD = "export.json"
PRECISIONS = (None, 16, 8)
"""Bits of the weights; None: 32."""
_RECORD_BYTES = 1 << 20
"""A record is some KiB; a larger file is none of ours."""


def export_name(format: str, quantize: int | None) -> str:
    """Return the name of an export: its folder, and its key in ``winner.json``."""
    return format if quantize is None else f"{format}-{quantize}"


def exports_of(folder: RunFolder, model: str, checkpoint: FileRef) -> dict[str, ExportedWinner]:
    """Return by name what was exported from a checkpoint; what is not a record of ours is passed over."""
    found = {name: _read(folder, name) for name in _names(model)}
    return {
        name: export
        for name, export in found.items()
        if export is not None and export.name == name and export.checkpoint_sha256 == checkpoint.sha256
    }


def drop_stale_exports(folder: RunFolder, model: str, checkpoint: FileRef) -> None:
    """Delete what was exported from another checkpoint."""
    kept = exports_of(folder, model, checkpoint)
    for name in _names(model):
        if name not in kept:
            drop_export(folder, name)


def drop_export(folder: RunFolder, name: str) -> None:
    """Delete an export with its record, if there is one."""
    if folder.export(name).exists() or folder.objects is not None:
        folder.remove_below([folder.export(name)])


def list_exports(folder: RunFolder, exports: dict[str, ExportedWinner]) -> None:
    """Write the exports into ``winner.json``.

    Raises:
        OSError: the bundle has no ``winner.json``, or it cannot be written.
    """
    path = folder.bring(folder.winner / "winner.json")
    content = json.loads(path.read_bytes())
    bundle: dict[str, Any] = content if isinstance(content, dict) else {}
    bundle["exports"] = {name: export.model_dump(mode="json") for name, export in exports.items()}
    folder.publish(json.dumps(bundle, indent=2) + "\n", path)


def _names(model: str) -> tuple[str, ...]:
    deployment = backend_for(model).deployment()
    formats = deployment.formats if deployment else ()
    return tuple(export_name(format, quantize) for format in formats for quantize in PRECISIONS)


def _read(folder: RunFolder, name: str) -> ExportedWinner | None:
    path = folder.bring(folder.export(name, RECORD))
    if not path.is_file() or path.stat().st_size > _RECORD_BYTES:
        return None
    try:
        return ExportedWinner.model_validate_json(path.read_bytes())
    except ValidationError:
        return None
