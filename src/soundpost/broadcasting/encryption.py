"""Encryption of the events of encrypted channels, which subscribers decrypt and the server cannot read.

Source: https://pusher.com/docs/channels/using_channels/encrypted-channels/; needs PyNaCl (``soundpost[encryption]``).
"""

from __future__ import annotations

import base64
import binascii
import json
import secrets
from typing import Final

from soundpost.errors import ConfigurationError
from soundpost.wire.encryption import KEY_SIZE, shared_secret
from soundpost.wire.foreign import object_in

_NONCE_SIZE: Final = 24


def master_key(text: str) -> bytes:
    """Return the 32 bytes of a base64 master key. Raises ConfigurationError."""
    try:
        key = base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        key = b""
    if len(key) != KEY_SIZE:
        raise ConfigurationError(
            "the encryption master key must be 32 bytes in base64; make one with: openssl rand -base64 32"
        )
    return key


def decrypt(channel: str, data: str, key: bytes) -> str | None:
    """Return the text that :func:`encrypt` made ``data`` of; None if another key did, and without PyNaCl."""
    try:
        from nacl.exceptions import CryptoError
        from nacl.secret import SecretBox
    except ImportError:
        return None
    sealed = object_in(data) or {}
    try:
        nonce, ciphertext = (base64.b64decode(sealed[name], validate=True) for name in ("nonce", "ciphertext"))
        return SecretBox(shared_secret(channel, key)).decrypt(ciphertext, nonce).decode()
    except (KeyError, TypeError, ValueError, CryptoError):
        return None


def encrypt(channel: str, data: str, key: bytes) -> str:
    """Return an event's data encrypted for a channel, as JSON. Raises ConfigurationError without PyNaCl."""
    try:
        from nacl.secret import SecretBox
    except ImportError:
        raise ConfigurationError(
            f"{channel} is an encrypted channel, which needs PyNaCl: pip install 'soundpost[encryption]'"
        ) from None
    nonce = secrets.token_bytes(_NONCE_SIZE)
    encrypted = SecretBox(shared_secret(channel, key)).encrypt(data.encode(), nonce).ciphertext
    return json.dumps({"nonce": base64.b64encode(nonce).decode(), "ciphertext": base64.b64encode(encrypted).decode()})
