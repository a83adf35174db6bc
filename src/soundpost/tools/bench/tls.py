"""TLS towards the server."""

from __future__ import annotations

import ssl

from soundpost.tools.bench.messages import Endpoint


def tls_context(endpoint: Endpoint) -> ssl.SSLContext | None:
    """Return the TLS context for an https URL; None for http."""
    if not endpoint.base_url.startswith("https:"):
        return None
    context = ssl.create_default_context()
    if not endpoint.verify:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    return context
