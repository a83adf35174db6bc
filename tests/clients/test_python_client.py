"""The Python client with an application behind it: its auth endpoints, and what its SDK publishes."""

from __future__ import annotations

from pathlib import Path

import pytest

from soundpost.client import Client, Member, SyncClient, from_endpoint, with_secret
from soundpost.errors import ProtocolError, RequestError, SubscriptionError
from support.cli_process import shell
from support.harness import DEFAULT_APP, RunningServer
from support.publishers import MASTER_KEY, PythonSdk
from support.raw_socket import TIMEOUT
from support.web_app import WebApp

KEY, SECRET = DEFAULT_APP.key, DEFAULT_APP.secret


def client_of(server: RunningServer, web_app: WebApp, user: str = "ann") -> Client:
    return Client(
        f"http://127.0.0.1:{server.port}",
        KEY,
        auth=from_endpoint(f"{web_app.url}/broadcasting/auth", bearer=user),
    )


async def test_the_application_says_who_it_is(server: RunningServer, web_app: WebApp, python_sdk: PythonSdk) -> None:
    async with client_of(server, web_app) as client:
        room = await client.subscribe("presence-room")
        assert room.me == Member("ann", {"name": "Ann Ångström"})
        orders = await client.subscribe("private-orders")
        python_sdk.trigger("private-orders", "shipped", {"id": 1})
        assert (await orders.next(timeout=TIMEOUT)).data == {"id": 1}


async def test_a_cookie_is_as_good_as_a_token(server: RunningServer, web_app: WebApp) -> None:
    auth = from_endpoint(f"{web_app.url}/broadcasting/auth", cookies={"user": "bob"})
    async with Client(f"http://127.0.0.1:{server.port}", KEY, auth=auth) as client:
        room = await client.subscribe("presence-cookie")
        assert room.me == Member("bob", {"name": "Bob"})


@pytest.mark.parametrize(
    ("channel", "status", "message"),
    [
        ("private-forbidden", 403, "/broadcasting/auth refused with 403"),
        ("private-forged", 401, "Connection is unauthorized"),
    ],
    ids=["by the application", "by the server"],
)
async def test_a_refused_subscription_raises_status_and_message(
    server: RunningServer, web_app: WebApp, channel: str, status: int, message: str
) -> None:
    async with client_of(server, web_app) as client:
        with pytest.raises(SubscriptionError, match=message) as caught:
            await client.subscribe(channel)
        assert (caught.value.channel, caught.value.status) == (channel, status)


async def test_signed_in_by_the_application(server: RunningServer, web_app: WebApp, python_sdk: PythonSdk) -> None:
    async with client_of(server, web_app) as client:
        user = await client.sign_in()
        assert (user.id, user.info) == ("ann", {"name": "Ann Ångström"})
        python_sdk.send_to_user("ann", "hello", {"n": 1})
        assert (await user.next(timeout=TIMEOUT)).data == {"n": 1}
        room = await client.subscribe("presence-signed-in")
        assert room.me == Member("ann", {"name": "Ann Ångström"})


async def test_a_sign_in_the_application_refuses(server: RunningServer, web_app: WebApp) -> None:
    async with client_of(server, web_app, "banned") as client:
        with pytest.raises(RequestError, match="/broadcasting/user-auth refused with 403") as caught:
            await client.sign_in()
        assert caught.value.status == 403
        assert (await client.subscribe("orders")).is_subscribed


async def test_encrypted_events_are_read_with_the_applications_secret(
    server: RunningServer, web_app: WebApp, python_sdk: PythonSdk
) -> None:
    channel = "private-encrypted-diary"
    async with client_of(server, web_app) as client:
        diary = await client.subscribe(channel)
        python_sdk.trigger(channel, "entry", {"text": "Geheim 🔒"})
        event = await diary.next(timeout=TIMEOUT)
        assert (event.name, event.data) == ("entry", {"text": "Geheim 🔒"})
        with pytest.raises(ProtocolError, match="no client events on encrypted channels"):
            await diary.trigger("typing")


async def test_encrypted_events_are_read_with_the_master_key(server: RunningServer, python_sdk: PythonSdk) -> None:
    channel = "private-encrypted-cache-diary"
    python_sdk.trigger(channel, "entry", {"text": "Geheim"})
    auth = with_secret(KEY, SECRET, encryption_master_key=MASTER_KEY)
    async with Client(f"http://127.0.0.1:{server.port}", KEY, auth=auth) as client:
        diary = await client.subscribe(channel)
        assert (await diary.next(timeout=TIMEOUT)).data == {"text": "Geheim"}


async def test_without_the_master_key_they_come_sealed(server: RunningServer, python_sdk: PythonSdk) -> None:
    channel = "private-encrypted-sealed"
    async with Client(f"http://127.0.0.1:{server.port}", KEY, auth=with_secret(KEY, SECRET)) as client:
        diary = await client.subscribe(channel)
        python_sdk.trigger(channel, "entry", {"text": "Geheim"})
        assert sorted((await diary.next(timeout=TIMEOUT)).data) == ["ciphertext", "nonce"]


def test_the_blocking_client_reads_encrypted_events(
    server: RunningServer, web_app: WebApp, python_sdk: PythonSdk
) -> None:
    auth = from_endpoint(f"{web_app.url}/broadcasting/auth", bearer="ann")
    with SyncClient(f"http://127.0.0.1:{server.port}", KEY, auth=auth) as client:
        diary = client.subscribe("private-encrypted-blocking")
        python_sdk.trigger("private-encrypted-blocking", "entry", {"n": 1})
        assert diary.next(timeout=TIMEOUT).data == {"n": 1}


def test_listen_asks_the_application(
    tmp_path: Path, server: RunningServer, web_app: WebApp, python_sdk: PythonSdk
) -> None:
    endpoint = ("--auth-endpoint", f"{web_app.url}/broadcasting/auth", "--bearer", "ann")
    target = ("--url", f"http://127.0.0.1:{server.port}", "--key", KEY)
    with shell(tmp_path) as sh:
        listener = sh.listener("presence-l", "private-encrypted-l", *target, *endpoint, "--count", "1")
        assert "subscribed to presence-l (members: ann)" in listener.err
        python_sdk.trigger("private-encrypted-l", "entry", {"text": "Geheim"})
        listener.wait_for('private-encrypted-l  entry  {"text": "Geheim"}')
        assert listener.exit_code() == 0
        refused = sh.run("listen", "private-forbidden", *target, *endpoint)
        assert refused.returncode == 1
        assert refused.stderr.startswith("soundpost: private-forbidden was refused: ")
        assert "/broadcasting/auth refused with 403" in refused.stderr


def test_a_token_without_an_application_is_wrong_usage(tmp_path: Path) -> None:
    with shell(tmp_path) as sh:
        assert sh.run("listen", "orders", "--bearer", "ann").returncode == 2
        endpoint = ("--auth-endpoint", "https://example.com/broadcasting/auth")
        assert sh.run("listen", "orders", *endpoint, "--user-id", "ann").returncode == 2
