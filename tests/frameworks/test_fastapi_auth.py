"""``/broadcasting/auth`` and ``/broadcasting/user-auth`` of FastAPI: what the core answers, by dependencies."""

# No "from __future__ import annotations": FastAPI is to see dependencies that are local names here.

import base64
import json
import logging
import threading
from collections.abc import AsyncIterator, Iterator
from typing import Annotated, Any
from uuid import UUID

import pytest
from fastapi import APIRouter, Depends, FastAPI, Header, HTTPException, Query, Request
from fastapi.responses import JSONResponse
from fastapi.testclient import TestClient

from frameworks.fastapi_apps import SETTINGS, SOCKET_ID, CurrentUser, User, ask, current_user, make_app, make_soundpost
from soundpost.broadcasting.authorization import AuthEndpoint, AuthRequest, ChannelRoutes, Context, Denied
from soundpost.broadcasting.settings import settings_from
from soundpost.errors import RouteError
from soundpost.fastapi import ChannelPolicy, Soundpost

MASTER_KEY = base64.b64encode(bytes(32)).decode()


@pytest.fixture
def sp() -> Soundpost:
    return make_soundpost(encryption_master_key=MASTER_KEY)


@pytest.fixture
def app(sp: Soundpost) -> FastAPI:
    return make_app(sp)


@pytest.fixture
def client(app: FastAPI) -> Iterator[TestClient]:
    with TestClient(app) as running:
        yield running


def reason(answer: Any) -> str:
    """Return the reason why a subscription was denied."""
    assert answer.status_code == 403
    return str(answer.json()["message"])


@pytest.mark.parametrize(
    "channel",
    ["private-orders.7", "private-encrypted-orders.7", "private-cache-orders.7", "presence-rooms.blue"],
)
@pytest.mark.parametrize("debug", [True, False])
@pytest.mark.parametrize("user", ["ann", "bob", None])
def test_answers_are_the_core_s_byte_by_byte(channel: str, user: str | None, debug: bool) -> None:
    sp = make_soundpost(encryption_master_key=MASTER_KEY, debug=debug)
    routes = ChannelRoutes()

    def order(user: User, order_id: int) -> bool:
        return user["id"] == "ann" and order_id == 7

    def room(user: User, room: str) -> User | None:
        return {"name": "Ann Ångström", "room": room} if user["id"] == "ann" else None

    for decorated in (sp.channels, routes):
        decorated.private("orders.{order_id:int}")(order)
        decorated.presence("rooms.{room:slug}")(room)
    settings = settings_from({**SETTINGS, "encryption_master_key": MASTER_KEY, "debug": debug})
    request = AuthRequest(
        headers={},
        query="",
        body=f"socket_id={SOCKET_ID}&channel_name={channel}".encode(),
        host="testserver",
        user=lambda guard: None if user is None else {"id": user},
    )
    expected = AuthEndpoint(routes, lambda: settings).channel(request)

    answer = ask(TestClient(make_app(sp)), channel, user)

    assert answer.status_code == expected.status == (200 if user == "ann" else 403)
    if answer.status_code == 200 or (user and not debug):
        assert answer.text == expected.body
    assert answer.headers["content-type"] == "application/json"
    assert answer.headers["cache-control"] == "no-store"


def test_a_channel_route_has_dependencies_and_parameters_of_its_own(sp: Soundpost, client: TestClient) -> None:
    async def orders_of(user: CurrentUser, x_shop: Annotated[str, Header()]) -> list[int]:
        return [7] if (user["id"], x_shop) == ("ann", "main") else []

    @sp.channels.private("orders.{order_id:int}")
    async def order(order_id: int, orders: Annotated[list[int], Depends(orders_of)]) -> bool:
        return order_id in orders

    assert ask(client, "private-orders.7", **{"X-Shop": "main"}).status_code == 200
    assert reason(ask(client, "private-orders.8", **{"X-Shop": "main"})).endswith("order returned False")
    assert "x-shop" in reason(ask(client, "private-orders.7"))


