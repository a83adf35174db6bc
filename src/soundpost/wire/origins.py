"""Origins of pages, and the forms in which a setting allows them.

| form | allowed pages |
|---|---|
| ``*`` | all pages, also those without an origin of their own (``null``) |
| ``example.com`` | pages of this host, any scheme and port |
| ``example.com:8443`` | the same with this port only |
| ``*.example.com`` | pages of its subdomains at any depth, not of itself |
| ``app-*.example.com`` | a ``*`` inside the first label stands for any characters but a dot |
| ``https://example.com`` | this scheme, host and port: without one, the scheme's own |
| ``https://example.com:*`` | this scheme and host, any port |
| ``[::1]``, ``http://[::1]:5173`` | IPv6 addresses; ``::1`` where no port follows |

Case does not matter. Source: https://www.rfc-editor.org/rfc/rfc6454 and https://url.spec.whatwg.org/#concept-url-origin
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable
from functools import lru_cache
from ipaddress import IPv4Address, IPv6Address
from typing import Final, NamedTuple

from soundpost.wire.addresses import USUAL_PORTS, is_loopback_host

_ORIGIN: Final = re.compile(
    r"([a-z][a-z0-9+.-]*)://(\[[0-9a-f:.]+\]|[^\s/:@?#\\\[\],]+)(?::([1-9][0-9]{0,4}))?", re.ASCII
)
_SCHEME: Final = re.compile(r"[a-z][a-z0-9+.-]*", re.ASCII)
_LABEL: Final = re.compile(r"[a-z0-9_]([a-z0-9_-]*[a-z0-9_])?", re.ASCII)
_WILD_LABEL: Final = re.compile(r"[a-z0-9_*-]+", re.ASCII)
_PORT: Final = re.compile(r"[1-9][0-9]{0,4}", re.ASCII)
_FILE: Final = "file://"
_ANY: Final = -1


class Origin(NamedTuple):
    """Scheme, host and port of a page, in lower case; ``port`` is the scheme's own where none is written."""

    scheme: str
    host: str
    port: int | None


class OriginError(ValueError):
    """A form of an origin that no page's origin can match; the message names the way out."""


def origin_of(text: str) -> Origin | None:
    """Return the origin in an ``Origin`` header; None for ``null``, a path, user info, or several origins."""
    match = _ORIGIN.fullmatch(text.lower())
    if match is None:
        return Origin("file", "", None) if text.lower() == _FILE else None
    scheme, host, port = match.groups()
    if host[0] == "[":
        address = _ipv6(host[1:-1])
        if address is None:
            return None
        host = address
    if port is not None and int(port) > 65535:
        return None
    return Origin(scheme, host, USUAL_PORTS.get(scheme) if port is None else int(port))


def is_of_host(origin: str, host: str) -> bool:
    """Return whether the page with this ``Origin`` header is of the site that a ``Host`` header names."""
    page = origin_of(origin)
    return page is not None and page.host != "" and origin_of(f"{page.scheme}://{host}") == page


def _is_address(host: str) -> bool:
    """Return whether the host of an origin is an IP address, which no name server can point elsewhere."""
    if host.startswith("["):
        return True
    try:
        IPv4Address(host)
    except ValueError:
        return False
    return True


def needs_no_name_server(host: str) -> bool:
    """Return whether the host of an origin is an IP address or ``localhost``: no name server can point it elsewhere.

    A page that is served under such hosts only is safe from DNS rebinding.
    """
    return _is_address(host) or is_loopback_host(host)


class Origins:
    """The origins that a setting allows."""

    def __init__(self, forms: Iterable[str]) -> None:
        """Raise OriginError for a form that no page's origin can match."""
        patterns = [_pattern(form) for form in forms]
        self.any = None in patterns
        """True if all pages are allowed."""
        self._patterns = [pattern for pattern in patterns if pattern is not None]

    def match(self, origin: str) -> bool:
        """Return whether the page with this ``Origin`` header is allowed."""
        if self.any:
            return True
        page = origin_of(origin)
        return page is not None and any(pattern.matches(page) for pattern in self._patterns)


@lru_cache(maxsize=256)
def origins(forms: tuple[str, ...]) -> Origins:
    """Return the origins of some forms, made once and cached. Raise OriginError as :class:`Origins` does."""
    return Origins(forms)


def check_origins(given: Iterable[str]) -> tuple[str, ...]:
    """Return origins, as ``allowed_origins`` has them, as a tuple.

    Raise OriginError for anything but a list of texts, and for an origin that can never match.
    """
    if isinstance(given, str):
        raise OriginError(f"{given!r} is one text where a list is meant: write [{given!r}]")
    forms = tuple(given)
    for form in forms:
        if not isinstance(form, str):
            raise OriginError(f"{form!r} is not text: write a host such as 'example.com'")
        _pattern(form)
    return forms


class _Pattern(NamedTuple):
    scheme: str | None
    host: re.Pattern[str]
    port: int | None

    def matches(self, page: Origin) -> bool:
        return (
            (self.port == _ANY or self.port == page.port)
            and (self.scheme is None or self.scheme == page.scheme)
            and self.host.fullmatch(page.host) is not None
        )


