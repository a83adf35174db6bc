"""A real Nginx or Caddy with the configuration that ``soundpost deploy`` makes, and clients that speak TLS to it."""

from __future__ import annotations

import http.server
import itertools
import json
import os
import shutil
import socket
import ssl
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final, Self

from support.ending import end
from support.harness import TIMEOUT, HttpResponse, RawSocket, until
from support.nginx_process import temporary_paths

NGINX: Final = shutil.which("nginx") or "/usr/sbin/nginx"
_AROUND: Final = """\
{user}
worker_processes 1;
daemon off;
pid {folder}/nginx.pid;
error_log {folder}/error.log;
events {{ worker_connections 512; }}
http {{
{http}
    {inside}
}}
"""


def main_file(folder: Path, inside: str) -> Path:
    """A small ``nginx.conf`` in ``folder`` around what belongs into ``http { … }``."""
    file = folder / "nginx.conf"
    file.write_text(_AROUND.format(user=_user(), folder=folder, http=temporary_paths(folder), inside=inside))
    return file


def _user() -> str:
    """The one of the tests: their folders are open to nobody else."""
    return "user root;" if os.geteuid() == 0 else ""


def nginx_test(file: Path, *globals: str) -> str:
    """What ``nginx -t`` says; empty if all is well and there is no warning."""
    told = subprocess.run(
        [NGINX, "-t", "-q", "-c", str(file), "-e", str(file.with_name("error.log")), *globals],
        capture_output=True,
        text=True,
        timeout=TIMEOUT,
        check=False,
    )
    return told.stderr


@contextmanager
def running(command: list[str], port: int, environ: dict[str, str] | None = None) -> Iterator[None]:
    """A proxy, until it listens on ``port``; ended by its process id."""
    process = subprocess.Popen(command, env=environ)

    def listens() -> bool:
        assert process.poll() is None, f"{command[0]} has ended"
        with suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
            return True
        return False

    try:
        until(listens, f"{command[0]} listens")
        yield
    finally:
        end(process)


@contextmanager
def running_nginx_with(file: Path, port: int) -> Iterator[None]:
    """Nginx with the configuration ``file``."""
    with running([NGINX, "-c", str(file), "-e", str(file.with_name("error.log"))], port):
        yield


class TlsSocket(RawSocket):
    """A raw client over TLS, which trusts ``authority`` only."""

    authority: Path

    def __init__(self, port: int, timeout: float = TIMEOUT) -> None:
        super().__init__(port, timeout)
        context = ssl.create_default_context(cafile=str(self.authority))
        self.socket = context.wrap_socket(self.socket, server_hostname="localhost")

    @classmethod
    def trusting(cls, authority: Path) -> type[Self]:
        """The class for one authority."""
        return type("TlsSocketOfOneTest", (cls,), {"authority": authority})


def https_request(client: type[TlsSocket], port: int, request: bytes) -> HttpResponse:
    """Send a request over TLS on a connection of its own."""
    with client(port) as opened:
        opened.send(request)
        return opened.read_response()


@contextmanager
def mirror() -> Iterator[int]:
    """An HTTP server that answers every request with its request line and headers, as JSON; its port.

    ``connection number`` tells connections apart.
    """
    numbers = itertools.count(1)

    class Mirror(http.server.BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def setup(self) -> None:
            super().setup()
            self.number = next(numbers)

        def do_GET(self) -> None:
            self.rfile.read(int(self.headers.get("Content-Length", 0)))
            headers = {name.lower(): value for name, value in self.headers.items()}
            body = json.dumps({"line": self.requestline, "connection number": self.number, **headers}).encode()
            self.send_response(200)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        do_POST = do_GET  # noqa: N815

        def log_message(self, format: str, *args: object) -> None:
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Mirror)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, args=(0.05,))
    thread.start()
    try:
        yield server.server_address[1]
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
