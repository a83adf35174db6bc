"""Handlers of webhooks: decorators, arguments, failures, and events that come again."""

from __future__ import annotations

import asyncio
import logging
import threading
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from typing import Any

import pytest
from pydantic import BaseModel

from soundpost import webhooks as module
from soundpost.errors import RouteError
from soundpost.webhooks import (
    ClientEvent,
    MemberAdded,
    MemberRemoved,
    OtherEvent,
    SeenInMemory,
    SeenInRedis,
    SubscriptionCount,
    UserOffline,
    UserOnline,
    WebhookEvent,
    Webhooks,
)


@dataclass
class Like:
    """Data of a client event."""

    stars: int


class Rating(BaseModel):
    """Data of a client event."""

    stars: int


def member(room: int = 7, **more: Any) -> MemberAdded:
    return MemberAdded(**{"channel": f"presence-room.{room}", "user_id": "5", "id": "1-0", **more})


def like(data: str = '{"stars":3}', event: str = "client-like", **more: Any) -> ClientEvent:
    return ClientEvent(
        **{"channel": "private-post.3", "event": event, "data": data, "id": "1-1", "user_id": "5", **more}
    )


@pytest.fixture
def webhooks() -> Webhooks:
    return Webhooks()


@pytest.fixture
def calls() -> list[Any]:
    return []


class TestArguments:
    def test_parameters_of_the_pattern_and_fields_by_name(self, webhooks: Webhooks, calls: list[Any]) -> None:
        @webhooks.on("member_added", "presence-room.{room:int}")
        def joined(room: int, user_id: str, event: Any) -> None:
            calls.append((room, user_id, event))

        event = member()
        assert webhooks.handle([event]) == []
        assert calls == [(7, "5", event)]

    def test_the_event_by_its_annotation(self, webhooks: Webhooks, calls: list[Any]) -> None:
        @webhooks.on("user_online")
        def online(who: UserOnline, user_id: str) -> None:
            calls.append((who.user_info, user_id))

        webhooks.handle([UserOnline(user_id="5", user_info={"name": "Ann"})])
        assert calls == [({"name": "Ann"}, "5")]

    def test_a_parameter_of_the_pattern_goes_before_a_field(self, webhooks: Webhooks, calls: list[Any]) -> None:
        @webhooks.on("channel_vacated", "private-{user_id:int}.inbox")
        def left(user_id: int) -> None:
            calls.append(user_id)

        webhooks.handle([module.ChannelVacated(channel="private-8.inbox")])
        assert calls == [8]

    @pytest.mark.parametrize("annotation", [Like, Rating])
    def test_data_are_checked_by_the_annotation(
        self, webhooks: Webhooks, calls: list[Any], annotation: Any, caplog: pytest.LogCaptureFixture
    ) -> None:
        def liked(post, data) -> None:  # type: ignore[no-untyped-def]
            calls.append((post, data))

        liked.__annotations__["data"] = annotation
        webhooks.on("client_event", "private-post.{post:int}", event="client-like")(liked)
        with caplog.at_level(logging.INFO, "soundpost.webhooks"):
            assert webhooks.handle([like(), like('{"stars":"many"}', id="1-2"), like("x", id="1-3")]) == []
        assert calls == [(3, annotation(stars=3))]
        assert "its data is wrong" in caplog.text

    def test_data_without_annotation_are_any_json(self, webhooks: Webhooks, calls: list[Any]) -> None:
        @webhooks.on("client_event")
        def said(data, event: str) -> None:  # type: ignore[no-untyped-def]
            calls.append((event, data))

        webhooks.handle([like("[1]"), like("hello", "client-hello", id="2")])
        assert calls == [("client-like", [1]), ("client-hello", "hello")]

    def test_a_star_handles_events_of_all_names(self, webhooks: Webhooks, calls: list[Any]) -> None:
        @webhooks.on("*")
        def all_of_them(event: WebhookEvent) -> None:
            calls.append(event.name)

        webhooks.handle([member(), OtherEvent(name="of_tomorrow")])
        assert calls == ["member_added", "of_tomorrow"]

    def test_a_function_with_two_decorators(self, webhooks: Webhooks, calls: list[Any]) -> None:
        @webhooks.on("member_added", "presence-*")
        @webhooks.on("member_removed", "presence-*")
        def changed(event: MemberAdded | module.MemberRemoved, channel: str) -> None:
            calls.append((event.name, channel))

        webhooks.handle([member(), module.MemberRemoved(channel="presence-a.b", user_id="1")])
        assert calls == [("member_added", "presence-room.7"), ("member_removed", "presence-a.b")]


