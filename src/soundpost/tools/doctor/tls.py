"""TLS connections, and the faults that prevent them."""

from __future__ import annotations

import re
import socket
import ssl
import time
from contextlib import suppress
from datetime import UTC, datetime
from typing import Any, Final

from soundpost.tools.doctor import timeouts
from soundpost.tools.doctor.base_url import BaseUrl
from soundpost.tools.doctor.faults.connection import PORT_OF_A_PROXY
from soundpost.tools.doctor.findings import FaultFound, one_line
from soundpost.tools.doctor.network import connect, look_up_addresses
from soundpost.wire.doctor_mark import DOCTOR

_NO_CHECK_TIME: Final = 0x200000  # X509_V_FLAG_NO_CHECK_TIME, for which ssl has no name
_NOT_YET_VALID, _EXPIRED = 9, 10
_SELF_SIGNED, _SELF_SIGNED_IN_CHAIN = 18, 19
_NO_ISSUER: Final = (2, 20, 21)
_WRONG_NAME: Final = (62, 64)
_SOON: Final = 14  # days
_PLAIN: Final = ("WRONG_VERSION_NUMBER", "HTTP_REQUEST", "RECORD_LAYER_FAILURE", "PACKET_LENGTH_TOO_LONG")
_OLD: Final = ("UNSUPPORTED_PROTOCOL", "PROTOCOL_VERSION", "VERSION_TOO_LOW")
_NGINX: Final = re.compile(rb"^Server: (nginx|openresty)", re.IGNORECASE | re.MULTILINE)
_LEAD: Final = re.compile(r"^\[[^\]]*\]\s*|\s*\(_ssl\.c:\d+\)$")


def start_tls(sock: socket.socket, base_url: BaseUrl, *, verify: bool) -> ssl.SSLSocket:
    """Start TLS over an open connection, as browsers do for a WebSocket. Raises FaultFound and closes the connection.

    Certificates are trusted as the system does; ``SSL_CERT_FILE`` names another file of authorities.
    """
    context = _context(verify=verify)
    try:
        return context.wrap_socket(sock, server_hostname=base_url.host)
    except (OSError, EOFError, ValueError) as error:
        sock.close()
        raise _refused(error, base_url) from None


def speaks_tls(base_url: BaseUrl) -> bool:
    """Return whether a TLS handshake succeeds, with any certificate."""
    with suppress(FaultFound, OSError, ValueError):
        sock = connect(base_url, look_up_addresses(base_url)).sock
        _context(verify=False).wrap_socket(sock, server_hostname=base_url.host).close()
        return True
    return False


def offers_only_h2(base_url: BaseUrl) -> bool:
    """Return whether a server chooses HTTP/2 if offered, and does not choose HTTP/1.1 (ALPN, RFC 7301)."""
    return _chosen(base_url, "http/1.1") != "http/1.1" and _chosen(base_url, "h2") == "h2"


def description(tls: ssl.SSLSocket) -> str:
    """Return the TLS version and the certificate's last day."""
    certificate = tls.getpeercert()
    until = f", certificate valid until {_date(certificate['notAfter'])}" if certificate else ""
    return f"{tls.version()}{until}"


