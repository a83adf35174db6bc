"""The auth endpoints of this process's applications, among which tests find the one with a channel's route."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final, TypeVar
from weakref import WeakKeyDictionary

from soundpost.broadcasting.authorization.endpoint import AuthEndpoint

Endpoint = TypeVar("Endpoint", bound=AuthEndpoint)

_known: Final[WeakKeyDictionary[AuthEndpoint, None]] = WeakKeyDictionary()


def remember_endpoint(endpoint: Endpoint) -> Endpoint:
    """Return the endpoint of an application, and have it known as long as it exists."""
    _known[endpoint] = None
    return endpoint


def known_endpoints() -> Iterable[AuthEndpoint]:
    """Return the endpoints that exist, the newest first."""
    return reversed(list(_known))
