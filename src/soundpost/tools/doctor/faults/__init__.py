"""Table of all faults by their stable ids."""

from __future__ import annotations

from typing import Final

from soundpost.tools.doctor.faults import connection, history, machine, proxy, server, settings, webhooks
from soundpost.tools.doctor.faults.fault import Fault

__all__ = ["FAULTS", "SECTIONS", "Fault"]

SECTIONS: Final[dict[str, tuple[Fault, ...]]] = {
    "On the way to the server": connection.FAULTS,
    "Nginx, or whatever stands in front": proxy.FAULTS,
    "The server and its API": server.FAULTS,
    "This machine": machine.FAULTS,
    "Channels that keep events": history.FAULTS,
    "Endpoints of webhooks": webhooks.FAULTS,
    "Settings in .env files": settings.FAULTS,
}
"""Faults in the order of their discovery, under headings for people."""

FAULTS: Final[dict[str, Fault]] = {fault.code: fault for section in SECTIONS.values() for fault in section}
"""All faults by id."""
