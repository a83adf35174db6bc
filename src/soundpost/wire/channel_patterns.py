"""Patterns of channel names in the configuration: ``*`` stands for any characters, also for none."""

from __future__ import annotations

import re
from typing import Final

from soundpost.wire.channel_names import SERVER_TO_USER

_PATTERN: Final = re.compile(r"[-a-zA-Z0-9_=@,.;*]+")
_OF_USERS: Final = re.compile(rf"{SERVER_TO_USER}[^\x00-\x1f]+")


def pattern_fault(pattern: str) -> str | None:
    """Return the reason why a pattern can match no channel name, and the way out; None for a usable pattern."""
    shown = f"'{pattern}'" if pattern.isprintable() else ascii(pattern)
    if not pattern.strip():
        return f"{shown} is an empty pattern: write '*' for all channels"
    if _PATTERN.fullmatch(pattern) or _OF_USERS.fullmatch(pattern):
        return None
    if pattern != pattern.strip():
        return f"{shown} has blanks around it: write '{pattern.strip()}'"
    if "{" in pattern or "<" in pattern:
        with_star = re.sub(r"\{[^}]*\}|<[^>]*>", "*", pattern)
        if _PATTERN.fullmatch(with_star):
            return f"{shown} has a name in brackets, which no channel has: write '{with_star}'"
    return (
        f"{shown} matches no channel: the names of channels have letters, digits and _ - = @ , . ; only, and '*' "
        "stands for any of them"
    )