def expiry_warning(tls: ssl.SSLSocket, base_url: BaseUrl) -> FaultFound | None:
    """Return a warning for a certificate that ends within 14 days, else None."""
    certificate = tls.getpeercert()
    if not certificate:
        return None
    end = str(certificate["notAfter"])
    days = int((ssl.cert_time_to_seconds(end) - time.time()) // 86_400)
    return (
        FaultFound("certificate-expires-soon", host=base_url.host, date=_date(end), days=days) if days < _SOON else None
    )


def _context(*, verify: bool, protocol: str = "http/1.1") -> ssl.SSLContext:
    context = ssl.create_default_context()
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.set_alpn_protocols([protocol, DOCTOR])  # no server chooses the second one
    if not verify:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    return context


def _chosen(base_url: BaseUrl, protocol: str) -> str | None:
    with suppress(FaultFound, OSError, ValueError):
        sock = connect(base_url, look_up_addresses(base_url)).sock
        with _context(verify=False, protocol=protocol).wrap_socket(sock, server_hostname=base_url.host) as tls:
            return tls.selected_alpn_protocol()
    return None


def _refused(error: Exception, base_url: BaseUrl) -> FaultFound:
    where: dict[str, Any] = {"host": base_url.host, "port": base_url.port}
    if isinstance(error, ssl.SSLCertVerificationError):
        return _certificate_fault(error, base_url)
    if isinstance(error, TimeoutError):
        return FaultFound("tls-timeout", **where, seconds=f"{timeouts.CONNECT:g}")
    reason = getattr(error, "reason", None) or ""
    if any(sign in reason for sign in _PLAIN):
        return _plain_fault(base_url)
    if "UNRECOGNIZED_NAME" in reason:
        return FaultFound("tls-name-unknown", **where)
    if any(sign in reason for sign in _OLD):
        return FaultFound("tls-too-old", **where)
    if "NO_APPLICATION_PROTOCOL" in reason or (isinstance(error, ssl.SSLError) and offers_only_h2(base_url)):
        return FaultFound("http2-only", **where)
    if isinstance(error, EOFError | ConnectionResetError | ssl.SSLEOFError | ssl.SSLZeroReturnError | BrokenPipeError):
        plain = _plain_fault(base_url)
        if plain.code == "port-speaks-http":
            return plain
        return FaultFound("tls-handshake-failed", **where, reason="the connection was closed during the handshake")
    return FaultFound("tls-handshake-failed", **where, reason=one_line(_LEAD.sub("", str(error))))


def _plain_fault(base_url: BaseUrl) -> FaultFound:
    """Return the fault of a port that does not speak TLS, by the protocol that it speaks."""
    received = b""
    with suppress(FaultFound, OSError):
        sock = connect(base_url, look_up_addresses(base_url)).sock
        with sock:
            lines = ("GET / HTTP/1.1", f"Host: {base_url.authority}", f"User-Agent: {DOCTOR}", "Connection: close")
            sock.sendall("\r\n".join([*lines, "", ""]).encode())
            received = sock.recv(1000)
    if received.startswith(b"HTTP/"):
        is_proxy = base_url.port == 443 or _NGINX.search(received) is not None
        situation = PORT_OF_A_PROXY if is_proxy else ""
        return FaultFound("port-speaks-http", situation, host=base_url.host, port=base_url.port)
    return FaultFound(
        "port-not-http",
        host=base_url.host,
        port=base_url.port,
        shown=repr(one_line(received)) if received else "nothing",
    )


def _certificate_fault(error: ssl.SSLCertVerificationError, base_url: BaseUrl) -> FaultFound:
    certificate = _certificate(base_url)
    code, host = error.verify_code, base_url.host
    if code == _EXPIRED:
        return FaultFound("certificate-expired", host=host, date=_date(certificate.get("notAfter")))
    if code == _NOT_YET_VALID:
        return FaultFound("certificate-not-yet-valid", host=host, date=_date(certificate.get("notBefore")))
    if code in _WRONG_NAME or "ostname mismatch" in str(error) or "IP address mismatch" in str(error):
        names = ", ".join(str(value) for _, value in certificate.get("subjectAltName", ())) or "no name at all"
        return FaultFound("certificate-name-mismatch", host=host, names=one_line(names))
    if code == _SELF_SIGNED:
        return FaultFound("certificate-self-signed", host=host)
    if code in _NO_ISSUER and _is_well_known(certificate):
        return FaultFound("certificate-chain-incomplete", host=host)
    if code in (_SELF_SIGNED_IN_CHAIN, *_NO_ISSUER):
        return FaultFound("certificate-untrusted", host=host, issuer=_issuer(certificate))
    return FaultFound("tls-handshake-failed", host=host, port=base_url.port, reason=error.verify_message)


def _certificate(base_url: BaseUrl) -> dict[str, Any]:
    """Return the content of the server's certificate, trusted or not; empty if unavailable.

    ssl gives the content of trusted certificates only: fetch the certificate without trust, then trust it itself.
    """
    try:
        sock = connect(base_url, look_up_addresses(base_url)).sock
        with _context(verify=False).wrap_socket(sock, server_hostname=base_url.host) as tls:
            der = tls.getpeercert(binary_form=True)
        context = _context(verify=False)
        context.verify_mode = ssl.CERT_REQUIRED
        context.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN | _NO_CHECK_TIME
        context.load_verify_locations(cadata=der or b"")
        sock = connect(base_url, look_up_addresses(base_url)).sock
        with context.wrap_socket(sock, server_hostname=base_url.host) as tls:
            return tls.getpeercert() or {}
    except (FaultFound, OSError, ValueError):
        return {}


def _is_well_known(certificate: dict[str, Any]) -> bool:
    """Return whether a certificate names its issuer's certificate, as those of public authorities do."""
    return bool(certificate.get("caIssuers"))


def _issuer(certificate: dict[str, Any]) -> str:
    parts = dict(pair for group in certificate.get("issuer", ()) for pair in group)
    return repr(one_line(str(parts.get("organizationName") or parts.get("commonName") or "an unknown authority")))


def _date(text: object) -> str:
    if not text:
        return "an unknown date"
    return datetime.fromtimestamp(ssl.cert_time_to_seconds(str(text)), UTC).date().isoformat()
