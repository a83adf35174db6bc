"""``soundpost status`` and the control socket."""

from __future__ import annotations

import json
import os
import re
import signal
import socket
import stat
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import msgspec
import pytest

from soundpost import __version__
from soundpost.compilation import build
from soundpost.core.app_settings import AppSettings
from support.harness import DEFAULT_APP, until
from support.operated import CALM, Operated, operated
from support.redis_process import free_port, running_redis


@pytest.fixture
def server() -> Iterator[Operated]:
    with operated() as made:
        made.configure()
        made.start()
        yield made


def control_socket(server: Operated) -> Path:
    return Path(server.shell.environ["XDG_RUNTIME_DIR"]) / "soundpost" / f"control-{server.port}-127.0.0.1.sock"


def answer(server: Operated, request: bytes) -> bytes:
    """Return the answer to a request on the socket; empty if there is none."""
    with socket.socket(socket.AF_UNIX) as client:
        client.settimeout(20)
        client.connect(str(control_socket(server)))
        try:
            client.sendall(request)
            with client.makefile("rb") as lines:
                return lines.readline()
        except ConnectionError:
            return b""


# What it says


def test_in_words_and_as_json(server: Operated) -> None:
    clients = [server.connect() for _ in range(3)]
    clients[0].subscribe("room")
    done = server.run("status")
    assert done.returncode == 0
    first, *lines = done.stdout.splitlines()
    assert first.startswith(
        f"soundpost {__version__}, process {server.pid}, serving at 127.0.0.1:{server.port} for "
    ), first
    file = server.shell.directory.resolve() / "soundpost.toml"
    assert lines == [
        "connections: 3",
        "app 1: 3 connections, 1 channel",
        f"runs: {build().summary()}",
        f"configuration: {file}",
    ]

    status = server.status()
    assert abs(status.pop("started_at") - server.shell.directory.stat().st_ctime) < 60
    assert status == {
        "version": __version__,
        "pid": server.pid,
        "host": "127.0.0.1",
        "port": server.port,
        "unix_socket": None,
        "draining": False,
        "connections": 3,
        "apps": [{"id": "1", "connections": 3, "channels": 1, "enabled": True}],
        "workers": [],
        "redis": None,
        "webhooks": [],
        "configuration": str(file),
        "build": msgspec.to_builtins(build()),
    }


@pytest.mark.parametrize("workers", [1, 2])
def test_a_disabled_app_is_called_so(workers: int) -> None:
    with operated() as server:
        other = AppSettings(id="2", key="key-2", secret="secret-2", enabled=False)
        server.configure(f"{CALM}workers = {workers}\n", apps=[DEFAULT_APP, other])
        server.start()
        lines = server.run("status").stdout.splitlines()
        assert lines[2:4] == ["app 1: 0 connections, 0 channels", "app 2 (disabled): 0 connections, 0 channels"]
        assert [app["enabled"] for app in server.status()["apps"]] == [True, False]


def test_with_workers_the_status_lists_each() -> None:
    with operated() as server:
        server.configure(f"{CALM}workers = 2\n")
        server.start()
        clients = [server.connect() for _ in range(10)]
        status = server.status()
        assert (status["connections"], len(clients)) == (10, 10)
        assert [worker["number"] for worker in status["workers"]] == [1, 2]
        assert sum(worker["connections"] for worker in status["workers"]) == 10
        lines = server.run("status").stdout.splitlines()
        assert [line.partition(", process")[0] for line in lines[3:-2]] == ["worker 1", "worker 2"]


@pytest.mark.parametrize("workers", [1, 2])
def test_with_redis_and_without_it(workers: int) -> None:
    with running_redis() as redis, operated() as server, operated() as other:
        for each in (server, other):
            each.configure(f"{CALM}workers = {workers}\n", rest=f'[scaling]\nredis = "{redis.url}"\n')
            each.start()
        clients = [server.connect(), other.connect()]
        until(lambda: server.status()["redis"] == {"state": "connected", "hosts": 2}, "they have met")
        status = server.run("status")
        assert "cluster: 2 hosts over Redis" in status.stdout.splitlines()
        assert "connections: 1" in status.stdout.splitlines(), "those of this host"
        redis.stop()
        until(lambda: server.status()["redis"] == {"state": "away", "hosts": 0}, "it is noticed")
        done = server.run("status")
        assert done.returncode == 0
        assert "Redis is away: this host serves alone" in done.stdout.splitlines()
        done = server.run("restart", "--all")
        assert done.returncode == 1
        assert done.stderr.startswith("soundpost: Redis is away, so the other hosts get no command")
        assert len(clients) == 2


