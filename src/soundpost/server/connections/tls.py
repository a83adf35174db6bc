"""Direct TLS: a certificate that may change while the server runs, and what comes before TLS or instead of it."""

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


Explain = Callable[[ProxyHeaderError | None], bytes]
"""Gives the answer to somebody who does not speak TLS; whether that is due to a PROXY header nobody understands."""


class _Entry:
    """What comes in before TLS does: a PROXY header, if one is expected; or plain HTTP, which is turned away."""

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
        """Whether TLS may have what has come in."""
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
            self._outgoing.write(self._explain(self.fault))
            return False  # the loop sends that, and waits for more until the time for a handshake is up
        self._incoming.write(data)
        return True


class TlsObject(ssl.SSLObject):
    """A connection's TLS, once it is let in.

    Nobody else can see what comes before: the loop gives all it reads to TLS.
    """

    entry: _Entry | None = None
    header: ProxyHeader | None = None
    """The PROXY header."""
    fault: ProxyHeaderError | None = None
    """Why there is none, where one was expected."""

    def do_handshake(self) -> None:
        """As that of any ``SSLObject``."""
        entry = self.entry
        if entry is not None:
            if not entry.admits_tls():
                raise ssl.SSLWantReadError
            del self.entry
            if entry.header is not None or entry.fault is not None:
                self.header, self.fault = entry.header, entry.fault
        super().do_handshake()


class Certificate(ssl.SSLContext):
    """What connections get for their TLS: the context of the certificate as it was last read.

    The loop has taken one context for all connections to come; this one hands each to the newest. Connections that are
    open keep theirs.
    """

    def __new__(cls, *args: Any, **options: Any) -> Self:
        """Of the server's side; never used for itself."""
        return super().__new__(cls, ssl.PROTOCOL_TLS_SERVER)

    def __init__(self, tls: TlsSettings, explain: Explain, *, expects_header: bool = False) -> None:
        """Read it. Raises StartError."""
        self._tls = tls
        self._explain = explain
        self._expects_header = expects_header
        self._read = self._seen = self._fingerprints()
        self._current = _context(tls)

    def wrap_bio(self, incoming: ssl.MemoryBIO, outgoing: ssl.MemoryBIO, *args: Any, **options: Any) -> ssl.SSLObject:
        """The TLS of a new connection."""
        made = self._current.wrap_bio(incoming, outgoing, *args, **options)
        assert isinstance(made, TlsObject)
        made.entry = _Entry(incoming, outgoing, self._explain, expects_header=self._expects_header)
        return made

    def reload_if_changed(self) -> None:
        """Read the files anew if they have changed, and were the same when they were last looked at: call it often.

        Two files are not written at once; what does not fit together yet may do so a moment later.
        """
        seen, self._seen = self._seen, self._fingerprints()
        if seen == self._seen != self._read:
            self.reload()

    def reload(self) -> None:
        """Read the files anew if they have changed. If they cannot be used, what was read before stays in use."""
        fingerprints = self._fingerprints()
        if fingerprints == self._read:
            return
        self._read = fingerprints
        try:
            self._current = _context(self._tls)
        except StartError as error:
            log.error("the certificate has changed, but the one before stays in use: %s", error)
        else:
            log.warning("the certificate %s was read anew: it is used from now on", self._tls.certificate)

    def _fingerprints(self) -> list[tuple[int, ...]]:
        """By which changed files are known."""
        return [_fingerprint(file) for file in (self._tls.certificate, self._tls.key) if file is not None]


def check_certificate(tls: TlsSettings) -> None:
    """Raises StartError for files that cannot be used."""
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
