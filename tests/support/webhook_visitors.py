"""Visitors of a server whose webhooks go to a real endpoint; fixtures, to be imported by the tests that use them."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack

import pytest

from support.crowd import join
from support.harness import DEFAULT_APP, RawSocket
from support.operated import Operated
from support.webhook_receiver import Receiver, receiver

ROOM = "presence-room"


@pytest.fixture
def endpoint() -> Iterator[Receiver]:
    with receiver() as made:
        yield made


@pytest.fixture
def stack() -> Iterator[ExitStack]:
    """A stack that closes the visitors' sockets at the end of the test."""
    with ExitStack() as made:
        yield made


def enter(server: Operated, stack: ExitStack, user: str) -> RawSocket:
    """Return a client that has joined the room as a user."""
    client = stack.enter_context(server.connect())
    join(client, DEFAULT_APP, ROOM, user)
    return client
