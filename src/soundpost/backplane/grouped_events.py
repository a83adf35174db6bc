"""The events of a request by channel: the backplane hands on those of one channel together.

Measured for a batch of 1,000 events to one channel, with two workers: 7.7 µs of CPU for each event in the parent and
both workers, 10.4 one by one.
"""

from __future__ import annotations

from msgspec.structs import astuple

from soundpost.core.peers import ChannelEvents, OutgoingEvent


def by_channel(events: list[OutgoingEvent]) -> list[ChannelEvents] | None:
    """Return events by channel, those of each channel in their order; None if a history keeps one of the events."""
    groups: list[ChannelEvents] = []
    last: dict[str, tuple[list[bytes], str | None, bool]] = {}
    for event in events:
        # As a tuple: to read each attribute of the struct takes three times as long.
        channel, frame, except_socket_id, keep, event_id, _, ephemeral, _, _ = astuple(event)
        if event_id is not None:
            return None
        group = last.get(channel)
        if group is None or group[1] != except_socket_id or group[2] is not ephemeral:
            group = last[channel] = [], except_socket_id, ephemeral
            groups.append(ChannelEvents(channel, group[0], except_socket_id, keep, ephemeral))
        group[0].append(frame)
    return groups
