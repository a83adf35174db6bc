"""Secrets of encrypted channels, derived from an application's master key.

Source: https://pusher.com/docs/channels/using_channels/encrypted-channels/
"""

from __future__ import annotations

import hashlib
from typing import Final

KEY_SIZE: Final = 32
"""Size in bytes of a master key and of a shared secret."""


def shared_secret(channel: str, master_key: bytes) -> bytes:
    """Return the secret of one channel, which its subscribers get from the auth endpoint."""
    return hashlib.sha256(channel.encode() + master_key).digest()
