"""Answers of endpoints, and the interface of the HTTP client."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Final, NamedTuple, Protocol
from urllib.parse import urljoin

from soundpost.redaction import redacted_url
from soundpost.server.webhooks.waiting_event import WaitingEvent
from soundpost.wire.printable import one_line
from soundpost.wire.retry_after import seconds_to_wait

MAX_BODY: Final = 262_144
"""Bytes of a request's body from which on no further event is added to it."""
GONE: Final = 410
"""Status with which an endpoint says that it wants no more events."""
_MAX_LOCATION: Final = 200


class Answer(NamedTuple):
    """The answer of an endpoint to one request."""

    status: int
    """The HTTP status; 0 if no answer came."""
    fault: str = ""
    """The reason why no answer came, in words."""
    retry_after: str = ""
    """Value of the header ``Retry-After``."""
    location: str = ""
    """Value of the header ``Location``."""

    @property
    def is_success(self) -> bool:
        """True for a status of 200 to 299."""
        return 200 <= self.status < 300

    def fault_in_words(self, url: str) -> str:
        """Return the reason why the endpoint at ``url`` has not taken the events; empty after a success."""
        return "" if self.is_success or self == Answer(0) else self.in_words(url)

    def in_words(self, url: str) -> str:
        """Return what the endpoint at ``url`` did, in words that go on after its name."""
        if not self.status:
            return f"cannot be reached: {self.fault}"
        if 300 <= self.status < 400 and self.location:
            target = one_line(redacted_url(_target(url, self.location)), _MAX_LOCATION)
            return f"answered {self.status}: redirects are not followed: write {target}"
        return f"answered {self.status}"

    def seconds_to_wait(self, now: float) -> float | None:
        """Return the seconds that ``Retry-After`` asks for at the time of day ``now``; None without a valid one."""
        return seconds_to_wait(self.retry_after, now)


def _target(url: str, location: str) -> str:
    try:
        return urljoin(url, location)
    except ValueError:
        return location


class EndpointClient(Protocol):
    """The connections to one endpoint."""

    def post(self, body: bytes, headers: dict[str, str], timeout: float, then: Callable[[Answer], None]) -> None:
        """Send a request; call back with the answer, or after ``timeout`` seconds with a fault. Never raises."""

    def close(self) -> None:
        """Close all connections; requests under way are given up, and call back no more."""


def batch_length(events: Sequence[WaitingEvent] | Iterable[WaitingEvent], batch_size: int) -> int:
    """Return the number of events, at least one, for one request: at most ``batch_size``, within the size limit."""
    size = number = 0
    for waiting in events:
        size += waiting.size
        if number == batch_size or (number and size > MAX_BODY):
            break
        number += 1
    return number