@pytest.mark.parametrize("workers", [1, 2])
def test_one_that_is_draining_is_not_well(workers: int) -> None:
    with operated() as server:
        server.configure(f"{CALM}workers = {workers}\ndrain_delay = 600\n")
        server.start()
        server.signal(signal.SIGTERM)
        until(lambda: server.run("status").returncode == 1, "it is told to stop")
        done = server.run("status")
        assert f"process {server.pid}, draining at 127.0.0.1:" in done.stdout
        assert server.status()["draining"] is True
        assert server.run("restart").stderr == "soundpost: the server is stopping\n"
        assert server.process.stop(signal.SIGINT) == 0


# Which server


def test_without_a_server_it_says_so() -> None:
    with operated() as server:
        for command in ("status", "restart", "reload"):
            done = server.run(command, "--port", str(server.port))
            assert (done.returncode, done.stdout) == (1, "")
            said = f"soundpost: the server at port {server.port} does not run"
            if os.geteuid() == 0:
                assert re.match(rf"{said}: start it[.\n]", done.stderr)
                assert "sudo" not in done.stderr
            else:
                assert done.stderr.startswith(f"{said} as this user: start it. A server of another user answers to ")
                assert " to root: sudo " in done.stderr


def test_a_server_that_is_configured_here_and_does_not_run_is_not_taken_for_another(server: Operated) -> None:
    with operated() as other:
        other.shell.environ["XDG_RUNTIME_DIR"] = server.shell.environ["XDG_RUNTIME_DIR"]
        other.configure()
        done = other.run("restart")
        assert done.returncode == 1
        assert re.search(rf"Other servers run on the ports ([0-9]+, )*{server.port}\b", done.stderr)


def test_of_several_servers_one_is_to_be_chosen(server: Operated) -> None:
    with operated() as other:
        other.shell.environ["XDG_RUNTIME_DIR"] = server.shell.environ["XDG_RUNTIME_DIR"]
        other.configure()
        other.start()
        assert (server.status()["pid"], other.status()["pid"]) == (server.pid, other.pid), "the one configured here"
        server.shell.directory.joinpath("soundpost.toml").unlink()
        done = server.run("status")
        assert done.returncode == 1
        assert done.stderr.startswith("soundpost: several servers run here, on the ports ")
        assert done.stderr.endswith(": choose one with --port\n")
        ports = done.stderr.removeprefix("soundpost: several servers run here, on the ports ").partition(":")[0]
        assert {str(server.port), str(other.port)} <= set(ports.split(", ")), "there may be those of other tests"
        assert f"process {other.pid}," in server.run("status", "--port", str(other.port)).stdout


def test_a_killed_server_leaves_nothing_in_the_way(server: Operated) -> None:
    server.process.stop(signal.SIGKILL)
    assert control_socket(server).exists()
    done = server.run("status", "--port", str(server.port))
    assert done.returncode == 1
    assert "does not run" in done.stderr
    server.start()
    assert server.status()["pid"] == server.pid
    server.process.stop()
    assert not control_socket(server).exists()


def test_a_server_that_goes_leaves_the_socket_of_the_next_one() -> None:
    with operated() as server:
        server.configure('host = "127.0.0.1"\ndrain_time = 600\nworkers = 1\n')
        server.start()
        client = server.connect()
        server.connect()
        before = server.process
        server.signal(signal.SIGTERM)
        client.read_frame()  # the port is free by now
        server.start()
        assert server.status()["pid"] == server.pid
        assert before.stop(signal.SIGINT) == 0
        assert server.status()["pid"] == server.pid


# The socket


def test_it_is_for_its_user_alone(server: Operated) -> None:
    path = control_socket(server)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700


@pytest.mark.parametrize(
    "garbage",
    [
        b"\n",
        b"{}\n",
        b"GET / HTTP/1.1\r\n\r\n",
        b'{"do":"explode"}\n',
        b'{"do":"status","x":1}\n',
        b'{"do":"\xff\xfe"}\n',
        b"\x00" * 5_000 + b"\n",
        b"[" * 9_000 + b"\n",
        b"x" * 1_000_000,
        b"",
    ],
    ids=["empty", "no command", "HTTP", "unknown", "more", "not UTF-8", "zeros", "deep", "endless", "nothing"],
)
def test_garbage_is_refused(server: Operated, garbage: bytes) -> None:
    with socket.socket(socket.AF_UNIX) as client:
        client.settimeout(20)
        client.connect(str(control_socket(server)))
        try:
            client.sendall(garbage)
            client.shutdown(socket.SHUT_WR)
            with client.makefile("rb") as lines:
                said = lines.readline()
        except ConnectionError:
            said = b""
    assert said == b"" or b'"ok":false' in said
    assert server.status()["pid"] == server.pid
    server.process.stop()
    assert server.process.faults() == []


