"""Commands to Redis: each goes to the server of a bucket, over connections that another module keeps up."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any

import hiredis

from soundpost.backplane.redis.buckets import CONTROL, app_bucket
from soundpost.backplane.redis.connection import Then
from soundpost.backplane.redis.failures import refused
from soundpost.backplane.redis.publish_queue import Publication
from soundpost.backplane.redis.scripts import Script
from soundpost.backplane.redis.servers import Connected

Command = tuple[str | bytes | int, ...]
"""Command name and arguments."""


class BucketCommands:
    """Commands and topics by bucket, for this process as a node. All names in Redis begin with ``prefix``."""

    def __init__(self, prefix: str) -> None:
        self._prefix = prefix.encode()
        self.node = b""
        """Id of this process as a node, new with each connection; what it states in Redis has this id."""
        self.up = False
        """True while commands can be sent."""
        self.logged: Mapping[bytes, bytes] = {}
        """Names of the webhooks that scripts write into the log of a bucket, by bucket; see :mod:`.webhook_prelude`."""
        self._stated_buckets: set[bytes] = set()
        self._connected: Connected | None = None
        self._lost = asyncio.Event()
        self._fault = ""

    @property
    def _connections(self) -> Connected:
        if self._connected is None:
            raise ConnectionError("Redis is away")
        return self._connected

    @property
    def unanswered(self) -> int:
        """The number of commands that wait for their answers."""
        return 0 if self._connected is None else sum([each.unanswered for each in self._connected.connections])

    def tag(self, bucket: bytes) -> bytes:
        """Return the hash tag of a bucket, with which all of its keys and topics begin."""
        return b"{%b:%b}" % (self._prefix, bucket)

    def topic(self, bucket: bytes, channel: str) -> bytes:
        """Return the topic of a channel: the nodes that have subscribers get its messages there."""
        return b"%b:t:%b" % (self.tag(bucket), channel.encode())

    def server_of(self, bucket: bytes) -> object:
        """Return the server that has a bucket: the same object for all its buckets, another after each connection."""
        return self._connections.connection_of(self.tag(bucket))

    def send(self, bucket: bytes, command: Command, then: Then) -> None:
        """Send a command to the server of a bucket; ``then`` gets the answer, or a ConnectionError."""
        connection = self._connections.connection_of(self.tag(bucket)) if self.up else None
        if connection is None:
            then(ConnectionError("Redis is away"))
        else:
            connection.send(*command, then=then)

    def script(self, script: Script, bucket: bytes, *arguments: str | bytes | int, node: bytes = b"") -> Command:
        """Return the command that runs a script on a bucket's keys, for this node or another one."""
        if script.logs and (names := self.logged.get(bucket)):
            return (
                "EVALSHA",
                script.digest,
                2,
                self.tag(bucket) + b":",
                self.tag(bucket) + b":hooks",
                node or self.node,
                self._connections.publish.encode() + names,
                *arguments,
            )
        return (
            "EVALSHA",
            script.digest,
            1,
            self.tag(bucket) + b":",
            node or self.node,
            self._connections.publish,
            *arguments,
        )

    def run(self, script: Script, bucket: bytes, *arguments: str | bytes | int, then: Then) -> None:
        """Run a script; ``then`` gets its answer, or a ConnectionError. A refused script ends the connection."""

        def answered(answer: Any) -> None:
            if isinstance(answer, hiredis.ReplyError):
                reason = refused(answer, "EVALSHA", self.tag(bucket) + b":*")
                self.reconnect(reason)
                answer = ConnectionError(reason)
            then(answer)

        if not self.up:
            then(ConnectionError("Redis is away"))
            return
        self._note_bucket(bucket)
        self.send(bucket, self.script(script, bucket, *arguments), answered)

    def publish(self, publication: Publication, then: Then) -> None:
        """Publish on a topic, by itself or by a script; ``then`` gets the answer, or a ConnectionError."""
        bucket, script, arguments = publication
        if not self.up:
            then(ConnectionError("Redis is away"))
            return
        tag, publish = self.tag(bucket), self._connections.publish
        connection = self._connections.connection_of(tag)
        if script:
            connection.send("EVALSHA", script, 1, tag + b":", self.node, publish, *arguments, then=then)
        else:
            channel, data = arguments
            connection.send(publish, b"%b:t:%b" % (tag, channel), data, then=then)

    def subscribe(self, bucket: bytes, topic: bytes) -> None:
        """Subscribe to a topic."""
        if self.up:
            self._connections.connection_of(self.tag(bucket)).send_topic(self._connections.subscribe, topic)

    def unsubscribe(self, bucket: bytes, topic: bytes) -> None:
        """Unsubscribe from a topic."""
        if self.up:
            self._connections.connection_of(self.tag(bucket)).send_topic(self._connections.unsubscribe, topic)

    def state_connections(self, app_id: str, count: int) -> None:
        """State the number of an app's connections on this host."""
        if self.up:
            bucket = app_bucket(app_id)
            self._note_bucket(bucket)
            self.send(bucket, ("HSET", self.tag(bucket) + b":connections", self.node, count), ignore_answer)

    async def ask(self, bucket: bytes, *command: str | bytes | int) -> Any:
        """Send a command and return its answer. Raise ConnectionError or hiredis.ReplyError."""
        if not self.up:
            raise ConnectionError("Redis is away")
        try:
            return await self._connections.connection_of(self.tag(bucket)).ask(*command)
        except hiredis.ReplyError as error:
            raise hiredis.ReplyError(refused(error, str(command[0]), self.tag(bucket) + b":*")) from None

    async def ask_script(self, script: Script, bucket: bytes, *arguments: str | bytes | int, node: bytes = b"") -> Any:
        """Run a script, for this node or another one, and return its answer. Raise as :meth:`ask` does."""
        return await self.ask(bucket, *self.script(script, bucket, *arguments, node=node))

    def _note_bucket(self, bucket: bytes) -> None:
        """Note that this node states something in a bucket: the node that removes it looks there."""
        if bucket not in self._stated_buckets:
            self._stated_buckets.add(bucket)
            self.send(CONTROL, ("SADD", self.tag(CONTROL) + b":buckets:" + self.node, bucket), ignore_answer)

    def reconnect(self, reason: str) -> None:
        """End the connection: the server has become a replica, is out of memory, or has lost its data."""
        self._fault = self._fault or reason
        self._lost.set()


def ignore_answer(answer: Any) -> None:
    """Ignore an answer."""
