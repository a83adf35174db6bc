"""Faults of the fields by which a client resumes, in ``data`` of ``pusher:subscribe``, and the way out in words."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, Final

import msgspec

from soundpost.errors import JsonError, SubscriptionError
from soundpost.wire import codes, socket_id
from soundpost.wire.json_text import reader
from soundpost.wire.messages import MAX_FORMER_IDS, ClientMessage, FormerIds, Rewind

_MAX_SHOWN: Final = 60
_read_data: Final[Callable[[bytes | str], dict[str, msgspec.Raw] | str]] = reader(dict[str, msgspec.Raw] | str)
_read_name: Final[Callable[[bytes], str]] = reader(str)
_RULES: Final[dict[str, tuple[Callable[[bytes], Any], str]]] = {
    "resume": (
        reader(str | None),
        'a position such as "g7Qx.1795887678285000", "" to begin with what is new, or "?" for a lost place',
    ),
    "rewind": (reader(Rewind), "a whole number of events, 0 or more, without quotes"),
    "was": (reader(FormerIds), f'a list of at most {MAX_FORMER_IDS} socket ids, such as ["123.456"]'),
}


def refusal(message: ClientMessage) -> SubscriptionError | None:
    """Return why a subscription with a malformed field is refused; None if it has none, or names no channel."""
    try:
        fields = _read_data(bytes(message.data))
        if isinstance(fields, str):
            fields = _read_data(fields)
        if isinstance(fields, str):
            return None
        channel = _read_name(bytes(fields.get("channel", b"")))
    except JsonError:
        return None
    for name, (read, rule) in _RULES.items():
        text = bytes(fields.get(name, b""))
        if text and not _is_read(read, text):
            shown = text[:_MAX_SHOWN].decode(errors="replace") + ("…" if len(text) > _MAX_SHOWN else "")
            return _malformed(channel, f"{name}: {shown} is not taken: send {rule}")
    return None


def check_former_ids(channel: str, former_ids: Iterable[str]) -> None:
    """Raise SubscriptionError for a text in ``was`` that is not a socket id."""
    for former_id in former_ids:
        fault = socket_id.fault(former_id)
        if fault is not None:
            raise _malformed(channel, f"was: {fault}")


def _is_read(read: Callable[[bytes], Any], text: bytes) -> bool:
    try:
        read(text)
    except JsonError:
        return False
    return True


def _malformed(channel: str, reason: str) -> SubscriptionError:
    return SubscriptionError(channel, codes.INVALID_MESSAGE, reason, type="InvalidMessage", status=400)
