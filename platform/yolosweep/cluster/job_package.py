"""What travels with a job: a folder of its own, built from what the sweep needs, small, counted before it is sent.

Ray would pack a whole working directory: ``.git``, keys and results with it, while whatever ``.gitignore`` names (often
the data) is left out without a word. So nothing is taken because it lies around; each file here has its reason.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from yolosweep.cluster.data_files import data_files
from yolosweep.data import OUTSIDE
from yolosweep.errors import DataError, ExperimentError, Fault, RunFolderError
from yolosweep.experiment import Experiment
from yolosweep.experiment.addresses import is_address
from yolosweep.storage.atomic_files import sha256_of

__all__ = [
    "EXPERIMENT",
    "LIMIT_BYTES",
    "VERSIONS",
    "JobPackage",
    "package_of",
    "place_data",
    "storage_fault",
    "write_package",
]

EXPERIMENT = "experiment.yaml"
VERSIONS = "versions.json"
LIMIT_BYTES = 100 << 20
"""What a job may carry; it goes through the memory of the cluster's head."""

_CODE = {".py", ".json", ".j2", ".css", ".js", ".typed"}
_DATA, _MODEL, _PACKAGE = "data", "model", "yolosweep"


@dataclass
class JobPackage:
    """What travels."""

    files: dict[str, Path] = field(default_factory=dict)
    """Name in the folder: file here."""
    texts: dict[str, str] = field(default_factory=dict)
    """Name in the folder: content."""

    @property
    def size(self) -> int:
        """Bytes."""
        return sum(path.stat().st_size for path in self.files.values()) + sum(
            len(_bytes(text)) for text in self.texts.values()
        )

    @property
    def digest(self) -> str:
        """SHA-256 of names and contents, hex: the same load, the same job."""
        whole = hashlib.sha256()
        for name in sorted({*self.files, *self.texts}):
            text = self.texts.get(name)
            content = sha256_of(self.files[name]) if text is None else hashlib.sha256(_bytes(text)).hexdigest()
            whole.update(f"{name}\0{content}\n".encode(errors="surrogateescape"))
        return whole.hexdigest()

    def told(self) -> str:
        """Return in one phrase how much it is, and of what."""
        parts = []
        for name, what in ((_DATA, "data"), (_MODEL, "model"), (_PACKAGE, "code")):
            sizes = [path.stat().st_size for key, path in self.files.items() if key.startswith(f"{name}/")]
            if sizes:
                parts.append(f"{what} {_mib(sum(sizes))} in {len(sizes)} file{'s' if len(sizes) != 1 else ''}")
        return f"{_mib(self.size)} ({', '.join(parts)})"


def package_of(
    exp: Experiment | None, versions: Mapping[str, str], *, data_on_nodes: bool = False, allow: Sequence[str] = ()
) -> JobPackage:
    """Return what a job has to carry to run an experiment, or to take up a run (``exp`` is None); copies nothing.

    Args:
        exp: as loaded: paths are absolute.
        versions: of the packages here, to be compared with those of the cluster.
        data_on_nodes: the nodes have the data, and a model file, under the paths they have here.
        allow: codes of findings in the data to go on with.

    Raises:
        ExperimentError: ``storage`` would be lost with the job.
        DataError: the data are not there, or too big to travel.
    """
    load = JobPackage(texts={VERSIONS: json.dumps(dict(versions), indent=2, sort_keys=True)})
    package = Path(__file__).parents[1]
    for file in sorted(package.rglob("*")):
        if file.suffix in _CODE and file.is_file():
            load.files[f"{_PACKAGE}/{file.relative_to(package).as_posix()}"] = file
    if exp is None:
        return load
    fault = storage_fault(exp.storage)
    if fault is not None:
        raise ExperimentError(EXPERIMENT, [fault])
    if not data_on_nodes:
        exp = _with_files(exp, load, outside=OUTSIDE in allow)
    load.texts[EXPERIMENT] = json.dumps(exp.model_dump(mode="json"), indent=2, ensure_ascii=False)  # JSON is YAML
    if load.size > LIMIT_BYTES:
        raise DataError(
            f"the job would carry {load.told()}, at most {_mib(LIMIT_BYTES)} may travel with it; put data and model on "
            "a storage that every node sees (under storage:, or s3://…) and name that path, or say --data-on-nodes if "
            "the nodes have them under the same paths"
        )
    return load


def storage_fault(storage: str) -> Fault | None:
    """Return what is wrong with a storage inside a job, whose own folder is removed when it ends."""
    if is_address(storage) or os.path.isabs(os.path.expanduser(storage)):
        return None
    return Fault(
        key="storage",
        message=f"{storage!r} is relative: it would lie in the job's own folder, which is removed when the job ends; "
        "give a folder that every node sees, e.g. storage=/mnt/shared/runs",
    )


def _with_files(exp: Experiment, load: JobPackage, *, outside: bool) -> Experiment:
    """Add local data and a local model to the load; return the experiment that names them there."""
    change = {}
    storage = os.path.expanduser(exp.storage)
    model = Path(exp.model)
    if model.is_file() and not _within(model, storage):
        load.files[f"{_MODEL}/{model.name}"] = model
        change["model"] = f"{_MODEL}/{model.name}"
    if not exp.data.startswith("sample:") and not is_address(exp.data) and not _within(Path(exp.data), storage):
        files, texts, named = data_files(exp.data, exp.task, outside=outside)
        load.files.update({f"{_DATA}/{name}": file for name, file in files.items()})
        load.texts.update({f"{_DATA}/{name}": text for name, text in texts.items()})
        change["data"] = f"{_DATA}/{named}"
    return exp.model_copy(update=change)


def _within(path: Path, storage: str) -> bool:
    """Tell whether the nodes see a path anyway, because it lies in the storage."""
    return not is_address(storage) and Path(os.path.realpath(path)).is_relative_to(os.path.realpath(storage))


def write_package(load: JobPackage, folder: Path) -> None:
    """Copy everything into an empty folder."""
    for name, file in load.files.items():
        target = folder / name
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(file, target)
    for name, text in load.texts.items():
        target = folder / name
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(_bytes(text))


def place_data(carried: str, job_folder: Path, storage: str, job: str) -> str:
    """Copy data that came with a job to the storage, once, and return their path there.

    The job's own folder goes when the job ends; a run that is taken up again has to find its data.

    Args:
        carried: the experiment's ``data`` as loaded in the job.
        job_folder: where the load was unpacked.
        storage: the experiment's.
        job: the job's id, by which the copy is named.

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
        place = target.parent
        raise RunFolderError(f"storage: cannot write the data to {place} ({error.strerror or error})") from error
    finally:
        shutil.rmtree(draft, ignore_errors=True)
    return str(target / Path(carried).relative_to(inside))


def _bytes(text: str) -> bytes:
    return text.encode(errors="surrogateescape")  # a file's name need not be UTF-8


def _mib(size: int) -> str:
    return f"{size / (1 << 20):.1f} MiB"
