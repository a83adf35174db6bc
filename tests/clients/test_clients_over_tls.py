"""``wss`` and ``https`` on the server's own port: pusher-js, Laravel Echo and SDKs, with TLS as they do it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from urllib.parse import urlencode

import msgspec
import pytest

from support.browser import Browser
from support.certificates import Authority
from support.clients_js import EchoJs, PusherJs, pusher_options
from support.deployed_proxy import TlsSocket, https_request
from support.harness import DEFAULT_APP, RunningServer, running_server, signed_request
from support.web_app import WebApp

CHANNELS = [("channel", "room"), ("private", "room"), ("encryptedPrivate", "room"), ("join", "room")]


class Secure:
    """A server with a certificate, and the file of the authority that clients must trust."""

    def __init__(self, server: RunningServer, authority: Path) -> None:
        self.port = server.port
        self.authority = authority
        self._client = TlsSocket.trusting(authority)

    def publish(self, channel: str, event: str, data: object) -> None:
        body = {"name": event, "channels": [channel], "data": msgspec.json.encode(data).decode()}
        request = signed_request("POST", "/events", msgspec.json.encode(body))
        assert https_request(self._client, self.port, request).status == 200


@pytest.fixture(scope="module")
def secure(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Secure]:
    authority = Authority(tmp_path_factory.mktemp("tls"))
    files = authority.certificate("localhost")
    with running_server(tls={"certificate": str(files.chain), "key": str(files.key)}) as running:
        yield Secure(running, authority.file)


@pytest.fixture
def trusts(secure: Secure, monkeypatch: pytest.MonkeyPatch) -> None:
    """Node.js processes that start from now on trust the authority."""
    monkeypatch.setenv("NODE_EXTRA_CA_CERTS", str(secure.authority))


def options(port: int) -> dict[str, object]:
    transports = ["ws", "wss"]
    return {"wsHost": "localhost", "wsPort": port, "wssPort": port, "forceTLS": True, "enabledTransports": transports}


@pytest.mark.usefixtures("trusts")
def test_echo_on_every_kind_of_channel(secure: Secure, web_app: WebApp, until_end: ExitStack) -> None:
    echo = until_end.enter_context(EchoJs(secure.port, web_app.url, "ann", **options(secure.port))).connected()
    for kind, name in CHANNELS:
        channel = echo.open(kind, name)
        echo.listen(channel, ".posted")
        if kind != "encryptedPrivate":  # to publish to those needs an SDK that encrypts
            secure.publish(channel, "posted", {"kind": kind})
            assert echo.expect_heard(channel, ".posted") == {"kind": kind}


@pytest.mark.usefixtures("trusts")
def test_pusher_js_with_large_events_and_client_events(secure: Secure, web_app: WebApp, until_end: ExitStack) -> None:
    ann, bob = (
        until_end.enter_context(
            PusherJs(DEFAULT_APP.key, pusher_options(secure.port, web_app.url, user, **options(secure.port)))
        ).connected()
        for user in ("ann", "bob")
    )
    for client in (ann, bob):
        client.subscribe("private-room")
    for number in range(20):
        secure.publish("private-room", "large", {"number": number, "text": "x" * 9_000})
    for client in (ann, bob):
        for number in range(20):
            assert client.expect_event("private-room", "large")["number"] == number
    ann.run("trigger", "private-room", "client-typing", {"by": "ann"})
    assert bob.expect_event("private-room", "client-typing") == {"by": "ann"}


def test_a_client_that_does_not_trust_the_certificate_does_not_connect(
    secure: Secure, web_app: WebApp, until_end: ExitStack
) -> None:
    impatient = {**options(secure.port), "unavailableTimeout": 500}
    client = until_end.enter_context(
        PusherJs(DEFAULT_APP.key, pusher_options(secure.port, web_app.url, "ann", **impatient))
    )
    client.expect("state", current="unavailable")
    assert not client.has("state", current="connected")


def test_echo_in_a_browser(secure: Secure, web_app: WebApp, browser: Browser) -> None:
    query = urlencode({"key": DEFAULT_APP.key, "port": secure.port, "room": "tls", "user": "ann", "tls": ""})
    page = browser.open(f"{web_app.url}/?{query}", "a browser that takes any certificate", any_certificate=True)
    page.shows("#status", "connected")
    page.count('#log [data-event="subscribed"][data-channel="presence-tls"]', 1)
    secure.publish("tls", "post.edited", {"id": 5})
    page.shows('#log [data-event="post.edited"][data-channel="tls"]', '{"id":5}')
    assert f"wss://127.0.0.1:{secure.port}/app/" in str(browser.traffic())
    browser.reset()
