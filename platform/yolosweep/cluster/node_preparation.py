"""What a node needs before its first trial: the data, and with a run in an object storage the run's own files."""

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

__all__ = ["must_be_prepared", "preparation", "prepare_node", "seen", "with_local_paths", "write_view_on_driver"]


def must_be_prepared(address: str, source: str) -> bool:
    """Tell whether nodes hold a copy of their own of the run or of its data."""
    return is_address(address) or is_address(source)


def preparation(address: str, dataset: PreparedDataset) -> tuple[str, PreparedDataset] | None:
    """Return what :func:`prepare_node` is to be given on every node; None where nodes share all of it."""
    if not must_be_prepared(address, dataset.source):
        return None
    return address, dataset.model_copy(update={"findings": (), "notes": ()})


def prepare_node(address: str, dataset: PreparedDataset) -> str:
    """Return what trials train on here; once on every node it is staged, checked and written, later this is cheap.

    Args:
        address: of the run, or its folder.
        dataset: as examined where the sweep was started.

    Raises:
        DataError: the data cannot be read here, or are others.
        RunFolderError: the run's files cannot be fetched.
    """
    mark = _mark(address, dataset)
    mark.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    with FileLock(mark.with_suffix(".lock")):
        if mark.is_file() and Path(train_on := mark.read_text()).exists():
            return train_on
        gate = _examined(dataset)
        if gate.dataset.fingerprint != dataset.fingerprint:
            raise DataError(
                f"{dataset.source}: other files or labels are seen here (fingerprint {gate.dataset.fingerprint[:12]}, "
                f"recorded {dataset.fingerprint[:12]}); put back the data of the sweep"
            )
        return _take_in(gate, dataset, RunFolder(address))


def seen(address: str, dataset: PreparedDataset) -> tuple[str, str]:
    """Read the data anew; return their fingerprint and where the first image is. Same data are prepared at once.

    Raises:
        DataError: they cannot be read here.
        RunFolderError: the run's files cannot be fetched.
    """
    gate = _examined(dataset)
    if must_be_prepared(address, dataset.source) and gate.dataset.fingerprint == dataset.fingerprint:
        _take_in(gate, dataset, RunFolder(address))
    return gate.dataset.fingerprint, str(gate.layout.splits["train"][0].image)


def write_view_on_driver(gate: Gate, dataset: PreparedDataset, folder: RunFolder) -> PreparedDataset:
    """Write the prepared view where the sweep is started; return the dataset with what trials train on.

    Raises:
        OSError: the folder cannot be written.
    """
    dataset = write_view(gate.layout, dataset, folder)
    _note(folder.address, dataset)
    return dataset


def _take_in(gate: Gate, dataset: PreparedDataset, folder: RunFolder) -> str:
    """Bring what this node has no other way to see; return what trials train on here."""
    if folder.objects is not None:
        dataset = write_view(gate.layout, dataset, folder)
        folder.bring_below(folder.model("x").parent)
    _note(folder.address, dataset)
    return dataset.train_on


def _note(address: str, dataset: PreparedDataset) -> None:
    if must_be_prepared(address, dataset.source):
        write_atomic(_mark(address, dataset), dataset.train_on)


def with_local_paths(request: TrialRequest, train_on: str) -> TrialRequest:
    """Return a request with this node's own paths: the cache folder may lie elsewhere than where the sweep began."""
    folder, model = RunFolder(request.folder), Path(request.model)
    if folder.objects is None:
        return request
    return request.model_copy(
        update={"data": train_on, "model": str(folder.model(model.name)) if model.is_absolute() else request.model}
    )


def _examined(dataset: PreparedDataset) -> Gate:
    return examine(dataset.source, dataset.task, anywhere=OUTSIDE in dataset.allowed)


def _mark(address: str, dataset: PreparedDataset) -> Path:
    key = hashlib.sha256(f"{address} {dataset.fingerprint}".encode()).hexdigest()[:40]
    return cache_folder() / "prepared" / key
