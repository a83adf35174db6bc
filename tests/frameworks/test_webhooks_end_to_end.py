"""Webhooks from a real server over HTTP to handlers of a Flask application."""

from __future__ import annotations

import queue
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import msgspec
from flask import Flask
from werkzeug.serving import make_server

from soundpost.broadcasting import Broadcaster
from soundpost.broadcasting.settings import settings_from
from soundpost.core.app_settings import WebhookSettings
from soundpost.flask import Soundpost
from soundpost.webhooks import Webhooks
from soundpost.wire.signatures import channel_text, sign
from support.harness import DEFAULT_APP, running_server
from support.raw_socket import TIMEOUT

CHANNEL = "presence-room.7"


@contextmanager
def serving(app: Flask) -> Iterator[str]:
    """Serve an application, one thread for each request; give its URL."""
    server = make_server("127.0.0.1", 0, app, threaded=True)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def test_members_are_heard_and_a_failed_handler_gets_the_event_again() -> None:
    heard: queue.Queue[Any] = queue.Queue()
    failures = [ValueError("no database")]
    app = Flask("shop")
    settings = settings_from({"app_id": DEFAULT_APP.id, "key": DEFAULT_APP.key, "secret": DEFAULT_APP.secret})
    sp = Soundpost(app, broadcaster=Broadcaster(settings), webhooks=Webhooks())

    @sp.webhooks.on("member_added", "presence-room.{room:int}")
    def joined(room: int, user_id: str, user_info: Any) -> None:
        if failures:
            raise failures.pop()
        heard.put(("joined", room, user_id, user_info))

    @sp.webhooks.on("member_added")
    def joined_too(user_id: str) -> None:
        heard.put(("joined too", user_id))

    @sp.webhooks.on("member_removed", "presence-*")
    async def left(channel: str, user_id: str) -> None:
        heard.put(("left", channel, user_id))

    with serving(app) as url:
        endpoint = WebhookSettings(url=f"{url}/broadcasting/webhooks", events=("member_added", "member_removed"))
        with running_server(apps=[msgspec.structs.replace(DEFAULT_APP, webhooks=(endpoint,))]) as server:
            with server.connect() as client:
                data = msgspec.json.encode({"user_id": "5", "user_info": {"name": "Zoë"}}).decode()
                auth = sign(DEFAULT_APP.secret, channel_text(client.socket_id, CHANNEL, data))
                member = {"channel": CHANNEL, "auth": f"{DEFAULT_APP.key}:{auth}", "channel_data": data}
                client.send_event("pusher:subscribe", member)
                assert client.read_event()["event"] == "pusher_internal:subscription_succeeded"
                assert heard.get(timeout=TIMEOUT) == ("joined too", "5")
                assert heard.get(timeout=TIMEOUT) == ("joined", 7, "5", {"name": "Zoë"})
            assert heard.get(timeout=TIMEOUT) == ("left", CHANNEL, "5")
    assert heard.empty()
