"""Webhooks of a real server, verified by the official SDKs of other languages: npm's ``pusher``, PyPI's, and PHP's."""

from __future__ import annotations

import hashlib
import hmac
import json
from collections.abc import Iterator
from typing import Any, Final

import pusher
import pytest

from soundpost.core.app_settings import AppSettings, WebhookSettings
from soundpost.core.webhooks import MORE_EVENTS, PUSHER_EVENTS
from soundpost.wire.signatures import channel_text, sign, user_text
from support.harness import RawSocket, running_server
from support.node_process import NodeProcess
from support.publishers import node_publisher_process
from support.webhook_receiver import Receiver, Request, receiver

KEY, SECRET = "app-key", "app-secret"
INFO: Final = {"name": "Änn ☃ </"}
DATA: Final = '{"text": "Ä / <☃> \\u2028"}'


@pytest.fixture(scope="module")
def endpoint() -> Iterator[Receiver]:
    """All that a server can tell, about a user who signed in, joined two channels, spoke, and left."""
    with receiver() as found:
        hook = WebhookSettings(url=found.url(), events=PUSHER_EVENTS + MORE_EVENTS)
        app = AppSettings(id="1", key=KEY, secret=SECRET, subscription_count=True, webhooks=(hook,))
        with running_server(apps=(app,)) as server:
            with server.connect() as client:
                _live(client)
            found.wait(lambda: {each["name"] for each in found.taken()} == {*hook.events}, "everything")
        yield found


def _live(client: RawSocket) -> None:
    user = json.dumps({"id": "ann", "user_info": INFO})
    client.send_event("pusher:signin", {"user_data": user, "auth": _auth(user_text(client.socket_id, user))})
    member = json.dumps({"user_id": "ann", "user_info": INFO})
    auth = _auth(channel_text(client.socket_id, "presence-room", member))
    client.send_event("pusher:subscribe", {"channel": "presence-room", "auth": auth, "channel_data": member})
    client.send_event("client-typing", DATA, channel="presence-room")
    client.send_event("pusher:subscribe", {"channel": "cache-board"})
    while client.read_event()["event"] != "pusher:cache_miss":
        pass


def _auth(text: str) -> str:
    return f"{KEY}:{sign(SECRET, text)}"


@pytest.fixture(scope="module")
def node() -> Iterator[NodeProcess]:
    """The SDK of npm."""
    with node_publisher_process(1, "1", KEY, SECRET) as process:
        yield process


def by_npm(request: Request, node: NodeProcess) -> list[dict[str, Any]]:
    """Return the events as ``pusher.webhook({headers, rawBody})`` of Node.js gives them."""
    headers = {name.lower(): value for name, value in request.headers.items()}  # as Node.js gives headers
    found = node.run("webhook", headers, request.body.decode())
    assert found["valid"], request
    events: list[dict[str, Any]] = found["events"]
    return events


def by_pypi(request: Request, node: NodeProcess) -> list[dict[str, Any]]:
    """Return the events as ``validate_webhook`` of PyPI's package gives them."""
    sdk = pusher.Pusher("1", KEY, SECRET)
    headers = request.headers
    found = sdk.validate_webhook(headers["X-Pusher-Key"], headers["X-Pusher-Signature"], request.body.decode())
    assert found is not None, request
    events: list[dict[str, Any]] = found["events"]
    return events


def by_php(request: Request, node: NodeProcess) -> list[dict[str, Any]]:
    """Return the events as ``$pusher->webhook(getallheaders(), file_get_contents('php://input'))`` does.

    pusher-http-php looks for the headers in this case, and compares ``hash_hmac('sha256', $body, $secret)``.
    """
    assert request.headers["X-Pusher-Key"] == KEY
    expected = hmac.new(SECRET.encode(), request.body, hashlib.sha256).hexdigest()
    assert request.headers["X-Pusher-Signature"] == expected
    content = json.loads(request.body)
    assert isinstance(content["time_ms"], int)
    events: list[dict[str, Any]] = content["events"]
    return events


@pytest.mark.parametrize("read", [by_npm, by_pypi, by_php])
def test_an_sdk_accepts_what_the_server_sends(read: Any, endpoint: Receiver, node: NodeProcess) -> None:
    events = [event for request in endpoint.requests for event in read(request, node)]
    (said,) = [event for event in events if event["name"] == "client_event"]
    assert said["event"] == "client-typing"
    assert (said["channel"], said["user_id"]) == ("presence-room", "ann")
    assert json.loads(said["data"]) == json.loads(DATA)
    (joined,) = [event for event in events if event["name"] == "member_added"]
    assert (joined["user_id"], joined["user_info"]) == ("ann", INFO)
    assert {event["name"] for event in events} == {*PUSHER_EVENTS, *MORE_EVENTS}
    ids = [event["id"] for event in events]
    assert len(set(ids)) == len(ids)


def test_an_sdk_refuses_another_body(endpoint: Receiver, node: NodeProcess) -> None:
    first = endpoint.requests[0]
    forged = first._replace(body=first.body.replace(b'"name"', b'"Name"', 1))
    for read in (by_npm, by_pypi, by_php):
        with pytest.raises(AssertionError):
            read(forged, node)


def test_the_content_type_is_exactly_what_npms_sdk_asks_for(endpoint: Receiver) -> None:
    assert {request.headers["Content-Type"] for request in endpoint.requests} == {"application/json"}
