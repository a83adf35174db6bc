"""Refusals of a node: clients, subscriptions, sign-ins, requests and client events that were refused lately.

Equal refusals are one line with a count. Of each kind, code and app some lines a second are kept: a flood of one fault
does not push the others out, and its rest is counted.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterable
from typing import TYPE_CHECKING, Final

from soundpost.core.inspection import RefusalKind, RefusalLine
from soundpost.redaction import REDACTED

if TYPE_CHECKING:
    from soundpost.core.connection import Connection
    from soundpost.core.node import Node

MAX_LINES: Final = 500
"""Lines of all groups together."""
_OF_A_GROUP: Final = 100
"""Lines of one kind, code and app."""
_A_SECOND: Final = 10
"""New lines of one kind, code and app in a second."""
_MAX_GROUPS: Final = 200
_MAX_REASON_LENGTH: Final = 500
"""Characters of a sentence."""
_MAX_FIELD_LENGTH: Final = 200
_BEGINNING: Final = 40
_SHORTEST: Final = 8
"""Smallest number of characters of a text that is treated as a secret."""

NO_AUTH: Final = (
    "The client sent no auth: its library has no endpoint to ask, or the endpoint answered without one. Set "
    "channelAuthorization (authEndpoint) in the page, and return what soundpost's auth route returns"
)
OTHER_KEY: Final = (
    "auth is signed with the key of another app: the application that signs and this server have different keys. "
    "Give both the same (SOUNDPOST_APP_KEY, PUSHER_APP_KEY)"
)
WRONG_SIGNATURE: Final = (
    "auth has a wrong signature: either the application signs with another secret than the app has here "
    "(SOUNDPOST_APP_SECRET, PUSHER_APP_SECRET), or it signs another socket_id, channel name or channel_data than the "
    "client sends"
)
WRONG_SIGN_IN: Final = (
    "The sign-in has a wrong key or signature: either the application signs with another key or secret than the app "
    "has here (SOUNDPOST_APP_KEY, SOUNDPOST_APP_SECRET), or it signs another socket_id or user_data than the client "
    "sends"
)


class _Line:
    """A line whose count may still grow."""

    __slots__ = ("at", "count", "left_out")

    def __init__(self, at: float) -> None:
        self.at = at
        self.count = 1
        self.left_out = 0


_Key = tuple[str, str, str, str]
"""Reason, address, origin and channel."""


class _Group:
    """The lines of one kind, code and app, the latest last."""

    __slots__ = ("latest", "lines", "second", "taken")

    def __init__(self) -> None:
        self.lines: OrderedDict[_Key, _Line] = OrderedDict()
        self.latest: _Line | None = None
        self.second = 0
        self.taken = 0  # new lines in that second


class Refusals:
    """The refusals of a node."""

    def __init__(self) -> None:
        self._groups: OrderedDict[tuple[RefusalKind, int, str], _Group] = OrderedDict()
        self._size = 0

    def add(self, refusal: RefusalLine) -> None:
        """Add a refusal.

        Measured: 0.6 µs, for one that was noted before and for another one.
        """
        now, name = refusal.at, (refusal.kind, refusal.code, refusal.app_id)
        group = self._groups.get(name)
        if group is None:
            group = self._groups[name] = _Group()
            if len(self._groups) > _MAX_GROUPS:
                _, forgotten = self._groups.popitem(last=False)
                self._size -= len(forgotten.lines)
        else:
            self._groups.move_to_end(name)
        key = (
            refusal.reason[:_MAX_REASON_LENGTH],
            refusal.address[:_MAX_FIELD_LENGTH],
            refusal.origin[:_MAX_FIELD_LENGTH],
            refusal.channel[:_MAX_FIELD_LENGTH],
        )
        line = group.lines.get(key)
        if line is not None:
            line.count += 1
            line.at = now
            group.lines.move_to_end(key)
            group.latest = line
            return
        second = int(now)
        if group.second != second:
            group.second, group.taken = second, 0
        if group.taken >= _A_SECOND and group.latest is not None:
            group.latest.left_out += 1
            return
        group.taken += 1
        group.lines[key] = group.latest = _Line(now)
        self._size += 1
        self._forget_old(group)

    def _forget_old(self, group: _Group) -> None:
        if len(group.lines) > _OF_A_GROUP:
            group.lines.popitem(last=False)
            self._size -= 1
        while self._size > MAX_LINES:
            oldest = next(iter(self._groups.values()))
            oldest.lines.popitem(last=False)
            self._size -= 1
            if not oldest.lines:
                self._groups.popitem(last=False)

    def latest(self, limit: int) -> list[RefusalLine]:
        """Return the refusals, newest first."""
        found = [
            RefusalLine(line.at, kind, reason, code, app_id, address, origin, channel, line.count, line.left_out)
            for (kind, code, app_id), group in self._groups.items()
            for (reason, address, origin, channel), line in group.lines.items()
        ]
        found.sort(key=lambda line: line.at, reverse=True)
        return found[:limit]


def without_secrets(text: str, secrets: Iterable[str]) -> str:
    """Return a text with each secret of an app redacted: a client may have sent a secret in place of a key.

    Long texts are cut off, so the first characters of a secret are redacted too.
    """
    for secret in secrets:
        at = text.find(secret[:_BEGINNING])
        if at >= 0 and len(secret) >= _SHORTEST:
            end = at + _length_alike(text[at:], secret)
            text = f"{text[:at]}{REDACTED}{without_secrets(text[end:], (secret,))}"
    return text


def _length_alike(one: str, other: str) -> int:
    """Return the length of the common beginning of two texts."""
    pairs = zip(one, other, strict=False)
    return next((at for at, (first, second) in enumerate(pairs) if first != second), min(len(one), len(other)))


def note_refusal(
    node: Node,
    kind: RefusalKind,
    reason: str,
    code: int,
    *,
    app_id: str = "",
    address: str = "",
    origin: str = "",
    channel: str = "",
    connection: Connection | None = None,
) -> None:
    """Record and log a refusal. ``reason`` is a sentence with the way out, and without secrets."""
    refusal = RefusalLine(node.wall_clock(), kind, reason, code, app_id, address, origin, channel)
    node.refusals.add(refusal)
    node.refusal_log.add(refusal)
    for observer in node.observers:
        observer.refused(refusal, connection)


def note_refused_message(connection: Connection, kind: RefusalKind, reason: str, code: int, channel: str = "") -> None:
    """Note that a message of a client is refused, as :func:`note_refusal` does."""
    note_refusal(
        connection.app.node,
        kind,
        reason,
        code,
        app_id=connection.app.settings.id,
        address=connection.address,
        origin=connection.client.origin,
        channel=channel,
        connection=connection,
    )
