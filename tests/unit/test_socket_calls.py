"""The calls of sockets, in Python and in C where it was compiled: they do the same."""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import pytest

from soundpost.server.connections import socket_calls

IN_PYTHON = SimpleNamespace(
    accept_some=socket_calls.accept_some_in_python,
    read_some=socket_calls.read_some_in_python,
    write_some=socket_calls.write_some_in_python,
)
VARIANTS = [pytest.param(IN_PYTHON, id="python", marks=pytest.mark.interpreted)]
if socket_calls.read_some is not socket_calls.read_some_in_python:
    VARIANTS.append(pytest.param(socket_calls, id="c"))


@pytest.fixture(params=VARIANTS)
def calls(request: pytest.FixtureRequest) -> Any:
    return request.param


@pytest.fixture
def socket_pair() -> Iterator[tuple[socket.socket, socket.socket]]:
    ours, theirs = socket.socketpair()
    ours.setblocking(False)
    with ours, theirs:
        yield ours, theirs


@pytest.fixture
def listener() -> Iterator[socket.socket]:
    with socket.create_server(("127.0.0.1", 0)) as sock:
        sock.setblocking(False)
        yield sock


def test_what_came_is_read_until_the_end(calls: Any, socket_pair: tuple[socket.socket, socket.socket]) -> None:
    ours, theirs = socket_pair
    assert calls.read_some(ours.fileno()) is None
    theirs.sendall(b"frame")
    assert calls.read_some(ours.fileno()) == b"frame"
    theirs.close()
    assert calls.read_some(ours.fileno()) == b""


def test_a_read_takes_64_kib_at_most(calls: Any, socket_pair: tuple[socket.socket, socket.socket]) -> None:
    ours, theirs = socket_pair
    theirs.sendall(bytes(70_000))
    assert [len(calls.read_some(ours.fileno())) for _ in range(2)] == [65_536, 4_464]


@pytest.mark.parametrize("kind", [bytes, bytearray, memoryview])
def test_all_kinds_of_bytes_are_written(
    calls: Any, socket_pair: tuple[socket.socket, socket.socket], kind: Any
) -> None:
    ours, theirs = socket_pair
    assert calls.write_some(ours.fileno(), kind(b"frame")) == 5
    assert theirs.recv(100) == b"frame"


def test_a_full_socket_takes_a_part_and_then_nothing(
    calls: Any, socket_pair: tuple[socket.socket, socket.socket]
) -> None:
    ours, _ = socket_pair
    assert 0 < calls.write_some(ours.fileno(), bytes(5_000_000)) < 5_000_000
    assert calls.write_some(ours.fileno(), bytes(5_000_000)) == 0


def test_a_broken_socket_is_an_error(calls: Any, socket_pair: tuple[socket.socket, socket.socket]) -> None:
    ours, theirs = socket_pair
    theirs.close()
    with pytest.raises(BrokenPipeError):
        calls.write_some(ours.fileno(), b"frame")
    with pytest.raises(OSError, match="Bad file descriptor"):
        calls.read_some(-1)


def test_as_many_are_accepted_as_wait_and_may(calls: Any, listener: socket.socket) -> None:
    assert calls.accept_some(listener.fileno(), 2) == []
    clients = [socket.create_connection(listener.getsockname()) for _ in range(3)]
    accepted = calls.accept_some(listener.fileno(), 2) + calls.accept_some(listener.fileno(), 2)
    assert len(set(accepted)) == 3
    for fd, client in zip(accepted, clients, strict=True):
        assert not os.get_blocking(fd)
        assert not os.get_inheritable(fd)
        client.sendall(b"x")
        assert os.read(fd, 10) == b"x"
        os.close(fd)
        client.close()


def test_a_socket_that_does_not_listen_is_an_error(calls: Any) -> None:
    with socket.socket() as sock:
        sock.setblocking(False)
        with pytest.raises(OSError, match="Invalid argument"):
            calls.accept_some(sock.fileno(), 2)
        assert sock.fileno() >= 0
