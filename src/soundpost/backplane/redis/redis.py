"""Redis as the registry uses it: connections that are kept up, and this process as a node that lives by its lease.

Connecting never ends the process: it is tried for ever. Every fault (a lost connection, a server that does not answer,
a refused script) has one remedy: all connections are dropped and made again, under a new node id, and everything is
stated again.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import random
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any, Final, TypeVar

import hiredis

from soundpost.backplane.redis import (
    grace_scripts,
    history_scripts,
    last_event_scripts,
    node_scripts,
    subscription_scripts,
    user_scripts,
    webhook_scripts,
)
from soundpost.backplane.redis.bucket_commands import BucketCommands, ignore_answer
from soundpost.backplane.redis.buckets import CONTROL
from soundpost.backplane.redis.connection import RedisConnection
from soundpost.backplane.redis.failures import in_words, refused
from soundpost.backplane.redis.graces import Graces
from soundpost.backplane.redis.leases import LEASE, Leases
from soundpost.backplane.redis.outage_log import OutageLog
from soundpost.backplane.redis.publish_queue import Publication
from soundpost.backplane.redis.scripts import Script
from soundpost.backplane.redis.servers import RedisError, Servers
from soundpost.backplane.redis.topic_messages import hello

log = logging.getLogger("soundpost.redis")

T = TypeVar("T")

BEAT_PERIOD: Final = 2.0
"""Seconds between two renewals of this node's lease."""
COMMAND_TIMEOUT: Final = 3.0
"""Seconds that a server may leave a command unanswered."""
PEERS_TIMEOUT: Final = 5.0
"""Seconds that the other nodes have to come back after an outage, before events go on without them."""
_LONG_ENOUGH: Final = 5.0  # seconds a connection must have lasted for the next one to be tried at once
_FIRST_WAIT: Final = 0.05
_MAX_WAIT: Final = 2.0

_FULL_SWEEP: Final = 30
"""Number of beats after which graces are looked for that no host has noted."""

_TAKEN_FOR_DEAD: Final = "this host was silent for so long that the others took it for dead"

_SCRIPTS: Final = (
    *subscription_scripts.ALL,
    last_event_scripts.KEEP,
    *node_scripts.ALL,
    *grace_scripts.ALL,
    *history_scripts.ALL,
    *user_scripts.ALL,
    *webhook_scripts.ALL,
)


def _new_id() -> bytes:
    return os.urandom(8).hex().encode()


