"""Asking an application for authorization: what is sent, and what is made of the answer."""

from __future__ import annotations

import asyncio
from typing import Any
from urllib.parse import parse_qs

import httpx
import pytest

from soundpost.client.auth_endpoint import EndpointAuthorizer, from_endpoint
from soundpost.client.authorization import ChannelAuth, UserAuth
from soundpost.errors import ConfigurationError, RequestError

URL = "https://app.example.com/broadcasting/auth"


class Application(httpx.AsyncBaseTransport):
    """Answers every request alike, and remembers them."""

    def __init__(self, status: int = 200, **answer: Any) -> None:
        self.requests: list[httpx.Request] = []
        self.closed = 0
        self._status = status
        self._answer = answer

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        self.requests.append(request)
        await asyncio.sleep(0)
        return httpx.Response(self._status, **self._answer)

    async def aclose(self) -> None:
        self.closed += 1

    def endpoint(self, **options: Any) -> EndpointAuthorizer:
        return from_endpoint(URL, transport=self, **options)


def form(request: httpx.Request) -> dict[str, list[str]]:
    return parse_qs(request.content.decode())


async def test_a_form_is_posted_as_by_pusher_js() -> None:
    app = Application(json={"auth": "key:sig", "channel_data": '{"user_id":"7"}'})
    assert await app.endpoint()("1.2", "presence-x") == ChannelAuth("key:sig", '{"user_id":"7"}')
    (request,) = app.requests
    assert (request.method, str(request.url)) == ("POST", URL)
    assert request.headers["Content-Type"] == "application/x-www-form-urlencoded"
    assert form(request) == {"socket_id": ["1.2"], "channel_name": ["presence-x"]}


async def test_public_channels_are_not_asked_for() -> None:
    app = Application()
    assert await app.endpoint()("1.2", "orders") is None
    assert app.requests == []


async def test_users_are_asked_for_next_to_channels() -> None:
    app = Application(json={"auth": "key:sig", "user_data": '{"id":"7"}'})
    assert await app.endpoint().user("1.2") == UserAuth("key:sig", '{"id":"7"}')
    assert await app.endpoint(user_url="https://app.example.com/who").user("1.2")
    assert [request.url.path for request in app.requests] == ["/broadcasting/user-auth", "/who"]
    assert form(app.requests[0]) == {"socket_id": ["1.2"]}


async def test_an_address_without_a_neighbour_needs_user_url() -> None:
    with pytest.raises(ConfigurationError, match="give user_url too"):
        await from_endpoint("https://app.example.com/authorize").user("1.2")


async def test_credentials_are_sent_along() -> None:
    app = Application(json={"auth": "key:sig"})
    endpoint = app.endpoint(bearer="token", headers={"X-Team": "1"}, cookies={"session": "s"}, params={"page": "p"})
    await endpoint("1.2", "private-x")
    (request,) = app.requests
    assert request.headers["Authorization"] == "Bearer token"
    assert request.headers["X-Team"] == "1"
    assert request.headers["Cookie"] == "session=s"
    assert form(request)["page"] == ["p"]
    assert "token" not in repr(endpoint)
    assert "session" not in repr(endpoint)


async def test_headers_may_be_new_for_every_request() -> None:
    app = Application(json={"auth": "key:sig"})
    tokens = iter(["one", "two"])
    endpoint = app.endpoint(headers=lambda: {"Authorization": next(tokens)})
    await endpoint("1.2", "private-x")
    await endpoint("1.2", "private-x")
    assert [request.headers["Authorization"] for request in app.requests] == ["one", "two"]


async def test_by_get_the_question_is_in_the_query() -> None:
    app = Application(json={"auth": "key:sig"})
    await app.endpoint(method="GET")("1.2", "private-x")
    (request,) = app.requests
    assert request.method == "GET"
    assert dict(request.url.params) == {"socket_id": "1.2", "channel_name": "private-x"}
    with pytest.raises(ConfigurationError, match="'PUT'"):
        from_endpoint(URL, method="PUT")


async def test_encrypted_channels_need_a_shared_secret() -> None:
    app = Application(json={"auth": "key:sig", "shared_secret": "c2VjcmV0"})
    assert await app.endpoint()("1.2", "private-encrypted-x") == ChannelAuth("key:sig", None, "c2VjcmV0")
    app = Application(json={"auth": "key:sig"})
    with pytest.raises(RequestError, match=f"the answer of {URL} has no string 'shared_secret'"):
        await app.endpoint()("1.2", "private-encrypted-x")


@pytest.mark.parametrize(
    ("status", "answer", "message"),
    [
        (403, {"json": {"message": "not your order"}}, f"{URL} refused with 403: not your order"),
        (403, {"json": {"message": ""}}, f"{URL} refused with 403: no reason given"),
        (403, {"content": b""}, f"{URL} refused with 403: no reason given"),
        (
            419,
            {"html": "<title>Page Expired</title>"},
            f"{URL} refused with 419 and a web page titled 'Page Expired'",
        ),
        (
            302,
            {"headers": {"Location": "/login"}},
            f"{URL} redirects to /login: does it ask for a login?",
        ),
        (200, {"text": "ok"}, f"{URL} answered 200, but not with a JSON object"),
        (200, {"json": []}, f"{URL} answered 200, but not with a JSON object"),
        (200, {"json": {"auth": None}}, f"the answer of {URL} has no string 'auth'"),
    ],
)
async def test_refusals_say_why(status: int, answer: dict[str, Any], message: str) -> None:
    with pytest.raises(RequestError) as caught:
        await Application(status, **answer).endpoint()("1.2", "private-x")
    assert (caught.value.status, str(caught.value)) == (status, message)


async def test_an_application_that_is_away_is_no_refusal() -> None:
    def away(request: httpx.Request) -> httpx.Response:
        raise httpx.ConnectTimeout("slow")

    with pytest.raises(RequestError, match=r"https://app\.example\.com did not answer in time") as caught:
        await from_endpoint(URL, transport=httpx.MockTransport(away))("1.2", "private-x")
    assert caught.value.status == 0


async def test_questions_of_one_moment_share_connections_that_are_closed_after_them() -> None:
    app = Application(json={"auth": "key:sig"})
    endpoint = app.endpoint()
    await asyncio.gather(*(endpoint("1.2", f"private-{number}") for number in range(5)))
    assert (len(app.requests), app.closed) == (5, 1)
    await endpoint("1.2", "private-x")
    assert app.closed == 2
