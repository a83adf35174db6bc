"""Fresh credentials for an app, in the form every official SDK takes."""

from __future__ import annotations

import secrets
import string
from typing import Final, NamedTuple

from soundpost.redaction import redacted_fields

_ALPHABET: Final = string.ascii_lowercase + string.digits


class Credentials(NamedTuple):
    """What makes an app: ``id`` of six digits (official SDKs insist on digits), public ``key``, ``secret``."""

    id: str
    key: str
    secret: str

    def __repr__(self) -> str:
        return redacted_fields(self, "secret")


def generate() -> Credentials:
    """Credentials nobody has had before: a key of 20 and a secret of 32 lower-case letters and digits."""
    return Credentials(str(100_000 + secrets.randbelow(900_000)), _word(20), _word(32))


def _word(length: int) -> str:
    return "".join(secrets.choice(_ALPHABET) for _ in range(length))
