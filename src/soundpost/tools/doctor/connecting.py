"""The steps to an open connection, which browser and backend share: DNS, TCP, TLS."""

from __future__ import annotations

import socket

from soundpost.tools.doctor.base_url import Place
from soundpost.tools.doctor.examination import Walk
from soundpost.tools.doctor.findings import Found
from soundpost.tools.doctor.network import connect, is_private, look_up
from soundpost.tools.doctor.tls import described, expiry_warning, secure


def reach(walk: Walk, place: Place, *, verify: bool) -> socket.socket:
    """Take the steps; the walk ends at the first that fails."""
    with walk.step("DNS") as step:
        addresses = look_up(place)
        shown = ", ".join(str(address) for address in addresses)
        inner = all(is_private(address) for address in addresses) and not place.is_loopback
        note = " (reachable from inside this network only)" if inner else ""
        step.message = f"{place.host} is {shown}{note}" if shown != place.host else f"{shown} is an address{note}"
    with walk.step("TCP") as step:
        reached = connect(place, addresses)
        step.message = f"port {place.port} is open ({reached.seconds * 1000:.0f} ms)"
        if not place.is_loopback:
            step.others += [
                Found("address-unreachable", host=place.host, address=address, reason=reason)
                for address, reason in reached.dead
            ]
    if not place.is_tls:
        walk.skip("TLS", "not asked for (http)")
        return reached.sock
    with walk.step("TLS") as step:
        tls = secure(reached.sock, place, verify=verify)
        step.message = described(tls) if verify else f"{tls.version()}; the certificate was not looked at (--insecure)"
        soon = expiry_warning(tls, place)
        step.others += [] if soon is None else [soon]
    return tls
