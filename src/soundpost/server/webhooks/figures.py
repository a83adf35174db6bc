"""Figures of each endpoint, for ``soundpost status`` and ``soundpost webhooks status``."""

from __future__ import annotations

from msgspec import Struct


class EndpointFigures(Struct, frozen=True):
    """Figures of one endpoint since the server's start. Times are in seconds since 1970."""

    app_id: str
    url: str
    """The address, without the secrets in it."""
    waiting: int
    """Number of events that wait, or are under way."""
    sent: int
    """Number of events that the endpoint has taken."""
    failed_attempts: int
    """Number of requests that were not answered with a status of 200 to 299."""
    dropped: int
    """Number of events that the endpoint will not get."""
    last_answer: str = ""
    """The last answer in words, such as ``answered 200``; empty before the first."""
    last_answer_at: float | None = None
    retry_at: float | None = None
    """Time of the next attempt, if the last one failed."""
    stopped: bool = False
    """True after the answer 410: nothing is sent until a reload or restart."""
