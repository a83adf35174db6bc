"""Mark in requests of ``soundpost doctor``, whose probes a server answers without a warning in its log."""

from __future__ import annotations

from typing import Final

DOCTOR: Final = "soundpost-doctor"
"""Text that the doctor's requests have in the User-Agent, and its TLS handshakes among the protocols (ALPN)."""
_MARK: Final = DOCTOR.encode()


def is_from_doctor(data: bytes) -> bool:
    """Return whether bytes begin a connection of the doctor: an HTTP request, a User-Agent, or a TLS ClientHello."""
    return _MARK in data
