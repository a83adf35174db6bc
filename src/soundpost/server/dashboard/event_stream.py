"""Server-sent events: JSON messages in a stream that ends with the session.

Source: https://html.spec.whatwg.org/multipage/server-sent-events.html
"""

from __future__ import annotations

from typing import Any, Final

import msgspec

BEGINNING: Final = b": soundpost\n\n"
"""Comment that is sent at once, so that proxies and browsers know that the stream has begun."""
ALIVE: Final = b":\n\n"
"""Comment that is sent in a silence: it finds out whether the client is still there."""


def event(value: Any) -> bytes:
    """Return the text of one server-sent event."""
    return b"data: %b\n\n" % msgspec.json.encode(value)
