"""Nobody: every door refuses the objects of frameworks for a user who is not logged in."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from django.utils.functional import SimpleLazyObject
from fastapi import Depends, Request
from flask_login import AnonymousUserMixin
from starlette.authentication import SimpleUser, UnauthenticatedUser
from werkzeug.local import LocalProxy

import soundpost.fastapi
import soundpost.flask
import soundpost.quart
import soundpost.starlette
from frameworks import django_database  # noqa: F401 - sets Django up
from frameworks.doors import DOORS, SOCKET_ID, Door, Open
from soundpost.broadcasting.authorization import AuthRequest, ChannelRoutes
from soundpost.errors import RouteError
from soundpost.litestar import SoundpostPlugin


class ByMethod:
    """A user with ``is_authenticated`` as a method, as in old frameworks."""

    id = 7

    def is_authenticated(self) -> bool:
        return False


class ByCoroutine:
    """A user with ``is_authenticated`` as a coroutine, as in Quart-Auth."""

    id = 7

    def __init__(self, answer: bool = False) -> None:
        self._answer = answer

    @property
    async def is_authenticated(self) -> bool:
        return self._answer


class WithAnId:
    """Nobody who has an id all the same."""

    id = 7
    is_authenticated = False


class OfFlaskLogin:
    """A user as Flask-Login wants them."""

    is_authenticated = True

    def __init__(self, user_id: str | None) -> None:
        self._id = user_id

    def get_id(self) -> str | None:
        return self._id


NOBODY: dict[str, Callable[[], Any]] = {
    "none": lambda: None,
    "false": lambda: False,
    "empty text": lambda: "",
    "empty mapping": lambda: {},
    "empty bytes": lambda: b"",
    "empty list": lambda: [],
    "starlette": UnauthenticatedUser,
    "flask-login": AnonymousUserMixin,
    "django": lambda: _djangos_nobody(),
    "method": ByMethod,
    "coroutine": ByCoroutine,
    "with an id": WithAnId,
    "mapping": lambda: {"id": 7, "is_authenticated": False},
    "local proxy": lambda: LocalProxy(UnauthenticatedUser),
    "local proxy of none": lambda: LocalProxy(lambda: None),
    "django's lazy object": lambda: SimpleLazyObject(_djangos_nobody),
    "lazy object in a local proxy": lambda: LocalProxy(lambda: SimpleLazyObject(WithAnId)),
    "class": lambda: UnauthenticatedUser,
}
SOMEBODY: dict[str, Callable[[], Any]] = {
    "text": lambda: "ann",
    "starlette": lambda: SimpleUser("ann"),
    "flask-login": lambda: OfFlaskLogin("ann"),
    "coroutine": lambda: LocalProxy(lambda: _named(ByCoroutine(answer=True))),
    "mapping": lambda: {"sub": "ann"},
    "local proxy": lambda: LocalProxy(lambda: SimpleUser("ann")),
    "local proxy of a text": lambda: LocalProxy(lambda: "ann"),
    "django's lazy object": lambda: SimpleLazyObject(lambda: SimpleUser("ann")),
}


def _djangos_nobody() -> Any:
    from django.contrib.auth.models import AnonymousUser  # once Django is set up

    return AnonymousUser()


def _named(user: Any) -> Any:
    user.id = "ann"
    return user


def _with_routes(door: Door) -> Door:
    _declare(door.channels)
    return door


def _declare(channels: ChannelRoutes) -> None:
    @channels.private("orders.{order_id:int}")
    def order(user: Any, order_id: int) -> bool:
        return True

    @channels.presence("rooms.{room}")
    async def member(user: Any, room: str) -> bool:
        return True

    @channels.private("open", guests=True)
    def open_to_guests(user: Any) -> bool:
        return user is None

    @channels.private("guarded", guards=["first", "second"])
    def guarded(user: Any) -> bool:
        return True


@pytest.mark.parametrize("open_door", DOORS)
@pytest.mark.parametrize("nobody", NOBODY)
def test_nobody_is_signed_nothing(open_door: Open, nobody: str) -> None:
    door = _with_routes(open_door(NOBODY[nobody], debug=True))
    for answer in (door.ask("private-orders.7"), door.ask("presence-rooms.x"), door.sign_in()):
        assert answer.status == (500 if nobody == "class" else 403)
        assert answer.message in (
            "nobody is logged in",
            "a dependency or the route answered 401: nobody is logged in",
        ) or (nobody == "class")


@pytest.mark.parametrize("open_door", DOORS)
@pytest.mark.parametrize("nobody", [each for each in NOBODY if each != "class"])
def test_nobody_is_a_guest_where_guests_are_welcome(open_door: Open, nobody: str) -> None:
    assert _with_routes(open_door(NOBODY[nobody])).ask("private-open").status == 200


@pytest.mark.parametrize("open_door", DOORS)
@pytest.mark.parametrize("nobody", NOBODY)
def test_nobody_passes_no_guard(open_door: Open, nobody: str) -> None:
    door = _with_routes(open_door(lambda: "ann"))
    door.channels.guard("first")(_taking_a_request(NOBODY[nobody]))
    door.channels.guard("second")(_taking_a_request(NOBODY[nobody]))
    assert door.ask("private-guarded").status == (500 if nobody == "class" else 403)


@pytest.mark.parametrize("open_door", DOORS)
def test_a_guard_that_is_not_defined_is_a_mistake(open_door: Open) -> None:
    """Whoever a guard with a misspelt name should have kept out is not let in as the ordinary user."""
    answer = _with_routes(open_door(lambda: "ann", debug=True)).ask("private-guarded")
    assert (answer.status, "no guard is named 'first'" in answer.message) == (500, True)


def _taking_a_request(find: Callable[[], Any]) -> Any:
    def guard(request: Request) -> Any:
        return find()

    return guard


@pytest.mark.parametrize("open_door", DOORS)
@pytest.mark.parametrize("somebody", SOMEBODY)
def test_who_is_logged_in_is_let_in(open_door: Open, somebody: str) -> None:
    door = _with_routes(open_door(SOMEBODY[somebody]))
    assert door.ask("private-orders.7").status == 200
    assert door.ask("presence-rooms.x").member == {"user_id": "ann"}
    assert door.sign_in().user == {"id": "ann"}
    assert door.ask("private-open").status == 403  # it is open to guests alone


@pytest.mark.parametrize("open_door", DOORS)
@pytest.mark.parametrize("without_id", [OfFlaskLogin(None), OfFlaskLogin(""), {"id": None, "name": "ann"}, object()])
def test_nobody_is_called_none(open_door: Open, without_id: Any) -> None:
    """A user without an id is a mistake of the application, and is never signed in as ``None``."""
    door = _with_routes(open_door(lambda: without_id))
    assert door.sign_in().status == 500
    assert door.ask("presence-rooms.x").status == 500


@pytest.mark.parametrize("nobody", NOBODY)
async def test_django_has_the_same_nobody(nobody: str) -> None:
    from soundpost.django.endpoint import endpoint as django_endpoint  # once Django is set up

    routes = ChannelRoutes()
    _declare(routes)
    endpoint = type(django_endpoint)(routes, django_endpoint.settings, run_sync=django_endpoint.run_sync)
    body = f"socket_id={SOCKET_ID}&channel_name=private-orders.7".encode()
    request = AuthRequest({}, "", body, "testserver", lambda guard: NOBODY[nobody]())
    status = 500 if nobody == "class" else 403
    assert (await endpoint.achannel(request)).status == status
    assert (await endpoint.auser(request)).status == status


@pytest.mark.parametrize("given", ["current_user", 7, Depends(object)])
@pytest.mark.parametrize(
    "take",
    [
        lambda given: soundpost.fastapi.Soundpost().router(user=given),
        lambda given: soundpost.starlette.Soundpost().routes(user=given),
        lambda given: SoundpostPlugin(user=given),
        lambda given: soundpost.flask.Soundpost().user_loader(given),
        lambda given: soundpost.quart.Soundpost().user_loader(given),
    ],
)
def test_what_cannot_find_a_user_is_refused_when_it_is_given(take: Callable[[Any], object], given: Any) -> None:
    with pytest.raises(RouteError, match=r"user: .* is not a function: .* or None for nobody, is expected"):
        take(given)
