"""Random lives of a client that resumes: what its program is given, against what the server has published."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, Final

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from soundpost.client import Gap, Subscription
from soundpost.client.incoming import decode_frame
from soundpost.client.session import Session
from unit.test_client_session import Server, settle

SUCCEEDED: Final = "pusher_internal:subscription_succeeded"
Step = tuple[str, int]


@contextmanager
def small_queues(size: int) -> Iterator[None]:
    """Let few events wait for a reader, hold up nothing, and catch up at once."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("soundpost.client.event_queue.MAX_WAITING", size)
        patch.setattr("soundpost.client.event_queue._MAX_DELAY", 0.0)
        patch.setattr("soundpost.client.channel._CATCH_UP_INTERVAL", 0.0)
        yield


async def say(session: Session, message: dict[str, Any]) -> None:
    frame = decode_frame(json.dumps({"channel": "orders", "data": "{}", **message}))
    assert frame is not None
    await session.received(frame)
    await settle()


# A server that keeps the rules


@dataclass
class Published:
    """An event; ``offset`` is None as long as the authority over offsets is away."""

    name: str
    generation: int
    offset: int | None
    has_id: bool = False

    def message(self) -> dict[str, Any]:
        identity = {"id": f"id-{self.name}"} if self.has_id else {}
        place = {} if self.offset is None else {"position": f"g{self.generation}.{self.offset}"}
        return {"event": self.name, **identity, **place}


@dataclass
class World:
    """A server with a history of ``most`` events, and a client with a program that reads now and then."""

    most: int
    log: list[Published] = field(default_factory=list)
    kept: list[Published] = field(default_factory=list)
    on_the_way: list[dict[str, Any]] = field(default_factory=list)
    given: list[str | None] = field(default_factory=list)
    """Names of the events that the program was given, and None for each gap."""
    generation: int = 0
    top: int = 0
    floor: int = 0
    """Offset of the last event that is not kept any more."""
    reason: str = ""
    is_away: bool = False
    connections: int = 1
    answered: int = 0
    repeats: int = 0
    may_tell_too_much: bool = False

    async def live(self, steps: list[Step]) -> None:
        self.session = Session(None)
        self.peer = Server(self.session)
        self.subscription = Subscription(self.session.subscribe("orders"), self.session)
        self.subscription.__aiter__()
        self.peer.connect()
        self.is_connected = True
        await self.deliver(1)
        for name, number in steps:
            step: Callable[[int], Awaitable[None]] = getattr(self, name)
            await step(number)
        await self.calm_down()

    # What happens

    async def publish(self, number: int) -> None:
        for _ in range(number):
            event = Published(f"e{len(self.log)}", self.generation, None, has_id=self.is_away)
            self.log.append(event)
            if self.is_away:
                self.may_tell_too_much = True  # a known event may be too old to be kept
            else:
                self.keep(event)
            if self.is_connected and self.answered == self.asked:
                self.on_the_way.append(event.message())

    async def away(self, number: int) -> None:
        self.is_away = True

    async def back(self, number: int) -> None:
        self.is_away = False
        for event in self.log:
            if event.offset is None and event.generation == self.generation:
                self.keep(event)

    async def deliver(self, number: int) -> None:
        await settle()
        self.answer()
        for _ in range(number):
            if self.on_the_way:
                await say(self.session, self.on_the_way.pop(0))
                self.answer()

    async def cut(self, number: int) -> None:
        self.on_the_way.clear()
        if self.is_connected:
            self.session.lost()
            self.is_connected = False
            await settle()
            self.answered = self.asked

    async def connect(self, number: int) -> None:
        if not self.is_connected:
            self.connections += 1
            self.peer.socket_id = f"{self.connections}.1"
            self.peer.connect()
            self.is_connected = True
            await self.deliver(0)

    async def crash(self, number: int) -> None:
        """Lose the history, and tell who is connected."""
        self.generation += 1
        self.top = self.floor = number  # smaller than before, perhaps
        self.kept.clear()
        self.may_tell_too_much = True
        if self.is_connected and self.answered == self.asked:
            message = {"event": "soundpost:gap", "data": '{"reason":"generation"}', "position": self.head}
            self.on_the_way.append(message)

    async def delete(self, number: int) -> None:
        self.forget(len(self.kept), "deleted")

    async def repeat(self, number: int) -> None:
        """Send more than was asked for at the next resumption."""
        self.repeats = number

    async def read(self, number: int) -> None:
        for _ in range(number):
            before = self.subscription.position
            try:
                event = await self.subscription.next(timeout=0)
            except TimeoutError:
                return
            self.given.append(None if isinstance(event, Gap) else event.name)
            assert self.subscription.position == (event.position or before)

    async def calm_down(self) -> None:
        await self.back(0)
        await self.connect(0)
        seen = -1
        while seen != len(self.given) or self.on_the_way:
            seen = len(self.given)
            await self.deliver(1_000_000)
            await self.read(1_000_000)
            await self.deliver(0)

    # The history

    @property
    def head(self) -> str:
        return f"g{self.generation}.{self.top}"

    @property
    def asked(self) -> int:
        return len(self.peer.asked())

    def keep(self, event: Published) -> None:
        self.top += 1 + len(self.log) % 3  # offsets have holes
        event.offset = self.top
        self.kept.append(event)
        self.forget(len(self.kept) - self.most, "number")

    def forget(self, number: int, reason: str) -> None:
        for event in self.kept[: max(0, number)]:
            assert event.offset is not None
            self.floor, self.reason = event.offset, reason
        del self.kept[: max(0, number)]

    def answer(self) -> None:
        """Answer the subscriptions of this connection that have no answer yet."""
        requests = [data for name, data, _ in self.peer.sent if name == "pusher:subscribe"]
        for request in requests[self.answered :] if self.is_connected else []:
            self.answered += 1
            waiting = [event for event in self.log if event.offset is None and event.generation == self.generation]
            missed = [] if request["resume"] == "" else self.missed(request["resume"])
            if request["resume"] == "":
                self.on_the_way.append({"event": SUCCEEDED, "position": self.head})
            elif isinstance(missed, str):
                self.on_the_way.append({"event": SUCCEEDED, "gap": missed, "position": self.head})
                missed = []
            else:
                accepted = {"event": SUCCEEDED, "resumed": len(missed), "position": request["resume"]}
                self.on_the_way.append(accepted)
                more = [event for event in self.kept if event not in missed]
                missed = more[len(more) - self.repeats :] + missed
                self.repeats = 0
            self.on_the_way += [event.message() for event in [*missed, *waiting]]

    def missed(self, resume: str) -> list[Published] | str:
        """Return the events after a position, or the reason of the gap."""
        generation, _, offset = resume.partition(".")
        if generation != f"g{self.generation}":
            return "generation"
        if int(offset) < self.floor:
            return self.reason
        return [event for event in self.kept if event.offset is not None and event.offset > int(offset)]


