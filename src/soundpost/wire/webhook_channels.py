"""The channels that webhooks are about, by their kinds, and patterns that match none of them."""

from __future__ import annotations

import re

from soundpost.wire.channel_names import Kind, kind_of


def is_about(event_name: str, kind: Kind) -> bool:
    """Return whether a webhook can be about channels of a kind."""
    match event_name:
        case "member_added" | "member_removed":
            return kind.is_presence
        case "client_event":
            return kind.takes_client_events
        case "cache_miss":
            return kind.is_cache
        case "subscription_count":
            return kind.announces_count
    return True


def useless_pattern(event_name: str, pattern: str) -> str | None:
    """Return why no channel that a pattern matches can have a webhook, in words; None if one can.

    The pattern is one of full names, with ``*`` for any characters or with parameters in braces.
    """
    fixed = re.split(r"[{*]", pattern, maxsplit=1)[0]
    kind = kind_of(fixed)
    matched = [kind, *(each for each in Kind if fixed != pattern and each.value.startswith(fixed))]
    if any(is_about(event_name, each) for each in matched):
        return None
    right = [each for each in Kind if is_about(event_name, each)]
    prefixes = [each.value for each in right if not any(_is_part(other, each) for other in right)]
    if kind.value.startswith(tuple(prefixes)):
        return f"{event_name} is never about channels that begin with {kind.value!r}"
    nearest = next((each for each in right if _is_part(kind, each)), right[0])
    return (
        f"{event_name} is about channels that begin with {' or '.join(map(repr, prefixes))}: write "
        f"{nearest.value + pattern.removeprefix(kind.value)!r}, the full name"
    )


def _is_part(kind: Kind, other: Kind) -> bool:
    return kind is not other and other.value.startswith(kind.value)