class TestMatches:
    @pytest.mark.parametrize(
        ("pattern", "channel", "matches"),
        [
            ("presence-room.{room:int}", "presence-room.7", True),
            ("presence-room.{room:int}", "presence-room.x", False),
            ("presence-room.{room:int}", "presence-room.7.8", False),
            ("presence-*", "presence-room.7.8", True),
            ("*", "presence-cache-a", True),
            ("{kind}-room.{room}", "presence-room.7", True),
            ("presence-room", "presence-rooms", False),
        ],
    )
    def test_patterns_are_of_whole_full_names(
        self, webhooks: Webhooks, pattern: str, channel: str, matches: bool
    ) -> None:
        names = {"{room:int}": "room: int", "{kind}-room.{room}": "kind: str, room: str"}
        parameters = next((names[each] for each in names if each in pattern), "")
        scope: dict[str, Any] = {}
        exec(f"def handler({parameters}): pass", scope)
        webhooks.on("member_added", pattern)(scope["handler"])
        (handler,) = webhooks
        assert (handler.match(MemberAdded(channel=channel, user_id="1")) is not None) is matches

    def test_only_the_named_client_event(self, webhooks: Webhooks, calls: list[Any]) -> None:
        webhooks.on("client_event", "private-post.3", event="client-like")(lambda event: calls.append(event.event))
        webhooks.handle([like(), like(event="client-hate"), like(channel="private-post.4")])
        assert calls == ["client-like"]


def plain() -> None:
    """Do nothing."""


def with_unknown(wrong: int) -> None:
    """Do nothing."""


def with_wrong_event(event: MemberAdded) -> None:
    """Do nothing."""


def with_foreign_data(data: threading.Thread) -> None:
    """Do nothing."""


def with_later_data(data: Later) -> None:  # type: ignore[name-defined]  # noqa: F821 - defined nowhere
    """Do nothing."""


def with_rest(**rest: Any) -> None:
    """Do nothing."""


def with_yield(event: Any) -> Any:
    yield


async def with_async_yield(event: Any) -> Any:
    yield


class WithYield:
    """A handler that is an object."""

    def __call__(self, event: Any) -> Any:
        yield


