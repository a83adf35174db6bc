"""The words for an HTTP request that fails: why no answer came, and what an answer says that is not a success."""

from __future__ import annotations

import errno
import ssl

import httpx
import pytest

from soundpost.errors import RequestError
from soundpost.http_failures import no_answer, unexpected_answer

URL = "http://ws.example.com"


def answered(status: int, body: str | bytes = b"", **headers: str) -> RequestError:
    content = body.encode() if isinstance(body, str) else body
    error = unexpected_answer(URL, status, {name.replace("_", "-"): value for name, value in headers.items()}, content)
    assert "\n" not in str(error)
    assert error.status == status
    return error


def caused(error: Exception, cause: Exception) -> Exception:
    error.__cause__ = cause
    return error


def test_a_servers_reason_is_passed_on_with_a_hint() -> None:
    assert str(answered(401, "Invalid signature")) == (
        "http://ws.example.com answered 401: Invalid signature; "
        "check that key and secret are this app's, and that the clock is right"
    )


def test_the_useful_end_of_a_reason_is_not_cut() -> None:
    text = "POST\\\\n/apps/1/events\\\\n" + "auth_key=k&" * 30
    reason = (
        f'Invalid signature: you should have sent HmacSHA256Hex(\\"{text}\\", your_secret_key), but you sent \\"abc\\".'
    )
    message = str(answered(401, f'{{"error": "{reason} Either the secret is wrong, or a proxy changed the request."}}'))
    assert 'HmacSHA256Hex("…", your_secret_key), but you sent "abc". Either the secret is wrong, or a proxy' in message
    assert message.endswith(
        "a proxy changed the request; check that key and secret are this app's, and that the clock is right"
    )


def test_a_reason_that_is_a_sentence_ends_once() -> None:
    message = str(answered(404, '{"error": "No matching application for ID [2]."}'))
    assert message == "http://ws.example.com answered 404: No matching application for ID [2]; check app id and path"


def test_a_reason_that_names_a_page_has_its_way_out() -> None:
    message = str(answered(404, '{"error": "news keeps no history. See https://docs.example/#history"}'))
    assert message.endswith("news keeps no history. See https://docs.example/#history")


def test_a_reason_about_clocks_does_not_blame_the_key() -> None:
    message = str(answered(401, '{"error": "Timestamp expired: the clocks differ by 900 s. Set both by NTP."}'))
    assert message.endswith("the clocks differ by 900 s. Set both by NTP")


@pytest.mark.parametrize("body", ['{"error": "No name"}', '{"message": "No name"}'])
def test_a_reason_in_json(body: str) -> None:
    assert str(answered(400, body)) == "http://ws.example.com answered 400: No name"


def test_a_long_reason_with_strange_characters_becomes_a_short_line() -> None:
    message = str(answered(500, "one\ntwo\x1b[31m" + "x" * 10_000))
    assert message.isprintable()
    assert len(message) < 400


def test_a_web_page_is_named_for_what_it_is() -> None:
    page = "<!doctype html><html><head><title>Welcome\n to nginx!</title></head></html>"
    assert str(answered(200, page, content_type="text/html", server="nginx/1.22")) == (
        "http://ws.example.com answered 200 with a web page titled 'Welcome to nginx!' from nginx/1.22: "
        "no Pusher API is there; check host, port and path"
    )


@pytest.mark.parametrize(
    ("status", "body", "shown"),
    [
        (404, '{"detail":"Not Found"}', '{"detail":"Not Found"}'),
        (405, '{"detail":"Method Not Allowed"}', '{"detail":"Method Not Allowed"}'),
        (403, "", "nothing"),
    ],
)
def test_the_port_of_an_application_is_none_of_a_server(status: int, body: str, shown: str) -> None:
    assert str(answered(status, body)) == (
        f"http://ws.example.com answered {status} with {shown}: no Pusher API is there; check host, port and path"
    )


def test_a_redirect_names_the_address_to_use() -> None:
    error = answered(301, location="https://ws.example.com/")
    assert str(error) == "http://ws.example.com redirects to https://ws.example.com/: use that address"


@pytest.mark.parametrize("body", [b"ok", b"[]", b""])
def test_a_success_that_is_none(body: bytes) -> None:
    assert "answered 200, but not with the JSON of a Pusher API" in str(answered(200, body))


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
def test_a_request_without_an_answer_says_why(error: Exception, base_url: str, message: str) -> None:
    failure = no_answer(base_url, error)
    assert failure.status == 0
    assert str(failure) == message
