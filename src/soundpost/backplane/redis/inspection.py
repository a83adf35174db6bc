"""Questions of operators to all hosts of a cluster, replies, and lines of tails, as messages over Redis.

A question goes to the topic of all hosts. Each host replies on a topic of the asker, which exists once it has asked.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from functools import partial
from typing import Any, Final, Protocol

import msgspec
from msgspec import Struct, field

from soundpost.backplane.redis import topic_messages
from soundpost.backplane.redis.bucket_commands import ignore_answer
from soundpost.backplane.redis.buckets import CONTROL
from soundpost.backplane.redis.publish_queue import Publication
from soundpost.backplane.redis.redis import Redis
from soundpost.core.inspection import HostQuestion, Question, Reply, Request, StartTail, StopTail, TailLines
from soundpost.core.tail_lines import LimitedLines

TIME_TO_REPLY: Final = 2.0
"""Seconds that the other hosts have to reply."""
_MAX_NAMES: Final = 1_000
_MAX_IDS: Final = 8
_AWAY: Final = "all other hosts: Redis is away"


class HostReply(Struct):
    """Joined reply of all nodes of one host."""

    host: str
    """Name of the host."""
    reply: Reply
    missing: list[str]
    """Names of the host's workers that have not replied in time."""
    former: list[bytes] = field(default_factory=list)
    """Ids of the host as earlier nodes, which Redis may still have as living."""


class AskedHost(Protocol):
    """Interface of this host for the questions of others."""

    def ask(self, question: Question | HostQuestion, then: Callable[[Reply, list[str]], None]) -> None:
        """Call back with the joined reply of all nodes, and the names of those that did not reply in time."""

    def start_tail(self, start: StartTail, on_lines: Callable[[TailLines], None]) -> None:
        """Begin a tail on all nodes, or keep it going."""

    def stop_tail(self, tail_id: str) -> None:
        """End a tail on all nodes."""


class _Asked:
    """A question that waits for replies."""

    def __init__(self, then: Callable[[list[tuple[str, Reply]], list[str]], None]) -> None:
        self.then = then
        self.hosts: set[bytes] | None = None
        """Node ids of the other hosts; None until Redis has told them."""
        self.replies: dict[bytes, HostReply] = {}
        self.timer: asyncio.TimerHandle

    @property
    def silent_hosts(self) -> set[bytes] | None:
        """The node ids of the hosts that have not replied; None if it is not known which there are."""
        if self.hosts is None:
            return None
        former = {node for reply in self.replies.values() for node in reply.former}
        return self.hosts - self.replies.keys() - former


_encode: Final = msgspec.json.encode
_read_request: Final = msgspec.json.Decoder(Request)
_read_reply: Final = msgspec.json.Decoder(HostReply)
_read_lines: Final = msgspec.json.Decoder(TailLines)


