"""The auth endpoints: from a request's parts to the answer that laravel-echo and pusher-js expect."""

from __future__ import annotations

import asyncio
import base64
import json
import logging
import threading
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, replace
from typing import Any, ClassVar
from urllib.parse import urlencode

import flask
import pusher
import pytest
import starlette.responses

from soundpost.broadcasting.authorization import AuthEndpoint, AuthRequest, AuthResponse, ChannelRoutes, Denied
from soundpost.broadcasting.settings import BroadcastSettings, settings_from
from soundpost.errors import ConfigurationError
from soundpost.wire.signatures import sign

KEY = base64.b64encode(bytes(range(32))).decode()
SETTINGS = settings_from({"app_id": "1", "key": "app-key", "secret": "app-secret", "encryption_master_key": KEY})
SDK = pusher.Pusher(app_id="1", key="app-key", secret="app-secret", encryption_master_key_base64=KEY)
SOCKET_ID = "123.456"
Ask = Callable[..., AuthResponse]


@dataclass
class User:
    id: Any
    name: str = "alice"

    def is_owner(self) -> bool:
        return False


async def _says_no() -> AsyncIterator[bool]:
    yield False


@pytest.fixture
def routes() -> ChannelRoutes:
    """Synchronous and asynchronous ones, for both ways to ask."""
    made = ChannelRoutes()

    @made.private("orders.{order_id:int}")
    def orders(user: User, order_id: int) -> bool:
        return order_id == 7

    @made.private("async.{name}")
    async def by_name(user: User, name: str) -> bool:
        await asyncio.sleep(0)
        return user.name == name

    @made.presence("rooms.{room}")
    async def rooms(user: User, room: str) -> Any:
        return {"name": user.name, "room": room} if room != "closed" else None

    @made.presence("bare")
    def bare(user: User) -> bool:
        return True

    return made


@pytest.fixture
def settings() -> BroadcastSettings:
    return SETTINGS


@pytest.fixture
def endpoint(routes: ChannelRoutes, settings: BroadcastSettings) -> AuthEndpoint:
    return AuthEndpoint(routes, lambda: settings)


def request(
    channel: str | None = "private-orders.7",
    user: Any = User(7),  # noqa: B008 - never changed
    *,
    socket_id: str | None = SOCKET_ID,
    **more: Any,
) -> AuthRequest:
    values = {name: value for name, value in (("socket_id", socket_id), ("channel_name", channel)) if value is not None}
    parts: dict[str, Any] = {
        "headers": {},
        "query": "",
        "body": urlencode(values).encode(),
        "host": "example.com",
        "user": lambda guard: user,
        **more,
    }
    return AuthRequest(**parts)


@pytest.fixture(params=["sync", "async"])
def ask(request: pytest.FixtureRequest, endpoint: AuthEndpoint) -> Ask:
    """Ask for a channel, by the synchronous or the asynchronous form."""

    def by(asked: AuthRequest, *, sign_in: bool = False) -> AuthResponse:
        if request.param == "sync":
            return endpoint.user(asked) if sign_in else endpoint.channel(asked)
        return asyncio.run(endpoint.auser(asked) if sign_in else endpoint.achannel(asked))

    return by


class TestAnswers:
    """Responses are those of Pusher's own SDK byte for byte, except for spaces."""

    def test_a_private_channel_is_signed_as_by_the_sdk(self, ask: Ask) -> None:
        answer = ask(request())
        assert answer.status == 200
        assert json.loads(answer.body) == SDK.authenticate("private-orders.7", SOCKET_ID)
        assert answer.body == '{"auth":"' + SDK.authenticate("private-orders.7", SOCKET_ID)["auth"] + '"}'

    def test_cache_channels_are_asked_as_the_others(self, ask: Ask) -> None:
        answer = ask(request("private-cache-orders.7"))
        assert json.loads(answer.body) == SDK.authenticate("private-cache-orders.7", SOCKET_ID)

    def test_an_encrypted_channel_gets_its_shared_secret(self, ask: Ask) -> None:
        answer = json.loads(ask(request("private-encrypted-orders.7")).body)
        expected = SDK.authenticate("private-encrypted-orders.7", SOCKET_ID)
        assert answer["auth"] == expected["auth"]
        assert answer["shared_secret"].encode() == expected["shared_secret"]  # bytes, there
        assert set(answer) == {"auth", "shared_secret"}

    def test_a_presence_channel_gets_signed_channel_data(self, ask: Ask) -> None:
        answer = json.loads(ask(request("presence-rooms.x")).body)
        data = '{"user_id":"7","user_info":{"name":"alice","room":"x"}}'
        assert answer["channel_data"] == data
        expected = SDK.authenticate("presence-rooms.x", SOCKET_ID, json.loads(data))
        assert json.loads(expected["channel_data"]) == json.loads(data)
        assert answer["auth"] == f"app-key:{sign('app-secret', f'{SOCKET_ID}:presence-rooms.x:{data}')}"
        spaced = expected["channel_data"]
        assert expected["auth"] == f"app-key:{sign('app-secret', f'{SOCKET_ID}:presence-rooms.x:{spaced}')}"

    def test_presence_without_anything_to_tell(self, ask: Ask) -> None:
        assert json.loads(ask(request("presence-cache-bare")).body)["channel_data"] == '{"user_id":"7"}'

    def test_names_of_people_everywhere(self, ask: Ask) -> None:
        body = ask(request("presence-rooms.x", User(7, "Zoë 😀"))).body
        assert json.loads(json.loads(body)["channel_data"])["user_info"]["name"] == "Zoë 😀"


