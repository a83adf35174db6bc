"""The server's own transports: what they promise to a protocol, over real sockets."""

from __future__ import annotations

import asyncio
import resource
import socket
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import cast

import pytest

from soundpost.server.connections.open_sockets import OpenSockets
from soundpost.server.connections.socket_listener import SocketListener
from soundpost.server.connections.socket_poller import LOST_AT_ONCE, LoopReader, SocketPoller
from soundpost.server.connections.socket_transport import SocketTransport

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="elsewhere the loop's transports serve all sockets")

LARGE = bytes(8 * 1024 * 1024)
"""More than the kernel takes at once."""
Reader = Callable[[asyncio.AbstractEventLoop], SocketPoller | LoopReader]


class Recorder(asyncio.Protocol):
    """A protocol that notes what it is told."""

    def __init__(self) -> None:
        self.told: list[str] = []
        self.heard = asyncio.Event()
        self.lost: asyncio.Future[Exception | None] = asyncio.get_running_loop().create_future()

    def pause_writing(self) -> None:
        self.told.append("pause")

    def resume_writing(self) -> None:
        self.told.append("resume")

    def data_received(self, data: bytes) -> None:
        self.told.append(data.decode())
        self.heard.set()

    def connection_lost(self, exc: Exception | None) -> None:
        self.told.append("lost")
        self.lost.set_result(exc)


@pytest.fixture(params=[SocketPoller, LoopReader])
def reader(request: pytest.FixtureRequest) -> Reader:
    return cast("Reader", request.param)


@asynccontextmanager
async def connected(reader: Reader) -> AsyncIterator[tuple[SocketTransport, Recorder, socket.socket]]:
    """Yield a transport, its protocol, and the socket of the other end."""
    ours, theirs = socket.socketpair()
    ours.setblocking(False)
    theirs.setblocking(False)
    poller, protocol = reader(asyncio.get_running_loop()), Recorder()
    with theirs:
        transport = SocketTransport(poller, ours.detach(), socket.AF_UNIX, protocol)
        yield transport, protocol, theirs
        transport.abort()
        await protocol.lost
        if isinstance(poller, SocketPoller):
            poller.close()


async def read_all(theirs: socket.socket) -> bytes:
    loop, parts = asyncio.get_running_loop(), []
    while part := await loop.sock_recv(theirs, 1_000_000):
        parts.append(part)
    return b"".join(parts)


def test_a_close_sends_what_waits_first(reader: Reader) -> None:
    async def check() -> None:
        async with connected(reader) as (transport, protocol, theirs):
            transport.write(LARGE)
            assert transport.get_write_buffer_size() > 0
            transport.close()
            transport.write(b"too late")
            assert await read_all(theirs) == LARGE
            assert await protocol.lost is None

    asyncio.run(check())


def test_an_abort_drops_what_waits_and_is_told_once(reader: Reader) -> None:
    async def check() -> None:
        async with connected(reader) as (transport, protocol, theirs):
            transport.write(LARGE)
            transport.abort()
            transport.abort()
            transport.close()
            assert len(await read_all(theirs)) < len(LARGE)
            assert protocol.told == ["pause", "lost"]
            assert transport.get_extra_info("socket") is None

    asyncio.run(check())


def test_a_protocol_is_paused_until_its_output_is_taken(reader: Reader) -> None:
    async def check() -> None:
        async with connected(reader) as (transport, protocol, theirs):
            assert not transport.hold_nothing_back()
            transport.write(LARGE)
            assert protocol.told == ["pause"]
            taken = 0
            while taken < len(LARGE):
                taken += len(await asyncio.get_running_loop().sock_recv(theirs, 1_000_000))
            theirs.send(b"thanks")
            await protocol.heard.wait()
            assert protocol.told == ["pause", "resume", "thanks"]

    asyncio.run(check())


def test_the_other_end_sees_the_end_of_output_and_may_go_on(reader: Reader) -> None:
    async def check() -> None:
        async with connected(reader) as (transport, protocol, theirs):
            transport.write(b"last words")
            transport.write_eof()
            assert await read_all(theirs) == b"last words"
            theirs.send(b"heard")
            await protocol.heard.wait()
            assert protocol.told == ["heard"]
            assert not transport.is_closing()

    asyncio.run(check())


def test_a_socket_goes_on_with_another_reader(reader: Reader) -> None:
    async def check() -> None:
        async with connected(reader) as (transport, protocol, theirs):
            transport.pause_reading()
            transport.read_by(LoopReader(asyncio.get_running_loop()))
            theirs.send(b"unread")
            await asyncio.sleep(0)
            assert protocol.told == []
            transport.resume_reading()
            await protocol.heard.wait()
            assert protocol.told == ["unread"]

    asyncio.run(check())


def test_connections_wait_while_no_file_can_be_opened() -> None:
    async def check() -> None:
        loop = asyncio.get_running_loop()
        poller, protocol, made = SocketPoller(loop), Recorder(), list[Recorder]()

        def make() -> Recorder:
            made.append(protocol)
            return protocol

        listening = socket.create_server(("127.0.0.1", 0))
        address = listening.getsockname()
        listener = SocketListener(loop, listening, make, poller, OpenSockets(100, print))
        with socket.socket() as client:
            client.setblocking(False)
            soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
            resource.setrlimit(resource.RLIMIT_NOFILE, (3, hard))
            try:
                await loop.sock_connect(client, address)
                client.send(b"patient")
                for _ in range(10):
                    await asyncio.sleep(0)
                assert made == []
            finally:
                resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
            await protocol.heard.wait()
        assert await protocol.lost is None
        assert made == [protocol]
        assert protocol.told == ["patient", "lost"]
        listener.close()
        poller.close()

    asyncio.run(check())


def test_sockets_that_are_lost_at_one_moment_end_in_several_turns(reader: Reader) -> None:
    async def check() -> None:
        loop = asyncio.get_running_loop()
        poller, protocols = reader(loop), [Recorder() for _ in range(LOST_AT_ONCE + 10)]
        for protocol in protocols:
            ours, theirs = socket.socketpair()
            theirs.close()
            SocketTransport(poller, ours.detach(), socket.AF_UNIX, protocol).abort()
        await asyncio.sleep(0)
        assert [protocol.told for protocol in protocols] == [["lost"]] * LOST_AT_ONCE + [[]] * 10
        for protocol in protocols:
            assert await protocol.lost is None
        if isinstance(poller, SocketPoller):
            poller.close()

    asyncio.run(check())
