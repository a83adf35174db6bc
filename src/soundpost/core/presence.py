"""A member of a presence channel, as a node tells of it."""

from __future__ import annotations

from soundpost.wire.messages import encode


class Member:
    """One user on one presence channel. ``id`` identifies it; ``user_id`` is the id as the application wrote it."""

    __slots__ = ("id", "id_json", "info_json", "user_id")

    def __init__(self, user_id: str | int, info_json: bytes) -> None:
        self.id = str(user_id)
        self.user_id = user_id
        self.id_json = encode(user_id)
        self.info_json = info_json
