"""``soundpost top``: a real server with workers, asked by a real command, with and without a terminal."""

from __future__ import annotations

import json
import os
import pty
import re
import select
import struct
import subprocess
import sys
import termios
import time
from collections.abc import Iterator
from contextlib import contextmanager
from fcntl import ioctl

import pytest

from support.harness import until
from support.operated import CALM, Operated, operated
from support.raw_socket import TIMEOUT
from support.redis_process import free_port, running_redis


@pytest.fixture(scope="module")
def server() -> Iterator[Operated]:
    with operated() as made:
        made.configure(f"{CALM}workers = 2\n")
        made.start()
        yield made


class Terminal:
    """A terminal of 80 columns and 24 lines in which a command runs."""

    def __init__(self, descriptor: int, process: subprocess.Popen[bytes]) -> None:
        self._descriptor = descriptor
        self.process = process
        self.shown = ""

    def wait_for(self, text: str) -> None:
        """Read until something new has a text; colours are left out, and spaces in a row are one."""
        seen = len(self.shown)
        deadline = time.monotonic() + TIMEOUT
        while text not in (new := " ".join(re.sub(r"\x1b\[[\d;]*m", "", self.shown[seen:]).split())):
            left = deadline - time.monotonic()
            assert left > 0, f"no {text!r} in {new[-2_000:]!r}"
            if select.select([self._descriptor], [], [], left)[0]:
                self.shown += os.read(self._descriptor, 65_536).decode(errors="replace")

    def type(self, keys: bytes) -> None:
        os.write(self._descriptor, keys)


@contextmanager
def in_terminal(server: Operated, *arguments: str) -> Iterator[Terminal]:
    ours, theirs = pty.openpty()
    ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 80, 0, 0))
    environ = {**server.shell.environ, "TERM": "xterm"}
    process = subprocess.Popen(
        [sys.executable, "-m", "soundpost", *arguments],
        cwd=server.shell.directory,
        env=environ,
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
        start_new_session=True,
        preexec_fn=lambda: ioctl(0, termios.TIOCSCTTY, 0),
    )
    os.close(theirs)
    try:
        yield Terminal(ours, process)
    finally:
        process.kill()
        process.wait(TIMEOUT)
        os.close(ours)


def test_without_a_terminal_one_frame_is_printed(server: Operated) -> None:
    with server.connect() as client:
        client.subscribe("orders")
        done = server.run("top")
    assert done.returncode == 0, done.stderr
    assert "\x1b" not in done.stdout
    lines = done.stdout.splitlines()
    assert re.match(rf"soundpost top  \S+:{server.port}, version ", lines[0])
    assert lines[1].split()[:4] == ["connections", "1", "events/s", "0"], lines[1]
    assert lines[2].split()[:2] == ["subscriptions", "1"]
    assert max(map(len, lines)) <= 80
    workers = [line.split() for line in lines[lines.index("") :] if re.match(r"(parent|1|2) ", line)]
    assert [line[0] for line in workers][:3] == ["parent", "1", "2"]
    assert [int(line[1]) for line in workers[:3]] == [server.pid, *server.workers()]


def test_as_json_it_has_the_figures_of_each_host(server: Operated) -> None:
    with server.connect() as client:
        client.subscribe("orders")
        server.publish("orders", "placed")
        assert client.read_event()["event"] == "placed"
        done = server.run("top", "--json")
    assert done.returncode == 0, done.stderr
    [host] = json.loads(done.stdout)["hosts"]
    app = host["apps"]["1"]
    assert (app["connections"], app["subscriptions"]) == (1, 1)
    assert app["events"] >= 1
    assert app["deliveries"] >= 1
    assert (host["port"], host["redis"], len(host["workers"])) == (server.port, None, 3)
    assert host["channels"] == {"1": {"public": 1}}
    assert "app-secret" not in done.stdout


def test_in_a_terminal_it_is_live_until_ctrl_c(server: Operated) -> None:
    with in_terminal(server, "top") as terminal:
        terminal.wait_for("\x1b[?1049h")
        terminal.wait_for("connections 0 ")
        with server.connect():
            terminal.wait_for("connections 1 ")
        terminal.wait_for("connections 0 ")
        terminal.type(b"\x03")
        terminal.wait_for("\x1b[?1049l")
        assert terminal.process.wait(TIMEOUT) == 0
    assert "Traceback" not in terminal.shown


@pytest.fixture(scope="module")
def cluster() -> Iterator[tuple[Operated, Operated]]:
    with running_redis() as redis, operated() as one, operated() as other:
        for host in (one, other):
            host.configure(rest=f'[scaling]\nredis = "{redis.url}"\n')
            host.start()
        yield one, other


def test_any_host_of_a_cluster_shows_all_hosts(cluster: tuple[Operated, Operated]) -> None:
    one, other = cluster
    with one.connect(), other.connect():
        until(lambda: len(json.loads(one.run("top", "--json").stdout)["hosts"]) == 2, "the other host is known")
        done = one.run("top", "--once")
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    assert " 2 hosts, " in lines[0]
    rows = [line.split() for line in lines if re.match(rf"\S+:({one.port}|{other.port}) ", line)]
    assert [row[0].rpartition(":")[2] for row in rows] == [str(one.port), str(other.port)], (
        "the one that was asked first"
    )
    assert [row[1:5] for row in rows] == [["serving", "1", "0", "0"]] * 2, "both have rates"


def test_a_server_that_is_started_again_is_shown_again(cluster: tuple[Operated, Operated]) -> None:
    server, _ = cluster
    with in_terminal(server, "top", "--port", str(server.port)) as terminal:
        terminal.wait_for("serving")
        server.process.stop()
        terminal.wait_for(f"the server at port {server.port} does not run")
        server.start()

        def is_shown() -> bool:
            """Wait for one more frame; return whether the whole one before shows a server that answers."""
            terminal.wait_for("soundpost top")
            *_, frame, _ = terminal.shown.split("soundpost top")
            return "serving" in frame and "the server at port" not in frame

        until(is_shown, "it is shown again")  # a busy machine may show a server that listens, but does not answer yet


def test_a_server_that_does_not_run_is_said_at_once(server: Operated) -> None:
    port = free_port()
    done = server.run("top", "--port", str(port))
    assert done.returncode == 1
    assert f"soundpost: the server at port {port} does not run" in done.stderr
