"""End-to-end encrypted channels: published by an SDK, decrypted by pusher-js, opaque to the server in between."""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Iterator
from contextlib import ExitStack

import pytest
from nacl.secret import SecretBox

from clients.conftest import PusherJsFactory
from support.clients_js import PusherJs, pusher_options
from support.harness import DEFAULT_APP, RunningServer, http_request, signed_request
from support.publishers import MASTER_KEY, NodeSigner, Publisher, PythonSigner, node_publisher_process
from support.web_app import WebApp, running_web_app


@pytest.fixture(scope="module")
def node_web_app(server: RunningServer) -> Iterator[WebApp]:
    """A back end that signs with the SDK of npm."""
    app = DEFAULT_APP
    with node_publisher_process(server.port, app.id, app.key, app.secret) as process:
        forger = PythonSigner(app.id, app.key, "not-the-secret")
        with running_web_app(NodeSigner(process), forger) as running:
            yield running


def test_event_is_decrypted_by_the_client(pusher_js: PusherJsFactory, publisher: Publisher) -> None:
    client = pusher_js("ann").connected()
    client.subscribe("private-encrypted-diary")
    publisher.trigger("private-encrypted-diary", "entry", {"text": "Geheim 🔒"})
    assert client.expect_event("private-encrypted-diary", "entry") == {"text": "Geheim 🔒"}


def test_what_passes_the_server_is_the_ciphertext(pusher_js: PusherJsFactory, publisher: Publisher) -> None:
    channel = "private-encrypted-wire"
    client = pusher_js("ann").connected()
    client.subscribe(channel)
    publisher.trigger(channel, "entry", {"text": "Geheim"})
    sealed = client.expect("message", event="entry")["data"]
    assert sorted(sealed) == ["ciphertext", "nonce"]
    key = hashlib.sha256(channel.encode() + base64.b64decode(MASTER_KEY)).digest()
    opened = SecretBox(key).decrypt(base64.b64decode(sealed["ciphertext"]), base64.b64decode(sealed["nonce"]))
    assert json.loads(opened) == {"text": "Geheim"}


def test_encrypted_cache_channel_gives_its_last_event(pusher_js: PusherJsFactory, publisher: Publisher) -> None:
    channel = f"private-encrypted-cache-{type(publisher).__name__}"
    publisher.trigger(channel, "entry", {"text": "Geheim"})
    client = pusher_js("ann").connected()
    client.subscribe(channel)
    assert client.expect_event(channel, "entry") == {"text": "Geheim"}


def test_batch_may_mix_encrypted_and_plain_channels(pusher_js: PusherJsFactory, publisher: Publisher) -> None:
    client = pusher_js("ann").connected()
    client.subscribe("private-encrypted-batch", "plain-batch")
    publisher.trigger_batch(
        [
            {"channel": "private-encrypted-batch", "name": "entry", "data": {"n": 1}},
            {"channel": "plain-batch", "name": "entry", "data": {"n": 2}},
        ]
    )
    assert client.expect_event("private-encrypted-batch", "entry") == {"n": 1}
    assert client.expect_event("plain-batch", "entry") == {"n": 2}


def test_one_event_for_an_encrypted_and_another_channel_is_refused(server: RunningServer) -> None:
    # The SDKs refuse this themselves: ask the server as an SDK without that check would.
    body = json.dumps({"name": "entry", "data": "{}", "channels": ["private-encrypted-a", "b"]}).encode()
    answer = http_request(server.port, signed_request("POST", "/events", body))
    assert answer.status == 422
    assert b"encrypted" in answer.body


def test_denied_encrypted_channel_is_heard_of(pusher_js: PusherJsFactory) -> None:
    client = pusher_js("ann").connected()
    client.run("subscribe", "private-encrypted-forbidden")
    assert client.expect_event("private-encrypted-forbidden", "pusher:subscription_error")["status"] == 403


@pytest.mark.parametrize("channel", ["private-signed", "presence-signed", "private-encrypted-signed"])
def test_signatures_of_the_npm_sdk_are_taken(
    server: RunningServer,
    node_web_app: WebApp,
    until_end: ExitStack,
    publisher: Publisher,
    channel: str,
) -> None:
    client = until_end.enter_context(
        PusherJs(DEFAULT_APP.key, pusher_options(server.port, node_web_app.url, "ann"))
    ).connected()
    client.subscribe(channel)
    publisher.trigger(channel, "hello", {"n": 1})
    assert client.expect_event(channel, "hello") == {"n": 1}


def test_sign_in_by_the_npm_sdk_is_taken(
    server: RunningServer, node_web_app: WebApp, until_end: ExitStack, publisher: Publisher
) -> None:
    client = until_end.enter_context(
        PusherJs(DEFAULT_APP.key, pusher_options(server.port, node_web_app.url, "ann"))
    ).connected()
    client.sign_in()
    publisher.send_to_user("ann", "hello", {"n": 1})
    assert client.expect("user-event", event="hello")["data"] == {"n": 1}


def test_client_event_on_an_encrypted_channel_is_refused_by_the_server(server: RunningServer) -> None:
    # pusher-js refuses this itself: send it as a client without that check would.
    signer = PythonSigner(DEFAULT_APP.id, DEFAULT_APP.key, DEFAULT_APP.secret)
    with server.connect() as client:
        auth = signer.channel(client.socket_id, "private-encrypted-a", None)["auth"]
        client.send_event("pusher:subscribe", {"channel": "private-encrypted-a", "auth": auth})
        client.read_event()
        client.send_event("client-x", {}, channel="private-encrypted-a")
        assert client.read_event()["data"]["code"] == 4301
