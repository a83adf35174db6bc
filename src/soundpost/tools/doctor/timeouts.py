"""How long the doctor waits, in seconds."""

from __future__ import annotations

CONNECT = 5.0
"""For a connection, TLS, or an event."""
ANSWER = 10.0
"""For an HTTP answer, or a message."""
