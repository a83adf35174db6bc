"""The inspector of a daemon: of its own nodes, and of the other hosts of its cluster."""

from __future__ import annotations

import socket
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

from soundpost.core.inspection import Inspectable
from soundpost.server.inspection.host_inspection import HostInspection
from soundpost.server.inspection.inspector import Inspector
from soundpost.server.webhooks import WebhookDispatcher

if TYPE_CHECKING:
    from soundpost.backplane.redis import RedisBackplane
    from soundpost.backplane.registry import Registry


def make_inspector(
    port: int,
    nodes: Callable[[], Mapping[str, Inspectable]],
    registry: Registry,
    backplane: RedisBackplane | None,
    webhooks: Callable[[], WebhookDispatcher | None],
) -> Inspector:
    """Return the inspector of a daemon in the running event loop, and have it answer other hosts.

    ``nodes`` returns the nodes that serve now, by what is added to the host's name: nothing, or the worker.
    ``webhooks`` returns the dispatcher by which the host sends webhooks, or would.
    """
    name = host_name(port)
    host = HostInspection(lambda: {f"{name} {added}".strip(): node for added, node in nodes().items()}, webhooks)
    others = None
    if backplane is not None:
        others = backplane.registry.inspection
        others.answer_by(name, host)
    return Inspector(name, host, others, registry.answer)


def host_name(port: int) -> str:
    """Return the name of this host for operators: its host name, and the port if there is one."""
    return f"{socket.gethostname()}:{port}" if port else socket.gethostname()
