"""Who a user is, by the objects that frameworks have for users, and for nobody."""

from __future__ import annotations

import inspect
from collections.abc import Awaitable, Mapping
from typing import Any

from soundpost.broadcasting.proxies import unproxied
from soundpost.broadcasting.text import text_of, user_id_of
from soundpost.errors import PayloadError, RouteError


def known_user(user: Any) -> Any:
    """Return the user behind what a framework gives; None if that stands for nobody.

    Nobody is None, False, an empty text, list or mapping, and whatever says by ``is_authenticated``, an attribute, a
    method or a key, that it is not: Django's ``AnonymousUser``, Starlette's ``UnauthenticatedUser``, Flask-Login's
    ``AnonymousUserMixin``. Proxies are seen through. Awaitable where ``is_authenticated`` is, as Quart-Auth's. Raises
    RouteError for a class.
    """
    user = unproxied(user)
    if user is None or user is False or (isinstance(user, str | bytes | Mapping | list | tuple) and not user):
        return None
    if isinstance(user, type):
        raise RouteError(f"the class {user.__name__} is no user: return one of its objects, or None")
    if isinstance(user, Mapping):
        answer = user.get("is_authenticated", True)
    else:
        answer = getattr(user, "is_authenticated", True)
    answer = unproxied(answer() if callable(answer) else answer)
    if inspect.isawaitable(answer):
        return _once_known(user, answer)
    return user if answer else None


async def _once_known(user: Any, answer: Awaitable[Any]) -> Any:
    return user if await answer else None


def id_of(user: Any) -> str:
    """Return a user's id as text, by the rule of :func:`~soundpost.broadcasting.text.user_id_of`. Raises RouteError."""
    try:
        return user_id_of(user)
    except PayloadError as error:
        raise RouteError(f"{error}: give the channel route user_id=") from None


def member_id(value: Any, what: str) -> str:
    """Return an id that the application gives for a user as text; ``what`` says where. Raises RouteError."""
    try:
        return text_of(value, what)
    except PayloadError as error:
        raise RouteError(str(error)) from None