class TestWrongDecorators:
    @pytest.mark.parametrize(
        ("arguments", "options", "function", "reason"),
        [
            (["member_aded"], {}, plain, "'member_aded' is not the name of an event; did you mean 'member_added'?"),
            (["x"], {}, plain, "known are channel_occupied, .*, and '\\*' for all"),
            (["client-like"], {}, plain, r"write on\('client_event', …, event='client-like'\)"),
            (["user_online", "private-*"], {}, plain, "user_online is about no channel: leave out 'private-\\*'"),
            (["member_added", "room.{room}"], {}, plain, "begin with 'presence-': write 'presence-room.{room}'"),
            (["client_event", "post"], {}, plain, "begin with 'private-' or 'presence-': write 'private-post'"),
            (["cache_miss", "private-a"], {}, plain, "write 'private-cache-a'"),
            (["member_added", "presence-{a:long}"], {}, plain, "webhook handler .* unknown converter 'long'"),
            (["member_added", "presence-{room}"], {}, plain, "no parameter 'room', .* add it, or write '\\*' there"),
            (["channel_occupied", ""], {}, plain, "a name is needed"),
            (["member_added"], {"event": "client-x"}, plain, "event='client-x' is for 'client_event', not for 'member"),
            (["client_event"], {"event": "x"}, plain, "begin with 'client-': write 'client-x'"),
            (
                ["member_added"],
                {},
                with_unknown,
                "its parameter 'wrong' is unknown; .* may have the parameters event, id",
            ),
            (["user_online"], {}, with_wrong_event, "annotated with MemberAdded, .* are UserOnline: annotate it so"),
            (
                ["client_event"],
                {},
                with_foreign_data,
                "'data: threading.Thread' is not a type that JSON can be read into",
            ),
            (["client_event"], {}, with_later_data, "'Later' of 'data' is not defined here"),
            (
                [["user_online", "user_offline"]],
                {},
                plain,
                "'user_offline'] is not text: write a decorator for each event",
            ),
            (
                ["user_online", "user_offline"],
                {},
                plain,
                "'user_offline' is an event, not a channel: write a decorator",
            ),
            ([None], {}, plain, "None is not text: write a decorator for each event"),
            (
                ["member_added", ["presence-a"]],
                {},
                plain,
                "is not text: write a decorator for each event and each pattern",
            ),
            *(
                (["member_added"], {}, function, "it has a 'yield', so a call would run none of it: remove")
                for function in (with_yield, with_async_yield, partial(with_yield), WithYield())
            ),
            (["member_added"], {}, with_rest, r"its parameter '\*\*rest: .*' gets no arguments: write each parameter"),
        ],
    )
    def test_the_sentence_names_the_way_out(
        self, webhooks: Webhooks, arguments: list[str], options: dict[str, str], function: Any, reason: str
    ) -> None:
        with pytest.raises(RouteError, match=reason) as caught:
            webhooks.on(*arguments, **options)(function)
        assert str(caught.value).startswith("webhook handler ")
        assert len(webhooks) == 0

    def test_a_decorator_without_parentheses(self, webhooks: Webhooks) -> None:
        with pytest.raises(
            RouteError, match=r"plain: the decorator needs the name of an event: @webhooks.on\('member_added'\)"
        ):
            webhooks.on(plain)  # type: ignore[arg-type]

    def test_what_is_no_function(self, webhooks: Webhooks) -> None:
        with pytest.raises(RouteError, match="webhook handler of 'member_added': 5 is not a function"):
            webhooks.on("member_added")(5)  # type: ignore[type-var]

    def test_handlers_of_a_module_that_fails_are_removed(self, webhooks: Webhooks) -> None:
        webhooks.on("user_online")(plain)
        with suppress(ZeroDivisionError), webhooks.all_or_none():
            webhooks.on("user_offline")(plain)
            raise ZeroDivisionError
        assert [handler.event_name for handler in webhooks] == ["user_online"]

    def test_a_reloaded_function_replaces_the_former_one(self, webhooks: Webhooks) -> None:
        webhooks.on("user_online")(plain)
        webhooks.on("user_online")(plain)
        assert len(webhooks) == 1

    def test_functions_of_one_name_do_not_replace_each_other(self, webhooks: Webhooks) -> None:
        webhooks.on("user_online")(lambda user_id: None)
        with pytest.raises(RouteError, match=r"<lambda> \(user_online\): another function has this name"):
            webhooks.on("user_online")(lambda event: None)
        webhooks.on("user_offline")(lambda event: None)
        webhooks.on("user_online")(partial(plain))
        with pytest.raises(RouteError, match=r"functools.partial \(user_online\): another function has this name"):
            webhooks.on("user_online")(partial(plain))

    def test_an_application_that_is_made_again_has_its_handlers_once(
        self, webhooks: Webhooks, calls: list[Any]
    ) -> None:
        def make(number: int) -> None:
            webhooks.on("user_online")(lambda user_id: calls.append(number))

        make(1)
        make(2)
        webhooks.handle([UserOnline(user_id="1")])
        assert calls == [2]


