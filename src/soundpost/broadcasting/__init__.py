"""Broadcasting: from an event in an application to every browser that should have it."""

from __future__ import annotations

from soundpost.broadcasting.broadcaster import Broadcaster

__all__ = ["Broadcaster", "broadcast"]

broadcast: Broadcaster = Broadcaster()
"""The application's own; frameworks configure it, and the functions of :mod:`soundpost` use it."""
