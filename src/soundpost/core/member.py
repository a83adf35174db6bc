"""Members of presence channels: users with an id and info."""

from __future__ import annotations

from typing import Final

from soundpost.wire.json_text import encode, is_unicode

MAX_SAFE_INTEGER: Final = 2**53 - 1
"""The largest integer that JavaScript has exactly (``Number.MAX_SAFE_INTEGER``)."""


class Member:
    """One user on one presence channel. ``id`` identifies the user; ``user_id`` is the id that clients are shown.

    Clients are shown the id as the application wrote it. An integer that JavaScript would round becomes a string.
    """

    __slots__ = ("id", "id_json", "info_json", "user_id")

    def __init__(self, user_id: str | int, info_json: bytes) -> None:
        if isinstance(user_id, int) and abs(user_id) > MAX_SAFE_INTEGER:
            user_id = str(user_id)
        self.id = str(user_id)
        self.user_id = user_id
        self.id_json = encode(user_id)
        self.info_json = info_json


def id_fault(user_id: str, max_length: int) -> str | None:
    """Return the fault of a user's id, in words; None for a valid id."""
    if not 1 <= len(user_id) <= max_length:
        return f"has {len(user_id)} characters: 1 to {max_length} are allowed (max_user_id_length)"
    if not is_unicode(user_id):
        return f"{user_id!a} has half a character (a surrogate without its other half): it identifies nobody"
    return None
