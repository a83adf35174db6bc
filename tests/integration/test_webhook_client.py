"""The connections to an endpoint: TLS by the host's name, addresses in turn, answers of all kinds."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import ssl
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from soundpost.server.webhooks import http_client
from soundpost.server.webhooks.addresses import Resolver
from soundpost.server.webhooks.answers import Answer
from soundpost.server.webhooks.http_client import HttpClient
from soundpost.server.webhooks.over_http import DeferredClient
from support.certificates import Authority, Certificate
from support.raw_socket import TIMEOUT
from support.webhook_caller import NAMES, calling, peer
from support.webhook_receiver import Receiver, receiver


@pytest.fixture
def authority(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Authority]:
    made = Authority(tmp_path)
    monkeypatch.setenv("SSL_CERT_FILE", str(made.file))
    http_client.trusted_authorities.cache_clear()
    yield made
    http_client.trusted_authorities.cache_clear()


@pytest.fixture
def endpoint() -> Iterator[Receiver]:
    with receiver() as made:
        yield made


def with_tls(endpoint: Receiver, certificate: Certificate) -> None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate.chain, certificate.key)
    endpoint.wrap(context)


async def test_a_certificate_is_checked_by_the_name_of_the_host(authority: Authority, endpoint: Receiver) -> None:
    with_tls(endpoint, authority.certificate("hooks.test"))
    async with calling(f"https://hooks.test:{endpoint.port}/a") as caller:
        assert await caller.post() == Answer(200)
    assert endpoint.requests[0].headers["Host"] == f"hooks.test:{endpoint.port}"
    async with calling(f"https://twice.test:{endpoint.port}/a") as caller:
        answer = await caller.post()
    assert (answer.status, len(endpoint.requests)) == (0, 1)
    assert f"the certificate of https://twice.test:{endpoint.port} is not trusted" in answer.fault


async def test_a_certificate_of_another_authority_is_refused(
    authority: Authority, endpoint: Receiver, tmp_path: Path
) -> None:
    with_tls(endpoint, Authority(tmp_path, "Another").certificate("hooks.test"))
    async with calling(f"https://hooks.test:{endpoint.port}/") as caller:
        assert "is not trusted" in (await caller.post()).fault


async def test_all_addresses_of_a_host_are_tried(endpoint: Receiver) -> None:
    for name in ("twice.test", "mixed.test"):
        async with calling(f"http://{name}:{endpoint.port}/") as caller:
            assert await caller.post() == Answer(200)
    assert len(endpoint.requests) == 2


async def test_only_checked_addresses_are_connected_to(endpoint: Receiver) -> None:
    NAMES["rebound.test"] = ["127.0.0.1"]
    async with calling(f"http://rebound.test:{endpoint.port}/", allow_private=False) as caller:
        answer = await caller.post()
    assert answer.fault.startswith("rebound.test has the address 127.0.0.1, which is not public")
    assert endpoint.requests == []


async def test_one_connection_is_kept(endpoint: Receiver) -> None:
    async with calling(endpoint.url()) as caller:
        for status in (200, 500, 302, 204):
            endpoint.answers(status, Location="/x", Retry_After="7")
            assert await caller.post() == Answer(status, retry_after="7", location="/x")
    assert endpoint.connections == 1


async def test_proxies_of_the_environment_are_not_used(endpoint: Receiver, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:9")
    monkeypatch.setenv("ALL_PROXY", "http://127.0.0.1:9")
    async with calling(f"http://hooks.test:{endpoint.port}/") as caller:
        assert await caller.post() == Answer(200)


async def test_the_time_to_answer_is_that_of_the_whole_request() -> None:
    async def drip(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(ConnectionError):
            for byte in b"HTTP/1.1 200 OK\r\n" * 10:
                writer.write(bytes([byte]))
                await asyncio.sleep(0.05)

    async with peer(drip) as url, calling(url) as caller:
        assert await caller.post(0.2) == Answer(0, "no answer within 0.2 s")


async def test_a_status_counts_though_the_body_never_ends() -> None:
    async def endless(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
        with contextlib.suppress(ConnectionError):
            while True:
                writer.write(b"1000\r\n" + b"x" * 4096 + b"\r\n")
                await writer.drain()

    async def silent(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 201 Created\r\nContent-Length: 5\r\n\r\n")
        await reader.read()

    async with peer(endless) as url, calling(url) as caller:
        assert await caller.post() == Answer(200)
        assert await caller.post() == Answer(200)
    async with peer(silent) as url, calling(url) as caller:
        assert await caller.post(0.2) == Answer(201)


@pytest.mark.parametrize(
    ("sent", "read", "words"),
    [
        (b"SSH-2.0-x\r\n\r\n", True, "does it speak https instead of http?"),
        (b"", True, "hung up without an HTTP answer"),
        (b"", False, "the connection was lost before an answer came"),
        (b"HTTP/1.1 200 OK\r\nX: " + b"y" * 200_000, True, "bytes without an end"),
    ],
)
async def test_peers_that_answer_no_http_are_faults(sent: bytes, read: bool, words: str) -> None:
    async def other(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if read:
            await reader.readuntil(b"]}")
        writer.write(sent)
        writer.close()

    async with peer(other) as url, calling(url) as caller:
        assert words in (await caller.post()).fault


async def test_nobody_listens_and_a_name_is_not_known() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    async with calling(f"http://127.0.0.1:{port}/") as caller:
        assert f"nothing listens at http://127.0.0.1:{port}" in (await caller.post()).fault
    resolver = Resolver(allow_private=True)
    client = HttpClient("http://no-such-host.invalid/", resolver)
    answer: asyncio.Future[Answer] = asyncio.get_running_loop().create_future()
    client.post(b"{}", {}, TIMEOUT, answer.set_result)
    assert "the host name of http://no-such-host.invalid is not known" in (await answer).fault
    client.close()


async def test_a_url_that_cannot_be_read_is_a_fault() -> None:
    async with calling("http://b\u00fccher.test/hooks") as caller:
        assert "write the name as xn--" in (await caller.post()).fault


async def test_connections_are_opened_in_a_thread(endpoint: Receiver) -> None:
    loop_goes_on = threading.Event()

    def open_client() -> HttpClient:
        assert loop_goes_on.wait(20)
        return HttpClient(endpoint.url(), Resolver(allow_private=True))

    client = DeferredClient(open_client)
    answer: asyncio.Future[Answer] = asyncio.get_running_loop().create_future()
    client.post(b'{"events":[]}', {}, TIMEOUT, answer.set_result)
    loop_goes_on.set()
    assert (await answer).status == 200
    client.close()


async def test_connections_that_cannot_be_opened_are_a_fault() -> None:
    def open_client() -> HttpClient:
        raise OSError("no certificates")

    client = DeferredClient(open_client)
    answer: asyncio.Future[Answer] = asyncio.get_running_loop().create_future()
    client.post(b"{}", {}, TIMEOUT, answer.set_result)
    assert await answer == Answer(0, "no certificates")
    client.close()


async def test_a_closed_client_answers_no_more() -> None:
    async def silent(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read()

    async with peer(silent) as url, calling(url) as caller:
        waiting = asyncio.ensure_future(caller.post())
        await asyncio.sleep(0.05)
        caller.client.close()
        await asyncio.gather(*caller.client._tasks, return_exceptions=True)
        assert not waiting.done()
        waiting.cancel()
