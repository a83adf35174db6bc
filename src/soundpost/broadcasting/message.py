"""Messages: events ready to be sent, as queues carry them and drivers send them."""

from __future__ import annotations

import json
import secrets
from collections.abc import Iterator, Mapping
from itertools import count
from typing import Any, Final

from msgspec import Struct
from msgspec.structs import replace

from soundpost.broadcasting.socket_id import valid_socket_id
from soundpost.errors import JsonError, PayloadError
from soundpost.per_process import PerProcess
from soundpost.wire.json_text import read_json


def _new_parts() -> tuple[str, Iterator[int]]:
    """Return a random text that begins the ids of this process, and the numbers that end them."""
    return secrets.token_urlsafe(9), count()


_parts: Final = PerProcess(_new_parts)


def _new_id() -> str:
    """Return an id that no other message has, of this process or another.

    Only processes that go on from one snapshot of a virtual machine's memory have the same ids in front of them. A
    random number for each id would prevent that.
    """
    # Measured: 0.4 µs, 1.9 for a random number of its own.
    beginning, numbers = _parts()
    return f"{beginning}{next(numbers)}"


class Message(Struct, eq=False, gc=False):
    """One event ready to be sent: to at most 100 channels, or to one encrypted channel.

    ``data`` is the text as clients get it, usually JSON. ``excluded`` is the socket id that is left out. ``connection``
    names the configured connection to send through. ``id``, which is ``given_id`` if there is one, is the same at every
    attempt, so that a Soundpost server delivers the event once. ``ephemeral`` events are not kept in a channel's
    history. A ``repeated`` message may have been sent before. ``key_id`` names the key that encrypted the data, for a
    channel's history. ``trace`` has ``traceparent`` and ``tracestate`` of the call that broadcast the event, if calls
    are traced.

    ``msgspec.structs.replace`` returns a message with other fields; with ``given_id=message.id`` it is the same event.
    Nothing else changes a message after it was made than asking for its id.
    """

    # A Struct without garbage collection, as every broadcast makes one. Measured: 0.9 µs, 1.2 as a dataclass; 100,000
    # that wait are no work for the collector.

    channels: tuple[str, ...]
    name: str
    data: str
    excluded: str | None = None
    connection: str = ""
    given_id: str = ""
    ephemeral: bool = False
    repeated: bool = False
    key_id: str | None = None
    trace: Mapping[str, str] | None = None

    @property
    def id(self) -> str:
        """The id: the given one, or one that is made when it is first asked for."""
        # The server is told the id of a batch's first message only. Measured: 0.5 µs for an id.
        if not self.given_id:
            self.given_id = _new_id()
        return self.given_id

    def __copy__(self) -> Message:
        return replace(self, given_id=self.id)

    def __reduce__(self) -> Any:
        self.id  # noqa: B018 - made before there are two of the message
        return super().__reduce__()

    def __eq__(self, other: object) -> bool:
        return self._identity() == other._identity() if isinstance(other, Message) else NotImplemented

    def __hash__(self) -> int:
        return hash(self._identity())

    def _identity(self) -> tuple[Any, ...]:
        """Return all that makes this message another than others: an attempt and a trace do not."""
        return (
            self.channels,
            self.name,
            self.data,
            self.excluded,
            self.connection,
            self.id,
            self.ephemeral,
            self.key_id,
        )

    def to_json(self) -> str:
        """Return short JSON, which :meth:`from_json` of this release and later ones reads."""
        return json.dumps(self.to_dict(), ensure_ascii=False, separators=(",", ":"))

    def to_dict(self) -> dict[str, Any]:
        """Return plain values, for queues that serialise by themselves."""
        whole = {
            "c": list(self.channels),
            "n": self.name,
            "d": self.data,
            "s": self.excluded,
            "v": self.connection,
            "i": self.id,
            "e": self.ephemeral or None,
            "k": self.key_id,
            "t": self.trace and dict(self.trace),
        }
        return {key: value for key, value in whole.items() if value is not None}

    @classmethod
    def from_json(cls, text: str | bytes) -> Message:
        """Return the message in the text of :meth:`to_json`. Raises PayloadError."""
        try:
            value = read_json(text)
        except JsonError as error:
            raise PayloadError(f"not a message of a queue: {error}") from None
        return cls.from_dict(value)

    @classmethod
    def from_dict(cls, value: Any) -> Message:
        """Return the message in the values of :meth:`to_dict`. Raises PayloadError."""
        try:
            excluded, connection = valid_socket_id(value.get("s")), value.get("v", "")
            ephemeral = value.get("e") is True
            id, key_id = value["i"], value.get("k")
            trace = _trace_in(value.get("t"))
            return cls(
                tuple(value["c"]),
                value["n"],
                value["d"],
                excluded,
                connection,
                id,
                ephemeral,
                key_id=key_id,
                trace=trace,
            )
        except (KeyError, TypeError, AttributeError) as error:
            raise PayloadError(f"not a message of a queue: {error!r} is missing or wrong in {value!r:.200}") from None

    def __str__(self) -> str:
        return f"{self.name} on {shown(self.channels)}"


def _trace_in(value: Any) -> Mapping[str, str] | None:
    """Return the trace in a queue's job; None if there is none, or none that could be sent on."""
    if isinstance(value, dict) and all(isinstance(text, str) for pair in value.items() for text in pair):
        return value
    return None


def shown(channels: tuple[str, ...] | list[str]) -> str:
    """Return the first three channels and the number of the others, for logs and errors."""
    return ", ".join(channels[:3]) + (f" and {len(channels) - 3} more" if len(channels) > 3 else "")
