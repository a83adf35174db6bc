"""Secrets of encrypted channels, derived from an application's master key.

Source: https://pusher.com/docs/channels/using_channels/encrypted-channels/
"""

from __future__ import annotations

import hashlib
import hmac
from base64 import urlsafe_b64encode
from typing import Final

KEY_SIZE: Final = 32
"""Size in bytes of a master key and of a shared secret."""


def shared_secret(channel: str, master_key: bytes) -> bytes:
    """Return the secret of one channel, which its subscribers get from the auth endpoint."""
    return hashlib.sha256(channel.encode() + master_key).digest()


def key_id(master_key: bytes) -> str:
    """Return an id of 12 characters by which a server tells master keys apart, without knowing any of them."""
    return urlsafe_b64encode(hmac.digest(master_key, b"soundpost key id", "sha256")[:9]).decode()
