"""Times that the doctor waits, in seconds."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

CONNECT = 5.0
"""Seconds to wait for a connection, TLS, or an event."""
ANSWER = 10.0
"""Seconds to wait for an HTTP response, or a message."""


@contextmanager
def at_most(seconds: float) -> Iterator[None]:
    """Let the doctor wait no longer than ``seconds`` in a ``with`` block."""
    global CONNECT, ANSWER
    before = CONNECT, ANSWER
    CONNECT, ANSWER = min(CONNECT, seconds), min(ANSWER, seconds)
    try:
        yield
    finally:
        CONNECT, ANSWER = before


@contextmanager
def answer_within(seconds: float) -> Iterator[None]:
    """Let the doctor wait ``seconds`` for an HTTP response in a ``with`` block, whatever it waits otherwise."""
    global ANSWER
    before = ANSWER
    ANSWER = seconds
    try:
        yield
    finally:
        ANSWER = before
