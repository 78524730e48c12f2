"""What travels with a job: all that it needs, nothing that lies around, and never more than was told."""

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from PIL import Image

from yolosweep.cluster import job_package as packing
from yolosweep.cluster.job_data_files import data_files
from yolosweep.cluster.job_package import JobPackage, keep_data, package_of, storage_fault, write_package
from yolosweep.data import examine
from yolosweep.errors import DataError, ExperimentError, RunFolderError
from yolosweep.experiment import Experiment, load_experiment

VERSIONS = {"python": "3.11.9"}


@pytest.fixture
def lot(parking: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(parking, tmp_path / "lot"))


def experiment(repository: Path, *overrides: str) -> Experiment:
    return load_experiment(repository / "jobs" / "experiments" / "toy.yaml", ["storage=/shared/runs", *overrides])


@pytest.mark.slow
def test_the_data_that_arrive_are_the_data_that_were_sent(repository: Path, lot: Path, tmp_path: Path) -> None:
    for name in (".env", "key.pem", ".netrc", "credentials", "images/train/.env", "labels/train/key.pem"):
        (lot / name).write_text("canary")
    (lot / ".git").mkdir()
    (lot / ".git" / "config").write_text("canary")
    (lot / ".gitignore").write_text("images\n*.jpg\n")
    load = package_of(experiment(repository, f"data={lot / 'data.yaml'}"), VERSIONS)
    there = tmp_path / "there"
    write_package(load, there)
    assert sum(file.stat().st_size for file in there.rglob("*") if file.is_file()) == load.size
    assert not [file for file in there.rglob("*") if file.is_file() and file.read_bytes() == b"canary"]
    assert not [file for file in there.rglob("*") if file.name.startswith(".") or file.suffix == ".pem"]
    arrived = load_experiment(there / "experiment.yaml")
    sent, got = (examine(str(source), "detect").dataset for source in (lot / "data.yaml", arrived.data))
    assert (got.fingerprint, got.images, got.names) == (sent.fingerprint, sent.images, sent.names)
    assert not [finding.code for finding in got.findings if finding.code.startswith("yaml")]


def test_the_code_that_arrives_runs(repository: Path, tmp_path: Path) -> None:
    write_package(package_of(experiment(repository), VERSIONS), tmp_path)
    code = "import yolosweep.cli.app, yolosweep; print(yolosweep.__file__)"
    done = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=True)
    assert Path(done.stdout.strip()) == tmp_path / "yolosweep" / "__init__.py"
    assert not list(tmp_path.rglob("*.pyc")) or not any("__pycache__" in name for name in package_of(None, {}).files)
    assert json.loads((tmp_path / "versions.json").read_text()) == VERSIONS


def test_the_same_sweep_has_the_same_digest_and_another_has_another(repository: Path, lot: Path) -> None:
    data = f"data={lot / 'data.yaml'}"
    first = package_of(experiment(repository, data), VERSIONS).digest
    assert package_of(experiment(repository, data), VERSIONS).digest == first
    assert package_of(experiment(repository, data, "seed=1"), VERSIONS).digest != first
    label = next((lot / "labels" / "train").glob("*.txt"))
    label.write_text(label.read_text() + "0 0.5 0.5 0.1 0.1\n")
    assert package_of(experiment(repository, data), VERSIONS).digest != first


def test_what_the_nodes_have_does_not_travel(repository: Path, lot: Path, tmp_path: Path) -> None:
    on_storage = package_of(experiment(repository, f"data={lot / 'data.yaml'}", f"storage={tmp_path}"), VERSIONS)
    there = package_of(experiment(repository, f"data={lot / 'data.yaml'}"), VERSIONS, data_on_nodes=True)
    for load in (on_storage, there):
        assert not [name for name in load.files if name.startswith("data/")]
        assert json.loads(load.texts["experiment.yaml"])["data"] == str(lot / "data.yaml")
    assert json.loads(package_of(experiment(repository), VERSIONS).texts["experiment.yaml"])["data"] == "sample:parking"


