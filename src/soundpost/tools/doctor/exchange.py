"""One HTTP request and its response over an open connection, read without trust in the peer."""

from __future__ import annotations

import re
import socket
import time
from collections.abc import Mapping
from typing import Final, NamedTuple

from soundpost.tools.doctor import timeouts
from soundpost.tools.doctor.base_url import BaseUrl
from soundpost.tools.doctor.findings import FaultFound, one_line
from soundpost.tools.doctor.network import connect, look_up_addresses
from soundpost.tools.doctor.tls import offers_only_h2, speaks_tls, start_tls
from soundpost.wire.doctor_mark import DOCTOR
from soundpost.wire.foreign import number_in

USER_AGENT: Final = f"Mozilla/5.0 (compatible; {DOCTOR})"
_MAX_HEAD: Final = 65_536
_MAX_BODY: Final = 65_536
_H2_SETTINGS: Final = b"\x04"  # the type of the frame with which every HTTP/2 server begins
_TLS_ALERT: Final = b"\x15\x03"
_CHUNK: Final = re.compile(rb"([0-9a-fA-F]{1,8})(?:;[^\r\n]*)?\r\n")


class RawResponse(NamedTuple):
    """HTTP response: ``version`` such as ``HTTP/1.1``, header names in lower case, ``raw`` as received."""

    status: int
    version: str
    headers: Mapping[str, str]
    body: bytes
    raw: bytes


def open_connection(base_url: BaseUrl, *, verify: bool) -> socket.socket:
    """Return a connection to a base URL, with TLS for https. Raises FaultFound."""
    sock = connect(base_url, look_up_addresses(base_url)).sock
    return start_tls(sock, base_url, verify=verify) if base_url.is_tls else sock


def send_request(sock: socket.socket, base_url: BaseUrl, request: bytes) -> RawResponse:
    """Send a request and return the response. Raises FaultFound for silence, and for anything but HTTP."""
    received = b""
    deadline = time.monotonic() + timeouts.ANSWER
    try:
        sock.sendall(request)
        while b"\r\n\r\n" not in received and len(received) < _MAX_HEAD and _may_be_http(received):
            data = _receive(sock, deadline)
            if not data:
                break
            received += data
    except TimeoutError:
        if not received:
            raise FaultFound(
                "http-timeout", host=base_url.host, port=base_url.port, seconds=f"{timeouts.ANSWER:g}"
            ) from None
    except OSError:  # a reset: the bytes received before count
        pass
    response = _parsed(received)
    if response is None:
        raise _no_answer(base_url, received)
    return response._replace(body=response.body if response.status == 101 else _body(sock, response, deadline))


def fetch(base_url: BaseUrl, method: str, target: str, body: bytes = b"", *, verify: bool) -> RawResponse:
    """Send a request over a new connection and return the response. Raises FaultFound."""
    lines = [
        f"{method} {target} HTTP/1.1",
        f"Host: {base_url.authority}",
        f"User-Agent: {USER_AGENT}",
        "Accept: application/json",
        "Connection: close",
    ]
    if body:
        lines += ["Content-Type: application/json", f"Content-Length: {len(body)}"]
    with open_connection(base_url, verify=verify) as sock:
        return send_request(sock, base_url, "\r\n".join([*lines, "", ""]).encode() + body)


def _may_be_http(received: bytes) -> bool:
    return received[:5] == b"HTTP/"[: len(received)]


def _receive(sock: socket.socket, deadline: float) -> bytes:
    left = deadline - time.monotonic()
    if left <= 0:
        raise TimeoutError
    sock.settimeout(left)
    return sock.recv(65_536)


def _parsed(raw: bytes) -> RawResponse | None:
    head, end, rest = raw.partition(b"\r\n\r\n")
    lines = head.decode("latin-1").split("\r\n")
    version, _, status = lines[0].partition(" ")
    code = number_in(status[:3])
    if not end or not version.startswith("HTTP/") or code is None:
        return None
    headers: dict[str, str] = {}
    for line in lines[1:]:
        name, _, value = line.partition(":")
        headers[name.strip().lower()] = value.strip()
    return RawResponse(code, version, headers, rest, raw)


def _body(sock: socket.socket, response: RawResponse, deadline: float) -> bytes:
    """Return the body as far as it arrives: the text is only searched for words."""
    body = response.body
    length = number_in(response.headers.get("content-length", ""))
    wanted = _MAX_BODY if length is None else min(length, _MAX_BODY)
    chunked = "chunked" in response.headers.get("transfer-encoding", "")
    try:
        while len(body) < wanted and not (chunked and body.endswith(b"0\r\n\r\n")):
            data = _receive(sock, min(deadline, time.monotonic() + timeouts.CONNECT))
            if not data:
                break
            body += data
    except OSError:
        pass
    return _unchunked(body) if chunked else body


def _unchunked(body: bytes) -> bytes:
    whole, at = bytearray(), 0
    while found := _CHUNK.match(body, at):
        length = int(found[1], 16)
        if not length:
            return bytes(whole)
        whole += body[found.end() : found.end() + length]
        at = found.end() + length + 2
    return bytes(whole + body[at:])


def _no_answer(base_url: BaseUrl, received: bytes) -> FaultFound:
    """Return the fault of bytes that are not an HTTP response."""
    if received[3:4] == _H2_SETTINGS or (base_url.is_tls and offers_only_h2(base_url)):
        return FaultFound("http2-only", host=base_url.host, port=base_url.port)
    if not base_url.is_tls and (received.startswith(_TLS_ALERT) or speaks_tls(base_url)):
        return FaultFound("port-speaks-tls", host=base_url.host, port=base_url.port)
    if not received:
        return FaultFound("http-connection-closed", host=base_url.host, port=base_url.port)
    return FaultFound("port-not-http", host=base_url.host, port=base_url.port, shown=repr(one_line(received)))
