"""The live report: what is served, to whom, and for how long it asks again."""

from __future__ import annotations

import hashlib
import http.client
import shutil
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from yolosweep.errors import UsageError
from yolosweep.ledger import Ledger, RunFolder
from yolosweep.ledger.history import History
from yolosweep.records import FileRef
from yolosweep.records.events import Note, SweepEnded, SweepResumed
from yolosweep.workflows.report_server import ReportServer

RECORDED = Path(__file__).parents[2] / "fixtures" / "run_v1"


@pytest.fixture
def folder(tmp_path: Path) -> RunFolder:
    shutil.copytree(RECORDED, tmp_path / "run")
    return RunFolder.open(tmp_path / "run")


@pytest.fixture
def server(folder: RunFolder) -> Iterator[ReportServer]:
    server = ReportServer(folder)
    thread = threading.Thread(target=server.serve, daemon=True)
    thread.start()
    yield server
    server.close()
    thread.join(timeout=60)


def ask(
    server: ReportServer, path: str = "/", host: str | None = None, method: str = "GET"
) -> tuple[int, dict[str, str], bytes]:
    port = int(server.url.rsplit(":", 1)[1].strip("/"))
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
    connection.request(method, path, headers={"Host": host or f"127.0.0.1:{port}"})
    answer = connection.getresponse()
    found = answer.status, dict(answer.getheaders()), answer.read()
    connection.close()
    return found


def test_the_page_follows_the_ledger_and_asks_again_until_the_sweep_ends(
    server: ReportServer, folder: RunFolder
) -> None:
    assert server.url.startswith("http://127.0.0.1:")
    ledger = Ledger(folder)
    history = History.of(folder)
    ledger.append(SweepResumed(experiment=history.experiment, dataset=history.dataset))
    ledger.append(Note(text="the disk is slow today"))
    status, headers, page = ask(server)
    assert status == 200
    assert headers["Content-Type"] == "text/html; charset=utf-8"
    assert headers["X-Content-Type-Options"] == "nosniff"
    assert "Content-Security-Policy" not in headers  # the page has its own, with the hashes of its scripts
    assert b"the disk is slow today" in page
    assert headers["Refresh"] == "10"
    ledger.append(SweepEnded(status="finished", reason="all trials ran"))
    ledger.close()
    assert "Refresh" not in ask(server)[1]


@pytest.mark.parametrize("host", ["evil.example", "evil.example:80", "127.0.0.1", "127.0.0.1.evil.example", "[::1]:1"])
def test_a_request_that_names_another_host_is_refused(server: ReportServer, host: str) -> None:
    status, _, content = ask(server, host=host)
    assert status == 421
    assert b"<html" not in content


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "OPTIONS", "HEAD"])
def test_only_get_is_answered(server: ReportServer, method: str) -> None:
    assert ask(server, method=method)[0] == 501


@pytest.mark.parametrize(
    "path",
    ["/ledger.jsonl", "/../ledger.jsonl", "/%2e%2e/ledger.jsonl", "/winner/best.pt", "/report.html", "//etc/passwd"],
)
def test_no_other_file_is_served(server: ReportServer, path: str) -> None:
    status, headers, _ = ask(server, path)
    assert status == 404
    assert "sandbox" in headers["Content-Security-Policy"]


def test_localhost_is_this_machine_too(server: ReportServer) -> None:
    assert ask(server, host=server.url.removeprefix("http://").strip("/").replace("127.0.0.1", "localhost"))[0] == 200


def test_a_recorded_picture_is_served_while_it_is_unchanged(folder: RunFolder, monkeypatch: pytest.MonkeyPatch) -> None:
    picture = folder.winner / "plots" / "curve.png"
    picture.parent.mkdir(parents=True, exist_ok=True)
    picture.write_bytes(b"a picture")
    digest = hashlib.sha256(b"a picture").hexdigest()
    server = ReportServer(folder)
    recorded = FileRef(path="winner/plots/curve.png", sha256=digest, size=9)
    winner = server._history.winner
    assert winner is not None
    server._history.winner = winner.model_copy(
        update={"pictures": (recorded, FileRef(path="../secret.png", sha256=digest, size=9))}
    )
    assert server.answer("/winner/plots/curve.png") == (b"a picture", "image/png", False)
    assert server.answer("/winner/plots/other.png") is None
    picture.write_bytes(b"another one")
    with pytest.raises(Exception, match="was changed after the training"):
        server.answer("/winner/plots/curve.png")
    server._server.server_close()


def test_a_damaged_ledger_is_an_error_of_the_page_alone(server: ReportServer, folder: RunFolder) -> None:
    whole = folder.ledger.read_text()
    folder.ledger.write_text("{}\n" + whole)
    status, headers, content = ask(server)
    assert (status, "Refresh" in headers) == (503, True)
    assert b"ledger" in content
    folder.ledger.write_text(whole)
    assert ask(server)[0] == 200


def test_a_port_that_is_taken_is_named(server: ReportServer, folder: RunFolder) -> None:
    port = int(server.url.rsplit(":", 1)[1].strip("/"))
    with pytest.raises(UsageError, match=f"--port {port}: .* choose another port"):
        ReportServer(folder, port)
