"""The pytest plugin: fixtures only, whose imports wait until a fixture is used."""

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
    """Remember events of the test instead of sending them: ``soundpost_fake.assert_broadcast(OrderShipped)``."""
    from soundpost.broadcasting import broadcast

    with broadcast.fake() as fake:
        yield fake


@pytest.fixture
def soundpost_auth_endpoint() -> AuthEndpoint:
    """Return the endpoint whose channel routes ``soundpost_auth`` asks: Django's, or one of :data:`soundpost.channels`.

    Override this fixture for other routes.
    """
    from soundpost.broadcasting import broadcast
    from soundpost.broadcasting.authorization import AuthEndpoint, channels

    if "soundpost.django.apps" in sys.modules:
        from soundpost.django.endpoint import endpoint

        return endpoint
    return AuthEndpoint(channels, lambda: broadcast.settings)


@pytest.fixture
def soundpost_auth(soundpost_auth_endpoint: AuthEndpoint) -> AuthorizationTester:
    """Return a tester of channel routes: ``soundpost_auth.assert_allowed(alice, "private-orders.7")``."""
    from soundpost.testing.authorization import AuthorizationTester

    return AuthorizationTester(soundpost_auth_endpoint)


@pytest.fixture
def soundpost_server() -> Iterator[LiveServer]:
    """Start a real server on a free port, to which :func:`soundpost.broadcast` sends while the test runs."""
    from soundpost.broadcasting import broadcast
    from soundpost.testing.server import LiveServer
    from soundpost.testing.transactions import ignore_test_transactions

    with (
        LiveServer.for_broadcaster(broadcast) as server,
        broadcast.pinned(server.broadcast_settings(broadcast)),
        ignore_test_transactions(broadcast),
    ):
        yield server
