"""The application's back end: what a framework answers at ``/broadcasting/auth`` and ``/broadcasting/user-auth``."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.cookies import SimpleCookie
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, Final, Protocol
from urllib.parse import parse_qs, urlsplit

_HERE: Final = Path(__file__).parents[1] / "clients"
FILES: Final = {
    "/": (_HERE / "page" / "chat.html", "text/html; charset=utf-8"),
    "/chat.js": (_HERE / "page" / "chat.js", "text/javascript; charset=utf-8"),
    "/echo.js": (_HERE / "node_modules" / "laravel-echo" / "dist" / "echo.iife.js", "text/javascript; charset=utf-8"),
    "/pusher.js": (
        _HERE / "node_modules" / "pusher-js" / "dist" / "web" / "pusher-with-encryption.min.js",
        "text/javascript; charset=utf-8",
    ),
}
NAMES: Final = {"ann": "Ann Ångström", "bob": "Bob"}
CSRF_TOKEN: Final = "token-of-the-page"


class Signer(Protocol):
    """The part of a Pusher SDK that signs; its answers are sent to the client as they are."""

    def channel(self, socket_id: str, channel: str, member: dict[str, Any] | None) -> dict[str, str]:
        """Let a socket subscribe to a channel."""

    def user(self, socket_id: str, user: dict[str, Any]) -> dict[str, str]:
        """Sign a socket in."""


class WebApp:
    """Knows its users by a bearer token, or by a cookie, that is simply their id."""

    def __init__(self, port: int) -> None:
        self.url = f"http://127.0.0.1:{port}"
        self.requests: list[dict[str, str]] = []
        """The form of every request for a signature, in order."""
        self.headers: list[dict[str, str]] = []
        """Its headers, names in lower case."""


@contextmanager
def running_web_app(signer: Signer, forger: Signer) -> Iterator[WebApp]:
    """Serve on a free loopback port.

    Channels named ``…forged…`` are signed by ``forger``, which has no right to; ``…forbidden…`` are denied; members of
    presence channels named ``…signed-in…`` are those who signed in, the signature says nothing of them. A user named
    ``…-watches-ann-bob`` signs in with a watchlist of the two.
    """
    server = ThreadingHTTPServer(("127.0.0.1", 0), BaseHTTPRequestHandler)
    app = WebApp(server.server_address[1])

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            url = urlsplit(self.path)
            if url.path not in FILES:
                self._answer(404, b"", "text/plain")
                return
            file, content_type = FILES[url.path]
            user = parse_qs(url.query).get("user")
            cookie = {"Set-Cookie": f"user={user[0]}; HttpOnly; SameSite=Strict"} if user else {}
            self._answer(200, file.read_bytes(), content_type, cookie)

        def do_POST(self) -> None:
            length = int(self.headers.get("Content-Length") or 0)
            form = {name: values[0] for name, values in parse_qs(self.rfile.read(length).decode()).items()}
            app.requests.append(form)
            app.headers.append({name.lower(): value for name, value in self.headers.items()})
            answer = self._sign(form, self._user())
            if answer is None:
                self._answer(403, b'{"message":""}', "application/json")
            else:
                self._answer(200, json.dumps(answer).encode(), "application/json")

        def _sign(self, form: dict[str, str], user: str | None) -> dict[str, str] | None:
            if user is None or user.startswith("banned"):
                return None
            name = NAMES.get(user, user)
            if self.path == "/broadcasting/user-auth":
                by = forger if user.startswith("forged") else signer
                _, _, watched = user.partition("-watches-")
                more = {"watchlist": watched.split("-")} if watched else {}
                return by.user(form["socket_id"], {"id": user, "user_info": {"name": name}, **more})
            if self.path != "/broadcasting/auth" or "forbidden" in form["channel_name"]:
                return None
            channel = form["channel_name"]
            member = None
            if channel.startswith("presence-") and "signed-in" not in channel:
                member = {"user_id": user, "user_info": {"name": name}}
            return (forger if "forged" in channel else signer).channel(form["socket_id"], channel, member)

        def _user(self) -> str | None:
            token = self.headers.get("Authorization") or ""
            if token.startswith("Bearer "):
                return token[7:]
            cookie = SimpleCookie(self.headers.get("Cookie")).get("user")
            return cookie.value if cookie else None

        def _answer(self, status: int, body: bytes, content_type: str, more: dict[str, str] | None = None) -> None:
            self.send_response(status)
            self.send_header("Content-Type", content_type)
            self.send_header("Content-Length", str(len(body)))
            for name, value in (more or {}).items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: object) -> None:
            """Say nothing."""

    server.RequestHandlerClass = Handler
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
    thread.start()
    try:
        yield app
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
