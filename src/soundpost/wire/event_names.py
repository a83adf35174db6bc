"""Event names that belong to the protocol: what an application publishes must not look like a message of the server."""

from __future__ import annotations

from typing import Final

RESERVED: Final = ("pusher:", "pusher_internal:", "soundpost:")
"""Beginnings of the names of the server's own messages."""


def reserved_fault(name: str) -> str | None:
    """Return why an application may not publish an event of this name; None if it may."""
    if not name.startswith(RESERVED):
        return None
    return (
        f"event name {name[:60]!a}: names that begin with {', '.join(RESERVED[:-1])} or {RESERVED[-1]} are those of "
        "the server's own messages, which clients would take for one: choose another name"
    )
