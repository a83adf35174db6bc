"""Limits of this machine's kernel, and the process that listens on a port."""

from __future__ import annotations

import re
import sys
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

if sys.platform != "win32":
    import resource

_LISTENS = "0A"  # proc(5): the state TCP_LISTEN


class KernelLimits(NamedTuple):
    """Limits in numbers; None where the kernel has none or does not tell."""

    open_files: int | None
    whose: str
    conntrack: int | None
    local_ports: int | None
    somaxconn: int | None


def read_limits(port: int | None, proc: Path = Path("/proc")) -> KernelLimits:
    """Return the limits of the process that listens on ``port``, else of processes started from this shell."""
    net = proc / "sys/net"
    process = None if port is None else listening_process(port, proc)
    own = _open_files_of(process, proc) if process is not None else None
    ports = _numbers(net / "ipv4/ip_local_port_range")
    return KernelLimits(
        open_files=own if own is not None else _open_files_here(),
        whose=f"the server (process {process})" if own is not None else "a server started from this shell",
        conntrack=_first(_numbers(net / "netfilter/nf_conntrack_max")),
        local_ports=ports[1] - ports[0] + 1 if len(ports) == 2 else None,
        somaxconn=_first(_numbers(net / "core/somaxconn")),
    )


def listening_process(port: int, proc: Path = Path("/proc")) -> int | None:
    """Return the process that listens on a port; None if none does, or if this user may not see the process."""
    sockets = {f"socket:[{inode}]" for file in ("tcp", "tcp6") for inode in _listening(proc / "net" / file, port)}
    if not sockets:
        return None
    for folder in proc.iterdir():
        if not folder.name.isdigit():
            continue
        with suppress(OSError):
            if any(str(link.readlink()) in sockets for link in (folder / "fd").iterdir()):
                return int(folder.name)
    return None


def _listening(table: Path, port: int) -> list[str]:
    """Return the inodes of listening sockets, from proc(5)."""
    try:
        lines = table.read_text().splitlines()[1:]
    except OSError:
        return []
    fields = [line.split() for line in lines]
    return [each[9] for each in fields if each[3] == _LISTENS and int(each[1].rpartition(":")[2], 16) == port]


def _open_files_of(process: int, proc: Path) -> int | None:
    with suppress(OSError):
        match = re.search(r"^Max open files\s+\d+\s+(\d+)", (proc / str(process) / "limits").read_text(), re.MULTILINE)
        return int(match[1]) if match else None
    return None


def _open_files_here() -> int | None:
    """Return the hard limit of open files, to which the server raises its soft limit; None on Windows."""
    if sys.platform != "win32":
        hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
        return 1_048_576 if hard == resource.RLIM_INFINITY else hard
    return None


def _numbers(file: Path) -> list[int]:
    try:
        return [int(word) for word in file.read_text().split()]
    except (OSError, ValueError):
        return []


def _first(numbers: list[int]) -> int | None:
    return numbers[0] if numbers else None