def test_a_pattern_s_parameter_may_be_a_dependency_s(sp: Soundpost, client: TestClient) -> None:
    def find_order(order_id: int) -> User:
        if order_id != 7:
            raise HTTPException(404, "no such order")
        return {"owner": "ann"}

    @sp.channels.private("orders.{order_id:int}")
    def order(order: Annotated[User, Depends(find_order)], user: User) -> bool:
        return bool(order["owner"] == user["id"])

    assert ask(client, "private-orders.7").status_code == 200
    assert "no such order" in reason(ask(client, "private-orders.8"))


def test_parameters_have_their_types(sp: Soundpost, client: TestClient) -> None:
    seen: list[Any] = []

    @sp.channels.private("a.{number:int}.{name}")
    def untyped(number, name) -> bool:  # type: ignore[no-untyped-def]
        seen.extend((number, name))
        return True

    @sp.channels.private("b.{id:uuid}-{rest:slug}")
    async def typed(id: UUID, rest: str) -> bool:
        seen.extend((id, rest))
        return True

    assert ask(client, "private-a.007.a@b,c;d=e").status_code == 200
    assert ask(client, "private-b.0f8fad5b-d9cb-469f-a165-70867728950e-x_1").status_code == 200
    assert seen == [7, "a@b,c;d=e", UUID("0f8fad5b-d9cb-469f-a165-70867728950e"), "x_1"]


def test_user_and_ctx_come_without_being_asked_for_by_depends(sp: Soundpost, client: TestClient) -> None:
    seen: list[Any] = []

    @sp.channels.private("diary")
    def diary(user: User, ctx: Context, request: Request) -> bool:
        seen.extend((user["id"], ctx.socket_id, ctx.channel, request.app is client.app))
        return True

    assert ask(client, "private-cache-diary").status_code == 200
    assert seen == ["ann", SOCKET_ID, "private-cache-diary", True]


def test_the_user_is_found_once(sp: Soundpost) -> None:
    calls = 0

    def counted(request: Request) -> User:
        nonlocal calls
        calls += 1
        return current_user(request)

    app = FastAPI()
    app.include_router(sp.router(user=counted))

    @sp.channels.presence("room")
    def room(user: User, again: Annotated[User, Depends(counted)]) -> bool:
        return user is again

    assert ask(TestClient(app), "presence-room").status_code == 200
    assert calls == 1


def test_blocking_functions_do_not_block_the_loop(sp: Soundpost, client: TestClient) -> None:
    threads: list[int] = []

    @sp.channels.private("blocking")
    def blocking() -> bool:
        threads.append(threading.get_ident())
        return True

    @sp.channels.private("plain")
    async def plain() -> bool:
        threads.append(threading.get_ident())
        return True

    assert ask(client, "private-blocking").status_code == ask(client, "private-plain").status_code == 200
    assert threads[0] != threads[1]


@pytest.mark.parametrize("allowed", [True, False])
def test_what_a_dependency_opened_is_closed(sp: Soundpost, client: TestClient, allowed: bool) -> None:
    happened: list[str] = []

    async def session() -> AsyncIterator[str]:
        happened.append("opened")
        try:
            yield "session"
        finally:
            happened.append("closed")

    @sp.channels.private("orders")
    def orders(db: Annotated[str, Depends(session)]) -> bool:
        happened.append(f"asked by {db}")
        return allowed

    ask(client, "private-orders")
    assert happened == ["opened", "asked by session", "closed"]


def test_dependency_overrides_of_the_application_apply(sp: Soundpost, app: FastAPI, client: TestClient) -> None:
    def database() -> str:
        raise AssertionError("no database in tests")

    @sp.channels.presence("room")
    def room(db: Annotated[str, Depends(database)]) -> User:
        return {"db": db}

    app.dependency_overrides[database] = lambda: "of the test"
    app.dependency_overrides[current_user] = lambda: {"id": "test-user"}
    member = json.loads(ask(client, "presence-room", None).json()["channel_data"])
    assert member == {"user_id": "test-user", "user_info": {"db": "of the test"}}

    app.dependency_overrides = {}
    assert "401" in reason(ask(client, "presence-room", None))