class TestFailures:
    def test_all_others_run_and_only_the_failed_one_is_called_again(
        self, webhooks: Webhooks, calls: list[Any], caplog: pytest.LogCaptureFixture
    ) -> None:
        broken = [True]

        @webhooks.on("member_added")
        def first(user_id: str) -> None:
            calls.append(f"first {user_id}")

        @webhooks.on("member_added")
        def second(user_id: str) -> None:
            if broken:
                raise ValueError("no database")
            calls.append(f"second {user_id}")

        @webhooks.on("member_added")
        async def third(user_id: str) -> None:
            calls.append(f"third {user_id}")

        events = [member(), member(8, user_id="6", id="1-1")]
        failures = webhooks.handle(events)
        assert [(each.event.id, type(each.error)) for each in failures] == [("1-0", ValueError), ("1-1", ValueError)]
        assert calls == ["first 5", "third 5", "first 6", "third 6"]
        assert "second (member_added) failed for member_added on presence-room.7" in caplog.text
        assert "no database" in caplog.text
        broken.clear()
        calls.clear()
        assert webhooks.handle(events) == []
        assert calls == ["second 5", "second 6"]
        assert webhooks.handle(events) == []
        assert calls == ["second 5", "second 6"]

    def test_later_events_of_the_same_channel_or_user_wait_for_the_failed_one(
        self, webhooks: Webhooks, calls: list[Any]
    ) -> None:
        fails = [True]

        @webhooks.on("member_added")
        @webhooks.on("user_online")
        def came(event: WebhookEvent) -> None:
            if fails[0] and event.id in ("1", "4"):
                raise OSError("the database is locked")
            calls.append(f"came {event.id}")

        @webhooks.on("member_removed")
        @webhooks.on("user_offline")
        def gone(event: WebhookEvent) -> None:
            calls.append(f"gone {event.id}")

        events = [
            member(id="1"),
            MemberRemoved(channel="presence-room.7", user_id="5", id="2"),
            member(room=8, id="3"),
            UserOnline(user_id="5", id="4"),
            UserOffline(user_id="5", id="5"),
            UserOnline(user_id="6", id="6"),
        ]
        assert [failure.event.id for failure in webhooks.handle(events)] == ["1", "4"]
        assert calls == ["came 3", "came 6"]
        fails[0] = False
        assert webhooks.handle(events) == []
        assert calls[2:] == ["came 1", "gone 2", "came 4", "gone 5"]

    async def test_synchronous_handlers_run_in_a_thread_and_others_in_the_loop(
        self, webhooks: Webhooks, calls: list[Any]
    ) -> None:
        @webhooks.on("user_online")
        def blocking() -> None:
            calls.append(threading.current_thread() is threading.main_thread())

        @webhooks.on("user_online")
        async def quick() -> None:
            calls.append(asyncio.get_running_loop())

        assert await webhooks.ahandle([UserOnline(user_id="1")]) == []
        assert calls == [False, asyncio.get_running_loop()]

    async def test_an_event_that_comes_again_while_its_handler_works_fails(
        self, webhooks: Webhooks, calls: list[Any]
    ) -> None:
        begun, go_on = asyncio.Event(), asyncio.Event()

        @webhooks.on("member_added")
        async def slow() -> None:
            calls.append("begun")
            begun.set()
            await go_on.wait()

        first = asyncio.create_task(webhooks.ahandle([member()]))
        await begun.wait()
        async with asyncio.timeout(5):
            (failure,) = await webhooks.ahandle([member()])
        assert "still handling the event" in str(failure.error)
        go_on.set()
        assert await first == []
        assert await webhooks.ahandle([member()]) == []
        assert calls == ["begun"]

    def test_events_without_an_id_are_handled_each_time(self, webhooks: Webhooks, calls: list[Any]) -> None:
        webhooks.on("subscription_count")(lambda subscription_count: calls.append(subscription_count))
        event = SubscriptionCount(channel="a", subscription_count=3)
        webhooks.handle([event, event])
        assert calls == [3, 3]

    @pytest.mark.parametrize("function", [with_yield, with_async_yield])
    def test_a_generator_of_which_nothing_has_run_is_a_failure(
        self, webhooks: Webhooks, function: Any, caplog: pytest.LogCaptureFixture
    ) -> None:
        webhooks.on("member_added")(lambda event: function(event))
        (failure,) = webhooks.handle([member()])
        assert "returned a generator, of which nothing has run: leave out the 'yield'" in str(failure.error)
        assert str(failure.error) in caplog.text


