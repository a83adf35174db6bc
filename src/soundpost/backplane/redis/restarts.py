"""Restarts of all hosts: the order, which Redis keeps for a while, and the turn, which one host has at a time."""

from __future__ import annotations

import asyncio
import contextlib
from typing import Final

import hiredis

from soundpost.backplane.redis.buckets import CONTROL
from soundpost.backplane.redis.connection import Then
from soundpost.backplane.redis.node_scripts import RESTART
from soundpost.backplane.redis.publish_queue import Publication
from soundpost.backplane.redis.redis import Redis

ORDER_LASTS: Final = 10.0
"""Seconds that Redis keeps an order to restart; an order that is repeated later is void."""
_POLL: Final = 0.5


def restart_order(order: bytes) -> Publication:
    """Return the publication that orders all hosts to restart."""
    return Publication(CONTROL, RESTART.digest.encode(), (order, b"%d" % (ORDER_LASTS * 1000)))


def ask_restart_order(redis: Redis, then: Then) -> None:
    """Read the order to restart that Redis has now; ``then`` gets it. A published order may be anybody's."""
    redis.send(CONTROL, ("GET", redis.tag(CONTROL) + b":restart"), then)


async def take_turn(redis: Redis, seconds: float) -> None:
    """Wait until no other host has its turn, and take it for at most some seconds; while Redis is away at once."""
    while not await _acquire(redis, seconds):  # noqa: ASYNC110 - another host has it
        await asyncio.sleep(_POLL)


async def _acquire(redis: Redis, seconds: float) -> bool:
    try:
        async with asyncio.timeout(redis.command_timeout):
            answer = await redis.ask(CONTROL, "SET", _turn(redis), redis.origin, "NX", "PX", int(seconds * 1000))
    except (ConnectionError, TimeoutError, hiredis.ReplyError):
        return True
    return answer is not None


async def end_turn(redis: Redis) -> None:
    """End this host's turn; while Redis is away, the turn expires by itself."""
    with contextlib.suppress(ConnectionError, TimeoutError, hiredis.ReplyError):
        async with asyncio.timeout(redis.command_timeout):
            if await redis.ask(CONTROL, "GET", _turn(redis)) == redis.origin:
                await redis.ask(CONTROL, "DEL", _turn(redis))


def _turn(redis: Redis) -> bytes:
    """Return the key that the host has whose turn it is."""
    return redis.tag(CONTROL) + b":restarting"
