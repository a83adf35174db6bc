"""The server's own transports: what they promise to a protocol, over real sockets."""

from __future__ import annotations

import asyncio
import errno
import itertools
import os
import resource
import select
import socket
import struct
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import ExitStack, asynccontextmanager
from functools import partial
from typing import Any, Final, cast

import pytest
import uvloop

from soundpost.server.connections.fair_queue import FairQueue
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


class HandedOver(Recorder):
    """A protocol whose connection another poller watches once input has come."""

    def __init__(self, poller: SocketPoller) -> None:
        super().__init__()
        self._poller = poller

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("SocketTransport", transport)

    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        self._transport.read_by(self._poller)


def listen(make: Callable[[], asyncio.Protocol], poller: SocketPoller) -> tuple[socket.socket, SocketListener]:
    """Return a socket that listens, and the listener that accepts its connections."""
    loop, listening = asyncio.get_running_loop(), socket.create_server(("127.0.0.1", 0))
    fair_queue, sockets = FairQueue(loop.call_soon), OpenSockets(100, print)
    return listening, SocketListener(loop, listening, make, poller, fair_queue, sockets)


def loop_reader(loop: asyncio.AbstractEventLoop) -> LoopReader:
    return LoopReader(loop, SocketPoller(loop))


READERS: Final[dict[str, Reader]] = {"SocketPoller": SocketPoller, "LoopReader": loop_reader}


@pytest.fixture(params=READERS)
def reader(request: pytest.FixtureRequest) -> Reader:
    return READERS[request.param]


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

    uvloop.run(check())


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

    uvloop.run(check())


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

    uvloop.run(check())


@pytest.mark.parametrize("last_words", [b"last words", LARGE], ids=["sent at once", "that has to wait"])
def test_the_other_end_sees_the_end_of_output_and_may_go_on(reader: Reader, last_words: bytes) -> None:
    async def check() -> None:
        async with connected(reader) as (transport, protocol, theirs):
            transport.write(last_words)
            transport.write_eof()
            transport.write(b"too late")
            assert await read_all(theirs) == last_words
            theirs.send(b"heard")
            await protocol.heard.wait()
            assert protocol.told[-1] == "heard"
            assert not transport.is_closing()
            transport.close()
            assert await protocol.lost is None

    uvloop.run(check())


@pytest.mark.parametrize("reads", [True, False], ids=["reading", "paused"])
def test_a_reset_is_noticed_behind_the_last_input(reader: Reader, reads: bool) -> None:
    async def check() -> None:
        loop = asyncio.get_running_loop()
        with socket.create_server(("127.0.0.1", 0)) as listening:
            theirs = socket.create_connection(listening.getsockname())
            ours, _ = listening.accept()
        ours.setblocking(False)
        protocol = Recorder()
        transport = SocketTransport(reader(loop), ours.detach(), socket.AF_INET, protocol)
        if not reads:
            transport.pause_reading()
        theirs.send(b"last words")
        theirs.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        theirs.close()
        if not reads:
            for _ in range(10):
                await asyncio.sleep(0)
            assert protocol.told == []
            transport.resume_reading()
        assert isinstance(await protocol.lost, ConnectionResetError)
        assert protocol.told[-1] == "lost"

    uvloop.run(check())


def test_a_socket_goes_on_with_another_reader(reader: Reader) -> None:
    async def check() -> None:
        async with connected(reader) as (transport, protocol, theirs):
            transport.pause_reading()
            transport.read_by(loop_reader(asyncio.get_running_loop()))
            theirs.send(b"unread")
            await asyncio.sleep(0)
            assert protocol.told == []
            transport.resume_reading()
            await protocol.heard.wait()
            assert protocol.told == ["unread"]

    uvloop.run(check())


def test_a_new_connection_is_read_before_a_poller_watches_it() -> None:
    async def check() -> None:
        loop = asyncio.get_running_loop()
        newcomers, others = SocketPoller(loop), SocketPoller(loop)
        newcomers._epoll = cast("Any", FullEpoll(newcomers._epoll))
        protocol = HandedOver(others)
        listening, listener = listen(lambda: protocol, newcomers)
        with socket.create_connection(listening.getsockname()) as client:
            client.sendall(b"first")
            await protocol.heard.wait()
            protocol.heard.clear()
            client.sendall(b"second")
            await protocol.heard.wait()
        assert await protocol.lost is None
        assert protocol.told == ["first", "second", "lost"]
        for each in (listener, newcomers, others):
            each.close()

    uvloop.run(check())


def test_no_more_connections_are_accepted_than_can_be_read_in_time() -> None:
    async def check() -> None:
        loop = asyncio.get_running_loop()
        poller, made, unread, all_made = SocketPoller(loop), list[Recorder](), list[int](), asyncio.Event()

        def make() -> Recorder:
            made.append(Recorder())
            unread.append(sum(not protocol.told for protocol in made))
            if len(made) == 100:
                all_made.set()
            return made[-1]

        listening = socket.create_server(("127.0.0.1", 0), backlog=128)
        time_for_one = FairQueue(loop.call_soon, itertools.count().__next__)
        listener = SocketListener(loop, listening, make, poller, time_for_one, OpenSockets(10_000, print))
        with ExitStack() as stack:
            for _ in range(100):
                stack.enter_context(socket.create_connection(listening.getsockname())).sendall(b"request")
            await all_made.wait()
            for protocol in made:
                await protocol.heard.wait()
        for protocol in made:
            await protocol.lost
        assert max(unread) == 32
        listener.close()
        poller.close()

    uvloop.run(check())


