"""Users of an application: who is logged in, their ids, and their data as members of presence channels."""

from __future__ import annotations

import inspect
from collections.abc import Awaitable, Collection, Mapping
from typing import Any

from soundpost.broadcasting.authorization.routes import ChannelRoute
from soundpost.broadcasting.serialization import plain
from soundpost.errors import PayloadError, RouteError
from soundpost.values.proxies import unproxied
from soundpost.values.text import text_of, user_id_of


def authenticated_user(user: Any) -> Any:
    """Return a framework's user object without its proxy; None if the object stands for nobody.

    Nobody is None, False, an empty text, list or mapping, and an object whose ``is_authenticated`` (an attribute, a
    method or a key) is false: Django's ``AnonymousUser``, Starlette's ``UnauthenticatedUser``, Flask-Login's
    ``AnonymousUserMixin``. The result is awaitable if ``is_authenticated`` is, as Quart-Auth's. Raises RouteError for
    a class.
    """
    user = unproxied(user)
    if user is None or user is False or (isinstance(user, str | bytes | Mapping | list | tuple) and not user):
        return None
    if isinstance(user, type):
        raise RouteError(f"the class {user.__name__} is not a user: return one of its objects, or None")
    if isinstance(user, Mapping):
        answer = user.get("is_authenticated", True)
    else:
        answer = getattr(user, "is_authenticated", True)
    answer = unproxied(answer() if callable(answer) else answer)
    if inspect.isawaitable(answer):
        return _awaited_user(user, answer)
    return user if answer else None


async def _awaited_user(user: Any, is_authenticated: Awaitable[Any]) -> Any:
    return user if await is_authenticated else None


def check_guard(guard: str | None, own: Collection[str] = ()) -> None:
    """Raise RouteError for a guard that no function defines; ``own`` are guards that the framework has itself."""
    if guard is not None and guard not in own:
        raise RouteError(f"no guard is named {guard!r}: decorate a function with @channels.guard({guard!r})")


def check_finder(finder: object, expected: str = "a function that returns the user of a request") -> None:
    """Raise RouteError for what is given in place of the function that finds a request's user."""
    if not callable(finder):
        raise RouteError(f"user: {finder!r:.100} is not a function: {expected}, or None for nobody, is expected")


def id_of(user: Any) -> str:
    """Return a user's id as text, by the rule of :func:`~soundpost.values.text.user_id_of`. Raises RouteError."""
    try:
        return user_id_of(user)
    except PayloadError as error:
        raise RouteError(f"{error}: give the channel route user_id=") from None


def member_id(value: Any, what: str) -> str:
    """Return a user id that the application gives as text; ``what`` names the id in errors. Raises RouteError."""
    try:
        return text_of(value, what)
    except PayloadError as error:
        raise RouteError(str(error)) from None


def member_of(route: ChannelRoute, user: Any, result: Any) -> dict[str, Any]:
    """Return a presence member, ``user_id`` and perhaps ``user_info``, from the result of a route's callback.

    Raises RouteError if there is no id, or none that is a text.
    """
    info = None if result is True else plain(result, f"member of {route.pattern.text}")
    if route.user_id is not None:
        user_id = route.user_id(user)
    elif user is not None:
        user_id = id_of(user)
    else:
        user_id = info.get("id") if isinstance(info, dict) else None
    if user_id is None or user_id == "":
        raise RouteError(f"{route.name}: a member needs an id: return one as 'id', or give the route user_id=")
    member = {"user_id": member_id(user_id, f"{route.name}: the member's id")}
    return member if info is None else {**member, "user_info": info}
