"""The observer's hooks: each called once, at the right moment, and none per delivery."""

from __future__ import annotations

from typing import Any

import pytest

from conformance.protocol.stage import Client, Stage, decode_frames
from soundpost.core.app import App
from soundpost.core.channel import Channel
from soundpost.core.connection import Connection
from soundpost.core.observer import Observer
from soundpost.core.peers import IdempotencyKey, OutgoingEvent
from soundpost.core.publishing import publish_once

QUIET = {"message_received", "message_sent", "event_published", "event_queued"}


class Recorder(Observer):
    """Notes every call, with what matters of its arguments at that moment."""

    def __init__(self) -> None:
        self.calls: list[tuple[Any, ...]] = []

    def take(self, *but: str) -> list[tuple[Any, ...]]:
        calls, self.calls = self.calls, []
        return [call for call in calls if call[0] not in {*QUIET, *but}]

    def connection_opened(self, connection: Connection) -> None:
        self.calls.append(("connection_opened", connection.socket_id in connection.app.connections))

    def connection_closed(self, connection: Connection) -> None:
        self.calls.append(("connection_closed", connection.socket_id in connection.app.connections))

    def channel_occupied(self, app_id: str, channel: str) -> None:
        self.calls.append(("channel_occupied", channel))

    def channel_vacated(self, app_id: str, channel: str) -> None:
        self.calls.append(("channel_vacated", channel))

    def member_added(self, app_id: str, channel: str, user_id: str) -> None:
        self.calls.append(("member_added", channel, user_id))

    def member_removed(self, app_id: str, channel: str, user_id: str) -> None:
        self.calls.append(("member_removed", channel, user_id))

    def subscription_count(self, app_id: str, channel: str, count: int) -> None:
        self.calls.append(("subscription_count", channel, count))

    def client_event(self, connection: Connection, channel: Channel, event: str, data: bytes) -> None:
        self.calls.append(("client_event", connection.socket_id, channel.name, event, data))

    def cache_miss(self, channel: Channel) -> None:
        self.calls.append(("cache_miss", channel.name))

    def message_received(self, connection: Connection, payload: bytes) -> None:
        self.calls.append(("message_received", payload))

    def message_sent(self, connection: Connection, frame: bytes) -> None:
        self.calls.append(("message_sent", decode_frames(frame)[0]["event"]))

    def event_published(self, app: App, event: OutgoingEvent) -> None:
        self.calls.append(("event_published", event.channel, decode_frames(event.frame)[0]["event"]))

    def event_queued(self, channel: Channel, frame: bytes, recipients: int) -> None:
        self.calls.append(("event_queued", channel.name, decode_frames(frame)[0]["event"], recipients))


@pytest.fixture
def recorder() -> Recorder:
    return Recorder()


def stage_for(recorder: Recorder, **options: Any) -> Stage:
    return Stage(observers=[recorder], **options)


def test_a_connection_opens_and_closes_once(recorder: Recorder) -> None:
    stage = stage_for(recorder)
    client = stage.connect()
    assert recorder.take() == [("connection_opened", True)]

    client.vanish()
    client.vanish()
    stage.turn()
    stage.node.closed(client)

    assert recorder.take() == [("connection_closed", False)]


def test_a_channel_is_occupied_by_its_first_and_vacated_by_its_last(recorder: Recorder) -> None:
    stage = stage_for(recorder)
    first, second = stage.connect(), stage.connect()
    recorder.take()

    first.join("room", "room")
    second.join("room")
    assert recorder.take() == [("channel_occupied", "room")]
    first.vanish()
    stage.turn()
    assert recorder.take() == [("connection_closed", False)]
    second.say("pusher:unsubscribe", {"channel": "room"})
    assert recorder.take() == [("channel_vacated", "room")]


def test_a_refused_subscription_occupies_nothing(recorder: Recorder) -> None:
    stage = stage_for(recorder)
    client = stage.connect()
    recorder.take()

    client.say("pusher:subscribe", {"channel": "private-a", "auth": "app-key:wrong"})
    client.ask("presence-a", "not JSON")
    client.say("pusher:subscribe", {"channel": "#server-to-user-1"})

    assert recorder.take() == []


def test_members_are_reported_once_per_user(recorder: Recorder) -> None:
    stage = stage_for(recorder)
    tabs = [stage.connect().join("presence-room", user=1) for _ in range(2)]
    calls = recorder.take("connection_opened")
    assert calls == [("channel_occupied", "presence-room"), ("member_added", "presence-room", "1")]

    for tab in tabs:
        tab.vanish()
    stage.turn()

    assert recorder.take("connection_closed") == [
        ("member_removed", "presence-room", "1"),
        ("channel_vacated", "presence-room"),
    ]