def test_who_asks_and_says_nothing_more_holds_nobody_up(server: Operated) -> None:
    with socket.socket(socket.AF_UNIX) as silent:
        silent.connect(str(control_socket(server)))
        silent.sendall(b'{"do":')
        assert answer(server, b'{"do":"status"}\n').startswith(b'{"ok":true')
        server.process.stop()
    assert server.process.faults() == []


def test_without_a_place_for_it_the_server_does_without() -> None:
    with operated() as server:
        runtime = server.shell.directory / "file"
        runtime.write_text("")
        server.shell.environ["XDG_RUNTIME_DIR"] = str(runtime)
        server.configure()
        server.start()
        assert "cannot reach this server: no socket for them" in server.said("no socket")
        server.connect(DEFAULT_APP).socket.close()
        assert "does not run" in server.run("status").stderr


@pytest.mark.skipif(not Path("/proc/self/fd").exists(), reason="needs a short name for a long path")
def test_a_long_path_is_no_hindrance(tmp_path: Path) -> None:
    with operated() as server:
        server.shell.environ["XDG_RUNTIME_DIR"] = str(tmp_path / ("long" * 30))
        server.configure()
        server.start()
        assert "connections: 0" in server.run("status").stdout
        assert server.run("restart").stdout == "restarting\n"


@pytest.mark.skipif(os.geteuid() != 0, reason="needs to be root to be somebody else")
def test_another_user_may_not_ask() -> None:
    with operated() as server:
        runtime = Path(server.shell.environ["XDG_RUNTIME_DIR"])
        (runtime / "soundpost").mkdir(parents=True)
        for folder in (runtime.parent, runtime, runtime / "soundpost"):
            folder.chmod(0o755)
        server.configure()
        server.start()
        client = socket.socket(socket.AF_UNIX)
        pid = os.fork()
        if pid == 0:
            status = 1
            try:
                os.setuid(65534)
                client.connect(str(control_socket(server)))
            except PermissionError:
                status = 0
            finally:
                os._exit(status)
        assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0


IMPOSTOR = """
import os, socket, sys
os.setuid({uid})
if {port}:
    web = socket.create_server(("127.0.0.{uid}"[:9], {port}))
control = socket.socket(socket.AF_UNIX)
control.bind({path!r})
control.listen()
print("listening", flush=True)
while True:
    visitor, _ = control.accept()
    try:
        visitor.recv(1000)
        visitor.sendall({reply!r})
    except OSError:
        pass
    visitor.close()
"""
HOSTILE = {
    "ok": True,
    "said": "\x1b]0;owned\x07\x9b31m",
    "user": "root",
    "status": {
        "version": "\x1b[2J",
        "pid": 1,
        "started_at": 1.0,
        "host": "\u202e",
        "port": 1,
        "unix_socket": "\x1b[31m",
        "draining": False,
        "connections": 1,
        "apps": [{"id": "\x9b", "connections": 1, "channels": 1}],
        "workers": [],
        "redis": None,
    },
}


@contextmanager
def impostor(name: int, reply: bytes, *, uid: int = 65534, port: int = 0) -> Iterator[None]:
    """A control socket of another user for the server at port ``name``; the user listens on ``port``, too."""
    with tempfile.TemporaryDirectory(prefix="sp-") as home:
        folder = Path(home) / "soundpost"
        folder.mkdir()
        for each in (Path(home), folder):
            each.chmod(0o777)
        script = IMPOSTOR.format(uid=uid, port=port, path=str(folder / f"control-{name}.sock"), reply=reply)
        process = subprocess.Popen([sys.executable, "-"], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        assert process.stdin is not None
        assert process.stdout is not None
        try:
            process.stdin.write(script.encode())
            process.stdin.close()
            assert process.stdout.readline() == b"listening\n"
            yield
        finally:
            process.kill()
            process.wait()
            process.stdout.close()


needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="needs to be root to be somebody else")


@needs_root
@pytest.mark.parametrize("command", ["status", "reload", "restart"])
def test_root_does_not_ask_whom_a_path_alone_vouches_for(command: str) -> None:
    port = free_port()
    with operated() as sh, impostor(port, json.dumps(HOSTILE).encode() + b"\n"):
        done = sh.run(command, "--port", str(port))
        assert done.returncode == 1
        assert done.stdout == ""
        assert f"/soundpost/control-{port}.sock belongs to user nobody, who does not listen on this port" in done.stderr
        assert "owned" not in done.stderr
        assert str(port) not in sh.run("status", "--port", "1").stderr, "nor is it named as one that runs here"


