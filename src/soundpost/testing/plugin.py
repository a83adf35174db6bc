"""The pytest plugin. Nothing but its fixtures is here, and nothing is imported before one is used."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from soundpost.broadcasting.authorization import AuthEndpoint
    from soundpost.broadcasting.fake import Fake
    from soundpost.testing.authorization import AuthorizationTester
    from soundpost.testing.server import LiveServer


@pytest.fixture
def soundpost_fake() -> Iterator[Fake]:
    """What the test broadcasts, remembered instead of sent: ``soundpost_fake.assert_broadcast(OrderShipped)``."""
    from soundpost.broadcasting import broadcast

    with broadcast.fake() as fake:
        yield fake


@pytest.fixture
def soundpost_auth_endpoint() -> AuthEndpoint:
    """The endpoint whose routes ``soundpost_auth`` asks: Django's, or one of :data:`soundpost.channels`.

    Override it for routes of your own.
    """
    from soundpost.broadcasting import broadcast
    from soundpost.broadcasting.authorization import AuthEndpoint, channels

    if "soundpost.django.apps" in sys.modules:
        from soundpost.django.endpoint import endpoint

        return endpoint
    return AuthEndpoint(channels, lambda: broadcast.settings)


@pytest.fixture
def soundpost_auth(soundpost_auth_endpoint: AuthEndpoint) -> AuthorizationTester:
    """Who may subscribe to what: ``soundpost_auth.assert_allowed(alice, "private-orders.7")``."""
    from soundpost.testing.authorization import AuthorizationTester

    return AuthorizationTester(soundpost_auth_endpoint)


@pytest.fixture
def soundpost_server() -> Iterator[LiveServer]:
    """A real server on a free port, to which :func:`soundpost.broadcast` sends while the test runs."""
    from soundpost.broadcasting import broadcast
    from soundpost.testing.server import LiveServer
    from soundpost.testing.transactions import nothing_waits_for_the_test

    with (
        LiveServer.like(broadcast) as server,
        broadcast.pinned(server.broadcast_settings(broadcast)),
        nothing_waits_for_the_test(broadcast),
    ):
        yield server