class TestWrongEvents:
    EVENT = OtherEvent(id="1", name="x", time_ms=0)

    @pytest.mark.parametrize(
        ("given", "kind"),
        [(None, "NoneType"), (EVENT, "OtherEvent"), ([EVENT, {"name": "x"}], "dict"), (b"{}", "bytes")],
    )
    async def test_what_is_no_list_of_events_is_refused(self, webhooks: Webhooks, given: Any, kind: str) -> None:
        reason = f"a list of events is expected, such as parse.body. returns, not {kind}"
        with pytest.raises(TypeError, match=reason):
            webhooks.handle(given)
        with pytest.raises(TypeError, match=reason):
            await webhooks.ahandle(given)


class TestRepetitions:
    def test_keys_are_forgotten_after_ten_minutes(self) -> None:
        now = [0.0]
        seen = SeenInMemory(clock=lambda: now[0])
        seen.add("a")
        now[0] = 599.0
        assert seen.has("a")
        now[0] = 600.0
        assert not seen.has("a")
        seen.add("b")
        assert len(seen) == 1

    def test_the_oldest_keys_are_forgotten_above_the_limit(self) -> None:
        seen = SeenInMemory(size=3)
        for key in "abcd":
            seen.add(key)
        assert [seen.has(key) for key in "abcd"] == [False, True, True, True]

    @pytest.mark.parametrize("make", [SeenInMemory, partial(SeenInRedis, None)])
    @pytest.mark.parametrize("wrong", [{"seconds": 0}, {"seconds": -1}, {"seconds": float("nan")}])
    def test_a_memory_without_a_time_is_refused(self, make: Any, wrong: dict[str, Any]) -> None:
        with pytest.raises(ValueError, match="a time for which keys are remembered is expected"):
            make(**wrong)

    @pytest.mark.parametrize("client", ["redis://localhost", None])
    def test_what_is_no_client_of_redis_is_refused(self, client: Any) -> None:
        with pytest.raises(TypeError, match=f"a client of the type {type(client).__name__}: one of redis is expected"):
            SeenInRedis(client)

    @pytest.mark.parametrize("size", [0, -1])
    def test_a_memory_without_a_place_is_refused(self, size: int) -> None:
        with pytest.raises(ValueError, match="a memory for at least one key is expected"):
            SeenInMemory(size=size)

    def test_a_process_remembers_ten_thousand(self) -> None:
        seen = SeenInMemory()
        for number in range(10_001):
            seen.add(str(number))
        assert len(seen) == 10_000

    async def test_a_shared_memory_may_be_asynchronous(self, webhooks: Webhooks, calls: list[Any]) -> None:
        class Shared:
            keys: set[str] = set()  # noqa: RUF012 - shared by all

            async def has(self, key: str) -> bool:
                return key in self.keys

            async def add(self, key: str) -> None:
                self.keys.add(key)

        other = Webhooks(seen=Shared())
        webhooks.seen = Shared()
        for each in (webhooks, other):
            each.on("member_added")(plain_user(calls))
        await webhooks.ahandle([member()])
        await other.ahandle([member()])
        assert calls == ["5"]
        assert all(key.isalnum() and len(key) == 40 for key in Shared.keys)

    def test_a_memory_that_fails_stops_no_event(
        self, webhooks: Webhooks, calls: list[Any], caplog: pytest.LogCaptureFixture
    ) -> None:
        class Broken:
            def has(self, key: str) -> bool:
                raise ConnectionError("no Redis")

            add = has

        webhooks.seen = Broken()
        webhooks.on("member_added")(plain_user(calls))
        assert webhooks.handle([member()]) == []
        assert calls == ["5"]
        assert caplog.text.count("webhooks.seen failed: events that are sent again may be handled twice") == 1

    @pytest.mark.parametrize("given", [5, None, {"a"}])
    def test_what_is_no_memory_is_refused(self, webhooks: Webhooks, given: Any) -> None:
        with pytest.raises(TypeError, match=f"seen is of type {type(given).__name__}: .* has.key. and add.key."):
            webhooks.seen = given

    def test_the_module_stands_for_the_handlers_of_the_process(self) -> None:
        before = module.default.seen
        mine = SeenInMemory()
        try:
            module.seen = mine
            assert module.default.seen is mine
            assert module.seen is mine
        finally:
            module.seen = before


def plain_user(calls: list[Any]) -> Any:
    def user(user_id: str) -> None:
        calls.append(user_id)

    return user
