"""The report on this machine while the sweep runs: rendered again when the ledger has grown, on 127.0.0.1 only."""

from __future__ import annotations

import mimetypes
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import unquote, urlsplit

from yolosweep.errors import UsageError, YolosweepError
from yolosweep.ledger import RunFolder
from yolosweep.ledger.history import History
from yolosweep.report.sweep_page import render_of
from yolosweep.report.verified_winner import verify_file

__all__ = ["ReportServer"]

_ADDRESS = "127.0.0.1"
_REFRESH_S = 10
_POLL_S = 0.1
_HEADERS = {
    "Cache-Control": "no-store",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Referrer-Policy": "no-referrer",
}


_STATIC = "default-src 'none'; style-src 'unsafe-inline'; img-src 'self' data:; sandbox"
"""Of all but the report: a run folder of somebody else may record any page as a picture."""


class ReportServer:
    """Serves the report of one run: the page, and the recorded pictures of its winner; nothing else.

    Only requests that name this address are answered: a page of another site can make its own name lead to this
    machine (DNS rebinding), but then the browser names that site.

    Args:
        folder: the run folder.
        port: 0 for a free one.

    Raises:
        RunFolderError: the run folder holds no sweep.
        UsageError: the port is taken.
    """

    def __init__(self, folder: RunFolder, port: int = 0) -> None:
        self._folder, self._lock = folder, threading.Lock()
        self._history = History.of(folder)
        self._page: tuple[int, bytes] = (-1, b"")
        try:
            self._server = ThreadingHTTPServer((_ADDRESS, port), _handler(self))
        except OSError as error:
            raise UsageError(
                f"--port {port}: {error.strerror or error}; choose another port, or leave it out"
            ) from error

    @property
    def url(self) -> str:
        """Address of the page."""
        return f"http://{_ADDRESS}:{self._server.server_port}/"

    def serve(self) -> None:
        """Answer requests until :meth:`close` or an interruption."""
        try:
            self._server.serve_forever(poll_interval=_POLL_S)
        finally:
            self._server.server_close()

    def close(self) -> None:
        """End :meth:`serve`, which runs in another thread."""
        self._server.shutdown()

    def is_own(self, host: str | None) -> bool:
        """Return whether a ``Host`` header names this server."""
        return host in {f"{name}:{self._server.server_port}" for name in (_ADDRESS, "localhost")}

    def answer(self, path: str) -> tuple[bytes, str, bool] | None:
        """Return content, media type, and whether to ask again soon; None if there is no such page.

        Raises:
            YolosweepError: the run cannot be read.
        """
        with self._lock:
            if path == "/":
                page = self._rendered()
                return page, "text/html; charset=utf-8", self._history.ended is None
            winner = self._history.winner.winner if self._history.winner else None
            for picture in winner.pictures if winner else ():
                if path == f"/{picture.path}":
                    kind = mimetypes.guess_type(picture.path)[0] or "application/octet-stream"
                    return verify_file(self._folder, picture).read_bytes(), kind, False
            return None

    def _rendered(self) -> bytes:
        self._folder.refresh()
        self._history = history = History.of(self._folder)
        if self._page[0] != history.seq:
            self._page = history.seq, render_of(self._folder, history).encode()
        return self._page[1]


def _handler(server: ReportServer) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        """GET only: the base class refuses other methods."""

        server_version, sys_version = "yolosweep", ""

        def do_GET(self) -> None:
            """Answer a request for this server."""
            if not server.is_own(self.headers.get("Host")):
                self._send(421, b"this server answers at its own address only\n")
                return
            try:
                found = server.answer(unquote(urlsplit(self.path).path))
            except (YolosweepError, OSError) as error:
                self._send(503, f"{error}\n".encode(errors="replace"), again=True)
                return
            if found is None:
                self._send(404, b"there is no such page\n")
            else:
                content, kind, again = found
                self._send(200, content, kind, again=again)

        def _send(
            self, code: int, content: bytes, kind: str = "text/plain; charset=utf-8", *, again: bool = False
        ) -> None:
            self.send_response(code)
            more = {"Refresh": str(_REFRESH_S)} if again else {}
            if urlsplit(self.path).path != "/":
                more["Content-Security-Policy"] = _STATIC
            headers = {"Content-Type": kind, "Content-Length": str(len(content)), **_HEADERS, **more}
            for name, value in headers.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, format: str, *args: object) -> None:
            """Log nothing."""

    return Handler
