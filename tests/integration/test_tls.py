"""TLS: https and wss on one port, and the error for a wrong certificate."""

from __future__ import annotations

import asyncio
import gc
import json
import ssl
import time
from pathlib import Path

import httpx
import msgspec
import pytest
from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed

from soundpost.config.settings import ServerSettings, Settings, TlsSettings
from soundpost.errors import StartError
from soundpost.server.connections.tls_connection import TlsConnection
from soundpost.server.processes.run import run
from soundpost.wire.frames import CLOSE
from soundpost.wire.signatures import signed_query
from support.deployed_proxy import TlsSocket
from support.harness import DEFAULT_APP, RawSocket, client_frame, running_server
from support.raw_socket import TIMEOUT
from support.self_signed import self_signed
from support.ticked_server import ticked_server


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """A certificate and its key, as files."""
    return self_signed(tmp_path_factory.mktemp("tls"))


async def test_publish_and_subscribe_over_tls_large_events_whole(certificate: tuple[Path, Path]) -> None:
    tls = {"certificate": str(certificate[0]), "key": str(certificate[1])}
    trust = ssl.create_default_context(cafile=certificate[0])
    with running_server(tls=tls) as server:
        async with (
            connect(f"wss://127.0.0.1:{server.port}/app/app-key?protocol=7", ssl=trust) as client,
            httpx.AsyncClient(base_url=f"https://127.0.0.1:{server.port}", verify=trust, timeout=TIMEOUT) as api,
        ):
            assert json.loads(await client.recv())["event"] == "pusher:connection_established"
            await client.send(json.dumps({"event": "pusher:subscribe", "data": {"channel": "a"}}))
            await client.recv()
            for number in range(100):
                data = f"{number}:{'x' * 9000}"
                body = json.dumps({"name": "e", "channel": "a", "data": data}).encode()
                query = signed_query(
                    DEFAULT_APP.key, DEFAULT_APP.secret, "POST", "/apps/1/events", int(time.time()), body=body
                )
                answer = await api.post("/apps/1/events", params=query, content=body)
                assert answer.status_code == 200, answer.text
            for number in range(100):
                assert json.loads(await client.recv())["data"] == f"{number}:{'x' * 9000}"


async def test_a_client_that_reads_late_over_tls_gets_every_event_whole_and_in_order(
    certificate: tuple[Path, Path],
) -> None:
    """Megabytes more than the kernel and the TLS transport take, and messages both ways meanwhile."""
    tls = {"certificate": str(certificate[0]), "key": str(certificate[1])}
    trust = ssl.create_default_context(cafile=certificate[0])
    roomy = msgspec.structs.replace(DEFAULT_APP, max_output_buffer=50_000_000, max_event_data_size=100_000)
    with running_server(apps=[roomy], tls=tls) as server:
        async with (
            connect(
                f"wss://127.0.0.1:{server.port}/app/app-key?protocol=7", ssl=trust, max_queue=1, ping_interval=None
            ) as client,
            httpx.AsyncClient(base_url=f"https://127.0.0.1:{server.port}", verify=trust, timeout=TIMEOUT) as api,
        ):
            await client.recv()
            await client.send(json.dumps({"event": "pusher:subscribe", "data": {"channel": "a"}}))
            await client.recv()
            for number in range(60):
                body = json.dumps({"name": "e", "channel": "a", "data": f"{number}:{'x' * 90_000}"}).encode()
                query = signed_query(
                    DEFAULT_APP.key, DEFAULT_APP.secret, "POST", "/apps/1/events", int(time.time()), body=body
                )
                assert (await api.post("/apps/1/events", params=query, content=body)).status_code == 200
            for _ in range(50):
                await client.send('{"event":"pusher:ping"}')
            for number in range(60):
                assert json.loads(await client.recv())["data"] == f"{number}:{'x' * 90_000}"
            for _ in range(50):
                assert json.loads(await client.recv())["event"] == "pusher:pong"


async def test_a_flood_over_tls_is_answered_a_slice_at_a_time(certificate: tuple[Path, Path]) -> None:
    tls = {"certificate": str(certificate[0]), "key": str(certificate[1])}
    trust = ssl.create_default_context(cafile=certificate[0])
    with running_server(tls=tls) as server:
        url = f"wss://127.0.0.1:{server.port}/app/app-key?protocol=7"
        async with connect(url, ssl=trust, max_queue=None) as greedy, connect(url, ssl=trust) as bystander:
            await greedy.recv()
            await bystander.recv()
            for _ in range(1_000):
                await greedy.send('{"event":"pusher:ping"}')
            await bystander.send('{"event":"pusher:ping"}')
            assert json.loads(await bystander.recv())["event"] == "pusher:pong"
            for _ in range(1_000):
                assert json.loads(await greedy.recv())["event"] == "pusher:pong"


