"""Figures of each endpoint, for ``soundpost status`` and ``soundpost webhooks status``."""

from __future__ import annotations

from msgspec import Struct, field

from soundpost.core.histogram import Histogram


class EndpointFigures(Struct, frozen=True):
    """Numbers of events for one endpoint of webhooks since the server started: waiting, sent, failed, dropped."""

    app_id: str
    url: str
    """Address from ``[[apps.webhooks]]``, without the secrets in it."""
    waiting: int = 0
    """Events that are not sent yet, or under way. Ends that are held back are not counted."""
    sent: int = 0
    failed: int = 0
    """Events that the endpoint did not take within the time for further attempts."""
    dropped: int = 0
    """Events that found no place among those that wait, or that a stopped endpoint does not get."""
    last_status: int | None = None
    """HTTP status of the last answer; None if there was none, or if the last attempt got no answer."""
    last_error: str = ""
    """Reason why the last attempt failed; empty after a success."""
    stopped: bool = False
    """True after the endpoint answered 410: it gets nothing more until a reload or restart of the server."""
    failed_attempts: int = 0
    """Number of requests that were not answered with a status of 200 to 299."""
    retry_at: float | None = None
    """Time of the next attempt, in seconds since 1970, if the last one failed."""
    latency: Histogram = field(default_factory=Histogram)
    """Time from a request to its answer, or until it failed."""
