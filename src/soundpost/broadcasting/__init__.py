"""Broadcasting: events of an application, sent to the browsers that subscribe to their channels."""

from __future__ import annotations

from soundpost.broadcasting.broadcaster import Broadcaster
from soundpost.broadcasting.default_broadcaster import set_default_broadcaster

__all__ = ["Broadcaster", "broadcast"]

broadcast: Broadcaster = Broadcaster()
"""The application's default broadcaster: frameworks configure it, and the functions of :mod:`soundpost` use it."""
set_default_broadcaster(broadcast)
