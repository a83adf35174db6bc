"""Who is present on a presence channel."""

from __future__ import annotations

from typing import Any, NamedTuple


class Member(NamedTuple):
    """A user on a presence channel, with whatever the application says of it."""

    id: str
    info: Any


class Members:
    """The members by user id, kept up to date by what the server says; ``my_id`` is who we are."""

    def __init__(self) -> None:
        self.by_id: dict[str, Any] = {}
        self.my_id: str | None = None

    @property
    def me(self) -> Member | None:
        """Us, once the server has said that we are present."""
        if self.my_id is None or self.my_id not in self.by_id:
            return None
        return Member(self.my_id, self.by_id[self.my_id])

    def replace(self, content: dict[str, Any]) -> None:
        """Take the list in a ``subscription_succeeded``. Whoever holds the dictionary sees the new members."""
        presence = content.get("presence")
        found = presence.get("hash") if isinstance(presence, dict) else None
        if isinstance(found, list):  # PHP's JSON of an array with the keys 0, 1, 2…: Reverb's, with such user ids
            found = {str(number): info for number, info in enumerate(found)}
        self.by_id.clear()
        if isinstance(found, dict):
            self.by_id.update(found)

    def add(self, content: dict[str, Any]) -> None:
        """Take note of a ``member_added``."""
        if "user_id" in content:
            self.by_id[str(content["user_id"])] = content.get("user_info")

    def remove(self, content: dict[str, Any]) -> None:
        """Take note of a ``member_removed``."""
        self.by_id.pop(str(content.get("user_id")), None)
