"""Defaults that the server, applications and tests share."""

from typing import Final

DEFAULT_PORT: Final = 8080
"""The port on which the server listens, and to which applications publish, if no other is set."""
TEST_APP: Final = {"app_id": "test", "key": "test-key", "secret": "test-secret"}
"""Credentials, by their names in settings, of tests where none are configured."""
