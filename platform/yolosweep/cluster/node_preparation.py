"""Prepare a node for its first trial: the data and, for runs in object storage, the run's own files."""

from __future__ import annotations

import hashlib
from pathlib import Path

from filelock import FileLock

from yolosweep.data import OUTSIDE, Gate, examine, write_view
from yolosweep.errors import DataError
from yolosweep.ledger import RunFolder
from yolosweep.records import PreparedDataset, TrialRequest
from yolosweep.storage.addresses import is_address
from yolosweep.storage.atomic_files import cache_folder, write_atomic

__all__ = [
    "fingerprint_here",
    "needs_preparation",
    "preparation",
    "prepare_node",
    "with_local_paths",
    "write_view_on_driver",
]


def needs_preparation(address: str, source: str) -> bool:
    """Return whether each node keeps its own copy of the run or of its data."""
    return is_address(address) or is_address(source)


def preparation(address: str, dataset: PreparedDataset) -> tuple[str, PreparedDataset] | None:
    """Return the arguments of :func:`prepare_node` for every node; None if nodes share run and data."""
    if not needs_preparation(address, dataset.source):
        return None
    return address, dataset.model_copy(update={"findings": (), "notes": ()})


def prepare_node(address: str, dataset: PreparedDataset) -> str:
    """Stage, check and write the data on this node once; return what trials train on. Later calls are cheap.

    Args:
        address: the run's address or folder.
        dataset: the data set as examined where the sweep started.

    Raises:
        DataError: the data cannot be read here, or differ.
        RunFolderError: the run's files cannot be fetched.
    """
    marker = _marker(address, dataset)
    marker.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    with FileLock(marker.with_suffix(".lock")):
        if marker.is_file() and Path(train_on := marker.read_text()).exists():
            return train_on
        gate = _examined(dataset)
        if gate.dataset.fingerprint != dataset.fingerprint:
            raise DataError(
                f"{dataset.source}: this node has different files or labels (fingerprint "
                f"{gate.dataset.fingerprint[:12]}, recorded {dataset.fingerprint[:12]}); restore the sweep's data"
            )
        return _fetch(gate, dataset, RunFolder(address))


def fingerprint_here(address: str, dataset: PreparedDataset) -> tuple[str, str]:
    """Read the data again; return their fingerprint and the first image's path. Matching data are prepared, too.

    Raises:
        DataError: the data cannot be read here.
        RunFolderError: the run's files cannot be fetched.
    """
    gate = _examined(dataset)
    if needs_preparation(address, dataset.source) and gate.dataset.fingerprint == dataset.fingerprint:
        _fetch(gate, dataset, RunFolder(address))
    return gate.dataset.fingerprint, str(gate.layout.splits["train"][0].image)


def write_view_on_driver(gate: Gate, dataset: PreparedDataset, folder: RunFolder) -> PreparedDataset:
    """Write the prepared view on the driver's node; return the data set with what trials train on.

    Raises:
        OSError: the folder cannot be written.
    """
    dataset = write_view(gate.layout, dataset, folder)
    _mark_prepared(folder.address, dataset)
    return dataset


def _fetch(gate: Gate, dataset: PreparedDataset, folder: RunFolder) -> str:
    """Fetch what this node cannot read from shared storage; return what trials train on here."""
    if folder.objects is not None:
        dataset = write_view(gate.layout, dataset, folder)
        folder.bring_below(folder.model("x").parent)
    _mark_prepared(folder.address, dataset)
    return dataset.train_on


def _mark_prepared(address: str, dataset: PreparedDataset) -> None:
    if needs_preparation(address, dataset.source):
        write_atomic(_marker(address, dataset), dataset.train_on)


def with_local_paths(request: TrialRequest, train_on: str) -> TrialRequest:
    """Return a request with this node's paths: its cache folder may differ from the driver's."""
    folder, model = RunFolder(request.folder), Path(request.model)
    if folder.objects is None:
        return request
    return request.model_copy(
        update={"data": train_on, "model": str(folder.model(model.name)) if model.is_absolute() else request.model}
    )


def _examined(dataset: PreparedDataset) -> Gate:
    return examine(dataset.source, dataset.task, anywhere=OUTSIDE in dataset.allowed)


def _marker(address: str, dataset: PreparedDataset) -> Path:
    key = hashlib.sha256(f"{address} {dataset.fingerprint}".encode()).hexdigest()[:40]
    return cache_folder() / "prepared" / key
