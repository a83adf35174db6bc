"""Positions and kept events in an application: read from a real server, from the embedded one, or from none."""

from __future__ import annotations

import asyncio
import base64
from collections.abc import Callable, Iterator
from contextlib import nullcontext
from typing import Any

import msgspec
import pytest

from soundpost import Broadcaster, Channel, EncryptedPrivateChannel, Event, History, PrivateChannel
from soundpost.asgi import App
from soundpost.core.app_settings import HistorySettings
from soundpost.errors import ConfigurationError, PayloadError, RequestError
from soundpost.wire.signatures import channel_text, sign
from support.harness import DEFAULT_APP, RunningServer, running_server
from support.misbehaving_server import answer, answering, misbehaving
from support.raw_socket import TIMEOUT
from support.redis_process import free_port

KEY = base64.b64encode(b"k" * 32).decode()
APP = msgspec.structs.replace(DEFAULT_APP, history=(HistorySettings(channels=("kept*", "private-*"), events=50),))
Call = Callable[..., Any]


@pytest.fixture(scope="module")
def server() -> Iterator[RunningServer]:
    with running_server(apps=[APP]) as running:
        yield running


def for_server(port: int, **options: Any) -> Broadcaster:
    broadcaster = Broadcaster()
    broadcaster.configure(app_id=APP.id, key=APP.key, secret=APP.secret, port=port, timeout=TIMEOUT, **options)
    return broadcaster


@pytest.fixture
def broadcaster(server: RunningServer) -> Iterator[Broadcaster]:
    made = for_server(server.port, encryption_master_key=KEY)
    made.delete_history("*")
    yield made
    made.close()


@pytest.fixture(params=["sync", "async"])
def call(request: pytest.FixtureRequest, broadcaster: Broadcaster) -> Call:
    """Call a method by name, in its blocking or its asynchronous form."""

    def by(method: str, *args: Any, on: Broadcaster = broadcaster, **options: Any) -> Any:
        if request.param == "sync":
            return getattr(on, method)(*args, **options)

        async def run() -> Any:
            try:
                return await getattr(on, f"a{method}")(*args, **options)
            finally:
                await on.aclose()

        return asyncio.run(run())

    return by


class Written(Event, on=Channel("kept")):
    id: int


class Typing(Event, on=Channel("kept"), ephemeral=True):
    user: str


def names(history: History) -> list[str]:
    return [event.name for event in history.events]


def test_kept_events_with_their_data_and_positions(broadcaster: Broadcaster, call: Call) -> None:
    broadcaster(Written(7))
    broadcaster.publish("kept", "Said", "text")
    first, second = call("history", Channel("kept")).events
    assert (first.name, first.channel, first.data, first.json) == ("Written", "kept", {"id": 7}, '{"id":7}')
    assert (second.data, second.json) == ("text", '"text"')
    assert call("history", "kept", after=first.position).events == (second,)
    assert call("history", "kept", after=second.position) == History((), second.position)


def test_page_by_page_and_newest_first(broadcaster: Broadcaster, call: Call) -> None:
    for name in "abc":
        broadcaster.publish("kept", name)
    page = call("history", "kept", limit=2)
    assert (names(page), page.more, page.whole) == (["a", "b"], True, True)
    rest = call("history", "kept", after=page.position, limit=2)
    assert (names(rest), rest.more) == (["c"], False)
    assert names(call("history", "kept", limit=2, newest_first=True)) == ["c", "b"]


def test_a_gap_is_told(broadcaster: Broadcaster, call: Call) -> None:
    broadcaster.publish("kept", "a")
    before = broadcaster.history("kept").position
    for number in range(51):
        broadcaster.publish("kept", f"n{number}")
    page = call("history", "kept", after=before)
    assert (page.whole, page.gap, page.events) == (False, "number", ())
    assert page.position == call("position", "kept")


def test_a_position_to_go_on_after(broadcaster: Broadcaster, call: Call) -> None:
    broadcaster.publish("kept", "before")
    position = call("position", "kept")
    broadcaster.publish("kept", "after")
    assert names(call("history", "kept", after=position)) == ["after"]
    assert call("position", "news") is None


def test_positions_of_several_channels(broadcaster: Broadcaster, call: Call) -> None:
    broadcaster.publish("kept", "a")
    position = broadcaster.position("kept")
    wanted = ["kept", PrivateChannel("orders.7"), "news"]
    assert call("positions", wanted) == {"kept": position, "private-orders.7": position}
    many = [f"kept-{number}-{'=' * 180}" for number in range(90)]
    assert list(call("positions", many)) == many
    assert call("positions", []) == {}


