"""Programs that end TLS: Soundpost itself, Nginx, HAProxy, Caddy; all on core 0, each proxy with one worker."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final, NamedTuple

from processes import NotMeasuredError, Process, cpu_time, free_port, soundpost

FILES: Final = 16_000
_START_SECONDS: Final = 10.0

_NGINX: Final = """\
worker_processes 1;
daemon off;
pid {folder}/nginx.pid;
error_log {folder}/error.log;
worker_rlimit_nofile {files};
events {{ worker_connections {files}; }}
http {{
    access_log off;
    client_body_temp_path {folder}/body;
    proxy_temp_path {folder}/proxy;
    fastcgi_temp_path {folder}/fastcgi;
    uwsgi_temp_path {folder}/uwsgi;
    scgi_temp_path {folder}/scgi;
    server {{
        listen 127.0.0.1:{port} ssl;
        ssl_certificate {certificate};
        ssl_certificate_key {key};
        ssl_protocols TLSv1.2 TLSv1.3;
        location / {{
            proxy_pass http://127.0.0.1:{upstream};
            proxy_http_version 1.1;
            proxy_set_header Host $host;
            proxy_set_header Upgrade $http_upgrade;
            proxy_set_header Connection upgrade;
            proxy_set_header X-Forwarded-For $remote_addr;
            proxy_read_timeout 1h;
        }}
    }}
}}
"""
_HAPROXY: Final = """\
global
    maxconn {half}
    nbthread 1
defaults
    mode http
    timeout connect 5s
    timeout client 60s
    timeout server 60s
    timeout tunnel 1h
frontend tls
    bind 127.0.0.1:{port} ssl crt {both}
    option forwardfor
    default_backend soundpost
backend soundpost
    server one 127.0.0.1:{upstream} maxconn {half}
"""
_CADDY: Final = """\
{{
    admin off
    auto_https off
}}
https://:{port} {{
    bind 127.0.0.1
    tls {certificate} {key}
    reverse_proxy 127.0.0.1:{upstream}
}}
"""


class Certificate(NamedTuple):
    """PEM files."""

    chain: Path
    key: Path


class Measured:
    """A server and what is in front of it: where clients connect, where events are published, what both cost."""

    def __init__(self, port: int, server: Process, publish_port: int | None, proxy: int | None = None) -> None:
        self.port = port
        self.publish_port = publish_port
        """The port for plain HTTP; None if the server has TLS only."""
        self._server = server
        self._proxy = proxy

    def cpu(self) -> float:
        """Seconds of CPU time so far, of all processes."""
        return self._server.cpu() + sum(map(cpu_time, self._proxies()))

    def rss(self) -> int:
        """Resident memory in bytes, of all processes."""
        return self._server.rss() + sum(map(_rss, self._proxies()))

    def _proxies(self) -> list[int]:
        found = [] if self._proxy is None else [self._proxy]
        for pid in found:
            for children in Path(f"/proc/{pid}/task").glob("*/children"):
                found += map(int, children.read_text().split())
        return found


def _rss(pid: int) -> int:
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


@contextmanager
def plain(_: Certificate) -> Iterator[Measured]:
    with soundpost() as (process, port):
        yield Measured(port, process, port)


@contextmanager
def direct(certificate: Certificate) -> Iterator[Measured]:
    tls = {"certificate": str(certificate.chain), "key": str(certificate.key)}
    with soundpost(server={"tls": tls}) as (process, port):
        yield Measured(port, process, None)


@contextmanager
def nginx(certificate: Certificate) -> Iterator[Measured]:
    with _proxied(_NGINX, certificate, lambda file: ["nginx", "-c", str(file), "-e", f"{file.parent}/log"]) as found:
        yield found


@contextmanager
def haproxy(certificate: Certificate) -> Iterator[Measured]:
    with _proxied(_HAPROXY, certificate, lambda file: ["haproxy", "-db", "-f", str(file)]) as found:
        yield found


@contextmanager
def caddy(certificate: Certificate) -> Iterator[Measured]:
    def command(file: Path) -> list[str]:
        return ["caddy", "run", "--adapter", "caddyfile", "--config", str(file)]

    with _proxied(_CADDY, certificate, command) as found:
        yield found


ENDS: Final = {"no TLS": plain, "Soundpost": direct, "Nginx": nginx, "HAProxy": haproxy, "Caddy": caddy}


@contextmanager
def _proxied(form: str, certificate: Certificate, command: Callable[[Path], list[str]]) -> Iterator[Measured]:
    port = free_port()
    with tempfile.TemporaryDirectory(prefix="sp-") as name, soundpost() as (process, upstream):
        folder = Path(name)
        both = folder / "both.pem"
        both.touch(mode=0o600)
        both.write_bytes(certificate.chain.read_bytes() + certificate.key.read_bytes())
        file = folder / "configuration"
        file.write_text(
            form.format(
                folder=folder,
                port=port,
                upstream=upstream,
                certificate=certificate.chain,
                key=certificate.key,
                both=both,
                files=FILES,
                half=FILES // 2,
            )
        )
        program, *arguments = command(file)
        found = shutil.which(program) or shutil.which(program, path="/usr/sbin")
        if found is None:
            raise NotMeasuredError(f"there is no {program}")
        environment = os.environ | {"GOMAXPROCS": "1", "XDG_DATA_HOME": name, "XDG_CONFIG_HOME": name, "HOME": name}
        with tempfile.TemporaryFile() as output:
            proxy = subprocess.Popen(
                ["taskset", "-c", "0", found, *arguments], stdout=output, stderr=output, env=environment
            )
            try:
                _wait_until_up(proxy, port)
                yield Measured(port, process, upstream, proxy.pid)
            finally:
                proxy.terminate()
                with suppress(subprocess.TimeoutExpired):
                    proxy.wait(3)
                proxy.kill()
                proxy.wait()


def _wait_until_up(proxy: subprocess.Popen[bytes], port: int) -> None:
    deadline = time.monotonic() + _START_SECONDS
    while time.monotonic() < deadline and proxy.poll() is None:
        with suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
            return
        time.sleep(0.1)
    raise NotMeasuredError(f"{proxy.args!r} did not listen")
