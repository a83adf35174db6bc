"""The reply to the request ``figures``, kept below the size that a reply may have."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Final

import msgspec

from soundpost.core.figures import AppFigures, add_up
from soundpost.errors import RequestError
from soundpost.server.figures.host_figures import HostFigures
from soundpost.server.processes.control_messages import MAX_REPLY, ControlReply

OTHERS: Final = ""
"""The id under which the apps are added up that have no place in a reply."""
_MAX_NAMED: Final = (1_000, 100, 10)
"""Apps and webhooks of each host in a reply: the first of the numbers with which the reply is small enough."""


def bounded(hosts: Sequence[HostFigures]) -> ControlReply:
    """Return the reply with the figures of hosts. Raises RequestError for more hosts than fit into a reply.

    Where there are too many apps, those with the most connections keep a line of their own, and the others share one.
    """
    for most in _MAX_NAMED:
        reply = ControlReply(True, figures=[shortened(host, most) for host in hosts])
        if len(msgspec.json.encode(reply)) < MAX_REPLY:
            return reply
    raise RequestError(
        0, f"the figures of {len(hosts)} hosts take more than {MAX_REPLY} bytes: ask for metrics instead"
    )


def shortened(host: HostFigures, most: int) -> HostFigures:
    """Return figures with at most the given number of apps and webhooks by name."""
    if len(host.apps) <= most and len(host.webhooks) <= most:
        return host
    busiest = sorted(host.apps, key=lambda app_id: host.apps[app_id].connections, reverse=True)
    named, others = busiest[:most], busiest[most:]
    apps = {app_id: host.apps[app_id] for app_id in named}
    channels = {app_id: host.channels[app_id] for app_id in named if app_id in host.channels}
    members = {app_id: host.members[app_id] for app_id in named if app_id in host.members}
    if others:
        rest, kinds = AppFigures(), Counter[str]()
        for app_id in others:
            add_up(rest, host.apps[app_id])
            kinds.update(host.channels.get(app_id, {}))
        apps[OTHERS], channels[OTHERS] = rest, dict(kinds)
        members[OTHERS] = sum(host.members.get(app_id, 0) for app_id in others)
    webhooks = sorted(host.webhooks, key=lambda each: each.waiting, reverse=True)[:most]
    return msgspec.structs.replace(host, apps=apps, channels=channels, members=members, webhooks=webhooks)
