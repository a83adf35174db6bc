"""Names of channels, events and users as an application gives them: texts, or what stands for one."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any


def text(value: Any, what: str) -> str:
    """Return a name as text, by the rule of :mod:`soundpost.broadcasting.text`. Raises PayloadError."""
    if type(value) is str:
        return value
    from soundpost.broadcasting.text import text_of  # programs that only listen need no broadcasting

    return text_of(value, what)


def user_id(user: Any) -> str:
    """Return the id of a user, or an id, as text; empty for nobody. Raises PayloadError."""
    if user is None or type(user) is str:
        return user or ""
    from soundpost.broadcasting.text import user_id_of

    return user_id_of(user)


def channel_names(channels: Any) -> list[str]:
    """Return the names of one channel or several. Raises PayloadError."""
    if type(channels) is str:
        return [channels]
    if isinstance(channels, list | tuple):
        return [text(each, "a channel's name") for each in channels]
    from soundpost.broadcasting.channels import names_of

    found: Iterable[str] = names_of(channels)
    return list(found)