class TestDenied:
    @pytest.mark.parametrize(
        ("channel", "user"),
        [
            ("private-orders.8", User(7)),
            ("private-orders.7", None),
            ("private-async.bob", User(7)),
            ("presence-rooms.closed", User(7)),
            ("private-unknown", User(7)),
            ("presence-orders.7", User(7)),
            ("private-orders.7.lines", User(7)),
            ("orders.7", User(7)),
            ("cache-orders.7", User(7)),
            ("#server-to-user-7", User(7)),
        ],
    )
    def test_403_and_nothing_about_why(self, ask: Ask, channel: str, user: Any) -> None:
        assert ask(request(channel, user)) == AuthResponse(403, '{"message":""}')

    @pytest.mark.parametrize("said", [None, False, {}, [], "", 0])
    def test_whatever_is_false_denies(self, ask: Ask, routes: ChannelRoutes, said: Any) -> None:
        routes.private("false")(lambda user: said)
        assert ask(request("private-false")).status == 403

    @pytest.mark.parametrize(
        ("returned", "told"),
        [
            ((False for _ in ()), "leave out the 'yield'"),
            (_says_no(), "leave out the 'yield'"),
            (User(7).is_owner, "call it, as is_owner()"),
            (PermissionError("no"), "raise an exception to deny"),
            (Denied, "raise an exception to deny"),
            (NotImplemented, "raise an exception to deny"),
            (starlette.responses.Response(status_code=403), "raise Denied to deny"),
            (flask.Response(status=403), "raise Denied to deny"),
        ],
    )
    def test_what_is_true_by_mistake_lets_nobody_in(
        self, ask: Ask, routes: ChannelRoutes, caplog: pytest.LogCaptureFixture, returned: Any, told: str
    ) -> None:
        routes.private("mistaken")(lambda user: returned)
        routes.user(lambda user: returned)
        routes.guard("mistaken")(lambda request: returned)
        routes.private("guarded", guards="mistaken")(lambda user: True)

        assert ask(request("private-mistaken")).status == 500
        assert ask(request("private-guarded")).status == 500
        assert ask(request(None), sign_in=True).status == 500
        assert caplog.text.count(told) == 3

    def test_the_short_form_of_a_refusal_lets_nobody_in_where_views_may_return_it(
        self, endpoint: AuthEndpoint, ask: Ask, routes: ChannelRoutes
    ) -> None:
        routes.private("mistaken")(lambda user: ("not yours", 403))
        endpoint.has_short_responses = True
        assert ask(request("private-mistaken")).status == 500

    @pytest.mark.parametrize("row", [(7, 400), (7, 403), ("room", 450), ("room", [403]), ("a", 403, "b")])
    def test_a_row_of_a_database_lets_the_user_in(
        self, endpoint: AuthEndpoint, ask: Ask, routes: ChannelRoutes, row: Any
    ) -> None:
        routes.private("members")(lambda user: row)
        endpoint.has_short_responses = True
        assert ask(request("private-members")).status == 200

    @pytest.mark.parametrize(("is_ok", "status"), [(True, 200), (False, 403)])
    def test_a_response_that_says_itself_whether_it_is_true_is_believed(
        self, ask: Ask, routes: ChannelRoutes, is_ok: bool, status: int
    ) -> None:
        class Response:
            status_code = 200
            headers: ClassVar[dict[str, str]] = {}

            def __bool__(self) -> bool:
                return is_ok

        routes.private("asked")(lambda user: Response())
        assert ask(request("private-asked")).status == status

    def test_the_reason_is_in_the_log(self, ask: Ask, routes: ChannelRoutes, caplog: pytest.LogCaptureFixture) -> None:
        @routes.private("denied")
        def denied(user: Any) -> None:
            raise Denied("not on Sundays")

        with caplog.at_level(logging.INFO):
            assert ask(request("private-denied")).body == '{"message":""}'
        assert "denied: not on Sundays" in caplog.text

    @pytest.mark.parametrize(
        "error",
        [ValueError("s3cret"), KeyError("x"), StopIteration(), RecursionError(), AssertionError(), LookupError()],
    )
    def test_a_route_that_fails_is_500_and_leaks_nothing(
        self, ask: Ask, routes: ChannelRoutes, caplog: pytest.LogCaptureFixture, error: Exception
    ) -> None:
        @routes.private("broken")
        def broken(user: Any) -> None:
            raise error

        @routes.private("broken-too")
        async def broken_too(user: Any) -> None:
            raise error

        for channel in ("private-broken", "private-broken-too"):
            assert ask(request(channel)) == AuthResponse(500, '{"message":""}')
        assert caplog.text.count("not authorized, because a channel route failed") == 2
        assert "Traceback" in caplog.text

    def test_a_user_who_cannot_be_looked_up_is_a_failure(self, ask: Ask, caplog: pytest.LogCaptureFixture) -> None:
        def fails(guard: Any) -> Any:
            raise OSError("the database is away")

        assert ask(AuthRequest({}, "", request().body, "h", fails)).status == 500
        assert "the database is away" in caplog.text

    def test_frameworks_have_denials_of_their_own(
        self, endpoint: AuthEndpoint, ask: Ask, routes: ChannelRoutes
    ) -> None:
        endpoint.denials = (PermissionError,)

        @routes.private("forbidden")
        def forbidden(user: Any) -> None:
            raise PermissionError

        assert ask(request("private-forbidden")).status == 403


