"""HTTP/1.1 (RFC 9110, 9112) as it arrives: in portions, in a row, with bodies of all kinds, and broken."""

from __future__ import annotations

import json
import socket
from collections.abc import Iterator

import pytest

from support.harness import RawSocket, RunningServer, http_request, running_server, signed_request

MAX_BODY, MAX_HEAD = 20_000, 4_000
UP = b"GET /up HTTP/1.1\r\nHost: x\r\n\r\n"
HEALTH = b'{"health":"OK"}'


@pytest.fixture(scope="module")
def server() -> Iterator[RunningServer]:
    with running_server(max_request_size=MAX_BODY, max_head_size=MAX_HEAD) as running:
        yield running


def event(number: int = 0, channel: str = "news") -> bytes:
    return json.dumps({"name": f"event-{number}", "channels": [channel], "data": "{}"}).encode()


def publish(number: int = 0, *headers: str) -> bytes:
    return signed_request("POST", "/events", event(number), headers=headers)


def chunked(request: bytes, encoded: bytes) -> bytes:
    """The request with its body sent in chunks."""
    head = request.partition(b"\r\n\r\n")[0]
    lines = [line for line in head.split(b"\r\n") if not line.lower().startswith(b"content-length")]
    return b"\r\n".join([*lines, b"Transfer-Encoding: chunked", b"", b""]) + encoded


def in_chunks(body: bytes, size: int, extension: bytes = b"", trailers: bytes = b"") -> bytes:
    pieces = [body[at : at + size] for at in range(0, len(body), size)]
    return b"".join(b"%x%b\r\n%b\r\n" % (len(p), extension, p) for p in pieces) + b"0\r\n" + trailers + b"\r\n"


def is_answered_and_closed(client: RawSocket, status: int) -> None:
    """With an error that says what is wrong, as the last thing on the connection."""
    response = client.read_response()
    assert response.status == status, response
    assert response.headers["connection"] == "close"
    assert response.headers["content-type"] == "application/json"
    assert json.loads(response.body)["error"]
    assert client.read_rest() == b""


# Several requests on one connection


def test_connection_is_kept_alive(server: RunningServer) -> None:
    with RawSocket(server.port) as client:
        for _ in range(20):
            client.send(UP)
            response = client.read_response()
            assert (response.status, response.body) == (200, HEALTH)
            assert "connection" not in response.headers


def test_errors_of_the_application_keep_the_connection_alive(server: RunningServer) -> None:
    with RawSocket(server.port) as client:
        for request, status in [
            (b"GET /nowhere HTTP/1.1\r\nHost: x\r\n\r\n", 404),
            (b"POST /up HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\n{}", 405),
            (b"POST /apps/1/events HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\n{}", 401),
            (signed_request("POST", "/events", b'{"name":'), 400),
            (signed_request("POST", "/events", b"[1]"), 422),
            (UP, 200),
        ]:
            client.send(request)
            assert client.read_response().status == status


@pytest.mark.parametrize("portion", [1, 100, 1_000_000], ids=["octets", "hundreds", "whole"])
def test_pipelined_requests_are_answered_in_order(server: RunningServer, portion: int) -> None:
    requests = [
        UP,
        publish(1),
        b"GET /a HTTP/1.1\r\nHost: x\r\n\r\n",
        publish(2),
        signed_request("GET", "/channels"),
        UP,
    ]
    data = b"".join(requests)
    with server.connect() as witness, RawSocket(server.port) as client:
        witness.subscribe("news")
        for at in range(0, len(data), portion):
            client.send(data[at : at + portion])

        assert [client.read_response().status for _ in requests[:4]] == [200, 200, 404, 200]
        assert client.read_response().body == b'{"channels":{"news":{}}}'
        assert client.read_response().body == HEALTH
        assert [witness.read_event()["event"] for _ in range(2)] == ["event-1", "event-2"]


