"""The small HTTP server for operators: requests, streams, limits of size and time."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator

import pytest

from soundpost.errors import StartError
from soundpost.server.admin_http import (
    AdminError,
    AdminListener,
    AdminRequest,
    AdminResponse,
    AdminStream,
    Handle,
    Routes,
    Timeouts,
    json_answer,
)
from soundpost.server.admin_http.connection import MAX_BODY, MAX_HEAD, AdminConnection
from soundpost.server.admin_http.listener import MAX_CONNECTIONS
from soundpost.server.connections.socket_activation import close_other_inherited_sockets
from soundpost.server.dashboard.static_files import StaticFiles
from support.admin_client import AdminClient, listening

SHORT = 0.05


def echo(request: AdminRequest) -> AdminResponse:
    return json_answer({"method": request.method, "names": request.names, "query": request.query})


def size(request: AdminRequest) -> AdminResponse:
    return json_answer(len(request.body))


async def late(request: AdminRequest) -> AdminResponse:
    await asyncio.sleep(0)
    return AdminResponse(200, b"late")


async def three_parts() -> AsyncIterator[bytes]:
    for number in range(3):
        yield f"data: {number}\n\n".encode()


def fail(request: AdminRequest) -> AdminResponse:
    raise RuntimeError("secret of the server")


def refuse(request: AdminRequest) -> AdminResponse:
    raise AdminError(403, "Not for you", (("X-Way-Out", "none"),))


ROUTES = Routes(
    {
        "GET /echo/{a}/{b}": echo,
        "GET /late": late,
        "GET /stream": lambda request: AdminStream(three_parts()),
        "GET /fails": fail,
        "GET /refused": refuse,
        "POST /size": size,
    }
)


async def test_a_path_gives_names_and_a_query() -> None:
    async with listening(ROUTES) as listener:
        client = await AdminClient.open(listener.port)
        answer = await client.request("GET", "/echo/a%2Fb/%C3%BC?x=1&x=2&y=%26")
        assert answer.json() == {"method": "GET", "names": {"a": "a/b", "b": "ü"}, "query": {"x": "2", "y": "&"}}
        assert answer.headers["content-type"] == "application/json"
        assert answer.headers["x-content-type-options"] == "nosniff"


async def test_requests_of_a_connection_are_answered_in_order() -> None:
    async with listening(ROUTES) as listener:
        client = await AdminClient.open(listener.port)
        client.send(b"GET /late HTTP/1.1\r\n\r\nGET /refused HTTP/1.1\r\n\r\nGET /nowhere HTTP/1.1\r\n\r\n")
        assert (await client.read()).body == b"late"
        assert (await client.read()).status == 403
        assert (await client.read()).status == 404
        assert (await client.request("GET", "/late")).body == b"late"


@pytest.mark.parametrize("path", ["/app/key?protocol=7", "/apps/1/events"])
@pytest.mark.parametrize("handle", [ROUTES, StaticFiles()])
async def test_clients_and_publishers_are_told_that_this_is_not_their_port(handle: Handle, path: str) -> None:
    async with listening(handle) as listener:
        client = await AdminClient.open(listener.port)
        answer = await client.request("POST", path)
        assert answer.status == 404
        assert answer.json()["error"].endswith(": clients and publishers use the server's own port")
        assert "own port" not in (await client.request("GET", "/elsewhere")).json()["error"]


async def test_head_is_answered_without_a_body() -> None:
    async with listening(ROUTES) as listener:
        client = await AdminClient.open(listener.port)
        answer = await client.request("HEAD", "/late")
        assert answer.headers["content-length"] == "4"
        assert (await client.request("GET", "/late")).body == b"late"


async def test_a_connection_is_closed_if_the_client_wants_it() -> None:
    async with listening(ROUTES) as listener:
        client = await AdminClient.open(listener.port)
        answer = await client.request("GET", "/late", connection="close")
        assert answer.headers["connection"] == "close"
        assert await client.read_rest() == b""


async def test_errors_say_what_is_wrong(caplog: pytest.LogCaptureFixture) -> None:
    async with listening(ROUTES) as listener:
        client = await AdminClient.open(listener.port)
        answer = await client.request("GET", "/refused")
        assert (answer.status, answer.error, answer.headers["x-way-out"]) == (403, "Not for you", "none")
        answer = await client.request("PUT", "/size")
        assert (answer.status, answer.error, answer.headers["allow"]) == (405, "'/size' takes POST", "POST")
        answer = await client.request("GET", "/fails")
        assert (answer.status, answer.error) == (500, "The server failed to answer: its log says why")
        assert "secret of the server" in caplog.text


async def test_a_stream_is_sent_as_it_comes() -> None:
    async with listening(ROUTES) as listener:
        client = await AdminClient.open(listener.port)
        client.send(b"GET /stream HTTP/1.1\r\n\r\nGET /late HTTP/1.1\r\n\r\n")
        status, headers = await client.read_head()
        assert (status, headers["content-type"], headers["x-accel-buffering"]) == (200, "text/event-stream", "no")
        assert [await client.read_part() for _ in range(4)] == [b"data: 0\n\n", b"data: 1\n\n", b"data: 2\n\n", b""]
        assert (await client.read()).body == b"late"


async def test_a_stream_ends_with_the_connection_for_an_old_client() -> None:
    async with listening(ROUTES) as listener:
        client = await AdminClient.open(listener.port)
        client.send(b"GET /stream HTTP/1.0\r\n\r\n")
        _, headers = await client.read_head()
        assert "transfer-encoding" not in headers
        assert await client.read_rest() == b"data: 0\n\ndata: 1\n\ndata: 2\n\n"


class Endless:
    """A stream that notes its end; each part is given when the client has taken the one before."""

    def __init__(self, part: bytes = b"data: 1\n\n") -> None:
        self.part = part
        self.given = 0
        self.ended = asyncio.Event()

    async def parts(self) -> AsyncIterator[bytes]:
        try:
            while True:
                self.given += 1
                yield self.part
                await asyncio.sleep(0)
        finally:
            self.ended.set()


async def test_a_stream_ends_when_its_client_is_gone() -> None:
    endless = Endless()
    async with listening(lambda request: AdminStream(endless.parts())) as listener:
        client = await AdminClient.open(listener.port)
        client.send(b"GET / HTTP/1.1\r\n\r\n")
        await client.read_head()
        client.close()
        await endless.ended.wait()


async def test_a_stream_that_fails_is_cut_off(caplog: pytest.LogCaptureFixture) -> None:
    async def parts() -> AsyncIterator[bytes]:
        yield b"data: 1\n\n"
        raise RuntimeError("nothing more")

    async with listening(lambda request: AdminStream(parts())) as listener:
        client = await AdminClient.open(listener.port)
        client.send(b"GET / HTTP/1.1\r\n\r\n")
        await client.read_head()
        assert await client.read_part() == b"data: 1\n\n"
        assert b"0\r\n\r\n" not in await client.read_rest()
        assert "nothing more" in caplog.text


async def test_a_stream_waits_for_a_slow_client_and_gives_up_in_the_end() -> None:
    endless = Endless(b"x" * 1_000_000)
    async with listening(lambda request: AdminStream(endless.parts()), Timeouts(reading=SHORT)) as listener:
        client = await AdminClient.open(listener.port)
        client.send(b"GET / HTTP/1.1\r\n\r\n")
        await client.read_head()
        await endless.ended.wait()
        assert endless.given < 20  # what the buffers of kernel and client take


async def test_a_client_that_does_not_read_its_answer_is_given_up() -> None:
    body = b"x" * 20_000_000
    async with listening(lambda request: AdminResponse(200, body), Timeouts(reading=SHORT)) as listener:
        client = await AdminClient.open(listener.port)
        client.send(b"GET / HTTP/1.1\r\n\r\n")
        await client.read_head()
        while listener.connections:  # noqa: ASYNC110 - the listener tells nobody
            await asyncio.sleep(0.01)
        assert len(await client.read_rest()) < len(body)


@pytest.mark.parametrize("sent", [b"", b"GET / HT", b"POST /size HTTP/1.1\r\nContent-Length: 10\r\n\r\n123", b"\r\n"])
async def test_a_request_must_be_complete_in_time(sent: bytes) -> None:
    async with listening(ROUTES, Timeouts(request=SHORT)) as listener:
        client = await AdminClient.open(listener.port)
        client.send(sent)
        assert await client.read_rest() == b""


async def test_a_second_request_has_no_more_time_than_the_first() -> None:
    async with listening(ROUTES, Timeouts(request=SHORT)) as listener:
        client = await AdminClient.open(listener.port)
        client.send(b"GET /late HTTP/1.1\r\n\r\nGET /la")
        assert (await client.read()).body == b"late"
        assert await client.read_rest() == b""


async def test_an_idle_connection_is_closed() -> None:
    async with listening(ROUTES, Timeouts(keep_alive=SHORT)) as listener:
        client = await AdminClient.open(listener.port)
        assert (await client.request("GET", "/late")).body == b"late"
        assert await client.read_rest() == b""


async def test_what_is_too_large_is_refused() -> None:
    async with listening(ROUTES) as listener:
        client = await AdminClient.open(listener.port)
        assert (await client.request("POST", "/size", b"x" * MAX_BODY)).json() == MAX_BODY
        client.send(b"POST /size HTTP/1.1\r\nContent-Length: %d\r\n\r\n" % (MAX_BODY + 1))
        answer = await client.read()
        assert (answer.status, answer.error) == (413, "The body has more than 1,048,576 bytes")
        assert await client.read_rest() == b""
        client = await AdminClient.open(listener.port)
        client.send(b"POST /size HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n")
        client.send(b"100000\r\n%b\r\n" % (b"x" * 0x100000) * 2)
        assert (await client.read()).status == 413
        client = await AdminClient.open(listener.port)
        answer = await client.request("GET", "/late", x="x" * MAX_HEAD)
        assert (answer.status, answer.error) == (431, "Request line and headers have more than 16,384 bytes")
        client = await AdminClient.open(listener.port)
        client.send(b"GET /" + b"x" * 300_000)
        assert (await client.read()).status == 431


async def test_headers_are_not_kept_beyond_their_limit() -> None:
    async with listening(ROUTES):
        connection = AdminConnection(ROUTES)
        for _ in range(100_000):
            connection.on_header(b"x", b"y")
        assert sum(map(len, connection._headers.values())) < 4 * MAX_HEAD


@pytest.mark.parametrize(
    "sent", [b"\x16\x03\x01\x02\x00", b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", b"GET / HTTP/1.1\nX\n\n"]
)
async def test_what_is_no_http_is_refused(sent: bytes) -> None:
    async with listening(ROUTES) as listener:
        client = await AdminClient.open(listener.port)
        client.send(sent)
        answer = await client.read()
        assert (answer.status, answer.error) == (400, "This is not a request of HTTP/1.1")
        assert await client.read_rest() == b""


async def test_an_upgrade_is_not_taken() -> None:
    async with listening(ROUTES) as listener:
        client = await AdminClient.open(listener.port)
        answer = await client.request("GET", "/late", connection="upgrade", upgrade="websocket")
        assert (answer.status, answer.headers["connection"]) == (200, "close")
        assert await client.read_rest() == b""


async def test_a_client_that_waits_for_leave_to_send_its_body_gets_it() -> None:
    async with listening(ROUTES) as listener:
        client = await AdminClient.open(listener.port)
        client.send(b"POST /size HTTP/1.1\r\nContent-Length: 3\r\nExpect: 100-continue\r\n\r\n")
        assert (await client.read()).status == 100
        client.send(b"abc")
        assert (await client.read()).json() == 3


async def test_many_requests_at_once_are_not_taken() -> None:
    async with listening(ROUTES) as listener:
        client = await AdminClient.open(listener.port)
        client.send(b"GET /late HTTP/1.1\r\n\r\n" * 1_000)
        assert (await client.read_rest()).count(b"HTTP/1.1") < 1_000


async def test_idle_connections_make_room_for_others() -> None:
    async with listening(ROUTES) as listener:
        first = await AdminClient.open(listener.port)
        others = [await AdminClient.open(listener.port) for _ in range(MAX_CONNECTIONS)]
        assert await first.read_rest() == b""
        assert (await others[-1].request("GET", "/late")).body == b"late"
        assert listener.connections == MAX_CONNECTIONS
        for client in others:
            client.close()


async def test_many_connections_at_once_make_room_one_by_one() -> None:
    async with listening(ROUTES) as listener:
        before = [await AdminClient.open(listener.port) for _ in range(MAX_CONNECTIONS)]
        at_once = [AdminClient.open(listener.port) for _ in range(50)]
        others = await asyncio.gather(*at_once)
        assert (await others[-1].request("GET", "/late")).body == b"late"
        assert len(listener._connections) == MAX_CONNECTIONS
        for client in before[:50]:
            assert await client.read_rest() == b""
        for client in (*before, *others):
            client.close()


async def test_a_stop_answers_what_is_under_way_and_ends_streams() -> None:
    asked, go_on = asyncio.Event(), asyncio.Event()

    async def slow(request: AdminRequest) -> AdminResponse:
        asked.set()
        await go_on.wait()
        return AdminResponse(200, b"done")

    endless = Endless()
    handle = Routes({"GET /slow": slow, "GET /stream": lambda request: AdminStream(endless.parts())})
    async with listening(handle) as listener:
        idle, busy, reader = [await AdminClient.open(listener.port) for _ in range(3)]
        reader.send(b"GET /stream HTTP/1.1\r\n\r\n")
        await reader.read_head()
        busy.send(b"GET /slow HTTP/1.1\r\n\r\n")
        await asked.wait()
        asyncio.get_running_loop().call_soon(go_on.set)
        await listener.stop()
        assert await idle.read_rest() == b""
        assert (await busy.read()).body == b"done"
        await endless.ended.wait()
        with pytest.raises(ConnectionRefusedError):
            await AdminClient.open(listener.port)


async def test_an_address_in_use_is_named_with_its_section() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(StartError, match=rf"port {port} of 127.0.0.1 is in use.* another port in \[metrics\]"):
            AdminListener("127.0.0.1", port, ROUTES, name="metrics")
    with pytest.raises(StartError, match=r"host '192\.0\.2\.1' in \[metrics\] is not an address of this machine"):
        AdminListener("192.0.2.1", 0, ROUTES, name="metrics")


async def test_the_listener_of_the_next_process_takes_the_sockets_over() -> None:
    async with listening(ROUTES) as listener:
        listener.hand_over()
        successor = AdminListener("127.0.0.1", listener.port, ROUTES, name="test")
        await listener.stop()
        client = await AdminClient.open(listener.port)
        await successor.start()
        assert (await client.request("GET", "/late")).body == b"late"
        await successor.stop()


@pytest.mark.parametrize("name", ["test", "other"])
async def test_sockets_of_another_address_or_listener_are_closed(name: str) -> None:
    async with listening(ROUTES) as listener:
        listener.hand_over()
        other = AdminListener("127.0.0.2", 0, ROUTES, name=name)
        close_other_inherited_sockets()
        await listener.stop()
        with pytest.raises(ConnectionRefusedError):
            await AdminClient.open(listener.port)
        await other.stop()
