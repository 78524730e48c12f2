"""Fixtures for tests that run the real command in a process of its own, with a home folder of its own."""

from __future__ import annotations

import contextlib
import json
import os
import secrets
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, settings

from yolosweep.data.samples.sample_cache import sample_folder
from yolosweep.errors import RunFolderError
from yolosweep.ledger import RunFolder
from yolosweep.ledger.history import History

REPOSITORY = Path(__file__).resolve().parents[1]

os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
"""Processes that tests start keep what they have compiled: else each of them compiles all modules again."""

os.environ.update(RAY_worker_niceness="0")
"""Ray runs its workers at nice 15: beside three other tests that train, they would hardly run at all."""

# On top of Hypothesis' own choice, which is another one in CI. How long an example takes depends on the machine.
settings.register_profile("tests", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("tests")


@dataclass
class Shell:
    """Runs ``yolosweep`` the way a user does."""

    home: Path
    cwd: Path
    processes: list[subprocess.Popen[str]]

    def environment(self, **more: str) -> dict[str, str]:
        """Return the environment of a new user: no W&B key, no settings, nothing cached but the samples."""
        kept = {
            k: v
            for k, v in os.environ.items()
            if k == "RAY_worker_niceness" or not k.startswith(("WANDB", "RAY_", "YOLO", "XDG"))
        }
        return {**kept, "HOME": str(self.home), "NO_COLOR": "1", "COLUMNS": "200", **more}

    def start(self, *arguments: str | Path, **more: str) -> subprocess.Popen[str]:
        """Start the command and return at once."""
        return self.start_python("-m", "yolosweep", *arguments, **more)

    def start_python(self, *arguments: str | Path, **more: str) -> subprocess.Popen[str]:
        """Start Python in the environment of the command."""
        process = subprocess.Popen(
            [sys.executable, *map(str, arguments)],
            cwd=self.cwd,
            env=self.environment(**more),
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )
        self.processes.append(process)
        return process

    def __call__(self, *arguments: str | Path, code: int = 0, **more: str) -> Done:
        """Run the command to its end and check its exit code."""
        process = self.start(*arguments, **more)
        out, err = process.communicate(timeout=900)
        assert process.returncode == code, f"exit code {process.returncode}\n{out}\n{err}"
        assert "Traceback" not in err, err
        return Done(out=out, err=err)

    def run(self, experiment: Path, *overrides: str, code: int = 0, **more: str) -> Sweep:
        """Run an experiment into a storage folder of its own and return what it left."""
        before = set(self.cwd.glob("runs/*/"))
        done = self("run", experiment, *overrides, "--json", code=code, **more)
        (folder,) = set(self.cwd.glob("runs/*/")) - before
        told = json.loads(done.out) if done.out else {}
        return Sweep(RunFolder(folder), told, done.err)


@dataclass(frozen=True)
class Done:
    out: str
    err: str


@dataclass(frozen=True)
class Sweep:
    folder: RunFolder
    told: dict[str, Any]
    err: str

    @property
    def history(self) -> History:
        return History.of(self.folder)


@pytest.fixture(scope="session", autouse=True)
def _ctrl_c_is_heard() -> None:
    """In the background of a script tests start with SIGINT ignored, and commands would inherit that."""
    signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(scope="module", autouse=True)
def _gpus_come_back() -> Iterator[None]:
    """A training without a GPU hides them from its process: here that would be from the tests of other files."""
    before = os.environ.get("CUDA_VISIBLE_DEVICES")
    yield
    os.environ.pop("CUDA_VISIBLE_DEVICES", None)
    if before is not None:
        os.environ["CUDA_VISIBLE_DEVICES"] = before


@pytest.fixture(scope="session")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder that all worker processes of these tests share."""
    base = tmp_path_factory.getbasetemp()
    return base.parent if "PYTEST_XDIST_WORKER" in os.environ else base


@pytest.fixture(scope="session", autouse=True)
def cache(shared: Path) -> Iterator[Path]:
    """The cache folder of all test processes: what one has drawn, searched or compiled is there for the others."""
    with pytest.MonkeyPatch.context() as here:
        here.setenv("XDG_CACHE_HOME", str(shared / "cache"))
        yield shared / "cache"


@pytest.fixture(scope="session")
def parking(cache: Path) -> Path:
    """The parking sample as ``yolosweep sample parking`` draws it, drawn once for all tests; read only."""
    return sample_folder("sample:parking")


@pytest.fixture(scope="session")
def small_lot(parking: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A part of the parking sample that is read, copied and checked at once: its folder, read only."""
    folder = tmp_path_factory.mktemp("small") / "lot"
    for split, number in (("train", 24), ("val", 8), ("test", 4)):
        for image in sorted((parking / "images" / split).iterdir())[:number]:
            for file in (image, parking / "labels" / split / f"{image.stem}.txt"):
                place = folder / file.relative_to(parking)
                place.parent.mkdir(parents=True, exist_ok=True)
                shutil.copyfile(file, place)
    shutil.copyfile(parking / "data.yaml", folder / "data.yaml")
    return folder


@pytest.fixture(scope="session")
def new_home(parking: Path) -> Callable[[Path], Path]:
    """A function that makes the home folder of a user who has the parking sample."""

    def make(place: Path) -> Path:
        shutil.copytree(parking, place / ".cache" / "yolosweep" / "samples" / parking.name)
        return place

    return make


@pytest.fixture(scope="session")
def home(new_home: Callable[[Path], Path], tmp_path_factory: pytest.TempPathFactory) -> Path:
    return new_home(tmp_path_factory.mktemp("home"))


@contextlib.contextmanager
def ended_after() -> Iterator[list[subprocess.Popen[str]]]:
    """Yield a list of processes, each in a session of its own; those that still run are ended after it."""
    started: list[subprocess.Popen[str]] = []
    yield started
    for process in started:
        with process:  # closes its pipes
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGKILL)


