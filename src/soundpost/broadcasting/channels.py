"""Channels by their kinds: ``PrivateChannel("orders.7")`` is ``private-orders.7``.

Source: https://pusher.com/docs/channels/using_channels/channels/
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from functools import lru_cache
from typing import Any, ClassVar, Final

from soundpost.errors import PayloadError
from soundpost.values.proxies import unproxied
from soundpost.values.text import is_text, text_of, user_id_of
from soundpost.wire.channel_names import SERVER_TO_USER

_PLACEHOLDER: Final = re.compile(r"\{([A-Za-z_]\w*)\}")


@lru_cache(maxsize=1_000)
def _pieces(name: str) -> tuple[str, ...]:
    """Return a name as what stands before, between and behind its fields, and the fields at the odd places."""
    return tuple(_PLACEHOLDER.split(name))


class Channel:
    """A public channel, which anybody may subscribe to; ``name`` is the full name on the wire.

    Raises PayloadError for a value without a text, such as None, and for a name that has the prefix already.
    """

    prefix: ClassVar[str] = ""
    _given: ClassVar[str] = ""
    """Prefix that a name must not have yet: with two prefixes it would name a channel without subscribers."""
    __slots__ = ("name",)

    def __init__(self, name: object) -> None:
        self.name = self.prefix + self._text(name)
        self._check_prefix()

    def _text(self, name: object) -> str:
        return name.name if isinstance(name, Channel) else text_of(name, f"{type(self).__name__}'s name")

    def _check_prefix(self) -> None:
        given = self._given
        if given and self.name.startswith(given, len(self.prefix)):
            name = self.name[len(self.prefix) :]
            raise PayloadError(
                f"{type(self).__name__}({name!r}): leave the prefix out, the class adds it: "
                f"{type(self).__name__}({name.removeprefix(self.prefix).removeprefix(given)!r})"
            )

    def cached(self) -> Channel:
        """Return the cache channel of this name, which keeps its last event for later subscribers."""
        made = type(self).__new__(type(self))
        made.name = f"{self.prefix}cache-{self.name[len(self.prefix) :]}"
        return made

    def filled(self, values: Mapping[str, Any]) -> Channel:
        """Return the channel with each ``{field}`` replaced by the text of that field's value.

        Raises KeyError for a missing field, PayloadError for a value without a text.
        """
        made = type(self).__new__(type(self))
        pieces = _pieces(self.name)
        texts = [*pieces]
        for place in range(1, len(pieces), 2):
            texts[place] = self._filling(pieces[place], values[pieces[place]])
        made.name = "".join(texts)
        made._check_prefix()
        return made

    def _filling(self, field: str, value: object) -> str:
        return text_of(value, f"channel {self.name!r}: {field}")

    @property
    def placeholders(self) -> list[str]:
        """The fields in the channel's name."""
        return _PLACEHOLDER.findall(self.name)

    def __str__(self) -> str:
        return self.name

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.name[len(self.prefix) :]!r})"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Channel) and other.name == self.name

    def __hash__(self) -> int:
        return hash(self.name)


class PrivateChannel(Channel):
    """A channel whose subscribers the application authorizes."""

    prefix = "private-"
    _given = "private-"
    __slots__ = ()


class PresenceChannel(Channel):
    """A private channel whose subscribers see each other as members."""

    prefix = "presence-"
    _given = "presence-"
    __slots__ = ()


class EncryptedPrivateChannel(Channel):
    """A private channel whose events are end-to-end encrypted: the server cannot read them."""

    prefix = "private-encrypted-"
    _given = "private-"
    __slots__ = ()


class UserChannel(Channel):
    """The channel of all connections on which a user has signed in, made from the user or the user's id."""

    prefix = SERVER_TO_USER
    __slots__ = ()

    def _text(self, name: object) -> str:
        return user_id_of(name, "UserChannel's user")

    def _filling(self, field: str, value: object) -> str:
        return user_id_of(value, f"channel {self.name!r}: {field}")

    def cached(self) -> Channel:
        """Raise TypeError: a user's own channel keeps no event."""
        raise TypeError("a user's own channel keeps no event: use PrivateChannel(…).cached()")


ChannelLike = Channel | str
"""A channel, or its full name as on the wire."""


def several(channels: ChannelLike | Iterable[ChannelLike]) -> list[ChannelLike]:
    """Return one channel or several as a list. Raises PayloadError for any other value."""
    if type(channels) is str:
        return [channels]
    if type(channels) is list:
        return channels
    found = unproxied(channels)
    if isinstance(found, Channel) or is_text(found):
        return [found]
    if isinstance(found, Mapping | bytes) or not isinstance(found, Iterable):
        raise PayloadError(f"channels: {type(found).__name__} is neither a channel nor several")
    return list(found)


def names_of(channels: ChannelLike | Iterable[ChannelLike]) -> list[str]:
    """Return the full names of one channel or several, each once, in order. Raises PayloadError."""
    found = several(channels)
    if len(found) == 1:
        return [name_of(found[0])]
    return list(dict.fromkeys([name_of(channel) for channel in found]))


def name_of(channel: ChannelLike) -> str:
    """Return the full name of a channel. Raises PayloadError for a value without a text."""
    if isinstance(channel, Channel):
        return channel.name
    found = unproxied(channel)
    if isinstance(found, Channel):
        return found.name
    return found if type(found) is str else text_of(found, "a channel's name")
