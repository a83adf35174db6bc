"""The event loop of the calling code."""

from __future__ import annotations

import sys
from typing import Any


def in_event_loop() -> bool:
    """Return whether an event loop runs in this thread, so that waiting here would block it."""
    asyncio: Any = sys.modules.get("asyncio")  # a program without it has no loop, and need not load it
    if asyncio is None:
        return False
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return False
    return True
