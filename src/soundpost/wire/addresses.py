"""Checks of hosts, ports, paths and URLs in settings."""

from __future__ import annotations

import re
from ipaddress import IPv4Address, IPv6Address, ip_address
from typing import Any, Final, NamedTuple
from urllib.parse import SplitResult, urlsplit

from soundpost.redaction import redacted, redacted_url

_PATH: Final = re.compile(r"/?([-A-Za-z0-9._~]+(/[-A-Za-z0-9._~]+)*/?)?", re.ASCII)
_NAME: Final = re.compile(r"[^\s\x00-\x1f\x7f/?#@\\\[\]:%<>\"'{}|^`,;=&*()$!]+")
_FOUR_NUMBERS: Final = re.compile(r"([0-9]+\.){3}[0-9]+", re.ASCII)
_IDENTIFIER: Final = re.compile(r"[-A-Za-z0-9._~!$'()*,;=@]+", re.ASCII)

USUAL_PORTS: Final = {"http": 80, "https": 443}
"""Ports of URLs that name none, by their schemes."""
UNSPECIFIED: Final = {"0.0.0.0": "127.0.0.1", "": "127.0.0.1", "::": "::1"}
"""Addresses on which a server listens to all networks, each with the one by which its own machine reaches it."""


class AddressError(ValueError):
    """A text is not a host, port, path or URL; the message names the way out, and no secret."""


def host_of(text: Any) -> str:
    """Return a host's name or address, an IPv6 address without brackets. Raise AddressError for any other text."""
    if not isinstance(text, str):
        raise AddressError(f"{redacted(text)}: a text such as '127.0.0.1' is expected")
    if "@" in text:  # a password may stand in front
        raise AddressError("the host has an '@' in it: leave out user name and password")
    bare = text[1:-1] if text.startswith("[") and text.endswith("]") else text
    if bare.count(":") > 1 or bare is not text:
        try:
            IPv6Address(bare)
        except ValueError:
            host, _, port = text.rpartition(":")
            if host.startswith("[") and host.endswith("]"):
                raise AddressError(f"{redacted(text)}: write {host!r}, and {port!r} as the port") from None
            raise AddressError(f"{redacted(text)} is neither a host name nor an IPv6 address such as '::1'") from None
        return bare
    host, colon, port = text.partition(":")
    if colon and "/" not in text:
        raise AddressError(f"{redacted(text)}: write {host!r}, and {port!r} as the port")
    if not _NAME.fullmatch(text):
        raise AddressError(f"{redacted(text)}: a host name or address, without scheme, port or path")
    if _FOUR_NUMBERS.fullmatch(text):
        try:
            IPv4Address(text)
        except ValueError:
            raise AddressError(
                f"{redacted(text)} is not an IPv4 address: its four numbers go from 0 to 255, without leading zeros"
            ) from None
    try:
        text.encode("idna")
    except UnicodeError:
        raise AddressError(f"{redacted(text)}: a part of a name has 1 to 63 characters") from None
    return text


def is_loopback_host(host: str) -> bool:
    """Return whether a host is the machine itself: ``localhost``, ``127.0.0.1``, ``::1``, ``::ffff:127.0.0.1``."""
    try:
        address = ip_address(host.partition("%")[0])
    except ValueError:
        name = host.lower()
        return name == "localhost" or name.endswith(".localhost")
    mapped = address.ipv4_mapped if isinstance(address, IPv6Address) else None
    return (mapped or address).is_loopback


def is_loopback_url(url: str) -> bool:
    """Return whether a URL leads every machine to itself, where no proxy of the environment has a place."""
    try:
        return is_loopback_host(urlsplit(url).hostname or "")
    except ValueError:
        return False


def port_of(value: Any) -> int:
    """Return a port from 1 to 65535. Raise AddressError for any other value."""
    number = 0
    if isinstance(value, int) and not isinstance(value, bool):
        number = value
    elif isinstance(value, str) and value.isascii() and value.strip().isdigit() and len(value) < 20:
        number = int(value)
    if not 0 < number < 65536:
        raise AddressError(f"{redacted(value)} is not a port: a number from 1 to 65535 is expected")
    return number


def path_of(text: Any) -> str:
    """Return a path prefix with a leading and no trailing slash; empty for ``/``. Raise AddressError for no path."""
    if not isinstance(text, str) or not _PATH.fullmatch(text):
        raise AddressError(f"{redacted(text)} is not a path: one such as /ws is expected")
    path = text.strip("/")
    if any(part in (".", "..") for part in path.split("/")):
        raise AddressError(f"{redacted(text)} is not a path that stays as it is: leave out '.' and '..'")
    return f"/{path}" if path else ""


