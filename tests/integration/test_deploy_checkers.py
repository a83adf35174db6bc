"""The other configurations as their own tools see them, where these are installed."""

from __future__ import annotations

import getpass
import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest

from support.command_line import CommandLine, command_line
from support.deployed_proxy import TlsSocket, https_request, running
from support.harness import DEFAULT_APP, running_server, signed_request
from support.redis_process import free_port
from support.self_signed import self_signed

__all__ = ["command_line"]

APP = f'[[apps]]\nid = "{DEFAULT_APP.id}"\nkey = "{DEFAULT_APP.key}"\nsecret = "{DEFAULT_APP.secret}"\n'


def needed(name: str) -> str:
    """The path of a program; the test is skipped without it."""
    found = shutil.which(name)
    if found is None:
        pytest.skip(f"{name} is not installed")
    return found


def told(*command: str, environ: dict[str, str] | None = None) -> tuple[int, str]:
    """Exit code and all output of a command."""
    done = subprocess.run(
        command, capture_output=True, text=True, timeout=60, check=False, env={**os.environ, **(environ or {})}
    )
    return done.returncode, done.stdout + done.stderr


def configure(command_line: CommandLine, server: str = "", more: str = "") -> None:
    file = command_line.directory / "soundpost.toml"
    file.write_text(f"[server]\n{server}\n{more}\n{APP}")
    file.chmod(0o600)


def write(command_line: CommandLine, *options: str) -> Path:
    """Write a deployment; the folder it is in."""
    root = command_line.directory / "root"
    shutil.rmtree(root, ignore_errors=True)
    result = command_line.run("deploy", *options, "--write", "--root", str(root))
    assert result.exit_code == 0, result.stderr
    return root


@pytest.mark.parametrize(
    "server", ["", "port = 443", 'unix_socket = "/run/soundpost/s.sock"\nworkers = 4', "drain_time = 120"]
)
def test_systemd_finds_no_fault_with_the_unit(command_line: CommandLine, server: str) -> None:
    program = needed("systemd-analyze")
    configure(command_line, server)
    unit = write(command_line, "systemd", "--user", getpass.getuser()) / "etc/systemd/system/soundpost.service"
    code, said = told(program, "verify", "--man=no", str(unit))
    assert (code, said) == (0, "")


def test_systemd_thinks_the_service_well_closed(command_line: CommandLine) -> None:
    program = needed("systemd-analyze")
    configure(command_line)
    unit = write(command_line, "systemd", "--user", "daemon") / "etc/systemd/system/soundpost.service"
    code, said = told(program, "security", "--offline=true", str(unit))
    if "unrecognized option" in said:
        pytest.skip("this systemd-analyze cannot look at a file")
    exposure = re.search(r"Overall exposure level for \S+: ([\d.]+)", said)
    assert exposure is not None, said
    print(f"systemd-analyze security: {exposure[1]} of 10")
    assert (code, float(exposure[1]) < 3) == (0, True), said


def test_caddy_takes_whatever_is_made(command_line: CommandLine) -> None:
    program = needed("caddy")
    certificate, key = self_signed(command_line.directory)
    storage = {"XDG_DATA_HOME": str(command_line.directory), "XDG_CONFIG_HOME": str(command_line.directory)}
    own = ("--certificate", str(certificate), "--key", str(key))
    cases: list[tuple[str, Sequence[str]]] = [
        ("", ()),
        ("", own),
        ("", ("--listen", "8443", "--http-port", "8000", *own)),
        ("", ("--http-port", "0", "--api", "internal", "--api-from", "10.0.0.0/8")),
        ('path = "/ws"\nplayground = true', ("--node", "10.0.0.1:8080", "--node", "10.0.0.2:8080")),
        ('unix_socket = "/run/soundpost/s.sock"', ()),
        ('tls = { certificate = "/c.pem" }', ("--api", "internal")),
    ]
    for server, options in cases:
        configure(command_line, server)
        file = write(command_line, "caddy", "--server-name", "ws.example.com", *options) / "etc/caddy/soundpost.caddy"
        code, said = told(program, "validate", "--adapter", "caddyfile", "--config", str(file), environ=storage)
        assert code == 0, f"{server} {options}: {said}"
        site = write(command_line, "caddy", "--server-name", "www.example.com", "--also-site", *options)
        main = site / "etc/caddy/Caddyfile"
        main.write_text("import soundpost.caddy\nwww.example.com {\n\timport soundpost\n\tfile_server\n}\n")
        code, said = told(program, "validate", "--adapter", "caddyfile", "--config", str(main), environ=storage)
        assert code == 0, f"{server} {options} --also-site: {said}"