@pytest.mark.parametrize("status", [401, 403, 404])
def test_a_dependency_s_http_exception_denies(
    sp: Soundpost, client: TestClient, status: int, caplog: pytest.LogCaptureFixture
) -> None:
    def refuse() -> None:
        raise HTTPException(status, "not you")

    @sp.channels.private("orders", guests=False)
    def orders(ok: Annotated[None, Depends(refuse)]) -> bool:
        raise AssertionError("not asked")

    assert reason(ask(client, "private-orders")) == f"a dependency or the route answered {status}: not you"
    assert not [record for record in caplog.records if record.levelno >= logging.ERROR]


def test_denied_and_http_exceptions_of_the_route_deny(sp: Soundpost, client: TestClient) -> None:
    @sp.channels.private("one")
    def one() -> bool:
        raise Denied("the shop is closed")

    @sp.channels.private("two")
    async def two() -> bool:
        raise HTTPException(403, "staff only")

    assert reason(ask(client, "private-one")) == "the shop is closed"
    assert "staff only" in reason(ask(client, "private-two"))


def test_a_coroutine_that_a_blocking_function_returns_is_awaited(sp: Soundpost, client: TestClient) -> None:
    """A decorator without ``async`` makes such a function; the coroutine itself is true, whatever it returns."""

    async def may_see(user: User) -> bool:
        return bool(user["id"] == "ann")

    sp.channels.private("orders")(lambda user: may_see(user))
    sp.channels.user(lambda user: may_see(user))
    assert ask(client, "private-orders", "ann").status_code == 200
    assert reason(ask(client, "private-orders", "bob")).endswith("returned False")
    for user, status in (("ann", 200), ("bob", 403)):
        headers = {"Authorization": f"Bearer {user}"}
        answer = client.post("/broadcasting/user-auth", data={"socket_id": SOCKET_ID}, headers=headers)
        assert answer.status_code == status


def test_an_exception_that_the_application_answers_denies(sp: Soundpost, caplog: pytest.LogCaptureFixture) -> None:
    class NotYoursError(Exception):
        pass

    async def answer(request: Request, error: Exception) -> JSONResponse:
        return JSONResponse({"detail": "not yours"}, 418)

    app = make_app(sp, exception_handlers={NotYoursError: answer})

    @sp.channels.private("orders")
    def orders() -> bool:
        raise NotYoursError

    assert reason(ask(TestClient(app), "private-orders")) == "a dependency or the route answered 418: not yours"
    assert not [record for record in caplog.records if record.levelno >= logging.ERROR]


def test_a_failing_route_is_500_and_its_traceback_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    sp = make_soundpost(debug=False)

    @sp.channels.private("orders")
    def orders() -> bool:
        raise ValueError("password: hunter2")

    answer = ask(TestClient(make_app(sp)), "private-orders")
    assert (answer.status_code, answer.json()) == (500, {"message": ""})
    (record,) = [record for record in caplog.records if record.name == "soundpost.auth"]
    assert record.exc_info is not None
    assert "hunter2" in str(record.exc_info[1])


def test_a_failure_after_the_answer_does_not_allow(sp: Soundpost, client: TestClient) -> None:
    async def session() -> AsyncIterator[None]:
        yield
        raise RuntimeError("the commit failed")

    @sp.channels.private("orders")
    def orders(db: Annotated[None, Depends(session)]) -> bool:
        return True

    answer = ask(client, "private-orders")
    assert answer.status_code == 500
    assert "the commit failed" in answer.json()["message"]


