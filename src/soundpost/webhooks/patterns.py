"""Patterns of full channel names, by which a handler chooses its channels: ``presence-room.{room:int}``.

They are those of channel routes, with the prefix, and with ``*`` for any characters.
"""

from __future__ import annotations

import re
from typing import ClassVar, Final

from soundpost.broadcasting.authorization.patterns import Converter, Pattern
from soundpost.errors import RouteError

_PREFIXES: Final = {
    "member_added": ("presence-",),
    "member_removed": ("presence-",),
    "client_event": ("private-", "presence-"),
    "cache_miss": ("cache-", "private-cache-", "private-encrypted-cache-", "presence-cache-"),
}
"""Prefixes of the channels that an event can be about; other events can be about all."""


class ChannelPattern(Pattern):
    """A pattern of full channel names, for the handlers of an event. Raises RouteError for a wrong one."""

    what: ClassVar[str] = "webhook handler"

    def __init__(self, text: str, event_name: str) -> None:
        self._event_name = event_name
        super().__init__(text)

    def _check_prefix(self, text: str) -> None:
        prefixes = _PREFIXES.get(self._event_name)
        fixed = re.split(r"[{*]", text, maxsplit=1)[0]
        if prefixes is None or any(fixed.startswith(each) or each.startswith(fixed) for each in prefixes):
            return
        listed = " or ".join(map(repr, prefixes))
        raise RouteError(
            f"{self.what} {text!r}: {self._event_name} is about channels that begin with {listed}: "
            f"write {prefixes[0] + text!r}, the full name"
        )

    def _add_literal(self, text: str) -> None:
        for piece in re.split(r"(\*)", text):
            if piece == "*":
                self.parts.append(piece)
            else:
                super()._add_literal(piece)

    @staticmethod
    def _regex_of(part: str | Converter) -> str:
        return ".*" if part == "*" else Pattern._regex_of(part)
