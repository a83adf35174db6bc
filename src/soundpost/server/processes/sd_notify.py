"""Notifications to systemd: readiness, keep-alive, stop (``Type=notify``, ``WatchdogSec=``).

Source: https://www.freedesktop.org/software/systemd/man/latest/sd_notify.html
"""

from __future__ import annotations

import os
import socket
import time
from contextlib import suppress


def notify(text: str) -> None:
    """Send a notification to the service manager, if one listens. Never raises."""
    address = os.environ.get("NOTIFY_SOCKET", "")
    if not address.startswith(("/", "@")):
        return
    if address.startswith("@"):
        address = f"\0{address[1:]}"
    with suppress(OSError), socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sock:
        sock.sendto(text.encode(), address)


def notify_reloading() -> None:
    """Notify that a restart begins; READY=1 must follow."""
    notify(f"RELOADING=1\nMONOTONIC_USEC={time.clock_gettime_ns(time.CLOCK_MONOTONIC) // 1000}")


def watchdog_interval() -> float | None:
    """Return the seconds between keep-alives, half of ``WatchdogSec=``; None if the service manager expects none."""
    with suppress(ValueError):
        if os.environ.get("WATCHDOG_PID", str(os.getpid())) == str(os.getpid()):
            return int(os.environ["WATCHDOG_USEC"]) / 2_000_000 if "WATCHDOG_USEC" in os.environ else None
    return None
