"""``soundpost stop`` and ``--wait``: orders whose end is waited for."""

from __future__ import annotations

import re
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from soundpost.server.processes.control_client import ask_server
from support.operated import CALM, Operated, operated
from support.redis_process import free_port


@pytest.fixture(params=[1, 2], ids=["one process", "workers"])
def server(request: pytest.FixtureRequest) -> Iterator[Operated]:
    with operated() as made:
        made.configure(f"{CALM}workers = {request.param}\n")
        made.start()
        yield made


def test_a_server_is_stopped_and_that_is_waited_for(server: Operated) -> None:
    client = server.connect()
    done = server.run("stop", "--wait")
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout == "stopping, clients are disconnected at once\nstopped\n"
    assert server.process.exit_code() == 0
    assert client.read_close_code() == 4200
    log = server.process.rest_of_err()
    asked, ended = (line.partition(": ")[2] for line in log[-2:])
    assert asked == "soundpost stop: stopping, clients are disconnected at once"
    assert re.fullmatch(r"stopped in \d\.\d\d s: 1 client was disconnected", ended)


def test_a_stop_that_drains_says_for_how_long() -> None:
    with operated() as server:
        server.configure('host = "127.0.0.1"\ndrain_time = 600\ndrain_delay = 300\n')
        server.start()
        server.connect()
        assert server.run("stop").stdout == "stopping, clients are disconnected over 600 s, after 300 s\n"
        done = server.run("stop")
        assert (done.returncode, done.stderr) == (1, "soundpost: the server is stopping already\n")
        assert server.process.stop(signal.SIGTERM) == 0
        assert "SIGTERM: all clients are disconnected at once" in "\n".join(server.process.rest_of_err())


def test_without_a_server_nothing_is_stopped(server: Operated) -> None:
    server.process.stop()
    done = server.run("stop", "--wait")
    assert done.returncode == 1
    assert "does not run" in done.stderr


def test_who_would_start_it_again_is_named() -> None:
    with operated() as server:
        server.shell.environ |= {"SUPERVISOR_ENABLED": "1", "SUPERVISOR_PROCESS_NAME": "realtime"}
        server.configure()
        server.start()
        assert "'supervisorctl stop realtime' keeps it stopped" in server.run("stop").stdout


def test_a_restart_is_waited_for(server: Operated) -> None:
    before = server.status()
    for _ in range(2):
        done = server.run("restart", "--wait")
        assert (done.returncode, done.stderr) == (0, "")
        assert done.stdout.startswith("restarting")
        assert done.stdout.endswith("\nrestarted\n")
    after = server.status()
    assert after["pid"] == before["pid"]
    workers = [worker["pid"] for worker in after["workers"]]
    assert not set(workers) & {worker["pid"] for worker in before["workers"]}
    assert workers or after["started_at"] > before["started_at"]


def test_a_server_that_restarts_can_be_stopped(server: Operated) -> None:
    server.run("restart")
    done = server.run("stop")
    assert (done.returncode, done.stderr) == (0, "")
    assert server.process.exit_code() == 0


def test_a_server_that_restarts_answers_at_every_moment(server: Operated, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_RUNTIME_DIR", server.shell.environ["XDG_RUNTIME_DIR"])
    server.run("restart")
    while True:
        reply = ask_server("restart progress", f"{server.port}-127.0.0.1")
        assert reply is not None
        if reply.done:
            break


def test_a_server_that_restarts_at_another_address_leaves_no_control_socket() -> None:
    with operated() as server:
        server.configure(CALM)
        server.start()
        folder = Path(server.shell.environ["XDG_RUNTIME_DIR"]) / "soundpost"
        assert [file.name for file in folder.glob("*.sock")] == [f"control-{server.port}-127.0.0.1.sock"]
        port = free_port()
        server.configure(f"{CALM}port = {port}\n")
        assert server.run("restart", "--wait").returncode == 0
        assert [file.name for file in folder.glob("*.sock")] == [f"control-{port}-127.0.0.1.sock"]


def test_a_restart_makes_a_control_socket_that_was_removed_anew() -> None:
    with operated() as server:
        server.configure(CALM)
        server.start()
        (file,) = (Path(server.shell.environ["XDG_RUNTIME_DIR"]) / "soundpost").glob("*.sock")
        file.unlink()
        server.signal(signal.SIGHUP)
        server.process.wait_for_start()
        assert server.run("status").returncode == 0


def test_a_restart_that_cannot_begin_fails(server: Operated) -> None:
    server.configure(f"{CALM}prot = 1\n")
    done = server.run("restart", "--wait", "--port", str(server.port))
    assert (done.returncode, done.stdout) == (1, "")
    assert "unknown key 'prot'" in done.stderr


def test_waiting_is_for_one_server(server: Operated) -> None:
    assert server.run("restart", "--all", "--wait").returncode == 2


def test_every_stop_is_one_line_of_the_log(server: Operated) -> None:
    server.process.stop(signal.SIGINT)
    lines = [line.partition(": ")[2] for line in server.process.rest_of_err() if " INFO " in line]
    assert lines[1:-1] == ["SIGINT: stopping, all clients are disconnected at once"]
    assert re.fullmatch(r"stopped in \d\.\d\d s: no client was connected", lines[-1])
