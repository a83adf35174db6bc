"""Auth requests: the parts of an HTTP request, and the checked question in them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

from soundpost.broadcasting.authorization.body import request_values, unread_body_hint
from soundpost.broadcasting.authorization.origin import cross_site_fault
from soundpost.broadcasting.authorization.refusals import Misconfigured
from soundpost.wire.channel_names import fault
from soundpost.wire.socket_id import fault as socket_id_fault


@dataclass(frozen=True, slots=True)
class AuthRequest:
    """The parts of an HTTP request to an auth endpoint."""

    headers: Mapping[str, str]
    """Headers by lower-case name."""
    query: str
    """The query string, without the question mark."""
    body: bytes
    """The body, which need not be read further than ``MAX_BODY`` bytes and one more."""
    host: str
    """Host and port by which the browser reached the application, as in the header ``Host``."""
    user: Callable[[str | None], Any]
    """Finds the user, by the name of a guard or None; may be a coroutine function."""
    request: Any = None
    """The framework's own request, which callbacks get in ``ctx``."""
    debug: bool = False
    """True if the framework is in debug mode, which counts if the settings of Soundpost cannot be read."""


class AuthQuestion(NamedTuple):
    """The question in an auth request: may this socket subscribe, or sign in?"""

    socket_id: str
    channel: str
    """The channel's full name; empty in a sign-in."""


def read_question(request: AuthRequest, trusted_origins: Iterable[str], *, needs_channel: bool) -> AuthQuestion:
    """Return the question in a request. Raises Misconfigured for another site's page, and for missing or wrong values.

    ``needs_channel`` is true for a subscription, false for a sign-in.
    """
    headers = request.headers
    wrong = cross_site_fault(
        origin=headers.get("origin"),
        fetch_site=headers.get("sec-fetch-site"),
        host=request.host,
        authorization=headers.get("authorization"),
        trusted=trusted_origins,
    )
    if wrong is not None:
        raise Misconfigured(wrong)
    values = request_values(headers, request.query, request.body)
    unread = unread_body_hint(headers, request.body)
    socket_id = values.get("socket_id", "")
    wrong = socket_id_fault(socket_id)
    if wrong is not None:
        raise Misconfigured(f"socket_id: {wrong}{unread}", 422)
    channel = values.get("channel_name", "")
    wrong = fault(channel, 200) if needs_channel else None
    if wrong is not None:
        raise Misconfigured(f"channel_name: {wrong}{unread}", 422 if channel else 403)
    return AuthQuestion(socket_id, channel)
