"""Messages of the Pusher protocol in readable form, without signatures: for tails and ``--debug``."""

from __future__ import annotations

import re
from typing import Any, Final, NamedTuple

from msgspec import Raw, Struct

from soundpost.errors import JsonError
from soundpost.wire.json_text import reader

_AUTH: Final = re.compile(r'("auth\\*"\s*:\s*(\\{0,15})")(?!\2").+?(?=\2"|\Z)', re.DOTALL)
"""Pattern of a signature in JSON, or in a JSON string within JSON. Some libraries escape ``/`` as ``\\/``."""


class ReadableMessage(NamedTuple):
    """A message of the protocol; signatures in it are not removed yet."""

    event: str
    channel: str | None
    data: str | None
    """Data as text: the content of a JSON string, or other JSON unchanged; None without data."""
    user_id: str | None


class _Message(Struct):
    event: str
    channel: str | None = None
    data: Raw = Raw(b"")
    user_id: Any = None


_read_message: Final = reader(_Message)
_read_text: Final = reader(str)


def readable(payload: bytes) -> ReadableMessage | None:
    """Return the parts of a message; None if the text is not a message of the protocol."""
    try:
        message: _Message = _read_message(payload)
        data = bytes(message.data)
        text = _read_text(data) if data.startswith(b'"') else data.decode()
    except (JsonError, UnicodeError):
        return None
    user_id = message.user_id if isinstance(message.user_id, str) else None
    return ReadableMessage(message.event, message.channel, text if data else None, user_id)


def without_signatures(text: str) -> str:
    """Return a text with ``…`` in place of each signature, in a time that grows with its length only."""
    return _AUTH.sub(r"\1…", text) if "auth" in text else text
