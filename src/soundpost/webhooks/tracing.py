"""The tracer that makes spans of the handlers of webhooks: none, unless the application has set one.

Nothing of OpenTelemetry is imported here. :mod:`soundpost.contrib.opentelemetry` has the tracer.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from typing import Any, Protocol

from soundpost.webhooks.events import WebhookEvent
from soundpost.webhooks.handlers import Handler


class HandlerTracer(Protocol):
    """Makes the spans of handlers."""

    def handling(self, call: Callable[[], Any], handler: Handler, event: WebhookEvent) -> Callable[[], Any]:
        """Return the call of a handler with a span around it; it ends when an awaitable that is returned has ended."""

    def received(self, headers: Mapping[str, str]) -> AbstractContextManager[object]:
        """Return a block whose spans belong to the trace of a request, unless a span is open already."""


tracer: HandlerTracer | None = None
"""The tracer in use; None where nothing is traced."""


def use(new: HandlerTracer | None) -> None:
    """Set the tracer for all handlers of the process; None ends tracing."""
    global tracer
    tracer = new
