"""Defaults that the server and applications share."""

from typing import Final

DEFAULT_PORT: Final = 8080
"""The port on which the server listens, and to which applications publish, if no other is set."""