def _pattern(form: str) -> _Pattern | None:
    """Return the pattern of a form; None for ``*``. Raise OriginError."""
    if form == "*":
        return None
    _check_characters(form)
    text = form.lower()
    if text == _FILE:
        return _Pattern("file", re.compile(""), None)
    scheme, found, rest = text.rpartition("://")
    if found:
        _check_scheme(form, scheme)
    rest = rest.removesuffix("/")
    host, port = _split(form, rest, bare=not found)
    if port is None:
        number = USUAL_PORTS.get(scheme) if found else _ANY
    elif port == "*":
        number = _ANY
    elif _PORT.fullmatch(port) and int(port) <= 65535:
        number = int(port)
    else:
        raise OriginError(f"{form!r}: {port!r} is not a port: a number from 1 to 65535 is expected, or * for any")
    return _Pattern(scheme if found else None, _host(form, host), number)


def _check_characters(form: str) -> None:
    if not form.strip():
        raise OriginError(f"{form!r} is empty: write a host such as 'example.com', or '*' for everybody")
    if form.strip().lower() in ("null", "(null)"):
        raise OriginError(
            f"{form!r}: any site can make a page whose origin is null: write '*' to let everybody in, or leave it out"
        )
    if '"' in form or "'" in form:
        raise OriginError(f"{form!r} would never match: leave out the quotes around a name; brackets are for IPv6 only")
    if "," in form:
        raise OriginError(f"{form!r} has several origins: write one entry for each")
    if any(character.isspace() or not character.isprintable() for character in form):
        raise OriginError(f"{form!r} has white space or a control character in it, which no origin has: remove it")


def _check_scheme(form: str, scheme: str) -> None:
    if not _SCHEME.fullmatch(scheme):
        raise OriginError(f"{form!r} has no scheme before '://': write 'https://', or the host alone")
    if scheme in ("ws", "wss"):
        page = "http" if scheme == "ws" else "https"
        raise OriginError(
            f"{form!r} would never match: a page's origin is {page}://, its WebSocket {scheme}://: "
            f"write '{page}{form[len(scheme) :]}'"
        )


def _split(form: str, rest: str, *, bare: bool) -> tuple[str, str | None]:
    """Return host and port of a form; an IPv6 host has brackets."""
    host = rest
    for mark in "/?#\\":
        host = host.partition(mark)[0]
    if host != rest:
        raise OriginError(f"{form!r} would never match: an origin has no path: end it after {host or 'the host'!r}")
    if "@" in host:
        raise OriginError(f"{form!r} would never match: an origin has no user name: leave out what is before the @")
    if host.startswith("["):
        address, closed, after = host.partition("]")
        if not closed or (after and after[0] != ":"):
            raise OriginError(f"{form!r}: an IPv6 address stands in brackets, its port behind them: '[::1]:5173'")
        return address + "]", after[1:] if after else None
    if host.count(":") > 1:
        if not bare:
            raise OriginError(f"{form!r}: an IPv6 address in an origin stands in brackets: 'http://[::1]:5173'")
        return f"[{host}]", None
    name, colon, port = host.partition(":")
    return name, port if colon else None


def _host(form: str, host: str) -> re.Pattern[str]:
    if host.startswith("["):
        address = _ipv6(host[1:-1])
        if address is None:
            raise OriginError(f"{form!r}: {host[1:-1]!r} is not an IPv6 address")
        return re.compile(re.escape(address))
    if host == "*":
        return re.compile(".+")
    if not host:
        raise OriginError(f"{form!r} names no host: write 'example.com', or '*' for everybody")
    if not host.isascii():
        sent = name_as_sent(host)
        raise OriginError(f"{form!r} would never match: browsers send such a name as {sent!r}: write that")
    labels = host.split(".")
    if not labels[0]:
        name = host.lstrip(".")
        raise OriginError(f"{form!r} would never match: write '*.{name}' for subdomains, {name!r} for itself")
    if not labels[-1]:
        raise OriginError(f"{form!r} ends with a dot: write it without")
    for label in labels[1:] if "*" in labels[0] else labels:
        if "*" in label:
            raise OriginError(f"{form!r}: a * stands in the first label only, as in '*.example.com'")
        if not _LABEL.fullmatch(label):
            raise OriginError(f"{form!r} would never match: {label!r} is not part of a host name (example.com)")
    if labels[-1].isdigit() or re.fullmatch(r"0x[0-9a-f]*", labels[-1]):
        _check_ipv4(form, host)
    return re.compile(_first_label(form, labels) + "".join(re.escape(f".{label}") for label in labels[1:]))


def _first_label(form: str, labels: list[str]) -> str:
    first = labels[0]
    if "*" not in first:
        return re.escape(first)
    if first == "*":
        return r".+"
    if not _WILD_LABEL.fullmatch(first) or "**" in first:
        raise OriginError(f"{form!r} would never match: {first!r} is not part of a host name (example.com)")
    if len(labels) < 3:
        raise OriginError(
            f"{form!r} would let in names that anybody can register: write the name itself, and '*.' before it for its "
            "subdomains"
        )
    return r"[^.]*".join(map(re.escape, first.split("*")))


def _check_ipv4(form: str, host: str) -> None:
    try:
        IPv4Address(host)
    except ValueError:
        raise OriginError(
            f"{form!r} would never match: {host!r} is not an IPv4 address, which has no wildcards"
        ) from None


def _ipv6(text: str) -> str | None:
    """Return an IPv6 address in the form that is compared; None for any other text. An origin has no zone."""
    try:
        return None if "%" in text else f"[{int(IPv6Address(text)):x}]"
    except ValueError:
        return None


def name_as_sent(host: str) -> str:
    """Return a host name as browsers send it: ``xn--bcher-kva.example`` for ``bücher.example``."""
    labels = unicodedata.normalize("NFKC", host).lower().split(".")
    return ".".join(each if each.isascii() else f"xn--{each.encode('punycode').decode()}" for each in labels)
