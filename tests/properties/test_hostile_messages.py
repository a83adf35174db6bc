"""Arbitrary messages, from nonsense to correctly signed nonsense: what the core tells anyone stays well formed,
its books stay balanced, and nothing is left when all have gone. Then the same against a real server."""

from __future__ import annotations

import json
import logging
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from soundpost.backplane import MemoryRegistry, SingleNode
from soundpost.core import protocol
from soundpost.core.app import App
from soundpost.core.app_settings import AppSettings
from soundpost.core.connection import Connection
from soundpost.core.node import Node
from soundpost.core.publishing import publish
from soundpost.wire import signatures
from soundpost.wire.frames import CLOSE, TEXT, close_frame
from support.harness import DEFAULT_APP, RawSocket, RunningServer, running_server

APP = AppSettings(
    id=DEFAULT_APP.id,
    key=DEFAULT_APP.key,
    secret=DEFAULT_APP.secret,
    subscription_count=True,
    max_subscriptions=5,
    max_presence_members=3,
    max_client_events_per_second=1000,
    ping_interval=3600,
    activity_timeout=3600,
)

# Messages


@dataclass(frozen=True)
class Plan:
    """A message to be, whose signature needs the socket id of who will send it."""

    text: str
    channel: str | None = None
    channel_data: str | None = None
    user_data: str | None = None

    def payload(self, socket_id: str) -> bytes:
        if self.user_data is not None:
            signature = signatures.sign(APP.secret, signatures.user_text(socket_id, self.user_data))
            data = {"auth": f"{APP.key}:{signature}", "user_data": self.user_data}
            return json.dumps({"event": "pusher:signin", "data": data}).encode()
        if self.channel is not None:
            signature = signatures.sign(
                APP.secret, signatures.channel_text(socket_id, self.channel, self.channel_data or None)
            )
            subscription = {"channel": self.channel, "auth": f"{APP.key}:{signature}"}
            if self.channel_data is not None:
                subscription["channel_data"] = self.channel_data
            return json.dumps({"event": "pusher:subscribe", "data": subscription}).encode()
        return self.text.encode(errors="replace")


