"""The configuration for Nginx in a real Nginx, with TLS, before a real server."""

from __future__ import annotations

import socket
import ssl
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from itertools import product
from pathlib import Path

import msgspec
import pytest

from soundpost.core.app_settings import AppSettings
from support.command_line import CommandLine, command_line
from support.deployed_proxy import TlsSocket, https_request, main_file, mirror, nginx_test, running_nginx_with
from support.harness import (
    DEFAULT_APP,
    TIMEOUT,
    HttpResponse,
    RunningServer,
    http_request,
    running_server,
    signed_request,
    upgrade_request,
)
from support.nginx_process import temporary_paths
from support.redis_process import free_port
from support.self_signed import self_signed

__all__ = ["command_line"]

APP = f'[[apps]]\nid = "{DEFAULT_APP.id}"\nkey = "{DEFAULT_APP.key}"\nsecret = "{DEFAULT_APP.secret}"\n'


class Deployed:
    """Nginx with what the command wrote: the TLS port, a client for it, the port for plain HTTP."""

    def __init__(self, port: int, http_port: int, client: type[TlsSocket]) -> None:
        self.port = port
        self.http_port = http_port
        self.client = client

    def publish(self, app: AppSettings = DEFAULT_APP, data: str = "{}") -> HttpResponse:
        body = msgspec.json.encode({"name": "hello", "channels": ["room"], "data": data})
        return https_request(self.client, self.port, signed_request("POST", "/events", body, app=app))

    def get(self, path: str, *headers: str) -> HttpResponse:
        lines = [f"GET {path} HTTP/1.1", "Host: localhost", *headers, "", ""]
        return https_request(self.client, self.port, "\r\n".join(lines).encode())


@contextmanager
def deployed(command_line: CommandLine, server: str, *options: str, apps: str = APP) -> Iterator[Deployed]:
    """Nginx before a server with the settings ``server``, and with further options of the command."""
    folder = command_line.directory
    certificate, key = self_signed(folder)
    file = folder / "soundpost.toml"
    file.write_text(f"[server]\n{server}\n{apps}")
    file.chmod(0o600)
    port, http_port = free_port(), free_port()
    root = folder / "root"
    result = command_line.run(
        "deploy", "nginx", "--server-name", "localhost", "--listen", str(port), "--http-port", str(http_port),
        "--certificate", str(certificate), "--key", str(key), "--write", "--root", str(root), *options,
    )  # fmt: skip
    assert result.exit_code == 0, result.stderr
    configuration = main_file(folder, f"include {root}/etc/nginx/conf.d/soundpost.conf;")
    assert nginx_test(configuration) == ""
    with running_nginx_with(configuration, port):
        yield Deployed(port, http_port, TlsSocket.trusting(certificate))


MATRIX = [
    (*node, *api, *site)
    for node, api, site in product(
        [(), ("--node", "10.0.0.1:8080", "--node", "[::1]:8081"), ("--node", "unix:/run/a.sock")],
        [(), ("--api", "internal", "--api-from", "10.0.0.0/8")],
        [(), ("--also-site",), ("--whole",), ("--http-port", "0")],
    )
]
SERVERS = {
    "plain": "",
    "prefix": 'path = "/a/b"\nplayground = true',
    "unix": 'unix_socket = "/run/soundpost/soundpost.sock"',
    "tls": 'tls = { certificate = "/c.pem" }',
}


