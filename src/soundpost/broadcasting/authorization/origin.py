"""Check of the origin of an auth request, in place of a CSRF token, which Echo sends in a header unknown to Django.

An auth endpoint answers with a signature for one socket, of no use to another site; the check keeps others from asking.
"""

from __future__ import annotations

from collections.abc import Iterable

from soundpost.wire.origins import is_of_host, origins


def cross_site_fault(
    *, origin: str | None, fetch_site: str | None, host: str, authorization: str | None, trusted: Iterable[str]
) -> str | None:
    """Return why a request of another site is refused; None for an allowed request.

    - ``origin``, ``fetch_site``, ``authorization``: the headers ``Origin``, ``Sec-Fetch-Site`` and ``Authorization``.
    - ``host``: the site's own host and port.
    - ``trusted``: the origins of other sites that may ask.

    A request with a token of its own needs no cookie, and is allowed from everywhere; so is a request of no browser.
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
