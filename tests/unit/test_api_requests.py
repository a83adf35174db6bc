"""HTTP requests for routes, their responses, and responses that wait for other nodes."""

from __future__ import annotations

import pytest

from soundpost.server.api.pending_response import PendingResponse
from soundpost.server.api.requests import OK, ApiError, Request, Response, json_response


def request(target: bytes = b"/", headers: list[tuple[bytes, bytes]] | None = None) -> Request:
    return Request(b"GET", target, "1.1", headers or [], b"", True)


@pytest.mark.parametrize(
    ("query", "pairs"),
    [
        (b"", []),
        (b"?", []),
        (b"?a=1&b=2", [("a", "1"), ("b", "2")]),
        (b"?b=2&a=1&b=3", [("b", "2"), ("a", "1"), ("b", "3")]),
        (b"?a=", [("a", "")]),
        (b"?a", [("a", "")]),
        (b"?=1&&", []),
        (b"?a=b=c", [("a", "b=c")]),
        (b"?info=user_count,subscription_count", [("info", "user_count,subscription_count")]),
        (b"?info=user_count%2Csubscription_count", [("info", "user_count,subscription_count")]),
        (b"?a=%C3%A4+b%2B&%62=%26%3D", [("a", "ä b+"), ("b", "&=")]),
        (b"?a=%FF%zz", [("a", "\ufffd%zz")]),
        (b"?a=1?b=2", [("a", "1?b=2")]),
    ],
)
def test_the_query_is_decoded_into_pairs_in_order(query: bytes, pairs: list[tuple[str, str]]) -> None:
    assert request(b"/path" + query).parameters() == pairs


def test_path_is_kept_as_sent() -> None:
    assert request(b"/apps/1/channels/a%20b?x=1").path == "/apps/1/channels/a%20b"


def test_headers_are_found_in_lower_case_and_joined() -> None:
    headers = request(headers=[(b"Connection", b"keep-alive"), (b"CONNECTION", b"Upgrade"), (b"Host", b"x")]).headers()

    assert headers == {b"connection": b"keep-alive, Upgrade", b"host": b"x"}


def test_a_response_is_encoded_with_status_length_and_headers() -> None:
    assert OK.encode(keep_alive=True) == (
        b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 2\r\n\r\n{}"
    )
    assert b"\r\nConnection: close\r\n" in OK.encode(keep_alive=False)
    assert json_response({"a": [1]}, 201).encode(keep_alive=True) == (
        b'HTTP/1.1 201 Created\r\nContent-Type: application/json\r\nContent-Length: 9\r\n\r\n{"a":[1]}'
    )
    assert b"\r\nX-A: b\r\n" in Response(headers=(("X-A", "b"),)).encode(keep_alive=True)
    assert Response(599).encode(keep_alive=True).startswith(b"HTTP/1.1 599 Unknown\r\n")


def test_an_error_is_json_with_its_reason() -> None:
    response = ApiError(405, 'say "GET"', (("Allow", "GET"),)).response()

    assert response == Response(405, b'{"error":"say \\"GET\\""}', headers=(("Allow", "GET"),))


def test_a_later_answer_that_needs_a_further_one_waits_for_it() -> None:
    inner = PendingResponse(lambda answer: json_response(answer))
    outer = PendingResponse(lambda answer: inner)
    told: list[Response | None] = []
    outer.then(lambda: told.append(outer.response))

    outer.resolve(None)
    assert (outer.response, told) == (None, [])
    inner.resolve([1])

    assert told == [Response(body=b"[1]")]


def test_a_later_answer_takes_over_one_that_is_there() -> None:
    inner = PendingResponse(lambda answer: json_response(answer))
    inner.resolve([1])
    outer = PendingResponse(lambda answer: inner)

    outer.resolve(None)

    assert outer.response == Response(body=b"[1]")
