"""Hashes of the dashboard's password by scrypt (RFC 7914), with their parameters in the text."""

from __future__ import annotations

import hashlib
import hmac
import secrets
import unicodedata
from base64 import urlsafe_b64decode, urlsafe_b64encode
from typing import Final

from soundpost.errors import SoundpostError

MIN_LENGTH: Final = 8
"""Characters that a password has at least."""
MAX_LENGTH: Final = 1_024
"""Characters that a password has at most."""
_COST: Final = 2**15
_BLOCK_SIZE: Final = 8
_PARALLELISM: Final = 3
_SALT_SIZE: Final = 16
_HASH_SIZE: Final = 32
_MAX_MEMORY: Final = 268_435_456
_MAX_PARALLELISM: Final = 16


class PasswordError(SoundpostError):
    """A password that is not taken, or a hash that no password can be compared with; the message has the way out."""


def hash_password(password: str, salt: bytes | None = None) -> str:
    """Return ``scrypt:N:r:p:SALT:HASH``, which takes some 0.2 s. Raises PasswordError for a password that is too short.

    The text has no character that a shell, a ``.env`` or a Compose file reads as anything else.
    """
    if not MIN_LENGTH <= len(password) <= MAX_LENGTH:
        raise PasswordError(f"the password has {len(password)} characters: take {MIN_LENGTH} to {MAX_LENGTH:,}")
    salt = secrets.token_bytes(_SALT_SIZE) if salt is None else salt
    found = _scrypt(password, salt, _COST, _BLOCK_SIZE, _PARALLELISM, _HASH_SIZE)
    return f"scrypt:{_COST}:{_BLOCK_SIZE}:{_PARALLELISM}:{_text(salt)}:{_text(found)}"


def check_hash(text: str) -> None:
    """Raise PasswordError for a hash that is cut off, or whose parameters scrypt does not take or need much memory."""
    _, cost, block_size, parallelism, salt, expected = text.split(":")
    try:
        _bytes(salt), _bytes(expected)
    except ValueError:
        raise PasswordError(
            "password_hash below [dashboard] is incomplete: copy the whole line of 'soundpost dashboard password'"
        ) from None
    n, r, p = int(cost), int(block_size), int(parallelism)
    is_usable = 2 <= n < 2 ** (16 * r) and not n & (n - 1) and 1 <= p <= _MAX_PARALLELISM  # RFC 7914, 2
    if not is_usable or 128 * n * r > _MAX_MEMORY:
        raise PasswordError(
            f"password_hash below [dashboard] has parameters that cannot be used (N={n}, r={r}, p={p}): make a new "
            "one with 'soundpost dashboard password'"
        )


def is_password(password: str, text: str) -> bool:
    """Return whether a password has the hash ``text``, in a time that does not depend on the answer."""
    _, cost, block_size, parallelism, salt, expected = text.split(":")
    wanted = _bytes(expected)
    found = _scrypt(password[:MAX_LENGTH], _bytes(salt), int(cost), int(block_size), int(parallelism), len(wanted))
    return hmac.compare_digest(found, wanted)


def _scrypt(password: str, salt: bytes, n: int, r: int, p: int, size: int) -> bytes:
    text = unicodedata.normalize("NFC", password).encode("utf-8", "surrogatepass")
    memory = 128 * r * (n + p + 2) + 1_048_576
    return hashlib.scrypt(text, salt=salt, n=n, r=r, p=p, maxmem=memory, dklen=size)


def _text(data: bytes) -> str:
    return urlsafe_b64encode(data).decode().rstrip("=")


def _bytes(text: str) -> bytes:
    return urlsafe_b64decode(text + "=" * (-len(text) % 4))
