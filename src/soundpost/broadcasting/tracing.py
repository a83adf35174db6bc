"""The tracer that makes spans of what is broadcast: none, unless the application has set one.

Nothing of OpenTelemetry is imported here. :mod:`soundpost.contrib.opentelemetry` has the tracer.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractContextManager
from typing import Protocol

from soundpost.broadcasting.message import Message
from soundpost.broadcasting.settings import ConnectionSettings


class Tracer(Protocol):
    """Makes the spans of broadcasts."""

    def broadcast(self, messages: Sequence[Message]) -> AbstractContextManager[list[Message]]:
        """Return the span of a call of ``broadcast()``, which gives the messages with the trace that they belong to."""

    def send(self, messages: Sequence[Message], settings: ConnectionSettings) -> AbstractContextManager[object]:
        """Return the span in which messages are sent to one server."""

    def failed(self, error: Exception) -> None:
        """Take note that a broadcast failed with an error that is logged instead of raised."""

    def carrying(self, messages: Sequence[Message]) -> list[Message]:
        """Return messages that belong to the trace of the caller, wherever they are sent."""

    def headers(self) -> dict[str, str]:
        """Return the headers by which a server knows the trace of a request."""


tracer: Tracer | None = None
"""The tracer in use; None where nothing is traced."""


def use(new: Tracer | None) -> None:
    """Set the tracer for all broadcasters of the process; None ends tracing."""
    global tracer
    tracer = new


def trace_headers() -> dict[str, str]:
    """Return the headers that hand the caller's trace on to a server; none where nothing is traced."""
    return {} if tracer is None else tracer.headers()
