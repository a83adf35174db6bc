"""The npm package soundpost-resume over real clients, frame by frame: the server is a script."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import ExitStack
from typing import Any, Protocol

import pytest

from support.node_process import NodeProcess, Report
from support.resume_js import ResumeJs, resume_js
from support.scripted_server import ScriptedConnection, ScriptedServer, running_scripted_server
from support.web_app import WebApp

GENERATION = "g7Qx"


class Client(Protocol):
    """Starts a pusher-js with the module."""

    def __call__(self, **options: Any) -> ResumeJs: ...


@pytest.fixture
def server() -> Iterator[ScriptedServer]:
    with running_scripted_server() as running:
        yield running


@pytest.fixture
def client(server: ScriptedServer, until_end: ExitStack) -> Client:
    def start(**options: Any) -> ResumeJs:
        return until_end.enter_context(resume_js(server.port, **options))

    return start


def at(offset: int, generation: str = GENERATION) -> str:
    return f"{generation}.{offset}"


def succeeded(channel: str = "news", **more: object) -> str:
    message = {"event": "pusher_internal:subscription_succeeded", "channel": channel, "data": "{}", **more}
    return json.dumps(message, separators=(",", ":"))


def event(number: int, channel: str = "news", *, position: str | None = "", **more: object) -> str:
    """An event with a number, by default at the position of that number; position None: without one."""
    message = {"event": "told", "channel": channel, "data": json.dumps({"n": number}), **more}
    if position is not None:
        message["position"] = position or at(number)
    return json.dumps(message, separators=(",", ":"))


def gap(position: str, channel: str = "news", reason: str = "generation") -> str:
    return json.dumps(
        {"event": "soundpost:gap", "channel": channel, "data": json.dumps({"reason": reason}), "position": position},
        separators=(",", ":"),
    )


def subscribe(channel: str = "news", **more: object) -> str:
    """What a client sends to subscribe to a public channel, byte for byte."""
    message = {"event": "pusher:subscribe", "data": {"auth": "", "channel": channel, **more}}
    return json.dumps(message, separators=(",", ":"))


def first_subscription(server: ScriptedServer, client: ResumeJs, offset: int = 10) -> ScriptedConnection:
    """Let the client subscribe to ``news``, whose history ends at the offset."""
    connection = server.accept()
    client.run("subscribe", "news")
    assert connection.received() == subscribe(resume="")
    connection.send(succeeded(position=at(offset)))
    client.expect("event", event="pusher:subscription_succeeded")
    return connection


def sign_in(connection: ScriptedConnection) -> str:
    """Wait until a client signs in; give the answer."""
    message = json.loads(connection.received())
    assert message["event"] == "pusher:signin"
    return json.dumps({"event": "pusher:signin_success", "data": message["data"]})


def numbers(client: NodeProcess, count: int, channel: str = "news") -> list[int]:
    """Wait for so many events of a channel; give their numbers in order."""
    return [client.expect("event", channel=channel, event="told")["data"]["n"] for _ in range(count)]


def seen_all(connection: ScriptedConnection, client: NodeProcess, channel: str = "news") -> None:
    """Wait until the client has acted on all that it was sent."""
    connection.send(event(0, channel, position=None, event="last"))
    client.expect("event", channel=channel, event="last")


def has_told(client: NodeProcess, channel: str = "news") -> bool:
    return client.has("event", channel=channel, event="told")


# The subscription


def test_a_first_subscription_says_that_it_can_resume(server: ScriptedServer, client: Client) -> None:
    first_subscription(server, client())


def test_a_subscription_begins_at_the_position_of_the_page(server: ScriptedServer, client: Client) -> None:
    page = client(resume={"positions": {"news": at(7)}})
    connection = server.accept()
    page.run("subscribe", "news")
    assert connection.received() == subscribe(resume=at(7))
    connection.send(succeeded(resumed=2, position=at(7)), event(8), event(9))
    assert numbers(page, 2) == [8, 9]
    assert page.expect("resumed") == {"report": "resumed", "channel": "news", "count": 2}
    assert page.run("positions") == {"news": at(9)}


def test_a_page_with_a_broken_position_is_told_of_a_gap(server: ScriptedServer, client: Client) -> None:
    broken = ["7", "g7Qx", "g7Qx.", ".7", "g7Qx.x", "g7Qx.-7", "g7Qx.07", "g7Qx.7.5", "g7Qx.1e400", "a.b.7", "ß.7"]
    broken += [" g7Qx.7", "g7Qx.7\n", f"{'g' * 17}.7", f"g7Qx.{2**53}"]
    positions = dict(zip(map(str, range(99)), [*broken, 7, True, {"news": at(7)}], strict=False))
    page = client(resume={"positions": positions | {"whole": f"{'g' * 16}.{2**53 - 1}", "none": None, "empty": ""}})
    connection = server.accept()
    for channel in positions:
        page.run("subscribe", channel)
        assert connection.received() == subscribe(channel, resume="?")
        assert page.expect("error")["text"].startswith(f"soundpost-resume: no position: {channel} ")
    connection.send(succeeded("7", gap="unknown", position=at(7)), event(8, "7"))
    assert page.expect("gap") == {"report": "gap", "channel": "7", "reason": "unknown"}
    assert numbers(page, 1, "7") == [8]
    for channel, resume in {"whole": f"{'g' * 16}.{2**53 - 1}", "none": "", "empty": ""}.items():
        page.run("subscribe", channel)
        assert connection.received() == subscribe(channel, resume=resume)
    assert not page.has("error")


def test_a_channel_may_be_called_as_what_every_object_has(server: ScriptedServer, client: Client) -> None:
    page = client(resume={"rewind": {"toString": 5}})
    connection = server.accept()
    for channel, more in {"__proto__": {}, "constructor": {}, "toString": {"rewind": 5}}.items():
        page.run("send", "pusher:subscribe", {"channel": channel})  # pusher-js itself cannot have such a channel
        sent = {"event": "pusher:subscribe", "data": {"channel": channel, "resume": "", **more}}
        assert json.loads(connection.received()) == sent


def test_a_rewind_is_asked_for_only_without_a_position(server: ScriptedServer, client: Client) -> None:
    page = client(resume={"rewind": {"news": 20}})
    connection = server.accept()
    page.run("subscribe", "news")
    assert connection.received() == subscribe(resume="", rewind=20)
    connection.send(succeeded(position=at(7)), event(8))
    assert numbers(page, 1) == [8]
    connection.cut()
    assert server.accept().received() == subscribe(resume=at(8), was=["1.1"])


def test_the_authorization_of_a_subscription_is_kept(server: ScriptedServer, client: Client, web_app: WebApp) -> None:
    page = client(web_app=web_app)
    connection = server.accept()
    page.run("subscribe", "presence-room")
    sent = json.loads(connection.received())["data"]
    assert sent.pop("auth").startswith("app-key:")
    assert json.loads(sent.pop("channel_data"))["user_id"] == "ann"
    assert list(sent.items()) == [("channel", "presence-room"), ("resume", "")]


# After a reconnect


def test_a_client_that_comes_back_names_its_position_and_its_earlier_socket_ids(
    server: ScriptedServer, client: Client
) -> None:
    page = client()
    connection = first_subscription(server, page)
    connection.send(event(11))
    for number in range(2, 8):
        connection.cut()
        connection = server.accept()
        earlier = [f"1.{each}" for each in range(max(1, number - 4), number)]
        assert connection.received() == subscribe(resume=at(11), was=earlier)
        connection.send(succeeded(resumed=0, position=at(11)))
        page.expect("resumed", count=0)


@pytest.mark.parametrize("package", ["pusher-js", "pusher-js-8.4"])
def test_missed_events_come_once_and_in_order(server: ScriptedServer, client: Client, package: str) -> None:
    page = client(package=package)
    connection = first_subscription(server, page)
    connection.send(event(11), event(12))
    assert numbers(page, 2) == [11, 12]
    connection.cut()
    connection = server.accept()
    assert connection.received() == subscribe(resume=at(12), was=["1.1"])
    connection.send(succeeded(resumed=2, position=at(12)), event(11), event(12), event(13), event(14), event(15))
    assert numbers(page, 3) == [13, 14, 15]
    assert page.expect("resumed")["count"] == 2
    connection.close(4200)
    connection = server.accept()
    assert connection.received() == subscribe(resume=at(15), was=["1.1", "1.2"])
    connection.send(succeeded(resumed=1, position=at(15)), event(16))
    assert numbers(page, 1) == [16]
    assert not has_told(page)
    assert not page.has("gap")


def test_a_page_that_unbinds_the_connection_s_events_resumes(server: ScriptedServer, client: Client) -> None:
    page = client()
    connection = first_subscription(server, page)
    page.run("unbind")
    connection.cut()
    assert server.accept().received() == subscribe(resume=at(10), was=["1.1"])


def test_a_page_that_disconnects_and_connects_resumes(server: ScriptedServer, client: Client) -> None:
    page = client()
    first_subscription(server, page)
    page.run("disconnect")
    page.run("connect")
    connection = server.accept()
    assert connection.received() == subscribe(resume=at(10), was=["1.1"])
    connection.send(succeeded(resumed=0, position=at(10)))
    page.expect("resumed")
    page.run("reconnect")
    assert server.accept().received() == subscribe(resume=at(10), was=["1.1", "1.2"])


def test_a_second_answer_does_not_take_the_client_back(server: ScriptedServer, client: Client) -> None:
    page = client()
    connection = first_subscription(server, page)
    connection.send(event(11), succeeded(resumed=1, position=at(10)), event(11), event(12))
    assert numbers(page, 2) == [11, 12]
    seen_all(connection, page)
    assert not has_told(page)
    assert page.has("activity")  # what is not handed on is a sign of life still


def test_an_event_whose_handler_throws_is_not_asked_for_again(server: ScriptedServer, client: Client) -> None:
    page = client()
    connection = first_subscription(server, page)
    page.run("failOn", "news", "told")
    connection.send(event(11))
    assert page.expect("uncaught")["message"] == "the handler of told fails"
    assert page.run("positions") == {"news": at(11)}
    connection.cut()
    assert server.accept().received() == subscribe(resume=at(11), was=["1.1"])


def test_the_channel_of_a_signed_in_user_resumes(server: ScriptedServer, client: Client, web_app: WebApp) -> None:
    mine = "#server-to-user-ann"
    page = client(web_app=web_app)
    connection = server.accept()
    page.run("signin")
    signed_in = sign_in(connection)
    connection.send(signed_in)
    assert connection.received() == subscribe(mine, resume="")
    connection.send(succeeded(mine, position=at(10)), event(11, mine))
    assert page.expect("user", event="told")["data"] == {"n": 11}
    connection.cut()
    connection = server.accept()
    sign_in(connection)
    # The server subscribes the user by itself: event 13 is sent at once, before the server knows of the position.
    connection.send(signed_in, event(13, mine))
    assert connection.received() == subscribe(mine, resume=at(11), was=["1.1"])
    connection.send(succeeded(mine, resumed=2, position=at(11)), event(12, mine), event(13, mine))
    assert [page.expect("user", event="told")["data"]["n"] for _ in range(2)] == [12, 13]
    assert page.run("positions") == {mine: at(13)}
    assert not page.has("gap")


# Gaps


@pytest.mark.parametrize("reason", ["age", "number", "generation", "deleted", "limited", "unknown"])
def test_a_gap_is_told_and_the_client_goes_on_after_it(server: ScriptedServer, client: Client, reason: str) -> None:
    page = client(resume={"positions": {"news": at(7)}})
    connection = server.accept()
    page.run("subscribe", "news")
    connection.received()
    connection.send(succeeded(gap=reason, position=at(5)))  # before the one that was asked for
    assert page.expect("gap") == {"report": "gap", "channel": "news", "reason": reason}
    page.expect("event", event="pusher:subscription_succeeded")
    assert page.run("positions") == {"news": at(5)}
    connection.send(event(6))
    assert numbers(page, 1) == [6]
    assert not page.has("resumed")
    assert not page.has("warn")


def test_a_gap_of_a_connected_client_is_told_and_swallowed(server: ScriptedServer, client: Client) -> None:
    page = client()
    connection = first_subscription(server, page)
    connection.send(gap(at(3, "h2Zz")), event(4, position=at(4, "h2Zz")))
    assert page.expect("gap")["reason"] == "generation"
    assert numbers(page, 1) == [4]
    assert not page.has("event", event="soundpost:gap")
    connection.send(gap(at(9, "h2Zz"), "other"))  # a channel that the page is not in
    seen_all(connection, page)
    assert page.run("positions") == {"news": at(4, "h2Zz")}
    assert not page.has("gap")
    assert not page.has("global", event="soundpost:gap")


def test_a_gap_without_a_position_is_a_lost_place(server: ScriptedServer, client: Client) -> None:
    page = client()
    connection = first_subscription(server, page)
    connection.send('{"event":"soundpost:gap","channel":"news","data":"{}"}')
    assert page.expect("gap")["reason"] == "unknown"
    connection.cut()
    assert server.accept().received() == subscribe(resume="?", was=["1.1"])


def test_another_generation_without_a_gap_is_a_gap(server: ScriptedServer, client: Client) -> None:
    page = client()
    connection = first_subscription(server, page)
    connection.send(event(4, position=at(4, "h2Zz")))
    assert page.expect("gap")["reason"] == "unknown"
    assert numbers(page, 1) == [4]
    connection.cut()
    connection = server.accept()
    assert connection.received() == subscribe(resume=at(4, "h2Zz"), was=["1.1"])
    connection.send(succeeded(resumed=0, position=at(1, "j9")))
    assert page.expect("gap")["reason"] == "unknown"


def test_silence_about_a_position_is_a_gap(server: ScriptedServer, client: Client) -> None:
    page = client()
    connection = first_subscription(server, page)
    connection.cut()
    connection = server.accept()
    connection.received()
    connection.send(succeeded())  # as a server without history
    assert page.expect("gap")["reason"] == "unknown"
    page.expect("event", event="pusher:subscription_succeeded")
    connection.cut()
    connection = server.accept()
    assert connection.received() == subscribe(resume="", was=["1.1", "1.2"])
    connection.send(succeeded())
    page.expect("event", event="pusher:subscription_succeeded")
    assert not page.has("gap")


def test_a_gap_that_no_handler_takes_is_a_warning(server: ScriptedServer, client: Client) -> None:
    page = client(handlers=False)
    connection = first_subscription(server, page)
    connection.send(gap(at(3, "h2Zz")))
    assert page.expect("warn")["text"] == (
        "soundpost-resume: events of news are missing (generation). Refetch the data in onGap()."
    )


def test_a_handler_of_gaps_that_throws_keeps_nothing_from_the_page(server: ScriptedServer, client: Client) -> None:
    page = client(failing=True)
    connection = first_subscription(server, page)
    connection.send(event(1, position=at(1, "h2Zz")))
    assert numbers(page, 1) == [1]
    assert page.expect("uncaught")["message"] == "the handler of gaps fails"


# Ids


def test_an_event_that_was_told_without_a_position_is_known_by_its_id(server: ScriptedServer, client: Client) -> None:
    page = client()
    connection = first_subscription(server, page)
    connection.send(event(11, position=None, id="k11"), event(12, position=None, id="k12"))
    assert numbers(page, 2) == [11, 12]
    assert page.run("positions") == {"news": at(10)}
    connection.cut()
    connection = server.accept()
    assert connection.received() == subscribe(resume=at(10), was=["1.1"])
    connection.send(succeeded(resumed=3, position=at(10)))
    connection.send(event(11, id="k11"), event(12, id="k12"), event(13, id="k13"), event(13, position=None, id="k13"))
    assert numbers(page, 1) == [13]
    seen_all(connection, page)
    assert not has_told(page)
    assert page.run("positions") == {"news": at(13)}


def test_the_last_200_ids_of_a_channel_are_known(server: ScriptedServer, client: Client) -> None:
    page = client()
    connection = first_subscription(server, page)
    connection.send(*(event(number, position=None, id=f"k{number}") for number in range(201)))
    assert numbers(page, 201) == list(range(201))
    connection.send(*(event(number, position=None, id=f"k{number}") for number in (0, 2, 200)))
    seen_all(connection, page)
    assert numbers(page, 1) == [0]
    assert not has_told(page)


def test_an_event_with_an_id_that_comes_before_the_answer_comes_again_after_it(
    server: ScriptedServer, client: Client
) -> None:
    page = client()
    first_subscription(server, page).cut()
    connection = server.accept()
    assert connection.received() == subscribe(resume=at(10), was=["1.1"])
    connection.send(event(12, id="k12"), succeeded(resumed=2, position=at(10)), event(11), event(12, id="k12"))
    assert numbers(page, 2) == [11, 12]
    seen_all(connection, page)
    assert not has_told(page)


# Leaving


def test_a_channel_that_is_left_begins_anew(server: ScriptedServer, client: Client) -> None:
    page = client()
    connection = first_subscription(server, page)
    page.run("resubscribe", "news")
    assert connection.received() == '{"event":"pusher:unsubscribe","data":{"channel":"news"}}'
    assert connection.received() == subscribe(resume="")
    connection.send(event(11), succeeded(position=at(11)), event(12))  # the first: sent before the server had read it
    assert numbers(page, 2) == [11, 12]


def test_a_channel_that_is_left_without_a_connection_begins_anew(server: ScriptedServer, client: Client) -> None:
    page = client()
    first_subscription(server, page)
    page.run("disconnect")
    page.run("unsubscribe", "news")
    assert page.run("positions") == {}
    page.run("subscribe", "news")
    page.run("connect")
    assert server.accept().received() == subscribe(resume="", was=["1.1"])


def test_events_of_a_channel_that_was_left_change_nothing(server: ScriptedServer, client: Client) -> None:
    page = client()
    connection = first_subscription(server, page)
    page.run("subscribe", "other")
    connection.received()
    connection.send(succeeded("other"))
    page.run("unsubscribe", "news")
    connection.received()
    connection.send(event(11), event(12, position=None, id="k12"))
    seen_all(connection, page, "other")
    assert page.run("positions") == {}


# Attaching


def test_a_module_that_comes_late_learns_its_place_from_the_first_event(server: ScriptedServer, client: Client) -> None:
    page = client(resume=None)
    connection = server.accept()
    page.run("subscribe", "news")
    assert connection.received() == subscribe()
    connection.send(succeeded())
    page.expect("event", event="pusher:subscription_succeeded")
    page.run("attach")
    connection.send(event(11))
    assert numbers(page, 1) == [11]
    connection.cut()
    assert server.accept().received() == subscribe(resume=at(11), was=["1.1"])
    assert not page.has("gap")


def test_a_module_that_comes_late_and_hears_nothing_has_lost_its_place(server: ScriptedServer, client: Client) -> None:
    page = client(resume=None)
    connection = server.accept()
    page.run("subscribe", "news")
    connection.received()
    page.run("attach")
    connection.send(succeeded())
    page.expect("event", event="pusher:subscription_succeeded")
    for earlier in (["1.1"], ["1.1", "1.2"]):  # again, if it is cut before the answer
        connection.cut()
        connection = server.accept()
        assert connection.received() == subscribe(resume="?", was=earlier)
    connection.send(succeeded(gap="unknown", position=at(20)))
    assert page.expect("gap")["reason"] == "unknown"
    connection.cut()
    assert server.accept().received() == subscribe(resume=at(20), was=["1.1", "1.2", "1.3"])


def test_a_lost_place_in_a_channel_without_history_is_no_gap(server: ScriptedServer, client: Client) -> None:
    page = client(resume=None)
    connection = server.accept()
    page.run("subscribe", "news")
    connection.received()
    connection.send(succeeded())
    page.expect("event", event="pusher:subscription_succeeded")
    page.run("attach")
    connection.cut()
    connection = server.accept()
    assert connection.received() == subscribe(resume="?", was=["1.1"])
    connection.send(succeeded())
    page.expect("event", event="pusher:subscription_succeeded")
    connection.cut()
    assert server.accept().received() == subscribe(resume="", was=["1.1", "1.2"])
    assert not page.has("gap")


def test_a_position_that_comes_too_late_is_a_gap(server: ScriptedServer, client: Client) -> None:
    page = client(resume=None)
    connection = server.accept()
    page.run("subscribe", "news")
    connection.received()
    connection.send(succeeded())
    page.expect("event", event="pusher:subscription_succeeded")
    page.run("attach", {"positions": {"news": at(7)}})
    assert page.expect("gap")["reason"] == "unknown"
    page.run("attach", {"positions": {"news": at(8)}})  # what the page has fetched then
    assert not page.has("gap")


def test_a_position_that_comes_before_the_answer_is_a_gap(server: ScriptedServer, client: Client) -> None:
    page = client(resume=None)
    connection = server.accept()
    page.run("subscribe", "news")
    connection.received()
    page.run("attach", {"positions": {"news": at(7)}})
    assert not page.has("gap")
    connection.send(succeeded())
    assert page.expect("gap")["reason"] == "unknown"


def test_a_second_call_adds_to_the_first(server: ScriptedServer, client: Client) -> None:
    page = client(resume={"positions": {"other": at(1)}})
    connection = first_subscription(server, page)
    assert page.run("attach", {"positions": {"news": at(2), "other": at(3)}, "rewind": {"more": 5}}) is True
    assert page.run("positions") == {"news": at(10), "other": at(3)}  # a channel that the page is in goes on
    page.run("subscribe", "more")
    assert connection.received() == subscribe("more", resume="", rewind=5)
    page.run("subscribe", "other")
    assert connection.received() == subscribe("other", resume=at(3))
    connection.send(event(11))
    assert numbers(page, 1) == [11]
    seen_all(connection, page)
    assert not has_told(page)


def test_only_messages_of_the_server_can_be_positions(server: ScriptedServer, client: Client) -> None:
    page = client()
    connection = first_subscription(server, page)
    inside: list[Report] = [{"position": at(99), "id": "k1"}, {"position": at(99), "id": "k1"}]
    for data in inside:
        connection.send(event(0, position=None, event="client-told", data=data))
        assert page.expect("event", event="client-told")["data"] == data
    assert page.run("positions") == {"news": at(10)}


def test_an_old_pusher_js_is_named(server: ScriptedServer, client: Client) -> None:
    assert client(package="pusher-js-8.0").expect("error")["text"] == (
        "soundpost-resume: pusher-js 8.0.0 gives up when a second connection breaks within 4 minutes. "
        "Install pusher-js 8.4 or newer."
    )
    page = client(package="pusher-js-8.4")
    page.run("positions")
    assert not page.has("error")


def test_something_else_than_a_client_is_refused(server: ScriptedServer, client: Client) -> None:
    page = client()
    with pytest.raises(Exception, match="takes a Pusher, or an Echo that has connected by pusher-js"):
        page.run("attachTo", {"connector": {}})


def test_laravel_echo_resumes(server: ScriptedServer, client: Client) -> None:
    page = client(echo=True)
    connection = first_subscription(server, page)
    connection.send(event(11))
    connection.cut()
    connection = server.accept()
    assert connection.received() == subscribe(resume=at(11), was=["1.1"])
    connection.send(succeeded(resumed=1, position=at(11)), event(12))
    assert numbers(page, 2) == [11, 12]