def split_url(url: str) -> SplitResult:
    """Return the parts of a URL with a valid host and port. Raise AddressError, which does not show the URL."""
    try:
        parts = urlsplit(url.strip())
        port = parts.port
    except ValueError:
        raise AddressError("its host or port is not valid: a port is a number from 1 to 65535") from None
    if any(character.isspace() or not character.isprintable() for character in url.strip()):
        raise AddressError("it has white space in it")
    authority = parts.netloc.rpartition("@")[2]
    if port == 0 or authority.endswith(":"):
        raise AddressError("its host or port is not valid: a port is a number from 1 to 65535")
    host_of(parts.hostname or "")
    return parts


class PublicUrl(NamedTuple):
    """The parts of the address at which browsers connect; ``path`` is None for a URL that says none."""

    scheme: str
    host: str
    port: int
    path: str | None

    @property
    def url(self) -> str:
        """The URL, without the scheme's usual port."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        port = "" if self.port == USUAL_PORTS[self.scheme] else f":{self.port}"
        return f"{self.scheme}://{host}{port}{self.path or ''}"


def parse_public_url(text: Any) -> PublicUrl:
    """Return the parts of a URL such as ``https://ws.example.com:8443/path``; ``wss`` means https, ``ws`` http.

    Raises AddressError for anything that browsers cannot connect to.
    """
    if not isinstance(text, str):
        raise AddressError(f"{redacted(text)}: an address such as 'https://ws.example.com' is expected")
    try:
        if "://" not in text:
            raise AddressError("an address such as 'https://ws.example.com' is expected")
        parts = split_url(text)
        scheme = {"ws": "http", "wss": "https"}.get(parts.scheme, parts.scheme)
        if "@" in parts.netloc:
            raise AddressError("browsers are told this address: leave out user name and password")
        if scheme not in ("http", "https"):
            raise AddressError("an address such as 'https://ws.example.com' is expected")
        if parts.query or parts.fragment or text.rstrip().endswith(("?", "#")):
            raise AddressError("leave out what follows the path")
        host = host_of(parts.hostname or "")
        if host in UNSPECIFIED:
            raise AddressError("a server listens there, and no browser can connect to it: write the name of your site")
        return PublicUrl(scheme, host, parts.port or USUAL_PORTS[scheme], path_of(parts.path) or None)
    except AddressError as error:
        raise AddressError(f"{redacted_url(text)!r}: {error}") from None


def check_endpoint_url(text: str) -> None:
    """Raise AddressError for anything but an ``http://`` or ``https://`` address of an endpoint."""
    example = "an address such as 'https://example.com/webhooks' is expected"
    try:
        if "://" not in text:
            raise AddressError(example)
        parts = split_url(text)
        if parts.scheme not in ("http", "https"):
            raise AddressError(example)
        if "@" in parts.netloc:
            raise AddressError("leave out user name and password: headers can have an 'Authorization'")
        if parts.hostname in UNSPECIFIED:
            raise AddressError(f"a server listens there, and nobody can connect to it: write {UNSPECIFIED['']}")
        if "#" in text:
            raise AddressError("leave out what follows the '#', which is not sent")
        if text != text.strip() or not text.isascii():
            raise AddressError("it has blanks around it, or characters that are not ASCII: write them as %XX")
    except AddressError as error:
        raise AddressError(f"{redacted_url(text)!r}: {error}") from None


def reachable_host(host: str) -> str:
    """Return the host by which programs of the same machine reach a server that listens on ``host``."""
    return UNSPECIFIED.get(host, host)


def certificate_host(hostname: str | None, public_url: Any, port: int) -> str | None:
    """Return the name that the certificate of a server on ``port`` is for; None if nothing says the name.

    The name is ``hostname``, or that of ``public_url`` if browsers connect to the server's own port. Raises
    AddressError for a ``public_url`` that is not such a URL.
    """
    if hostname or not public_url:
        return hostname or None
    public = parse_public_url(public_url)
    return public.host if public.port == port else None


def identifier_fault(text: str) -> str | None:
    """Return the fault of an app's id or key, which stands unescaped in paths and queries; None for a valid one."""
    wrong = "".join(sorted({character for character in text if not _IDENTIFIER.fullmatch(character)}))
    if wrong:
        return (
            f"{wrong!r} cannot stand in an address: letters, digits and -._~ can. Choose another ('soundpost init' "
            "makes fresh ones), and tell it to backend and browsers"
        )
    if text in (".", ".."):
        return "browsers leave out a part of a path that is '.' or '..': choose another"
    return None
