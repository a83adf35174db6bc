"""Batches beyond Pusher's ten events, for applications that ask for them by a header.

The answer to a request that asks, to ``/events`` or ``/batch_events``, tells how many events and bytes a batch may
have. The request needs an ``Idempotency-Key``: a large batch whose answer is lost must be known when it is sent again.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from soundpost.core.app import App
from soundpost.server.api.pending_response import PendingResponse
from soundpost.server.api.requests import ApiError, Request, Response
from soundpost.wire.json_text import encode, read_object

_ASKS: Final = b"x-soundpost-batch"
"""Header of a request whose sender takes an answer for each event of a large batch."""
Headers = tuple[tuple[str, str], ...]


def asked_by(request: Request) -> bool:
    """Return True if the sender of a request asks for large batches."""
    # Without a key the headers are not searched: most publishers send none.
    return request.idempotency_key is not None and _ASKS in request.headers()


def _limits(request: Request, app: App) -> Headers:
    """Return the headers that tell how many events a batch may have, and how many bytes its request."""
    return (
        ("X-Soundpost-Max-Batch-Size", str(app.settings.max_large_batch_size)),
        ("X-Soundpost-Max-Request-Size", str(request.max_size)),
    )


def telling(answer: Callable[[], Response | PendingResponse], request: Request, app: App) -> Response | PendingResponse:
    """Return an answer, or raise an ApiError, with the headers that tell the limits."""
    headers = _limits(request, app)
    try:
        made = answer()
    except ApiError as error:
        error.headers = (*error.headers, *headers)
        raise
    return _changed(made, lambda response: response._replace(headers=(*response.headers, *headers)))


def with_errors(
    answer: Response | PendingResponse, size: int, errors: dict[int, ApiError]
) -> Response | PendingResponse:
    """Return the answer to the valid events of a batch of ``size`` events, with the errors of the others by index."""

    def joined(response: Response) -> Response:
        if response.status != 200:
            return response
        value = read_object(response.body)
        results: list[dict[str, Any]] = [{} for _ in range(size)]
        valid = [index for index in range(size) if index not in errors]
        for index, own in zip(valid, value.get("batch", ()), strict=False):
            results[index] = own
        for index, error in errors.items():
            results[index] = {"error": error.message, "status": error.status}
        return response._replace(body=encode(value | {"batch": results}))

    return _changed(answer, joined)


def _changed(answer: Response | PendingResponse, change: Callable[[Response], Response]) -> Response | PendingResponse:
    """Change an answer as soon as it is ready."""
    if isinstance(answer, Response):
        return change(answer)
    if answer.response is not None:
        return change(answer.response)
    changed = PendingResponse(change)
    answer.then(lambda: changed.resolve(answer.response))
    return changed
