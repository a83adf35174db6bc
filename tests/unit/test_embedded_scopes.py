"""ASGI scopes in all forms that the specification allows: the embedded server fails for none."""

from __future__ import annotations

import json
import logging
from typing import Any

import pytest

from soundpost.asgi import App
from soundpost.wire.signatures import signed_query

APP = {"id": "1", "key": "app-key", "secret": "app-secret", "allowed_origins": ["good.example"]}


def http(**changes: Any) -> dict[str, Any]:
    """A scope; what is ``...`` is left out."""
    query = signed_query("app-key", "app-secret", "GET", "/apps/1/channels", 0)
    scope = {
        "type": "http",
        "method": "GET",
        "path": "/apps/1/channels",
        "raw_path": b"/apps/1/channels",
        "query_string": "&".join(f"{name}={value}" for name, value in query.items()).encode(),
        "root_path": "",
        "http_version": "1.1",
        "headers": [(b"host", b"x")],
        **changes,
    }
    return {name: value for name, value in scope.items() if value is not ...}


async def answered(scope: dict[str, Any], *messages: dict[str, Any], app: Any = None) -> list[dict[str, Any]]:
    """Return what the server sends for a scope and these messages."""
    sent: list[dict[str, Any]] = []
    waiting = list(messages) or [{"type": "http.request", "body": b""}]
    served = App(app, apps=[APP])

    async def receive() -> dict[str, Any]:
        return waiting.pop(0) if waiting else {"type": "http.disconnect"}

    async def send(message: dict[str, Any]) -> None:
        sent.append(message)

    try:
        await served(scope, receive, send)
    finally:
        await served.stop()
    return sent


@pytest.mark.parametrize(
    "changes",
    [
        {"headers": ...},
        {"headers": None},
        {"headers": ()},
        {"headers": [[b"Host", b"x"]]},
        {"headers": iter([(b"host", b"x")])},
        {"query_string": ...},
        {"query_string": None},
        {"raw_path": ...},
        {"raw_path": None},
        {"raw_path": b""},
        {"raw_path": b"/apps/1/channels?x"},
        {"root_path": ...},
        {"root_path": None},
        {"http_version": ...},
        {"http_version": "2"},
        {"method": ...},
        {"method": None},
        {"path": "/apps/1/channels/\udcff", "raw_path": None},
        {"path": "/apps/1/channels/ü", "raw_path": None},
        {"headers": [(b"Content-Length", b"9" * 5_000)]},
        {"headers": [(b"content-length", b"-1")]},
        {"headers": [(b"content-length", b"")]},
    ],
    ids=lambda value: str(value)[:40] if "iterator" not in str(value) else "iterator",
)
async def test_requests_of_unusual_scopes_are_understood(
    changes: dict[str, Any], caplog: pytest.LogCaptureFixture
) -> None:
    start, body = await answered(http(**changes))
    assert start["status"] in (401, 404, 413), body  # its signature is of another time: it was understood
    assert not [record for record in caplog.records if record.levelno >= logging.ERROR]


async def test_a_path_that_is_not_raw_is_signed_as_it_was_sent() -> None:
    import time

    path = "/apps/1/channels/presence-a@b,c;d=e"
    query = signed_query("app-key", "app-secret", "GET", path, int(time.time()))
    text = "&".join(f"{name}={value}" for name, value in query.items()).encode()
    start, _ = await answered(http(path=path, raw_path=None, query_string=text))
    assert start["status"] == 200


def websocket(*origins: bytes, **changes: Any) -> dict[str, Any]:
    headers = [(b"host", b"x"), *((b"origin", each) for each in origins)]
    scope = http(type="websocket", path="/app/app-key", raw_path=b"/app/app-key", query_string=b"protocol=7")
    return {**scope, "headers": headers, **changes}


CONNECT = {"type": "websocket.connect"}
DISCONNECT = {"type": "websocket.disconnect", "code": 1000}


def code_of(sent: list[dict[str, Any]]) -> int | None:
    """The code of an error, None for a hello."""
    text = json.loads(next(message["text"] for message in sent if message["type"] == "websocket.send"))
    return None if text["event"] == "pusher:connection_established" else int(text["data"]["code"])


@pytest.mark.parametrize(
    ("origins", "code"),
    [
        ((b"https://good.example",), None),
        ((b"https://evil.example",), 4009),
        ((b"https://good.example", b"https://evil.example"), 4009),
        ((b"https://evil.example", b"https://good.example"), 4009),
        ((b"https://good.example", b"https://good.example"), 4009),
        ((), 4009),
    ],
)
async def test_two_origins_are_none(origins: tuple[bytes, ...], code: int | None) -> None:
    """Whichever comes first: a browser sends one."""
    assert code_of(await answered(websocket(*origins), CONNECT, DISCONNECT)) == code


async def test_an_origin_in_capitals_is_one() -> None:
    scope = websocket(headers=[(b"Origin", b"https://evil.example")])
    assert code_of(await answered(scope, CONNECT, DISCONNECT)) == 4009


@pytest.mark.parametrize("missing", ["headers", "query_string", "raw_path", "root_path", "http_version", "method"])
async def test_websockets_of_incomplete_scopes_are_answered(missing: str) -> None:
    scope = websocket(b"https://good.example")
    scope[missing] = None
    code = code_of(await answered(scope, CONNECT, DISCONNECT))
    assert code == {"headers": 4009, "query_string": 4008}.get(missing)


async def test_a_client_that_is_gone_before_it_is_there() -> None:
    assert await answered(websocket(b"https://good.example"), DISCONNECT) == []


async def test_connections_of_other_kinds_are_the_application_s() -> None:
    kinds = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        kinds.append(scope["type"])

    await answered({"type": "webtransport", "path": "/app/app-key"}, app=app)
    await answered({"type": "telnet"}, app=app)
    assert kinds == ["webtransport", "telnet"]
    with pytest.raises(ValueError, match="not connections of the type 'telnet'"):
        await answered({"type": "telnet"})
