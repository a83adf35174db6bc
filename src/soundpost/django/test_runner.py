"""Credentials for Django's test runner: ``manage.py test`` needs no ``soundpost.toml``, which CI does not have."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from typing import Any, Final

from soundpost.broadcasting.settings import BroadcastSettings
from soundpost.broadcasting.settings.classes import CREDENTIALS
from soundpost.defaults import TEST_APP

_PYTEST_PLUGIN: Final = "soundpost.testing.plugin"


def credentials_of_tests(found: BroadcastSettings) -> Mapping[str, Any]:
    """Return the credentials of an app ``test`` if a test runner is at work and settings have none; else nothing."""
    return TEST_APP if lacks_credentials(found) and _is_test_environment() else {}


def lacks_credentials(found: BroadcastSettings) -> bool:
    """Return whether settings have no credentials at all; incomplete ones are a mistake, which is reported."""
    connections = list(found.connections.values())
    return not connections or (len(connections) == 1 and connections[0].missing() == [*CREDENTIALS])


def _is_test_environment() -> bool:
    """Return whether Django's ``setup_test_environment()`` is in force, which only test runners call.

    Under pytest the plugin of this package sets credentials, and has an option against it.
    """
    state = getattr(sys.modules.get("django.test.utils"), "_TestState", None)
    return hasattr(state, "saved_data") and _PYTEST_PLUGIN not in sys.modules
