"""Patterns of full channel names, by which a handler chooses its channels: ``presence-room.{room:int}``.

The patterns are those of channel routes, with the prefix, and with ``*`` for any characters.
"""

from __future__ import annotations

import re
from typing import ClassVar

from soundpost.broadcasting.authorization.patterns import Converter, Pattern
from soundpost.errors import RouteError
from soundpost.wire.webhook_channels import useless_pattern


class ChannelPattern(Pattern):
    """A pattern of full channel names, for the handlers of an event. Raises RouteError for a wrong one."""

    what: ClassVar[str] = "webhook handler"

    def __init__(self, text: str, event_name: str) -> None:
        self._event_name = event_name
        super().__init__(text)

    def _check_prefix(self, text: str) -> None:
        fault = useless_pattern(self._event_name, text)
        if fault is not None:
            raise RouteError(f"{self.what} {text!r}: {fault}")

    def _add_literal(self, text: str) -> None:
        for piece in re.split(r"(\*)", text):
            if piece == "*":
                self.parts.append(piece)
            else:
                super()._add_literal(piece)

    @staticmethod
    def _regex_of(part: str | Converter) -> str:
        return ".*" if part == "*" else Pattern._regex_of(part)
