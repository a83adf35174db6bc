"""Replays: missed events come in pieces, whatever happens while a client reads them, and nothing is left behind."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import msgspec
import pytest

from conformance.protocol.resuming import RULES, SUCCEEDED, app, connect, names, publish, subscribe
from conformance.protocol.stage import APP, Client, Message, Stage
from soundpost.core import resumption
from soundpost.core.connection import Connection
from soundpost.core.node import write_each
from soundpost.core.peers import HistoryDeletion, HistoryQuery, OutgoingEvent
from soundpost.core.resumption import READERS_AT_ONCE
from soundpost.wire import messages

GAP = "soundpost:gap"


@pytest.fixture
def stage() -> Stage:
    return Stage(app())


def publish_large(stage: Stage, channel: str, number: int, size: int = 9_000) -> list[str]:
    """Publish events of some size; return their names."""
    made = [f"large {index}" for index in range(number)]
    for name in made:
        stage.publish(channel, name, "x" * size)
    return made


def slow(stage: Stage) -> Client:
    """Return a new connection whose client takes output only when the test says so."""
    client = connect(stage)
    client.is_slow = True
    return client


def ask_to_resume(client: Client, channel: str, position: str, **fields: Any) -> None:
    """Subscribe after a position, without ending the loop turn."""
    client.say("pusher:subscribe", {"channel": channel, "resume": position, "auth": client.auth(channel), **fields})


def position_of(stage: Stage, channel: str) -> str:
    """Return the position behind everything of a channel."""
    client = connect(stage)
    (answer,) = subscribe(client, channel, resume="")
    client.vanish()
    stage.turn()
    position: str = answer["position"]
    return position


def take_all(client: Client) -> list[Message]:
    """Read as a slow client does, piece by piece, until nothing more comes."""
    found: list[Message] = []
    while True:
        client.stage.turn()
        piece = client.take_output()
        if not piece:
            return found
        found += piece


def assert_at_rest(stage: Stage, client: Client | None = None) -> None:
    """Nothing is remembered of replays that have ended."""
    assert all(channel.replays is None for channel in stage.app.channels.values())
    if client is not None:
        assert client.reading is None


def test_a_slow_client_gets_one_piece_at_a_time(stage: Stage) -> None:
    start = position_of(stage, "long")
    made = publish_large(stage, "long", 100)
    client = slow(stage)
    ask_to_resume(client, "long", start)
    found: list[Message] = []
    for _ in range(100):
        stage.turn()
        assert sum(map(len, client.writes)) < resumption.PIECE + 10_000
        found += client.take_output()
    assert names(found) == [SUCCEEDED, *made]
    assert_at_rest(stage, client)


def test_a_slow_client_gets_one_piece_at_a_time_of_all_its_channels() -> None:
    history = msgspec.structs.replace(RULES[1], channels=("*",))
    stage = Stage(msgspec.structs.replace(APP, history=(history,)))
    channels = [f"channel-{number}" for number in range(20)]
    start = position_of(stage, channels[0])
    made = {channel: publish_large(stage, channel, 10) for channel in channels}
    client = slow(stage)
    for channel in channels:
        ask_to_resume(client, channel, start)
    found: list[Message] = []
    for _ in range(100):
        stage.turn()
        assert sum(map(len, client.writes)) < resumption.PIECE + 20_000
        found += client.take_output()
    for channel in channels:
        assert names([message for message in found if message.get("channel") == channel]) == [
            SUCCEEDED,
            *made[channel],
        ]
    assert_at_rest(stage, client)


def test_a_piece_fits_a_small_output_buffer() -> None:
    stage = Stage(app(max_output_buffer=20_000))
    start = position_of(stage, "long")
    publish_large(stage, "long", 10, size=4_000)
    client = slow(stage)
    ask_to_resume(client, "long", start)
    for _ in range(20):
        stage.turn()
        assert sum(map(len, client.writes)) < 20_000
        client.take_output()
    assert_at_rest(stage, client)


def test_what_is_new_comes_once_the_history_is_read(stage: Stage) -> None:
    start = position_of(stage, "long")
    made = publish_large(stage, "long", 30)
    client = slow(stage)
    ask_to_resume(client, "long", start)
    found: list[Message] = []
    for number in range(60):
        publish(stage, "long", f"new {number}")
        stage.turn()
        found += client.take_output() if number % 3 else []
    found += take_all(client)
    assert names(found) == [SUCCEEDED, *made, *(f"new {number}" for number in range(60))]


def test_a_hundred_events_take_two_writes(stage: Stage) -> None:
    start = position_of(stage, "long")
    publish_large(stage, "long", 100, size=280)
    client = connect(stage)
    ask_to_resume(client, "long", start)
    stage.turn()
    assert len(client.writes) == 2
    assert len(client.read()) == 101


def test_unsubscribing_ends_the_replay(stage: Stage) -> None:
    start = position_of(stage, "long")
    publish_large(stage, "long", 100)
    client = slow(stage)
    ask_to_resume(client, "long", start)
    stage.turn()
    client.say("pusher:unsubscribe", {"channel": "long"})
    assert len(take_all(client)) < 20
    assert stage.app.channels == {}
    assert client.reading is None or client.reading.current is None


def test_a_client_that_vanishes_while_it_reads_leaves_nothing_behind(stage: Stage) -> None:
    start = position_of(stage, "long")
    publish_large(stage, "long", 100)
    client = slow(stage)
    ask_to_resume(client, "long", start, was=["1.2"])
    stage.turn()
    client.vanish()
    stage.turn()
    assert stage.app.channels == {}
    assert stage.app.former_connections == {}


@pytest.mark.parametrize("is_slow", [False, True])
def test_leaving_and_coming_back_within_a_turn_begins_anew(stage: Stage, is_slow: bool) -> None:
    start = position_of(stage, "long")
    made = publish_large(stage, "long", 50)
    client = slow(stage) if is_slow else connect(stage)
    ask_to_resume(client, "long", start)
    if is_slow:
        stage.turn()
        client.take_output()
    client.say("pusher:unsubscribe", {"channel": "long"})
    ask_to_resume(client, "long", start)
    publish(stage, "long", "new")
    found = names(take_all(client))
    assert found[len(found) - found[::-1].index(SUCCEEDED) :] == [*made, "new"]
    assert found.count(made[-1]) == 1


def test_subscribing_again_while_reading_goes_on_from_the_new_position(stage: Stage) -> None:
    start = position_of(stage, "long")
    made = publish_large(stage, "long", 50)
    client = slow(stage)
    ask_to_resume(client, "long", start)
    stage.turn()
    first = client.take_output()
    ask_to_resume(client, "long", first[-1]["position"])
    found = take_all(client)
    answer = names(found).index(SUCCEEDED)
    assert names(found[answer + 1 :]) == made[len(first) - 1 :]


def test_subscribing_again_as_a_stock_client_does_not_end_the_replay(stage: Stage) -> None:
    start = position_of(stage, "long")
    made = publish_large(stage, "long", 50)
    client = slow(stage)
    ask_to_resume(client, "long", start)
    stage.turn()
    client.say("pusher:subscribe", {"channel": "long"})
    publish(stage, "long", "new")
    found = [name for name in names(take_all(client)) if name != SUCCEEDED]
    assert found == [*made, "new"]


def test_what_is_forgotten_while_a_client_reads_is_a_gap() -> None:
    history = msgspec.structs.replace(RULES[1], events=30)
    stage = Stage(msgspec.structs.replace(APP, history=(history,)))
    start = position_of(stage, "long")
    publish_large(stage, "long", 30)
    client = slow(stage)
    ask_to_resume(client, "long", start)
    stage.turn()
    first = client.take_output()
    publish_large(stage, "long", 30)
    rest = take_all(client)
    publish(stage, "long", "new")
    rest += take_all(client)
    gap = names(rest).index(GAP)
    assert msgspec.json.decode(rest[gap]["data"]) == {"reason": "number"}
    assert names(rest[gap + 1 :]) == ["new"]
    offsets = [int(message["position"].split(".")[1]) for message in (first + rest)[1:]]
    assert offsets == sorted(set(offsets))
    assert_at_rest(stage, client)


def delete(stage: Stage) -> None:
    stage.node.peers.ask(HistoryDeletion("1", "long"), lambda _: None)


def keep_none(stage: Stage) -> None:
    settings = (msgspec.structs.replace(APP, history=()),)
    stage.registry.reconfigure(settings)
    stage.node.reconfigure(settings)


def keep_none_for_a_moment(stage: Stage) -> None:
    keep_none(stage)
    stage.publish("long", "unkept")
    stage.registry.reconfigure([app()])
    stage.node.reconfigure([app()])


def publish_as_a_node_with_older_settings(stage: Stage) -> None:
    frame = messages.event("unkept", "long", "{}")
    stage.node.peers.publish("1", OutgoingEvent("long", frame, None, keep=False))


@pytest.mark.parametrize(
    "lose", [delete, keep_none_for_a_moment, publish_as_a_node_with_older_settings], ids=lambda lose: lose.__name__
)
def test_a_history_that_is_lost_while_a_client_reads_is_a_gap(stage: Stage, lose: Callable[[Stage], None]) -> None:
    start = position_of(stage, "long")
    publish_large(stage, "long", 50)
    client = slow(stage)
    ask_to_resume(client, "long", start)
    stage.turn()
    client.take_output()
    lose(stage)
    publish(stage, "long", "new")
    found = names(take_all(client))
    publish(stage, "long", "newer")
    found += names(take_all(client))
    assert found.count(GAP) == 1
    assert found[-1] == "newer"
    assert "large 49" not in found
    assert_at_rest(stage, client)


def test_a_history_that_is_switched_off_is_read_to_its_end(stage: Stage) -> None:
    start = position_of(stage, "long")
    made = publish_large(stage, "long", 50)
    client = slow(stage)
    ask_to_resume(client, "long", start)
    stage.turn()
    keep_none(stage)
    publish(stage, "long", "new")
    found = names(take_all(client))
    assert [name for name in found if name != "new"] == [SUCCEEDED, *made]
    publish(stage, "long", "newer")
    assert names(take_all(client)) == ["newer"]
    assert found.count("new") == 1


def test_who_had_everything_before_an_unkept_event_is_told_of_a_gap_on_its_return(stage: Stage) -> None:
    start = position_of(stage, "long")
    publish_as_a_node_with_older_settings(stage)
    (answer,) = subscribe(connect(stage), "long", resume=start)
    assert answer["gap"] == "unknown"
    (answer,) = subscribe(connect(stage), "long", resume=answer["position"])
    assert answer["resumed"] == 0


def test_an_event_that_is_not_to_be_kept_is_no_gap(stage: Stage) -> None:
    start = position_of(stage, "private-room")
    stage.publish("private-room", ephemeral=True)
    sender = connect(stage).join("private-room")
    sender.say("client-typing", {}, channel="private-room")
    (answer,) = subscribe(connect(stage), "private-room", resume=start)
    assert answer["resumed"] == 0


def test_a_gap_while_connected_is_told_to_those_who_can_resume(stage: Stage) -> None:
    reader, listener, stock = slow(stage), connect(stage), connect(stage)
    start = position_of(stage, "long")
    publish_large(stage, "long", 50)
    ask_to_resume(reader, "long", start)
    subscribe(listener, "long", resume="")
    subscribe(stock, "long")
    publish(stage, "long", "before")
    head = position_of(stage, "long")
    stage.node.lose_history("1", "long", "generation", head)
    publish(stage, "long", "after")
    assert names(listener.read()) == ["before", GAP, "after"]
    assert names(stock.read()) == ["before", "after"]
    found = take_all(reader)
    assert names(found)[-2:] == [GAP, "after"]
    assert found[-2]["position"] == head


def test_a_gap_that_takes_many_turns_to_send_comes_before_the_events_behind_it() -> None:
    def deliver(connections: Iterable[Connection], data: bytes) -> None:
        write_each(connections, data)
        busy.now += 1

    busy = Stage(app(), deliver=deliver)
    busy.node.outbox.at_once = busy.node.outbox.chunk = 2
    for _ in range(20):
        subscribe(connect(busy), "long", resume="")
    start = position_of(busy, "long")
    publish_large(busy, "long", 50)
    reader = slow(busy)
    ask_to_resume(reader, "long", start)
    busy.turn()
    head = position_of(busy, "long")
    reader.writes.clear()  # the client has read what came, and the server is yet to notice
    reader.is_slow = False
    busy.node.lose_history("1", "long", "generation", head)
    publish(busy, "long", "after")
    assert names(reader.read()) == [GAP, "after"]


class TestAllowance:
    """A client that asks for the same replay again and again is told of a gap: bytes in are few, bytes out many."""

    @pytest.mark.parametrize("fields", [{}, {"resume": "", "rewind": 20}])
    def test_leaving_and_coming_back(self, stage: Stage, fields: dict[str, Any]) -> None:
        start = position_of(stage, "long")
        publish_large(stage, "long", 20, size=50_000)
        client = connect(stage)
        outcomes = []
        for _ in range(8):
            answer, *missed = subscribe(client, "long", **{"resume": start, **fields})
            outcomes.append(answer.get("gap") or len(missed))
            client.say("pusher:unsubscribe", {"channel": "long"})
        assert outcomes == [20] * 6 + ["limited"] * 2  # the first time and 4 MiB
        stage.now += 60
        answer, *missed = subscribe(client, "long", **{"resume": start, **fields})
        assert len(missed) == 20

    def test_coming_back_often_for_little(self, stage: Stage) -> None:
        client = connect(stage)
        subscribe(client, "news", resume="")
        for number in range(200):
            client.say("pusher:unsubscribe", {"channel": "news"})
            publish(stage, "news", f"event {number}")
            answer, *_ = subscribe(client, "news", resume=position_of_last(stage, "news"))
            assert "gap" not in answer


class TestAllowanceOfAnAddress:
    """All clients of an address share an allowance, as each could ask for the whole history with a few bytes."""

    MIB = 1_048_576

    def outcomes(self, stage: Stage, start: str, *addresses: str) -> list[Any]:
        """Have a new client of each address resume; return the reason of its gap, or the number of its events."""
        found = []
        for address in addresses:
            client = stage.open(address=address)
            client.read()
            answer, *missed = subscribe(client, "long", resume=start)
            found.append(answer.get("gap") or len(missed))
            assert client.is_open
            client.vanish()
            stage.turn()
        return found

    def test_new_connections_of_one_address(self) -> None:
        stage = Stage(app(max_replays_per_ip=4 * self.MIB))
        start = position_of(stage, "long")
        publish_large(stage, "long", 20, size=50_000)
        here, there = "203.0.113.7", "203.0.113.8"
        assert self.outcomes(stage, start, *[here] * 7, there) == [20] * 5 + ["limited"] * 2 + [20]
        stage.now += 30  # half of it is there again, less what was sent beyond
        assert self.outcomes(stage, start, here, here, here) == [20, 20, "limited"]

    def test_what_is_new_comes_all_the_same(self) -> None:
        stage = Stage(app(max_replays_per_ip=1))
        start = position_of(stage, "long")
        publish(stage, "long", "a", "b")
        assert self.outcomes(stage, start, "a", "a") == [2, "limited"]
        client = stage.open(address="a")
        client.read()
        answer, *missed = subscribe(client, "long", resume=start)
        publish(stage, "long", "c")
        assert (answer["gap"], missed, names(client.read())) == ("limited", [], ["c"])
        (answer,) = subscribe(client, "news", resume="")
        assert "gap" not in answer  # it has missed nothing

    def test_a_client_without_an_address_has_no_limit(self) -> None:
        stage = Stage(app(max_replays_per_ip=1))
        start = position_of(stage, "long")
        publish(stage, "long", "a")
        assert self.outcomes(stage, start, "", "", "") == [1, 1, 1]


def position_of_last(stage: Stage, channel: str) -> str:
    """Return the position before a channel's last event."""
    pages: list[Any] = []
    stage.node.peers.ask(HistoryQuery("1", channel, "", 1, 1, newest_first=True), pages.append)
    generation, _, _ = pages[0].position.partition(".")
    return f"{generation}.{pages[0].events[0].offset - 1}"