class TestDebug:
    """The reason is told to developers."""

    @pytest.fixture
    def settings(self) -> BroadcastSettings:
        return settings_from({"app_id": "1", "key": "k", "secret": "s", "debug": True})

    @pytest.mark.parametrize(
        ("channel", "user", "reason"),
        [
            (
                "private-ordrs.7",
                User(7),
                "no private channel route matches 'ordrs.7'; did you mean 'orders.{order_id:int}'?",
            ),
            ("private-orders.8", User(7), "orders returned False for order_id=8"),
            ("private-orders.7", None, "nobody is logged in"),
            ("orders", User(7), "'orders' is not a private or presence channel: it needs no authorization"),
        ],
    )
    def test_with_debug_a_refusal_gives_its_reason(self, ask: Ask, channel: str, user: Any, reason: str) -> None:
        answer = ask(request(channel, user))
        assert answer.status == 403
        assert reason in json.loads(answer.body)["message"]

    def test_a_mistake_of_the_application(self, ask: Ask) -> None:
        answer = ask(request("private-encrypted-orders.7", User(7)))
        assert answer.status == 500
        assert "is an encrypted channel: set encryption_master_key" in json.loads(answer.body)["message"]

    def test_with_debug_a_failure_names_the_exception(self, ask: Ask, routes: ChannelRoutes) -> None:
        routes.private("broken")(lambda user: user.nothing)
        message = json.loads(ask(request("private-broken")).body)["message"]
        assert message.startswith("the channel route failed: AttributeError: ")


