"""The kept connection to an endpoint: what keeps it, what ends it, and what becomes of a request that it loses."""

from __future__ import annotations

import asyncio
import socket
import threading
from collections.abc import Sequence

import pytest

from soundpost.server.webhooks import http_client
from soundpost.server.webhooks.addresses import Resolver
from soundpost.server.webhooks.answers import Answer
from soundpost.server.webhooks.http_client import HttpClient
from soundpost.wire.http_exchange import MAX_UNREAD
from support.webhook_caller import EMPTY, NAMES, OK, Caller, Step, calling, peer, scripted
from support.webhook_receiver import receiver

SERVING: Sequence[Step] = ["request", EMPTY] * 2_000


@pytest.mark.parametrize("how", ["close", "reset"])
async def test_a_connection_that_was_closed_while_idle_is_not_used(how: str) -> None:
    async with scripted(["request", EMPTY, how], SERVING) as (url, script), calling(url) as caller:
        assert await caller.post() == Answer(200)
        await script.all_ended()
        assert await caller.post() == Answer(200)
    assert (script.opened, len(script.requests)) == (2, 2)


@pytest.mark.parametrize("how", ["close", "reset"])
async def test_a_request_that_the_kept_connection_loses_is_sent_once_more(how: str) -> None:
    async with scripted(["request", EMPTY, "request", how], SERVING) as (url, script), calling(url) as caller:
        assert [await caller.post() for _ in range(3)] == [Answer(200)] * 3
    assert script.opened == 2
    lost, again = script.requests[1:3]
    assert lost == again
    assert len(script.requests) == 4


async def test_a_request_is_sent_no_third_time() -> None:
    closing = ["request", "close"]
    async with scripted(["request", EMPTY, *closing], closing) as (url, script), calling(url) as caller:
        await caller.post()
        assert "hung up without an HTTP answer" in (await caller.post()).fault
    assert (script.opened, len(script.requests)) == (2, 3)


@pytest.mark.parametrize("first", [b"H", b"HTTP/1.1 100 Continue\r\n\r\n", OK])
async def test_a_request_whose_answer_has_begun_is_not_sent_again(first: bytes) -> None:
    async with scripted(["request", EMPTY, "request", first, "close"]) as (url, script), calling(url) as caller:
        await caller.post()
        assert (await caller.post()).status == 0
    assert (script.opened, len(script.requests)) == (1, 2)


async def test_a_request_on_a_new_connection_is_not_sent_again() -> None:
    async with scripted(["request", "close"]) as (url, script), calling(url) as caller:
        assert (await caller.post()).status == 0
    assert len(script.requests) == 1


@pytest.mark.parametrize(
    "unasked", [b"HTTP/1.1 500 Later\r\nContent-Length: 0\r\n\r\n", b"garbage", b"HTTP/1.1 408 Timeout\r\n\r\n"]
)
async def test_what_comes_unasked_answers_no_request(unasked: bytes) -> None:
    async with scripted(["request", EMPTY + unasked], SERVING) as (url, script), calling(url) as caller:
        assert await caller.post() == Answer(200)
        assert await caller.post() == Answer(200)
        assert script.opened == 2
    async with scripted(["request", EMPTY, b"\r\n", unasked], SERVING) as (url, script), calling(url) as caller:
        assert await caller.post() == Answer(200)
        await script.all_ended()
        assert await caller.post() == Answer(200)


async def test_an_idle_connection_is_closed_after_a_while() -> None:
    async with scripted(SERVING) as (url, script), calling(url, kept=0.02) as caller:
        for _ in range(3):
            assert await caller.post() == Answer(200)
        await script.all_ended()
        assert await caller.post() == Answer(200)
    assert script.opened == 2


async def test_a_closed_client_closes_its_connections() -> None:
    async with scripted(SERVING, ["request", "wait"]) as (url, script), calling(url) as caller:
        both = [caller.start(), caller.start()]
        await asyncio.wait(both, return_when=asyncio.FIRST_COMPLETED)
        assert (script.opened, script.open) == (2, 2)
        caller.client.close()
        await script.all_ended()
        assert sorted(each.done() for each in both) == [False, True]


async def test_requests_at_one_time_have_connections_of_their_own_and_one_is_kept() -> None:
    async with scripted(SERVING) as (url, script), calling(url) as caller:
        assert await asyncio.gather(*[caller.post() for _ in range(5)]) == [Answer(200)] * 5
        assert await caller.post() == Answer(200)
        assert (script.opened, script.open) == (5, 1)


async def test_a_request_that_got_no_answer_in_time_leaves_no_connection() -> None:
    silent: Sequence[Step] = ["request", "wait"]
    begun: Sequence[Step] = ["request", b"HTTP/1.1 2", "wait"]
    async with scripted(silent, begun) as (url, script), calling(url) as caller:
        for _ in range(2):
            assert await caller.post(0.05) == Answer(0, "no answer within 0.05 s")
        await script.all_ended()


