"""The limits of open sockets: capacity, silent sockets of one address, file descriptors."""

from __future__ import annotations

import logging
import os
from typing import Final

from soundpost.log_fields import fields
from soundpost.log_throttle import MINUTE, LogThrottle
from soundpost.server.connections.open_files import places_for_websockets, raise_open_files_limit
from soundpost.server.connections.open_sockets import Occupant, OpenSockets
from soundpost.server.connections.peer import shown
from soundpost.wire.client_address import TrustedProxies

log = logging.getLogger("soundpost.server")

_RESERVED_FILES: Final = 64  # descriptors that are not clients' sockets


class SocketLimits:
    """The limits of clients' open sockets, with a log line for each that is met."""

    def __init__(self, max_connections: int | None, trusted_proxies: TrustedProxies, log_throttle: LogThrottle) -> None:
        """``max_connections``: the setting; without one the limit of open files counts."""
        self._trusted_proxies = trusted_proxies
        self._log_throttle = log_throttle
        self.capacity = _capacity(max_connections, raise_open_files_limit())
        """The number of sockets that may be open."""
        self.places_for_websockets = places_for_websockets(self.capacity)
        """The number of those that may be WebSockets."""
        self.sockets = OpenSockets(self.capacity, self._warn_of_eviction)
        self._silent_beyond: set[Occupant] = set()

    def warn_of_capacity(self, address: str) -> None:
        """Log that a client is refused, as there is no room."""
        self._log_throttle.warn(
            "full",
            "over capacity: refused a client from %s, as %d sockets are open and %d are possible (max_connections and "
            "the limit of open files; %d are for WebSockets)",
            shown(address),
            self.sockets.count,
            self.capacity,
            self.places_for_websockets,
            interval=MINUTE,
            extra=fields(address=address, sockets=self.sockets.count),
        )

    def evict_silent(self, limit: int | None) -> None:
        """Close the oldest silent sockets of addresses that have more than ``limit`` now and had at the previous call.

        ``limit``: the largest ``max_connections_per_ip`` of all apps; None if an app has no limit.
        """
        if limit is None:
            self._silent_beyond = set()
            return
        beyond = self.sockets.silent_beyond(limit, lambda address: not self._trusted_proxies.trusts(address))
        for occupant in beyond:
            if occupant in self._silent_beyond:  # a second ago, too: no request is on its way
                self._log_throttle.warn(
                    "silent",
                    "%s has more than %d sockets open that ask nothing (max_connections_per_ip): the oldest go",
                    shown(occupant.peer),
                    limit,
                    interval=MINUTE,
                    extra=fields(address=occupant.peer),
                )
                self.sockets.evict(occupant)
        self._silent_beyond = set(beyond)

    def check_descriptors(self) -> None:
        """Log when no file can be opened any more: the loop then turns clients away without a log line."""
        try:
            os.close(os.open(os.devnull, os.O_RDONLY | os.O_CLOEXEC))
        except OSError as error:
            self._log_throttle.warn(
                "descriptors",
                "no file can be opened, so that nobody can connect: %s, with %d sockets of clients open. Raise the "
                "limit of open files (ulimit -n, LimitNOFILE, minfds) or set max_connections lower",
                error.strerror,
                self.sockets.count,
                interval=MINUTE,
            )

    def _warn_of_eviction(self, address: str) -> None:
        self._log_throttle.warn(
            "eviction",
            "over capacity: as %d sockets are open and %d are possible (max_connections and the limit of open files), "
            "those go first that have not asked anything, or not signed it: one from %s was closed",
            self.sockets.count,
            self.capacity,
            shown(address),
            interval=MINUTE,
            extra=fields(address=address, sockets=self.sockets.count),
        )


def _capacity(wanted: int | None, open_files: int) -> int:
    possible = max(1, open_files - _RESERVED_FILES)
    if wanted is not None and wanted > possible:
        log.warning(
            "max_connections is %d, but only %d files may be open: at most %d connections will be accepted. "
            "Raise the limit (ulimit -n, LimitNOFILE, minfds).",
            wanted,
            open_files,
            possible,
        )
    return min(wanted or possible, possible)