def test_hundreds_of_pipelined_publishes_all_arrive_in_order(server: RunningServer) -> None:
    with server.connect() as witness, RawSocket(server.port) as client:
        witness.subscribe("news")
        client.send(b"".join(publish(number) for number in range(300)))

        assert {client.read_response().status for _ in range(300)} == {200}
        assert [witness.read_event()["event"] for _ in range(300)] == [f"event-{n}" for n in range(300)]


def test_request_after_connection_close_is_not_answered(server: RunningServer) -> None:
    with RawSocket(server.port) as client:
        client.send(b"GET /up HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n" + UP)

        response = client.read_response()
        assert (response.status, response.headers["connection"]) == (200, "close")
        assert client.read_rest() == b""


@pytest.mark.parametrize("header", [b"", b"Connection: close\r\n", b"Connection: keep-alive\r\n"])
def test_http_1_0_is_answered_and_closed(server: RunningServer, header: bytes) -> None:
    with RawSocket(server.port) as client:
        client.send(b"GET /up HTTP/1.0\r\n" + header + b"\r\n")

        response = client.read_response()
        assert (response.status, response.body, response.headers["connection"]) == (200, HEALTH, "close")
        assert client.read_rest() == b""


def test_client_that_has_said_all_still_gets_its_answer(server: RunningServer) -> None:
    with server.connect() as witness, RawSocket(server.port) as client:
        witness.subscribe("news")
        client.send(publish(7))
        client.socket.shutdown(socket.SHUT_WR)

        assert client.read_response().status == 200
        assert witness.read_event()["event"] == "event-7"


def test_http_0_9_is_answered_and_closed(server: RunningServer) -> None:
    with RawSocket(server.port) as client:
        client.send(b"GET /up\r\n\r\n")

        assert client.read_rest().endswith(HEALTH)


def test_empty_lines_before_a_request_are_ignored(server: RunningServer) -> None:
    with RawSocket(server.port) as client:
        client.send(b"\r\n" + UP + b"\r\n\r\n" + UP)

        assert [client.read_response().status for _ in range(2)] == [200, 200]


@pytest.mark.parametrize("rest", [b"garbage\r\n\r\n", b"\0\0\0\0", b"{}", b"\x16\x03\x01\x02\x00"])
def test_what_follows_a_request_and_is_none_is_answered_with_400(server: RunningServer, rest: bytes) -> None:
    with RawSocket(server.port) as client:
        client.send(publish() + rest)

        assert client.read_response().status == 200
        is_answered_and_closed(client, 400)


# Bodies


@pytest.mark.parametrize("size", [1, 2, 7, 1000])
@pytest.mark.parametrize("extension", [b"", b";name", b';name="a quoted; value"', b";a=1;b=2"])
@pytest.mark.parametrize(
    "trailers", [b"", b"Digest: x\r\n", b"Connection: upgrade\r\nUpgrade: websocket\r\nExpect: 100-continue\r\n"]
)
def test_a_chunked_body_is_read_before_the_next_request(
    server: RunningServer, size: int, extension: bytes, trailers: bytes
) -> None:
    request = chunked(publish(), in_chunks(event(), size, extension, trailers))
    with RawSocket(server.port) as client:
        client.send(request + UP)

        assert client.read_response().status == 200
        assert client.read_response().body == HEALTH


def test_chunked_body_that_arrives_octet_by_octet(server: RunningServer) -> None:
    with RawSocket(server.port) as client:
        for octet in chunked(publish(), in_chunks(event(), 10, b";x=y", b"Trailer: z\r\n")):
            client.send(bytes([octet]))

        assert client.read_response().status == 200


