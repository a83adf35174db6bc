"""A real Nginx for tests."""

from __future__ import annotations

import shutil
import socket
import subprocess
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

from support.harness import until
from support.redis_process import free_port

_TEMPORARY = """\
    access_log off;
    client_body_temp_path {folder}/body;
    proxy_temp_path {folder}/proxy;
    fastcgi_temp_path {folder}/fastcgi;
    uwsgi_temp_path {folder}/uwsgi;
    scgi_temp_path {folder}/scgi;
"""
CONFIGURATION = """\
worker_processes 1;
daemon off;
pid {folder}/nginx.pid;
error_log {folder}/error.log;
worker_rlimit_nofile {files};
events {{ worker_connections {files}; }}
http {{
    {temporary}
    map $http_upgrade $connection_upgrade {{ default upgrade; '' ''; }}
    upstream soundpost {{
        {servers}
        keepalive 16;
    }}
    server {{
        listen 127.0.0.1:{port};
        client_max_body_size {body};
        client_body_buffer_size 1m;
        location / {{
            proxy_pass http://soundpost;
            proxy_http_version 1.1;
            proxy_set_header Host $host;
            proxy_set_header Upgrade $http_upgrade;
            proxy_set_header Connection $connection_upgrade;
            proxy_read_timeout 120s;
            proxy_next_upstream error timeout non_idempotent;
        }}
    }}
}}
"""


def temporary_paths(folder: Path) -> str:
    """Directives that let Nginx run without root."""
    return _TEMPORARY.format(folder=folder)


@contextmanager
def running_nginx(places: Sequence[int | Path], files: int = 1_024, body: str = "1m") -> Iterator[int]:
    """A load balancer before servers on these ports, or Unix sockets; its own port. ``files``: it may have open, two
    for each client. ``body``: the largest one it takes."""
    with nginx_process(places, files, body) as (port, _):
        yield port


@contextmanager
def nginx_process(
    places: Sequence[int | Path], files: int = 1_024, body: str = "1m"
) -> Iterator[tuple[int, subprocess.Popen[bytes]]]:
    """Run the load balancer; its port and its process, which reloads its configuration at SIGHUP."""
    program = shutil.which("nginx") or "/usr/sbin/nginx"
    port = free_port()
    with tempfile.TemporaryDirectory(prefix="soundpost-nginx-") as folder:
        addresses = [f"127.0.0.1:{place}" if isinstance(place, int) else f"unix:{place}" for place in places]
        servers = "\n        ".join(f"server {address} max_fails=0;" for address in addresses)
        file = Path(folder) / "nginx.conf"
        file.write_text(
            CONFIGURATION.format(
                folder=folder,
                temporary=temporary_paths(Path(folder)),
                servers=servers,
                port=port,
                files=files,
                body=body,
            )
        )
        process = subprocess.Popen([program, "-c", str(file), "-e", f"{folder}/error.log"])

        def listens() -> bool:
            with suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
                return True
            return False

        try:
            until(listens, "nginx listens")
            yield port, process
        finally:
            process.terminate()
            process.wait(10)
