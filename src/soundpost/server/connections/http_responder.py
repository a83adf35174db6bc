"""Answers of an HTTP connection: in the order of the requests, behind the events of a publish, and the last answer."""

from __future__ import annotations

import asyncio
import logging
import time
from functools import partial
from itertools import takewhile
from typing import TYPE_CHECKING, Final

from soundpost.compilation import mypyc_attr
from soundpost.core.histogram import Histogram
from soundpost.server.api.pending_response import PendingResponse
from soundpost.server.api.requests import OK, OK_ENCODED, ApiError, Request, Response
from soundpost.server.connections.peer import UNKNOWN_ADDRESS, peer_address, shown
from soundpost.wire.client_address import client_address

if TYPE_CHECKING:
    from soundpost.server.connections.socket_transport import SocketTransport
    from soundpost.server.connections.upgrade import Upgrade
    from soundpost.server.server import Server

log = logging.getLogger("soundpost.api")

_clock: Final = time.perf_counter
_CONTINUE: Final = b"HTTP/1.1 100 Continue\r\n\r\n"


@mypyc_attr(allow_interpreted_subclasses=True)
class HttpResponder(asyncio.Protocol):
    """The part of an HTTP connection that answers. The class derived from it reads the requests."""

    __slots__ = (
        "_asks_no_more",
        "_awaits_close_frame",
        "_ending",
        "_is_application",
        "_is_lost",
        "_is_queued",
        "_pending",
        "_publishes",
        "_responses",
        "_server",
        "_unread",
        "over_capacity",
        "transport",
        "upgrade",
    )

    transport: asyncio.Transport | SocketTransport

    def __init__(self, server: Server) -> None:
        self._server = server
        self._responses: list[bytes | PendingResponse] = []  # in the order of the requests
        self._pending = 0  # how many of the responses wait for other nodes
        # Times at which requests to publish came that are not answered yet, each with those of its app.
        self._publishes: list[tuple[float, Histogram]] | None = None  # None before the first of them
        self._is_application = False
        self._ending = False  # the last answer is given: further input is ignored
        self._asks_no_more = False
        self._awaits_close_frame = False  # of a refused WebSocket
        self._unread = bytearray()  # received, still to be parsed
        self._is_queued = False  # in the fair queue, to parse more
        self._is_lost = False  # the socket is gone
        self.over_capacity = False
        """True if there was no room for the connection: its first request is refused."""
        self.upgrade: Upgrade | None = None
        """The WebSocket that the connection is about to become; None before that is asked for."""

    # Of the class that reads

    def _resume(self) -> None:
        """Parse or read on, unless that must wait."""
        raise NotImplementedError

    def _begin_time(self) -> None:
        """Begin the time for the next request, or for its rest, anew."""
        raise NotImplementedError

    def _end_output(self) -> None:
        """End the output behind the last answer."""
        raise NotImplementedError

    # The socket

    @property
    def peer(self) -> str:
        """The address of the connection's other end, be it a proxy's; empty on a Unix socket."""
        if self._is_lost:
            return UNKNOWN_ADDRESS
        return peer_address(self.transport)

    def forwarded_address(self, request: Request) -> str | None:
        """Return the client's address if a trusted proxy gives another one than the peer's in headers, else None."""
        if request.handshake is not None:
            _key, _origin, _extensions, names_client = request.handshake
            if not names_client:
                return None
        headers, counted = request.headers(), self._server.client_ip_headers
        if headers.keys().isdisjoint(counted):
            return None
        peer = self.peer
        address = client_address(peer, headers, self._server.trusted_proxies, counted)
        if address is None:
            self._server.wrong_protocol.warn_of_contradiction(peer, headers)
            return UNKNOWN_ADDRESS
        return None if address == peer else address

    def client_ip(self, request: Request) -> str:
        """Return the address of the client: as a trusted proxy gives it, else the peer's."""
        forwarded = self.forwarded_address(request)
        return self.peer if forwarded is None else forwarded

    @property
    def counted_address(self) -> str:
        """Address under which the socket is counted: the client's network, or the address of a trusted proxy."""
        if self._is_lost:
            return UNKNOWN_ADDRESS
        return self._server.counted_address(self.transport)

    @property
    def is_evictable(self) -> bool:
        """True if a newcomer may take the socket's place: no request waits for its turn, and no WebSocket opens."""
        return self.upgrade is None and not self._is_queued and not self._is_lost

    def abort(self) -> None:
        """Drop the socket and all output that waits."""
        self.transport.abort()

    # Answers

    def _answer(self, request: Request) -> None:
        if self.over_capacity:
            self._server.limits.warn_of_capacity(self.client_ip(request))
            self.refuse(ApiError(503, "Over capacity: the server has as many connections as it may open"))
            return
        received_at = _clock()
        request.client = self
        request.max_size = self._server.max_request_size
        try:
            response = self._server.router.respond(request)
        except ApiError as error:
            if error.status in (401, 403) and log.isEnabledFor(logging.DEBUG):
                log.debug("%d to %s: %a", error.status, shown(self.client_ip(request)), error.message[:2000])
            response = error.response()
        except Exception:
            log.exception("%s %s failed", request.method.decode("latin-1"), ascii(request.path))
            response = ApiError(500, "Internal server error: its log has the reason").response()
        else:
            if request.publish_times is not None:
                if self._publishes is None:
                    self._publishes = []
                self._publishes.append((received_at, request.publish_times))
            if not self._is_application and request.is_signed:
                self._is_application = True
                self._server.sockets.kept(self)
                self._server.application_came(self.transport)
        if self._server.stopping:
            request.keep_alive = False
        if not request.keep_alive:
            self._ending = True
        if not isinstance(response, PendingResponse):
            self._responses.append(OK_ENCODED if response is OK and request.keep_alive else _encoded(response, request))
        elif response.response is not None:
            self._responses.append(_encoded(response.response, request))
        else:
            self._responses.append(response)
            self._pending += 1
            response.then(partial(self._answer_pending, response, request))

    def _answer_pending(self, pending: PendingResponse, request: Request) -> None:
        """Send a response that other nodes were asked for, and those that waited behind it."""
        if pending.response is not None and pending in self._responses:
            self._responses[self._responses.index(pending)] = _encoded(pending.response, request)
            self._pending -= 1
            self._begin_time()  # the client can ask again, or send the rest of its next request, from now on
            self._server.node.after_sending(self._send_responses)

    @property
    def is_open(self) -> bool:
        """True while an answer can still be given."""
        return not self._ending and not self._is_lost and not self.transport.is_closing()

    def continue_expected(self) -> None:
        """Answer ``100 Continue``, after the answers to earlier requests."""
        if not self._ending:
            self._responses.append(_CONTINUE)

    def refuse(self, error: ApiError) -> None:
        """Answer with an error, as the last answer, unless the last one is given."""
        if not self._ending:
            self.finish(error.response())

    def finish(self, response: Response) -> None:
        """Send the last answer, then close."""
        self._finish(response.encode(keep_alive=False))

    def finish_with(self, data: bytes) -> None:
        """Send the last bytes, which end with a close frame, then wait for the client's own close frame."""
        self._awaits_close_frame = True
        self._finish(data)

    def _finish(self, data: bytes) -> None:
        self._responses.append(data)
        self._ending = True
        self._server.node.after_sending(self._send_responses)

    def _send_responses(self) -> None:
        """Write the answers that are ready. Behind the last one a WebSocket may open."""
        if not self._responses:  # all were sent meanwhile
            return
        if self._pending:
            ready = list(takewhile(_is_ready, self._responses))
            del self._responses[: len(ready)]
        else:
            ready, self._responses = self._responses, []
        if self._is_lost:
            if self._unread:
                self._resume()
            return
        if self.transport.is_closing():
            return
        if ready:
            self.transport.write(b"".join(ready))  # type: ignore[arg-type]  # none is pending
            if self._publishes and not self._responses:
                self._note(self._publishes)
        if self._asks_no_more and not self._responses and not self._unread:
            self.transport.close()
        elif self._ending and not self._responses:
            self._end_output()
        if self.upgrade is not None:
            self.upgrade.open_if_answered()
        elif self._unread:
            self._resume()

    def _note(self, publishes: list[tuple[float, Histogram]]) -> None:
        """Add the durations of publish requests that are answered now to the figures."""
        now = _clock()
        for received_at, times in publishes:
            times.observe(now - received_at)
        publishes.clear()

    @property
    def owes_answers(self) -> bool:
        """True while an answer to an earlier request is still to be sent."""
        return bool(self._responses)


def _is_ready(response: bytes | PendingResponse) -> bool:
    return isinstance(response, bytes)


def _encoded(response: Response, request: Request) -> bytes:
    data = response.encode(keep_alive=request.keep_alive)
    return data[: data.index(b"\r\n\r\n") + 4] if request.method == b"HEAD" else data
