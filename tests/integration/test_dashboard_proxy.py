"""The dashboard behind Nginx, below a path, and under connections that only wait."""

from __future__ import annotations

import asyncio
import resource
import shutil
import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import pytest

from soundpost.config.settings import DashboardSettings
from support.admin_client import AdminClient
from support.dashboards import Operator, cheap_hash
from support.harness import RawSocket, RunningServer, running_server, until
from support.nginx_process import temporary_paths
from support.redis_process import free_port

PORT: Final = free_port()
PROXY_PORT: Final = free_port()
CONFIGURATION: Final = """\
worker_processes 1;
daemon off;
pid {folder}/nginx.pid;
error_log {folder}/error.log;
events {{ worker_connections 64; }}
http {{
    {temporary}
    server {{
        listen 127.0.0.1:{proxy_port};
        {location}
    }}
}}
"""


@pytest.fixture(scope="module")
def server() -> Iterator[RunningServer]:
    """A server with a dashboard for a name."""
    dashboard = DashboardSettings(port=PORT, password_hash=cheap_hash(), hostname="ops.example.com")
    with running_server(dashboard=dashboard) as running:
        yield running


@pytest.fixture
def nginx(server: RunningServer, tmp_path: Path) -> Iterator[None]:
    """Nginx as docs/dashboard.md has it."""
    file = tmp_path / "nginx.conf"
    page = Path("docs/dashboard.md").read_text()
    location = page.partition("```nginx\n")[2].partition("```")[0]
    location = location.replace("127.0.0.1:8090", f"127.0.0.1:{PORT}").replace("$scheme", "https")
    file.write_text(
        CONFIGURATION.format(
            folder=tmp_path, temporary=temporary_paths(tmp_path), location=location, proxy_port=PROXY_PORT
        )
    )
    program = shutil.which("nginx") or "/usr/sbin/nginx"
    process = subprocess.Popen([program, "-c", str(file), "-e", f"{tmp_path}/error.log"])
    try:
        until(lambda: _listens(PROXY_PORT), "nginx listens")
        yield
    finally:
        process.terminate()
        process.wait()


def open_files(server: RunningServer) -> int:
    """Open descriptors of the server's process."""
    return len(list(Path(f"/proc/{server.pid}/fd").iterdir()))


def _listens(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


async def test_below_a_path_behind_nginx(nginx: None) -> None:
    client = await AdminClient.open(PROXY_PORT)
    name = {"host": "ops.example.com", "origin": "https://ops.example.com"}
    page = await client.request("GET", "/dashboard/", **name)
    assert (page.status, page.headers["content-type"]) == (200, "text/html; charset=utf-8")
    answer = await client.request(
        "POST", "/dashboard/api/login", b'{"password":"correct horse"}', content_type="application/json", **name
    )
    cookie = answer.headers["set-cookie"]
    assert (answer.status, cookie.endswith("; Secure"), "path=" in cookie.lower()) == (204, True, False)
    operator = Operator(client)
    operator.cookie = cookie.partition(";")[0]
    assert (await operator.get("/dashboard/api/session", host="ops.example.com")).status == 200
    assert (await operator.get("/dashboard/api/session", host="evil.example")).status == 403
    operator.csrf = (await operator.get("/dashboard/api/session", host="ops.example.com")).json()["csrf"]
    target = "/dashboard/api/apps/1/users/terminate?user=https%3A%2F%2Fid.example%2F7"  # Nginx decodes paths
    assert (await operator.send("POST", target, **name)).status == 204

    lines = ("GET /dashboard/api/live HTTP/1.1", "Host: ops.example.com", f"Cookie: {operator.cookie}", "", "")
    client.send("\r\n".join(lines).encode())
    assert (await client.read_head())[0] == 200
    async with asyncio.timeout(10):  # Nginx hands each message on as it comes
        assert (await client.read_event())["hosts"][0]["port"]


async def test_attempts_behind_nginx_are_counted_by_address(nginx: None) -> None:
    client = await AdminClient.open(PROXY_PORT, source="127.0.0.2")  # no trusted proxy
    for number in range(6):
        answer = await client.request(
            "POST",
            "/dashboard/api/login",
            b'{"password":"wrong horse"}',
            content_type="application/json",
            host="ops.example.com",
            x_forwarded_for=f"192.0.2.{number}",  # what a client invents does not count
        )
    assert answer.status == 429


async def test_a_thousand_connections_that_wait_take_nothing_from_others(server: RunningServer) -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, min(2_048, hard)), hard))
    files = open_files(server)
    waiting = [await AdminClient.open(PORT) for _ in range(1_000)]
    for number, client in enumerate(waiting):
        client.send(b"GET / HTTP/1.1\r\nX: " if number % 2 else b"")
    with RawSocket.open(server.port) as subscriber:
        subscriber.subscribe("room")
        assert server.publish("room", "e").status == 200
        assert subscriber.read_event()["event"] == "e"
    answer = await (await AdminClient.open(PORT)).request("GET", "/")
    assert answer.status == 200
    assert open_files(server) - files < 250
    for each in waiting:
        each.close()