@needs_root
def test_an_impostor_does_not_stand_before_the_server_itself(server: Operated) -> None:
    with impostor(server.port, json.dumps(HOSTILE).encode() + b"\n"):
        assert server.status()["pid"] == server.pid


@needs_root
def test_of_two_users_who_listen_on_a_port_root_asks_neither() -> None:
    port = free_port()
    reply = json.dumps(HOSTILE).encode() + b"\n"
    with operated() as sh, impostor(port, reply, port=port):
        with impostor(port, reply, uid=1):
            assert "process 1 of user nobody, serving" in sh.run("status", "--port", str(port)).stdout
        with impostor(port, reply, uid=1, port=port):
            done = sh.run("status", "--port", str(port))
            assert done.returncode == 1
            assert re.search("several users have one: (nobody, daemon|daemon, nobody); ask as one", done.stderr)


@needs_root
@pytest.mark.parametrize("options", [(), ("--json",)], ids=["text", "json"])
def test_what_another_users_server_says_is_no_command_for_the_terminal(options: tuple[str, ...]) -> None:
    port = free_port()
    with operated() as sh, impostor(port, json.dumps(HOSTILE).encode() + b"\n", port=port):
        done = sh.run("status", "--port", str(port), *options)
        assert done.returncode == 0
        assert not set("\x1b\x07\x9b\u202e") & set(done.stdout)
        assert "\\u001b[2J" in done.stdout
        done = sh.run("restart", "--port", str(port))
        assert done.stdout == "\\u001b]0;owned\\u0007\\u009b31m\n"


@needs_root
@pytest.mark.parametrize(
    "reply",
    [b"", b"\n", b"x", b"x\n", b"[" * 100_000 + b"\n", b"x" * 3_000_000, b'{"ok":true}\n', b'{"ok":7}\n'],
    ids=["nothing", "a line", "no line", "no json", "nested", "without an end", "no status", "another type"],
)
def test_an_answer_that_is_none_is_an_error_in_one_line(reply: bytes) -> None:
    port = free_port()
    with operated() as sh, impostor(port, reply, port=port):
        done = sh.run("status", "--port", str(port))
        assert done.returncode == 1
        (line,) = done.stderr.splitlines()
        assert line.startswith("soundpost: the server ")


def test_a_server_without_a_port_of_its_own_is_named_by_its_unix_socket() -> None:
    with operated() as one, operated() as other:
        other.shell.environ["XDG_RUNTIME_DIR"] = one.shell.environ["XDG_RUNTIME_DIR"]
        for each in (one, other):
            each.configure(f'{CALM}unix_socket = "{each.shell.directory}/web.sock"\n')
            each.start()
        for each in (one, other):
            status = each.status()
            assert (status["pid"], status["unix_socket"]) == (each.pid, f"{each.shell.directory}/web.sock")
            assert f"serving at {each.shell.directory}/web.sock for" in each.run("status").stdout
        assert one.process.stop() == 0
        assert other.status()["pid"] == other.pid


def test_a_free_port_is_that_of_the_status() -> None:
    with operated() as server:
        server.configure(f"{CALM}port = 0\n")
        server.start()
        port = server.process.err[-1].rpartition(":")[0].rpartition(":")[2].split()[0]
        assert json.loads(server.run("status", "--json", "--port", port).stdout)["port"] == int(port)


# Two servers on one port


@pytest.mark.skipif(sys.platform != "linux", reason="other systems have one loopback address")
def test_two_servers_on_one_port_are_told_apart_by_their_addresses() -> None:
    with operated() as one, operated() as other:
        other.shell.environ["XDG_RUNTIME_DIR"] = one.shell.environ["XDG_RUNTIME_DIR"]
        other.port = one.port
        one.configure()
        other.configure(CALM.replace("127.0.0.1", "127.0.0.2"))
        for server in (one, other):
            server.start()
        assert (one.status()["pid"], other.status()["pid"]) == (one.pid, other.pid)

        done = one.run("status", "--port", str(one.port))
        assert done.returncode == 1
        assert f"at different addresses: {one.port} (127.0.0.1), {one.port} (127.0.0.2)" in done.stderr

        other.process.stop()
        done = other.run("restart")
        assert done.returncode == 1
        assert f"port {one.port} (127.0.0.2) does not run; another one does, at {one.port} (127.0.0.1)" in done.stderr


