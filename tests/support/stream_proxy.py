"""Proxies that pass on TCP as it is: Nginx's ``stream``, HAProxy in mode ``tcp``."""

from __future__ import annotations

import re
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from support.deployed_proxy import NGINX, running
from support.redis_process import free_port

_NGINX: Final = """\
{module}
worker_processes 1;
daemon off;
pid {folder}/nginx.pid;
error_log {folder}/error.log;
events {{ worker_connections 256; }}
stream {{
    server {{
        listen 127.0.0.1:{port};
        proxy_pass 127.0.0.1:{upstream};
        {options}
    }}
}}
"""
_HAPROXY: Final = """\
defaults
    mode tcp
    timeout connect 10s
    timeout client 60s
    timeout server 60s
listen soundpost
    bind 127.0.0.1:{port}
    server soundpost 127.0.0.1:{upstream} {options}
"""


def _stream_module() -> str:
    """The directive that loads Nginx's module, where it is not a part of the program."""
    built = subprocess.run([NGINX, "-V"], capture_output=True, text=True, check=True).stderr
    if "--with-stream=dynamic" not in built:
        return ""
    folder = re.search(r"--modules-path=(\S+)", built)
    assert folder is not None
    module = Path(folder[1]) / "ngx_stream_module.so"
    assert module.exists(), "the tests need Nginx's stream module: apt-get install libnginx-mod-stream"
    return f"load_module {module};"


@contextmanager
def nginx_stream(upstream: int, options: str = "") -> Iterator[int]:
    """Nginx that passes connections on to the port ``upstream``; its own port."""
    port = free_port()
    with tempfile.TemporaryDirectory(prefix="soundpost-nginx-") as folder:
        file = Path(folder) / "nginx.conf"
        file.write_text(
            _NGINX.format(module=_stream_module(), folder=folder, port=port, upstream=upstream, options=options)
        )
        with running([NGINX, "-c", str(file), "-e", f"{folder}/error.log"], port):
            yield port


@contextmanager
def haproxy(upstream: int, options: str = "") -> Iterator[int]:
    """HAProxy that does; ``options`` of the server's line."""
    program = shutil.which("haproxy") or "/usr/sbin/haproxy"
    port = free_port()
    with tempfile.TemporaryDirectory(prefix="soundpost-haproxy-") as folder:
        file = Path(folder) / "haproxy.cfg"
        file.write_text(_HAPROXY.format(port=port, upstream=upstream, options=options))
        with running([program, "-db", "-f", str(file)], port):
            yield port
