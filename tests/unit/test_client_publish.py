"""The publisher: what it sends, and what it says when that fails."""

from __future__ import annotations

import errno
import json
import ssl
import time
from collections.abc import Callable
from typing import Any

import httpx
import pytest

from soundpost.client.publish import Publisher
from soundpost.errors import RequestError
from soundpost.wire import signatures

Handler = Callable[[httpx.Request], httpx.Response]


def publisher(handler: Handler, base_url: str = "http://ws.example.com") -> Publisher:
    return Publisher("1", "key", "secret", base_url, transport=httpx.MockTransport(handler))


def answering(status: int, **options: Any) -> Handler:
    return lambda request: httpx.Response(status, **options)


def failing(error: Exception) -> Handler:
    def handler(request: httpx.Request) -> httpx.Response:
        raise error

    return handler


def caused(error: Exception, cause: Exception) -> Exception:
    error.__cause__ = cause
    return error


def publish(handler: Handler, base_url: str = "http://ws.example.com") -> RequestError:
    with publisher(handler, base_url) as one, pytest.raises(RequestError) as caught:
        one.publish("orders", "shipped", {})
    assert "\n" not in str(caught.value)
    return caught.value


def test_the_request_is_signed_as_servers_check_it() -> None:
    seen: list[httpx.Request] = []

    def handler(request: httpx.Request) -> httpx.Response:
        seen.append(request)
        return httpx.Response(200, json={})

    with publisher(handler, "http://ws.example.com/ws/") as one:
        assert one.publish(["orders", "private-log"], "shipped", {"id": 1}, "1.2") == {}
    (request,) = seen
    assert request.url.path == "/ws/apps/1/events"
    query = dict(request.url.params)
    text = signatures.request_text("POST", "/ws/apps/1/events", query.items())
    assert signatures.verify("secret", text, query["auth_signature"])
    assert query["auth_key"] == "key"
    assert query["body_md5"] == signatures.md5(request.content)
    assert abs(int(query["auth_timestamp"]) - time.time()) < 60
    assert json.loads(request.content) == {
        "name": "shipped",
        "channels": ["orders", "private-log"],
        "data": '{"id":1}',
        "socket_id": "1.2",
    }


@pytest.mark.parametrize("text", ["plain words", '{"id": 1}', '"a JSON string"', ""])
def test_a_string_is_sent_as_it_is(text: str) -> None:
    sent: list[Any] = []

    def handler(request: httpx.Request) -> httpx.Response:
        sent.append(json.loads(request.content))
        return httpx.Response(200, json={})

    with publisher(handler) as one:
        one.publish("orders", "shipped", text)
    assert sent == [{"name": "shipped", "channels": ["orders"], "data": text}]


def test_a_servers_reason_is_passed_on_with_a_hint() -> None:
    error = publish(answering(401, text="Invalid signature"))
    assert error.status == 401
    assert str(error) == (
        "http://ws.example.com answered 401: Invalid signature; "
        "check that key and secret are this app's, and that the clock is right"
    )


@pytest.mark.parametrize(
    "answer", [httpx.Response(400, json={"error": "No name"}), httpx.Response(400, json={"message": "No name"})]
)
def test_a_reason_in_json(answer: httpx.Response) -> None:
    assert str(publish(lambda request: answer)) == "http://ws.example.com answered 400: No name"


def test_a_long_reason_with_strange_characters_becomes_a_short_line() -> None:
    message = str(publish(answering(500, text="one\ntwo\x1b[31m" + "x" * 10_000)))
    assert message.isprintable()
    assert len(message) < 400


def test_a_web_page_is_named_for_what_it_is() -> None:
    page = "<!doctype html><html><head><title>Welcome\n to nginx!</title></head></html>"
    error = publish(answering(200, text=page, headers={"server": "nginx/1.22"}))
    assert str(error) == (
        "http://ws.example.com answered 200 with a web page titled 'Welcome to nginx!' from nginx/1.22: "
        "no Pusher API is there; check host, port and path"
    )


def test_a_redirect_names_the_address_to_use() -> None:
    error = publish(answering(301, headers={"location": "https://ws.example.com/"}))
    assert str(error) == "http://ws.example.com redirects to https://ws.example.com/: use that address"


@pytest.mark.parametrize("body", [b"ok", b"[]", b""])
def test_a_success_that_is_none(body: bytes) -> None:
    assert "answered 200, but not with the JSON of a Pusher API" in str(publish(answering(200, content=body)))


@pytest.mark.parametrize(
    ("error", "base_url", "message"),
    [
        (
            caused(httpx.ConnectError("x"), ConnectionRefusedError(errno.ECONNREFUSED, "Connection refused")),
            "http://127.0.0.1:9",
            "nothing listens at http://127.0.0.1:9 (connection refused): is the server running?",
        ),
        (
            caused(httpx.ConnectError("x"), ssl.SSLError(1, "[SSL: WRONG_VERSION_NUMBER]")),
            "https://ws.example.com",
            "https://ws.example.com does not answer in TLS: does it speak http instead of https?",
        ),
        (
            httpx.RemoteProtocolError("Server disconnected without sending a response."),
            "http://ws.example.com",
            "http://ws.example.com hung up without an HTTP answer: does it speak https instead of http?",
        ),
        (httpx.ReadTimeout("timed out"), "http://ws.example.com", "http://ws.example.com did not answer in time"),
        (httpx.ReadError("odd"), "https://ws.example.com", "no answer from https://ws.example.com: odd"),
    ],
)
def test_no_answer(error: Exception, base_url: str, message: str) -> None:
    failure = publish(failing(error), base_url)
    assert failure.status == 0
    assert str(failure) == message