def test_a_local_model_travels(repository: Path, tmp_path: Path) -> None:
    model = tmp_path / "mine.pt"
    model.write_bytes(b"weights")
    exp = experiment(repository).model_copy(update={"model": str(model)})
    load = package_of(exp, VERSIONS)
    assert load.files["model/mine.pt"] == model
    write_package(load, tmp_path / "there")
    assert json.loads(load.texts["experiment.yaml"])["model"] == "model/mine.pt"
    assert "model 0.0 MiB in 1 file" in load.describe()


def test_too_much_is_refused_before_anything_is_copied(
    repository: Path, lot: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(packing, "LIMIT_BYTES", 5 << 20)
    load = package_of(experiment(repository), VERSIONS)
    big = lot / "images" / "train" / "big.jpg"
    big.write_bytes(b"\0" * (4 << 20))
    with pytest.raises(DataError, match=r"(?s)data \d\.\d MiB in .* limit is 5\.0 MiB.*--data-on-nodes"):
        package_of(experiment(repository, f"data={lot / 'data.yaml'}"), VERSIONS)
    assert load.size < 5 << 20


def test_a_relative_storage_is_refused(repository: Path) -> None:
    with pytest.raises(ExperimentError, match=r"storage: '\./runs' is relative"):
        package_of(experiment(repository, "storage=./runs"), VERSIONS)
    assert storage_fault("s3://bucket/runs") is None
    assert storage_fault("~/runs") is None


def test_carried_data_are_put_on_the_storage_once(tmp_path: Path) -> None:
    job, storage = tmp_path / "job", tmp_path / "storage"
    (job / "data").mkdir(parents=True)
    (job / "data" / "data.yaml").write_text("first")
    carried = str(job / "data" / "data.yaml")
    placed = Path(keep_data(carried, job, str(storage), "toy-1"))
    assert placed == storage / "carried" / "toy-1" / "data.yaml"
    Path(carried).write_text("second")
    assert keep_data(carried, job, str(storage), "toy-1") == str(placed)
    assert placed.read_text() == "first"
    assert not list((storage / "carried").glob(".*"))
    (storage / "file").touch()
    with pytest.raises(RunFolderError, match="cannot write the data"):
        keep_data(carried, job, str(storage / "file"), "toy-1")
    assert keep_data("sample:parking", job, str(storage), "toy-1") == "sample:parking"


@pytest.mark.parametrize("val", ["val", "valid"])
def test_class_folders_arrive_as_they_were(val: str, tmp_path: Path) -> None:
    for split in ("train", val):
        for number, name in enumerate(("red", "blue")):
            (tmp_path / "set" / split / name).mkdir(parents=True)
            Image.new("RGB", (8, 8), (number * 200, 0, len(split))).save(tmp_path / "set" / split / name / "a.png")
    (tmp_path / "set" / ".env").write_text("canary")
    files, texts, named = data_files(str(tmp_path / "set"), "classify")
    write_package(JobPackage(files=files, texts=texts), tmp_path / "there")
    sent, got = (examine(str(place), "classify").dataset for place in (tmp_path / "set", tmp_path / "there" / named))
    assert (got.fingerprint, got.images) == (sent.fingerprint, sent.images)
    assert len(files) == 4


def test_an_archive_travels_as_it_is(lot: Path, tmp_path: Path) -> None:
    archive = Path(shutil.make_archive(str(tmp_path / "packed"), "zip", lot))
    assert data_files(str(archive), "detect") == ({"packed.zip": archive}, {}, "packed.zip")


@pytest.mark.slow
def test_labels_that_lie_in_odd_places_are_found_again(lot: Path, tmp_path: Path) -> None:
    (lot / "labels").rename(lot / "annotations")
    before = examine(str(lot / "data.yaml"), "detect").dataset
    assert all(before.instances.values())
    files, texts, named = data_files(str(lot / "data.yaml"), "detect")
    write_package(JobPackage(files=files, texts=texts), tmp_path / "there")
    got = examine(str(tmp_path / "there" / named), "detect").dataset
    assert (got.fingerprint, got.instances) == (before.fingerprint, before.instances)
