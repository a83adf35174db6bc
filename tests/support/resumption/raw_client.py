"""A WebSocket client that resumes as the wire format asks of clients, and notes what its handlers would be given.

It comes back as often as its connection ends. Its memory (positions, ids, earlier socket ids) is that of one page.
"""

from __future__ import annotations

import asyncio
import json
import random
import time
from collections import deque
from typing import Final

from soundpost.tools.bench.server_frames import masked_text
from support.resumption.client_messages import (
    EVENT,
    Envelope,
    Plan,
    decode,
    difference_to_stock,
    event_in,
    parsed,
    subscription,
)
from support.resumption.raw_connection import Connection, connected
from support.resumption.stories import Began, Gap, Handed, Left, Rendered, Resumed, Story

KNOWN_IDS: Final = 200
EARLIER_SOCKETS: Final = 4
_PONG: Final = masked_text('{"event":"pusher:pong","data":{}}')


class RawClient:
    """A client, over all its connections. ``faults``, in words, are part of its stories."""

    def __init__(self, plan: Plan) -> None:
        self.plan = plan
        self.pages: list[list[str]] = [[]]
        """The socket ids that each page had."""
        self.stories = {
            channel: Story(plan.name, channel, "resuming" if plan.resumes else "stock") for channel in plan.channels
        }
        self.dropped = 0
        """Events that came though their position was known already."""
        self.away: list[float] = []
        """Seconds from each end of a connection to the last subscription on the next."""
        self.ends: dict[str, int] = {}
        """How connections ended."""
        self.members: dict[str, set[str]] = {}
        """Users on its presence channels, as it was told."""
        self.notices = 0
        """Notices of users that came or went."""
        self._at: dict[str, tuple[str, int]] = {}
        self._ids = {channel: deque[str](maxlen=KNOWN_IDS) for channel in plan.channels}
        self._earlier: deque[str] = deque(maxlen=EARLIER_SOCKETS)
        self._wanted = list(plan.channels)
        self._subscribed: set[str] = set()
        self._connection: Connection | None = None
        self._port = random.randrange(len(plan.ports))
        self._ended_at: float | None = None
        self._over = False
        self._reading = asyncio.Event()
        self._reading.set()
        self._changed = asyncio.Event()

    # What it does

    async def run(self) -> None:
        """Be connected until :meth:`stop`."""
        loop = asyncio.get_running_loop()
        pause = 0.05
        while not self._over:
            connection = Connection(self, self.plan.key)
            try:
                sock = await connected(self.plan.ports[self._port % len(self.plan.ports)], self.plan.receive_buffer)
                await loop.create_connection(lambda: connection, sock=sock)  # noqa: B023
                await connection.ended.wait()
            except OSError as error:
                self._count_end(type(error).__name__)
            if not connection.was_subscribed:
                self._port += 1
                pause = min(pause * 2, 1.0)
                await asyncio.sleep(pause * random.uniform(0.5, 1.0))
            else:
                pause = 0.05
                await asyncio.sleep(0 if connection.code == 4200 else random.uniform(0, 0.2))

    def stop(self) -> None:
        """Be gone for good."""
        self._over = True
        self.cut()

    def cut(self) -> None:
        """End the connection without a word."""
        if self._connection is not None:
            self._connection.abort()

    def reload(self, positions: dict[str, str]) -> None:
        """Become a new page that was rendered from these positions."""
        now = time.monotonic()
        self._earlier.clear()
        self.pages.append([])
        for channel, position in positions.items():
            if channel in self.stories:
                self.stories[channel].entries.append(Rendered(now, position))
                self._ids[channel].clear()
                self._at[channel] = parsed(position)
        self.cut()

    def stall(self, stalled: bool) -> None:
        """Stop reading, on every connection, or go on."""
        if stalled:
            self._reading.clear()
        else:
            self._reading.set()
        if self._connection is not None:
            self._connection.read(not stalled)

    def leave(self, channel: str) -> None:
        """Unsubscribe."""
        if channel in self._wanted:
            self._wanted.remove(channel)
            self._at.pop(channel, None)
            self._ids[channel].clear()
            self._subscribed.discard(channel)
            self.stories[channel].entries.append(Left(time.monotonic()))
            if self._connection is not None:
                self._connection.left.add(channel)
                self._connection.send_event("pusher:unsubscribe", {"channel": channel})

    def join(self, channel: str) -> None:
        """Subscribe again."""
        if channel not in self._wanted:
            self._wanted.append(channel)
            if self._connection is not None and self._connection.socket_id:
                self._subscribe(self._connection, channel)

    def look_after(self, activity_timeout: float) -> None:
        """Ping a silent server, and give up one that stays silent."""
        if self._connection is not None:
            self._connection.look_after(activity_timeout)

    @property
    def is_subscribed(self) -> bool:
        """Whether it is, on all its channels."""
        return len(self._subscribed) == len(self._wanted)

    # What it hears

    def opened(self, connection: Connection) -> None:
        """A connection is there."""
        self._connection = connection
        connection.read(self._reading.is_set())

    def greeted(self, connection: Connection, socket_id: str) -> None:
        """The server has said hello."""
        self.pages[-1].append(socket_id)
        for channel in self._wanted:
            self._subscribe(connection, channel)
        self._earlier.append(socket_id)

    def ended(self, connection: Connection, how: str) -> None:
        """A connection is over."""
        self._connection = None
        self._count_end(how)
        now = time.monotonic()
        if connection.was_subscribed or self._ended_at is None:
            self._ended_at = now
        if not self.plan.resumes:
            for channel in self._subscribed:
                self.stories[channel].entries.append(Left(now))
        self._subscribed.clear()

    def take(self, connection: Connection, payload: bytes) -> None:
        """A text message has come."""
        message = decode(payload)
        name, channel = message.event, message.channel
        if name == EVENT:
            if not self.plan.resumes and (difference := difference_to_stock(payload, message)):
                self._fault(channel, difference)
            if channel in self._subscribed:
                self._event(message)
            elif channel in self._wanted and channel not in connection.left:
                self._fault(channel, f"{message.data[:20]} came before the subscription was confirmed")
        elif name == "pusher_internal:subscription_succeeded":
            if channel in self._wanted:
                self._confirmed(message)
                connection.was_subscribed = True
        elif name == "soundpost:gap":
            self._told_of_a_gap(message)
        elif name == "pusher:connection_established":
            connection.socket_id = json.loads(message.data)["socket_id"]
            self.greeted(connection, connection.socket_id)
        elif name == "pusher:ping":
            connection.send(_PONG)
        elif name.startswith("pusher_internal:member_"):
            self._member(name.endswith("added"), channel, json.loads(message.data)["user_id"])
        elif name in ("pusher:error", "pusher:subscription_error", "pusher_internal:subscription_error"):
            self._count_end(f"{name} {message.data}")

    def _subscribe(self, connection: Connection, channel: str) -> None:
        data = subscription(self.plan, connection.socket_id, channel, self._at.get(channel), self._earlier)
        connection.send_event("pusher:subscribe", data)

    def _confirmed(self, message: Envelope) -> None:
        channel, now, position = message.channel, time.monotonic(), message.position
        entries = self.stories[channel].entries
        self._subscribed.add(channel)
        if channel.startswith("presence-"):
            self.members[channel] = {str(each) for each in json.loads(message.data)["presence"]["ids"]}
        if not self.plan.resumes:
            entries.append(Began(now))
            if position is not None or message.gap is not None or message.resumed is not None:
                self._fault(channel, "told of a position, though it did not ask to resume")
        elif position is None:
            self._fault(channel, "subscribed without a position")
        elif message.gap is not None:
            entries.append(Gap(now, position, message.gap))
        elif message.resumed is not None:
            entries.append(Resumed(now, position, message.resumed))
            if parsed(position) != self._at.get(channel):
                self._fault(channel, f"asked to resume from {self._at.get(channel)}, resumed from {position}")
        elif channel in self._at:
            self._fault(channel, f"asked to resume from {self._at[channel]}, and told neither resumed nor gap")
        else:
            entries.append(Began(now, position))
        if position is not None and self.plan.resumes:
            self._at[channel] = parsed(position)
        if self.is_subscribed and self._ended_at is not None:
            self.away.append(now - self._ended_at)
            self._ended_at = None

    def _event(self, message: Envelope) -> None:
        channel, position = message.channel, message.position
        if self.plan.resumes:
            if position is not None:
                generation, offset = parsed(position)
                at = self._at.get(channel)
                if at is not None and generation == at[0] and offset <= at[1]:
                    self.dropped += 1
                    return
                self._at[channel] = generation, offset
            if message.id is not None:
                known = self._ids[channel]
                if message.id in known:
                    self.dropped += 1
                    return
                known.append(message.id)
        self.stories[channel].entries.append(Handed(time.monotonic(), event_in(message.data), position))

    def _told_of_a_gap(self, message: Envelope) -> None:
        channel, position = message.channel, message.position
        if channel not in self._subscribed or not self.plan.resumes or position is None:
            self._fault(channel, f"told of a gap at {position} that it cannot use")
            return
        reason = json.loads(message.data)["reason"]
        self.stories[channel].entries.append(Gap(time.monotonic(), position, reason))
        self._at[channel] = parsed(position)

    def _member(self, added: bool, channel: str, user: str) -> None:
        self.notices += 1
        members = self.members.get(channel, set())
        if (user in members) is added:
            self._fault(channel, f"{user} was {'added' if added else 'removed'}, but is {'' if added else 'not '}there")
        (members.add if added else members.discard)(user)

    def _fault(self, channel: str, sentence: str) -> None:
        if (story := self.stories.get(channel)) is not None:
            story.faults.append(sentence)

    def _count_end(self, how: str) -> None:
        self.ends[how] = self.ends.get(how, 0) + 1
