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
_MAIN_FILE: Final = "/etc/nginx/nginx.conf"


def version() -> str:
    """Return the version; empty if Nginx is not installed."""
    program = shutil.which("nginx") or "/usr/sbin/nginx"
    try:
        output = subprocess.run([program, "-v"], capture_output=True, text=True, timeout=5, check=False).stderr
    except (OSError, subprocess.TimeoutExpired):
        return ""
    match = re.search(r"nginx/([\d.]+)", output)
    return match[1] if match else ""


def http2_is_a_directive(version: str) -> bool:
    """Return whether a version knows ``http2 on;``; False if unknown, for all versions take the older form."""
    numbers = tuple(int(part) for part in re.findall(r"\d+", version)[:3])
    return bool(numbers) and numbers >= _NEW_HTTP2


def has_ipv6() -> bool:
    """Return whether this machine has IPv6: Nginx does not start with an address that cannot be listened on."""
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


def sites_of(root: Path, name: str) -> list[Path]:
    """Return the files of Nginx that have a site of this name, without Soundpost's own."""
    folder = root / "etc/nginx"
    found = []
    for file in sorted((*folder.glob("sites-enabled/*"), *folder.glob("conf.d/*.conf"))):
        try:
            text = re.sub(r"#.*", "", file.read_text(encoding="utf-8", errors="replace"))
        except OSError:
            continue
        names = " ".join(re.findall(r"\bserver_name\s+([^;]*);", text)).split()
        if file.name != "soundpost.conf" and "upstream soundpost" not in text and name in names:
            found.append(file)
    return found


def missing_directives(text: str, connections: int) -> list[str]:
    """Return commands that give ``nginx.conf`` what ``connections`` need outside of ``http { … }``.

    Each command may be run again: it changes nothing the second time.
    """
    wanted, files = proxy_connections(connections), proxy_open_files(connections)
    words = re.sub(r"#.*", "", text).replace(";", " ; ").split()
    values = dict(itertools.pairwise(words))
    now = values.get("worker_connections", "512")
    steps = []
    if not now.isdigit() or int(now) < wanted:
        steps += [
            f"# worker_connections in {_MAIN_FILE} limits the clients: it is {now}, {wanted} are needed",
            f"sed -i 's/worker_connections .*;/worker_connections {wanted};/' {_MAIN_FILE}",
        ]
    limit = values.get("worker_rlimit_nofile")
    if limit is None:
        steps.append(_added("worker_rlimit_nofile", str(files)))
    elif limit.isdigit() and int(limit) < files:
        steps.append(f"sed -i 's/worker_rlimit_nofile .*;/worker_rlimit_nofile {files};/' {_MAIN_FILE}")
    if "worker_shutdown_timeout" not in values:
        steps.append(_added("worker_shutdown_timeout", "1h"))
    return steps


def _added(directive: str, value: str) -> str:
    """Return a command that puts a directive at the top of ``nginx.conf``, if there is none."""
    return f"grep -q '^{directive}' {_MAIN_FILE} || sed -i '1i {directive} {value};' {_MAIN_FILE}"