@pytest.mark.parametrize(
    "encoded",
    [
        b"x\r\n",
        b"-1\r\n",
        b"5\r\nhello!\r\n0\r\n\r\n",
        b"5 5\r\nhello\r\n",
        b"0x5\r\nhello\r\n",
        b"ffffffffffffffffff\r\n",
    ],
)
def test_broken_chunks_are_answered_with_400(server: RunningServer, encoded: bytes) -> None:
    with RawSocket(server.port) as client:
        client.send(chunked(publish(), encoded))

        is_answered_and_closed(client, 400)


def test_body_that_arrives_octet_by_octet(server: RunningServer) -> None:
    with RawSocket(server.port) as client:
        for octet in publish():
            client.send(bytes([octet]))

        assert client.read_response().status == 200


def test_body_of_exactly_the_limit_is_read(server: RunningServer) -> None:
    body = event().ljust(MAX_BODY)

    assert http_request(server.port, signed_request("POST", "/events", body)).status == 200


@pytest.mark.parametrize("length", [MAX_BODY + 1, 10**9, 2**63])
def test_too_long_a_body_is_answered_with_413_before_it_comes(server: RunningServer, length: int) -> None:
    with RawSocket(server.port) as client:
        client.send(b"POST /apps/1/events HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n" % length)

        is_answered_and_closed(client, 413)


@pytest.mark.parametrize("size", [100, 7_000, MAX_BODY + 1])
def test_too_long_a_chunked_body_is_answered_with_413(server: RunningServer, size: int) -> None:
    with RawSocket(server.port) as client:
        client.send(chunked(publish(), in_chunks(b"x" * (MAX_BODY + 1), size))[:-5])

        is_answered_and_closed(client, 413)


def test_sender_of_a_too_long_body_can_read_the_answer(server: RunningServer) -> None:
    with RawSocket(server.port) as client:
        client.send(signed_request("POST", "/events", b"x" * 4_000_000))

        is_answered_and_closed(client, 413)