def test_a_connection_is_closed_after_it_left_everything(recorder: Recorder) -> None:
    stage = stage_for(recorder)
    client = stage.connect().join("a").join("presence-b", user="1")
    recorder.take()

    client.vanish()
    stage.turn()

    assert [call[0] for call in recorder.take()] == [
        "channel_vacated",
        "member_removed",
        "channel_vacated",
        "connection_closed",
    ]


def test_client_events_that_were_accepted(recorder: Recorder) -> None:
    stage = stage_for(recorder)
    client = stage.connect().join("private-a")
    recorder.take()

    client.raw('{"event":"client-x","channel":"private-a","data":{"n": 1}}')
    client.say("client-x", {}, channel="private-b")

    assert recorder.take() == [("client_event", client.socket_id, "private-a", "client-x", b'{"n": 1}')]


def test_cache_misses(recorder: Recorder) -> None:
    stage = stage_for(recorder)
    client = stage.connect()
    recorder.take()

    client.join("cache-a")
    assert recorder.take() == [("channel_occupied", "cache-a"), ("cache_miss", "cache-a")]
    stage.publish("cache-a")
    stage.connect().join("cache-a")
    assert recorder.take("connection_opened") == []


def test_counts_as_they_are_announced(recorder: Recorder) -> None:
    stage = stage_for(recorder, subscription_count=True)
    stage.connect().join("a")
    stage.connect().join("a")

    calls = recorder.take("connection_opened", "channel_occupied")
    assert calls == [("subscription_count", "a", 1), ("subscription_count", "a", 2)]


def test_messages_in_and_out(recorder: Recorder) -> None:
    stage = stage_for(recorder)
    client = stage.connect()
    assert recorder.calls == [("connection_opened", True), ("message_sent", "pusher:connection_established")]
    recorder.calls.clear()

    client.raw("nonsense")
    client.say("pusher:ping")

    assert recorder.calls == [
        ("message_received", b"nonsense"),
        ("message_sent", "pusher:error"),
        ("message_received", b'{"event": "pusher:ping"}'),
        ("message_sent", "pusher:pong"),
    ]


@pytest.mark.parametrize("subscribers", [1, 500])
def test_an_event_is_one_call_however_many_get_it(recorder: Recorder, subscribers: int) -> None:
    stage = stage_for(recorder)
    clients = [stage.connect().join("room") for _ in range(subscribers)]
    recorder.calls.clear()

    stage.publish("room", "e")
    stage.turn()

    assert recorder.calls == [("event_queued", "room", "e", subscribers), ("event_published", "room", "e")]
    assert all(client.writes for client in clients)


def test_an_event_without_subscribers_is_published(recorder: Recorder) -> None:
    stage_for(recorder).publish("room", "e")

    assert recorder.calls == [("event_published", "room", "e")]


def test_a_request_that_is_sent_again_is_published_once(recorder: Recorder) -> None:
    stage = stage_for(recorder)
    receptions: list[str] = []
    for _ in range(2):
        publish_once(
            stage.app, IdempotencyKey("k", "digest"), [("room", "e", "{}", None, False, None)], receptions.append
        )

    assert receptions == ["new", "repeated"]
    assert recorder.calls == [("event_published", "room", "e")]


def test_the_events_of_a_batch_are_told_in_its_order_with_the_frames_that_are_sent() -> None:
    class Frames(Observer):
        def __init__(self) -> None:
            self.queued: dict[int, bytes] = {}
            self.published: list[OutgoingEvent] = []

        def event_published(self, app: App, event: OutgoingEvent) -> None:
            self.published.append(event)

        def event_queued(self, channel: Channel, frame: bytes, recipients: int) -> None:
            self.queued[id(frame)] = frame

    observer = Frames()
    stage = Stage(observers=[observer])
    for channel in ("room", "hall"):
        stage.connect().join(channel)
    batch = [(channel, "e", "{}", None, False, None) for channel in ("room", "hall", "room")]
    publish_once(stage.app, IdempotencyKey("k", "digest"), batch, lambda _: None)
    stage.turn()

    assert [event.channel for event in observer.published] == ["room", "hall", "room"]
    assert {id(event.frame) for event in observer.published} == set(observer.queued), "each is encoded once"


def test_all_observers_are_called() -> None:
    first, second = Recorder(), Recorder()
    stage = Stage(observers=[first, second])
    stage.connect().join("room")

    assert first.calls == second.calls != []


def test_an_observer_overrides_only_what_it_needs() -> None:
    stage = Stage(observers=[Observer()], subscription_count=True)
    client: Client = stage.connect().join("cache-a", "private-b").join("presence-c", user="1")
    client.say("client-x", {}, channel="private-b")
    stage.publish("cache-a")
    client.vanish()

    stage.turn()

    assert stage.app.connections == {}
