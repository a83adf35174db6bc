"""Who a user is, by the objects that frameworks have for users."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from soundpost.errors import RouteError

_ATTRIBUTES: Final = ("pk", "id", "user_id", "sub", "username")


def id_of(user: Any) -> str:
    """A user's id as text: never both ``1`` and ``"1"``, which would be two members of one channel.

    Taken from ``pk``, ``id``, ``user_id``, ``sub`` or ``username``, of an object or a mapping; from Flask-Login's
    ``get_id()``; a text or a number is an id by itself. Raises RouteError.
    """
    if isinstance(user, str | int) and not isinstance(user, bool):
        return str(user)
    for name in _ATTRIBUTES:
        found = user.get(name) if isinstance(user, Mapping) else getattr(user, name, None)
        if found is not None and found != "":
            return str(found)
    get_id = getattr(user, "get_id", None)
    if callable(get_id):
        return str(get_id())
    raise RouteError(
        f"a user of type {type(user).__name__} has none of {', '.join(_ATTRIBUTES)}: give the channel route user_id="
    )
