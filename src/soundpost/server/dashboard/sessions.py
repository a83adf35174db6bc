"""Sessions of operators who have logged in; they live in the memory of the process, and outlive its restarts."""

from __future__ import annotations

import secrets
import time
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from hashlib import sha256
from typing import Final

import msgspec
from msgspec import Struct, field

MAX_SESSIONS: Final = 100
"""Largest number of sessions. A further login ends the session that was unused for the longest time."""
LIFETIME: Final = 43_200.0
"""Seconds from the login to the end of a session."""
IDLE_TIME: Final = 1_800.0
"""Seconds without use after which a session ends."""


class LoginSession(Struct, array_like=True):
    """One login. Times are those of a clock that goes on in a restart by ``exec``."""

    password_hash: str | None
    """Hash of the password at the login: a new password ends the session."""
    began: float
    used: float
    csrf: str = field(default_factory=partial(secrets.token_urlsafe, 24))
    """Token that every request with a change must have."""


class Sessions:
    """All sessions, by tokens that only the operators' browsers know. ``clock`` is in seconds."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._sessions: dict[bytes, LoginSession] = {}  # by hash: the time of a look-up tells nothing of the tokens

    def __len__(self) -> int:
        return len(self._sessions)

    def begin(self, password_hash: str) -> tuple[str, LoginSession]:
        """Begin a session; return its token."""
        self._drop_ended(password_hash)
        if len(self._sessions) >= MAX_SESSIONS:
            del self._sessions[min(self._sessions, key=lambda key: self._sessions[key].used)]
        token, now = secrets.token_urlsafe(32), self._clock()
        session = self._sessions[_key(token)] = LoginSession(password_hash, now, now)
        return token, session

    def find(self, token: str, password_hash: str) -> LoginSession | None:
        """Return the session of a token, and note that it is used; None if it has ended, or never was."""
        key = _key(token)
        session = self._sessions.get(key)
        if session is None:
            return None
        now = self._clock()
        if self._has_ended(session, password_hash, now):
            del self._sessions[key]
            return None
        session.used = now
        return session

    def end(self, token: str) -> None:
        """End the session of a token."""
        self._sessions.pop(_key(token), None)

    def as_bytes(self) -> bytes:
        """Return all sessions for :meth:`take_over`, without the tokens: those are with the browsers alone."""
        return msgspec.msgpack.encode(self._sessions)

    def take_over(self, data: bytes) -> None:
        """Take the sessions of the process before a restart."""
        with suppress(msgspec.DecodeError):  # of another version
            self._sessions = msgspec.msgpack.decode(data, type=dict[bytes, LoginSession])

    def _drop_ended(self, password_hash: str) -> None:
        now = self._clock()
        self._sessions = {
            key: session for key, session in self._sessions.items() if not self._has_ended(session, password_hash, now)
        }

    def _has_ended(self, session: LoginSession, password_hash: str, now: float) -> bool:
        old = now - session.began >= LIFETIME or now - session.used >= IDLE_TIME
        return old or session.password_hash != password_hash


def _key(token: str) -> bytes:
    return sha256(token.encode("utf-8", "surrogatepass")).digest()
