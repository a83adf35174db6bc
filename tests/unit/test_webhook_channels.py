"""The channels that webhooks are about, and patterns that match none of them."""

from __future__ import annotations

import pytest

from soundpost.wire.webhook_channels import useless_pattern


@pytest.mark.parametrize(
    ("event_name", "pattern"),
    [
        ("channel_occupied", "room.*"),
        ("channel_occupied", "#server-to-user-7"),
        ("member_added", "*"),
        ("member_added", "*-room"),
        ("member_added", "pres*"),
        ("member_removed", "presence-cache-a"),
        ("member_added", "{kind}-room.{room}"),
        ("client_event", "private-*"),
        ("client_event", "private-cache-{room}"),
        ("cache_miss", "private-encrypted-*"),
        ("cache_miss", "presence-*"),
        ("cache_miss", "cache-a"),
        ("subscription_count", "private-a"),
        ("user_online", "room.*"),
        ("*", "room.*"),
    ],
)
def test_patterns_that_match_a_channel_of_the_event(event_name: str, pattern: str) -> None:
    assert useless_pattern(event_name, pattern) is None


@pytest.mark.parametrize(
    ("event_name", "pattern", "fault"),
    [
        (
            "member_added",
            "room.*",
            "member_added is about channels that begin with 'presence-': write 'presence-room.*', the full name",
        ),
        (
            "member_removed",
            "private-room.{room}",
            "member_removed is about channels that begin with 'presence-': write 'presence-room.{room}', the full name",
        ),
        (
            "client_event",
            "room",
            "client_event is about channels that begin with 'private-' or 'presence-': write 'private-room', the full "
            "name",
        ),
        (
            "cache_miss",
            "presence-room",
            "cache_miss is about channels that begin with 'cache-' or 'private-cache-' or 'private-encrypted-cache-' "
            "or 'presence-cache-': write 'presence-cache-room', the full name",
        ),
        (
            "client_event",
            "private-encrypted-*",
            "client_event is never about channels that begin with 'private-encrypted-'",
        ),
        (
            "subscription_count",
            "presence-*",
            "subscription_count is never about channels that begin with 'presence-'",
        ),
        (
            "subscription_count",
            "#server-to-user-*",
            "subscription_count is never about channels that begin with '#server-to-user-'",
        ),
    ],
)
def test_patterns_that_match_none_say_what_to_write(event_name: str, pattern: str, fault: str) -> None:
    assert useless_pattern(event_name, pattern) == fault