def test_guests_may_join_where_the_route_allows_them(sp: Soundpost, client: TestClient) -> None:
    @sp.channels.presence("lobby", guests=True)
    def lobby(user: User | None, ctx: Context) -> User:
        return {"id": f"guest-{ctx.socket_id}"} if user is None else {"name": user["name"]}

    @sp.channels.private("members")
    def members() -> bool:
        raise AssertionError("not asked without a user")

    guest = json.loads(ask(client, "presence-lobby", None).json()["channel_data"])
    member = json.loads(ask(client, "presence-lobby", "ann").json()["channel_data"])
    assert guest == {"user_id": f"guest-{SOCKET_ID}", "user_info": {"id": f"guest-{SOCKET_ID}"}}
    assert member == {"user_id": "ann", "user_info": {"name": "Ann"}}
    assert "log in first" in reason(ask(client, "private-members", None))


def test_nobody_is_logged_in_if_the_dependency_gives_none(sp: Soundpost) -> None:
    app = FastAPI()
    app.include_router(sp.router(user=lambda: None))

    @sp.channels.private("members")
    def members() -> bool:
        raise AssertionError("not asked without a user")

    client = TestClient(app)
    assert "nobody is logged in" in reason(ask(client, "private-members"))
    answer = client.post("/broadcasting/user-auth", data={"socket_id": SOCKET_ID})
    assert "nobody is logged in" in reason(answer)


def test_guards_are_dependencies_tried_in_order(sp: Soundpost, client: TestClient) -> None:
    @sp.channels.guard("staff")
    def staff(x_staff: Annotated[str | None, Header()] = None) -> User | None:
        return None if x_staff is None else {"id": f"staff-{x_staff}"}

    @sp.channels.guard("customer")
    def customer(user: CurrentUser) -> User:
        return user

    @sp.channels.presence("counter", guards=("staff", "customer"))
    def counter(user: User) -> User:
        return {"is": user["id"]}

    def who(answer: Any) -> Any:
        return json.loads(answer.json()["channel_data"])["user_id"]

    assert who(ask(client, "presence-counter", "ann", **{"X-Staff": "eve"})) == "staff-eve"
    assert who(ask(client, "presence-counter", "ann")) == "ann"
    assert reason(ask(client, "presence-counter", None)) == "nobody is logged in"


def test_a_sign_in_is_signed_for_the_current_user(sp: Soundpost, client: TestClient) -> None:
    def sign_in(user: str | None) -> Any:
        headers = {} if user is None else {"Authorization": f"Bearer {user}"}
        return client.post("/broadcasting/user-auth", data={"socket_id": SOCKET_ID}, headers=headers)

    assert json.loads(sign_in("ann").json()["user_data"]) == {"id": "ann"}

    @sp.channels.user
    async def introduce(user: CurrentUser, x_lang: Annotated[str, Header()] = "en") -> User | None:
        return {"id": user["id"], "user_info": {"lang": x_lang}} if user["id"] == "ann" else None

    assert json.loads(sign_in("ann").json()["user_data"]) == {"id": "ann", "user_info": {"lang": "en"}}
    assert reason(sign_in("bob")) == "the application says no"
    assert "log in first" in reason(sign_in(None))


def test_class_channels(sp: Soundpost, client: TestClient) -> None:
    class Team(ChannelPolicy, routes=sp.channels):
        pattern = "teams.{team_id:int}"

        async def authorize(self, team_id: int, user: CurrentUser) -> bool:
            return (team_id, user["id"]) == (3, "ann")

    assert ask(client, "private-teams.3").status_code == 200
    assert ask(client, "private-teams.4").status_code == 403


def test_json_query_and_get_are_understood(sp: Soundpost, client: TestClient) -> None:
    @sp.channels.private("orders")
    def orders(q: Annotated[str, Query()] = "none") -> bool:
        return q == "none"

    values = {"socket_id": SOCKET_ID, "channel_name": "private-orders"}
    headers = {"Authorization": "Bearer ann"}
    assert client.post("/broadcasting/auth", json=values, headers=headers).status_code == 200
    assert client.get("/broadcasting/auth", params=values, headers=headers).status_code == 200
    assert client.get("/broadcasting/auth", params={**values, "q": "x"}, headers=headers).status_code == 403


