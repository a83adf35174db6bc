"""Bytes of the stream between hub and workers, read without a socket."""

from __future__ import annotations

from collections.abc import Iterator

from soundpost.backplane.hub_framing import Message, MessageReader


def feed(reader: MessageReader, data: bytes | bytearray) -> None:
    """Write bytes where the reader has room for them, as a transport does."""
    while data:
        with reader.room() as room:
            size = min(len(data), len(room))
            room[:size] = data[:size]
        reader.received(size)
        data = data[size:]


def arrived(reader: MessageReader) -> Iterator[Message]:
    """Yield all messages that have arrived whole."""
    while (message := reader.take()) is not None:
        yield message