class RedisInspection:
    """Asks the other hosts of a cluster, and replies to them once :meth:`answer_by` has named who does."""

    def __init__(self, redis: Redis, loop: asyncio.AbstractEventLoop) -> None:
        self._redis = redis
        self._loop = loop
        self._number = 0
        self._asked: dict[int, _Asked] = {}
        self._tails: dict[str, Callable[[TailLines], None]] = {}
        """Callbacks for the lines of this host's tails on others, by id of the tail."""
        self._names: dict[bytes, str] = {}
        """Names of hosts that have replied, by node id."""
        self._ids: deque[bytes] = deque(maxlen=_MAX_IDS)
        """Ids of this host as a node, one for each connection to Redis."""
        self._listens = False
        self._name = ""
        self._host: AskedHost | None = None

    def answer_by(self, name: str, host: AskedHost) -> None:
        """Let ``host`` answer the questions of other hosts. ``name`` is the host's name for them."""
        self._name, self._host = name, host

    def on_up(self) -> None:
        """Listen for replies again: Redis is up, and this host another node there."""
        self._ids.append(self._redis.node)
        self._subscribe()

    def _subscribe(self) -> None:
        if self._listens:
            self._redis.subscribe(CONTROL, self._redis.topic(CONTROL, _topic_of(self._redis.origin)))

    # To other hosts

    def ask(
        self, question: Question | HostQuestion, then: Callable[[list[tuple[str, Reply]], list[str]], None]
    ) -> None:
        """Call back with the replies of all other hosts by name, and the names of what did not reply in time."""
        if not self._redis.up:
            then([], [_AWAY])
            return
        self._listen()
        self._number += 1
        number = self._number
        asked = self._asked[number] = _Asked(then)
        asked.timer = self._loop.call_later(TIME_TO_REPLY, self._finish, number)
        key = self._redis.tag(CONTROL) + b":nodes"
        self._redis.send(CONTROL, ("ZRANGE", key, 0, -1), partial(self._take_hosts, number))
        self._say(number, question)

    def start_tail(self, start: StartTail, on_lines: Callable[[TailLines], None]) -> None:
        """Begin a tail on all other hosts, or keep it going."""
        self._tails[start.tail_id] = on_lines
        self._listen()
        self._say(0, start)

    def stop_tail(self, tail_id: str) -> None:
        """End a tail on all other hosts."""
        if self._tails.pop(tail_id, None) is not None:
            self._say(0, StopTail(tail_id=tail_id))

    def _listen(self) -> None:
        if not self._listens:
            self._listens = True
            self._subscribe()

    def _say(self, number: int, request: Request) -> None:
        message = topic_messages.inspect(self._redis.origin, number, _encode(request))
        self._redis.publish(Publication(CONTROL, b"", (b"", message)), ignore_answer)

    def _take_hosts(self, number: int, answer: Any) -> None:
        asked = self._asked.get(number)
        if asked is None:
            return
        asked.hosts = set(answer).difference(self._ids) if isinstance(answer, list) else set()
        self._finish_if_whole(number, asked)

    def _finish_if_whole(self, number: int, asked: _Asked) -> None:
        if asked.silent_hosts == set():
            self._finish(number)

    def _finish(self, number: int) -> None:
        asked = self._asked.pop(number)
        asked.timer.cancel()
        missing = [name for reply in asked.replies.values() for name in reply.missing]
        for node in asked.silent_hosts or ():
            missing.append(self._names.get(node, f"host {node.decode(errors='replace')}"))
        asked.then([(reply.host, reply.reply) for reply in asked.replies.values()], sorted(missing))

    # From other hosts

    def receive(self, message: topic_messages.Inspection) -> None:
        """Take a question of another host, a reply to this one, or lines. Raise ValueError for what cannot be read."""
        if isinstance(message, topic_messages.Inspect):
            if message.origin != self._redis.origin:
                self._answer(message)
        elif isinstance(message, topic_messages.Inspected):
            self._take_reply(message)
        else:
            lines = _read_lines.decode(message.lines)
            on_lines = self._tails.get(lines.tail_id)
            if on_lines is not None:
                on_lines(lines)

    def _take_reply(self, message: topic_messages.Inspected) -> None:
        asked = self._asked.get(message.number)
        if asked is None:
            return
        asked.replies[message.node] = reply = _read_reply.decode(message.reply)
        if len(self._names) >= _MAX_NAMES:
            self._names.clear()
        self._names[message.node] = reply.host
        self._finish_if_whole(message.number, asked)

    def _answer(self, message: topic_messages.Inspect) -> None:
        request, host, origin = _read_request.decode(message.request), self._host, message.origin
        if host is None:
            return
        if isinstance(request, StartTail):
            host.start_tail(request, LimitedLines(partial(self._send_lines, origin), self._loop.time))
        elif isinstance(request, StopTail):
            host.stop_tail(request.tail_id)
        else:
            host.ask(request, partial(self._send_reply, origin, message.number))

    def _send_reply(self, origin: bytes, number: int, reply: Reply, missing: list[str]) -> None:
        body = _encode(HostReply(self._name, reply, missing, list(self._ids)))
        self._send(origin, topic_messages.inspected(self._redis.node, number, body))

    def _send_lines(self, origin: bytes, lines: TailLines) -> None:
        self._send(origin, topic_messages.tailed(_encode(lines)))

    def _send(self, origin: bytes, message: bytes) -> None:
        self._redis.publish(Publication(CONTROL, b"", (_topic_of(origin).encode(), message)), ignore_answer)


def _topic_of(origin: bytes) -> str:
    return "inspection " + origin.decode(errors="replace")
