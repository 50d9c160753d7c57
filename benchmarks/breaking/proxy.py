"""A proxy before Postgres that cuts a connection once a commit took place, before its client learns of it."""

from __future__ import annotations

import contextlib
import socket
import threading
from pathlib import Path
from types import TracebackType
from typing import Self

from sqlalchemy.engine import make_url

CHUNK = 65_536
SOCKET = ".s.PGSQL.5432"


class CuttingProxy:
    """Listens on a socket in a folder of its own, and passes everything on, but for one answer.

    Args:
        url: Of the database behind it, on a Unix socket.
        folder: Where its own socket goes.
        cut: The commit, counted from 1 over all connections, whose answer is not passed on.
    """

    def __init__(self, url: str, folder: Path, *, cut: int) -> None:
        self._behind = f"{make_url(url).query['host']}/{SOCKET}"
        self.url = make_url(url).set(query={"host": str(folder)}).render_as_string(hide_password=False)
        self._listener = socket.socket(socket.AF_UNIX)
        self._listener.bind(str(folder / SOCKET))
        self._cut, self._commits, self._lock = cut, 0, threading.Lock()
        self.has_cut = threading.Event()

    def __enter__(self) -> Self:
        self._listener.listen()
        threading.Thread(target=self._accept, daemon=True).start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                client, _ = self._listener.accept()
                server = socket.socket(socket.AF_UNIX)
                server.connect(self._behind)
                doomed = threading.Event()
                for pass_on in (self._asked, self._answered):
                    threading.Thread(target=pass_on, args=(client, server, doomed), daemon=True).start()

    def _asked(self, client: socket.socket, server: socket.socket, doomed: threading.Event) -> None:
        """Passes on what the client asks, and finds the commit."""
        with contextlib.suppress(OSError):
            while said := client.recv(CHUNK):
                if b"COMMIT" in said:
                    with self._lock:
                        self._commits += 1
                        if self._commits == self._cut:
                            doomed.set()
                server.sendall(said)
        _close(client, server)

    def _answered(self, client: socket.socket, server: socket.socket, doomed: threading.Event) -> None:
        """Passes on what the server answers, but for the answer to the commit."""
        with contextlib.suppress(OSError):
            while said := server.recv(CHUNK):
                if doomed.is_set() and b"COMMIT" in said:  # it has taken place
                    self.has_cut.set()
                    break
                client.sendall(said)
        _close(client, server)


def _close(*sockets: socket.socket) -> None:
    for one in sockets:
        with contextlib.suppress(OSError):
            one.shutdown(socket.SHUT_RDWR)
        one.close()
