"""Outages of Redis in the log: one line for each new reason, and one when the host is connected again."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Final

from soundpost.backplane.redis.servers import Servers
from soundpost.log_fields import fields

log = logging.getLogger("soundpost.redis")

_NAMES_SERVER: Final = ("Redis at ", "sentinel ")
"""Beginnings of reasons that name the server that failed, perhaps one of several."""


class OutageLog:
    """The outages as one host logs them. ``clock`` is in seconds."""

    def __init__(self, servers: Servers, clock: Callable[[], float]) -> None:
        self._servers = servers
        self._clock = clock
        self._reason = ""
        """Reason why Redis is away, as last logged."""
        self._since: float | None = None
        """Time at which Redis was lost or could not be reached; None while the host is connected."""

    def begin(self, reason: str) -> None:
        """Log that Redis is away, unless that was logged with the same reason."""
        if self._since is None:
            self._since = self._clock()
        if reason != self._reason:
            self._reason = reason
            log.error(
                "%s%s. This host serves alone until it is back; it is tried again and again",
                "" if reason.startswith(_NAMES_SERVER) else f"Redis at {self._servers}: ",
                reason.rstrip("."),
            )

    def end(self, node: str) -> None:
        """Log that the host is connected, as a node with this id."""
        since, self._since = self._since, None
        seconds = 0.0 if since is None else self._clock() - since
        log.info(
            "Redis at %s: connected, as node %s%s",
            self._servers,
            node,
            "" if since is None else f", after {seconds:.1f} s without it",
            extra=fields(node=node, seconds=round(seconds, 3)),
        )

    def forget_reason(self) -> None:
        """Log the next outage whatever its reason: events flow again."""
        self._reason = ""
