"""The routes of the playground page: its files, its configuration, signatures, publishing.

The playground signs and publishes for everybody who reaches it, but not for pages of other sites: neither by requests
across sites, nor under a host name of their own that points to this machine (DNS rebinding).
"""

from __future__ import annotations

from importlib.resources import files
from typing import Any, Final

import msgspec
from msgspec import Struct

from soundpost import __version__
from soundpost.core.app_settings import AppSettings
from soundpost.core.node import Node
from soundpost.errors import JsonError
from soundpost.invocation import soundpost_command
from soundpost.server.api.events import publish_event
from soundpost.server.api.pending_response import PendingResponse
from soundpost.server.api.requests import ApiError, Request, Response, json_response
from soundpost.wire import channel_names, signatures, socket_id
from soundpost.wire.addresses import is_loopback_url
from soundpost.wire.json_text import encode, is_unicode, reader
from soundpost.wire.origins import is_of_host, needs_no_name_server, origin_of

_FILES: Final = {
    "/playground": ("index.html", b"text/html; charset=utf-8"),
    "/playground/playground.css": ("playground.css", b"text/css; charset=utf-8"),
    "/playground/playground.js": ("playground.js", b"text/javascript; charset=utf-8"),
    "/playground/json_problem.js": ("json_problem.js", b"text/javascript; charset=utf-8"),
}
_HEADERS: Final = (
    (
        "Content-Security-Policy",
        (
            "default-src 'none'; connect-src 'self' ws: wss:; img-src 'self' data:; style-src 'self'; "
            "script-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
        ),
    ),
    ("X-Content-Type-Options", "nosniff"),
    ("Referrer-Policy", "no-referrer"),
    ("Cache-Control", "no-cache"),
)


class AuthBody(Struct):
    """A request for the signature of a subscription."""

    socket_id: str
    channel_name: str
    user_id: str | None = None
    user_info: Any = None


class PublishBody(Struct):
    """An event from the page's form; ``data`` is any JSON value."""

    channel: str
    event: str
    data: msgspec.Raw


class Playground:
    """The handler of ``/playground`` and the paths below."""

    def __init__(self, app: AppSettings, prefix: str, node: Node, hostname: str | None = None) -> None:
        """Make the routes; ``hostname`` is how clients reach the server, beside IP addresses and localhost."""
        self._app = app
        self._hostname = None if hostname is None else hostname.lower()
        self._prefix = prefix
        self._core_app = node.by_id[app.id]

    def respond(self, request: Request, path: str) -> Response | PendingResponse:
        """Answer a request; ``path`` is without the server's prefix. Raises ApiError."""
        host = request.headers().get(b"host", b"").decode("latin-1")
        if not self._is_own_name(host):
            raise ApiError(
                403,
                f"The playground is not served as {host[:100]!a}: open it at the server's IP address "
                "(http://127.0.0.1:8080/playground), or set server.hostname to this name",
            )
        if request.method in (b"GET", b"HEAD"):
            if path in _FILES:
                name, content_type = _FILES[path]
                body = files("soundpost.server.playground").joinpath("static", name).read_bytes()
                return Response(200, body, content_type, _HEADERS)
            if path == "/playground/":
                return Response(308, b"", headers=(("Location", self._prefix + "/playground"),))
            if path == "/playground/config.json":
                return self._config(host)
        elif request.method == b"POST":
            # A page of another site would need a CORS preflight for this header, which is never granted.
            if b"x-soundpost-playground" not in request.headers():
                raise ApiError(403, "This address is for the playground page only")
            origin = request.headers().get(b"origin")
            if origin is not None and not is_of_host(origin.decode("latin-1"), host):
                raise ApiError(
                    403, f"A page of {origin[:100].decode('latin-1')!a} asks, not the playground of {host!a}"
                )
            if path == "/playground/auth":
                return self._auth(_decode(request.body, AuthBody))
            if path == "/playground/publish":
                return self._publish(_decode(request.body, PublishBody))
        raise ApiError(404, f"The playground has no {request.method.decode('latin-1')} {path[:100]!a}")

    def _is_own_name(self, host: str) -> bool:
        page = origin_of(f"http://{host}")
        if page is None:
            return False
        return page.host == self._hostname or needs_no_name_server(page.host)

    def _config(self, host: str) -> Response:
        """Answer with the page's configuration; only a browser on this machine gets the path of the command."""
        return json_response(
            {
                "app_id": self._app.id,
                "key": self._app.key,
                "path": self._prefix,
                "version": __version__,
                "activity_timeout": self._app.activity_timeout,
                "keeps_history": bool(self._core_app.settings.history),
                "command": soundpost_command() if is_loopback_url(f"http://{host}") else "soundpost",
            }
        )

    def _auth(self, body: AuthBody) -> Response:
        fault = channel_names.fault(body.channel_name, self._app.max_channel_name_length)
        fault = fault or socket_id.fault(body.socket_id)
        if not is_unicode(body.channel_name):
            fault = "channel_name: it has half of a character, which is not valid Unicode and cannot be signed"
        if fault is not None:
            raise ApiError(422, fault)
        answer: dict[str, str] = {}
        data = None
        if channel_names.kind_of(body.channel_name).is_presence:
            data = encode({"user_id": body.user_id or body.socket_id, "user_info": body.user_info}).decode()
            answer["channel_data"] = data
        text = signatures.channel_text(body.socket_id, body.channel_name, data)
        answer["auth"] = f"{self._app.key}:{signatures.sign(self._app.secret, text)}"
        return json_response(answer)

    def _publish(self, body: PublishBody) -> Response | PendingResponse:
        return publish_event(self._core_app, body.event, bytes(body.data).decode(), [body.channel])


def refuse_without_playground(request: Request, path: str) -> Response:
    """Refuse ``/playground`` on a server that does not serve it, with the way to switch it on. Raises ApiError."""
    raise ApiError(
        404,
        "The playground is off, because everybody who reaches it can publish. To turn it on, start the "
        "server with --playground, or write playground = true below [server] in soundpost.toml",
    )


def _decode(body: bytes, shape: type[Any]) -> Any:
    try:
        body.decode()  # JSON that is kept as it was sent is not checked by the reader
        return reader(shape)(body)
    except (JsonError, UnicodeDecodeError) as error:
        raise ApiError(422, f"Invalid body: {error}") from None
