"""pusher-js in Node.js on presence channels: who is here, who comes, who goes."""

from __future__ import annotations

from clients.conftest import PusherJsFactory
from support.publishers import PythonSdk
from support.web_app import NAMES


def test_members_are_known_at_the_subscription(pusher_js: PusherJsFactory) -> None:
    ann, bob = pusher_js("ann").connected(), pusher_js("bob").connected()
    ann.subscribe("presence-who")
    bob.subscribe("presence-who")
    assert bob.run("presence", "presence-who") == {
        "members": {"ann": {"name": NAMES["ann"]}, "bob": {"name": "Bob"}},
        "count": 2,
        "myID": "bob",
        "me": {"id": "bob", "info": {"name": "Bob"}},
    }


def test_member_added_is_told_to_the_others_and_not_to_the_one_who_joins(pusher_js: PusherJsFactory) -> None:
    ann, bob = pusher_js("ann").connected(), pusher_js("bob").connected()
    ann.subscribe("presence-join")
    bob.subscribe("presence-join")
    assert ann.expect_event("presence-join", "pusher:member_added") == {"id": "bob", "info": {"name": "Bob"}}
    assert ann.run("presence", "presence-join")["count"] == 2
    assert not bob.has_event("presence-join", "pusher:member_added")


def test_member_added_once_for_two_tabs(pusher_js: PusherJsFactory, python_sdk: PythonSdk) -> None:
    bob = pusher_js("bob").connected()
    bob.subscribe("presence-tabs")
    for _ in range(2):
        pusher_js("ann").connected().subscribe("presence-tabs")
    python_sdk.trigger("presence-tabs", "fence", {})
    bob.expect_event("presence-tabs", "fence")
    assert bob.expect_event("presence-tabs", "pusher:member_added")["id"] == "ann"
    assert not bob.has_event("presence-tabs", "pusher:member_added")
    assert bob.run("presence", "presence-tabs")["count"] == 2
    assert python_sdk.channel("presence-tabs", "user_count", "subscription_count") == {
        "occupied": True,
        "user_count": 2,
        "subscription_count": 3,
    }


def test_member_removed_when_the_last_tab_goes(pusher_js: PusherJsFactory, python_sdk: PythonSdk) -> None:
    bob, first, second = (pusher_js(user).connected() for user in ("bob", "ann", "ann"))
    for client in (bob, first, second):
        client.subscribe("presence-leave")
    first.run("unsubscribe", "presence-leave")
    first.subscribe("fence")
    python_sdk.trigger("presence-leave", "still-here", {})
    bob.expect_event("presence-leave", "still-here")
    assert not bob.has_event("presence-leave", "pusher:member_removed")
    second.stop()  # a closed tab says no goodbye
    assert bob.expect_event("presence-leave", "pusher:member_removed") == {
        "id": "ann",
        "info": {"name": NAMES["ann"]},
    }
    assert bob.run("presence", "presence-leave")["count"] == 1


def test_member_who_comes_back_is_added_again(pusher_js: PusherJsFactory) -> None:
    ann, bob = pusher_js("ann").connected(), pusher_js("bob").connected()
    for client in (bob, ann):
        client.subscribe("presence-return")
    bob.expect_event("presence-return", "pusher:member_added")
    ann.run("unsubscribe", "presence-return")
    bob.expect_event("presence-return", "pusher:member_removed")
    ann.subscribe("presence-return")
    assert bob.expect_event("presence-return", "pusher:member_added")["id"] == "ann"
