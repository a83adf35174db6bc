"""TLS: a certificate that may change while the server runs, and input before TLS or instead of TLS."""

from __future__ import annotations

import logging
import os
import ssl
from collections.abc import Callable
from typing import Any, Final, Self

from soundpost.config.settings import TlsSettings
from soundpost.errors import ProxyHeaderError, StartError
from soundpost.wire.proxy_protocol import ProxyHeader, read_proxy_header

log = logging.getLogger("soundpost.server")

_HANDSHAKE: Final = b"\x16"
_VERSIONS: Final = {"1.2": ssl.TLSVersion.TLSv1_2, "1.3": ssl.TLSVersion.TLSv1_3}


Explain = Callable[[ProxyHeaderError | None, bytes], bytes]
"""A function that returns the answer to a client without TLS.

It is given the fault of the client's PROXY header, if any, and the client's first bytes.
"""


class _Entry:
    """The input before TLS: a PROXY header, if one is expected; plain HTTP, which is turned away."""

    def __init__(
        self, incoming: ssl.MemoryBIO, outgoing: ssl.MemoryBIO, explain: Explain, *, expects_header: bool
    ) -> None:
        self._incoming, self._outgoing = incoming, outgoing
        self._explain = explain
        self._expects_header = expects_header
        self._turned_away = False
        self.header: ProxyHeader | None = None
        self.fault: ProxyHeaderError | None = None

    def admits_tls(self) -> bool:
        """Return whether the input so far is for TLS."""
        data = self._incoming.read()
        if self._turned_away:
            return False
        if data and self._expects_header:
            try:
                self.header = read_proxy_header(data)
            except ProxyHeaderError as error:
                self.fault = error
            else:
                if self.header is None:
                    self._incoming.write(data)
                    return False
                data = data[self.header.size :]
            self._expects_header = False
        if not data:
            return False
        self._turned_away = data[:1].isalpha() or (self.fault is not None and not data.startswith(_HANDSHAKE))
        if self._turned_away:
            self._outgoing.write(self._explain(self.fault, data))
            return False  # the loop sends the answer, and drops the connection when the time for a handshake is up
        self._incoming.write(data)
        return True


class TlsObject(ssl.SSLObject):
    """The TLS of a connection, with a look at the input before its handshake.

    The loop gives all input to TLS, so that no other object could see a PROXY header.
    """

    entry: _Entry | None = None
    header: ProxyHeader | None = None
    """The PROXY header; None if none was expected."""
    fault: ProxyHeaderError | None = None
    """The reason why the expected PROXY header is missing."""

    def do_handshake(self) -> None:
        """Shake hands once the input before TLS is dealt with. Raises SSLWantReadError until then."""
        entry = self.entry
        if entry is not None:
            if not entry.admits_tls():
                raise ssl.SSLWantReadError
            del self.entry
            if entry.header is not None or entry.fault is not None:
                self.header, self.fault = entry.header, entry.fault
        super().do_handshake()


class Certificate(ssl.SSLContext):
    """An SSL context that gives each new connection the certificate as it was last read.

    The loop takes one context for all connections, so this one wraps another that is replaced when the files change.
    Open connections keep their certificate.
    """

    def __new__(cls, *args: Any, **options: Any) -> Self:
        """Create a context for servers, which is never used itself."""
        return super().__new__(cls, ssl.PROTOCOL_TLS_SERVER)

    def __init__(self, tls: TlsSettings, explain: Explain, *, expects_header: bool = False) -> None:
        """Read the certificate. Raises StartError."""
        self._tls = tls
        self._explain = explain
        self._expects_header = expects_header
        self._read = self._seen = self._fingerprints()
        self._current = _context(tls)

    def wrap_bio(self, incoming: ssl.MemoryBIO, outgoing: ssl.MemoryBIO, *args: Any, **options: Any) -> ssl.SSLObject:
        """Return the TLS of a new connection."""
        made = self._current.wrap_bio(incoming, outgoing, *args, **options)
        assert isinstance(made, TlsObject)
        made.entry = _Entry(incoming, outgoing, self._explain, expects_header=self._expects_header)
        return made

    def reload_if_changed(self) -> None:
        """Reload if the files have changed, and are the same as at the previous call: call this every second.

        Two files are not written at the same time: certificate and key may not fit together for a moment.
        """
        seen, self._seen = self._seen, self._fingerprints()
        if seen == self._seen != self._read:
            self.reload()

    def reload(self) -> None:
        """Read the files again if they have changed; if they cannot be used, the previous certificate stays in use."""
        fingerprints = self._fingerprints()
        if fingerprints == self._read:
            return
        self._read = fingerprints
        try:
            self._current = _context(self._tls)
        except StartError as error:
            log.error("the certificate has changed, but the one before stays in use: %s", error)
        else:
            log.info("the certificate %s was read anew: it is used from now on", self._tls.certificate)

    def _fingerprints(self) -> list[tuple[int, ...]]:
        """Return device, inode, time and size of each file, to notice a change."""
        return [_fingerprint(file) for file in (self._tls.certificate, self._tls.key) if file is not None]


def check_certificate(tls: TlsSettings) -> None:
    """Raise StartError if the files cannot be used."""
    if tls.certificate is not None:
        _context(tls)


def _fingerprint(file: str) -> tuple[int, ...]:
    try:
        found = os.stat(file)  # noqa: PTH116 - twice a second, for ever
    except OSError:
        return ()
    return (found.st_dev, found.st_ino, found.st_mtime_ns, found.st_size)


def _context(tls: TlsSettings) -> ssl.SSLContext:
    assert tls.certificate is not None
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.minimum_version = _VERSIONS[tls.minimum_version]
    context.sslobject_class = TlsObject
    try:
        context.load_cert_chain(tls.certificate, tls.key, (lambda: tls.passphrase or ""))
    except (OSError, ssl.SSLError) as error:
        files = tls.certificate if tls.key is None else f"{tls.certificate} with key {tls.key}"
        raise StartError(
            f"cannot use the certificate {files}: {error}. "
            "Both must be PEM files this user can read, and belong together."
        ) from None
    return context
