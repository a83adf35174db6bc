"""From Starlette's requests to those of the auth endpoint, and from its answers to responses."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from starlette.requests import Request
from starlette.responses import Response

from soundpost.broadcasting.authorization.body import MAX_BODY
from soundpost.broadcasting.authorization.endpoint import HEADERS, Answer, AuthRequest


async def auth_request(request: Request, user: Callable[[str | None], Any]) -> AuthRequest:
    """The parts of a request; ``user`` finds who asks, by name of a guard or None."""
    return AuthRequest(
        headers=request.headers,
        query=request.url.query,
        body=await body_of(request),
        host=request.headers.get("host", ""),
        user=user,
        request=request,
    )


async def body_of(request: Request) -> bytes:
    """The body, as far as an auth request may be long, and a little further."""
    body = b""
    async for chunk in request.stream():
        body += chunk
        if len(body) > MAX_BODY:
            break
    return body


def response(answer: Answer) -> Response:
    """An answer of the endpoint, byte for byte."""
    return Response(answer.body, answer.status, headers=HEADERS)
