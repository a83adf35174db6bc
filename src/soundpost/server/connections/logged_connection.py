"""HTTP connections that write their requests to the access log."""

from __future__ import annotations

from collections import deque
from time import perf_counter
from typing import TYPE_CHECKING, Final, NamedTuple

from soundpost.server.api.requests import Request
from soundpost.server.connections.http_connection import HttpConnection
from soundpost.server.connections.proxied_connection import ProxiedConnection

if TYPE_CHECKING:
    from soundpost.server.server import Server

_INFORMATIONAL: Final = b"HTTP/1.1 1"
"""Beginning of responses that are not logged: ``100 Continue``, and the upgrade that precedes a refusal."""


class _Entry(NamedTuple):
    """A request that is not answered yet. ``began``: when it was whole, by the performance counter."""

    request: Request
    address: str
    began: float


class _Requests:
    """The requests of a connection that are not answered yet, and the address of the connection's other end."""

    __slots__ = ("entries", "peer")

    def __init__(self) -> None:
        self.entries: deque[_Entry] = deque()
        self.peer = ""  # until a request came


class _Logged(HttpConnection):
    __slots__ = ()

    _requests: _Requests

    def _answer(self, request: Request) -> None:
        began = perf_counter()
        address = self.forwarded_address(request)
        if address is None:
            if not self._requests.peer:
                self._requests.peer = self.peer
            address = self._requests.peer
        self._requests.entries.append(_Entry(request, address, began))
        super()._answer(request)

    def _send_responses(self) -> None:
        before = self._responses[:]
        if not self._requests.entries and not self._requests.peer:
            self._requests.peer = self.peer  # before the answer: who has got it may be gone at once
        super()._send_responses()
        for data in before[: len(before) - len(self._responses)]:
            if isinstance(data, bytes) and not data.startswith(_INFORMATIONAL):
                self._log(data)

    def _log(self, data: bytes) -> None:
        access_log = self._server.access_log
        if access_log is None:
            return
        status, size = int(data[9:12]), len(data) - data.index(b"\r\n\r\n") - 4
        if self._requests.entries:
            request, address, began = self._requests.entries.popleft()
            access_log.add(request, address, status, size, perf_counter() - began)
        else:  # a request that could not be read, or a WebSocket that cannot be opened
            access_log.add(self._upgrade_request, self._requests.peer or self.peer, status, size, 0.0)


class LoggedConnection(_Logged):
    """An HTTP connection whose requests are in the access log."""

    __slots__ = ("_requests",)

    def __init__(self, server: Server) -> None:
        super().__init__(server)
        self._requests = _Requests()


class LoggedProxiedConnection(_Logged, ProxiedConnection):
    """An HTTP connection behind a PROXY header whose requests are in the access log."""

    __slots__ = ("_requests",)

    def __init__(self, server: Server) -> None:
        super().__init__(server)
        self._requests = _Requests()
