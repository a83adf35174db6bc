"""Endpoint of a load test: the server's URL and the IP address to connect to."""

from __future__ import annotations

import sys

from soundpost.tools.bench.capacity import check_capacity
from soundpost.tools.bench.loopback import addresses_of, port_of, reachable
from soundpost.tools.bench.messages import Endpoint
from soundpost.tools.bench.scenario import BenchSettings
from soundpost.wire.addresses import is_loopback_host


def endpoint_of(
    base_url: str, app_id: str, key: str, secret: str, settings: BenchSettings, open_files: int, *, verify: bool
) -> Endpoint:
    """Return the endpoint, with an address that accepts connections; ``open_files`` is the limit of a process.

    Raises RequestError if nothing listens there, ConfigurationError for more connections than this machine can open.
    """
    base_url = base_url.rstrip("/")
    address = reachable(base_url, addresses_of(base_url))
    # Linux takes all of 127.0.0.0/8 for its own; macOS 127.0.0.1 alone, and IPv6 has one address.
    spread = sys.platform == "linux" and ":" not in address and is_loopback_host(address)
    check_capacity(settings, open_files, spread=spread)
    return Endpoint(
        base_url=base_url,
        address=address,
        port=port_of(base_url),
        verify=verify,
        app_id=app_id,
        key=key,
        secret=secret,
        spread=spread,
    )