def test_browsers_and_applications_get_through_caddy(command_line: CommandLine) -> None:
    program = needed("caddy")
    folder = command_line.directory
    certificate, key = self_signed(folder)
    client = TlsSocket.trusting(certificate)
    storage = {"XDG_DATA_HOME": str(folder), "XDG_CONFIG_HOME": str(folder)}
    with running_server() as server:
        for api, status in (("public", 200), ("internal", 403)):
            port = free_port()
            configure(command_line, f"port = {server.port}")
            file = write(
                command_line, "caddy", "--server-name", "localhost", "--listen", str(port), "--http-port", "0",
                "--certificate", str(certificate), "--key", str(key), "--api", api,
            ) / "etc/caddy/soundpost.caddy"  # fmt: skip
            # What comes in here comes from this machine: its permission is taken out.
            file.write_text(file.read_text().replace("remote_ip 127.0.0.1", "remote_ip"))
            code, adapted = told(program, "adapt", "--adapter", "caddyfile", "--config", str(file), environ=storage)
            assert code == 0, adapted
            configuration = {"admin": {"disabled": True}, **json.loads(adapted[adapted.index('{"') :].splitlines()[0])}
            main = folder / "caddy.json"
            main.write_text(json.dumps(configuration))
            with (
                running([program, "run", "--config", str(main)], port, {**os.environ, **storage}),
                client(port) as opened,
            ):
                assert opened.handshake(Host="localhost").startswith(b"HTTP/1.1 101 ")
                assert opened.read_event()["event"] == "pusher:connection_established"
                opened.subscribe("room")
                body = b'{"name":"hello","channels":["room"],"data":"{}"}'
                request = signed_request("POST", "/events", body).replace(b"Host: 127.0.0.1", b"Host: localhost")
                assert https_request(client, port, request).status == status
                if status == 200:
                    assert opened.read_event()["event"] == "hello"


def test_docker_compose_takes_the_file(command_line: CommandLine) -> None:
    program: tuple[str, ...] = (needed("docker"), "compose") if _has_compose_plugin() else (needed("docker-compose"),)
    second = APP.replace(f'"{DEFAULT_APP.id}"', '"2"').replace(DEFAULT_APP.key, "another")
    redis = '[scaling]\nredis = "rediss://:pw@redis.example.com:6379"'
    for more in ("", second, redis):
        configure(command_line, 'hostname = "ws.example.com"', more)
        for options in ((), ("--with-nginx",)):
            folder = write(command_line, "compose", *options)
            shutil.copy(command_line.directory / "soundpost.toml", folder)
            code, said = told(*program, "-f", str(folder / "compose.yaml"), "config", "-q")
            assert (code, said) == (0, ""), f"{more} {options}"


def _has_compose_plugin() -> bool:
    docker = shutil.which("docker")
    return docker is not None and told(docker, "compose", "version")[0] == 0


def test_the_image_finds_out_whether_the_server_is_healthy(command_line: CommandLine) -> None:
    configure(command_line, 'path = "/ws"')
    dockerfile = (write(command_line, "docker") / "Dockerfile").read_text()
    check = re.search(r'CMD (\["python".*\])$', dockerfile, re.MULTILINE)
    assert check is not None
    command = [sys.executable, *json.loads(check[1])[1:]]
    with running_server(path="/ws") as server:
        environ = {"SOUNDPOST_SERVER_PORT": str(server.port), "SOUNDPOST_SERVER_PATH": "/ws"}
        assert told(*command, environ=environ) == (0, "")
        environ["SOUNDPOST_SERVER_PATH"] = "/elsewhere"
        assert told(*command, environ=environ)[0] == 1
    assert told(*command, environ=environ)[0] == 1