def test_a_server_that_listens_elsewhere_than_configured_is_found(server: Operated) -> None:
    server.configure("shutdown_timeout = 1\n")
    assert server.status()["pid"] == server.pid


@pytest.mark.parametrize("command", ["restart", "stop", "reload"])
def test_an_order_is_not_for_the_server_of_another_folder_with_other_apps(server: Operated, command: str) -> None:
    with operated() as other:
        other.shell.environ["XDG_RUNTIME_DIR"] = server.shell.environ["XDG_RUNTIME_DIR"]
        other.port = server.port
        other.configure(apps=[msgspec.structs.replace(DEFAULT_APP, id="77", key="other-key")])
        done = other.run(command)
        assert done.returncode == 1
        file = server.shell.directory.resolve() / "soundpost.toml"
        assert done.stderr == (
            f"soundpost: the server at port {server.port} is not the server of this folder: it was started with "
            f"{file} and serves app 1, but the configuration here has app 77. Nothing was done. To {command} that "
            f"server, go to its folder. To {command} it all the same, give --port {server.port}\n"
        )
        assert server.status()["pid"] == server.pid
        assert other.status()["apps"][0]["id"] == "1", "who only asks is answered"
        assert other.run(command, "--port", str(server.port)).returncode == 0


def test_the_server_of_this_folder_is_known_though_its_apps_were_changed(server: Operated) -> None:
    server.configure(apps=[msgspec.structs.replace(DEFAULT_APP, id="77", key="other-key")])
    assert "new: 77; gone: 1" in server.run("reload").stdout
    server.configure(apps=[msgspec.structs.replace(DEFAULT_APP, id="78", key="third-key")])
    assert server.run("restart", "--wait").stdout.endswith("restarted\n")
    assert server.status()["apps"][0]["id"] == "78"


def test_the_same_apps_in_another_folder_are_the_same_server(server: Operated) -> None:
    with operated() as other:
        other.shell.environ["XDG_RUNTIME_DIR"] = server.shell.environ["XDG_RUNTIME_DIR"]
        other.port = server.port
        other.configure()
        assert other.run("reload").returncode == 0


@pytest.mark.parametrize("address", ["unix_socket", "port"])
def test_the_server_of_this_folder_is_found_though_its_address_was_changed(server: Operated, address: str) -> None:
    before, later = server.port, free_port()
    line = f'unix_socket = "{server.shell.directory}/s.sock"' if address == "unix_socket" else f"port = {later}"
    server.configure(f"{CALM}{line}\n")
    assert server.status()["port"] == before
    done = server.run("restart", "--wait")
    assert (done.returncode, done.stdout) == (0, "restarting\nrestarted\n")
    assert done.stderr == (
        f"the server at port {before} belongs to this configuration, which has a new address since the server's start\n"
    )
    status = server.status()
    assert status["pid"] == server.pid
    assert (status["port"] == later) is (address == "port")
    assert (status["unix_socket"] is not None) is (address == "unix_socket")


def test_the_server_of_this_folder_is_known_though_its_configuration_has_a_mistake_now(server: Operated) -> None:
    with operated() as other:
        other.shell.environ["XDG_RUNTIME_DIR"] = server.shell.environ["XDG_RUNTIME_DIR"]
        other.configure()
        other.start()
        server.shell.directory.joinpath("soundpost.toml").write_text("[server]\nprot = 8080\n")
        assert f"process {server.pid}," in server.run("status").stdout
        assert "did you mean 'port'?" in server.run("restart").stderr
        assert server.run("stop", "--wait").stdout.endswith("stopped\n")
        assert other.status()["pid"] == other.pid


@pytest.mark.parametrize("command", ["reload", "restart", "stop"])
def test_an_order_is_for_no_other_server_where_the_configuration_has_a_mistake(server: Operated, command: str) -> None:
    with operated() as other:
        other.shell.environ["XDG_RUNTIME_DIR"] = server.shell.environ["XDG_RUNTIME_DIR"]
        other.shell.directory.joinpath("soundpost.toml").write_text("[server]\nprot = 8080\n")
        done = other.run(command)
    assert done.returncode == 1
    assert done.stderr.startswith("soundpost: no running server was started with the configuration here; others run ")
    assert done.stderr.endswith("did you mean 'port'?\n")
    assert server.status()["pid"] == server.pid


def test_numbers_have_their_nouns(server: Operated) -> None:
    client = server.connect()
    client.subscribe("room")
    assert server.run("status").stdout.splitlines()[2] == "app 1: 1 connection, 1 channel"