@pytest.mark.parametrize("settings", SERVERS.values(), ids=SERVERS)
def test_nginx_accepts_whatever_is_made(command_line: CommandLine, settings: str) -> None:
    folder = command_line.directory
    certificate, key = self_signed(folder)
    file = folder / "soundpost.toml"
    file.write_text(f"[server]\n{settings}\n{APP}")
    file.chmod(0o600)
    for number, options in enumerate(MATRIX):
        root = folder / str(number)
        common = ("--server-name", "localhost", "--certificate", str(certificate), "--key", str(key))
        ports: tuple[str, ...] = ("--listen", str(free_port()))
        if "--http-port" not in options:
            ports += ("--http-port", str(free_port()))
        result = command_line.run("deploy", "nginx", *common, *ports, *options, "--write", "--root", str(root))
        assert result.exit_code == 0, result.stderr
        site = root / "etc/nginx/conf.d/soundpost.conf"
        inside = f"include {site};"
        if "--also-site" in options:
            listen = f"listen {free_port()} ssl; ssl_certificate {certificate}; ssl_certificate_key {key};"
            inside += f"server {{ {listen} include {root}/etc/nginx/snippets/soundpost.conf; location / {{ }} }}"
        if "--whole" in options:
            whole = root / "etc/nginx/nginx.conf"
            text = whole.read_text().replace("http {", f"http {{\n{temporary_paths(folder)}", 1)
            whole.write_text(text.replace("access_log off;", "", 1))
            said = nginx_test(whole, "-g", f"pid {folder}/nginx.pid; error_log {folder}/error.log;")
        else:
            said = nginx_test(main_file(folder, inside))
        # Of the limit of this machine, not of the configuration.
        lines = [line for line in said.splitlines() if "exceed open file resource limit" not in line]
        assert lines == [], f"{options}: {said}"


@pytest.mark.parametrize("path", ["", "/ws"])
def test_browsers_and_applications_get_through(command_line: CommandLine, path: str) -> None:
    with (
        running_server(path=path) as server,
        deployed(command_line, f'port = {server.port}\npath = "{path}"') as proxy,
        proxy.client(proxy.port) as client,
    ):
        assert client.handshake(f"{path}/app/app-key?protocol=7").startswith(b"HTTP/1.1 101 ")
        assert client.read_event()["event"] == "pusher:connection_established"
        client.subscribe("room")
        body = b'{"name":"hello","channels":["room"],"data":"{}"}'
        request = signed_request("POST", "/events", body).replace(b"POST ", b"POST " + path.encode())
        assert https_request(proxy.client, proxy.port, request).status == 200
        assert client.read_event()["event"] == "hello"
        assert proxy.get(f"{path}/up").status == 200


def test_an_internal_api_is_refused_outside_and_open_to_whom_it_is_said(command_line: CommandLine) -> None:
    """This machine may use it. What comes in here comes from this machine, so its permission is taken out."""
    with running_server() as server:
        with deployed(command_line, f"port = {server.port}", "--api", "internal") as proxy:
            assert proxy.publish().status == 200
        site = command_line.directory / "root/etc/nginx/conf.d/soundpost.conf"
        site.write_text(site.read_text().replace("allow 127.0.0.1;", ""))
        listening = int(site.read_text().partition("listen ")[2].split()[0])
        client = TlsSocket.trusting(command_line.directory / "server.crt")
        with running_nginx_with(command_line.directory / "nginx.conf", listening):
            refused = Deployed(listening, 0, client)
            assert refused.publish().status == 403
            with client.open(listening):
                pass
        assert server.publish("room", "hello").status == 200, "inside it is open"


def test_the_server_is_told_who_asks_and_how(command_line: CommandLine) -> None:
    with mirror() as port, deployed(command_line, f"port = {port}") as proxy:
        for path in ("/app/app-key?protocol=7", "/apps/1/channels"):
            seen = proxy.get(path, "X-Forwarded-For: 203.0.113.9", "X-Forwarded-Proto: ftp").json()
            assert seen["line"] == f"GET {path} HTTP/1.1"
            assert seen["host"] == f"localhost:{proxy.port}"
            assert seen["x-real-ip"] == "127.0.0.1"
            assert seen["x-forwarded-for"].endswith(", 127.0.0.1"), "what the client claims is not the last"
            assert seen["x-forwarded-proto"] == "https"
            assert "upgrade" not in seen
            assert seen.get("connection", "") == ""
        upgrade = https_request(proxy.client, proxy.port, upgrade_request()).json()
        assert (upgrade["upgrade"], upgrade["connection"]) == ("websocket", "upgrade")


