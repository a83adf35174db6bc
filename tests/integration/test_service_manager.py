"""Notifications to systemd, and sockets from it: readiness, keep-alive, restarts, socket activation."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from soundpost.wire.frames import CLOSE
from support.harness import TIMEOUT, RawSocket, http_request, until
from support.knocking import Knocking
from support.operated import CALM, PATIENT, Operated, operated

LISTENER = """
import os, sys
os.dup2(int(sys.argv[1]), 3)
os.set_inheritable(3, True)
os.environ.update(LISTEN_PID=str(os.getpid()), LISTEN_FDS="1")
os.execv(sys.executable, [sys.executable, "-m", "soundpost", "start"])
"""
"""Does what systemd does before it starts a service with a socket."""


class Manager:
    """The socket that systemd listens on."""

    def __init__(self, address: str) -> None:
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.socket.bind(address)
        self.socket.settimeout(TIMEOUT)
        self.told: list[str] = []

    def wait_for(self, line: str) -> list[str]:
        """Read up to a message with a line that begins so; that message's lines."""
        while True:
            text = self.socket.recv(4096).decode()
            self.told.append(text)
            lines = text.splitlines()
            if any(each.startswith(line) for each in lines):
                return lines

    def keywords(self) -> list[str]:
        """Those of all messages so far, but for signs of life; STATUS is left out."""
        found = [line.partition("=")[0] for text in self.told for line in text.splitlines()]
        return [word for word in found if word not in ("WATCHDOG", "STATUS", "MONOTONIC_USEC")]


@pytest.fixture
def manager() -> Iterator[Manager]:
    with tempfile.TemporaryDirectory(prefix="sp-") as folder:
        made = Manager(f"{folder}/notify")
        yield made
        made.socket.close()


def server_under(manager: Manager, server: Operated, workers: int) -> None:
    server.shell.environ["NOTIFY_SOCKET"] = manager.socket.getsockname()
    server.configure(f"{CALM}workers = {workers}\n")
    server.start()


@pytest.mark.parametrize("workers", [1, 2])
def test_it_is_told_of_start_restart_and_end(manager: Manager, workers: int) -> None:
    with operated() as server:
        server_under(manager, server, workers)
        assert f"STATUS=serving at port {server.port}" in manager.wait_for("READY=1")
        began = time.clock_gettime_ns(time.CLOCK_MONOTONIC) // 1000
        server.signal(signal.SIGHUP)
        lines = manager.wait_for("RELOADING=1")
        stamp = next(line for line in lines if line.startswith("MONOTONIC_USEC="))
        assert began <= int(stamp.partition("=")[2]) <= time.clock_gettime_ns(time.CLOCK_MONOTONIC) // 1000
        manager.wait_for("READY=1")
        server.connect().socket.close()
        server.signal(signal.SIGTERM)
        manager.wait_for("STOPPING=1")
        assert server.process.exit_code() == 0
    assert manager.keywords() == ["READY", "RELOADING", "READY", "STOPPING"]


def test_a_restart_that_fails_ends_the_reload_too(manager: Manager) -> None:
    with operated() as server:
        server_under(manager, server, 2)
        manager.wait_for("READY=1")
        server.configure(f"{CALM}workers = 2\n", rest='[server.tls]\ncertificate = "missing.pem"\n')
        server.signal(signal.SIGHUP)
        manager.wait_for("RELOADING=1")
        manager.wait_for("READY=1")
        assert server.process.stop() == 0


@pytest.mark.parametrize("workers", [1, 2])
def test_it_gives_signs_of_life_as_long_as_its_loop_turns(manager: Manager, workers: int) -> None:
    with operated() as server:
        server.shell.environ["WATCHDOG_USEC"] = "1000000"
        server_under(manager, server, workers)
        manager.wait_for("READY=1")
        for _ in range(5):
            manager.wait_for("WATCHDOG=1")
        os.kill(server.pid, signal.SIGSTOP)
        manager.socket.settimeout(2)
        with suppress(TimeoutError):
            for _ in range(10):  # those of before it was stopped
                manager.wait_for("WATCHDOG=1")
            raise AssertionError("it gives signs of life, though it is stopped")
        os.kill(server.pid, signal.SIGCONT)
        manager.socket.settimeout(TIMEOUT)
        manager.wait_for("WATCHDOG=1")
        server.signal(signal.SIGHUP)
        manager.wait_for("RELOADING=1")
        manager.wait_for("READY=1")
        manager.wait_for("WATCHDOG=1")


def test_signs_of_life_that_another_process_is_to_give_are_not_given(manager: Manager) -> None:
    with operated() as server:
        server.shell.environ.update(WATCHDOG_USEC="200000", WATCHDOG_PID="1")
        server_under(manager, server, 1)
        manager.wait_for("READY=1")
        manager.socket.settimeout(1)
        with pytest.raises(TimeoutError):
            manager.wait_for("WATCHDOG=1")


def test_a_manager_that_is_gone_is_no_fault(manager: Manager) -> None:
    with operated() as server:
        Path(manager.socket.getsockname()).unlink()
        server_under(manager, server, 1)
        assert server.process.stop() == 0
        assert server.process.faults() == []


# Sockets


@pytest.mark.parametrize("family", ["TCP", "Unix"])
@pytest.mark.parametrize("workers", [1, 2])
def test_a_socket_that_is_handed_over_is_listened_on(workers: int, family: str) -> None:
    with operated() as server:
        listening: socket.socket
        if family == "TCP":
            listening = socket.create_server(("127.0.0.1", 0))
            server.port = listening.getsockname()[1]
        else:
            listening = socket.socket(socket.AF_UNIX)
            listening.bind(str(server.shell.directory / "web.sock"))
            listening.listen()
        server.configure(f"{PATIENT}port = 1\nworkers = {workers}\n")
        process = subprocess.Popen(
            [sys.executable, "-c", LISTENER, str(listening.fileno())],
            cwd=server.shell.directory, env=server.shell.environ, pass_fds=[listening.fileno()],
            stdout=subprocess.DEVNULL,
        )  # fmt: skip
        try:
            if family == "TCP":
                _lives_through_a_restart(server, process)
            else:
                with socket.socket(socket.AF_UNIX) as client:
                    client.settimeout(TIMEOUT)
                    client.connect(str(server.shell.directory / "web.sock"))
                    client.sendall(b"GET /up HTTP/1.1\r\nHost: x\r\n\r\n")
                    assert client.recv(100).startswith(b"HTTP/1.1 200")
        finally:
            process.terminate()
            assert process.wait(TIMEOUT) == 0
        listening.close()


def _lives_through_a_restart(server: Operated, process: subprocess.Popen[bytes]) -> None:
    client = server.connect()  # who comes before it listens waits
    with Knocking(server.port) as knocking:
        process.send_signal(signal.SIGHUP)
        while client.read_frame()[0] != CLOSE:
            pass
        client.send_frame(CLOSE, b"\x10\x68")
        knocking.goes_on(50)
        until(lambda: server.run("status", "--port", str(server.port)).returncode == 0, "it is there again")
        knocking.goes_on(50)
    assert knocking.failed == []
    with RawSocket(server.port):
        assert http_request(server.port, b"GET /up HTTP/1.1\r\nHost: x\r\n\r\n").status == 200
