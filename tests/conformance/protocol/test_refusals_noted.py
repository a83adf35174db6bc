"""What a node refuses, as operators read it: the reason with the way out, and no signature."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from conformance.protocol.stage import Client, Stage
from soundpost.core.inspection import ListRefusals, RefusalLine, RefusalPage, Reply

WRONG = "app-key:" + "f" * 64


def refusals(stage: Stage) -> list[RefusalLine]:
    replies: list[Reply] = []
    stage.node.inspect(ListRefusals(), replies.append)
    stage.turn()
    (page,) = replies
    assert isinstance(page, RefusalPage)
    return page.refusals


def subscribe(auth: str | None, channel: str = "private-room") -> Callable[[Client], None]:
    data = {"channel": channel} if auth is None else {"channel": channel, "auth": auth}
    return lambda client: client.say("pusher:subscribe", data)


def client_event(name: str, channel: str) -> Callable[[Client], None]:
    return lambda client: client.say(name, {}, channel=channel)


CASES: dict[str, tuple[Callable[[Client], None], str, int, str]] = {
    "no auth": (subscribe(None), "subscription", 4009, "Set channelAuthorization (authEndpoint) in the page"),
    "key of another app": (subscribe("other:00"), "subscription", 4009, "Give both the same (SOUNDPOST_APP_KEY"),
    "wrong signature": (subscribe(WRONG), "subscription", 4009, "signs with another secret than the app has here"),
    "name that is none": (subscribe(WRONG, "a room"), "subscription", 4200, "has a character other than letters"),
    "sign-in": (
        lambda client: client.say("pusher:signin", {"auth": WRONG, "user_data": '{"id":"ann"}'}),
        "sign-in",
        4009,
        "signs with another key or secret than the app has here",
    ),
    "user without id": (lambda client: client.sign_in("{}"), "sign-in", 4009, 'user_data needs an "id"'),
    "client event off a channel": (
        client_event("client-e", "private-x"),
        "client-event",
        4009,
        "subscribe to private-x",
    ),
    "client event on a public channel": (client_event("client-e", "room"), "client-event", 4301, "only supported on"),
}


@pytest.mark.parametrize(("act", "kind", "code", "reason"), CASES.values(), ids=CASES)
def test_a_refused_message_is_noted_with_the_way_out(
    act: Callable[[Client], None], kind: str, code: int, reason: str
) -> None:
    stage = Stage()
    client = stage.connect().join("room")

    act(client)

    (line,) = refusals(stage)
    assert (line.kind, line.code, line.app_id, line.count) == (kind, code, "1", 1)
    assert reason in line.reason
    assert "f" * 64 not in line.reason


def test_client_events_that_are_switched_off_are_noted() -> None:
    stage = Stage(accept_client_events_from="none")
    client = stage.connect().join("private-room")

    client_event("client-e", "private-room")(client)

    (line,) = refusals(stage)
    assert "accept_client_events_from" in line.reason
    assert line.channel == "private-room"


def test_a_full_presence_channel_is_noted() -> None:
    stage = Stage(max_presence_members=1)
    stage.connect().join("presence-room", user="ann")

    stage.connect().ask("presence-room", {"user_id": "bob"})

    (line,) = refusals(stage)
    assert (line.kind, line.channel) == ("subscription", "presence-room")
    assert "max_presence_members" in line.reason


def test_what_succeeds_is_not_noted() -> None:
    stage = Stage()
    client = stage.connect().join("private-room", "room")
    client.sign_in({"id": "ann"})
    client_event("client-e", "private-room")(client)
    client.say("pusher:nonsense")

    assert refusals(stage) == []


def test_the_secrets_of_very_many_apps_are_looked_for_in_slices() -> None:
    stage = Stage()
    client = stage.connect()
    for number in range(5):
        subscribe(WRONG, f"private-{number}")(client)
    now = iter(range(1_000))
    stage.node.clock = lambda: next(now)  # each look at the clock ends a turn

    replies: list[Reply] = []
    stage.node.inspect(ListRefusals(), replies.append)
    assert replies == []
    stage.turn()

    (page,) = replies
    assert isinstance(page, RefusalPage)
    assert len(page.refusals) == 5
