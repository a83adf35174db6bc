"""A server that does with each connection what a test says."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress

Behaviour = Callable[[socket.socket, "MisbehavingServer"], None]


class MisbehavingServer:
    """Listens on ``port``; ``requests`` are those that came, whole. Each connection is served by a thread."""

    def __init__(self, behaviour: Behaviour) -> None:
        self.requests: list[bytes] = []
        self.connections = 0
        self.behaviour = behaviour
        self.over = threading.Event()
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        self._open: list[socket.socket] = []
        threading.Thread(target=self._accept, daemon=True).start()

    def close(self) -> None:
        self.over.set()
        with suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        for connection in self._open:
            connection.close()

    def read_request(self, connection: socket.socket) -> bool:
        """Wait for a request; False: the client has closed."""
        data = b""
        while b"\r\n\r\n" not in data:
            more = connection.recv(65536)
            if not more:
                return False
            data += more
        head, _, body = data.partition(b"\r\n\r\n")
        length = next(
            (int(line[15:]) for line in head.split(b"\r\n") if line.lower().startswith(b"content-length:")), 0
        )
        while len(body) < length:
            body += connection.recv(65536)
        self.requests.append(head + b"\r\n\r\n" + body)
        return True

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                connection, _ = self._listener.accept()
                self.connections += 1
                self._open.append(connection)
                threading.Thread(target=self._serve, args=(connection,), daemon=True).start()

    def _serve(self, connection: socket.socket) -> None:
        with connection, suppress(OSError):
            self.behaviour(connection, self)


@contextmanager
def misbehaving(behaviour: Behaviour) -> Iterator[MisbehavingServer]:
    server = MisbehavingServer(behaviour)
    try:
        yield server
    finally:
        server.close()


def answering(*answers: bytes, close: bool = False) -> Behaviour:
    """Answer the requests, over all connections, in turn; the last answer again and again."""
    left = list(answers)

    def behave(connection: socket.socket, server: MisbehavingServer) -> None:
        while server.read_request(connection):
            connection.sendall(left.pop(0) if len(left) > 1 else left[0])
            if close:
                return

    return behave


def answer(status: int, body: bytes = b"{}", *headers: str, reason: str = "Reason") -> bytes:
    lines = [f"HTTP/1.1 {status} {reason}", f"Content-Length: {len(body)}", *headers, "", ""]
    return "\r\n".join(lines).encode() + body