@pytest.mark.parametrize("filler", [b"X: y\r\n", b"X: " + b"y" * 1000 + b"\r\n"])
def test_trailers_without_end_are_refused(server: RunningServer, filler: bytes) -> None:
    with RawSocket(server.port) as client:
        client.send(chunked(publish(), b"0\r\n"))
        client.send(filler * (2_000_000 // len(filler)))

        is_answered_and_closed(client, 413)


def test_chunk_extension_without_end_is_refused(server: RunningServer) -> None:
    with RawSocket(server.port) as client:
        client.send(chunked(publish(), b"5;x="))
        client.send(b"y" * 2_000_000)

        is_answered_and_closed(client, 413)


def test_length_in_a_trailer_is_answered_with_400(server: RunningServer) -> None:
    with RawSocket(server.port) as client:
        client.send(chunked(publish(), in_chunks(event(), 1000, trailers=b"Content-Length: 3\r\n")))

        is_answered_and_closed(client, 400)


def test_body_with_length_and_chunks_is_answered_with_400(server: RunningServer) -> None:
    with RawSocket(server.port) as client:
        client.send(publish(0, "Transfer-Encoding: chunked"))

        is_answered_and_closed(client, 400)


@pytest.mark.parametrize(
    "length", ["-1", "+5", "5, 5", "5 5", "0x5", "five", "5;", "99999999999999999999999", "1e3", "٥"]
)
def test_length_that_is_no_number_is_answered_with_400(server: RunningServer, length: str) -> None:
    with RawSocket(server.port) as client:
        client.send(f"POST /apps/1/events HTTP/1.1\r\nHost: x\r\nContent-Length: {length}\r\n\r\n".encode())

        is_answered_and_closed(client, 400)


@pytest.mark.parametrize("lengths", [("5", "5"), ("5", "6")])
def test_two_lengths_are_answered_with_400(server: RunningServer, lengths: tuple[str, str]) -> None:
    head = "".join(f"Content-Length: {length}\r\n" for length in lengths)
    with RawSocket(server.port) as client:
        client.send(f"POST /apps/1/events HTTP/1.1\r\nHost: x\r\n{head}\r\nhello".encode())

        is_answered_and_closed(client, 400)


# Expect and Upgrade


def test_100_continue_comes_before_the_body(server: RunningServer) -> None:
    head, _, body = publish(0, "Expect: 100-continue").partition(b"\r\n\r\n")
    with RawSocket(server.port) as client:
        client.send(head + b"\r\n\r\n")
        assert client.read_response().status == 100
        client.send(body)

        assert client.read_response().status == 200


def test_100_continue_comes_after_earlier_answers(server: RunningServer) -> None:
    head, _, body = publish(0, "Expect: 100-continue").partition(b"\r\n\r\n")
    with server.connect() as witness, RawSocket(server.port) as client:
        witness.subscribe("news")
        client.send(UP + publish(1) + head + b"\r\n\r\n")
        assert [client.read_response().status for _ in range(3)] == [200, 200, 100]
        client.send(body)

        assert client.read_response().status == 200


def test_too_long_a_body_is_not_asked_for(server: RunningServer) -> None:
    with RawSocket(server.port) as client:
        client.send(b"POST / HTTP/1.1\r\nExpect: 100-continue\r\nContent-Length: %d\r\n\r\n" % (MAX_BODY + 1))

        is_answered_and_closed(client, 413)


H2C = ("Connection: Upgrade, HTTP2-Settings", "Upgrade: h2c", "HTTP2-Settings: AAEAAEAAAAIAAAABAAMAAABk")


@pytest.mark.parametrize("portion", [1, 50, 1_000_000], ids=["octets", "fifties", "whole"])
@pytest.mark.parametrize("coding", ["length", "chunks"])
def test_upgrade_to_http_2_is_ignored(server: RunningServer, coding: str, portion: int) -> None:
    request = publish(1, *H2C)
    data = request if coding == "length" else chunked(request, in_chunks(event(1), 9))
    data += publish(2, *H2C) + b"GET /up HTTP/1.1\r\nHost: x\r\n" + "\r\n".join([*H2C, "", ""]).encode() + UP
    with server.connect() as witness, RawSocket(server.port) as client:
        witness.subscribe("news")
        for at in range(0, len(data), portion):
            client.send(data[at : at + portion])

        assert [client.read_response().status for _ in range(4)] == [200] * 4
        assert [witness.read_event()["event"] for _ in range(2)] == ["event-1", "event-2"]


def test_upgrade_to_http_2_that_expects_100_continue_gets_it_once(server: RunningServer) -> None:
    head, _, body = publish(0, *H2C, "Expect: 100-continue").partition(b"\r\n\r\n")
    with RawSocket(server.port) as client:
        client.send(head + b"\r\n\r\n")
        assert client.read_response().status == 100
        client.send(body + UP)

        assert [client.read_response().status for _ in range(2)] == [200, 200]


def test_upgrade_to_http_2_with_connection_close_is_closed(server: RunningServer) -> None:
    with RawSocket(server.port) as client:
        client.send(publish(0, "Connection: close, Upgrade", "Upgrade: h2c") + UP)

        assert client.read_response().status == 200
        assert client.read_rest() == b""


def test_connect_is_not_served(server: RunningServer) -> None:
    with RawSocket(server.port) as client:
        client.send(b"CONNECT example.com:443 HTTP/1.1\r\nHost: example.com:443\r\n\r\n")

        assert client.read_response().status == 404


# Heads


@pytest.mark.parametrize(
    "head",
    [
        b"GET /" + b"x" * MAX_HEAD + b" HTTP/1.1\r\nHost: x\r\n\r\n",
        b"GET /up?" + b"x" * MAX_HEAD + b" HTTP/1.1\r\nHost: x\r\n\r\n",
        b"GET /up HTTP/1.1\r\nCookie: " + b"x" * MAX_HEAD + b"\r\n\r\n",
        b"GET /up HTTP/1.1\r\n" + b"X" * MAX_HEAD + b": y\r\n\r\n",
        b"GET /up HTTP/1.1\r\n" + b"X: y\r\n" * 1000 + b"\r\n",
        b"GET /up HTTP/1.1\r\n" + b"X: y\r\n" * 100_000 + b"\r\n",
    ],
    ids=["path", "query", "value", "name", "many", "very many"],
)
@pytest.mark.parametrize("cut", [1, 3], ids=["whole", "in portions"])
@pytest.mark.parametrize("before", [b"", UP], ids=["first", "second"])
def test_too_long_a_head_is_answered_with_431(server: RunningServer, head: bytes, cut: int, before: bytes) -> None:
    with RawSocket(server.port) as client:
        data = before + head
        for at in range(0, len(data), -(-len(data) // cut)):
            client.send(data[at : at + -(-len(data) // cut)])

        if before:
            assert client.read_response().status == 200
        is_answered_and_closed(client, 431)


def test_head_of_nearly_the_limit_is_read(server: RunningServer) -> None:
    head = b"GET /up HTTP/1.1\r\nHost: x\r\nX: " + b"x" * (MAX_HEAD - 100) + b"\r\n\r\n"

    assert http_request(server.port, head).status == 200


def test_long_body_is_not_counted_as_head(server: RunningServer) -> None:
    with RawSocket(server.port) as client:
        client.send(signed_request("POST", "/events", event().ljust(MAX_BODY)) * 3)

        assert [client.read_response().status for _ in range(3)] == [200] * 3


@pytest.mark.parametrize(
    "line",
    [
        b"GARBAGE",
        b"GET",
        b"get /up HTTP/1.1",
        b"GET /up HTTP/3.0",
        b"GET /up HTTP/1.1 more",
        b"GET /up FTP/1.1",
        b"GET /up up HTTP/1.1",
        b" GET /up HTTP/1.1",
        b"GET /\0 HTTP/1.1",
        b"GET \x7f HTTP/1.1",
        b"G\0T /up HTTP/1.1",
        b"\0" * 40,
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
        b"PRI * HTTP/2.0",
        b"SSH-2.0-OpenSSH_9.9",
        b'{"event":"pusher:ping"}',
    ],
)
def test_bad_request_line_is_answered_with_400(server: RunningServer, line: bytes) -> None:
    with RawSocket(server.port) as client:
        client.send(line + b"\r\nHost: x\r\n\r\n")

        is_answered_and_closed(client, 400)


@pytest.mark.parametrize(
    "header",
    [
        b"X: a\0b",
        b"X\0: a",
        b"no colon",
        b": no name",
        b"X : space",
        b"X: a\r\n folded",
        b"X: a\rb",
        b"X: a\nY: b",
        b"\xff: a",
    ],
)
def test_bad_header_is_answered_with_400(server: RunningServer, header: bytes) -> None:
    with RawSocket(server.port) as client:
        client.send(b"GET /up HTTP/1.1\r\nHost: x\r\n" + header + b"\r\n\r\n")

        is_answered_and_closed(client, 400)


@pytest.mark.parametrize("value", [b"", b"caf\xe9", b"\xff\xfe", "日本".encode(), b"\t tab "])
def test_header_value_of_any_visible_bytes_is_read(server: RunningServer, value: bytes) -> None:
    assert http_request(server.port, b"GET /up HTTP/1.1\r\nHost: x\r\nX: " + value + b"\r\n\r\n").status == 200


# Targets and methods


@pytest.mark.parametrize(
    "target", [b"http://127.0.0.1:8080/up", b"https://example.com/up?x=1", b"HTTP://[::1]:80/up", b"/up?"]
)
def test_target_may_name_scheme_and_host(server: RunningServer, target: bytes) -> None:
    assert http_request(server.port, b"GET " + target + b" HTTP/1.1\r\nHost: x\r\n\r\n").body == HEALTH


def test_signed_request_with_an_absolute_target(server: RunningServer) -> None:
    request = publish().replace(b"POST /", b"POST http://127.0.0.1/", 1)

    assert http_request(server.port, request).status == 200


@pytest.mark.parametrize(
    "target", [b"*", b"http://", b"http://x", b"//", b"/%", b"/%zz", b"/..", b"/apps", b"/apps/", b"/\xff"]
)
def test_target_that_is_nowhere_is_answered_with_404(server: RunningServer, target: bytes) -> None:
    assert http_request(server.port, b"OPTIONS " + target + b" HTTP/1.1\r\nHost: x\r\n\r\n").status in (400, 404)
    assert http_request(server.port, UP).status == 200


def test_head_has_the_headers_of_get_and_no_body(server: RunningServer) -> None:
    with RawSocket(server.port) as client:
        client.send(UP)
        headers = client.read_response().headers
        client.send(b"HEAD /up HTTP/1.1\r\nHost: x\r\n\r\n")
        head = client.read_response("HEAD")
        assert (head.status, head.headers) == (200, headers)
        client.send(b"HEAD /nowhere HTTP/1.1\r\nHost: x\r\n\r\n" + UP)
        assert client.read_response("HEAD").status == 404

        assert client.read_response().body == HEALTH


@pytest.mark.parametrize(
    ("method", "path", "allowed"),
    [
        ("POST", "/up", "GET"),
        ("GET", "/apps/1/events", "POST"),
        ("DELETE", "/apps/1/events", "POST"),
        ("PUT", "/apps/1/batch_events", "POST"),
        ("POST", "/apps/1/channels", "GET"),
        ("POST", "/apps/1/connections", "GET"),
        ("PATCH", "/apps/1/channels/news", "GET"),
        ("POST", "/apps/1/channels/presence-x/users", "GET"),
        ("GET", "/apps/1/users/7/terminate_connections", "POST"),
        ("OPTIONS", "/apps/1/events", "POST"),
    ],
)
def test_other_methods_are_told_the_right_one(server: RunningServer, method: str, path: str, allowed: str) -> None:
    response = http_request(server.port, f"{method} {path} HTTP/1.1\r\nHost: x\r\n\r\n".encode())

    assert (response.status, response.headers["allow"]) == (405, allowed)
    assert allowed in json.loads(response.body)["error"]


@pytest.mark.parametrize(
    ("target", "said"),
    [
        ("/", "runs here: browsers connect to /app/KEY"),
        ("/nowhere?x=1", "there is nothing at"),
        ("/apps/9/events", "No matching application for ID [9]."),
        ("/apps/", "No matching application for ID []."),
        ("/apps/1/nothing", "the API has no"),
        ("/apps/1/channels/x/y/z", "the API has no"),
        ("/ws/apps/1/events", "--path '/ws'"),
        ("/nowhere/%0d%0aSet-Cookie:x", "there is nothing at"),
    ],
)
def test_404_says_what_is_missing(server: RunningServer, target: str, said: str) -> None:
    response = http_request(server.port, f"GET {target} HTTP/1.1\r\nHost: x\r\n\r\n".encode())

    assert response.status == 404
    assert said in json.loads(response.body)["error"]


@pytest.mark.parametrize("method", ["GET", "POST", "OPTIONS"])
@pytest.mark.parametrize("path", ["/up", "/apps/1/events", "/nowhere"])
def test_browsers_of_other_sites_are_not_invited(server: RunningServer, method: str, path: str) -> None:
    response = http_request(
        server.port,
        f"{method} {path} HTTP/1.1\r\nHost: x\r\nOrigin: https://evil.example\r\n"
        "Access-Control-Request-Method: POST\r\n\r\n".encode(),
    )

    assert not [name for name in response.headers if name.startswith("access-control-")]


def test_server_log_has_no_surprises(server: RunningServer) -> None:
    assert "Traceback" not in server.log()
