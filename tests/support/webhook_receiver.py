"""A real HTTP endpoint for webhooks, which answers as a test says and keeps what it was sent."""

from __future__ import annotations

import json
import ssl
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, NamedTuple

from support.harness import TIMEOUT

Reply = tuple[int, dict[str, str]]
"""Status and headers of an answer."""


class Request(NamedTuple):
    """A request that came."""

    path: str
    headers: dict[str, str]
    body: bytes
    status: int
    """The status that it was answered with; 0 if it was not answered."""

    @property
    def events(self) -> list[dict[str, Any]]:
        """The events in it."""
        found: list[dict[str, Any]] = json.loads(self.body)["events"]
        return found


class Receiver:
    """An endpoint. ``reply`` tells how to answer a request to a path; None lets it hang until the end of the test."""

    def __init__(self, port: int = 0) -> None:
        self.reply: Callable[[str], Reply | None] = lambda path: (200, {})
        self.requests: list[Request] = []
        self.connections = 0
        """Number of connections that were opened."""
        self._news = threading.Condition()
        self._end = threading.Event()
        self._server = ThreadingHTTPServer(("127.0.0.1", port), self._handler())
        self._server.daemon_threads = True
        self.port = self._server.server_port
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.01,), daemon=True)
        self._thread.start()

    def wrap(self, context: ssl.SSLContext) -> None:
        """Speak TLS from now on."""
        self._server.socket = context.wrap_socket(self._server.socket, server_side=True)

    def url(self, path: str = "/hooks") -> str:
        """The address of a path."""
        return f"http://127.0.0.1:{self.port}{path}"

    def answers(self, status: int, **headers: str) -> None:
        """Answer all requests alike from now on."""
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        self.reply = lambda path: (status, named)

    def taken(self, path: str | None = None) -> list[dict[str, Any]]:
        """The events in requests that were answered with 200, in their order."""
        return [
            event
            for request in list(self.requests)
            if request.status == 200 and path in (None, request.path)
            for event in request.events
        ]

    def names(self, path: str | None = None) -> list[str]:
        """Names and channels (or users) of the events that were taken."""
        return [f"{each['name']} {each.get('channel') or each.get('user_id', '')}" for each in self.taken(path)]

    def wait(self, condition: Callable[[], object], what: str, seconds: float = TIMEOUT) -> None:
        """Wait until a condition holds, which is looked at after each request."""
        deadline = time.monotonic() + seconds
        with self._news:
            while not condition():
                left = deadline - time.monotonic()
                assert left > 0, (what, self.requests)
                self._news.wait(left)

    def wait_for(self, *names: str, path: str | None = None) -> None:
        """Wait until these events have come, and no other ones."""
        wanted = sorted(names)
        self.wait(lambda: sorted(self.names(path)) == wanted, f"{wanted}")

    def close(self) -> None:
        """Stop, and let requests go that hang."""
        self._end.set()
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def _handler(receiver) -> type[BaseHTTPRequestHandler]:  # noqa: N805 - of the outer class
        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def setup(self) -> None:
                receiver.connections += 1
                super().setup()

            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                reply = receiver.reply(self.path)
                status = 0 if reply is None else reply[0]
                with receiver._news:
                    receiver.requests.append(Request(self.path, dict(self.headers), body, status))
                    receiver._news.notify_all()
                if reply is None:
                    receiver._end.wait()
                    self.close_connection = True
                    return
                self.send_response(status)
                for name, value in {"Content-Length": "0", **reply[1]}.items():
                    self.send_header(name, value)
                self.end_headers()

            def log_message(self, format: str, *args: object) -> None:
                pass

        return Handler


@contextmanager
def receiver(port: int = 0) -> Iterator[Receiver]:
    """An endpoint for the time of the block."""
    made = Receiver(port)
    try:
        yield made
    finally:
        made.close()
