"""A tracker's server that refuses, hangs, forgets runs or is far behind: nothing is lost, and one line says so.

The sink here stands for any: each message is a request to a server of this machine. What W&B's and MLflow's own clients
make of such servers is tested where they are installed (``tests/contract/test_sink.py``, ``tests/e2e/test_wandb.py``).
"""

from __future__ import annotations

import http.server
import json
import threading
import urllib.error
import urllib.request
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import closing
from typing import Any
from unittest.mock import patch

import psutil
import pytest
from tests.unit.tracking.test_mirror import END, events_of, row, started, trial_ended, trial_started

from yolosweep.ledger import Ledger, RunFolder
from yolosweep.tracking.mirror_state import MirrorState
from yolosweep.tracking.sink import Close, Message, NotSent, Open, Row
from yolosweep.tracking.supervisor import Limits, supervise
from yolosweep.tracking.wandb import WandbSink

QUICK = Limits(poll_s=0.01, backoff_s=0.01, longest_backoff_s=0.02, final_attempts=40)


class Server(http.server.ThreadingHTTPServer):
    """Keeps rows by run; its rules decide which requests it does not answer well."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.rows: dict[str, list[int]] = {}
        self.endings: dict[str, str] = {}
        self.requests, self.refused = 0, 0
        self.every_nth_is_429 = 0
        self.gone: set[str] = set()
        self.hangs = threading.Event()
        self.awake = threading.Event()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"


class Handler(http.server.BaseHTTPRequestHandler):
    server: Server

    def do_POST(self) -> None:
        server, run = self.server, self.path.removeprefix("/")
        content = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        server.requests += 1
        if server.hangs.is_set():
            server.awake.wait()
            return
        if server.every_nth_is_429 and server.requests % server.every_nth_is_429 == 0:
            server.refused += 1
            self.send_error(429, "slow down")
        elif run in server.gone:
            self.send_error(410, "the run was deleted")
        else:
            server.rows.setdefault(run, []).extend(content["steps"])
            if content["outcome"]:
                server.endings[run] = content["outcome"]
            body = json.dumps(max(server.rows[run], default=-1)).encode()
            self.send_response(200)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

    def log_message(self, *arguments: Any) -> None:
        """Log nothing."""


class HttpSink(WandbSink):
    """Sends the steps of each row."""

    def __init__(self, url: str) -> None:
        self._url = url

    def address(self, section: Any, environ: Any) -> str:
        return self._url

    def run_id(self, sweep: str, part: str) -> str:
        return part

    def connect(self, destination: Any) -> HttpConnection:
        return HttpConnection(self._url)


class HttpConnection:
    url, note = None, None

    def __init__(self, url: str) -> None:
        self._url = url
        self.warnings: dict[str, str] = {}

    def open(self, opening: Open, *, closes: bool) -> int:
        return self._post(opening.run, [])

    def send(self, run: str, messages: Sequence[Message]) -> None:
        steps = [message.step for message in messages if isinstance(message, Row)]
        for start in range(0, len(steps), 500):
            self._post(run, steps[start : start + 500])

    def finish(self, run: str, close: Close | None) -> None:
        self._post(run, [], close.outcome if close else None)

    def _post(self, run: str, steps: list[int], outcome: str | None = None) -> int:
        body = json.dumps({"steps": steps, "outcome": outcome}).encode()
        try:
            with urllib.request.urlopen(urllib.request.Request(f"{self._url}/{run}", body)) as answer:
                return int(json.load(answer))
        except urllib.error.HTTPError as error:
            with error:
                raise NotSent(f"{run}: {error.code} {error.reason}") from error
        except OSError as error:
            raise NotSent(f"{run}: {error}") from error

    def close(self) -> None:
        """Nothing is open."""


@pytest.fixture
def server() -> Iterator[Server]:
    with Server() as running:
        thread = threading.Thread(target=running.serve_forever, args=(0.01,), daemon=True)
        thread.start()
        yield running
        running.awake.set()
        running.shutdown()
        thread.join()


def sweep(tmp_path: Any, *, trials: int, epochs: int) -> RunFolder:
    folder = RunFolder.create(tmp_path, "cars")
    of_trials = [
        entry
        for number in range(trials)
        for entry in (
            trial_started(number),
            *(row(number, epoch) for epoch in range(1, epochs + 1)),
            trial_ended(number),
        )
    ]
    with closing(Ledger(folder)) as ledger, patch("os.fsync"):
        for event in events_of([started(), *of_trials, END]):
            ledger.append(event)
    folder.mirror("x").parent.mkdir()
    return folder


def mirror(folder: RunFolder, server: Server, limits: Limits = QUICK) -> int:
    return supervise(folder, HttpSink(server.url), follow=False, limits=limits)


def check_everything_is_there_once(server: Server, *, trials: int, epochs: int) -> None:
    for number in range(trials):
        assert server.rows[f"t{number:04}"] == list(range(1, epochs + 1)), number
    assert Counter(server.endings.values()) == {"finished": trials + 1}


def test_rate_limits_cost_time_and_no_row(tmp_path: Any, server: Server) -> None:
    folder = sweep(tmp_path, trials=6, epochs=4)
    server.every_nth_is_429 = 5
    assert mirror(folder, server) == 0
    assert server.refused > 1
    check_everything_is_there_once(server, trials=6, epochs=4)
    state = MirrorState.load(folder, "wandb")
    assert (state.complete, state.last_error) == (True, None)


def test_a_server_that_refuses_all_the_time_is_one_line(tmp_path: Any, server: Server) -> None:
    folder = sweep(tmp_path, trials=1, epochs=2)
    server.every_nth_is_429 = 1
    assert mirror(folder, server, Limits(poll_s=0.01, backoff_s=0.01, final_attempts=3)) == 1
    assert MirrorState.load(folder, "wandb").last_error == "t0000: 429 slow down"
    assert server.requests == 3 * 2
    server.every_nth_is_429 = 0
    assert mirror(folder, server) == 0, "a push sends what was left"
    check_everything_is_there_once(server, trials=1, epochs=2)


def test_a_server_that_hangs_is_left_and_asked_again_later(tmp_path: Any, server: Server) -> None:
    folder = sweep(tmp_path, trials=1, epochs=2)
    server.hangs.set()
    assert mirror(folder, server, Limits(poll_s=0.01, final_attempts=1, stalled_s=0.5)) == 1
    assert "did not answer for" in str(MirrorState.load(folder, "wandb").last_error)
    assert not psutil.Process().children()
    server.hangs.clear()
    server.awake.set()
    assert mirror(folder, server) == 0
    check_everything_is_there_once(server, trials=1, epochs=2)


@pytest.mark.parametrize("gone", ["t0000", "t0001", "sweep"])
def test_a_run_that_was_deleted_there_costs_no_other_run(gone: str, tmp_path: Any, server: Server) -> None:
    folder = sweep(tmp_path, trials=3, epochs=2)
    server.gone = {gone}
    assert mirror(folder, server, Limits(poll_s=0.01, backoff_s=0.01, final_attempts=2)) == 1
    assert server.endings.keys() == {"t0000", "t0001", "t0002", "sweep"} - {gone}
    state = MirrorState.load(folder, "wandb")
    assert (state.complete, state.last_error) == (False, f"{gone}: 410 the run was deleted")
    assert server.rows["t0002"] == [1, 2]


@pytest.mark.slow
def test_a_backlog_of_ten_thousand_rows_arrives_once(tmp_path: Any, server: Server) -> None:
    folder = sweep(tmp_path, trials=20, epochs=500)
    assert mirror(folder, server) == 0
    check_everything_is_there_once(server, trials=20, epochs=500)
    asked = server.requests
    assert mirror(folder, server) == 0
    assert server.requests == asked, "nothing is left to send"
