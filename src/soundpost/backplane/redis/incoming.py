"""What other hosts and the scripts publish on the topics of this host, and what follows from it here."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from functools import partial
from typing import Final

from soundpost.backplane.redis import messages as wire
from soundpost.backplane.redis.app_entry import AppEntry
from soundpost.backplane.redis.buckets import CONTROL
from soundpost.backplane.redis.channel import SharedChannel
from soundpost.backplane.redis.channels import Channels
from soundpost.backplane.redis.counts import Counts
from soundpost.backplane.redis.redis import Redis
from soundpost.wire import messages

log = logging.getLogger("soundpost.redis")

_MAX_HEARD: Final = 100_000


class Incoming:
    """Takes each message to where it belongs. ``clock`` in seconds."""

    def __init__(
        self,
        apps: Mapping[str, AppEntry],
        redis: Redis,
        channels: Channels,
        counts: Counts,
        clock: Callable[[], float],
    ) -> None:
        self._apps = apps
        self._redis = redis
        self._channels = channels
        self._counts = counts
        self._clock = clock
        self._heard: dict[tuple[bytes, bytes], int] = {}  # by bucket and origin, the number of the last message
        self._foreign = 0  # messages on our topics that were none of ours
        self.on_restart: Callable[[], None] = lambda: None
        redis.on_message = self._take

    def _take(self, topic: bytes, data: bytes) -> None:
        """Something was published on one of our topics."""
        message = wire.parse(data)
        channel = self._channels.by_topic.get(topic)
        if message is None:
            self._take_foreign(topic, data)
        elif isinstance(message, wire.Hello):
            self._redis.known = max(self._redis.known, message.nodes)
        elif isinstance(message, wire.Terminate):
            self._take_terminate(message)
        elif isinstance(message, wire.Restart):
            if self._is_new(CONTROL, message.origin, message.number):
                self.on_restart()
        elif channel is None:
            pass  # it was left a moment ago
        elif isinstance(message, wire.Event):
            self._take_event(channel, message)
        elif isinstance(message, wire.Entered):
            self._channels.heard_of(channel, message.version, partial(channel.enter, message.member))
        elif isinstance(message, wire.Left):
            self._channels.heard_of(channel, message.version, partial(channel.leave, message.user_id))
        elif isinstance(message, wire.Forgotten):
            channel.forget()
        elif self._counts.announces(channel):
            channel.deliver(messages.subscription_count(channel.name, message.subscriptions))

    def _take_event(self, channel: SharedChannel, event: wire.Event) -> None:
        if event.version:
            until = self._clock() + self._apps[channel.app_id].app.cache_ttl
            self._channels.heard_of(channel, event.version, partial(channel.keep, event.frame, until))
        if event.origin != self._redis.origin and self._is_new(channel.bucket, event.origin, event.number):
            channel.deliver(event.frame, event.except_socket_id)

    def _take_terminate(self, message: wire.Terminate) -> None:
        if message.origin == self._redis.origin or message.app_id not in self._apps:
            return
        if self._is_new(CONTROL, message.origin, message.number):
            self._apps[message.app_id].terminate(message.user_id)

    def _is_new(self, bucket: bytes, origin: bytes, number: int) -> bool:
        """Whether a message was not heard before: after an outage a node repeats what it is not sure of."""
        if number <= self._heard.get((bucket, origin), 0):
            return False
        self._heard[bucket, origin] = number
        return True

    def every_few_seconds(self) -> None:
        """Forget senders, most of whom are gone, when there are too many."""
        if len(self._heard) > _MAX_HEARD:
            self._heard.clear()

    def _take_foreign(self, topic: bytes, data: bytes) -> None:
        self._foreign += 1
        if self._foreign == 1 or self._foreign % 10_000 == 0:
            log.warning(
                "%d message(s) on our topics in Redis were none of ours and were dropped; the last, on %s, begins with "
                "%r. Give each installation a prefix of its own (scaling.prefix)",
                self._foreign,
                topic.decode(errors="replace"),
                data[:40],
            )