def test_a_connection_that_says_nothing_outlives_the_ping_interval(command_line: CommandLine) -> None:
    patient = AppSettings(id="1", key="app-key", secret="app-secret", activity_timeout=1, ping_interval=1)
    toml = APP + "activity_timeout = 1\nping_interval = 1\n"
    with (
        running_server(apps=(patient,)) as server,
        deployed(command_line, f"port = {server.port}", apps=toml) as proxy,
        proxy.client.open(proxy.port) as client,
    ):
        assert client.read_event()["event"] == "pusher:ping"
        client.send_event("pusher:pong")
        client.socket.settimeout(3)
        with pytest.raises(TimeoutError):  # three intervals of silence, and nobody ends it
            client.read_frame()
        client.socket.settimeout(TIMEOUT)
        client.subscribe("room")


def test_plain_http_is_sent_on_without_a_change_of_method(command_line: CommandLine) -> None:
    with running_server() as server, deployed(command_line, f"port = {server.port}") as proxy:
        answer = http_request(proxy.http_port, b"POST /apps/1/events?x=1 HTTP/1.1\r\nHost: localhost\r\n\r\n")
        assert answer.status == 308
        assert answer.headers["location"] == f"https://localhost:{proxy.port}/apps/1/events?x=1"


def test_large_events_and_unknown_addresses(command_line: CommandLine) -> None:
    """Nginx takes what the server takes: what is too large gets the server's answer, which says why."""
    with running_server() as server, deployed(command_line, f"port = {server.port}") as proxy:
        answer = proxy.publish(data="x" * 200_000)
        assert answer.status == 413
        assert b"data" in answer.body
        assert proxy.publish(data="x" * 10_000).status == 200
        wrong = proxy.get("/application/app-key")
        assert wrong.status == 404
        assert b"/app/ and /apps/" in wrong.body


def test_a_server_on_a_unix_socket(command_line: CommandLine) -> None:
    folder, inside = command_line.directory, free_port()
    path = folder / "soundpost.sock"
    with (
        running_server(unix_socket=str(path), port=0),
        deployed(command_line, f'unix_socket = "{path}"\nport = {inside}') as proxy,
        proxy.client.open(proxy.port) as client,
    ):
        client.subscribe("room")
        body = b'{"name":"hello","channels":["room"],"data":"{}"}'
        assert http_request(inside, signed_request("POST", "/events", body)).status == 200, "the inner port"
        assert client.read_event()["event"] == "hello"
        assert proxy.publish().status == 200
        assert client.read_event()["event"] == "hello"


def test_a_server_with_tls_of_its_own(command_line: CommandLine) -> None:
    certificate, key = self_signed(command_line.directory)
    own = {"certificate": str(certificate), "key": str(key)}
    with (
        running_server(tls=own) as server,
        deployed(command_line, f'port = {server.port}\ntls = {{ certificate = "{certificate}" }}') as proxy,
        proxy.client.open(proxy.port) as client,
    ):
        client.subscribe("room")
        assert proxy.publish().status == 200


def test_of_several_servers_one_that_is_gone_is_passed_over(command_line: CommandLine) -> None:
    with ExitStack() as stack:
        server: RunningServer = stack.enter_context(running_server())
        gone = free_port()
        nodes = ("--node", f"127.0.0.1:{gone}", "--node", f"127.0.0.1:{server.port}")
        proxy = stack.enter_context(deployed(command_line, "", *nodes))
        for _ in range(6):
            with proxy.client.open(proxy.port) as client:
                client.subscribe("room")
            assert proxy.publish().status == 200