class TestRequests:
    """Requests as browsers and other clients send them."""

    def test_a_form_json_and_a_query(self, ask: Ask) -> None:
        expected = ask(request())
        values = {"socket_id": SOCKET_ID, "channel_name": "private-orders.7"}
        for content_type in ("application/json", "application/json; charset=utf-8", "Application/JSON"):
            headers = {"content-type": content_type}
            assert ask(request(headers=headers, body=json.dumps(values).encode())) == expected
        assert ask(request(body=b"", query=urlencode(values))) == expected
        headers = {"content-type": "application/x-www-form-urlencoded"}
        assert ask(request(headers=headers)) == expected

    @pytest.mark.parametrize(
        ("more", "status"),
        [
            ({"socket_id": None}, 422),
            ({"socket_id": ""}, 422),
            ({"socket_id": "x"}, 422),
            ({"socket_id": "1.2.3"}, 422),
            ({"socket_id": "1:2"}, 422),
            ({"socket_id": "123.456:private-orders.8"}, 422),
            ({"channel": None}, 403),
            ({"channel": ""}, 403),
            ({"channel": "private-orders 7"}, 422),
            ({"channel": "private-" + "x" * 200}, 422),
            ({"channel": "private-orders.7\n"}, 422),
            ({"body": b"\xff\xfe"}, 422),
            ({"body": b"x" * 20_000}, 413),
            ({"headers": {"content-type": "application/json"}, "body": b"{"}, 422),
            ({"headers": {"content-type": "application/json"}, "body": b"[]"}, 422),
            ({"headers": {"content-type": "application/json"}, "body": b""}, 422),
            ({"headers": {"content-type": "application/json"}, "body": b"\xff"}, 422),
            ({"headers": {"content-type": "application/json"}, "body": b'{"socket_id":1.2,"channel_name":["x"]}'}, 422),
            ({"headers": {"content-type": "application/json"}, "body": b"[" * 9_000}, 422),
        ],
        ids=lambda value: str(value)[:60],
    )
    def test_malformed_requests_are_refused(self, ask: Ask, more: dict[str, Any], status: int) -> None:
        assert ask(request(**more)) == AuthResponse(status, '{"message":""}')

    def test_pages_of_other_sites_are_refused(self, ask: Ask) -> None:
        headers = {"origin": "https://evil.example", "sec-fetch-site": "cross-site"}
        assert ask(request(headers=headers)).status == 403
        assert ask(request(headers={**headers, "authorization": "Bearer x"})).status == 200


class TestUsers:
    @pytest.mark.parametrize(
        ("user", "user_id"),
        [
            (User(7), "7"),
            (User("7"), "7"),
            (7, "7"),
            ("seven", "seven"),
            ({"sub": "auth0|7"}, "auth0|7"),
            ({"id": 0}, "0"),
            (type("Django", (), {"pk": 9, "id": 7})(), "9"),
            (type("Login", (), {"get_id": lambda self: "8"})(), "8"),
        ],
        ids=["object", "text id", "number", "text", "claims", "zero", "pk", "get_id"],
    )
    def test_ids_are_text(self, ask: Ask, user: Any, user_id: str) -> None:
        assert json.loads(json.loads(ask(request("presence-bare", user)).body)["channel_data"])["user_id"] == user_id

    def test_a_user_without_an_id(self, ask: Ask, caplog: pytest.LogCaptureFixture) -> None:
        assert ask(request("presence-bare", object())).status == 500
        assert "a user of type object has none of pk, id, user_id, sub, username: give the channel route user_id=" in (
            caplog.text
        )

    def test_an_id_of_the_route_s_own(self, ask: Ask, routes: ChannelRoutes) -> None:
        routes.presence("own", user_id=lambda user: f"tenant-{user.id}")(lambda user: {"x": 1})
        data = json.loads(json.loads(ask(request("presence-own")).body)["channel_data"])
        assert data == {"user_id": "tenant-7", "user_info": {"x": 1}}

    def test_guests_where_they_are_welcome(self, ask: Ask, routes: ChannelRoutes) -> None:
        @routes.presence("lobby", guests=True)
        def lobby(user: Any, ctx: Any) -> Any:
            return {"id": ctx.socket_id, "name": "guest"} if user is None else {"name": user.name}

        routes.presence("nameless", guests=True)(lambda user: {"name": "guest"})
        data = json.loads(json.loads(ask(request("presence-lobby", None)).body)["channel_data"])
        assert data == {"user_id": SOCKET_ID, "user_info": {"id": SOCKET_ID, "name": "guest"}}
        data = json.loads(json.loads(ask(request("presence-lobby")).body)["channel_data"])
        assert data["user_id"] == "7"
        assert ask(request("presence-nameless", None)).status == 500

    def test_guards_are_asked_one_after_the_other(self, ask: Ask, routes: ChannelRoutes) -> None:
        asked: list[Any] = []

        @routes.guard("token")
        def token(request: Any) -> Any:
            asked.append(request)
            return None

        @routes.guard("async")
        async def by_async(request: Any) -> Any:
            return User(9)

        routes.presence("guarded", guards=["token", "async"])(lambda user: True)
        routes.presence("by-framework", guards="session")(lambda user: True)
        answer = ask(request("presence-guarded", None, request="the request"))
        assert json.loads(json.loads(answer.body)["channel_data"])["user_id"] == "9"
        assert asked == ["the request"]
        names: list[Any] = []
        ask(AuthRequest({}, "", request("presence-by-framework").body, "h", names.append))
        assert names == ["session"], "a guard that is not a route's is the framework's"

    def test_the_permission_of_a_route_is_checked(
        self, ask: Ask, endpoint: AuthEndpoint, routes: ChannelRoutes
    ) -> None:
        routes.private("permitted", permission="shop.view")(lambda user: True)
        assert ask(request("private-permitted")).status == 500, "nobody can tell"
        endpoint.check_permission = lambda user, permission: (user.id, permission) == (7, "shop.view")
        assert ask(request("private-permitted")).status == 200
        assert ask(request("private-permitted", User(8))).status == 403

    def test_parameters_become_what_annotations_ask_for(
        self, ask: Ask, endpoint: AuthEndpoint, routes: ChannelRoutes
    ) -> None:
        def load(annotation: Any, value: Any) -> Any:
            if annotation is not User:
                return NotImplemented
            if value == "0":
                raise Denied("no such user")
            return User(value)

        endpoint.converters.append(load)

        @routes.private("users.{owner}.{day}")
        def owned(user: User, owner: User, day: str) -> bool:
            return owner == User("7") and day == "monday"

        assert ask(request("private-users.7.monday")).status == 200
        assert ask(request("private-users.0.monday")).status == 403

    def test_the_context_has_request_channel_and_socket(self, ask: Ask, routes: ChannelRoutes) -> None:
        seen: list[Any] = []

        @routes.private("context")
        def context(ctx: Any) -> bool:
            seen.append((ctx.request, ctx.channel, ctx.socket_id))
            return True

        assert ask(request("private-cache-context", request="r")).status == 200
        assert seen == [("r", "private-cache-context", SOCKET_ID)]


