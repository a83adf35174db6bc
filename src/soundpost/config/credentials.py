"""New credentials for an app, in a form that every official Pusher SDK accepts."""

from __future__ import annotations

import secrets
import string
from typing import Final, NamedTuple

from soundpost.redaction import redacted_fields

_ALPHABET: Final = string.ascii_lowercase + string.digits


class Credentials(NamedTuple):
    """An app's ``id`` of six digits (official SDKs insist on digits), public ``key`` and ``secret``."""

    id: str
    key: str
    secret: str

    def __repr__(self) -> str:
        return redacted_fields(self, "secret")


def generate() -> Credentials:
    """Return random credentials: a key of 20 and a secret of 32 lower-case letters and digits."""
    return Credentials(str(100_000 + secrets.randbelow(900_000)), _word(20), _word(32))


def _word(length: int) -> str:
    return "".join(secrets.choice(_ALPHABET) for _ in range(length))
