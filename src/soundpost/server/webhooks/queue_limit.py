"""The limit of waiting events of all endpoints. Above it, the oldest events of the longest queues are dropped."""

from __future__ import annotations

from collections.abc import Callable

from soundpost.log_throttle import MINUTE, LogThrottle
from soundpost.server.webhooks.endpoint import Endpoint


class QueueLimit:
    """Counts the bytes of the events that wait for ``endpoints``, of which there may be ``max_size``."""

    def __init__(self, max_size: int, endpoints: Callable[[], list[Endpoint]], throttle: LogThrottle) -> None:
        self._max_size = max_size
        self._endpoints = endpoints
        self._throttle = throttle
        self._size = 0

    def resized(self, difference: int) -> None:
        """Note that the waiting events of an endpoint take so many bytes more."""
        self._size += difference

    def make_room(self) -> None:
        """Drop the oldest events of the longest queues until the rest is no larger than ``max_webhook_queue_size``."""
        while self._size > self._max_size:
            longest = max(self._endpoints(), key=lambda endpoint: endpoint.size)
            if not longest.drop_oldest():
                return
            self._throttle.warn(
                f"full {longest.name}",
                "%s is behind: more than max_webhook_queue_size=%d bytes wait for all endpoints, so its oldest events "
                "are dropped",
                longest.name,
                self._max_size,
                interval=MINUTE,
            )
