"""Requests that are read in one call: in C as in Python, and never otherwise than llhttp reads them.

A second parser is how requests are smuggled, so what it reads must be one request for llhttp too, with the same
method, target, headers, body, and consequences for the connection. What it leaves alone is llhttp's.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from soundpost.config.settings import ServerSettings
from soundpost.errors import HandshakeError
from soundpost.server.api.requests import ApiError, Request
from soundpost.server.connections.request_reader import RequestReader
from soundpost.server.connections.timer_wheel import TimerWheel
from soundpost.server.connections.whole_request import (
    Handshake,
    ReadFields,
    ReadWhole,
    read_fields,
    read_fields_in_python,
    read_whole,
    read_whole_in_python,
)
from soundpost.wire.client_address import HEADERS
from soundpost.wire.handshake import accept, response

MAX_HEAD, MAX_BODY = 400, 60
READERS = list(dict.fromkeys([(read_whole_in_python, read_fields_in_python), (read_whole, read_fields)]))
UP = b"GET /up HTTP/1.1\r\nHost: x\r\n\r\n"
UPGRADE = (
    b"GET /app/key?protocol=7 HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nOrigin: http://x\r\n"
    b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
)
PUBLISH = b'POST /apps/1/events?auth_key=k HTTP/1.1\r\nHost: x\r\nContent-Length: 4\r\nIdempotency-Key: "a"\r\n\r\n{"x"'

METHODS = st.sampled_from(b"GET|POST|DELETE|PUT|HEAD|CONNECT|OPTIONS|get|GETT|".split(b"|"))
TARGETS = st.sampled_from(b"/|/up|/a?b=c&d=%20|/a?b?c|/?|//x/y|/a#b|*|http://x/a|/a b|/^a|/\xc3\xa4".split(b"|"))
VERSIONS = st.sampled_from([b"HTTP/1.1"] * 8 + b"HTTP/1.0|HTTP/1.2|HTTP/2.0|HTTP/0.9|HTTP/1.1 |http/1.1".split(b"|"))
NAMES = st.sampled_from(
    b"Host|HOST|host |X-A|x-a|x_b|Cookie|Expect|Connection|Proxy-Connection|Upgrade|Content-Length|content-length|"
    b"Transfer-Encoding|Keep-Alive|TE|Trailer|Content_Length|Idempotency-Key|Accept|Sec-WebSocket-Key|HTTP2-Settings|"
    b"Sec-WebSocket-Version|Sec-WebSocket-Extensions|Origin|X-Forwarded-For|X-Real-IP|Forwarded|a\x00|a:b| X|".split(
        b"|"
    )
)
VALUES = st.sampled_from(
    b"x|1|0|4|04|+4|-4|4, 4|4 |0x4|99999999999999999999|chunked|identity|keep-alive|Keep-Alive|close|CLOSE|Upgrade|"
    b"keep-alive, Upgrade|upgrade, close|close, x|websocket|WebSocket|h2c|websocket, h2c|100-continue|a b| a|a |\ta|"
    b"a\t|a\r\n b|a\nb|a\rb|\x00|\x7f|\xff|a:b|TE|Content-Length| |"
    b"13|8|dGhlIHNhbXBsZSBub25jZQ==|AAAAAAAAAAAAAAAAAAAAAAA=|AAAAAAAAAAAAAAAAAAAAAA===|".split(b"|")
)
SEPARATORS = st.sampled_from([b": "] * 6 + [b":", b":  ", b" : ", b":\t", b""])
LINE_ENDS = st.sampled_from([b"\r\n"] * 20 + [b"\n", b"\r", b"\r\r\n", b"\n\r\n", b""])
BODIES = st.sampled_from(
    [b"", b"", b"", b"{}", b"{}xx", b"4\r\nabcd\r\n0\r\n\r\n", UP, b"\r\n", b"\r\n\r\n", bytes(range(60))]
)


@st.composite
def requests(draw: st.DrawFn) -> bytes:
    """Return a request that is nearly right, or right."""
    line = draw(METHODS) + b" " + draw(TARGETS) + b" " + draw(VERSIONS) + draw(LINE_ENDS)
    fields = [draw(NAMES) + draw(SEPARATORS) + draw(VALUES) + draw(LINE_ENDS) for _ in range(draw(st.integers(0, 4)))]
    body = draw(BODIES)
    if draw(st.booleans()):
        fields.append(b"Host: x\r\n")
    if draw(st.booleans()):
        fields.append(b"Content-Length: %d\r\n" % len(body))
    if draw(st.booleans()):
        fields += [b"Connection: Upgrade\r\n", b"Upgrade: websocket\r\n"]
        fields += [b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"] * draw(st.booleans())
        fields += [b"Sec-WebSocket-Version: 13\r\n"] * draw(st.booleans())
    return line + b"".join(draw(st.permutations(fields))) + draw(LINE_ENDS) + body


@st.composite
def mutations(draw: st.DrawFn) -> bytes:
    """Return a right request with some bytes replaced, left out, put in, or repeated."""
    data = draw(st.sampled_from([UP, UPGRADE, PUBLISH]))
    for _ in range(draw(st.integers(1, 3))):
        at = draw(st.integers(0, len(data)))
        size = draw(st.integers(0, 12))
        new = draw(
            st.one_of(
                st.just(b""), st.binary(max_size=2), st.sampled_from([b"\r\n", b" ", b":", b"\t", data[at : at + size]])
            )
        )
        left_out = draw(st.sampled_from([0, 0, 1, size]))
        data = data[:at] + new + data[at + left_out :]
    return data


@dataclass
class Receiver:
    """A receiver that keeps what llhttp read."""

    requests: list[tuple[Request, bool]] = field(default_factory=list)
    others: list[str] = field(default_factory=list)

    def request_read(self, request: Request, wants_upgrade: bool) -> None:
        self.requests.append((request, wants_upgrade))

    def continue_expected(self) -> None:
        self.others.append("100 Continue")

    def refuse(self, error: ApiError) -> None:
        self.others.append(error.message)


Read = tuple[bytes, str, str, dict[bytes, bytes], bytes, bool, bool, bytes | None, Handshake | None]
"""A request as :data:`WholeRequest` has it, with header values by lower-case name in place of the lines."""


def by_llhttp(data: bytes) -> Read:
    """Return the one request in the data. It must be whole, within the limits, and the only one."""
    receiver = Receiver()
    limits = ServerSettings(max_head_size=MAX_HEAD, max_request_size=MAX_BODY)
    reader = RequestReader(receiver, limits, TimerWheel(), began=0, in_request=True)
    rest = reader.feed(data)
    ((request, wants_upgrade),) = receiver.requests
    assert not receiver.others
    assert not reader.in_request
    assert rest == (b"" if wants_upgrade else None)
    assert request.http_version == "1.1"
    key = request.headers().get(b"idempotency-key")
    assert request.idempotency_key == key
    return (
        request.method,
        request.path,
        request.query,
        request.headers(),
        request.body,
        request.keep_alive,
        wants_upgrade,
        key,
        handshake_in(request) if wants_upgrade else None,
    )


def handshake_in(request: Request) -> Handshake | None:
    """Return what the fields of a request for a WebSocket say; None if the handshake is to be refused."""
    headers = request.headers()
    try:
        accepted = accept(request.method, request.http_version, headers)
    except HandshakeError:
        return None
    key = headers[b"sec-websocket-key"]
    assert response(key) == accepted
    names_client = not headers.keys().isdisjoint(HEADERS)
    return key, headers.get(b"origin"), headers.get(b"sec-websocket-extensions", b""), names_client


def in_one_call(read: ReadWhole, fields: ReadFields, data: bytes) -> Read | None:
    """Return the request as a function reads it in one call, with its fields; None if the function leaves it alone."""
    found = read(data, MAX_HEAD, MAX_BODY)
    if found is None:
        return None
    method, path, query, head, *rest = found
    return method, path, query, fields(head), *rest  # type: ignore[return-value]


@settings(max_examples=1_000)
@given(st.one_of(requests(), mutations()))
@example(UP)
@example(UPGRADE)
@example(UPGRADE.replace(b"13", b"8"))
@example(UPGRADE.replace(b"Q==", b"QA="))
@example(UPGRADE.replace(b"Host: x", b"Host: x\r\nx-forwarded-for: 1\r\nsec-websocket-extensions: a"))
@example(UPGRADE.replace(b"Host: x", b"Host: x\r\nForwarded: for=1"))
@example(UPGRADE.replace(b"Host: x", b"Host: x\r\nX-Real-IP: 1"))
@example(PUBLISH)
@example(PUBLISH.replace(b"x", b"y" * 60))
@example(UP.replace(b"x", b"y" * MAX_HEAD))
@example(UP.replace(b"\r\n\r\n", b"\r\na:b" * 60 + b"\r\n\r\n"))
def test_what_is_read_in_one_call_is_what_llhttp_reads(data: bytes) -> None:
    found = in_one_call(read_whole, read_fields, data)
    assert in_one_call(read_whole_in_python, read_fields_in_python, data) == found
    if found is not None:
        assert by_llhttp(data) == found


@pytest.mark.parametrize(("read", "fields"), READERS, ids=["python", "c"][: len(READERS)])
@pytest.mark.parametrize("request_", [UP, UPGRADE, PUBLISH], ids=["up", "upgrade", "publish"])
def test_usual_requests_are_read_in_one_call_and_no_part_of_them_is(
    read: ReadWhole, fields: ReadFields, request_: bytes
) -> None:
    assert in_one_call(read, fields, request_) == by_llhttp(request_)
    for size in range(len(request_)):
        assert read(request_[:size], MAX_HEAD, MAX_BODY) is None
    assert read(request_ + UP, MAX_HEAD, MAX_BODY) is None


@given(st.binary(max_size=40) | st.text(alphabet=":\r\n a", max_size=12).map(str.encode))
def test_fields_are_read_of_any_bytes_within_their_bounds(head: bytes) -> None:
    assert isinstance(read_fields(head), dict)
