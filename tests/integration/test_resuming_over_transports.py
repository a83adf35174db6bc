"""A client that reads slowly resumes with more missed events than may wait for it, over every kind of connection."""

from __future__ import annotations

import json
import ssl
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final, NamedTuple

import msgspec
import pytest
from websockets.asyncio.client import ClientConnection, connect

from soundpost.core.app_settings import HistorySettings
from support.embedded import running_embedded
from support.harness import DEFAULT_APP, RunningServer, running_server, signed_request
from support.raw_socket import HttpResponse, RawSocket
from support.self_signed import self_signed

EVENTS: Final = 1_200
DATA: Final = "x" * 9_000
APP: Final = msgspec.structs.replace(
    DEFAULT_APP,
    max_output_buffer=200_000,
    max_batch_size=100,
    history=(HistorySettings(channels=("news",), events=2 * EVENTS),),
)
SUCCEEDED: Final = "pusher_internal:subscription_succeeded"


class Served(NamedTuple):
    """A running server, and how a client reaches it."""

    server: RunningServer
    options: dict[str, Any]

    async def connect(self) -> ClientConnection:
        scheme = "wss" if "ssl" in self.options else "ws"
        client = await connect(
            f"{scheme}://127.0.0.1:{self.server.port}/app/{APP.key}?protocol=7", max_queue=1, **self.options
        )
        assert (await read(client))["event"] == "pusher:connection_established"
        return client


async def read(client: ClientConnection) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(await client.recv())
    return found


async def subscribe(client: ClientConnection, position: str) -> dict[str, Any]:
    await client.send(json.dumps({"event": "pusher:subscribe", "data": {"channel": "news", "resume": position}}))
    return await read(client)


@contextmanager
def plain(tmp_path: Path) -> Iterator[Served]:
    with running_server(apps=[APP]) as server:
        yield Served(server, {"compression": None})


@contextmanager
def compressed(tmp_path: Path) -> Iterator[Served]:
    with running_server(apps=[APP], compression=True) as server:
        yield Served(server, {"compression": "deflate"})


@contextmanager
def over_workers(tmp_path: Path) -> Iterator[Served]:
    with running_server(apps=[APP], workers=2) as server:
        yield Served(server, {"compression": None})


@contextmanager
def over_tls(tmp_path: Path) -> Iterator[Served]:
    certificate, key = self_signed(tmp_path)
    with running_server(apps=[APP], tls={"certificate": str(certificate), "key": str(key)}) as server:
        trust = ssl.create_default_context(cafile=certificate)
        yield Served(server, {"compression": None, "ssl": trust})


@contextmanager
def embedded(tmp_path: Path) -> Iterator[Served]:
    with running_embedded(apps=(APP,)) as server:
        yield Served(server, {"compression": None})


@pytest.mark.parametrize("serve", [plain, compressed, over_workers, over_tls, embedded], ids=lambda f: f.__name__)
async def test_a_slow_client_gets_all_it_missed(serve: Any, tmp_path: Path) -> None:
    with serve(tmp_path) as served:
        first = await served.connect()
        position = (await subscribe(first, ""))["position"]
        await first.close()
        publish(served, "news", range(EVENTS))
        client = await served.connect()
        answer = await subscribe(client, position)
        assert (answer["event"], answer["resumed"]) == (SUCCEEDED, EVENTS)
        publish(served, "news", range(EVENTS, EVENTS + 10))  # answered by a server whose replay waits for the client
        numbers = [int((await read(client))["event"]) for _ in range(EVENTS + 10)]
        assert numbers == list(range(EVENTS + 10))
        publish(served, "news", [-1])
        assert (await read(client))["event"] == "-1"
        await client.close()


def publish(served: Served, channel: str, numbers: Iterable[int]) -> None:
    """Publish events in batches, over HTTP or HTTPS."""
    for some in batched(list(numbers), 20):
        batch = [{"name": str(number), "channel": channel, "data": DATA} for number in some]
        answer = send(served, signed_request("POST", "/batch_events", json.dumps({"batch": batch}).encode(), app=APP))
        assert answer.status == 200, answer


def batched(numbers: list[int], size: int) -> list[list[int]]:
    return [numbers[start : start + size] for start in range(0, len(numbers), size)]


def send(served: Served, request: bytes) -> HttpResponse:
    with RawSocket(served.server.port) as client:
        if "ssl" in served.options:
            client.socket = served.options["ssl"].wrap_socket(client.socket, server_hostname="127.0.0.1")
        client.send(request)
        return client.read_response()
