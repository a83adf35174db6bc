"""Steps to an open connection that browser and backend share: DNS, TCP, TLS."""

from __future__ import annotations

import socket

from soundpost.tools.doctor.base_url import BaseUrl
from soundpost.tools.doctor.examination import Check
from soundpost.tools.doctor.findings import FaultFound
from soundpost.tools.doctor.network import connect, is_private, look_up_addresses
from soundpost.tools.doctor.plan import CheckPlan
from soundpost.tools.doctor.renewed_certificate import with_renewed_file
from soundpost.tools.doctor.tls import description, expiry_warning, start_tls


def open_in_steps(check: Check, base_url: BaseUrl, plan: CheckPlan) -> socket.socket:
    """Take the steps DNS, TCP and TLS, and return the open socket. The check ends at the first fault."""
    with check.step("DNS") as step:
        addresses = look_up_addresses(base_url)
        shown = ", ".join(str(address) for address in addresses)
        inner = all(is_private(address) for address in addresses) and not base_url.is_loopback
        note = " (reachable from inside this network only)" if inner else ""
        step.message = f"{base_url.host} is {shown}{note}" if shown != base_url.host else f"{shown} is an address{note}"
    with check.step("TCP") as step:
        opened = connect(base_url, addresses)
        step.message = f"port {base_url.port} is open ({opened.seconds * 1000:.0f} ms)"
        if not base_url.is_loopback:
            step.also_found += [
                FaultFound("address-unreachable", host=base_url.host, address=address, reason=reason)
                for address, reason in opened.failed
            ]
    if not base_url.is_tls:
        check.skip("TLS", "not asked for (http)")
        return opened.sock
    with check.step("TLS") as step:
        tls = start_tls(opened.sock, base_url, verify=plan.verify)
        step.message = (
            description(tls) if plan.verify else f"{tls.version()}; the certificate was not looked at (--insecure)"
        )
        soon = expiry_warning(tls, base_url)
        step.also_found += [] if soon is None else [with_renewed_file(soon, plan, base_url)]
    return tls
