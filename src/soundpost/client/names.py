"""Names of channels and events, and ids of users, as an application gives them: texts, or values with a text."""

from __future__ import annotations

from typing import Any

from soundpost.values.text import text_of, user_id_of


def text(value: Any, what: str) -> str:
    """Return a name as text, by the rule of :mod:`soundpost.values.text`. Raises PayloadError."""
    return value if type(value) is str else text_of(value, what)


def user_id(user: Any) -> str:
    """Return the id of a user, or an id, as text; empty for None. Raises PayloadError."""
    return user_id_of(user) if user is not None and type(user) is not str else user or ""
