"""A wire to a server that can be cut and repaired: how tests make an outage of a network or a storage."""

from __future__ import annotations

import contextlib
import socket
import threading


class Wire:
    """A TCP proxy before a server that can be cut and mended."""

    def __init__(self, to: str) -> None:
        host, _, port = to.rpartition(":")
        self._to, self._up, self._open = (host, int(port)), True, list[socket.socket]()
        self._lock, self._over = threading.Lock(), threading.Semaphore(0)
        """Released by every direction of a connection that has ended."""
        self._server = socket.create_server(("127.0.0.1", 0))
        self.address = f"127.0.0.1:{self._server.getsockname()[1]}"
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                client, _ = self._server.accept()
                with self._lock:
                    self._connect(client)

    def _connect(self, client: socket.socket) -> None:
        if not self._up:
            client.close()
            return
        server = socket.create_connection(self._to)
        self._open += [client, server]
        for source, target in ((client, server), (server, client)):
            threading.Thread(target=self._pour, args=(source, target), daemon=True).start()

    def _pour(self, source: socket.socket, target: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while block := source.recv(1 << 16):
                target.sendall(block)
        for end in (source, target):
            with contextlib.suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)
        self._over.release()

    def cut(self) -> None:
        """Close every connection and refuse new ones."""
        with self._lock:
            self._up = False
        for end in self._open:
            with contextlib.suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)
        for _ in self._open:  # as many directions as ends
            self._over.acquire()
        for end in self._open:
            end.close()
        self._open.clear()

    def mend(self) -> None:
        self._up = True

    def close(self) -> None:
        self.cut()
        self._server.close()