async def test_a_long_body_is_not_read_to_its_end() -> None:
    just = OK + b"Content-Length: %d\r\n\r\n%b" % (MAX_UNREAD, b"x" * MAX_UNREAD)
    more = OK + b"Content-Length: %d\r\n\r\n%b" % (10 * MAX_UNREAD, b"x" * (MAX_UNREAD + 1))
    async with scripted(["request", just, "request", more], SERVING) as (url, script), calling(url) as caller:
        assert [await caller.post() for _ in range(2)] == [Answer(200)] * 2
        assert script.opened == 1
        await script.all_ended()
        assert await caller.post() == Answer(200)


async def test_a_connection_with_an_unread_request_is_not_kept() -> None:
    body = b"x" * 20_000_000
    async with scripted([EMPTY], SERVING) as (url, script):
        client = HttpClient(url, Resolver(allow_private=True))
        answer: asyncio.Future[Answer] = asyncio.get_running_loop().create_future()
        client.post(body, {}, 10, answer.set_result)
        assert await answer == Answer(200)
        await script.all_ended()
        client.close()


async def test_a_host_that_has_moved_is_followed() -> None:
    NAMES["moving.test"] = ["127.0.0.1"]
    with receiver() as endpoint:
        async with calling(f"http://moving.test:{endpoint.port}/") as caller:
            assert await caller.post() == Answer(200)
            caller._resolver._known.clear()
            NAMES["moving.test"] = ["127.0.0.3"]
            assert "nothing listens at" in (await caller.post()).fault
    assert endpoint.connections == 1


async def test_a_silent_address_has_its_share_of_the_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(http_client, "_MIN_CONNECT_TIMEOUT", 0.05)
    with receiver() as endpoint, socket.create_server(("127.0.0.2", endpoint.port), backlog=0) as silent:
        waiting = [socket.socket() for _ in range(4)]
        for each in waiting:
            each.setblocking(False)
            each.connect_ex(silent.getsockname())
        async with calling(f"http://twice.test:{endpoint.port}/") as caller:
            assert await caller.post(0.5) == Answer(200)
        for each in waiting:
            each.close()


async def test_a_url_has_an_address_of_ipv6() -> None:
    try:
        server = await asyncio.start_server(_hang_up, "::1", 0)
    except OSError:
        pytest.fail("this machine has no IPv6")
    port = server.sockets[0].getsockname()[1]
    async with calling(f"http://[::1]:{port}/") as caller:
        assert "hung up" in (await caller.post()).fault
    server.close()


async def _hang_up(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    head = await reader.readuntil(b"\r\n\r\n")
    assert b"\r\nHost: [::1]:" in head
    writer.close()


async def test_a_peer_that_ends_the_handshake_does_not_speak_tls() -> None:
    async def other(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(100)
        writer.close()

    async with peer(other) as url, calling(url.replace("http:", "https:")) as caller:
        assert "does not answer in TLS: does it speak http instead of https?" in (await caller.post()).fault


async def test_headers_are_sent_as_they_are_set() -> None:
    async with scripted(SERVING) as (url, script), calling(url) as caller:
        await caller.post(headers={"accept": "x/y", "X-A": "caf\u00e9", "Authorization": "Bearer t"})
        await caller.post()
        assert "line break" in (await caller.post(headers={"X-A": "a\r\nX-B: b"})).fault
    first, second = (head.split(b"\r\n") for head, _ in script.requests)
    assert {b"accept: x/y", b"X-A: caf\xe9", b"Authorization: Bearer t", b"Content-Length: 13"} <= set(first)
    assert not [line for line in first if line.startswith(b"Accept")]
    assert b"Accept: */*" in second


async def test_a_location_is_text() -> None:
    answer = b"HTTP/1.1 302 Found\r\nLocation: %b \r\nContent-Length: 0\r\n\r\n"
    steps: Sequence[Step] = ["request", answer % b"/\xc3\xbc", "request", answer % b"/\xfc"]
    async with scripted(steps) as (url, _), calling(url) as caller:
        assert [(await caller.post()).location for _ in range(2)] == ["/ü", "/ü"]


async def test_thousands_of_requests_leave_nothing() -> None:
    threads = threading.active_count()
    for_a_while: Sequence[Step] = [*SERVING[:14], "close"]
    ways: list[Sequence[Step]] = [for_a_while, ["request", "close"], ["request", b"garbage"], ["reset"]]
    async with scripted(*ways * 100, SERVING) as (url, script), calling(url) as caller:
        for _ in range(1000):
            await caller.post()
        assert len(caller.client._tasks) <= 1
        assert script.open <= 1
    assert threading.active_count() <= threads + 1


def test_callers_are_made_without_a_loop() -> None:
    assert Caller("https://hooks.test/").client is not None
