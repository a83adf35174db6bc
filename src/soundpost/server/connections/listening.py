"""Listening sockets: a list for each process, all on the same port."""

from __future__ import annotations

import errno
import socket
import sys
from collections.abc import Iterable
from contextlib import closing
from pathlib import Path
from typing import Any, Final, NamedTuple

from soundpost.config.settings import ServerSettings
from soundpost.errors import StartError
from soundpost.server.connections.socket_activation import inherited_sockets

BACKLOG: Final = 4096
SPREADS: Final = sys.platform == "linux"  # elsewhere SO_REUSEPORT does not spread connections: one socket is shared


class Listening(NamedTuple):
    """The address at which a server can be reached."""

    host: str
    port: int
    tls: bool
    path: str
    capacity: int
    """The number of sockets that may be open at a time."""


def listening_sockets(settings: ServerSettings, processes: int = 1) -> list[list[socket.socket]]:
    """Return sockets bound to every address of the host, or to the Unix socket, a list for each process.

    The kernel spreads connections over the processes. Port 0 takes a free one, the same for all. Inherited sockets are
    taken as they are (:mod:`soundpost.server.connections.socket_activation`). Raises StartError with the obstacle.
    """
    handed = inherited_sockets()
    if handed:
        return [[sock.dup() for sock in handed] for _ in range(processes - 1)] + [handed]
    if settings.unix_socket is not None:
        bound = _unix_socket(Path(settings.unix_socket))
        return [[bound.dup()] for _ in range(processes - 1)] + [[bound]]
    host, port = settings.host, settings.port
    spreads = processes > 1 and SPREADS
    try:
        first = bound_sockets(host, port, listen=not spreads)
        if not spreads:
            return [[sock.dup() for sock in first] for _ in range(processes - 1)] + [first]
        # A port that another program holds was noticed by now; from here on the processes share it.
        addresses = [(sock.family, sock.getsockname()) for sock in first]
        for sock in first:
            sock.close()
        return [[_bound(family, address, shared=True) for family, address in addresses] for _ in range(processes)]
    except OSError as error:
        raise StartError(_bind_error(error, host, port)) from None


def bound_sockets(host: str, port: int, *, listen: bool = True, backlog: int = BACKLOG) -> list[socket.socket]:
    """Return sockets bound to every address of a host. Port 0 takes a free one, the same for all. Raises OSError."""
    found: list[socket.socket] = []
    try:
        for family, address in addresses_of(host, port):
            bound = (address[0], port or _port(found), *address[2:])
            found.append(_bound(family, bound, listen=listen, backlog=backlog))
    except OSError:
        for sock in found:
            sock.close()
        raise
    return found


def port_of(sockets: Iterable[socket.socket]) -> int:
    """Return the port that sockets listen on; 0 for a Unix socket."""
    return next((int(sock.getsockname()[1]) for sock in sockets if sock.family != socket.AF_UNIX), 0)


def listen_again(addresses: Iterable[tuple[int, Any]]) -> list[socket.socket]:
    """Return new sockets in place of closed ones, for one of several processes. Raises OSError.

    ``addresses``: family and address of each socket.
    """
    return [_bound(family, address, shared=True) for family, address in addresses]


def _unix_socket(path: Path) -> socket.socket:
    """Return a socket at a path. Replace one that a killed server left, but none that a process listens on."""
    sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        if path.is_socket():
            with closing(socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)) as probe:
                if probe.connect_ex(str(path)) == 0:
                    raise StartError(f"another process listens on {path}: stop that one, or choose another unix_socket")
            path.unlink()
        sock.bind(str(path))
        path.chmod(0o666)  # access is limited by the folder, as with other servers
        sock.listen(BACKLOG)
    except OSError as error:
        sock.close()
        raise StartError(f"cannot listen on unix_socket {path}: {error.strerror or error}") from None
    except StartError:
        sock.close()
        raise
    return sock


def addresses_of(host: str, port: int) -> list[tuple[int, tuple[Any, ...]]]:
    """Return family and address of each address of a host, for sockets that listen. Raises OSError."""
    found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    return list(dict.fromkeys((family, address) for family, _, _, _, address in found))


def _port(bound: list[socket.socket]) -> int:
    return int(bound[0].getsockname()[1]) if bound else 0


def _bound(
    family: int, address: tuple[Any, ...], *, shared: bool = False, listen: bool = True, backlog: int = BACKLOG
) -> socket.socket:
    sock = socket.socket(family, socket.SOCK_STREAM)
    try:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if shared:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        if family == socket.AF_INET6:
            sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        sock.bind(address)
        if listen:
            sock.listen(backlog)
    except OSError:
        sock.close()
        raise
    return sock


def _soundpost_at(port: int) -> str:
    """Return that a server of ours has a port, in words; empty if none that this user may ask has it."""
    from soundpost.server.processes.control_client import running_servers
    from soundpost.server.processes.control_paths import port_of_name

    ours = port in map(port_of_name, running_servers())
    return f", a Soundpost server ('soundpost status --port {port}' says which)" if ours else ""


def _bind_error(error: OSError, host: str, port: int) -> str:
    if error.errno == errno.EADDRINUSE:
        return (
            f"port {port} on {host} is in use by another process{_soundpost_at(port)}: stop that one, or choose "
            "another port with --port (what holds it: ss -ltnp)"
        )
    if error.errno == errno.EACCES:
        return f"this user may not listen on port {port}: use a port from 1024 up, such as 8080, behind a proxy"
    if error.errno == errno.EADDRNOTAVAIL:
        return f"{host} is not an address of this machine: use 0.0.0.0 for all, 127.0.0.1 for this machine only"
    return f"cannot listen on {host}:{port}: {error}"
