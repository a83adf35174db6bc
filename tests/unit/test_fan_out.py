"""The two loops of a fan-out, in Python and in C where it was compiled: they do the same."""

from __future__ import annotations

import socket
from collections.abc import Iterable, Iterator
from typing import Any

import pytest

from soundpost.server.connections.delivery import send_all, send_all_in_python

LOOPS = list(dict.fromkeys([send_all_in_python, send_all]))


class Receiver:
    """A connection of which only the descriptor matters."""

    def __init__(self, fd: int) -> None:
        self.fd = fd


@pytest.fixture
def socket_pair() -> Iterator[tuple[socket.socket, socket.socket]]:
    ours, theirs = socket.socketpair()
    ours.setblocking(False)
    with ours, theirs:
        yield ours, theirs


@pytest.fixture(
    params=[
        pytest.param(loop, id="python", marks=pytest.mark.interpreted)
        if loop is send_all_in_python
        else pytest.param(loop, id="c")
        for loop in LOOPS
    ]
)
def send(request: pytest.FixtureRequest) -> Any:
    return request.param


def test_everything_goes_to_each_and_nobody_is_left(
    send: Any, socket_pair: tuple[socket.socket, socket.socket]
) -> None:
    ours, theirs = socket_pair
    assert send({Receiver(ours.fileno()): None}, b"frame") == []
    assert theirs.recv(100) == b"frame"


def test_a_full_socket_is_reported_with_what_it_took(
    send: Any, socket_pair: tuple[socket.socket, socket.socket]
) -> None:
    ours, theirs = socket_pair
    receiver, data = Receiver(ours.fileno()), bytes(range(256)) * 20_000
    ((reported, sent),) = send([receiver], data)
    assert reported is receiver
    assert 0 < sent < len(data)
    assert send([receiver], data) == [(receiver, 0)]
    taken = b""
    while len(taken) < sent:
        taken += theirs.recv(1_000_000)
    assert taken == data[:sent]


def test_those_without_a_descriptor_and_those_broken_are_reported(
    send: Any, socket_pair: tuple[socket.socket, socket.socket]
) -> None:
    ours, theirs = socket_pair
    closed, broken = socket.socketpair()
    gone = closed.detach()
    socket.close(gone)
    other, far = socket.socketpair()
    far.close()
    held, dead, cut, fine = Receiver(-1), Receiver(gone), Receiver(other.fileno()), Receiver(ours.fileno())
    assert send([held, dead, cut, fine], b"x") == [(held, 0), (dead, 0), (cut, 0)]
    assert theirs.recv(10) == b"x"
    for sock in (broken, other):
        sock.close()


def test_a_fault_of_the_caller_is_raised(send: Any) -> None:
    def failing() -> Iterable[Receiver]:
        raise LookupError("the caller's own")
        yield Receiver(-1)

    with pytest.raises(LookupError):
        send(failing(), b"x")
    with pytest.raises(AttributeError):
        send([object()], b"x")