class Redis(BucketCommands):
    """The connections to Redis that are kept up, and this process as a node there.

    Set the callbacks, then run :meth:`keep_connected`. ``command_timeout`` is in seconds.
    """

    def __init__(self, servers: Servers, prefix: str, *, command_timeout: float = COMMAND_TIMEOUT) -> None:
        super().__init__(prefix)
        self._servers = servers
        self.command_timeout = command_timeout
        """Seconds that a server may leave a command unanswered."""
        self._loop = asyncio.get_running_loop()
        self.origin = _new_id()
        """Id of this process as a sender of events."""
        self.former_node = b""
        """Earlier node id of this process, whose data is in Redis until it is removed."""
        self.is_connecting = False
        """True while a server that has let this host in is prepared; commands may be sent, and wait better."""
        self.is_silent = False
        """True if the last connection was given up because the server did not answer."""
        self.tried = asyncio.Event()
        """Set once events flow, or Redis was found to be away."""
        self._former_nodes: dict[bytes, set[bytes]] = {}
        """Nodes that this process was before, still to be removed, with the buckets that they stated something in."""
        self.known = 0
        """Number of living nodes, as of the last time when Redis was up."""
        self._beaten = 0, 0.0
        """Time of day at Redis at the last beat, in milliseconds, and the loop's time at that moment."""
        self.connects = 0
        """Number of times that this host has come to Redis, or back to it."""
        self._outages = OutageLog(servers, self._loop.time)
        self.leases = Leases(self)
        self.graces = Graces(self, self._loop.call_later)
        self.prepare: Callable[[], Awaitable[None]]
        """Called when commands can be sent, before :attr:`on_up`. May raise ConnectionError and hiredis.ReplyError."""
        self.on_up: Callable[[], Awaitable[None]]
        """Called when connected, as a new node; returns once Redis has all that this host has to state."""
        self.on_flow: Callable[[], None]
        """Called when the other nodes are back too, and events may be sent."""
        self.on_beat: Callable[[], None]
        """Called every :data:`BEAT_PERIOD` while events flow."""
        self.on_down: Callable[[], None]
        """Called when Redis is away."""
        self.on_message: Callable[[bytes, bytes], None]
        """Called with the topic and the bytes of each message."""

    @property
    def milliseconds(self) -> int:
        """The time of day at Redis in milliseconds, counted on since the last beat; 0 before the first one."""
        now, at = self._beaten
        return int(now + (self._loop.time() - at) * 1000) if now else 0

    # Being connected

    async def keep_connected(self) -> None:
        """Connect to Redis, and again after each loss, until cancelled."""
        wait = _FIRST_WAIT
        while True:
            began = self._loop.time()
            try:
                await self._connect()
                self._outages.end(self.node.decode())
                reason = await self._beat_until_lost()
            except (RedisError, ConnectionError, TimeoutError, hiredis.ReplyError) as error:
                reason = self._fault or in_words(error) or f"no answer within {self.command_timeout:.0f} s"
            except Exception:
                log.exception("an error of ours in dealing with Redis")
                reason = "an error of ours, see above"
            self.tried.set()
            self.drop()
            if self._connected is not None:  # the new statement depends on the requests without an answer
                for connection in self._connected.connections:
                    await connection.ended.wait()
            self._outages.begin(reason)
            wait = _FIRST_WAIT if self._loop.time() - began > _LONG_ENOUGH else min(2 * wait, _MAX_WAIT)
            await asyncio.sleep(wait * random.uniform(0.5, 1))

    async def stop(self) -> None:
        """Take back all that this node stated, so that no other node has to wait for the lease to end.

        Members stay for a grace, in which their users may come back on other nodes.
        """
        if self.up:
            with contextlib.suppress(ConnectionError, TimeoutError, hiredis.ReplyError):
                await self._in_time(self._take_back())
        self.drop()

    async def _take_back(self) -> None:
        await self.graces.begin_all(self._stated_buckets)
        await self.leases.remove_at_once(self.node, self._stated_buckets)

    async def _connect(self) -> None:
        """Connect as a new node. Raise RedisError, ConnectionError, TimeoutError or hiredis.ReplyError."""
        self._lost.clear()
        self._fault, self.is_silent = "", False
        self._connected = await self._servers.connect((self._take_message, self._take_loss))
        self.is_connecting = True
        if self._stated_buckets:
            self.former_node = self.node
            self._former_nodes[self.node] = self._stated_buckets
        self.node, self._stated_buckets = _new_id(), set()
        async with asyncio.timeout(self.command_timeout):
            for connection in self._connections.connections:
                for script in _SCRIPTS:
                    await self._load(connection, script)
            self.up = True
            await self.leases.register()
            await self.prepare()
        self.is_connecting = False
        self.connects += 1
        self.subscribe(CONTROL, self.topic(CONTROL, ""))
        await self._state_until_lost()
        while self._former_nodes:
            self.leases.begin_removal(*self._former_nodes.popitem())

    async def _state_until_lost(self) -> None:
        """State all that this host has, and let no other host remove this node meanwhile.

        This host is not among the living before that: they would take it for back. Raise as :meth:`_connect` does.
        """
        stating, lost = asyncio.ensure_future(self.on_up()), asyncio.ensure_future(self._lost.wait())
        registered = self._loop.time()
        try:
            while True:
                await asyncio.wait((stating, lost), timeout=BEAT_PERIOD, return_when=asyncio.FIRST_COMPLETED)
                if lost.done():
                    raise ConnectionError(self._fault or "the connection was lost")
                if self._loop.time() - registered > LEASE:
                    raise ConnectionError(_TAKEN_FOR_DEAD)
                if stating.done():
                    return stating.result()
                await self._in_time(self.leases.register())
                registered = self._loop.time()
        finally:
            stating.cancel()
            lost.cancel()

    async def _load(self, connection: RedisConnection, script: Script) -> None:
        try:
            await connection.ask("SCRIPT", "LOAD", script.text)
        except hiredis.ReplyError as error:
            raise hiredis.ReplyError(refused(error, "SCRIPT LOAD")) from None

    async def _beat_until_lost(self) -> str:
        """Renew the lease until the connection is lost, and let events flow once the other nodes are back.

        Return the reason of the loss.
        """
        since, deadline, flows, beats = 0, self._loop.time() + PEERS_TIMEOUT, False, 0
        while True:
            try:
                is_new, now, living = await self._in_time(self.leases.beat())
                self._beaten = now, self._loop.time()
            except TimeoutError:
                self.is_silent = True
                return f"no answer for {self.command_timeout:.0f} s"
            if is_new and beats:
                return _TAKEN_FOR_DEAD
            self.graces.begin_sweep(() if beats % _FULL_SWEEP else self._stated_buckets)
            since, beats = since or now, beats + 1
            back = sum(end - LEASE * 1000 >= since for node, end in living.items())
            if not flows and (back >= self.known or self._loop.time() > deadline):
                flows = True
                self._outages.forget_reason()
                self.on_flow()
                self.tried.set()
                self.publish(Publication(CONTROL, b"", (b"", hello(len(living)))), ignore_answer)
            if flows:
                self.known = len(living)
                self.on_beat()
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(BEAT_PERIOD if flows else 0.1):
                    await self._lost.wait()
                    return self._fault or "the connection was lost"

    async def _in_time(self, asked: Coroutine[Any, Any, T]) -> T:
        """Return what was asked for. Raise TimeoutError if it has not come within :attr:`command_timeout`.

        There are two waits, as this process may stand still in one of them: the machine is paused, or very busy. What
        Redis has answered meanwhile is still to be read, and Redis is not to be taken for silent.
        """
        task = asyncio.ensure_future(asked)
        try:
            for _ in range(2):
                await asyncio.wait((task,), timeout=self.command_timeout / 2)
                if task.done():
                    return task.result()
        finally:
            task.cancel()
        raise TimeoutError

    # From the connections

    def _take_message(self, topic: bytes, data: bytes) -> None:
        self.on_message(topic, data)

    def _take_loss(self, connection: RedisConnection) -> None:
        if self._connected is not None and connection in self._connected.connections:
            self._fault = self._fault or connection.fault
            self._lost.set()

    def drop(self) -> None:
        """Close all connections at once."""
        was_up, self.up = self.up, False
        self.is_connecting = False
        self.leases.cancel()
        self.graces.cancel()
        if self._connected is not None:
            for connection in self._connections.connections:
                connection.close()
        if was_up:
            self.on_down()
