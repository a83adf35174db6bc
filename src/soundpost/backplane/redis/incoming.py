"""Handling of messages that other hosts and the scripts publish on this host's topics."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from functools import partial
from typing import Final

from soundpost.backplane.redis import topic_messages
from soundpost.backplane.redis.app_entry import AppEntry
from soundpost.backplane.redis.buckets import CONTROL
from soundpost.backplane.redis.channel import SharedChannel
from soundpost.backplane.redis.channels import Channels
from soundpost.backplane.redis.counts import Counts
from soundpost.backplane.redis.history import Histories
from soundpost.backplane.redis.received import event_fault
from soundpost.backplane.redis.redis import Redis
from soundpost.backplane.redis.restarts import ask_restart_order
from soundpost.core.member import id_fault
from soundpost.documentation import page
from soundpost.log_throttle import MINUTE, LogThrottle
from soundpost.wire import messages

log = logging.getLogger("soundpost.redis")

_MAX_SENDERS: Final = 100_000
_MAX_SHOWN: Final = 200  # bytes of a message
_NOT_TO_CLIENTS: Final = f"Clients do not get it. Who may publish in this Redis: {page('scaling', 'trust-in-redis')}"


class Incoming:
    """Hands each message to the channel, app or node it is for. ``clock`` is in seconds."""

    def __init__(
        self,
        apps: Mapping[str, AppEntry],
        redis: Redis,
        histories: Histories,
        channels: Channels,
        counts: Counts,
        clock: Callable[[], float],
    ) -> None:
        self._apps = apps
        self._redis = redis
        self._histories = histories
        self._channels = channels
        self._counts = counts
        self._clock = clock
        self._last_numbers: dict[tuple[bytes, bytes], int] = {}  # number of the last message, by bucket and origin
        self._throttle = LogThrottle(log, clock)
        self._restart_order = b""  # the last order to restart that was followed
        self._asks_order = False
        self.on_restart: Callable[[], None] = lambda: None
        """Called when all hosts are to restart."""
        self.on_user_status: Callable[[bytes, bool], None]
        """Called with the topic of a user who has come online, or has gone."""
        self.on_logged: Callable[[bytes], None] = lambda topic: None
        """Called with the topic of a bucket whose log has something new."""
        self.on_inspection: Callable[[topic_messages.Inspection], None]
        """Called with what operators ask of all hosts, replies to this host, and lines of its tails."""
        self.on_terminate: Callable[[AppEntry, str], None]
        """Called when a user's connections are closed."""
        redis.on_message = self._receive

    def _receive(self, topic: bytes, data: bytes) -> None:
        """Handle a message on one of this host's topics, from anybody who may publish in this Redis."""
        try:
            message = topic_messages.parse(data)
            if message is not None:
                self._act_on(topic, message)
                return
        except Exception as error:
            # No message may end the connection, which all correct messages use too.
            self._drop("fault", topic, data, f"could not be dealt with ({error!r})")
            return
        if topic_messages.is_of_another_version(data):
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

    def _act_on(self, topic: bytes, message: topic_messages.Message) -> None:
        channel = self._channels.opened.of_topic(topic)
        if isinstance(message, topic_messages.EventMessage):
            if channel is not None:  # else this host has just left the channel
                self._receive_event(channel, message)
        elif isinstance(message, topic_messages.HistoryMessage):
            if channel is not None:
                self._receive_kept(channel, message)
        elif isinstance(message, topic_messages.UserStatus):
            self.on_user_status(topic, message.is_online)
        elif isinstance(message, topic_messages.Logged):
            self.on_logged(topic)
        elif isinstance(message, topic_messages.Hello):
            self._redis.known = max(self._redis.known, message.nodes)
        elif isinstance(message, topic_messages.Terminate):
            self._receive_terminate(message)
        elif isinstance(message, topic_messages.Restart):
            self._receive_restart(topic, message)
        elif isinstance(message, topic_messages.Inspection):
            self.on_inspection(message)
        elif channel is None:
            pass
        elif isinstance(message, topic_messages.HistoryDeleted):
            self._histories.receive_deletion(channel, message)
        elif isinstance(message, topic_messages.HistorySkipped):
            self._histories.receive_skip(channel, message)
        elif isinstance(message, topic_messages.HistoryMarked):
            self._histories.receive_mark(channel, message)
        elif isinstance(message, (topic_messages.Entered, topic_messages.Renewed)):
            self._receive_entered(channel, message)
        elif isinstance(message, topic_messages.Left):
            self._channels.apply_change(channel, message.version, partial(channel.leave, message.user_id))
        elif isinstance(message, topic_messages.Forgotten):
            channel.forget()
            self._histories.after_reading(channel, channel.forget)  # in place of an event that was to be kept then
        elif self._counts.announces(channel):
            channel.deliver(messages.subscription_count(channel.name, message.subscriptions))

    def _is_sound(self, channel: SharedChannel, frame: bytes) -> bool:
        fault = event_fault(frame, channel.name, self._apps[channel.app_id].largest_frame)
        if fault is not None:
            self._drop("event", channel.topic, frame, f"have {fault}", _NOT_TO_CLIENTS)
        return fault is None

    def _receive_kept(self, channel: SharedChannel, event: topic_messages.HistoryMessage) -> None:
        if not self._is_sound(channel, event.frame):
            return
        frame = self._histories.receive(channel, event)
        if event.version:
            until = self._clock() + self._apps[channel.app_id].app.cache_ttl
            # A newcomer must not get the event as the last one, and again when this host has read it.
            keep = partial(self._histories.after_reading, channel, partial(channel.keep, frame, until))
            self._channels.apply_change(channel, event.version, keep)

    def _receive_event(self, channel: SharedChannel, event: topic_messages.EventMessage) -> None:
        entry = self._apps[channel.app_id]
        if not self._is_sound(channel, event.frame):
            return
        if event.version:
            until = self._clock() + entry.app.cache_ttl
            self._channels.apply_change(channel, event.version, partial(channel.keep, event.frame, until))
        if event.origin != self._redis.origin and self._is_new(channel.bucket, event.origin, event.number):
            channel.deliver(event.frame, event.except_socket_id)

    def _receive_entered(
        self, channel: SharedChannel, entered: topic_messages.Entered | topic_messages.Renewed
    ) -> None:
        app, member = self._apps[channel.app_id].app, entered.member
        if id_fault(member.id, app.max_user_id_length) or len(member.info_json) > app.max_user_info_size:
            self._drop(
                "member", channel.topic, member.id_json, "have a member beyond the limits of its app", _NOT_TO_CLIENTS
            )
            return
        apply = channel.enter if isinstance(entered, topic_messages.Entered) else channel.renew
        self._channels.apply_change(channel, entered.version, partial(apply, member))

    def _receive_terminate(self, message: topic_messages.Terminate) -> None:
        if message.origin == self._redis.origin or message.app_id not in self._apps:
            return
        if self._is_new(CONTROL, message.origin, message.number):
            self._apps[message.app_id].terminate(message.user_id)
            self.on_terminate(self._apps[message.app_id], message.user_id)

    def _receive_restart(self, topic: bytes, message: topic_messages.Restart) -> None:
        """Restart if Redis has the order: to write the order takes more than the right to publish."""
        if message.order == self._restart_order or self._asks_order:
            return
        self._asks_order = True

        def found(order: object) -> None:
            self._asks_order = False
            if order == message.order:
                self._restart_order = message.order
                self.on_restart()
            elif not isinstance(order, Exception):
                self._drop("restart", topic, message.order, "tell to restart, which nobody has ordered")

        ask_restart_order(self._redis, found)

    def _is_new(self, bucket: bytes, origin: bytes, number: int) -> bool:
        """Return whether a message is new: after an outage a node repeats messages that may have been lost."""
        if number <= self._last_numbers.get((bucket, origin), 0):
            return False
        self._last_numbers[bucket, origin] = number
        return True

    def housekeep(self) -> None:
        """Forget all senders, most of which are gone, when there are too many."""
        if len(self._last_numbers) > _MAX_SENDERS:
            self._last_numbers.clear()

    def _drop(self, kind: str, topic: bytes, data: bytes, what: str, way_out: str = "") -> None:
        """Log that a message is dropped: one line a minute for each kind."""
        self._throttle.warn(
            kind,
            "messages on our topics in Redis %s and are dropped; the last, on %s, begins with %r. %s",
            what,
            topic[:_MAX_SHOWN].decode(errors="replace"),
            data[:_MAX_SHOWN],
            way_out,
            interval=MINUTE,
        )