@pytest.fixture
def processes() -> Iterator[list[subprocess.Popen[str]]]:
    """What a test started, each in a session of its own.

    What a failed one has left running is ended: it would disturb the tests after it, and be blamed on them.
    """
    with ended_after() as started:
        yield started


@pytest.fixture
def shell(home: Path, tmp_path: Path, processes: list[subprocess.Popen[str]]) -> Shell:
    return Shell(home=home, cwd=tmp_path, processes=processes)


@pytest.fixture(scope="module")
def module_shell(home: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shell]:
    """For a sweep that several tests of a file read: it is run once."""
    with ended_after() as started:
        yield Shell(home=home, cwd=tmp_path_factory.mktemp("module"), processes=started)


@pytest.fixture(scope="session")
def repository() -> Path:
    return REPOSITORY


@pytest.fixture(scope="session")
def two_ranks() -> Path:
    """An experiment whose trials have two ranks each."""
    return REPOSITORY / "tests" / "two_ranks.yaml"


@pytest.fixture(scope="session")
def bccd_tiny() -> Path:
    """Real photos beside the repository; read only."""
    data = REPOSITORY.parent / "shared" / "data" / "bccd_tiny" / "data.yaml"
    if not data.is_file():
        pytest.skip(f"the BCCD sample is not at {data}")
    return data


@pytest.fixture(scope="session")
def bccd() -> Path:
    """More real photos beside the repository; read only."""
    data = REPOSITORY.parent / "shared" / "data" / "bccd" / "data.yaml"
    if not data.is_file():
        pytest.skip(f"the BCCD photos are not at {data}")
    return data


@pytest.fixture(scope="session")
def s3() -> Iterator[str]:
    """A real server of the S3 protocol on this machine; its address."""
    from moto.server import ThreadedMotoServer

    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    yield f"{host}:{port}"
    server.stop()


@pytest.fixture
def credentials(monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    """What reaches the S3 server, set here and to be given to processes; the secret one is a canary."""
    told = {"AWS_ACCESS_KEY_ID": "someone", "AWS_SECRET_ACCESS_KEY": f"canary-{secrets.token_hex(8)}"}
    told["AWS_EC2_METADATA_DISABLED"] = "true"
    for name, value in told.items():
        monkeypatch.setenv(name, value)
    return told


def client(s3: str) -> Any:
    """Return another client of the S3 server than the product's."""
    import boto3

    return boto3.client("s3", endpoint_url=f"http://{s3}", region_name="us-east-1")


@pytest.fixture
def empty_bucket(s3: str, credentials: dict[str, str]) -> Callable[[], str]:
    """A function that makes a bucket and returns the address of a folder in it."""

    def make() -> str:
        name = f"set-{secrets.token_hex(4)}"
        client(s3).create_bucket(Bucket=name)
        return f"s3://{name}/sweeps?endpoint_override={s3}&scheme=http&region=us-east-1"

    return make


@pytest.fixture
def bucket(
    s3: str, empty_bucket: Callable[[], str], credentials: dict[str, str]
) -> Callable[[Path], tuple[str, dict[str, str]]]:
    """A function that puts a folder into a bucket and returns its address, and the credentials as environment."""

    def upload(folder: Path) -> tuple[str, dict[str, str]]:
        address, server = empty_bucket(), client(s3)
        name = address.removeprefix("s3://").partition("/")[0]
        for file in sorted(path for path in folder.rglob("*") if path.is_file()):
            key = f"set/{file.relative_to(folder).as_posix()}"
            server.put_object(Bucket=name, Key=key, Body=file.read_bytes())
        return address.replace("/sweeps?", "/set/data.yaml?"), credentials

    return upload


def wait_for(condition: Callable[[], Any], *, timeout_s: float = 300.0) -> Any:
    """Return the first true answer of ``condition``; fail after ``timeout_s``.

    A run folder that cannot be read is no answer yet: a ledger is there a moment before its first line. A condition
    that takes long, as one that reads a whole ledger, is asked less often: what is waited for needs the cores, too.
    """
    deadline, unread = time.monotonic() + timeout_s, None
    while (began := time.monotonic()) < deadline:
        try:
            if found := condition():
                return found
        except RunFolderError as error:
            unread = error
        time.sleep(max(0.05, 3 * (time.monotonic() - began)))
    raise AssertionError(f"{condition} did not come true within {timeout_s} s") from unread


@pytest.fixture(name="wait_for", scope="session")
def _wait_for() -> Callable[..., Any]:
    return wait_for
