"""A stand-in for the server behind the dashboard's page: its JSON API over a cluster that never changes by itself."""

from __future__ import annotations

import json
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, Final
from urllib.parse import parse_qs, parse_qsl, unquote, urlsplit

from support.dashboard_cluster import Cluster

STATIC: Final = Path(__file__).parents[2] / "src" / "soundpost" / "server" / "dashboard" / "static"
SHARED: Final = STATIC.parents[1] / "playground" / "static" / "json_problem.js"
CONTENT_TYPES: Final = {".html": "text/html", ".css": "text/css", ".js": "text/javascript"}
POLICY: Final = (
    "default-src 'none'; connect-src 'self'; img-src 'self' data:; style-src 'self'; script-src 'self'; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)

Answer = tuple[int, Any]


class DashboardApi:
    """Serves the page and its API on a loopback port; tests change ``cluster``, and end sessions and connections."""

    def __init__(self, cluster: Cluster, password: str | None) -> None:
        self.cluster = cluster
        self.password = password
        self.url = ""
        self.requests: list[tuple[str, str, Any]] = []
        """Method, path and body of every request that may change something, in order."""
        self.sessions: set[str] = set()
        self.streams: list[Stream] = []
        self.refused: dict[str, str] = {}
        """Sentences by which streams are refused, by path."""

    def answer(self, method: str, path: str, query: dict[str, str], body: Any) -> Answer:
        """Answer one request below ``api/`` of somebody who is logged in."""
        cluster = self.cluster
        match [method, *map(unquote, path.split("/"))]:
            case ["GET", "session"]:
                return 200, {**cluster.session(), "csrf": "token", "needs_password": self.password is not None}
            case ["GET", "overview"]:
                return 200, {"hosts": cluster.hosts(), "timeline": {"step": 5, "samples": cluster.samples()}}
            case ["GET", "refusals"]:
                return 200, {"refusals": cluster.refusals, "missing": cluster.missing}
            case ["GET", "apps", _, "channels"]:
                return 200, cluster.channel_page(query)
            case ["GET", "apps", _, "channels", name]:
                return cluster.channel(name)
            case ["GET", "apps", _, "connections"]:
                return 200, cluster.connection_page(query)
            case ["GET", "apps", _, "connections", socket_id]:
                return cluster.connection(socket_id)
            case ["DELETE", "apps", _, "connections", socket_id]:
                return cluster.end(lambda line: line["socket_id"] == socket_id)
            case ["POST", "apps", _, "users", "terminate"]:
                return cluster.end(lambda line: line["user_id"] == query["user"])
            case ["GET", "apps", _, "webhooks"]:
                return 200, {"endpoints": cluster.endpoints, "missing": cluster.missing}
            case ["POST", "apps", _, "webhooks", _, "resend"]:
                return 204, None
            case ["POST", "apps", _, "events"]:
                return 200, {"receivers": {name: cluster.receivers(name) for name in body["channels"]}}
        return 404, {"error": f"The dashboard has no {method} {path}."}

    def tail(self, **page: Any) -> None:
        """Send lines to all tails that are open."""
        for stream in list(self.streams):
            if stream.path == "tail":
                stream.send(page)

    def end_sessions(self) -> None:
        """Forget all sessions, as a server does that was started again."""
        self.sessions.clear()
        self.break_streams()

    def break_streams(self, path: str = "") -> None:
        """Close all streams of server-sent events, or those of one path."""
        for stream in list(self.streams):
            if path in ("", stream.path):
                stream.ended.set()


class Stream:
    """One answer of server-sent events."""

    def __init__(self, path: str, query: dict[str, str], write: Callable[[bytes], object]) -> None:
        self.path = path
        self.query = query
        self.ended = threading.Event()
        self._write = write

    def send(self, page: object) -> None:
        """Send one event."""
        try:
            self._write(f"data: {json.dumps(page)}\n\n".encode())
        except OSError:
            self.ended.set()


@contextmanager
def running_dashboard_api(cluster: Cluster, password: str | None = None, port: int = 0) -> Iterator[DashboardApi]:
    """Serve the page below ``/dashboard/``."""
    api = DashboardApi(cluster, password)

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            url = urlsplit(self.path)
            path = url.path.removeprefix("/dashboard/")
            if path.startswith("api/"):
                self._api(path[4:], {name: values[0] for name, values in parse_qs(url.query).items()}, None)
                return
            file = SHARED if path == SHARED.name else STATIC / (path or "index.html")
            if not file.is_file():
                self._send(404, b"", "text/plain")
                return
            self._send(200, file.read_bytes(), CONTENT_TYPES[file.suffix] + "; charset=utf-8")

        def do_POST(self) -> None:
            text = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            body: Any = json.loads(text) if text else None
            path = self.path.removeprefix("/dashboard/api/")
            if path == "login":
                self._log_in(body["password"])
                return
            if self.headers.get("X-CSRF-Token") != "token":
                self._json(403, {"error": "The token of the page is missing."})
                return
            api.requests.append((self.command, path, body))
            if path == "logout":
                api.sessions.clear()
                self._json(204, None)
            else:
                found = urlsplit(path)
                self._api(found.path, dict(parse_qsl(found.query)), body)

        def do_DELETE(self) -> None:
            self.do_POST()

        def _log_in(self, password: str) -> None:
            if password == "too often":
                self._json(429, {"error": "Too many attempts to log in: try again in 42 s"}, {"Retry-After": "42"})
            elif password != api.password:
                self._json(401, {"error": "The password is wrong."})
            else:
                name = str(time.monotonic_ns())
                api.sessions.add(name)
                self._json(204, None, {"Set-Cookie": f"session={name}; HttpOnly; SameSite=Strict"})

        def _api(self, path: str, query: dict[str, str], body: Any) -> None:
            cookie = self.headers.get("Cookie", "").partition("session=")[2]
            if api.password is not None and cookie not in api.sessions:
                self._json(401, {"error": "Log in first."})
            elif path in api.refused:
                self._json(503, {"error": api.refused[path]})
            elif path in ("live", "tail"):
                self._stream(path, query)
            else:
                self._json(*api.answer(self.command, path, query, body))

        def _stream(self, path: str, query: dict[str, str]) -> None:
            stream = Stream(path, query, self.wfile.write)
            api.streams.append(stream)
            self.close_connection = True
            self.send_response(200)
            self.send_header("Content-Type", "text/event-stream")
            self.send_header("Connection", "close")
            self.end_headers()
            while not stream.ended.wait(1.0 if path == "live" else 20.0):
                if path == "live":
                    stream.send({"hosts": api.cluster.hosts(), "sample": api.cluster.sample(time.time())})
            api.streams.remove(stream)

        def _json(self, status: int, value: Any, more: dict[str, str] | None = None) -> None:
            body = b"" if value is None else json.dumps(value).encode()
            self._send(status, body, "application/json", more)

        def _send(self, status: int, body: bytes, content_type: str, more: dict[str, str] | None = None) -> None:
            self.send_response(status)
            if status != 204:
                self.send_header("Content-Type", content_type)
                self.send_header("Content-Length", str(len(body)))
            self.send_header("Content-Security-Policy", POLICY)
            for name, value in (more or {}).items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: object) -> None:
            """Say nothing."""

    connections: list[socket.socket] = []

    class Server(ThreadingHTTPServer):
        def get_request(self) -> tuple[socket.socket, Any]:
            """Note the connection: kept ones are closed with the server."""
            request, address = super().get_request()
            connections.append(request)
            return request, address

        def handle_error(self, request: Any, client_address: Any) -> None:
            """Say nothing of browsers that hang up."""

    server = Server(("127.0.0.1", port), Handler)
    server.daemon_threads = True
    api.url = f"http://127.0.0.1:{server.server_address[1]}/dashboard/"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
    thread.start()
    try:
        yield api
    finally:
        server.shutdown()
        server.server_close()
        api.break_streams()
        for connection in connections:
            with suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)
        thread.join()