def test_failed_handshakes_leave_nothing_to_the_garbage_collector(certificate: tuple[Path, Path]) -> None:
    tls = {"certificate": str(certificate[0]), "key": str(certificate[1])}
    with ticked_server(tls=tls) as ticked:
        gc.disable()
        try:
            for _ in range(20):
                with RawSocket(ticked.port) as client:
                    client.send(b"this is not TLS" * 10)
            ticked.until(lambda: ticked.server.open_sockets == 0)
            assert not [found for found in gc.get_objects() if isinstance(found, TlsConnection)]
        finally:
            gc.enable()


async def test_a_refused_client_gets_its_close_code_over_tls(certificate: tuple[Path, Path]) -> None:
    tls = {"certificate": str(certificate[0]), "key": str(certificate[1])}
    trust = ssl.create_default_context(cafile=certificate[0])
    with running_server(tls=tls) as server:
        async with connect(f"wss://127.0.0.1:{server.port}/app/unknown?protocol=7", ssl=trust) as client:
            assert json.loads(await client.recv())["data"]["code"] == 4001
            with pytest.raises(ConnectionClosed):
                await asyncio.wait_for(client.recv(), 10)
            assert client.close_code == 4001


@pytest.mark.parametrize(
    "request_",
    [
        b"GET /up HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n",
        b"GET /up HTTP/1.0\r\n\r\n",
        b"GET /app/app-key HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n",
    ],
    ids=["Connection: close", "HTTP/1.0", "refused upgrade"],
)
def test_the_last_answer_over_tls_is_followed_by_the_end(certificate: tuple[Path, Path], request_: bytes) -> None:
    """No second passes: nothing waits for the client to close its side."""
    tls = {"certificate": str(certificate[0]), "key": str(certificate[1])}
    with ticked_server(tls=tls) as ticked, TlsSocket.trusting(certificate[0])(ticked.port) as client:
        client.send(request_)
        assert client.read_response().headers["connection"] == "close"
        assert client.read_rest() == b""


def test_a_client_that_still_sends_over_tls_can_read_why_it_is_refused(certificate: tuple[Path, Path]) -> None:
    tls = {"certificate": str(certificate[0]), "key": str(certificate[1])}
    with ticked_server(tls=tls) as ticked, TlsSocket.trusting(certificate[0])(ticked.port) as client:
        client.send(b"POST /apps/1/events HTTP/1.1\r\nHost: x\r\nContent-Length: 10000000\r\n\r\n")
        assert client.read_response().status == 413
        assert ticked.run(lambda: ticked.server.open_sockets) == 1
        ticked.tick(6)
        assert client.read_rest() == b""


def test_a_websocket_over_tls_ends_once_the_client_has_answered_the_close_frame(
    certificate: tuple[Path, Path],
) -> None:
    tls = {"certificate": str(certificate[0]), "key": str(certificate[1])}
    with ticked_server(tls=tls) as ticked, TlsSocket.trusting(certificate[0]).open(ticked.port, "app-key") as client:
        client.send(b"\x81\x02hi")  # without a mask
        opcode, payload = client.read_frame()
        assert (opcode, payload[:2]) == (CLOSE, b"\x03\xea")
        client.send(client_frame(CLOSE, b"\x03\xea"))
        assert client.read_rest() == b""


@pytest.mark.parametrize("wrong", ["missing", "not a certificate"])
def test_an_unusable_certificate_stops_the_start_with_its_name(
    wrong: str, tmp_path: Path, certificate: tuple[Path, Path]
) -> None:
    file = tmp_path / "wrong.crt"
    if wrong != "missing":
        file.write_text("certificate?")
    settings = Settings(
        server=ServerSettings(
            host="127.0.0.1", port=0, tls=TlsSettings(certificate=str(file), key=str(certificate[1]))
        ),
        apps=(DEFAULT_APP,),
    )
    with pytest.raises(StartError, match=r"cannot use the certificate .*wrong\.crt"):
        run(settings, on_ready=lambda _: None)
