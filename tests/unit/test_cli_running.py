"""The private file by which a second shell finds a server that made its own credentials."""

from __future__ import annotations

import os
import stat
import subprocess
import sys

import msgspec
import pytest

from soundpost.errors import ConfigurationError
from soundpost.tools.cli.running_server import find_running, remove_server_file, write_server_file
from support.command_line import CommandLine, command_line

__all__ = ["command_line"]


def announce_at(port: int) -> None:
    assert write_server_file(port, f"http://127.0.0.1:{port}", "1", "key", "secret") is not None


def test_only_its_user_can_read_it(command_line: CommandLine) -> None:
    path = write_server_file(8080, "http://127.0.0.1:8080", "1", "key", "secret")
    assert path == command_line.runtime / "server-8080.json"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE(path.parent.stat().st_mode) & 0o077 == 0


@pytest.mark.usefixtures("command_line")
def test_found_while_its_process_lives() -> None:
    announce_at(9000)
    server = find_running(None, 8080)
    assert server is not None
    assert (server.port, server.app_id, server.key, server.secret) == (9000, "1", "key", "secret")
    assert find_running(9000, 8080) == server
    assert find_running(9001, 8080) is None


def test_not_found_when_its_process_is_gone(command_line: CommandLine) -> None:
    gone = subprocess.Popen([sys.executable, "-c", ""])
    gone.wait()
    announce_at(9000)
    path = command_line.runtime / "server-9000.json"
    content = msgspec.json.decode(path.read_bytes())
    path.write_bytes(msgspec.json.encode({**content, "pid": gone.pid}))
    assert find_running(None, 8080) is None


def test_not_found_when_another_process_has_its_number(command_line: CommandLine) -> None:
    announce_at(9000)
    path = command_line.runtime / "server-9000.json"
    content = msgspec.json.decode(path.read_bytes())
    path.write_bytes(msgspec.json.encode({**content, "started": "1"}))
    assert find_running(None, 8080) is None


@pytest.mark.usefixtures("command_line")
def test_of_several_the_one_at_the_usual_port() -> None:
    announce_at(9000)
    announce_at(8080)
    server = find_running(None, 8080)
    assert server is not None
    assert server.port == 8080


@pytest.mark.usefixtures("command_line")
def test_of_several_none_without_a_choice() -> None:
    announce_at(9000)
    announce_at(9001)
    with pytest.raises(ConfigurationError, match="on the ports 9000, 9001: choose one with --port"):
        find_running(None, 8080)


def test_withdrawn_at_the_end_but_not_for_another_process(command_line: CommandLine) -> None:
    announce_at(9000)
    path = command_line.runtime / "server-9000.json"
    content = msgspec.json.decode(path.read_bytes())
    path.write_bytes(msgspec.json.encode({**content, "pid": os.getppid()}))
    remove_server_file(path)
    assert path.exists()
    announce_at(9000)
    remove_server_file(path)
    assert not path.exists()


def test_a_broken_file_is_no_server(command_line: CommandLine) -> None:
    command_line.runtime.mkdir(parents=True)
    (command_line.runtime / "server-9000.json").write_text("{")
    assert find_running(None, 8080) is None


def test_a_place_that_cannot_be_written_keeps_nobody_from_starting(command_line: CommandLine) -> None:
    command_line.runtime.parent.mkdir()
    command_line.runtime.write_text("a file where the directory should be")
    assert write_server_file(9000, "http://127.0.0.1:9000", "1", "key", "secret") is None
    assert find_running(None, 8080) is None
