"""The command ``soundpost`` with short times for webhooks: ends are held back for 4 s, and 8 s after a start."""

from __future__ import annotations

from typing import Final

from soundpost.server.webhooks import WebhookDispatcher, states
from soundpost.tools.cli.app import main

PROGRAM: Final = (__file__,)
"""The arguments of Python for the command."""
HELD: Final = 4.0
TIME_TO_RETURN: Final = 8.0

if __name__ == "__main__":
    states.HELD = HELD  # type: ignore[attr-defined]
    WebhookDispatcher.time_to_return = TIME_TO_RETURN
    main()
