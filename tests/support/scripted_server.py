"""A Pusher server that sends what a test says, character by character, and hands over what its clients send."""

from __future__ import annotations

import queue
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress

from websockets.exceptions import ConnectionClosed
from websockets.sync.server import Server, ServerConnection, serve

from support.raw_socket import TIMEOUT


class ScriptedConnection:
    """The server's end of one client's connection; ``socket_id`` is what the client was told."""

    def __init__(self, connection: ServerConnection, socket_id: str) -> None:
        self.socket_id = socket_id
        self._connection = connection
        self._received: queue.Queue[str] = queue.Queue()

    def send(self, *messages: str) -> None:
        """Send messages as they are."""
        for message in messages:
            self._connection.send(message)

    def received(self) -> str:
        """Wait for the client's next message, and return it as it came."""
        return self._received.get(timeout=TIMEOUT)

    def close(self, code: int) -> None:
        """Close the connection with a code."""
        self._connection.close(code)

    def cut(self) -> None:
        """Break the connection without a word, as a network does."""
        with suppress(OSError):
            self._connection.socket.shutdown(socket.SHUT_RDWR)

    def read(self) -> None:
        """Collect what the client sends until it is gone."""
        with suppress(ConnectionClosed):
            for message in self._connection:
                self._received.put(str(message))


class ScriptedServer:
    """Greets its clients, whose socket ids are ``1.1``, ``1.2`` and so on; all else is the test's."""

    def __init__(self) -> None:
        self._connections: queue.Queue[ScriptedConnection] = queue.Queue()
        self._count = 0
        self._server: Server = serve(self._serve, "127.0.0.1", 0, compression=None)
        self.port: int = self._server.socket.getsockname()[1]
        self._thread = threading.Thread(target=self._server.serve_forever, daemon=True)
        self._thread.start()

    def accept(self) -> ScriptedConnection:
        """Wait for the next connection."""
        return self._connections.get(timeout=TIMEOUT)

    def close(self) -> None:
        """End all connections."""
        self._server.shutdown()
        self._thread.join()

    def _serve(self, websocket: ServerConnection) -> None:
        self._count += 1
        connection = ScriptedConnection(websocket, f"1.{self._count}")
        connection.send(
            '{"event":"pusher:connection_established",'
            f'"data":"{{\\"socket_id\\":\\"{connection.socket_id}\\",\\"activity_timeout\\":30}}"}}'
        )
        self._connections.put(connection)
        connection.read()


@contextmanager
def running_scripted_server() -> Iterator[ScriptedServer]:
    """Listen on a free loopback port."""
    server = ScriptedServer()
    try:
        yield server
    finally:
        server.close()
