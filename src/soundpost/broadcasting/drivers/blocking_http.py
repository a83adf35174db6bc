"""Kept HTTP connections for threads: each request has a connection to itself, and a deadline."""

from __future__ import annotations

import select
import socket
import sys
import time
from contextlib import suppress
from errno import ECONNREFUSED
from typing import Final

from soundpost.broadcasting.drivers.http_address import HttpAddress
from soundpost.wire.http_exchange import READ_SIZE, AnswerReader, HttpAnswer

MAX_IDLE: Final = 20
"""Idle connections that are kept."""


class BlockingConnections:
    """Connections to one address, for any number of threads. ``connect_timeout`` in seconds."""

    def __init__(self, address: HttpAddress, connect_timeout: float) -> None:
        self._address = address
        self._connect_timeout = connect_timeout
        self._idle: list[socket.socket] = []  # a stack; list methods are atomic

    def exchange(self, request: bytes, deadline: float) -> HttpAnswer:
        """Send a request and return the answer by ``deadline``, in seconds of ``time.monotonic``.

        Looking up the host's name is not bounded by the deadline.
        Raises OSError (TimeoutError among them), EOFError, NotHttpError.
        """
        connection = self._take() or self._connect(deadline)
        reader = AnswerReader()
        try:
            connection.settimeout(_left(deadline))
            connection.sendall(request)
            while reader.answer is None:
                connection.settimeout(_left(deadline))
                data = connection.recv(READ_SIZE)
                if data:
                    reader.feed(data)
                else:
                    reader.end()
        except BaseException:
            connection.close()
            raise
        if reader.keeps_alive and len(self._idle) < MAX_IDLE:
            self._idle.append(connection)
        else:
            connection.close()
        assert reader.answer is not None
        return reader.answer

    def close(self) -> None:
        """Close the connections that are idle."""
        while self._idle:
            with suppress(IndexError):
                self._idle.pop().close()

    def forget(self) -> None:
        """Forget the parent's connections in a forked process: close the copies of the descriptors only."""
        idle, self._idle = self._idle, []
        for connection in idle:
            with suppress(OSError):
                socket.close(connection.detach())

    def _take(self) -> socket.socket | None:
        while self._idle:
            try:
                connection = self._idle.pop()
            except IndexError:
                return None
            if not _is_readable(connection):
                return connection
            connection.close()  # readable with nothing asked: the server has closed it
        return None

    def _connect(self, deadline: float) -> socket.socket:
        """Connect to the first address of the host that answers, within ``connect_timeout`` for all addresses."""
        address = self._address
        deadline = min(deadline, time.monotonic() + self._connect_timeout)
        failure: OSError = OSError(f"{address.host} has no address")
        for family, kind, protocol, _, where in socket.getaddrinfo(address.host, address.port, type=socket.SOCK_STREAM):
            connection = socket.socket(family, kind, protocol)
            try:
                connection.settimeout(_left(deadline))
                connection.connect(where)
                if connection.getsockname() == connection.getpeername():
                    raise ConnectionRefusedError(
                        ECONNREFUSED, "the kernel connected it to itself: nobody listens there"
                    )
                connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                if address.tls is not None:
                    connection.settimeout(_left(deadline))
                    connection = address.tls.wrap_socket(connection, server_hostname=address.host)
            except OSError as error:
                connection.close()
                failure = error
            else:
                return connection
        raise failure


def _left(deadline: float) -> float:
    left = deadline - time.monotonic()
    if left <= 0:
        raise TimeoutError
    return left


def _is_readable(connection: socket.socket) -> bool:
    if sys.platform == "win32":
        return bool(select.select([connection], [], [], 0)[0])
    poll = select.poll()  # unlike select, it takes descriptors above 1,023
    poll.register(connection, select.POLLIN)
    return bool(poll.poll(0))
