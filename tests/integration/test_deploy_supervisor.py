"""The configuration for Supervisor in a real Supervisor: the server runs, comes back when it is killed, and stops."""

from __future__ import annotations

import getpass
import os
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

from soundpost.wire.frames import CLOSE
from support.command_line import CommandLine, command_line
from support.harness import DEFAULT_APP, TIMEOUT, RawSocket, http_request, signed_request, until
from support.redis_process import free_port
from support.supervisor_process import Supervisor, running_supervisor

__all__ = ["command_line"]

APP = f'[[apps]]\nid = "{DEFAULT_APP.id}"\nkey = "{DEFAULT_APP.key}"\nsecret = "{DEFAULT_APP.secret}"\n'


class Supervised:
    """A server that Supervisor has started."""

    def __init__(self, supervisor: Supervisor, port: int, log: Path) -> None:
        self.supervisor = supervisor
        self.port = port
        self.log = log

    def connect(self) -> RawSocket:
        """A client, as soon as the server takes one."""
        clients: list[RawSocket] = []

        def connected() -> bool:
            with suppress(OSError, EOFError, AssertionError):
                clients.append(RawSocket.open(self.port))
            return bool(clients)

        until(connected, lambda: f"a server on port {self.port}: {self.log.read_text()}", 2 * TIMEOUT)
        return clients[0]

    def is_running(self) -> bool:
        """Whether Supervisor takes it for started."""
        return "RUNNING" in self.supervisor.control("status", "soundpost")


@contextmanager
def supervised(command_line: CommandLine, server: str = "") -> Iterator[Supervised]:
    folder, port = command_line.directory, free_port()
    file = folder / "soundpost.toml"
    file.write_text(f'[server]\nhost = "127.0.0.1"\nport = {port}\nshutdown_timeout = 1\n{server}\n{APP}')
    file.chmod(0o600)
    log = folder / "soundpost.log"
    result = command_line.run(
        "deploy", "supervisor", "--connections", "500", "--user", getpass.getuser(), "--log", str(log),
        "--write", "--root", str(folder / "root"),
    )  # fmt: skip
    assert result.exit_code == 0, result.stderr
    with running_supervisor(folder / "root/etc/supervisor/conf.d/*.conf") as supervisor:
        started = Supervised(supervisor, port, log)
        started.connect().socket.close()
        until(started.is_running, "it runs", 2 * TIMEOUT)
        yield started


@pytest.mark.parametrize("workers", [1, 2])
def test_killed_it_is_back_and_its_clients_too(command_line: CommandLine, workers: int) -> None:
    with supervised(command_line, f"workers = {workers}") as server:
        client = server.connect()
        client.subscribe("room")
        before = server.supervisor.pid("soundpost")

        os.kill(before, signal.SIGKILL)
        killed = time.monotonic()
        with suppress(EOFError):
            while client.read_frame()[0] != CLOSE:  # workers say goodbye when their parent is gone
                pass
        client.socket.close()
        gone = time.monotonic() - killed
        client = server.connect()
        print(
            f"{workers} worker(s): cut off after {gone:.2f} s, connected again after {time.monotonic() - killed:.2f} s"
        )

        assert server.supervisor.pid("soundpost") != before
        client.subscribe("room")
        body = b'{"name":"hello","channels":["room"],"data":"{}"}'
        until(
            lambda: http_request(server.port, signed_request("POST", "/events", body)).status == 200, "it is published"
        )
        assert client.read_event()["event"] == "hello"
        client.socket.close()


def test_stopped_it_ends_in_order_and_stays_stopped(command_line: CommandLine) -> None:
    with supervised(command_line, "drain_time = 1") as server:
        client = server.connect()
        began = time.monotonic()
        assert "soundpost: stopped" in server.supervisor.control("stop", "soundpost")
        print(f"stopped after {time.monotonic() - began:.2f} s")
        assert client.read_close_code() == 4200
        assert "STOPPED" in server.supervisor.control("status", "soundpost")
        with pytest.raises(OSError, match="refused"):
            RawSocket(server.port)


def test_its_log_is_a_file(command_line: CommandLine) -> None:
    with supervised(command_line) as server:
        until(lambda: f"listening on http://127.0.0.1:{server.port}" in server.log.read_text(), "the log has it")