def test_events_that_are_not_kept(broadcaster: Broadcaster) -> None:
    broadcaster(Typing("ann"))
    broadcaster(Written(1), ephemeral=True)
    broadcaster.publish("kept", "said", ephemeral=True)
    with broadcaster.batch():
        broadcaster(Typing("bob"))
        broadcaster(Typing("eve"), ephemeral=False)
        broadcaster(Written(2))
    assert [event.data for event in broadcaster.history("kept").events] == [{"user": "eve"}, {"id": 2}]


def test_a_deleted_history(broadcaster: Broadcaster, call: Call) -> None:
    for channel in ("kept-1", "kept-2", "private-a"):
        broadcaster.publish(channel, "e")
    call("delete_history", "kept-1")
    assert [names(broadcaster.history(channel)) for channel in ("kept-1", "kept-2")] == [[], ["e"]]
    call("delete_history", "kept*")
    assert [names(broadcaster.history(channel)) for channel in ("kept-2", "private-a")] == [[], ["e"]]


def test_data_of_encrypted_channels_is_opened_where_the_key_fits(
    server: RunningServer, broadcaster: Broadcaster, call: Call
) -> None:
    channel = EncryptedPrivateChannel("notes")
    broadcaster.publish(channel, "Noted", {"text": "secret"})
    (event,) = call("history", channel).events
    assert (event.data, event.json) == ({"text": "secret"}, '{"text":"secret"}')
    for key in ("", base64.b64encode(b"z" * 32).decode()):
        (sealed,) = for_server(server.port, encryption_master_key=key).history(channel).events
        assert set(sealed.data) == {"nonce", "ciphertext"}


@pytest.mark.parametrize("in_batch", [False, True])
def test_the_first_event_under_a_new_master_key_deletes_what_the_old_key_encrypted(
    server: RunningServer, broadcaster: Broadcaster, in_batch: bool
) -> None:
    notes, others = EncryptedPrivateChannel("notes"), EncryptedPrivateChannel("others")
    for channel in (notes, others):
        broadcaster.publish(channel, "Noted", {"text": "old"})
    (old,) = broadcaster.history(notes).events
    rotated = for_server(server.port, encryption_master_key=base64.b64encode(b"z" * 32).decode())
    with rotated.batch() if in_batch else nullcontext():
        rotated.publish(notes, "Noted", {"text": "new"})
        rotated.publish(notes, "Noted", {"text": "newer"})
    assert [event.data for event in rotated.history(notes).events] == [{"text": "new"}, {"text": "newer"}]
    assert rotated.history(notes, after=old.position).gap is None
    assert rotated.history(notes, after=f"{old.position.partition('.')[0]}.1").gap == "deleted"
    assert names(rotated.history(others)) == ["Noted"]  # until its first event
    rotated.close()


def test_a_new_member_reads_the_past_unless_the_history_is_deleted_first(
    server: RunningServer, broadcaster: Broadcaster
) -> None:
    def missed_by_a_new_member(resume: str | None) -> Any:
        with server.connect() as client:
            signature = channel_text(client.socket_id, "private-team.7")
            auth = f"{APP.key}:{sign(APP.secret, signature)}"
            client.send_event("pusher:subscribe", {"channel": "private-team.7", "auth": auth, "resume": resume})
            answer = client.read_event()
            return answer.get("gap") or [client.read_event()["event"] for _ in range(answer.get("resumed", 0))]

    before = broadcaster.position("private-team.7")
    assert before is not None
    broadcaster.publish("private-team.7", "Said")
    assert missed_by_a_new_member(resume="") == []
    assert missed_by_a_new_member(resume=before) == ["Said"]
    had_everything = broadcaster.history("private-team.7").position
    broadcaster.delete_history("private-team.7")
    broadcaster.publish("private-team.7", "Welcome")
    assert missed_by_a_new_member(resume=before) == "deleted"
    assert missed_by_a_new_member(resume=had_everything) == ["Welcome"]


def test_a_channel_without_history_has_none_to_read(call: Call) -> None:
    for method in ("history", "delete_history"):
        with pytest.raises(
            RequestError, match=r"news keeps no history: name channels in \[\[apps\.history\]\]"
        ) as caught:
            call(method, "news")
        assert caught.value.status == 404


def test_what_cannot_be_asked_for_is_named(call: Call) -> None:
    with pytest.raises(RequestError, match="limit='0': expected a whole number from 1 to 1000"):
        call("history", "kept", limit=0)
    with pytest.raises(RequestError, match="after: 'x' is not a position"):
        call("history", "kept", after="x")
    for method in ("position", "history", "delete_history"):
        with pytest.raises(PayloadError, match=r"several channels are given, .*positions\(…\)"):
            call(method, ["kept", "other"])
    with pytest.raises(PayloadError):
        call("position", None)
    with pytest.raises(ConfigurationError, match="no connection is named 'other'"):
        call("positions", "kept", via="other")


