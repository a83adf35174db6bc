"""Times that the doctor waits, in seconds."""

from __future__ import annotations

CONNECT = 5.0
"""Seconds to wait for a connection, TLS, or an event."""
ANSWER = 10.0
"""Seconds to wait for an HTTP response, or a message."""
