"""Nginx of this machine: version and configuration."""

from __future__ import annotations

import itertools
import re
import shutil
import socket
import subprocess
from pathlib import Path
from typing import Final

from soundpost.tools.deploy.sizes import proxy_connections, proxy_open_files

_NEW_HTTP2: Final = (1, 25, 1)


def version() -> str:
    """Return the version; empty if Nginx is not installed."""
    program = shutil.which("nginx") or "/usr/sbin/nginx"
    try:
        output = subprocess.run([program, "-v"], capture_output=True, text=True, timeout=5, check=False).stderr
    except (OSError, subprocess.TimeoutExpired):
        return ""
    found = re.search(r"nginx/([\d.]+)", output)
    return found[1] if found else ""


def http2_is_a_directive(version: str) -> bool:
    """Tell whether a version knows ``http2 on;``; False if unknown, for all versions take the older form."""
    numbers = tuple(int(part) for part in re.findall(r"\d+", version)[:3])
    return bool(numbers) and numbers >= _NEW_HTTP2


def has_ipv6() -> bool:
    """Tell whether this machine has IPv6: Nginx does not start with an address that cannot be listened on."""
    if not socket.has_ipv6:
        return False
    try:
        with socket.socket(socket.AF_INET6, socket.SOCK_STREAM) as probe:
            probe.bind(("::1", 0))
    except OSError:
        return False
    return True


def main_file(root: Path) -> str:
    """Return the content of ``nginx.conf``; empty if unreadable."""
    try:
        return (root / "etc/nginx/nginx.conf").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""


def missing_directives(text: str, connections: int) -> list[str]:
    """Return commands that add to ``nginx.conf`` what ``connections`` need outside of ``http { … }``."""
    wanted = proxy_connections(connections)
    words = re.sub(r"#.*", "", text).replace(";", " ; ").split()
    values = dict(itertools.pairwise(words))
    now = values.get("worker_connections", "512")
    steps = []
    if not now.isdigit() or int(now) < wanted:
        steps += [
            f"# worker_connections in /etc/nginx/nginx.conf limits the clients: it is {now}, {wanted} are needed",
            f"sed -i 's/worker_connections .*;/worker_connections {wanted};/' /etc/nginx/nginx.conf",
        ]
    if "worker_rlimit_nofile" not in values:
        steps.append(f"sed -i '1i worker_rlimit_nofile {proxy_open_files(connections)};' /etc/nginx/nginx.conf")
    if "worker_shutdown_timeout" not in values:
        steps.append("sed -i '1i worker_shutdown_timeout 1h;' /etc/nginx/nginx.conf")
    return steps
