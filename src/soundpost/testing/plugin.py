"""The pytest plugin: fixtures, whose imports wait until a fixture is used, and credentials for tests that have none."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Final

import pytest

from soundpost.defaults import TEST_APP

if TYPE_CHECKING:
    from soundpost.broadcasting.authorization import AuthEndpoint
    from soundpost.broadcasting.fake import Fake
    from soundpost.testing.authorization import AuthorizationTester
    from soundpost.testing.server import LiveServer
    from soundpost.testing.webhooks import WebhookTester

TEST_CREDENTIALS: Final = {
    "SOUNDPOST_APP_ID": TEST_APP["app_id"],
    "SOUNDPOST_APP_KEY": TEST_APP["key"],
    "SOUNDPOST_APP_SECRET": TEST_APP["secret"],
}
"""Environment variables of tests where no credentials are configured: auth endpoints can sign then."""
_INI: Final = "soundpost_test_credentials"
_CREDENTIALS: Final = tuple(
    f"{prefix}{name}" for prefix in ("SOUNDPOST_", "REVERB_") for name in ("APP_ID", "APP_KEY", "APP_SECRET")
)
_CONFIGURED: Final = tuple(
    f"{name}{suffix}"
    for name in ("SOUNDPOST_URL", "SOUNDPOST_KEY", "SOUNDPOST_SECRET", *_CREDENTIALS)
    for suffix in ("", "_FILE")
)


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add the option of the configuration file that turns test credentials off."""
    parser.addini(_INI, "set credentials of an app 'test' where none are configured", type="bool", default=True)


@pytest.hookimpl(tryfirst=True)
def pytest_load_initial_conftests(early_config: pytest.Config) -> None:
    """Set test credentials for this run, before the application is imported, if none are configured."""
    if not early_config.getini(_INI) or _is_configured(Path.cwd()):
        return
    os.environ.update(TEST_CREDENTIALS)
    early_config.add_cleanup(_remove_test_credentials)


def _is_configured(directory: Path) -> bool:
    """Return whether the environment, ``.env`` or ``soundpost.toml`` of a directory has credentials."""
    if any(name in os.environ for name in _CONFIGURED):
        return True
    if (directory / "soundpost.toml").is_file():
        return True
    dotenv = directory / ".env"
    try:
        text = dotenv.read_text(encoding="utf-8-sig", errors="replace") if dotenv.is_file() else ""
    except OSError:
        return False
    names = [line.removeprefix("export ").partition("=")[0].strip() for line in text.splitlines()]
    return any(name in _CONFIGURED for name in names)


def _remove_test_credentials() -> None:
    for name in TEST_CREDENTIALS:
        os.environ.pop(name, None)


@pytest.fixture
def soundpost_fake() -> Iterator[Fake]:
    """Remember events of the test instead of sending them: ``soundpost_fake.assert_broadcast(OrderShipped)``."""
    from soundpost.broadcasting import broadcast

    with broadcast.fake() as fake:
        yield fake


@pytest.fixture
def soundpost_auth_endpoint() -> AuthEndpoint | None:
    """Return the endpoint whose channel routes ``soundpost_auth`` asks; None to find it by the name of the channel.

    Override this fixture where several applications have a route for a channel.
    """
    if "soundpost.django.apps" in sys.modules:
        from soundpost.django.endpoint import endpoint

        return endpoint
    return None


@pytest.fixture
def soundpost_auth(soundpost_auth_endpoint: AuthEndpoint | None) -> AuthorizationTester:
    """Return a tester of channel routes: ``soundpost_auth.assert_allowed(alice, "private-orders.7")``."""
    from soundpost.testing.authorization import AuthorizationTester

    return AuthorizationTester(soundpost_auth_endpoint)


@pytest.fixture
def soundpost_webhooks() -> WebhookTester:
    """Return a tester of handlers of webhooks: ``soundpost_webhooks.play("user_online", user_id="7")``."""
    from soundpost.testing.webhooks import WebhookTester

    return WebhookTester()


@pytest.fixture
def soundpost_history() -> Iterable[str]:
    """Return patterns of the channels that keep their events in ``soundpost_server``: none.

    Override this fixture to keep some.
    """
    return ()


@pytest.fixture
def soundpost_server(soundpost_history: Iterable[str]) -> Iterator[LiveServer]:
    """Start a real server on a free port, to which :func:`soundpost.broadcast` sends while the test runs."""
    from soundpost.broadcasting import broadcast
    from soundpost.testing.server import LiveServer
    from soundpost.testing.transactions import ignore_test_transactions

    with (
        LiveServer.for_broadcaster(broadcast, soundpost_history) as server,
        broadcast.pinned(server.broadcast_settings(broadcast)),
        ignore_test_transactions(broadcast),
    ):
        yield server
