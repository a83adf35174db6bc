"""The dashboard over restarts of its server, and its start."""

from __future__ import annotations

import signal
import socket
from collections.abc import Iterator
from typing import Final

import pytest

from support.admin_client import AdminClient
from support.dashboards import Operator, cheap_hash
from support.operated import CALM, Operated, operated
from support.redis_process import free_port

PORT: Final = free_port()
TABLE: Final = f'[dashboard]\nport = {PORT}\npassword_hash = "{cheap_hash()}"\n'


@pytest.fixture
def server() -> Iterator[Operated]:
    with operated() as made:
        made.configure(rest=TABLE)
        yield made


async def operator(port: int = PORT) -> Operator:
    found = Operator(await AdminClient.open(port))
    assert (await found.log_in()).status == 204
    return found


async def test_a_restart_of_the_process_keeps_the_listener(server: Operated) -> None:
    server.start()
    assert f"the dashboard is at http://127.0.0.1:{PORT}/, with a login" in server.said("the dashboard is at")
    session = await operator()

    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        server.configure(rest=TABLE.replace(str(PORT), str(port)))
        assert "[dashboard] changed too: that needs a restart" in server.run("reload").stdout
        server.signal(signal.SIGHUP)
        assert f"port {port} of 127.0.0.1 is in use" in server.said("not restarted")
        server.configure(rest=f"{TABLE}[metrics]\nport = {port}\n")
        server.signal(signal.SIGHUP)
        assert "another port in [metrics]" in server.said("not restarted")
    server.configure(rest=TABLE.replace(":16:1:1:", ":17:1:1:"))
    server.signal(signal.SIGHUP)
    assert "parameters that cannot be used" in server.said("not restarted")
    assert (await session.get("/api/session")).status == 200

    server.configure(rest=TABLE)
    server.signal(signal.SIGHUP)
    assert await session.client.read_rest() == b""
    waiting = await AdminClient.open(PORT)  # nobody is refused meanwhile
    server.process.wait_for_start()
    assert (await waiting.request("GET", "/")).status == 200
    session.client = waiting
    assert (await session.get("/api/session")).json()["csrf"] == session.csrf

    server.configure()
    server.signal(signal.SIGHUP)
    server.process.wait_for_start()
    with pytest.raises(ConnectionRefusedError):
        await AdminClient.open(PORT)


async def test_a_restart_of_workers_leaves_the_dashboard_and_takes_a_new_password(server: Operated) -> None:
    server.configure(f"{CALM}workers = 2\n", rest=TABLE)
    server.start()
    session = await operator()
    new = TABLE.replace(cheap_hash(), cheap_hash("another horse")).replace(str(PORT), str(free_port()))
    server.configure(f"{CALM}workers = 2\n", rest=f"{new}[metrics]\nport = {free_port()}\n")
    done = server.run("restart")
    assert "Not applied, as it needs a stop and a start: [dashboard], [metrics]" in done.stdout
    server.said("all workers are new")
    assert (await session.get("/api/session")).status == 401
    assert (await session.log_in()).status == 401
    assert (await session.log_in("another horse")).status == 204


def test_a_start_says_what_is_in_the_way(server: Operated) -> None:
    with socket.create_server(("127.0.0.1", PORT)):
        done = server.run("start")
        assert done.returncode == 1
        assert f"port {PORT} of 127.0.0.1 is in use by another process: stop that one, or choose" in done.stderr
        assert "another port in [dashboard]" in done.stderr
