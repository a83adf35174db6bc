"""The PROXY protocol's header: both versions, whole, in parts, wrong."""

from __future__ import annotations

import socket

import pytest
from hypothesis import given
from hypothesis import strategies as st

from soundpost.errors import ProxyHeaderError
from soundpost.wire.proxy_protocol import ProxyHeader, read_proxy_header

SIGNATURE = b"\r\n\r\n\x00\r\nQUIT\n"


def binary(command: int, family: int, rest: bytes, size: int | None = None) -> bytes:
    """Return a header of version 2."""
    return SIGNATURE + bytes([command, family]) + (len(rest) if size is None else size).to_bytes(2, "big") + rest


IPV4 = socket.inet_aton("203.0.113.7") + socket.inet_aton("127.0.0.1") + b"\xc7\x5a\x01\xbb"
IPV6 = socket.inet_pton(socket.AF_INET6, "2001:db8::7") + socket.inet_pton(socket.AF_INET6, "::1") + b"\xc7\x5a\x01\xbb"
MAPPED = socket.inet_pton(socket.AF_INET6, "::ffff:203.0.113.7") + IPV6[16:]
NOTES = b"\x04\x00\x03abc"
WHOLE = [
    (b"PROXY TCP4 203.0.113.7 127.0.0.1 51034 443\r\n", "203.0.113.7"),
    (b"PROXY TCP6 2001:db8::7 ::1 51034 443\r\n", "2001:db8::7"),
    (b"PROXY TCP6 ::ffff:203.0.113.7 ::ffff:127.0.0.1 51034 443\r\n", "203.0.113.7"),
    (b"PROXY UNKNOWN\r\n", None),
    (b"PROXY UNKNOWN ffff:f...f:ffff ffff:f...f:ffff 65535 65535\r\n", None),
    (binary(0x21, 0x11, IPV4), "203.0.113.7"),
    (binary(0x21, 0x12, IPV4), "203.0.113.7"),
    (binary(0x21, 0x11, IPV4 + NOTES), "203.0.113.7"),
    (binary(0x21, 0x21, IPV6), "2001:db8::7"),
    (binary(0x21, 0x21, MAPPED), "203.0.113.7"),
    (binary(0x21, 0x31, bytes(216)), None),
    (binary(0x21, 0x00, b""), None),
    (binary(0x20, 0x00, b""), None),
    (binary(0x20, 0x11, IPV4), None),  # LOCAL: a health check of the proxy's own
    (binary(0x20, 0x77, NOTES), None),
]


@pytest.mark.parametrize(("header", "source"), WHOLE)
def test_a_header_names_the_client(header: bytes, source: str | None) -> None:
    assert read_proxy_header(header + b"GET / HTTP/1.1\r\n") == ProxyHeader(source, len(header))


@pytest.mark.parametrize(("header", "source"), WHOLE)
def test_a_part_of_a_header_is_none_yet(header: bytes, source: str | None) -> None:
    assert [read_proxy_header(header[:size]) for size in range(len(header))] == [None] * len(header)


@pytest.mark.parametrize(
    ("data", "why"),
    [
        (b"GET / HTTP/1.1\r\n", "there is no PROXY header: the connection begins with b'GET / HTTP/1.1"),
        (b"\x16\x03\x01\x02\x00", "there is no PROXY header"),
        (b"\r\n\r\nGET", "there is no PROXY header"),
        (b"proxy TCP4 1.1.1.1 2.2.2.2 1 2\r\n", "there is no PROXY header"),
        (b"PROXY TCP4 203.0.113.7 127.0.0.1 51034\r\n", "cannot be understood"),
        (b"PROXY TCP4  203.0.113.7 127.0.0.1 51034 443\r\n", "cannot be understood"),
        (b"PROXY TCP5 203.0.113.7 127.0.0.1 51034 443\r\n", "cannot be understood"),
        (b"PROXY TCP4 203.0.113.256 127.0.0.1 51034 443\r\n", "wrong address"),
        (b"PROXY TCP4 2001:db8::7 ::1 51034 443\r\n", "wrong address"),
        (b"PROXY " + b"x" * 101, "does not end within 107 bytes"),
        (b"PROXY UNKNOWN " + b"x" * 100 + b"\r\n", "does not end within 107 bytes"),
        (binary(0x11, 0x11, IPV4), "version or command that is unknown: 0x11"),
        (binary(0x22, 0x11, IPV4), "version or command that is unknown: 0x22"),
        (binary(0x21, 0x11, IPV4[:-1]), "no room for its addresses"),
        (binary(0x21, 0x21, IPV4), "no room for its addresses"),
        (binary(0x21, 0x31, IPV6), "no room for its addresses"),
        (binary(0x21, 0x41, IPV4), "unknown family"),
        (binary(0x21, 0x11, IPV4, size=65535), "longer than 4096 bytes: 65551"),
    ],
)
def test_what_is_wrong_with_a_header_is_said(data: bytes, why: str) -> None:
    with pytest.raises(ProxyHeaderError, match=why.replace("(", r"\(")):
        read_proxy_header(data)


@given(st.sampled_from([b"", b"PROXY ", b"PROXY TCP4 ", SIGNATURE, SIGNATURE + b"\x21\x11"]), st.binary(max_size=120))
def test_hostile_bytes_are_read_or_refused(beginning: bytes, rest: bytes) -> None:
    data = beginning + rest
    try:
        header = read_proxy_header(data)
    except ProxyHeaderError:
        return
    assert header is None or header.size <= len(data)