def check(world: World) -> None:
    """Each event once and in order; a gap where some are missing, and nowhere else."""
    numbers = {event.name: number for number, event in enumerate(world.log)}
    last, has_gap = -1, False
    for name in [*world.given, "the end"]:
        if name is None:
            has_gap = True
            continue
        number = numbers.get(name, len(world.log))
        assert number > last, f"{name} came twice or late: {world.given}"
        assert has_gap or number == last + 1, f"nothing was told of what is missing before {name}: {world.given}"
        assert not has_gap or number > last + 1 or world.may_tell_too_much, f"a gap before {name}: {world.given}"
        last, has_gap = number, False


STEPS: Final = st.lists(
    st.one_of(
        st.tuples(st.just("publish"), st.integers(1, 12)),
        st.tuples(st.just("deliver"), st.integers(1, 15)),
        st.tuples(st.just("read"), st.integers(1, 15)),
        st.tuples(st.sampled_from(["cut", "connect", "delete", "away", "back"]), st.just(0)),
        st.tuples(st.just("crash"), st.integers(0, 9)),
        st.tuples(st.just("repeat"), st.integers(1, 5)),
    ),
    max_size=40,
)


@settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(steps=STEPS, most=st.integers(1, 12), queue=st.sampled_from([4, 10, 1_000]))
def test_a_program_gets_each_event_once_or_is_told_of_a_gap(steps: list[Step], most: int, queue: int) -> None:
    world = World(most)
    with small_queues(queue):
        asyncio.run(world.live(steps))
    check(world)


# A server that says anything


Place = tuple[str, int]


