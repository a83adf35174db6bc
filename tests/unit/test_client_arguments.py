"""Wrong arguments of the client: each is refused by its name, without a text that may be a secret."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import pytest

from soundpost.client import Client, SyncClient, from_endpoint, with_secret
from soundpost.client.session import Session
from soundpost.client.subscription import Subscription
from soundpost.errors import ConfigurationError, PayloadError

URL = "http://127.0.0.1:8080"


@pytest.mark.parametrize(
    ("make", "arguments", "says"),
    [
        (Client, {"key": None}, "the app's key is None: text is expected"),
        (Client, {"key": ""}, "the app's key is empty"),
        (Client, {"base_url": None}, "the server's address is None: text is expected"),
        (Client, {"base_url": "127.0.0.1:8080"}, "the server's address has no scheme"),
        (
            Client,
            {"base_url": f"{URL}/ws/app/key?protocol=7"},
            "the server's address ends with /app/key, which the client",
        ),
        (Client, {"auth": "secret"}, "auth is of type str: with_secret(…), from_endpoint(…) or a function"),
        (Client, {"on_status": "log"}, "on_status is of type str: a function of a text is expected"),
        (Client, {"on_status": Client.close}, "on_status is a coroutine function, which would never run"),
        (Client, {"verify": "ca.pem"}, "verify 'ca.pem': expected True or False"),
        (Client, {"max_message_size": "9"}, "max_message_size '9': expected a number of bytes, 1 or more"),
        (SyncClient, {"key": None}, "the app's key is None: text is expected"),
    ],
)
def test_of_a_client(make: Callable[..., Any], arguments: dict[str, Any], says: str) -> None:
    with pytest.raises(ConfigurationError, match=re.escape(says)):
        make(**({"base_url": URL, "key": "key"} | arguments))


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        ((None, "secret"), "the app's key is None: text is expected"),
        (("key", None), "the app's secret is None: text is expected"),
        (("key", b"hidden"), "the app's secret is of type bytes: text is expected"),
        (("key", ""), "the app's secret is empty"),
    ],
)
def test_of_a_secret(arguments: tuple[Any, Any], says: str) -> None:
    with pytest.raises(ConfigurationError, match=f"^{re.escape(says)}$"):
        with_secret(*arguments)


def test_of_a_master_key() -> None:
    with pytest.raises(ConfigurationError, match="encryption_master_key: expected bytes or their base64, got int"):
        with_secret("key", "secret", encryption_master_key=32)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        ({"url": None}, "the address of the auth endpoint is None: text is expected"),
        ({"url": "/broadcasting/auth"}, "the address of the auth endpoint does not begin with http:// or https:// and"),
        ({"url": "https:///broadcasting/auth"}, "the address of the auth endpoint cannot be used: '': a host name"),
        ({"url": "ws://app.example.com/auth"}, "the address of the auth endpoint does not begin with http:// or "),
        ({"user_url": "/user-auth"}, "user_url does not begin with http"),
        ({"headers": "a: b"}, "headers is of type str: a mapping of texts is expected"),
        ({"headers": {"Authorization": None}}, "headers: 'Authorization' is None: text is expected"),
        ({"cookies": {"session": None}}, "cookies: 'session' is None: text is expected"),
        ({"params": [1]}, "params is of type list: a mapping of texts is expected"),
        ({"timeout": "10"}, "timeout is of type str: a number of seconds is expected"),
        ({"timeout": float("nan")}, "timeout is not a number: a number of seconds is expected"),
        ({"timeout": -1}, "timeout is -1: seconds above 0 are expected"),
        ({"bearer": "to\nken"}, "bearer has a line break or another control character: a token on one line"),
    ],
)
def test_of_an_endpoint(arguments: dict[str, Any], says: str) -> None:
    with pytest.raises(ConfigurationError, match=re.escape(says)):
        from_endpoint(**({"url": "https://app.example.com/broadcasting/auth"} | arguments))


async def test_of_headers_that_are_made_for_each_request() -> None:
    ask = from_endpoint("https://app.example.com/broadcasting/auth", headers=lambda: None)  # type: ignore[arg-type]
    with pytest.raises(ConfigurationError, match="the return value of the function for headers is None: a mapping"):
        await ask("1.2", "private-orders")


NAN = float("nan")


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        (object(), ""),
        ({"score": [1, {"best": NAN}]}, "nan is not a number in JSON"),
        ({"score": (float("-inf"),)}, "-inf is not a number in JSON"),
        ({"avatar": b"png"}, "bytes are not text: decode them"),
        ([bytearray(b"png")], "bytes are not text: decode them"),
    ],
)
def test_of_a_user_info(wrong: Any, said: str) -> None:
    with pytest.raises(PayloadError, match=f"user_info has no form in JSON: {said}"):
        with_secret("key", "secret", user_id="7", user_info=wrong)


async def test_of_a_subscription() -> None:
    session = Session(None)
    orders = Subscription(session.subscribe("orders"), session)
    with pytest.raises(ConfigurationError, match="timeout is of type str: a number of seconds is expected"):
        await orders.next(timeout="5")  # type: ignore[arg-type]
    with pytest.raises(ConfigurationError, match="auth is of type str: with_secret"):
        Client(URL, "key").subscribe("private-orders", auth="secret")  # type: ignore[arg-type]
    with pytest.raises(ConfigurationError, match="auth is of type str: a function of a socket id"):
        await Client(URL, "key").sign_in("secret")  # type: ignore[arg-type]
