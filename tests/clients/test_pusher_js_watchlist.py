"""Watchlists of pusher-js (``pusher.user.watchlist``), with a server of two processes."""

from __future__ import annotations

from clients.conftest import PusherJsFactory
from support.harness import running_server

ME = "me-watches-ann-bob"


def test_who_is_online_is_told_at_the_sign_in_at_each_change_and_after_a_reconnect(pusher_js: PusherJsFactory) -> None:
    with running_server(workers=2) as server:
        me = pusher_js(ME, server=server).connected()
        ann = pusher_js("ann", server=server).connected()
        ann.sign_in()
        me.sign_in()
        assert me.expect("watchlist", event="online")["users"] == ["ann"]
        assert me.expect("watchlist", event="offline")["users"] == ["bob"]

        tab, bob = pusher_js("ann", server=server).connected(), pusher_js("bob", server=server).connected()
        for client in (tab, bob):
            client.sign_in()
        assert me.expect("watchlist", event="online")["users"] == ["bob"]
        ann.run("disconnect")
        bob.run("disconnect")
        assert me.expect("watchlist", event="offline")["users"] == ["bob"]
        assert not me.has("watchlist", event="offline")  # ann has another tab

        me.run("disconnect")
        me.run("connect")
        assert me.expect("watchlist", event="online")["users"] == ["ann"]
        tab.run("disconnect")
        me.expect("watchlist", event="offline", users=["ann"])
