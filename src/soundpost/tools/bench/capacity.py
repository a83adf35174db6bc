"""Connections that this machine can hold: open files and ports."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Final

from soundpost.errors import ConfigurationError
from soundpost.tools.bench.receivers import LOOPBACK_ADDRESSES
from soundpost.tools.bench.scenario import BenchSettings

_OTHER_FILES: Final = 32
"""Open files of a process besides its connections."""
_PORT_RANGE: Final = Path("/proc/sys/net/ipv4/ip_local_port_range")
_DYNAMIC_PORTS: Final = 16_384  # from 49152 on: RFC 6335, and macOS


def check_capacity(settings: BenchSettings, open_files: int, *, spread: bool) -> None:
    """Raise ConfigurationError, with a way out, for more connections than this machine can open.

    ``open_files`` is the limit of a process. ``spread``: connections start from many loopback addresses.
    """
    share = -(-settings.connections // settings.processes)
    if share + _OTHER_FILES > open_files:
        needed = -(-settings.connections // max(1, open_files - _OTHER_FILES))
        raise ConfigurationError(
            f"{settings.connections:,} connections in {settings.processes} process(es) are {share:,} open files each, "
            f"but this shell allows {open_files:,}: raise the limit (ulimit -Hn, as root), "
            f"or give --processes {needed}"
        )
    ports = _ports()
    if settings.connections > ports * (LOOPBACK_ADDRESSES if spread else 1):
        raise ConfigurationError(
            f"{settings.connections:,} connections to one address need as many ports, but this machine gives out "
            f"{ports:,} (net.ipv4.ip_local_port_range on Linux): ask for fewer connections, "
            "or run on several machines"
        )


def _ports() -> int:
    """Return the number of ports for connections from one address to one server."""
    if sys.platform != "linux":
        return _DYNAMIC_PORTS
    try:
        first, last = (int(number) for number in _PORT_RANGE.read_text().split())
    except (OSError, ValueError):
        return _DYNAMIC_PORTS
    return last - first + 1