def test_the_server_is_away(call: Call) -> None:
    away = for_server(free_port())
    for method in ("position", "positions", "history", "delete_history"):
        with pytest.raises(RequestError, match="is the server running"):
            call(method, "kept", on=away)


@pytest.mark.parametrize(
    "body",
    [
        b"{}",
        b'{"position":"a.1","whole":true,"events":[{}]}',
        b'{"position":1,"whole":true,"events":[]}',
        b'{"events":1}',
    ],
)
def test_an_answer_without_a_history_is_named(call: Call, body: bytes) -> None:
    with misbehaving(answering(answer(200, body))) as other:
        broadcaster = for_server(other.port)
        with pytest.raises(RequestError, match="the server's answer has no history"):
            call("history", "kept", on=broadcaster)
        broadcaster.close()


def test_the_blocking_forms_are_refused_in_an_event_loop(broadcaster: Broadcaster) -> None:
    async def ask(method: str) -> None:
        with pytest.raises(RequestError, match=rf"use 'await a{method}\(…\)'"):
            getattr(broadcaster, method)("kept")

    for method in ("position", "positions", "history", "delete_history"):
        asyncio.run(ask(method))


@pytest.mark.parametrize("driver", ["log", "null", "memory"])
def test_without_a_server_nothing_is_kept(call: Call, driver: str) -> None:
    offline = Broadcaster()
    offline.configure(driver=driver)
    assert call("position", "kept", on=offline) is None
    assert call("positions", ["kept"], on=offline) == {}
    assert call("history", "kept", on=offline) == History((), None)
    assert call("delete_history", "kept", on=offline) is None


def test_the_fake_asks_no_server_and_records_what_is_not_kept(call: Call) -> None:
    unconfigured = Broadcaster()
    with unconfigured.fake() as sent:
        assert call("position", "kept", on=unconfigured) is None
        assert call("positions", ["kept"], on=unconfigured) == {}
        assert call("history", "kept", on=unconfigured).events == ()
        unconfigured(Typing("ann"))
        unconfigured(Written(1))
    assert sent.assert_broadcast(Typing).ephemeral is True
    assert sent.assert_broadcast(Written).ephemeral is False


def test_other_servers_are_not_asked_for_positions_they_do_not_have(call: Call) -> None:
    for driver in ("reverb", "pusher"):
        other = for_server(free_port(), driver=driver)
        assert call("positions", ["kept"], on=other) == {}


# Embedded


@pytest.fixture
def embedded() -> Broadcaster:
    made = Broadcaster()
    made.configure(driver="embedded", app_id=APP.id, key=APP.key, secret=APP.secret, encryption_master_key=KEY)
    return made


async def in_the_loop(broadcaster: Broadcaster, method: str, *args: Any, **options: Any) -> Any:
    return getattr(broadcaster, method)(*args, **options)


async def awaited(broadcaster: Broadcaster, method: str, *args: Any, **options: Any) -> Any:
    return await getattr(broadcaster, f"a{method}")(*args, **options)


async def in_a_thread(broadcaster: Broadcaster, method: str, *args: Any, **options: Any) -> Any:
    return await asyncio.to_thread(getattr(broadcaster, method), *args, **options)


async def in_another_loop(broadcaster: Broadcaster, method: str, *args: Any, **options: Any) -> Any:
    return await asyncio.to_thread(lambda: asyncio.run(awaited(broadcaster, method, *args, **options)))


@pytest.mark.parametrize("ask", [in_the_loop, awaited, in_a_thread, in_another_loop])
async def test_the_embedded_server_answers_in_the_process(embedded: Broadcaster, ask: Call) -> None:
    server = App(apps=[APP])
    server.start()
    embedded(Typing("ann"))
    embedded(Written(7))
    (event,) = (await ask(embedded, "history", "kept")).events
    assert (event.name, event.data) == ("Written", {"id": 7})
    assert await ask(embedded, "position", "kept") == event.position
    assert await ask(embedded, "positions", ["kept", "news"]) == {"kept": event.position}
    await ask(embedded, "delete_history", "kept")
    assert (await ask(embedded, "history", "kept")).events == ()
    with pytest.raises(RequestError, match=r"^news keeps no history"):
        await ask(embedded, "history", "news")
    await server.stop()


@pytest.mark.parametrize("ask", [awaited, in_a_thread, in_another_loop])
async def test_the_embedded_server_deletes_by_a_pattern(embedded: Broadcaster, ask: Call) -> None:
    server = App(apps=[APP])
    server.start()
    for number in range(600):
        embedded.publish(f"private-{number}", "e")
    await ask(embedded, "delete_history", "private-*")
    assert embedded.history("private-599").events == ()
    embedded.publish("private-1", "e")
    with pytest.raises(RequestError, match="use 'await'"):
        embedded.delete_history("private-*")
    await server.stop()