class CountedStage(Stage):
    """A stage that counts the pieces its node asks for."""

    def __init__(self, *settings: Any) -> None:
        super().__init__(*settings)
        self.pieces = 0
        self._ask, self.peers.ask = self.peers.ask, self._count  # type: ignore[method-assign]

    def _count(self, query: Any, then: Callable[[Any], None]) -> None:
        self.pieces += 1
        self._ask(query, then)


def test_clients_that_wait_for_the_same_piece_share_it() -> None:
    stage = CountedStage(app())
    start = position_of(stage, "long")
    publish(stage, "long", "a", "b")
    clients = [connect(stage) for _ in range(3 * READERS_AT_ONCE)]
    for client in clients:
        ask_to_resume(client, "long", start)
    own = connect(stage)
    ask_to_resume(own, "long", start, was=["1.1"])
    for client in (*clients, own):
        assert names(client.read()) == [SUCCEEDED, "a", "b"]
    assert stage.pieces == 4


def test_a_large_piece_goes_to_few_clients_in_one_step(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(resumption, "SENT_AT_ONCE", 10_000)
    stage = CountedStage(app())
    start = position_of(stage, "long")
    for name in ("a", "b", "c"):
        stage.publish("long", name, "x" * 1_000)
    clients = [connect(stage) for _ in range(10)]
    for client in clients:
        ask_to_resume(client, "long", start)
    for client in clients:
        assert names(client.read()) == [SUCCEEDED, "a", "b", "c"]
    assert stage.pieces == 4, "three clients get 3 kB each in one step"


def test_many_replays_are_spread_over_loop_turns(monkeypatch: pytest.MonkeyPatch) -> None:
    stage = CountedStage(app())
    start = position_of(stage, "long")
    publish(stage, "long", "a")
    clients = [connect(stage) for _ in range(4 * READERS_AT_ONCE)]
    monkeypatch.setattr(stage.node.replay_queue, "_clock", iter(range(10_000)).__next__)  # each look takes a second
    for client in clients:
        ask_to_resume(client, "long", start)
    done = []
    while stage._soon:
        due, stage._soon = stage._soon, []
        for callback in due:
            callback()
        done.append(sum(not client.app.channels["long"].replays for client in clients[:1]) or stage.pieces)
    assert done[:4] == [1, 2, 3, 1]
    for client in clients:
        assert names(client.read()) == [SUCCEEDED, "a"]


class SlowBackplane(CountedStage):
    """A stage whose backplane answers when the test says so."""

    def __init__(self, *settings: Any) -> None:
        super().__init__(*settings)
        self.held: list[tuple[Any, Callable[[Any], None]]] = []

    def _count(self, query: Any, then: Callable[[Any], None]) -> None:
        self.held.append((query, then))

    def answer(self) -> None:
        held, self.held = self.held, []
        for query, then in held:
            self._ask(query, then)


def test_a_connection_has_one_piece_on_its_way_and_a_node_a_few() -> None:
    stage = SlowBackplane(msgspec.structs.replace(APP, history=(msgspec.structs.replace(RULES[1], channels=("*",)),)))
    start = position_of(stage, "a")
    channels = [f"channel-{number}" for number in range(20)]
    for channel in channels:
        publish(stage, channel, "e")
    client, others = connect(stage), [connect(stage) for _ in range(20)]
    for channel in channels:
        ask_to_resume(client, channel, start)
    stage.turn()
    assert len(stage.held) == 1
    for other, channel in zip(others, channels, strict=True):
        ask_to_resume(other, channel, start)
    stage.turn()
    assert len(stage.held) == resumption.QUESTIONS
    while stage.held:
        stage.answer()
        stage.turn()
    assert names(client.read()).count("e") == 20
    assert all(names(other.read()) == [SUCCEEDED, "e"] for other in others)


def test_a_piece_is_not_sent_to_a_client_whose_output_waits_meanwhile() -> None:
    stage = SlowBackplane(app())
    start = position_of(stage, "long")
    made = publish_large(stage, "long", 3)
    client = slow(stage)
    ask_to_resume(client, "long", start)
    stage.turn()
    client.take_output()
    stage.turn()
    stage.publish("long", "waits", ephemeral=True)
    stage.turn()
    stage.answer()
    assert names(client.take_output()) == ["waits"]
    stage.turn()
    stage.answer()
    assert names(client.take_output()) == made


def test_an_answer_for_a_reader_that_is_gone_goes_nowhere() -> None:
    stage = SlowBackplane(app())
    start = position_of(stage, "long")
    publish(stage, "long", "a")
    client = connect(stage)
    ask_to_resume(client, "long", start)
    stage.turn()
    client.say("pusher:unsubscribe", {"channel": "long"})
    ask_to_resume(client, "long", "?")
    stage.turn()
    stage.answer()
    assert names(client.read()) == [SUCCEEDED, SUCCEEDED]


class TestOwnEvents:
    """What a page has published excluding itself never comes back to it."""

    def test_published_with_an_earlier_socket_id_after_the_reconnect(self, stage: Stage) -> None:
        first = connect(stage)
        (answer,) = subscribe(first, "news", resume="")
        back, other = connect(stage), connect(stage)  # the server has not noticed yet that the first is gone
        subscribe(back, "news", resume=answer["position"], was=[first.socket_id])
        subscribe(other, "news", resume="", was=[first.socket_id, "1.2"])
        publish(stage, "news", "own", socket_id=first.socket_id)
        assert [names(client.read()) for client in (first, back, other)] == [[], [], []]
        first.vanish()
        other.vanish()
        publish(stage, "news", "own", socket_id=first.socket_id)
        assert names(back.read()) == []
        back.vanish()
        stage.turn()
        assert stage.app.former_connections == {}

    def test_missed_while_others_miss_them_too(self, stage: Stage) -> None:
        client = connect(stage)
        (answer,) = subscribe(client, "news", resume="")
        publish(stage, "news", "own", socket_id=client.socket_id)
        publish(stage, "news", "theirs")
        one, two = connect(stage), connect(stage)
        ask_to_resume(one, "news", answer["position"], was=[client.socket_id])
        ask_to_resume(two, "news", answer["position"])
        assert names(one.read()) == [SUCCEEDED, "theirs"]
        assert names(two.read()) == [SUCCEEDED, "own", "theirs"]


@pytest.mark.parametrize(("readers", "events"), [(1, 1_000), (50, 100)])
def test_the_work_for_readers_does_not_grow_with_readers_times_events(stage: Stage, readers: int, events: int) -> None:
    touched = 0

    class Place(int):
        """The place of an event among those of a loop turn."""

        def __eq__(self, other: object) -> bool:
            nonlocal touched
            touched += 1
            return int(self) == other

        def __hash__(self) -> int:
            nonlocal touched
            touched += 1
            return int(self)

    start = position_of(stage, "long")
    publish_large(stage, "long", 20)
    clients = [slow(stage) for _ in range(readers)]
    for client in clients:
        ask_to_resume(client, "long", start)
    stage.turn()
    channel = stage.app.channels["long"]
    for number in range(events):
        channel.queue(b"a kept event", kept=True)
        assert channel._kept is not None
        channel._kept[-1] = Place(number)
    channel.flush()
    assert 0 < touched <= 10 * (readers + events)
    assert all(b"a kept event" not in b"".join(client.writes) for client in clients)
