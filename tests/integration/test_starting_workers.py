"""Workers that cannot start: the command ends, and leaves no process behind."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from support.cli_process import Shell, shell
from support.configuration import APP_TABLE
from support.harness import running_server


@pytest.fixture(name="sh")
def _shell(tmp_path: Path) -> Iterator[Shell]:
    with shell(tmp_path) as made:
        yield made


def test_a_worker_that_cannot_start_stops_the_start_with_the_reason_once(sh: Shell) -> None:
    sh.directory.joinpath("soundpost.toml").write_text(f'{APP_TABLE}[server.tls]\ncertificate = "missing.pem"\n')
    sh.directory.joinpath("soundpost.toml").chmod(0o600)

    done = sh.run("start", "--workers", "3", "--host", "127.0.0.1", "--port", "0")

    assert done.returncode == 1
    assert done.stdout == ""
    (line,) = [line for line in done.stderr.splitlines() if " WARNING " not in line]
    assert "soundpost.server: cannot use the certificate missing.pem: " in line


def test_a_port_in_use_is_said(sh: Shell) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]

        done = sh.run("start", "--workers", "3", "--host", "127.0.0.1", "--port", str(port))

    assert done.returncode == 1
    assert f"soundpost.server: port {port} on 127.0.0.1 is in use by another process" in done.stderr
    assert done.stderr.count(" ERROR ") == 1


def test_a_second_server_with_workers_does_not_share_the_port_of_the_first(sh: Shell) -> None:
    with running_server(workers=3) as server:
        done = sh.run("start", "--workers", "3", "--host", "127.0.0.1", "--port", str(server.port))

    assert done.returncode == 1
    assert "is in use by another process" in done.stderr
