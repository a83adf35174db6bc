"""A TCP relay: one address for clients, whichever server is behind it at the moment, like a load balancer's."""

from __future__ import annotations

import contextlib
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager


class Relay:
    """New connections to ``port`` go to the server at ``target``; those that exist stay where they are."""

    def __init__(self, listener: socket.socket, target: int) -> None:
        self.port: int = listener.getsockname()[1]
        self.target = target
        self._listener = listener
        self._sockets: list[socket.socket] = []
        self._passage = threading.Event()
        self._passage.set()

    def accept(self) -> None:
        """Relay connections until the listener is shut."""
        with contextlib.suppress(OSError):
            while True:
                client, _ = self._listener.accept()
                self._passage.wait()
                server = socket.create_connection(("127.0.0.1", self.target))
                self._sockets += (client, server)
                for source, sink in ((client, server), (server, client)):
                    threading.Thread(target=_pump, args=(source, sink), daemon=True).start()

    def cut(self) -> None:
        """Break all connections without a word, as a network does; new ones wait for :meth:`mend`."""
        self._passage.clear()
        cut, self._sockets = self._sockets, []
        _shut(cut)

    def mend(self) -> None:
        """Let those connect who wait since the cut, and all others."""
        self._passage.set()

    def close(self) -> None:
        """Shut the listener and all connections."""
        _shut([self._listener, *self._sockets])
        self.mend()


@contextmanager
def running_relay(target: int) -> Iterator[Relay]:
    """Listen on a free loopback port and relay to the port ``target``."""
    relay = Relay(socket.create_server(("127.0.0.1", 0)), target)
    thread = threading.Thread(target=relay.accept, daemon=True)
    thread.start()
    try:
        yield relay
    finally:
        relay.close()
        thread.join()


def _shut(sockets: list[socket.socket]) -> None:
    for each in sockets:
        with contextlib.suppress(OSError):
            each.shutdown(socket.SHUT_RDWR)
        each.close()


def _pump(source: socket.socket, sink: socket.socket) -> None:
    with contextlib.suppress(OSError):
        while data := source.recv(65536):
            sink.sendall(data)
    with contextlib.suppress(OSError):
        sink.shutdown(socket.SHUT_WR)
