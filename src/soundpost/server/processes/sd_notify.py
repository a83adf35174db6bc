"""What is told to systemd: readiness, signs of life, the end (``Type=notify``, ``WatchdogSec=``).

Source: https://www.freedesktop.org/software/systemd/man/latest/sd_notify.html
"""

from __future__ import annotations

import os
import socket
import time
from contextlib import suppress


def notify(text: str) -> None:
    """Tell the service manager, if there is one that listens; never raises."""
    address = os.environ.get("NOTIFY_SOCKET", "")
    if not address.startswith(("/", "@")):
        return
    if address.startswith("@"):
        address = f"\0{address[1:]}"
    with suppress(OSError), socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sock:
        sock.sendto(text.encode(), address)


def notify_reloading() -> None:
    """A restart begins; READY=1 is to follow."""
    notify(f"RELOADING=1\nMONOTONIC_USEC={time.clock_gettime_ns(time.CLOCK_MONOTONIC) // 1000}")


def watchdog_interval() -> float | None:
    """Seconds between signs of life, half of what the service manager waits for; None if it waits for none."""
    with suppress(ValueError):
        if os.environ.get("WATCHDOG_PID", str(os.getpid())) == str(os.getpid()):
            return int(os.environ["WATCHDOG_USEC"]) / 2_000_000 if "WATCHDOG_USEC" in os.environ else None
    return None