class TestSignIn:
    def test_with_the_id_alone(self, ask: Ask) -> None:
        answer = ask(request(None), sign_in=True)
        expected = SDK.authenticate_user(SOCKET_ID, {"id": "7"})
        data = '{"id":"7"}'
        assert json.loads(answer.body) == {
            "auth": f"app-key:{sign('app-secret', f'{SOCKET_ID}::user::{data}')}",
            "user_data": data,
        }
        assert json.loads(expected["user_data"]) == json.loads(data)

    def test_with_what_the_application_says(self, ask: Ask, routes: ChannelRoutes) -> None:
        @routes.user
        async def user(user: User) -> Any:
            return {"user_info": {"name": user.name}, "watchlist": ["8"]}

        data = json.loads(json.loads(ask(request(None), sign_in=True).body)["user_data"])
        assert data == {"id": "7", "user_info": {"name": "alice"}, "watchlist": ["8"]}

    def test_with_another_id(self, ask: Ask, routes: ChannelRoutes) -> None:
        routes.user(lambda user: {"id": 70 + user.id})
        assert json.loads(ask(request(None), sign_in=True).body)["user_data"] == '{"id":"77"}'

    def test_a_sign_in_without_a_user_is_refused(self, ask: Ask, routes: ChannelRoutes) -> None:
        assert ask(request(None, None), sign_in=True) == AuthResponse(403, '{"message":""}')
        routes.user(lambda user: None)
        assert ask(request(None), sign_in=True).status == 403
        assert ask(request(None, socket_id="x"), sign_in=True).status == 422


@pytest.mark.parametrize("sign_in", [False, True])
def test_a_server_that_is_not_configured_is_no_denial(
    routes: ChannelRoutes, caplog: pytest.LogCaptureFixture, sign_in: bool
) -> None:
    endpoint = AuthEndpoint(routes, BroadcastSettings)
    ask = endpoint.user if sign_in else endpoint.channel
    assert ask(request()) == AuthResponse(500, '{"message":""}')
    assert "Soundpost is not configured" in caplog.text


@pytest.mark.parametrize("debug", [False, True])
def test_settings_that_cannot_be_read_are_told_in_the_framework_s_debug_mode(
    routes: ChannelRoutes, debug: bool
) -> None:
    def settings() -> BroadcastSettings:
        raise ConfigurationError("'PORT': no port")

    answer = AuthEndpoint(routes, settings).channel(replace(request(), debug=debug))
    assert answer == AuthResponse(
        500, json.dumps({"message": "'PORT': no port" if debug else ""}, separators=(",", ":"))
    )


async def test_blocking_routes_do_not_block_the_event_loop(endpoint: AuthEndpoint, routes: ChannelRoutes) -> None:
    loop = asyncio.get_running_loop()

    @routes.private("blocking")
    def blocking(user: Any) -> bool:
        assert threading.current_thread() is not threading.main_thread()
        return asyncio.run_coroutine_threadsafe(asyncio.sleep(0, True), loop).result(10)

    assert (await endpoint.achannel(request("private-blocking"))).status == 200