def test_connections_wait_while_no_file_can_be_opened() -> None:
    async def check() -> None:
        loop = asyncio.get_running_loop()
        poller, protocol, made = SocketPoller(loop), Recorder(), list[Recorder]()

        def make() -> Recorder:
            made.append(protocol)
            return protocol

        listening, listener = listen(make, poller)
        address = listening.getsockname()
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

    uvloop.run(check())


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

    uvloop.run(check())


def test_a_turn_bounds_the_lost_sockets_though_some_were_ended_before_it(reader: Reader) -> None:
    async def check() -> None:
        loop = asyncio.get_running_loop()
        poller, protocols = reader(loop), [Recorder() for _ in range(4 * LOST_AT_ONCE)]
        for protocol in protocols:
            ours, theirs = socket.socketpair()
            theirs.close()
            SocketTransport(poller, ours.detach(), socket.AF_UNIX, protocol).abort()
        poller.lost.end_some()
        poller.lost.end_some()
        before = sum(protocol.lost.done() for protocol in protocols)
        await asyncio.sleep(0)
        assert sum(protocol.lost.done() for protocol in protocols) - before == LOST_AT_ONCE
        for protocol in protocols:
            await protocol.lost
        if isinstance(poller, SocketPoller):
            poller.close()

    uvloop.run(check())


class FullEpoll:
    """An epoll instance that takes no more sockets, as the kernel's at fs.epoll.max_user_watches."""

    closed = False

    def __init__(self, epoll: select.epoll) -> None:
        self._epoll = epoll

    def __getattr__(self, name: str) -> Any:
        return getattr(self._epoll, name)

    def register(self, fd: int, events: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")


def test_a_connection_that_cannot_be_watched_is_dropped_and_later_ones_are_served(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async def check() -> None:
        loop = asyncio.get_running_loop()
        poller, made = SocketPoller(loop), asyncio.Queue[Recorder]()

        def make() -> Recorder:
            protocol = Recorder()
            made.put_nowait(protocol)
            return protocol

        listening, listener = listen(make, poller)
        address = listening.getsockname()
        usual: Any = poller._epoll
        poller._epoll = cast("Any", FullEpoll(usual))
        with socket.socket() as dropped:
            dropped.setblocking(False)
            await loop.sock_connect(dropped, address)
            async with asyncio.timeout(20):
                assert await loop.sock_recv(dropped, 1) == b""
        poller._epoll = usual
        with socket.socket() as served:
            served.setblocking(False)
            await loop.sock_connect(served, address)
            await loop.sock_sendall(served, b"served")
            async with asyncio.timeout(20):
                of_dropped, of_served = await made.get(), await made.get()
                await of_served.heard.wait()
        await of_served.lost
        assert (of_dropped.told, of_served.told) == (["lost"], ["served", "lost"])
        assert "fs.epoll.max_user_watches" in caplog.text
        listener.close()
        poller.close()

    uvloop.run(check())


def test_no_more_are_accepted_for_a_while_if_a_first_read_cannot_hand_a_connection_over(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async def check() -> None:
        loop = asyncio.get_running_loop()
        newcomers, full = SocketPoller(loop), SocketPoller(loop)
        full._epoll = cast("Any", FullEpoll(full._epoll))
        protocol = HandedOver(full)
        listening, listener = listen(lambda: protocol, newcomers)
        with socket.create_connection(listening.getsockname()) as client:
            client.sendall(b"request")
            error = await protocol.lost
        assert isinstance(error, OSError)
        assert "fs.epoll.max_user_watches" in caplog.text
        assert not loop.remove_reader(listening.fileno())
        for each in (listener, newcomers, full):
            each.close()

    uvloop.run(check())


def test_a_lost_connection_is_not_given_to_another_reader(reader: Reader) -> None:
    async def check() -> None:
        async with connected(reader) as (transport, protocol, _):
            own, other = transport._poller, SocketPoller(asyncio.get_running_loop())
            transport.abort()
            transport.read_by(other)
            await protocol.lost
            assert (own.count, other.count) == (0, 0)
            other.close()

    uvloop.run(check())


@pytest.mark.parametrize("way", ["resumed", "given to another reader"])
def test_a_connection_that_cannot_be_watched_again_is_lost(reader: Reader, way: str) -> None:
    async def check() -> None:
        async with connected(reader) as (transport, protocol, _):
            other, own = SocketPoller(asyncio.get_running_loop()), transport._poller
            if way == "resumed":
                transport.pause_reading()
                full = own._poller if isinstance(own, LoopReader) else cast("SocketPoller", own)
                begin_again = transport.resume_reading
            else:
                full = other
                begin_again = partial(transport.read_by, other)
            usual: Any = full._epoll
            full._epoll = cast("Any", FullEpoll(usual))
            begin_again()
            full._epoll = usual
            error = await protocol.lost
            assert isinstance(error, OSError)
            assert error.errno == errno.ENOSPC
            other.close()

    uvloop.run(check())


def test_a_descriptor_is_watched_for_the_next_connection_that_gets_it(reader: Reader) -> None:
    async def check() -> None:
        poller, first, second = reader(asyncio.get_running_loop()), Recorder(), Recorder()
        ours, theirs = socket.socketpair()
        fd = ours.detach()
        transport = SocketTransport(poller, fd, socket.AF_UNIX, first)
        theirs.close()
        await first.lost
        assert (transport.fileno(), poller.count) == (-1, 0)
        ours, theirs = socket.socketpair()
        with theirs:
            if ours.fileno() != fd:  # the kernel gives the lowest number that is free
                os.dup2(ours.fileno(), fd)
                ours.close()
            else:
                ours.detach()
            os.set_blocking(fd, False)
            transport = SocketTransport(poller, fd, socket.AF_UNIX, second)
            theirs.send(b"hello")
            await second.heard.wait()
            assert (first.told, second.told) == (["lost"], ["hello"])
            transport.abort()
            await second.lost

    uvloop.run(check())