texts = st.text(max_size=12)
odd_strings = st.sampled_from(
    [
        '"\\ud800"',
        '"\\udc00\\ud800"',
        '"\\u0000"',
        '"\\uD83D\\uDE00"',
        '"\\x"',
        '"\t"',
        '"',
        "\ufeff",
        '"\u2028"',
        '"\x7f"',
    ]
)
odd_numbers = st.sampled_from(
    ["1e999", "-0", "-", "01", "1.", ".5", "NaN", "Infinity", "1e-999", "1E+2", "0x1"]
) | st.sampled_from([30, 400, 5000]).map(lambda digits: "-" + "9" * digits)
depths = st.sampled_from([3, 100, 1000, 3000, 4900])
json_leaves = st.one_of(
    st.sampled_from(["null", "true", "false", "{}", "[]", '""', "tru", "", " ", "{", "}"]),
    st.integers(-(2**70), 2**70).map(str),
    st.floats(allow_nan=False, allow_infinity=False).map(json.dumps),
    texts.map(json.dumps),
    texts.map(lambda text: json.dumps(text, ensure_ascii=False)),
    odd_strings,
    odd_numbers,
    depths.map(lambda depth: "[" * depth + "]" * depth),
    depths.map(lambda depth: '{"a":' * (depth // 3) + "1" + "}" * (depth // 3)),
)


def as_object(pairs: list[tuple[str, str]]) -> str:
    return "{" + ",".join(f"{json.dumps(name)}:{value}" for name, value in pairs) + "}"


json_texts = st.recursive(
    json_leaves,
    lambda inner: st.one_of(
        st.lists(inner, max_size=3).map(lambda items: "[" + ",".join(items) + "]"),
        st.lists(st.tuples(texts, inner), max_size=3).map(as_object),
        inner.filter(lambda text: len(text) < 2000).map(json.dumps),
    ),
    max_leaves=4,
)

user_ids = st.sampled_from(['"ann"', '"bob"', "7", '"7"', "-1", '""', "1.5", "null", '"\\""', json.dumps("x" * 129)])
prefixes = st.sampled_from(
    ["", "private-", "presence-", "private-encrypted-", "cache-", "presence-cache-", "#server-to-user-"]
)
channel_names = st.builds(str.__add__, prefixes, st.sampled_from(["a", "b", "ann", "é", "", " ", "x" * 300, "\0", '"']))


def known_names(*names: str) -> st.SearchStrategy[str]:
    return st.sampled_from(names).map(json.dumps)


auths = st.sampled_from(['"app-key:0"', '":"', '"é:é"', '"app-key:é"', '"app-key:\\ud800"', "null"])
data_of_subscribe = st.lists(
    st.one_of(
        st.tuples(st.just("channel"), channel_names.map(json.dumps) | json_texts),
        st.tuples(st.just("auth"), auths | json_texts),
        st.tuples(st.just("channel_data"), json_texts | json_texts.map(json.dumps)),
        st.tuples(st.sampled_from(["user_data", "id"]), json_texts.map(json.dumps)),
    ),
    max_size=4,
).map(as_object)
event_names = st.one_of(
    known_names("pusher:subscribe", "pusher:unsubscribe", "pusher:signin", "pusher:ping", "pusher:pong"),
    known_names("client-x", "client-", "client-\0", "client-" + "y" * 300, "pusher:error", "pusher_internal:x", ""),
    json_texts,
)
envelopes = st.lists(
    st.one_of(
        st.tuples(st.just("event"), event_names),
        st.tuples(st.just("channel"), channel_names.map(json.dumps) | json_texts),
        st.tuples(st.just("data"), json_texts | data_of_subscribe | data_of_subscribe.map(json.dumps)),
        st.tuples(texts, json_texts),
    ),
    max_size=5,
).map(as_object)
known_events = st.builds(
    lambda name, data: as_object([("event", name), ("data", data)]),
    known_names("pusher:subscribe", "pusher:unsubscribe", "pusher:signin"),
    data_of_subscribe | data_of_subscribe.map(json.dumps) | json_texts,
)
client_events = st.builds(
    lambda channel, data, name: as_object([("event", name), ("channel", json.dumps(channel)), ("data", data)]),
    st.sampled_from(["private-a", "presence-a", "presence-b", "private-encrypted-a", "a"]),
    json_texts,
    known_names("client-x", "client-\u2028", 'client-"', "client-\\"),
)
user_objects = st.lists(
    st.one_of(
        st.tuples(st.sampled_from(["user_id", "id"]), user_ids | json_texts),
        st.tuples(st.just("user_info"), json_texts | st.just('"' + "i" * 1100 + '"')),
        st.tuples(
            st.just("watchlist"), st.lists(user_ids, max_size=3).map(lambda ids: f"[{','.join(ids)}]") | json_texts
        ),
        st.tuples(texts, json_texts),
    ),
    max_size=4,
).map(as_object)
members = st.builds(lambda user_id, info: as_object([("user_id", user_id), ("user_info", info)]), user_ids, json_texts)
users = st.builds(lambda user_id, info: as_object([("id", user_id), ("user_info", info)]), user_ids, json_texts)
leaving = channel_names.map(lambda name: json.dumps({"event": "pusher:unsubscribe", "data": {"channel": name}}))
plans = st.one_of(
    st.builds(Plan, json_texts | envelopes | known_events),
    st.builds(Plan, client_events),
    st.builds(Plan, leaving),
    st.builds(Plan, st.just(""), channel=channel_names, channel_data=st.none() | members | user_objects | json_texts),
    st.builds(
        Plan,
        st.just(""),
        channel=st.sampled_from(["presence-a", "presence-b", "presence-cache-a"]),
        channel_data=members | user_objects,
    ),
    st.builds(Plan, st.just(""), channel=st.sampled_from(["private-a", "a", "cache-a", "private-encrypted-a"])),
    st.builds(Plan, st.just(""), user_data=users | user_objects | json_texts),
)

# The core, without sockets


class FakeConnection(Connection):
    """Keeps what is written to it; leaves the node in the next turn after it was closed, as a real one does."""

    def __init__(self, app: App, call_soon: Callable[[Callable[[], None]], object]) -> None:
        super().__init__(app)
        self.written = b""
        self.closed = False
        self._call_soon = call_soon

    def write(self, data: bytes) -> None:
        if not self.closed:
            self.written += data

    def close(self, code: int, reason: str) -> None:
        if self.closed:
            return
        self.write(close_frame(code, reason))
        self.closed = True
        self._call_soon(lambda: self.app.node.closed(self))


class Turns:
    """An event loop's ``call_soon``."""

    def __init__(self) -> None:
        self._waiting: list[Callable[[], None]] = []

    def call_soon(self, callback: Callable[[], None]) -> None:
        self._waiting.append(callback)

    def run(self) -> None:
        while self._waiting:
            waiting, self._waiting = self._waiting, []
            for callback in waiting:
                callback()


def strict(text: bytes | str) -> Any:
    """What a browser's JSON.parse makes of it; numbers stay text."""

    def refuse(constant: str) -> Any:
        raise ValueError(f"{constant} is not JSON")

    return json.loads(text, parse_constant=refuse, parse_int=str, parse_float=str)


def check_frames(written: bytes) -> None:
    """Everything a client was sent is whole frames around whole Pusher messages."""
    at = 0
    while at < len(written):
        first, length = written[at], written[at + 1]
        at += 2
        if length >= 126:
            size = 2 if length == 126 else 8
            length = int.from_bytes(written[at : at + size], "big")
            at += size
        payload = written[at : at + length]
        at += length
        if first == 0x80 | CLOSE:
            assert at == len(written)
            return
        assert first == 0x80 | TEXT
        message = strict(payload.decode())
        assert isinstance(message["event"], str)
        if message["event"] == "pusher_internal:watchlist_events":
            assert isinstance(message["data"], dict)
        elif message["event"].startswith("pusher_internal:"):
            assert isinstance(message["data"], str)
            check_presence(strict(message["data"]))
    assert at == len(written)


def check_presence(data: dict[str, Any]) -> None:
    presence = data.get("presence")
    if presence is not None:
        assert int(presence["count"]) == len(presence["ids"]) == len(presence["hash"])
        assert {str(id) for id in presence["ids"]} == set(presence["hash"])


def check_books(state: App, registry: MemoryRegistry) -> None:
    """What node and registry know of channels, members and users agrees with what the connections know."""
    everywhere = registry._apps[state.settings.id].channels
    assert set(everywhere) == set(state.channels)
    for name, channel in state.channels.items():
        assert channel.subscribers, f"{name} is kept, and empty"
        assert not channel.pending_subscribers
        assert all(channel in connection.channels for connection in channel.subscribers)
        assert everywhere[name].count == len(channel.subscribers)
        present = [user_id for user_id in map(channel.subscribers.get, channel.subscribers) if user_id is not None]
        members = everywhere[name].members
        if members is None:
            assert not present
            continue
        assert members._connections == Counter(present)
        assert len(present) == len(channel.subscribers)
        assert len(members) <= APP.max_presence_members
    for connection in state.connections.values():
        assert len(connection.channels) == len(set(connection.channels)) <= APP.max_subscriptions
        assert all(connection in channel.subscribers for channel in connection.channels)
    for user_id, connections in state.users.items():
        assert connections
        assert all(c.user is not None and c.user.id == user_id for c in connections)
    assert {user_id for _, (_, _, user_id) in registry.users.states()} == set(state.users)
    watched = {user_id for watchlist in state.watchlists.values() for user_id in watchlist.user_ids}
    assert set(state.watched) == watched == {user_id for _, user_id in registry.users._watchers}


steps = st.lists(st.tuples(st.integers(0, 2), plans, st.booleans()), min_size=1, max_size=12)
DEEP_DATA = "[" * 900 + "]" * 900
PRIVATE = Plan("", channel="private-a")


def as_whisper(data: str) -> str:
    return f'{{"event":"client-x","channel":"private-a","data":{data}}}'


@given(steps)
@settings(max_examples=1000, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
@example([(0, Plan("", channel="presence-a", channel_data='{"user_id":"\\ud800"}'), True)])
@example([(0, Plan("", channel="presence-a", channel_data=f'{{"user_id":"x","user_info":{DEEP_DATA}}}'), True)])
@example([(0, PRIVATE, True), (1, PRIVATE, True), (0, Plan('{"event":"client-\\ud800","channel":"private-a"}'), True)])
@example([(0, PRIVATE, True), (1, PRIVATE, True), (0, Plan(as_whisper(DEEP_DATA)), True)])
@example([(0, Plan("", user_data='{"id":"\\ud800"}'), True)])
def test_core_keeps_its_word(caplog: pytest.LogCaptureFixture, sent: list[tuple[int, Plan, bool]]) -> None:
    caplog.clear()
    turns = Turns()
    registry = MemoryRegistry([APP])
    node = Node([APP], peers=SingleNode(registry), call_soon=turns.call_soon, clock=lambda: 0.0)
    state = node.by_id[APP.id]
    connections = [FakeConnection(state, turns.call_soon) for _ in range(3)]
    for connection in connections:
        node.opened(connection)

    for number, plan, turn_ends in sent:
        sender = connections[number]
        if not sender.closed:
            protocol.receive(sender, plan.payload(sender.socket_id))
        for name in ("a", "private-a", "presence-a", "cache-a"):
            publish(state, name, "event", "{}", sender.socket_id)
        if turn_ends:
            turns.run()
            check_books(state, registry)
    turns.run()
    check_books(state, registry)

    assert not [record for record in caplog.records if record.levelno >= logging.ERROR], caplog.text
    for connection in connections:
        check_frames(connection.written)
        node.closed(connection)
    turns.run()
    assert not state.connections
    assert not state.channels
    assert not state.users
    assert not registry._apps[APP.id].channels


# A real server


@pytest.fixture(scope="module")
def server() -> Iterator[RunningServer]:
    with running_server(apps=[APP]) as running:
        yield running
        assert running.process.poll() is None
        assert "Traceback" not in running.log()
        assert "could not be handled" not in running.log()


@pytest.fixture(scope="module")
def witness(server: RunningServer) -> Iterator[RawSocket]:
    with server.connect() as client:
        client.subscribe("witness")
        assert client.read_event()["event"] == "pusher_internal:subscription_count"
        yield client


@given(st.lists(plans, min_size=1, max_size=10))
@settings(max_examples=300, suppress_health_check=[HealthCheck.too_slow])
def test_server_goes_on_serving_others(server: RunningServer, witness: RawSocket, sent: list[Plan]) -> None:
    with server.connect() as client:
        for plan in sent:
            client.send_frame(TEXT, plan.payload(client.socket_id))
        client.send_frame(CLOSE)
        received = b"".join(
            bytes((0x80 | opcode, 127)) + len(payload).to_bytes(8, "big") + payload
            for opcode, payload in client.read_until_close()
        )
    check_frames(received)
    assert server.publish("witness", "still-served").status == 200
    assert witness.read_event()["event"] == "still-served"
