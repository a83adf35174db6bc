"""Limits of Linux that very many connections meet, and what an operator sets."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

_BACKLOG = 4096
_TCP_PAGES_OF_ONE = 0.25
"""Pages of 4 kB that wait in the buffers of a connection and its other end, on loopback, while an event goes to all."""


def obstacles(connections: int, settings: Path) -> Iterator[str]:
    """Sentences about limits below what so many connections to servers of this machine need, with both ends here.

    ``settings`` is the folder /proc/sys.
    """
    most = _number(settings / "fs/file-max")
    if most is not None and most < 2 * connections:
        yield f"only {most:,} files may be open on this machine: sysctl fs.file-max={3 * connections}"
    tracked = _number(settings / "net/netfilter/nf_conntrack_max")
    if tracked is not None and tracked < connections:
        yield f"only {tracked:,} connections are tracked: sysctl net.netfilter.nf_conntrack_max={2 * connections}"
    waiting = _number(settings / "net/core/somaxconn")
    if waiting is not None and waiting < _BACKLOG:
        yield f"only {waiting:,} connections may wait to be accepted: sysctl net.core.somaxconn={_BACKLOG}"
    pages = _number(settings / "net/ipv4/tcp_mem", 1)
    needed = int(connections * _TCP_PAGES_OF_ONE)
    if pages is not None and pages < needed:
        wanted = f"{needed} {needed} {2 * needed}"
        yield f"the buffers of TCP are bounded by {pages:,} pages: sysctl net.ipv4.tcp_mem='{wanted}'"


def _number(file: Path, place: int = 0) -> int | None:
    try:
        return int(file.read_text().split()[place])
    except (OSError, ValueError, IndexError):
        return None
