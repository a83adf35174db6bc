"""Arbitrary bytes, as HTTP and after the upgrade: the server lives, and others are served as if nothing were."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from soundpost.core.app_settings import AppSettings
from support.harness import (
    DEFAULT_APP,
    RawSocket,
    RunningServer,
    client_frame,
    fragments,
    running_server,
    signed_request,
    upgrade_request,
)

pytestmark = pytest.mark.usefixtures("unharmed")


class Witness:
    """Somebody else, who is subscribed to a channel and must get what is published to it."""

    def __init__(self, server: RunningServer, client: RawSocket) -> None:
        self._server = server
        self._client = client
        self._count = 0
        client.subscribe("witness")

    def is_served(self) -> None:
        self._count += 1
        assert self._server.publish("witness", f"event-{self._count}").status == 200
        assert self._client.read_event()["event"] == f"event-{self._count}"


@pytest.fixture(scope="module")
def server() -> Iterator[RunningServer]:
    app = AppSettings(id="1", key=DEFAULT_APP.key, secret=DEFAULT_APP.secret, ping_interval=3600, activity_timeout=3600)
    with running_server(apps=[app]) as running:
        yield running


@pytest.fixture(scope="module")
def witness(server: RunningServer) -> Iterator[Witness]:
    with server.connect() as client:
        yield Witness(server, client)


@pytest.fixture(scope="module")
def unharmed(server: RunningServer) -> Iterator[None]:
    yield
    log = server.log()
    assert "Traceback" not in log
    assert "could not be handled" not in log
    assert server.process.poll() is None


def drain(client: RawSocket) -> bytes:
    """Say that nothing more comes, and read what the server has to say to it."""
    try:
        client.socket.shutdown(1)
    except OSError:
        return b""
    return client.read_rest()


def send(client: RawSocket, portions: list[bytes]) -> None:
    try:
        for portion in portions:
            client.send(portion)
    except OSError:
        return  # the server has had enough


texts = st.sampled_from(
    [
        b"",
        b"{}",
        b'{"event":"pusher:ping"}',
        b'{"event":"pusher:subscribe","data":{"channel":"x"}}',
        b"\xff",
        b"[" * 900,
    ]
)
any_frame = st.builds(
    client_frame,
    st.integers(0, 15),
    texts | st.binary(max_size=130),
    fin=st.booleans(),
    rsv=st.sampled_from([0, 0, 0, 1, 7]),
    mask=st.sampled_from([b"mask", b"mask", b"\0\0\0\0", None]),
    length=st.none() | st.integers(0, 2**64 - 1),
)
good_frame = st.builds(client_frame, st.sampled_from([1, 1, 2, 8, 9, 10]), texts.filter(lambda text: len(text) < 126))
good_message = st.builds(fragments, st.just(1), st.lists(texts, min_size=1, max_size=4))
websocket_bytes = st.lists(any_frame | good_frame | good_message | st.binary(max_size=100), max_size=8)

request_line = st.sampled_from(
    [
        b"GET /up HTTP/1.1",
        b"POST /apps/1/events HTTP/1.1",
        b"GET /app/app-key?protocol=7 HTTP/1.1",
        b"OPTIONS * HTTP/1.0",
    ]
)
header = st.sampled_from(
    [
        b"Host: x",
        b"Content-Length: 5",
        b"Content-Length: 0",
        b"Content-Length: 99999999",
        b"Transfer-Encoding: chunked",
        b"Transfer-Encoding: gzip, chunked",
        b"Transfer-Encoding: identity",
        b"Connection: close",
        b"Connection: Upgrade",
        b"Upgrade: websocket",
        b"Upgrade: h2c",
        b"Expect: 100-continue",
        b"Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==",
        b"Sec-WebSocket-Version: 13",
    ]
) | st.binary(max_size=30)
http_part = st.one_of(
    st.builds(
        lambda line, headers, body: b"\r\n".join([line, *headers, b"", body]),
        request_line | st.binary(max_size=40),
        st.lists(header, max_size=6),
        st.sampled_from([b"", b"hello", b"5\r\nhello\r\n0\r\n\r\n", b"0\r\nX: y\r\n\r\n"]) | st.binary(max_size=40),
    ),
    st.just(upgrade_request()),
    st.binary(max_size=100),
)


@given(websocket_bytes)
@settings(max_examples=600)
def test_bytes_after_the_upgrade(server: RunningServer, witness: Witness, portions: list[bytes]) -> None:
    with server.connect() as client:
        send(client, portions)
        witness.is_served()
        drain(client)
    witness.is_served()


@given(st.lists(http_part, max_size=4))
@settings(max_examples=1000)
def test_bytes_as_http(server: RunningServer, witness: Witness, portions: list[bytes]) -> None:
    with RawSocket(server.port) as client:
        send(client, portions)
        answer = drain(client)
    assert answer == b"" or answer.startswith(b"HTTP/1.1 ")
    assert b" 500 " not in answer
    witness.is_served()


@given(
    st.one_of(
        st.binary(max_size=200),
        st.text(max_size=100).map(lambda text: text.encode()),
        st.sampled_from([b"[" * 100_000, b'{"name":"x","channel":"x","data":"\\ud800"}', b'{"batch":[' * 9000]),
    ),
    st.sampled_from(["/events", "/batch_events", "/users/7/terminate_connections"]),
)
@settings(max_examples=400)
def test_any_signed_body_is_answered_with_a_known_status(
    server: RunningServer, witness: Witness, body: bytes, path: str
) -> None:
    with RawSocket(server.port) as client:
        client.send(signed_request("POST", path, body))

        assert client.read_response().status in (200, 400, 401, 413, 422)
    witness.is_served()
