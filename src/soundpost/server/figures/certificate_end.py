"""The end of a certificate's validity, read from its file."""

from __future__ import annotations

import ssl
from datetime import UTC, datetime
from functools import lru_cache
from pathlib import Path
from typing import Final

_CERTIFICATE: Final = "-----BEGIN CERTIFICATE-----", "-----END CERTIFICATE-----"
_EXPLICIT_VERSION: Final = 0xA0
_UTC_TIME: Final = 0x17


def certificate_ends_at(file: str | None) -> float | None:
    """Return the end of the first certificate in a PEM file, in seconds since 1970; None if it cannot be read.

    The file is read again only when it has changed.
    """
    if file is None:
        return None
    path = Path(file)
    try:
        return _end_in(path, path.stat().st_mtime_ns)
    except (OSError, ValueError, IndexError):
        return None


@lru_cache(maxsize=4)
def _end_in(path: Path, changed: int) -> float:
    begin, end = _CERTIFICATE
    text = path.read_text("ascii", errors="replace")
    start = text.index(begin)
    return _not_after(ssl.PEM_cert_to_DER_cert(text[start : text.index(end, start) + len(end)]))


def _not_after(der: bytes) -> float:
    """Return the end of the validity in a certificate (RFC 5280, section 4.1)."""
    fields = _Elements(der).enter().enter()  # Certificate, then TBSCertificate
    if fields.tag == _EXPLICIT_VERSION:
        fields.skip()
    for _ in ("serialNumber", "signature", "issuer"):
        fields.skip()
    validity = fields.enter()
    validity.skip()  # notBefore
    text = validity.content.decode("ascii")
    if validity.tag == _UTC_TIME:  # two digits of the year: 50 to 99 are in the last century
        text = ("19" if text[:2] >= "50" else "20") + text
    return datetime.strptime(text, "%Y%m%d%H%M%SZ").replace(tzinfo=UTC).timestamp()


class _Elements:
    """The elements of a sequence in DER, one after the other."""

    def __init__(self, data: bytes) -> None:
        self._data = data

    @property
    def tag(self) -> int:
        return self._data[0]

    @property
    def content(self) -> bytes:
        begin, end = self._bounds()
        return self._data[begin:end]

    def enter(self) -> _Elements:
        return _Elements(self.content)

    def skip(self) -> None:
        self._data = self._data[self._bounds()[1] :]

    def _bounds(self) -> tuple[int, int]:
        size, begin = self._data[1], 2
        if size >= 0x80:
            begin = 2 + (size & 0x7F)
            size = int.from_bytes(self._data[2:begin], "big")
        return begin, begin + size
