"""Build the folder that a job carries: only the files that the sweep needs, measured before they are sent.

Ray would upload a whole working directory, with ``.git``, keys and results, and silently skip whatever ``.gitignore``
names, which is often the data. So files are listed one by one.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from yolosweep.cluster.job_data_files import data_files
from yolosweep.data import OUTSIDE
from yolosweep.errors import DataError, ExperimentError, Fault, RunFolderError
from yolosweep.experiment import Experiment
from yolosweep.storage.addresses import is_address
from yolosweep.storage.atomic_files import sha256_of

__all__ = [
    "EXPERIMENT",
    "LIMIT_BYTES",
    "VERSIONS",
    "JobPackage",
    "keep_data",
    "package_of",
    "storage_fault",
    "write_package",
]

EXPERIMENT = "experiment.yaml"
VERSIONS = "versions.json"
LIMIT_BYTES = 100 << 20
"""The largest package; it passes through the memory of the cluster's head."""

_CODE = {".py", ".json", ".j2", ".css", ".js", ".typed"}
_DATA, _MODEL, _PACKAGE = "data", "model", "yolosweep"


@dataclass
class JobPackage:
    """The files that a job carries."""

    files: dict[str, Path] = field(default_factory=dict)
    """Name in the package: local file."""
    texts: dict[str, str] = field(default_factory=dict)
    """Name in the package: content."""

    @property
    def size(self) -> int:
        """The size in bytes."""
        return sum(path.stat().st_size for path in self.files.values()) + sum(
            len(_bytes(text)) for text in self.texts.values()
        )

    @property
    def digest(self) -> str:
        """SHA-256 of names and contents, hex; equal packages make the same job."""
        whole = hashlib.sha256()
        for name in sorted({*self.files, *self.texts}):
            text = self.texts.get(name)
            content = sha256_of(self.files[name]) if text is None else hashlib.sha256(_bytes(text)).hexdigest()
            whole.update(f"{name}\0{content}\n".encode(errors="surrogateescape"))
        return whole.hexdigest()

    def describe(self) -> str:
        """Return the package's size and contents in one phrase."""
        parts = []
        for name, what in ((_DATA, "data"), (_MODEL, "model"), (_PACKAGE, "code")):
            sizes = [path.stat().st_size for key, path in self.files.items() if key.startswith(f"{name}/")]
            if sizes:
                parts.append(f"{what} {_mib(sum(sizes))} in {len(sizes)} file{'s' if len(sizes) != 1 else ''}")
        return f"{_mib(self.size)} ({', '.join(parts)})"


def package_of(
    exp: Experiment | None, versions: Mapping[str, str], *, data_on_nodes: bool = False, allow: Sequence[str] = ()
) -> JobPackage:
    """Return what a job must carry to run an experiment, or to resume a run (``exp`` is None). Copies nothing.

    Args:
        exp: the experiment as loaded, with absolute paths.
        versions: local package versions, to compare with the cluster's.
        data_on_nodes: whether the nodes have the data, and a model file, under the local paths.
        allow: codes of waived findings in the data.

    Raises:
        ExperimentError: ``storage`` would be lost with the job.
        DataError: the data do not exist, or are too large.
    """
    package = JobPackage(texts={VERSIONS: json.dumps(dict(versions), indent=2, sort_keys=True)})
    code = Path(__file__).parents[1]
    for file in sorted(code.rglob("*")):
        if file.suffix in _CODE and file.is_file():
            package.files[f"{_PACKAGE}/{file.relative_to(code).as_posix()}"] = file
    if exp is None:
        return package
    fault = storage_fault(exp.storage)
    if fault is not None:
        raise ExperimentError(EXPERIMENT, [fault])
    if not data_on_nodes:
        exp = _with_files(exp, package, outside=OUTSIDE in allow)
    package.texts[EXPERIMENT] = json.dumps(exp.model_dump(mode="json"), indent=2, ensure_ascii=False)  # valid YAML
    if package.size > LIMIT_BYTES:
        raise DataError(
            f"the job would carry {package.describe()}, but the limit is {_mib(LIMIT_BYTES)}; put data and model on "
            "storage that every node can read (under storage:, or s3://…) and use that path, or pass --data-on-nodes "
            "if the nodes have them under the same paths"
        )
    return package


def storage_fault(storage: str) -> Fault | None:
    """Return why a job cannot use this storage, or None; Ray removes a job's own folder when it ends."""
    if is_address(storage) or os.path.isabs(os.path.expanduser(storage)):
        return None
    return Fault(
        key="storage",
        message=f"{storage!r} is relative: it would be inside the job's folder, which is removed when the job ends; "
        "use a folder that every node can write, e.g. storage=/mnt/shared/runs",
    )


def _with_files(exp: Experiment, package: JobPackage, *, outside: bool) -> Experiment:
    """Add local data and a local model file to the package; return the experiment with their paths in it."""
    storage = os.path.expanduser(exp.storage)
    moved = {name: f"{_MODEL}/{Path(name).name}" for name in exp.models if _is_carried(Path(name), storage)}
    package.files.update({place: Path(name) for name, place in moved.items()})
    exp, change = exp.with_models(moved), dict[str, str]()
    if not exp.data.startswith("sample:") and not is_address(exp.data) and not _within(Path(exp.data), storage):
        files, texts, named = data_files(exp.data, exp.task, outside=outside)
        package.files.update({f"{_DATA}/{name}": file for name, file in files.items()})
        package.texts.update({f"{_DATA}/{name}": text for name, text in texts.items()})
        change["data"] = f"{_DATA}/{named}"
    return exp.model_copy(update=change)


def _is_carried(model: Path, storage: str) -> bool:
    return model.is_file() and not _within(model, storage)


def _within(path: Path, storage: str) -> bool:
    """Return whether a path is inside the storage, which all nodes share anyway."""
    return not is_address(storage) and Path(os.path.realpath(path)).is_relative_to(os.path.realpath(storage))


def write_package(package: JobPackage, folder: Path) -> None:
    """Write the package into an empty folder."""
    for name, file in package.files.items():
        target = folder / name
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(file, target)
    for name, text in package.texts.items():
        target = folder / name
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(_bytes(text))


def keep_data(carried: str, job_folder: Path, storage: str, job: str) -> str:
    """Copy data that came with a job to the storage, once, and return their path there.

    Ray removes the job's folder when the job ends, but a resumed run must find its data.

    Args:
        carried: the experiment's ``data`` as loaded in the job.
        job_folder: the folder of the unpacked job.
        storage: the experiment's storage.
        job: the job's id, which names the copy.

    Raises:
        RunFolderError: the storage cannot be written.
    """
    inside = job_folder / _DATA
    if is_address(storage) or not Path(carried).is_relative_to(inside):
        return carried
    target = Path(os.path.expanduser(storage)) / "carried" / job
    draft = target.with_name(f".{job}.{os.getpid()}.tmp")
    try:
        if not target.is_dir():
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copytree(inside, draft)
            draft.rename(target)
    except OSError as error:
        folder = target.parent
        raise RunFolderError(f"storage: cannot write the data to {folder} ({error.strerror or error})") from error
    finally:
        shutil.rmtree(draft, ignore_errors=True)
    return str(target / Path(carried).relative_to(inside))


def _bytes(text: str) -> bytes:
    return text.encode(errors="surrogateescape")  # file names need not be UTF-8


def _mib(size: int) -> str:
    return f"{size / (1 << 20):.1f} MiB"