@dataclass
class Rules:
    """The client's rules, as the wire format has them; ``given`` is what a program gets."""

    at: Place | None = None
    is_lost: bool = False
    is_subscribed: bool = False
    ids: list[str] = field(default_factory=list)
    given: list[str] = field(default_factory=list)

    @property
    def resume(self) -> str:
        if self.at is not None:
            return f"{self.at[0]}.{self.at[1]}"
        return "?" if self.is_lost else ""

    def hear(self, message: dict[str, Any]) -> None:
        place = place_of(message.get("position"))
        if message["event"] == SUCCEEDED:
            self.is_subscribed = True
            self.accept(message, place)
        elif place is None and self.resume == "":
            self.given.append(message["event"])
        elif message["event"] == "soundpost:gap":
            if self.is_subscribed:
                self.tell(json.loads(message["data"])["reason"], message, place)
        elif place is None and "id" not in message:
            self.given.append(message["event"])
        elif self.is_subscribed:
            self.take(message, place)

    def accept(self, message: dict[str, Any], place: Place | None) -> None:
        if "gap" in message:
            self.tell(message["gap"], message, place)
        elif self.resume == "":
            self.at = place
        elif self.at is None or "resumed" not in message or (place is not None and place[0] != self.at[0]):
            self.given.append("gap unknown")
            self.at, self.is_lost = place, False
        elif place is not None:
            self.at = max(self.at, place)

    def tell(self, reason: str, message: dict[str, Any], place: Place | None) -> None:
        self.given.append(f"gap {reason}")
        if place is None or self.at is None or place[0] != self.at[0] or place[1] > self.at[1]:
            self.at = place
        self.is_lost = self.at is None and message.get("position") is not None

    def take(self, message: dict[str, Any], place: Place | None) -> None:
        id = message.get("id")
        if place is not None and self.at is not None and place[0] == self.at[0] and place[1] <= self.at[1]:
            return
        if place is not None and self.at is not None and place[0] != self.at[0]:
            self.given.append("gap unknown")
        if id not in self.ids:
            self.given.append(message["event"])
            self.ids += [id] if id is not None else []
        if place is not None:
            self.at, self.is_lost = place, False


def place_of(position: str | None) -> Place | None:
    if position is None or position == "nowhere":
        return None
    generation, offset = position.split(".")
    return generation, int(offset)


def optional(name: str, values: st.SearchStrategy[Any]) -> st.SearchStrategy[dict[str, Any]]:
    return st.one_of(st.just({}), values.map(lambda value: {name: value}))


POSITIONS: Final = st.one_of(
    st.tuples(st.sampled_from("gh"), st.integers(0, 9)).map(lambda place: f"{place[0]}.{place[1]}"),
    st.just("nowhere"),
)
REASONS: Final = st.sampled_from(["age", "generation"])
MESSAGES: Final = st.one_of(
    st.tuples(
        st.just({"event": SUCCEEDED}),
        optional("resumed", st.integers(0, 3)),
        optional("gap", REASONS),
        optional("position", POSITIONS),
    ),
    st.tuples(st.just({"event": "e"}), optional("id", st.sampled_from("abc")), optional("position", POSITIONS)),
    st.tuples(
        REASONS.map(lambda reason: {"event": "soundpost:gap", "data": json.dumps({"reason": reason})}),
        optional("position", POSITIONS),
    ),
).map(lambda parts: {name: value for part in parts for name, value in part.items()})


@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(talk=st.lists(st.one_of(MESSAGES, st.just({"event": "a new connection"})), max_size=25))
def test_whatever_a_server_says_the_client_keeps_to_its_rules(talk: list[dict[str, Any]]) -> None:
    asyncio.run(listen(talk))


async def listen(talk: list[dict[str, Any]]) -> None:
    session, rules = Session(None), Rules()
    peer = Server(session)
    subscription = Subscription(session.subscribe("orders"), session)
    subscription.__aiter__()
    peer.connect()
    await settle()
    for message in talk:
        if message["event"] == "a new connection":
            session.lost()
            rules.is_subscribed = False
            peer.connect()
            await settle()
            assert [data for name, data, _ in peer.sent if name == "pusher:subscribe"][-1]["resume"] == rules.resume
        else:
            await say(session, message)
            rules.hear(message)
    given: list[str] = []
    while len(given) < len(rules.given):
        event = await subscription.next(timeout=1)
        given.append(f"gap {event.reason}" if isinstance(event, Gap) else event.name)
    assert given == rules.given
    with pytest.raises(TimeoutError):
        await subscription.next(timeout=0)
