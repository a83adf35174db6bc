"""The members of a presence channel."""

from __future__ import annotations

from typing import Any, NamedTuple


class Member(NamedTuple):
    """A user on a presence channel; ``info`` is the application's ``user_info``."""

    id: str
    info: Any


class Members:
    """The members by user id, as the server reports them; ``my_id`` is the user id of this client."""

    def __init__(self) -> None:
        self.by_id: dict[str, Any] = {}
        self.my_id: str | None = None

    @property
    def me(self) -> Member | None:
        """The member that this client is; None until the server has reported it."""
        if self.my_id is None or self.my_id not in self.by_id:
            return None
        return Member(self.my_id, self.by_id[self.my_id])

    def replace(self, content: dict[str, Any]) -> None:
        """Take the list in a ``subscription_succeeded``; ``by_id`` stays the same dictionary."""
        presence = content.get("presence")
        found = presence.get("hash") if isinstance(presence, dict) else None
        if isinstance(found, list):  # PHP's JSON of an array with the keys 0, 1, 2…: Reverb's, with such user ids
            found = {str(number): info for number, info in enumerate(found)}
        self.by_id.clear()
        if isinstance(found, dict):
            self.by_id.update(found)

    def add(self, content: dict[str, Any]) -> None:
        """Add the member of a ``member_added``."""
        if "user_id" in content:
            self.by_id[str(content["user_id"])] = content.get("user_info")

    def remove(self, content: dict[str, Any]) -> None:
        """Remove the member of a ``member_removed``."""
        self.by_id.pop(str(content.get("user_id")), None)
