"""Whether a page of this site asks: in place of a CSRF token, whose header Echo names otherwise than Django.

What an auth endpoint answers is a signature for one socket, of no use to another site; this keeps others from asking.
"""

from __future__ import annotations

from collections.abc import Iterable

from soundpost.wire.origins import is_of_host, origins


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
    trusted = tuple(trusted)
    if is_of_host(origin, host) or origins(trusted).match(origin):
        return None
    listed = ", ".join(trusted) or "there are none"
    return (
        f"a page of {origin:.100} asks, which is neither this site ({host}) nor one of trusted_origins ({listed:.500})"
    )
