"""The stream between a worker and the hub."""

from __future__ import annotations

import asyncio
import socket

import pytest

from soundpost.backplane.hub_framing import LARGE, Message
from soundpost.backplane.hub_link import HubLink
from soundpost.backplane.hub_messages import EventsMessage, Ping

SMALL = [Ping()]
BATCH = [EventsMessage("1", "orders", [b"x" * LARGE, b"y" * 400_000], None)]


@pytest.mark.parametrize(
    "said",
    [SMALL, BATCH, BATCH + SMALL, SMALL + BATCH, BATCH * 5, SMALL * 1_000 + BATCH + SMALL],
    ids=["one small", "one large", "large first", "small first", "several large", "one large among many"],
)
async def test_the_messages_of_a_loop_turn_arrive_in_order_whatever_their_size(said: list[Message]) -> None:
    taken: list[Message] = []
    all_came = asyncio.Event()

    def take(message: Message) -> None:
        taken.append(message)
        if len(taken) == 2 * len(said):
            all_came.set()

    loop = asyncio.get_running_loop()
    sender = HubLink(lambda message: None, lambda: None)
    receiver = HubLink(take, lambda: None)
    for link, end in zip((sender, receiver), socket.socketpair(), strict=True):
        await loop.create_connection(lambda link=link: link, sock=end)  # type: ignore[misc]
    for _ in range(2):
        for message in said:
            sender.send(message)
        sender.flush()
    await asyncio.wait_for(all_came.wait(), 20)
    sender.close()
    receiver.close()

    assert taken == said * 2
