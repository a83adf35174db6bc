"""The version of the messages between a worker and the hub: a checksum of their forms."""

from __future__ import annotations

import json
import zlib
from typing import Any, Final

import msgspec

from soundpost.backplane.hub_framing import Message

_SETTINGS: Final = (
    "Settings",
    "ServerSettings",
    "TlsSettings",
    "ScalingSettings",
    "DashboardSettings",
    "MetricsSettings",
    "AppSettings",
    "HistorySettings",
    "RateLimiting",
    "WebhookSettings",
)


def checksum(messages: Any) -> int:
    """Return a checksum of the forms of messages (a union of Structs), and of all Structs in their fields.

    Settings do not count: a newer worker takes an older parent's settings, and its own defaults for new options.
    """
    forms = msgspec.json.schema(messages)["$defs"]
    counted = {
        name: {key: value for key, value in form.items() if key not in ("description", "title")}
        for name, form in forms.items()
        if name not in _SETTINGS
    }
    return zlib.crc32(json.dumps(counted, sort_keys=True).encode())


HUB_PROTOCOL: Final = checksum(Message)
"""Checksum of all messages, compared when a worker starts.

A worker of another version, started when the code on disk is newer than the parent, would not understand its hub."""
