"""End-to-end encrypted channels: the shared secret of a channel, and decrypting its events, which needs PyNaCl.

Source: https://pusher.com/docs/channels/using_channels/encrypted-channels/
"""

from __future__ import annotations

from base64 import b64decode, b64encode
from binascii import Error as Base64Error
from importlib.util import find_spec
from typing import Any

from soundpost.errors import ConfigurationError
from soundpost.wire import encryption
from soundpost.wire.encryption import KEY_SIZE


class DecryptionError(Exception):
    """An event could not be decrypted: another secret encrypted it, or it is not encrypted."""


def master_key_of(value: bytes | str) -> bytes:
    """Return the 32 bytes of a master key. Raises ConfigurationError, which does not show the key."""
    try:
        key = b64decode(value, validate=True) if isinstance(value, str) else value
    except ValueError:
        raise ConfigurationError(f"encryption_master_key: expected base64 of {KEY_SIZE} bytes") from None
    if not isinstance(key, bytes):
        raise ConfigurationError(f"encryption_master_key: expected bytes or their base64, got {type(key).__name__}")
    if len(key) != KEY_SIZE:
        raise ConfigurationError(f"encryption_master_key: expected {KEY_SIZE} bytes, got {len(key)}")
    return key


def shared_secret(channel: str, master_key: bytes) -> str:
    """Return the shared secret of a channel in base64, as an application's auth endpoint gives it to subscribers."""
    return b64encode(encryption.shared_secret(channel, master_key)).decode()


def secret_of(value: str) -> bytes:
    """Return the 32 bytes of a shared secret. Raises ConfigurationError for any other text, and without PyNaCl."""
    if find_spec("nacl") is None:
        raise ConfigurationError(
            "encrypted channels need PyNaCl, which is not installed: pip install 'soundpost[encryption]'"
        )
    try:
        secret = b64decode(value, validate=True)
    except Base64Error:
        secret = b""
    if len(secret) != KEY_SIZE:
        raise ConfigurationError(f"shared_secret: expected base64 of {KEY_SIZE} bytes")
    return secret


def decrypt(encrypted: dict[str, Any], secret: bytes) -> str:
    """Return the text in an event's ``{"nonce": …, "ciphertext": …}``. Raises DecryptionError."""
    from nacl.exceptions import CryptoError
    from nacl.secret import SecretBox

    nonce, ciphertext = encrypted.get("nonce"), encrypted.get("ciphertext")
    if not isinstance(nonce, str) or not isinstance(ciphertext, str):
        raise DecryptionError("it is not encrypted: expected nonce and ciphertext")
    try:
        return SecretBox(secret).decrypt(b64decode(ciphertext), b64decode(nonce)).decode()
    except (CryptoError, ValueError) as error:
        raise DecryptionError(str(error)) from None
