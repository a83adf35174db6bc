"""Redis, as the registry sees it: up or away, commands by bucket, topics; and this host as a node that lives there.

Connecting never ends the process: it is tried for ever. Whatever goes wrong (a connection lost, a server that does not
answer, one that refuses a script) has one remedy: all connections are dropped and made anew, under a new node id, and
everything is stated again.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import random
from collections.abc import Callable, Iterable
from typing import Any, Final

import hiredis

from soundpost.backplane.redis.buckets import CONTROL, app_bucket
from soundpost.backplane.redis.connection import RedisConnection, Then
from soundpost.backplane.redis.failures import refused
from soundpost.backplane.redis.messages import hello
from soundpost.backplane.redis.publish_queue import Publication
from soundpost.backplane.redis.scripts import ALL, BEAT, BURY, BY_DIGEST, REGISTER, RESTART, Script
from soundpost.backplane.redis.servers import Connected, RedisError, Servers

log = logging.getLogger("soundpost.redis")

LEASE: Final = 10.0
"""Seconds after its last sign of life that a node is taken for dead."""
BEAT_PERIOD: Final = 2.0
PATIENCE: Final = 3.0
"""Seconds a server may leave a command unanswered."""
PEERS_PATIENCE: Final = 5.0
"""Seconds that other nodes, known before Redis went away, have to come back before events go on without them."""
_BURY_AT_ONCE: Final = 200  # channels per script: Redis does nothing else meanwhile
_LONG_ENOUGH: Final = 5.0  # seconds a connection must have lasted for the next one to be tried at once
_FIRST_WAIT: Final = 0.05
_LONGEST_WAIT: Final = 2.0


ORDER_LASTS: Final = 10.0
"""Seconds that an order to restart may be read: who repeats it later gives none."""

Command = tuple[str | bytes | int, ...]


def _new_id() -> bytes:
    return os.urandom(8).hex().encode()


class Redis:
    """Set the callbacks, then :meth:`run`."""

    def __init__(self, servers: Servers, prefix: str, *, patience: float = PATIENCE) -> None:
        self._servers = servers
        self._patience = patience
        self._prefix = prefix.encode()
        self._loop = asyncio.get_running_loop()
        self.origin = _new_id()
        """This process, as the sender of events."""
        self.node = b""
        """This process since it last connected, as one that states what it has."""
        self.up = False
        self.tried = asyncio.Event()
        """Events flow, or have, or Redis was found to be away."""
        self._stated_buckets: set[bytes] = set()
        self._lost = asyncio.Event()
        self.known = 0
        """Nodes that live, or lived when Redis was last here."""
        self._fault = ""
        self._told = ""
        """Why Redis is away, as was logged; empty while it is not."""
        self._burials: set[asyncio.Task[None]] = set()
        self._connected: Connected | None = None
        self.on_up: Callable[[], None]
        self.on_flow: Callable[[], None]
        self.on_down: Callable[[], None]
        self.on_message: Callable[[bytes, bytes], None]
        self.tell_of: Callable[[bytes], str]
        """Whether changed subscription counts of a bucket are announced; see :mod:`.scripts`."""
        self.on_changes: Callable[[bytes, list[list[Any]]], None]
        """Takes what a burial changed in a bucket."""

    @property
    def _there(self) -> Connected:
        if self._connected is None:
            raise ConnectionError("Redis is away")
        return self._connected

    # Commands

    def tag(self, bucket: bytes) -> bytes:
        """The hash tag of a bucket, with which all of its keys and topics begin."""
        return b"{%b:%b}" % (self._prefix, bucket)

    def topic(self, bucket: bytes, channel: str) -> bytes:
        """Where the nodes that have a channel hear of it."""
        return b"%b:t:%b" % (self.tag(bucket), channel.encode())

    def send(self, bucket: bytes, command: Command, then: Then) -> None:
        """Send a command to where a bucket is; ``then`` takes the answer, or a ConnectionError."""
        connection = self._there.connection_of(self.tag(bucket)) if self.up else None
        if connection is None:
            then(ConnectionError("Redis is away"))
        else:
            connection.send(*command, then=then)

    def script(self, script: Script, bucket: bytes, *arguments: str | bytes | int, node: bytes = b"") -> Command:
        """The command that runs a script on a bucket's keys."""
        return (
            "EVALSHA",
            script.digest,
            1,
            self.tag(bucket) + b":",
            node or self.node,
            self._there.publish,
            *arguments,
        )

    def run(self, script: Script, bucket: bytes, *arguments: str | bytes | int, then: Then) -> None:
        """Run a script; ``then`` takes its answer, or a ConnectionError. One that is refused ends the connection."""

        def answered(answer: Any) -> None:
            if isinstance(answer, hiredis.ReplyError):
                reason = refused(answer, "EVALSHA", self.tag(bucket) + b":*")
                self._refused(reason)
                answer = ConnectionError(reason)
            then(answer)

        if not self.up:
            then(ConnectionError("Redis is away"))
            return
        self._note_bucket(bucket)
        self.send(bucket, self.script(script, bucket, *arguments), answered)

    def publish(self, publication: Publication, then: Then) -> None:
        """Publish on a topic, by itself or by a script; ``then`` takes the answer, or a ConnectionError."""
        bucket, script, arguments = publication
        if not self.up:
            then(ConnectionError("Redis is away"))
        elif script:
            self.send(bucket, self.script(BY_DIGEST[script.decode()], bucket, *arguments), then)
        else:
            channel, data = arguments
            self.send(bucket, (self._there.publish, b"%b:t:%b" % (self.tag(bucket), channel), data), then)

    def restart_order(self, order: bytes) -> Publication:
        """Make the order that has all hosts restart."""
        arguments = (order, b"%d" % (ORDER_LASTS * 1000))
        return Publication(CONTROL, RESTART.digest.encode(), arguments)

    def ask_order(self, then: Then) -> None:
        """``then`` takes the order to restart that Redis has now: one that was published may be anybody's."""
        self.send(CONTROL, ("GET", self.tag(CONTROL) + b":restart"), then)

    def subscribe(self, bucket: bytes, topic: bytes) -> None:
        """Hear of a channel."""
        if self.up:
            self._there.connection_of(self.tag(bucket)).send_topic(self._there.subscribe, topic)

    def unsubscribe(self, bucket: bytes, topic: bytes) -> None:
        """Hear no more of it."""
        if self.up:
            self._there.connection_of(self.tag(bucket)).send_topic(self._there.unsubscribe, topic)

    def state_connections(self, app_id: str, count: int) -> None:
        """So many connections has an app here."""
        if self.up:
            bucket = app_bucket(app_id)
            self._note_bucket(bucket)
            self.send(bucket, ("HSET", self.tag(bucket) + b":connections", self.node, count), _nothing)

    async def take(self, name: str, seconds: float) -> bool:
        """Take what one host may have at a time, for so long; False: another has it. True as well while Redis is
        away."""
        key = self.tag(CONTROL) + b":" + name.encode()
        try:
            async with asyncio.timeout(self._patience):
                answer = await self._ask_server(CONTROL, "SET", key, self.origin, "NX", "PX", int(seconds * 1000))
        except (ConnectionError, TimeoutError, hiredis.ReplyError):
            return True
        return answer is not None

    async def give_back(self, name: str) -> None:
        """Have no more what was taken; without Redis it ends by itself."""
        key = self.tag(CONTROL) + b":" + name.encode()
        with contextlib.suppress(ConnectionError, TimeoutError, hiredis.ReplyError):
            async with asyncio.timeout(self._patience):
                if await self._ask_server(CONTROL, "GET", key) == self.origin:
                    await self._ask_server(CONTROL, "DEL", key)

    # Being connected

    async def keep_connected(self) -> None:
        """Connect, stay connected, connect again: until it is cancelled."""
        wait = _FIRST_WAIT
        while True:
            began = self._loop.time()
            try:
                await self._connect()
                log.info("Redis at %s: connected, as node %s", self._servers, self.node.decode())
                reason = await self._live()
            except (RedisError, ConnectionError, TimeoutError, hiredis.ReplyError) as error:
                reason = self._fault or str(error) or f"no answer within {self._patience:.0f} s"
            except Exception:
                log.exception("an error of ours in dealing with Redis")
                reason = "an error of ours, see above"
            self.tried.set()
            self.drop()
            if reason != self._told:
                self._told = reason
                log.error(
                    "Redis at %s: %s. This host serves alone until it is back; it is tried again and again",
                    self._servers,
                    reason,
                )
            wait = _FIRST_WAIT if self._loop.time() - began > _LONG_ENOUGH else min(2 * wait, _LONGEST_WAIT)
            await asyncio.sleep(wait * random.uniform(0.5, 1))

    async def stop(self) -> None:
        """Take back all that was stated, so that nobody has to wait for the lease to end."""
        if self.up:
            with contextlib.suppress(ConnectionError, TimeoutError, hiredis.ReplyError):
                async with asyncio.timeout(self._patience):
                    await self._bury(self.node, self._stated_buckets)
                    await self._close_grave(self.node)
        self.drop()

    async def _connect(self) -> None:
        """Raises RedisError, ConnectionError, TimeoutError and hiredis.ReplyError."""
        self._lost.clear()
        self._fault = ""
        self._connected = await self._servers.connect((self._take_message, self._take_loss))
        before, self.node = (self.node, self._stated_buckets), _new_id()
        self._stated_buckets = set()
        async with asyncio.timeout(self._patience):
            for connection in self._there.connections:
                for script in ALL:
                    await self._load(connection, script)
            self.up = True
            await self._ask(REGISTER, CONTROL, int(LEASE * 1000))
        self.subscribe(CONTROL, self.topic(CONTROL, ""))
        self.on_up()
        if before[0]:
            self._bury_soon(*before)

    async def _load(self, connection: RedisConnection, script: Script) -> None:
        try:
            await connection.ask("SCRIPT", "LOAD", script.text)
        except hiredis.ReplyError as error:
            raise hiredis.ReplyError(refused(error, "SCRIPT LOAD")) from None

    async def _live(self) -> str:
        """Beat until the connection is lost; give the reason. Events flow once the other nodes are back."""
        since, deadline, flows, beats = 0, self._loop.time() + PEERS_PATIENCE, False, 0
        while True:
            try:
                async with asyncio.timeout(self._patience):
                    is_new, now, living = await self._beat()
            except TimeoutError:
                return f"no answer for {self._patience:.0f} s"
            if is_new and beats:
                return "this host was silent for so long that the others took it for dead"
            since, beats = since or now, beats + 1
            back = sum(end - LEASE * 1000 >= since for node, end in living.items())
            if not flows and (back >= self.known or self._loop.time() > deadline):
                flows = True
                self._told = ""
                self.on_flow()
                self.tried.set()
                self.publish(Publication(CONTROL, b"", (b"", hello(len(living)))), _nothing)
            if flows:
                self.known = len(living)
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(BEAT_PERIOD if flows else 0.1):
                    await self._lost.wait()
                    return self._fault or "the connection was lost"

    async def _beat(self) -> tuple[bool, int, dict[bytes, int]]:
        """Say that this node lives, and bury the dead. Whether it was not known; Redis' time; the living ones and the
        ends of their leases; in milliseconds."""
        is_new, now, dead, living = await self._ask(BEAT, CONTROL, int(LEASE * 1000))
        for node in dead:
            self._bury_soon(node)
        return bool(is_new), int(now), dict(zip(living[::2], map(_milliseconds, living[1::2]), strict=True))

    def _bury_soon(self, node: bytes, buckets: Iterable[bytes] = ()) -> None:
        task = asyncio.ensure_future(self._bury_dead(node, buckets))
        self._burials.add(task)
        task.add_done_callback(self._buried)

    def _buried(self, task: asyncio.Task[None]) -> None:
        self._burials.discard(task)
        if not task.cancelled() and task.exception() is not None:
            log.debug("a dead node could not be buried; another host will: %s", task.exception())

    async def _bury_dead(self, node: bytes, buckets: Iterable[bytes]) -> None:
        """Bury a node whose connection is gone. What it had sent may still be on its way, so its grave is open for
        another lease, as long as there was something of it. Raises as :meth:`_bury`."""
        if await self._bury(node, buckets):
            await self._ask(REGISTER, CONTROL, int(LEASE * 1000), node=node)
            await self._ask_server(CONTROL, "ZREM", self.tag(CONTROL) + b":nodes", node)
        else:
            await self._close_grave(node)

    async def _bury(self, node: bytes, buckets: Iterable[bytes] = ()) -> bool:
        """Take out all that a node had stated: in buckets it has told of, and in those known. Return whether there was
        anything. Raises ConnectionError and hiredis.ReplyError."""
        key = self.tag(CONTROL) + b":buckets:" + node
        found = 0
        for bucket in {*buckets, *await self._ask_server(CONTROL, "SMEMBERS", key)}:
            found += await self._ask_server(bucket, "HDEL", self.tag(bucket) + b":connections", node)
            left = 1
            while left:
                taken, left, changes = await self._ask(BURY, bucket, self.tell_of(bucket), _BURY_AT_ONCE, node=node)
                found += taken
                self.on_changes(bucket, changes)
        return found > 0

    async def _close_grave(self, node: bytes) -> None:
        await self._ask_server(CONTROL, "DEL", self.tag(CONTROL) + b":buckets:" + node)
        await self._ask_server(CONTROL, "ZREM", self.tag(CONTROL) + b":graves", node)
        await self._ask_server(CONTROL, "ZREM", self.tag(CONTROL) + b":nodes", node)

    async def _ask(self, script: Script, bucket: bytes, *arguments: str | bytes | int, node: bytes = b"") -> Any:
        return await self._ask_server(bucket, *self.script(script, bucket, *arguments, node=node))

    async def _ask_server(self, bucket: bytes, *command: str | bytes | int) -> Any:
        if not self.up:
            raise ConnectionError("Redis is away")
        try:
            return await self._there.connection_of(self.tag(bucket)).ask(*command)
        except hiredis.ReplyError as error:
            raise hiredis.ReplyError(refused(error, str(command[0]), self.tag(bucket) + b":*")) from None

    def _note_bucket(self, bucket: bytes) -> None:
        """What this node has may be in this bucket: whoever buries it looks there."""
        if bucket not in self._stated_buckets:
            self._stated_buckets.add(bucket)
            self.send(CONTROL, ("SADD", self.tag(CONTROL) + b":buckets:" + self.node, bucket), _nothing)

    # What comes from the connections

    def _take_message(self, topic: bytes, data: bytes) -> None:
        self.on_message(topic, data)

    def _take_loss(self, connection: RedisConnection) -> None:
        if self._connected is not None and connection in self._connected.connections:
            self._fault = self._fault or connection.fault
            self._lost.set()

    def _refused(self, reason: str) -> None:
        """A script was refused: a replica by now, out of memory, forgotten by a restart."""
        self._fault = self._fault or reason
        self._lost.set()

    def drop(self) -> None:
        """Let go of all connections, without a word."""
        was_up, self.up = self.up, False
        for task in self._burials:
            task.cancel()
        if self._connected is not None:
            for connection in self._there.connections:
                connection.close()
        if was_up:
            self.on_down()


def _nothing(answer: Any) -> None:
    """Who does not wait for an answer."""


def _milliseconds(score: float | bytes) -> int:
    return int(float(score))
