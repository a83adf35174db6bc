"""Channel names: their valid characters, and the kinds of channels by prefix.

Source: https://pusher.com/docs/channels/using_channels/channels/#channel-naming-conventions
"""

from __future__ import annotations

import re
from enum import Enum
from typing import Final

SERVER_TO_USER: Final = "#server-to-user-"
"""Prefix of the channel of one signed-in user; the user id follows."""
_NAME: Final = re.compile(r"[-a-zA-Z0-9_=@,.;]+")
_SERVER_TO_USER_NAME: Final = re.compile(r"#server-to-user-[^\x00-\x1f]+")


class Kind(Enum):
    """A kind of channel; the value is its prefix."""

    PUBLIC = ""
    PRIVATE = "private-"
    ENCRYPTED = "private-encrypted-"
    PRESENCE = "presence-"
    CACHE = "cache-"
    PRIVATE_CACHE = "private-cache-"
    ENCRYPTED_CACHE = "private-encrypted-cache-"
    PRESENCE_CACHE = "presence-cache-"
    USER = SERVER_TO_USER

    # Plain attributes, not properties, as every subscription and publish reads them.
    needs_auth: bool
    is_presence: bool
    is_encrypted: bool
    is_cache: bool
    takes_client_events: bool
    announces_count: bool
    """True if subscribers may be sent ``subscription_count``: not members, who know it, nor a single user."""
    word: str
    """The kind for people and metrics: ``user``, ``presence``, ``encrypted``, ``private``, ``cache`` or ``public``, the
    first of these that is true."""

    def __init__(self, prefix: str) -> None:
        self.is_presence = prefix.startswith("presence-")
        self.needs_auth = self.is_presence or prefix.startswith("private-")
        self.is_encrypted = prefix.startswith("private-encrypted-")
        self.is_cache = prefix.endswith("cache-")
        self.takes_client_events = self.needs_auth and not self.is_encrypted
        self.announces_count = not self.is_presence and prefix != SERVER_TO_USER
        words = {
            "user": prefix == SERVER_TO_USER,
            "presence": self.is_presence,
            "encrypted": self.is_encrypted,
            "private": self.needs_auth,
            "cache": self.is_cache,
        }
        self.word = next((word for word, is_true in words.items() if is_true), "public")


_PUBLIC: Final = Kind.PUBLIC  # a constant is read much faster than a member of an enumeration
_ENCRYPTED: Final = Kind.ENCRYPTED.value
_BY_PREFIX: Final = {kind.value: kind for kind in Kind if kind.value}
_PREFIX: Final = re.compile("|".join(sorted(_BY_PREFIX, key=len, reverse=True)))


def kind_of(name: str) -> Kind:
    """Return the kind of a channel, by its longest matching prefix."""
    prefix = _PREFIX.match(name)
    return _PUBLIC if prefix is None else _BY_PREFIX[prefix[0]]


def is_encrypted(name: str) -> bool:
    """Return whether a channel is an encrypted one, by its name."""
    return name.startswith(_ENCRYPTED)


def fault(name: str, max_length: int) -> str | None:
    """Return the fault of a channel name, in words; None for a valid name."""
    if not name:
        return "channel name is empty"
    if len(name) > max_length:
        return f"channel name of {len(name)} characters: at most {max_length} are allowed"
    if _NAME.fullmatch(name) or _SERVER_TO_USER_NAME.fullmatch(name):
        return None
    shown = f"'{name}'" if name.isprintable() else ascii(name)
    return f"channel name {shown} has a character other than letters, digits and _ - = @ , . ;"
