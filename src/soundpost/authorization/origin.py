"""Whether a page of this site asks: in place of a CSRF token, whose header Echo names otherwise than Django.

What an auth endpoint answers is a signature for one socket, of no use to another site; this keeps others from asking.
"""

from __future__ import annotations

from collections.abc import Iterable
from fnmatch import fnmatchcase
from urllib.parse import urlsplit


def cross_site_fault(
    *, origin: str | None, fetch_site: str | None, host: str, authorization: str | None, trusted: Iterable[str]
) -> str | None:
    """Why a request is refused as another site's; None for one that is welcome.

    ``origin``, ``fetch_site`` and ``authorization`` are the headers ``Origin``, ``Sec-Fetch-Site`` and
    ``Authorization``, ``host`` is the site's own host and port. Whoever sends a token of its own needs no cookie, and
    is welcome from everywhere; so is what is no browser.
    """
    if authorization or fetch_site in ("same-origin", "none"):
        return None
    if origin is None:
        return None if fetch_site is None else f"a page of another site asks (Sec-Fetch-Site: {fetch_site})"
    if _is_host(origin, host) or any(_matches(origin, pattern) for pattern in trusted):
        return None
    return f"a page of {origin} asks, which is neither this site ({host}) nor one of trusted_origins"


def _is_host(origin: str, host: str) -> bool:
    scheme, own = _scheme_and_host(origin)
    usual = {"http": ":80", "https": ":443"}.get(scheme, "")
    return own != "" and own.removesuffix(usual) == host.lower().removesuffix(usual)


def _matches(origin: str, pattern: str) -> bool:
    pattern = pattern.lower().rstrip("/")
    if "://" not in pattern:
        return fnmatchcase(_scheme_and_host(origin)[1], pattern)
    return fnmatchcase(origin.lower(), pattern)


def _scheme_and_host(origin: str) -> tuple[str, str]:
    """Both empty for what is no URL: ``null`` is what a sandboxed page sends."""
    try:
        parts = urlsplit(origin.lower())
    except ValueError:
        return "", ""
    return parts.scheme, parts.netloc
