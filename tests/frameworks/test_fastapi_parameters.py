"""Channel routes of FastAPI get nothing from the query or the body that they do not ask for by name."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Any, TypeAlias

import pytest
from fastapi import BackgroundTasks, Body, Cookie, Depends, FastAPI, File, Form, Header, Query, Request, Response
from fastapi.security import HTTPBearer, SecurityScopes
from fastapi.testclient import TestClient
from pydantic import BaseModel, Field
from starlette.requests import HTTPConnection

from frameworks.fastapi_apps import SOCKET_ID, CurrentUser, User, current_user, make_app, make_soundpost
from soundpost.broadcasting.authorization import ChannelRoutes, Context
from soundpost.errors import RouteError
from soundpost.fastapi import Soundpost


class Filter(BaseModel):
    public: bool = False


@dataclass
class Options:
    public: bool = False


Found: TypeAlias = Annotated[User, Depends(current_user)]
Public: TypeAlias = Annotated[bool, "whether anybody may see it"]


@pytest.fixture
def sp() -> Soundpost:
    return make_soundpost(debug=True)


@pytest.fixture
def app(sp: Soundpost) -> FastAPI:
    return make_app(sp)


def scalar_default(user: User, public: bool = False) -> bool:
    return public


def scalar(user: User, public: bool) -> bool:
    return public


def text(user: User, token: str = "") -> bool:
    return token == "x"


def number(user: User, level: int | None = None) -> bool:
    return bool(level)


def without_annotation(user: User, public=False) -> bool:  # type: ignore[no-untyped-def]
    return bool(public)


def keyword_only(user: User, *, public: bool = False) -> bool:
    return public


def annotated_with_a_text(user: User, public: Public = False) -> bool:
    return public


def annotated_with_a_field(user: User, public: Annotated[bool, Field()] = False) -> bool:
    return public


def default_of_pydantic(user: User, public: bool = Field(False)) -> bool:
    return public


def model(user: User, filter: Filter) -> bool:
    return filter.public


def model_with_default(user: User, filter: Filter = Filter(public=False)) -> bool:  # noqa: B008
    return filter.public


def a_dataclass(user: User, options: Options) -> bool:
    return options.public


def a_list(user: User, tags: list[str] = []) -> bool:  # noqa: B006
    return bool(tags)


def a_mapping(user: User, values: dict[str, Any]) -> bool:
    return bool(values)


def union_around_a_declaration(user: User, other: Annotated[User, Depends(current_user)] | None = None) -> bool:
    return bool(other)


def arguments(user: User, *more: Any) -> bool:
    return True


def keywords(user: User, **more: Any) -> bool:
    return True


class Callable:
    def __call__(self, user: User, public: bool = False) -> bool:
        return public


UNDECLARED = [
    scalar_default,
    scalar,
    text,
    number,
    without_annotation,
    keyword_only,
    annotated_with_a_text,
    annotated_with_a_field,
    default_of_pydantic,
    model,
    model_with_default,
    a_dataclass,
    a_list,
    a_mapping,
    union_around_a_declaration,
    arguments,
    keywords,
    Callable(),
]


@pytest.mark.parametrize("route", UNDECLARED)
@pytest.mark.parametrize("kind", ["private", "presence", "guests"])
def test_undeclared_parameters_are_refused_where_the_route_is_defined(sp: Soundpost, route: Any, kind: str) -> None:
    decorate = sp.channels.presence if kind == "presence" else sp.channels.private
    with pytest.raises(RouteError, match=r"channel route 'orders': FastAPI cannot call .*: its parameter '"):
        decorate("orders", guests=kind == "guests")(route)
    assert not list(sp.channels)


def test_a_parameter_that_is_mistyped_is_told_those_of_the_pattern(sp: Soundpost) -> None:
    def room(room: int, user: User) -> bool:
        return True

    with pytest.raises(RouteError, match=r"its parameter 'room: .*' is none of room_id, user, ctx, and would be"):
        sp.channels.private("room.{room_id:int}")(room)


@pytest.mark.parametrize("route", UNDECLARED)
def test_sign_in_is_no_other(sp: Soundpost, app: FastAPI, route: Any) -> None:
    sp.channels.user(route)
    with pytest.raises(RouteError, match=r"channels\.user: FastAPI cannot call .*: its parameter '"), TestClient(app):
        pass


def test_guards_are_no_other(sp: Soundpost, app: FastAPI) -> None:
    @sp.channels.guard("token")
    def by_token(token: str = "") -> str:
        return token

    with (
        pytest.raises(RouteError, match=r"guard 'token': FastAPI cannot call .*: its parameter 'token"),
        TestClient(app),
    ):
        pass


def test_routes_of_others_are_looked_at_at_the_start() -> None:
    """Routes that were not made for FastAPI, and annotations that name what comes later in the module."""
    channels = ChannelRoutes()
    channels.private("orders")(scalar_default)
    sp = Soundpost(make_soundpost().settings, channels=channels, broadcaster=make_soundpost().broadcast)
    with pytest.raises(RouteError, match="its parameter 'public"), TestClient(make_app(sp)):
        pass


def test_without_a_lifespan_nobody_is_let_in() -> None:
    channels = ChannelRoutes()
    channels.private("orders")(scalar_default)
    app = make_app(Soundpost(channels=channels, broadcaster=make_soundpost().broadcast))
    form = {"socket_id": SOCKET_ID, "channel_name": "private-orders"}
    headers = {"Authorization": "Bearer ann"}
    for query in ({}, {"public": "1"}):
        answer = TestClient(app).post("/broadcasting/auth", data=form, params=query, headers=headers)
        assert answer.status_code == 500
        assert "its parameter 'public" in answer.json()["message"]


def test_the_user_is_never_what_the_browser_says(sp: Soundpost, app: FastAPI) -> None:
    """``user`` and ``ctx`` come from the extension, with any annotation, with and without a default."""

    @sp.channels.private("a.{number:int}")
    def a(number: int, user: Annotated[dict[str, Any], "who asks"]) -> bool:
        return bool(user["id"] == "ann")

    @sp.channels.private("b.{number:int}")
    def b(number: int, user: User | None = None, ctx: Context | None = None) -> bool:
        return user is not None and user["id"] == "ann" and ctx is not None

    @sp.channels.private("c.{number:int}")
    def c(number: int, user: str = "", ctx: str = "") -> bool:
        return isinstance(user, dict) and isinstance(ctx, Context)

    with TestClient(app) as client:
        for name in "abc":
            values = {
                "socket_id": SOCKET_ID,
                "channel_name": f"private-{name}.7",
                "user": "eve",
                "ctx": "x",
                "id": "eve",
            }
            headers = {"Authorization": "Bearer ann"}
            for more in ({"data": values}, {"json": values}, {"data": values, "params": {"user": "eve", "ctx": "x"}}):
                assert client.post("/broadcasting/auth", headers=headers, **more).status_code == 200  # type: ignore[arg-type]


def test_a_parameter_of_the_pattern_is_of_the_channel(sp: Soundpost, app: FastAPI) -> None:
    """A parameter of the pattern named ``user`` or ``ctx`` still comes from the channel."""

    @sp.channels.private("users.{user:int}")
    def own(user: int, me: CurrentUser) -> bool:
        return user == 7

    with TestClient(app) as client:
        for channel, status in (("private-users.7", 200), ("private-users.8", 403)):
            form = {"socket_id": SOCKET_ID, "channel_name": channel}
            headers = {"Authorization": "Bearer ann"}
            answer = client.post("/broadcasting/auth", data=form, params={"user": "7"}, headers=headers)
            assert answer.status_code == status


def test_what_is_declared_is_given(sp: Soundpost, app: FastAPI) -> None:
    @sp.channels.private("orders.{order_id:int}")
    def orders(
        order_id: int,
        user: User,
        ctx: Context,
        me: CurrentUser,
        request: Request,
        connection: HTTPConnection,
        response: Response,
        tasks: BackgroundTasks,
        scopes: SecurityScopes,
        found: Found,
        token: Annotated[str, Header(alias="authorization")],
        q: Annotated[str, Query()] = "none",
        mine: str = Query("none"),
        cookie: Annotated[str, Cookie()] = "none",
        db: Any = Depends(lambda: "db"),  # noqa: B008 - the form of FastAPI's old days
    ) -> bool:
        return (q, mine, token, db) == ("x", "none", "Bearer ann", "db")

    sp.channels.guard("bearer")(HTTPBearer())
    with TestClient(app) as client:
        form = {"socket_id": SOCKET_ID, "channel_name": "private-orders.7"}
        headers = {"Authorization": "Bearer ann"}
        assert client.post("/broadcasting/auth", data=form, params={"q": "x"}, headers=headers).status_code == 200
        assert client.post("/broadcasting/auth", data=form, headers=headers).status_code == 403


def test_bodies_may_be_declared(sp: Soundpost) -> None:
    sp.channels.private("a")(_with_body)
    for number, declaration in enumerate((Form(), File())):  # defined, not called: that needs python-multipart
        sp.channels.private(f"b.{number}")(_with(declaration))


def _with_body(user: User, filter: Annotated[Filter, Body()]) -> bool:
    return True


def _with(declaration: Any) -> Any:
    def route(user, value=declaration):  # type: ignore[no-untyped-def]
        return True

    return route
