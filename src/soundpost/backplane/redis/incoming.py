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
from soundpost.backplane.redis.received import event_fault
from soundpost.backplane.redis.redis import Redis
from soundpost.core.member import id_fault
from soundpost.log_throttle import MINUTE, LogThrottle
from soundpost.wire import messages

log = logging.getLogger("soundpost.redis")

_MAX_HEARD: Final = 100_000
_MOST_SHOWN: Final = 200  # bytes of a message
_NOT_TO_CLIENTS: Final = "Clients do not get it. See who may publish in this Redis (docs/scaling.md)"


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
        self._throttle = LogThrottle(log, clock)
        self._order = b""  # to restart, the last that was given
        self._asks_order = False
        self.on_restart: Callable[[], None] = lambda: None
        redis.on_message = self._take

    def _take(self, topic: bytes, data: bytes) -> None:
        """Something was published on one of our topics: by anybody who may publish in this Redis."""
        try:
            message = wire.parse(data)
            if message is not None:
                self._act_on(topic, message)
                return
        except Exception as error:
            # Whatever it was: it must not end the connection, which all that is right comes by too.
            self._drop("fault", topic, data, f"could not be dealt with ({error!r})")
            return
        if wire.is_of_another_version(data):
            self._drop(
                "version",
                topic,
                data,
                "come from hosts with another version of Soundpost",
                "Until all hosts have one version, an event reaches those of its own version only",
            )
        else:
            self._drop(
                "foreign",
                topic,
                data,
                "are none of ours",
                "Give each installation a prefix of its own (scaling.prefix)",
            )

    def _act_on(self, topic: bytes, message: wire.Message) -> None:
        channel = self._channels.by_topic.get(topic)
        if isinstance(message, wire.Hello):
            self._redis.known = max(self._redis.known, message.nodes)
        elif isinstance(message, wire.Terminate):
            self._take_terminate(message)
        elif isinstance(message, wire.Restart):
            self._take_restart(topic, message)
        elif channel is None:
            pass  # it was left a moment ago
        elif isinstance(message, wire.Event):
            self._take_event(channel, message)
        elif isinstance(message, wire.Entered):
            self._take_entered(channel, message)
        elif isinstance(message, wire.Left):
            self._channels.heard_of(channel, message.version, partial(channel.leave, message.user_id))
        elif isinstance(message, wire.Forgotten):
            channel.forget()
        elif self._counts.announces(channel):
            channel.deliver(messages.subscription_count(channel.name, message.subscriptions))

    def _take_event(self, channel: SharedChannel, event: wire.Event) -> None:
        entry = self._apps[channel.app_id]
        fault = event_fault(event.frame, channel.name, entry.largest_frame)
        if fault is not None:
            self._drop("event", channel.topic, event.frame, f"have {fault}", _NOT_TO_CLIENTS)
            return
        if event.version:
            until = self._clock() + entry.app.cache_ttl
            self._channels.heard_of(channel, event.version, partial(channel.keep, event.frame, until))
        if event.origin != self._redis.origin and self._is_new(channel.bucket, event.origin, event.number):
            channel.deliver(event.frame, event.except_socket_id)

    def _take_entered(self, channel: SharedChannel, entered: wire.Entered) -> None:
        app, member = self._apps[channel.app_id].app, entered.member
        if id_fault(member.id, app.max_user_id_length) or len(member.info_json) > app.max_user_info_size:
            self._drop(
                "member", channel.topic, member.id_json, "have a member beyond the limits of its app", _NOT_TO_CLIENTS
            )
            return
        self._channels.heard_of(channel, entered.version, partial(channel.enter, member))

    def _take_terminate(self, message: wire.Terminate) -> None:
        if message.origin == self._redis.origin or message.app_id not in self._apps:
            return
        if self._is_new(CONTROL, message.origin, message.number):
            self._apps[message.app_id].terminate(message.user_id)

    def _take_restart(self, topic: bytes, message: wire.Restart) -> None:
        """Restart if Redis has the order: writing it takes more than the right to publish."""
        if message.order == self._order or self._asks_order:
            return
        self._asks_order = True

        def found(order: object) -> None:
            self._asks_order = False
            if order == message.order:
                self._order = message.order
                self.on_restart()
            elif not isinstance(order, Exception):
                self._drop("restart", topic, message.order, "tell to restart, which nobody has ordered")

        self._redis.ask_order(found)

    def _is_new(self, bucket: bytes, origin: bytes, number: int) -> bool:
        """Whether a message was not heard before: after an outage a node repeats what it is not sure of."""
        if number <= self._heard.get((bucket, origin), 0):
            return False
        self._heard[bucket, origin] = number
        return True

    def housekeep(self) -> None:
        """Forget senders, most of whom are gone, when there are too many."""
        if len(self._heard) > _MAX_HEARD:
            self._heard.clear()

    def _drop(self, kind: str, topic: bytes, data: bytes, what: str, way_out: str = "") -> None:
        """Say that a message is left out: one line a minute for each kind of them."""
        self._throttle.warn(
            kind,
            "messages on our topics in Redis %s and are dropped; the last, on %s, begins with %r. %s",
            what,
            topic[:_MOST_SHOWN].decode(errors="replace"),
            data[:_MOST_SHOWN],
            way_out,
            silence=MINUTE,
        )
