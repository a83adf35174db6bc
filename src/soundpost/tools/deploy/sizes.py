"""Needs of a number of connections: open files, connections of a proxy, kernel settings."""

from __future__ import annotations

from typing import Final

_OWN_FILES: Final = 1_024  # besides clients: the API's connections, Redis, certificates, a margin
_PORTS: Final = 28_232  # Linux's default number for outgoing connections to one address
MAX_PER_ADDRESS: Final = 55_000
"""Connections to one address and port that leave some ports free once ``ip_local_port_range`` is widened."""
_MAX_OPEN_FILES: Final = 1_048_576  # default of fs.nr_open
_CONNTRACK: Final = 65_536


def open_files(connections: int) -> int:
    """Return the open files of a server with ``connections`` clients. One worker may have them all."""
    return connections + _OWN_FILES


def open_files_limit(connections: int) -> int:
    """Return a limit of open files, at least 65,536, for places where a limit may lower the present one."""
    return max(65_536, open_files(connections))


def proxy_connections(connections: int) -> int:
    """Return the connections of one worker of a proxy: two for each client, and one worker may have all."""
    return 2 * connections + 512


def proxy_open_files(connections: int) -> int:
    """Return the open files of one worker of a proxy: its connections, logs and certificates."""
    return proxy_connections(connections) + 512


def kernel_settings(connections: int, *, through_tcp: bool) -> dict[str, str]:
    """Return ``sysctl`` settings; ``through_tcp``: a proxy on this machine connects to the server over TCP."""
    settings = {"net.core.somaxconn": "4096", "net.ipv4.tcp_max_syn_backlog": "8192"}
    if through_tcp and connections > _PORTS * 4 // 5:
        settings["net.ipv4.ip_local_port_range"] = "10240 65535"
    if proxy_open_files(connections) > _MAX_OPEN_FILES:
        settings["fs.nr_open"] = str(2 * proxy_open_files(connections))
    if 4 * connections > _CONNTRACK:
        settings["net.netfilter.nf_conntrack_max"] = str(4 * connections)
    return settings


_WHY: Final = {
    "net.core.somaxconn": "clients that wait to be accepted, as all do at once after a restart",
    "net.ipv4.tcp_max_syn_backlog": "the same, one step earlier",
    "net.ipv4.ip_local_port_range": "the proxy needs a port of its own for each client",
    "fs.nr_open": "above it no limit of open files can be raised",
    "net.netfilter.nf_conntrack_max": "only if a firewall tracks connections (else there is no such key)",
}


def kernel_comment(connections: int, *, through_tcp: bool) -> str:
    """Return the kernel's settings as lines of a comment, with their reasons."""
    settings = kernel_settings(connections, through_tcp=through_tcp)
    lines = [f"  {f'{name} = {value}':<44}# {_WHY[name]}" for name, value in settings.items()]
    return "\n".join(
        [
            "For so many connections the kernel wants, in /etc/sysctl.d/90-soundpost.conf (then: sysctl --system):",
            *lines,
        ]
    )
