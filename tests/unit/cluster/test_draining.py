"""Draining a node: its trainings get the notice and are waited for; the cloud is polled. Real locks and processes."""

import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import pytest

from yolosweep.cluster.node_draining import NOTICE_TTL_S, clear_notice, drain, is_draining, training_lock
from yolosweep.cluster.spot_notice import has_notice

TRAINING = """
import sys
from yolosweep.cluster.node_draining import training_lock, is_draining
with training_lock():
    print("begun", flush=True)
    {meanwhile}
"""


@pytest.fixture(autouse=True)
def _cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))


def training(meanwhile: str) -> "subprocess.Popen[str]":
    """Start a process that is at work, and return once it is."""
    text = TRAINING.format(meanwhile=meanwhile)
    process = subprocess.Popen(
        [sys.executable, "-c", text], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )  # fmt: skip
    assert process.stdout is not None
    assert process.stdout.readline() == "begun\n"
    return process


@pytest.mark.slow
def test_trainings_are_told_and_waited_for() -> None:
    assert not is_draining()
    process = training("while not is_draining(): pass")
    assert drain(60) == 0
    assert is_draining()
    process.communicate()
    assert process.returncode == 0
    clear_notice()
    assert not is_draining()


@pytest.mark.slow
def test_one_that_does_not_end_is_counted_and_one_that_was_killed_is_not() -> None:
    endless = training("sys.stdin.read()")
    ticks = iter(range(100))
    assert drain(2, clock=lambda: float(next(ticks))) == 1
    endless.kill()
    endless.communicate()
    assert drain(0) == 0


def test_nobody_at_work_is_not_waited_for() -> None:
    assert drain(0) == 0
    with training_lock():
        assert is_draining()


def test_a_notice_runs_out(tmp_path: Path) -> None:
    drain(0)
    (notice,) = (tmp_path / "cache").rglob("leaving")
    notice.write_text(str(float(notice.read_text()) - NOTICE_TTL_S))
    assert not is_draining()


def test_a_home_that_machines_share_holds_a_notice_for_each(monkeypatch: pytest.MonkeyPatch) -> None:
    drain(0)
    monkeypatch.setattr(socket, "gethostname", lambda: "another")
    assert not is_draining()
    assert drain(0) == 0
    assert is_draining()


# --- The commands.


def yolosweep(*words: str) -> "subprocess.Popen[str]":
    command = [sys.executable, "-m", "yolosweep", *words]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


@pytest.mark.slow
def test_leave_says_what_was_not_stored() -> None:
    endless = training("sys.stdin.read()")
    process = yolosweep("leave", "--grace", "0")
    _, err = process.communicate()
    assert process.returncode == 6
    assert "1 trial has not checkpointed within 0 s" in err
    assert "--grace" in err
    endless.communicate("")
    process = yolosweep("leave")
    _, err = process.communicate()
    assert process.returncode == 0, err
    assert "node drained" in err


NODE = """
import signal, sys
signal.signal(signal.SIGTERM, lambda *_: sys.exit("ended"))
print("up", flush=True)
signal.pause()
"""


@pytest.mark.slow
def test_a_node_ends_after_its_trainings() -> None:
    process = yolosweep("node", "--", sys.executable, "-c", NODE)
    assert process.stdout is not None
    assert process.stdout.readline() == "up\n"
    busy = training("while not is_draining(): pass")
    process.send_signal(signal.SIGTERM)
    _, err = process.communicate()
    assert process.returncode == 0, err
    busy.communicate()
    assert busy.returncode == 0
    assert err.index("node is shutting down") < err.index("node drained") < err.index("ended")


@pytest.mark.slow
def test_a_node_that_ends_by_itself_gives_its_code_and_takes_an_old_notice_back() -> None:
    drain(0)
    process = yolosweep("node", "--", sys.executable, "-c", "raise SystemExit(7)")
    process.communicate()
    assert process.returncode == 7
    assert not is_draining()


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (("--cloud", "azure", "--", "true"), "must be one of aws, gcp"),
        (("--", "/no/such/ray"), "cannot start"),
        (("--", "ray", "start", "--address=head:6379"), "add --block"),
    ],
)
@pytest.mark.slow
def test_wrong_words_are_told(words: tuple[str, ...], told: str) -> None:
    process = yolosweep("node", *words)
    _, err = process.communicate()
    assert process.returncode == 2
    assert told in err
    assert "Traceback" not in err


# --- The clouds: a server of their protocol.


class Metadata(BaseHTTPRequestHandler):
    """AWS's (IMDSv2 only) and GCP's metadata service."""

    gone = False

    def _say(self, code: int, text: str = "") -> None:
        self.send_response(code)
        self.end_headers()
        self.wfile.write(text.encode())

    def do_PUT(self) -> None:
        is_token = self.path == "/latest/api/token" and self.headers["X-aws-ec2-metadata-token-ttl-seconds"]
        self._say(200, "a-token") if is_token else self._say(400)

    def do_GET(self) -> None:
        if self.path == "/latest/meta-data/spot/instance-action":
            if self.headers["X-aws-ec2-metadata-token"] != "a-token":
                self._say(401)
            else:
                self._say(200, '{"action": "terminate"}') if self.gone else self._say(404)
        elif self.path == "/computeMetadata/v1/instance/preempted" and self.headers["Metadata-Flavor"] == "Google":
            self._say(200, "TRUE" if self.gone else "FALSE")
        else:
            self._say(403)

    def log_message(self, *_: Any) -> None:
        pass


@pytest.fixture
def metadata(monkeypatch: pytest.MonkeyPatch) -> Iterator[dict[str, str]]:
    monkeypatch.setattr(Metadata, "gone", False)
    server = HTTPServer(("127.0.0.1", 0), Metadata)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    host = f"127.0.0.1:{server.server_port}"
    yield {"AWS_EC2_METADATA_SERVICE_ENDPOINT": f"http://{host}/", "GCE_METADATA_HOST": host}
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.mark.parametrize("cloud", ["aws", "gcp"])
def test_the_cloud_is_asked(cloud: str, metadata: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> None:
    assert not has_notice(cloud, metadata)
    monkeypatch.setattr(Metadata, "gone", True)
    assert has_notice(cloud, metadata)


def test_a_service_that_does_not_answer_has_told_nothing() -> None:
    nowhere = {"AWS_EC2_METADATA_SERVICE_ENDPOINT": "http://127.0.0.1:1", "GCE_METADATA_HOST": "127.0.0.1:1"}
    assert not has_notice("aws", nowhere)
    assert not has_notice("gcp", nowhere)


@pytest.mark.slow
def test_a_node_goes_when_the_cloud_says_so(metadata: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Metadata, "gone", True)
    for name, value in metadata.items():
        monkeypatch.setenv(name, value)
    process = yolosweep("node", "--cloud", "aws", "--", sys.executable, "-c", NODE)
    _, err = process.communicate()
    assert process.returncode == 0, err
    assert "node is shutting down" in err