def test_browsers_that_speak_http2_get_it(command_line: CommandLine) -> None:
    with running_server() as server, deployed(command_line, f"port = {server.port}") as proxy:
        context = ssl.create_default_context(cafile=str(proxy.client.authority))
        context.set_alpn_protocols(["h2", "http/1.1"])
        with (
            socket.create_connection(("127.0.0.1", proxy.port), TIMEOUT) as plain,
            context.wrap_socket(plain, server_hostname="localhost") as client,
        ):
            assert client.selected_alpn_protocol() == "h2"


def test_connections_to_the_server_are_kept_for_the_api(command_line: CommandLine) -> None:
    with mirror() as port, deployed(command_line, f"port = {port}") as proxy:
        connections = {proxy.get("/apps/1/channels").json()["connection number"] for _ in range(5)}
        assert connections == {1}


DEBIAN = """\
user www-data;
worker_processes auto;
error_log /var/log/nginx/error.log;

events {
\tworker_connections 768;
\t# multi_accept on;
}

http {
\tinclude /etc/nginx/conf.d/*.conf;
}
"""


@pytest.mark.skipif(sys.platform != "linux", reason="the commands are for GNU sed")
def test_the_commands_for_nginx_conf_do_what_they_say(command_line: CommandLine) -> None:
    file = command_line.directory / "root/etc/nginx/nginx.conf"
    file.parent.mkdir(parents=True)
    file.write_text(DEBIAN)
    options = ("deploy", "nginx", "--server-name", "localhost", "--connections", "20000", "--root", "root")
    commands = [
        line.strip() for line in command_line.run(*options).stderr.splitlines() if " /etc/nginx/nginx.conf" in line
    ]
    commands = [command.replace("/etc/nginx/nginx.conf", str(file)) for command in commands if command[0] != "#"]
    assert len(commands) == 3
    for command in (*commands, *commands):  # run again, they change nothing
        subprocess.run(command, shell=True, check=True)
    assert "sed" not in command_line.run(*options).stderr, "now there is nothing left to do"
    folder = command_line.directory
    text = file.read_text().replace("user www-data;", "").replace("include /etc/nginx/conf.d/*.conf;", "")
    for line in ("worker_rlimit_nofile 41024;", "worker_shutdown_timeout 1h;", "worker_connections 40512;"):
        assert text.count(line) == 1
    own = f"pid {folder}/nginx.pid;\nerror_log {folder}/error.log;\n"
    text = text.replace("error_log /var/log/nginx/error.log;", own)
    file.write_text(text.replace("http {", f"http {{ {temporary_paths(folder)}"))
    said = [line for line in nginx_test(file).splitlines() if "exceed open file resource limit" not in line]
    assert said == []


def test_nginx_starts_in_its_container_before_there_is_a_certificate(command_line: CommandLine, tmp_path: Path) -> None:
    (command_line.directory / "soundpost.toml").write_text(APP)
    options = ("--server-name", "ws.example.com", "--certificate", "/no/chain.pem", "--key", "/no/key.pem")
    ports = ("--http-port", str(free_port()), "--listen", str(free_port()))
    result = command_line.run("deploy", "compose", "--with-nginx", "--write", *options, *ports)
    assert result.exit_code == 0, result.stderr
    file = tmp_path / "nginx.conf"
    text = (command_line.directory / "nginx.conf").read_text().replace("access_log off;", temporary_paths(tmp_path), 1)
    file.write_text(text)
    said = nginx_test(file, "-g", f"pid {tmp_path}/nginx.pid; error_log {tmp_path}/error.log;")
    assert [line for line in said.splitlines() if "exceed open file resource limit" not in line] == []


def test_files_are_where_nginx_conf_includes_them() -> None:
    """Debian's, Fedora's and nginx.org's nginx.conf all include conf.d/*.conf within http { … }."""
    installed = Path("/etc/nginx/nginx.conf")
    if not installed.exists():
        pytest.skip("no /etc/nginx/nginx.conf on this machine")
    assert "include /etc/nginx/conf.d/*.conf;" in installed.read_text()
