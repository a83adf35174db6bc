"""A server that listens on a Unix socket, for a proxy on the same machine."""

from __future__ import annotations

import json
import signal
import socket
import stat
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from soundpost.wire.frames import CLOSE
from support.crowd import join
from support.harness import DEFAULT_APP, RawSocket, http_request, until
from support.nginx_process import running_nginx
from support.operated import CALM, Operated, operated, publication

UP = b"GET /up HTTP/1.1\r\nHost: x\r\n\r\n"


class UnixClient(RawSocket):
    """A client of a server at a path."""

    def __init__(self, path: Path) -> None:
        self.socket = socket.socket(socket.AF_UNIX)
        self.socket.settimeout(20)
        self.socket.connect(str(path))
        self.socket_id = ""
        self._buffer = b""

    def greeted(self) -> UnixClient:
        """Shake hands, and read the hello."""
        assert self.handshake("/app/app-key?protocol=7").startswith(b"HTTP/1.1 101 ")
        self.socket_id = json.loads(self.read_event()["data"])["socket_id"]
        return self


@pytest.fixture(params=[1, 2], ids=["one process", "workers"])
def server(request: pytest.FixtureRequest) -> Iterator[Operated]:
    with operated() as made:
        made.configure(f'{CALM}unix_socket = "web.sock"\nworkers = {request.param}\n')
        made.start()
        yield made


def path_of(server: Operated) -> Path:
    return server.shell.directory / "web.sock"


def ask(path: Path, request: bytes) -> int:
    with UnixClient(path) as client:
        client.send(request)
        return client.read_response().status


def test_clients_and_the_api_are_served(server: Operated) -> None:
    path = path_of(server)
    assert stat.S_ISSOCK(path.stat().st_mode)
    assert server.process.err[-1].endswith("listening on unix:web.sock  apps: 1")
    assert ask(path, UP) == 200
    clients = [UnixClient(path).greeted() for _ in range(6)]
    for number, client in enumerate(clients):
        client.subscribe("room")
        join(client, DEFAULT_APP, "presence-room", f"user {number % 2}", {})
    assert ask(path, publication("room", "hello")) == 200
    for client in clients:
        while client.read_event()["event"] != "hello":
            pass


def test_nginx_in_front_of_it(server: Operated) -> None:
    for folder in (server.shell.directory, server.shell.directory.parent):
        folder.chmod(0o711)  # Nginx' workers are of another user
    with running_nginx([path_of(server)]) as port, RawSocket.open(port) as client:
        client.subscribe("room")
        assert http_request(port, publication("room", "hello")).status == 200
        assert client.read_event()["event"] == "hello"


def test_what_a_killed_server_left_is_replaced(server: Operated) -> None:
    server.process.stop(signal.SIGKILL)
    until(lambda: not _is_listened_on(path_of(server)), "its workers are gone")
    assert path_of(server).exists()
    server.start()
    assert ask(path_of(server), UP) == 200


def _is_listened_on(path: Path) -> bool:
    with socket.socket(socket.AF_UNIX) as probe:
        return probe.connect_ex(str(path)) == 0


def test_one_that_is_listened_on_is_left_alone(server: Operated) -> None:
    done = server.run("start")
    assert done.returncode == 1
    assert done.stderr.endswith(
        "soundpost.server: another process listens on web.sock: stop that one, or choose another unix_socket\n"
    )
    assert ask(path_of(server), UP) == 200


def test_a_file_that_is_no_socket_is_left_alone() -> None:
    with operated() as server:
        path_of(server).write_text("precious")
        server.configure(f'{CALM}unix_socket = "web.sock"\n')
        done = server.run("start")
        assert done.returncode == 1
        assert "soundpost.server: cannot listen on unix_socket web.sock: " in done.stderr
        assert path_of(server).read_text() == "precious"


@pytest.mark.parametrize("path", ["no/such/folder/web.sock", f"{'long' * 30}.sock"])
def test_a_path_that_cannot_be_listened_on_is_said(path: str) -> None:
    with operated() as server:
        server.configure(f'{CALM}unix_socket = "{path}"\n')
        done = server.run("start")
        assert done.returncode == 1
        assert f"soundpost.server: cannot listen on unix_socket {path}: " in done.stderr
        assert done.stderr.count(" ERROR ") == 1


def test_nobody_is_refused_while_it_is_restarted(server: Operated) -> None:
    path = path_of(server)
    client = UnixClient(path).greeted()
    server.signal(signal.SIGHUP)
    refused, left = 0, False
    for _ in range(300):
        try:
            refused += ask(path, UP) != 200
        except (OSError, EOFError):
            refused += 1
        if not left and client.has_input():
            assert client.read_frame()[0] == CLOSE
            with suppress(OSError):  # the server may not have waited for it
                client.send_frame(CLOSE, b"\x10\x68")
            left = True
    if not left:
        assert client.read_frame()[0] == CLOSE
    assert refused == 0
    UnixClient(path).greeted().socket.close()


def test_another_path_is_taken_at_a_restart() -> None:
    with operated() as server:
        server.configure(f'{CALM}unix_socket = "web.sock"\n')
        server.start()
        server.configure(f'{CALM}unix_socket = "other.sock"\n')
        server.signal(signal.SIGHUP)
        server.process.wait_for_start()
        assert ask(server.shell.directory / "other.sock", UP) == 200
        assert server.status()["unix_socket"] == "other.sock"