@pytest.mark.parametrize(("body", "status"), [({"channel_name": "private-x"}, 422), ({"socket_id": "x" * 20_000}, 413)])
def test_what_is_no_auth_request_is_refused(client: TestClient, body: dict[str, str], status: int) -> None:
    assert client.post("/broadcasting/auth", data=body).status_code == status


def test_a_page_of_another_site_is_refused(sp: Soundpost, client: TestClient) -> None:
    sp.channels.private("orders", guests=True)(lambda: True)
    site = {"Origin": "https://evil.example", "Sec-Fetch-Site": "cross-site"}
    assert "evil.example" in reason(ask(client, "private-orders", None, **site))
    assert ask(client, "private-orders", None, Origin="http://testserver").status_code == 200


def test_routes_may_have_a_prefix_and_a_root_path(sp: Soundpost) -> None:
    @sp.channels.private("orders.{order_id:int}")
    def order(order_id: int) -> bool:
        return True

    api = APIRouter(prefix="/api")
    api.include_router(sp.router(user=current_user, url_prefix="/live/"))
    app = FastAPI()
    app.include_router(api)
    client = TestClient(app, root_path="/shop", headers={"Authorization": "Bearer ann"})
    options = client.get("/api/live/config").json()
    assert options["authEndpoint"] == "/shop/api/live/auth"
    assert options["userAuthentication"]["endpoint"] == "/shop/api/live/user-auth"
    form = {"socket_id": SOCKET_ID, "channel_name": "private-orders.7"}
    assert client.post("/api/live/auth", data=form).status_code == 200

    outer = FastAPI()
    outer.mount("/mounted", make_app(sp))
    mounted = TestClient(outer, headers={"Authorization": "Bearer ann"})
    assert mounted.post("/mounted/broadcasting/auth", data=form).status_code == 200
    assert mounted.get("/mounted/broadcasting/config").json()["authEndpoint"] == "/mounted/broadcasting/auth"


def test_two_applications_with_the_same_routes_are_kept_apart(sp: Soundpost) -> None:
    def tenant() -> str:
        return "none"

    @sp.channels.presence("room")
    def room(request: Request, tenant: Annotated[str, Depends(tenant)]) -> User:
        return {"title": request.app.title, "tenant": tenant}

    apps = [make_app(sp, title=title) for title in ("one", "two")]
    apps[1].dependency_overrides[tenant] = lambda: "second"
    found = [json.loads(ask(TestClient(app), "presence-room").json()["channel_data"])["user_info"] for app in apps]
    assert found == [{"title": "one", "tenant": "none"}, {"title": "two", "tenant": "second"}]


def test_the_auth_routes_are_not_in_the_schema(client: TestClient) -> None:
    assert client.get("/openapi.json").json()["paths"] == {}


def test_a_route_that_fastapi_cannot_call_stops_the_start(sp: Soundpost, app: FastAPI) -> None:
    class Nothing:
        pass

    @sp.channels.private("orders")
    def orders(thing: Annotated[Nothing, Query()]) -> bool:
        return True

    with pytest.raises(RouteError, match=r"'orders': FastAPI cannot call .*\.orders: .*Nothing"), TestClient(app):
        pass


def test_an_annotation_that_names_nothing_stops_the_start(sp: Soundpost, app: FastAPI) -> None:
    @sp.channels.private("orders")
    def orders(thing: "NotHere") -> bool:  # type: ignore[name-defined]  # noqa: F821
        return True

    with pytest.raises(RouteError, match="NotHere"), TestClient(app):
        pass


def test_routes_that_overlap_are_refused(sp: Soundpost) -> None:
    sp.channels.private("orders.{order_id:int}")(lambda order_id: True)
    with pytest.raises(RouteError, match="both match"):
        sp.channels.private("orders.{name}")(lambda name: True)
