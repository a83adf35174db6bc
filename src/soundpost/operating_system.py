"""Refusal of Windows by what needs Linux or macOS: the server, and the commands that look after it."""

from __future__ import annotations

import sys

from soundpost.documentation import page
from soundpost.errors import ConfigurationError


def require_posix() -> None:
    """Raise ConfigurationError on Windows, which lacks what the server is built on: Unix sockets, signals, uvloop."""
    if sys.platform == "win32":
        raise ConfigurationError(
            "the server, and the commands that look after it, need Linux or macOS, and this is Windows. Start the "
            f"server in WSL or in Docker: {page('windows')}. Applications on Windows broadcast to it from there"
        )
