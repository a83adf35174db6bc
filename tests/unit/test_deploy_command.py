"""``soundpost deploy``: what is printed and written, and what never is."""

from __future__ import annotations

import re
import stat

import pytest

from support.command_line import CommandLine, command_line

__all__ = ["command_line"]

TARGETS = ["nginx", "caddy", "supervisor", "systemd", "docker", "compose", "kubernetes"]
SECRET = "never-to-be-seen"
TOML = f"""\
[server]
port = 9000
path = "/ws"
hostname = "ws.example.com"

[[apps]]
id = "123456"
key = "app-key"
secret = "{SECRET}"
"""


@pytest.fixture
def configured(command_line: CommandLine) -> CommandLine:
    file = command_line.directory / "soundpost.toml"
    file.write_text(TOML)
    file.chmod(0o600)
    return command_line


@pytest.mark.parametrize("target", TARGETS)
def test_printed_is_the_configuration_and_beside_it_what_to_do(configured: CommandLine, target: str) -> None:
    result = configured.run("deploy", target)
    assert result.exit_code == 0, result.stderr
    assert result.stdout.startswith(("#", ";"))
    assert "9000" in result.stdout + result.stderr
    assert "\nNext, once it is written (--write)\n" in result.stderr
    assert "SOUNDPOST_PORT=9000" in result.stderr
    assert "VITE_REVERB_HOST=ws.example.com" in result.stderr
    assert "VITE_REVERB_PORT=443" in result.stderr
    assert "VITE_REVERB_SCHEME=https" in result.stderr


@pytest.mark.parametrize("target", TARGETS)
def test_a_secret_is_never_printed(configured: CommandLine, target: str) -> None:
    result = configured.run("deploy", target)
    assert SECRET not in result.stdout + result.stderr


@pytest.mark.parametrize("target", TARGETS)
def test_written_files_that_hold_a_secret_are_the_owners_only(configured: CommandLine, target: str) -> None:
    root = configured.directory / "root"
    result = configured.run("deploy", target, "--write", "--root", str(root))
    assert result.exit_code == 0, result.stderr
    written = [path for path in root.rglob("*") if path.is_file()]
    assert written
    for path in written:
        assert f"Wrote {path}" in result.stdout
        if SECRET in path.read_text():
            assert stat.S_IMODE(path.stat().st_mode) == 0o600
    holders = {str(path.relative_to(root)) for path in written if SECRET in path.read_text()}
    assert holders == {
        "compose": {"secrets/app_secret"},
        "kubernetes": {"soundpost-secret.yaml"},
    }.get(target, set())


@pytest.mark.parametrize(
    ("target", "places"),
    [
        (("nginx",), {"etc/nginx/conf.d/soundpost.conf"}),
        (("nginx", "--also-site"), {"etc/nginx/conf.d/soundpost.conf", "etc/nginx/snippets/soundpost.conf"}),
        (("nginx", "--whole"), {"etc/nginx/nginx.conf"}),
        (("caddy",), {"etc/caddy/soundpost.caddy"}),
        (("supervisor",), {"etc/supervisor/conf.d/soundpost.conf"}),
        (("systemd",), {"etc/systemd/system/soundpost.service"}),
        (("docker",), {"Dockerfile"}),
        (("compose",), {"compose.yaml", "Dockerfile", "secrets/app_secret"}),
        (("compose", "--with-nginx"), {"compose.yaml", "Dockerfile", "secrets/app_secret", "nginx.conf"}),
        (("kubernetes",), {"soundpost.yaml", "soundpost-secret.yaml"}),
    ],
)
def test_written_to_the_usual_place(configured: CommandLine, target: tuple[str, ...], places: set[str]) -> None:
    root = configured.directory / "root"
    assert configured.run("deploy", *target, "--write", "--root", str(root)).exit_code == 0
    assert {str(path.relative_to(root)) for path in root.rglob("*") if path.is_file()} == places


def test_a_file_that_exists_is_left_alone(configured: CommandLine) -> None:
    mine = configured.directory / "Dockerfile"
    mine.write_text("FROM mine\n")
    result = configured.run("deploy", "compose", "--write")
    assert result.exit_code == 1
    assert result.stderr.endswith(
        "soundpost: Dockerfile: there already, with another text; nothing was written. --force replaces it\n"
    )
    assert mine.read_text() == "FROM mine\n"
    assert not (configured.directory / "compose.yaml").exists()


def test_force_replaces_it(configured: CommandLine) -> None:
    mine = configured.directory / "Dockerfile"
    mine.write_text("FROM mine\n")
    assert configured.run("deploy", "compose", "--write", "--force").exit_code == 0
    assert "FROM python" in mine.read_text()
    assert {path.name for path in configured.directory.iterdir()} == {
        "Dockerfile",
        "compose.yaml",
        "secrets",
        "soundpost.toml",
    }


def test_written_twice_is_no_error(configured: CommandLine) -> None:
    configured.run("deploy", "docker", "--write")
    result = configured.run("deploy", "docker", "--write")
    assert result.exit_code == 0
    assert result.stdout == "Dockerfile is as it should be\n"


def test_where_it_may_not_write_it_says_so(configured: CommandLine) -> None:
    (configured.directory / "root").write_text("a file")
    result = configured.run("deploy", "systemd", "--write", "--root", "root")
    assert result.exit_code == 1
    assert "root/etc/systemd/system/soundpost.service cannot be written: " in result.stderr


@pytest.mark.parametrize("target", ["nginx", "caddy", "kubernetes"])
def test_a_proxy_needs_a_name(command_line: CommandLine, target: str) -> None:
    command_line.run("init")
    result = command_line.run("deploy", target)
    assert result.exit_code == 1
    assert "give --server-name ws.example.com" in result.stderr


def test_the_name_laravel_publishes_to_is_taken_unless_it_is_local(
    command_line: CommandLine, monkeypatch: pytest.MonkeyPatch
) -> None:
    command_line.run("init")
    monkeypatch.setenv("REVERB_HOST", "localhost")
    assert command_line.run("deploy", "nginx").exit_code == 1
    monkeypatch.setenv("REVERB_HOST", "ws.example.org")
    assert "server_name ws.example.org;" in command_line.run("deploy", "nginx").stdout


@pytest.mark.parametrize("target", ["supervisor", "systemd", "compose", "kubernetes"])
def test_a_server_that_is_to_stay_needs_credentials_that_stay(command_line: CommandLine, target: str) -> None:
    result = command_line.run("deploy", target, "--server-name", "ws.example.com")
    assert result.exit_code == 1
    assert "'soundpost init' writes a soundpost.toml to keep" in result.stderr


def test_without_credentials_the_env_lines_have_places_for_them(command_line: CommandLine) -> None:
    result = command_line.run("deploy", "nginx", "--server-name", "ws.example.com")
    assert result.exit_code == 0
    assert "warning: no app is configured here" in result.stderr
    assert "SOUNDPOST_APP_KEY=<app key>" in result.stderr


def test_variables_of_this_shell_are_named_for_a_service_does_not_have_them(
    configured: CommandLine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SOUNDPOST_APP_SECRET", "hush-hush")
    result = configured.run("deploy", "supervisor")
    assert "set in this shell, but not in that of a service: SOUNDPOST_APP_SECRET:" in result.stderr
    assert "hush-hush" not in result.stdout + result.stderr


def test_wrong_usage_is_told(configured: CommandLine) -> None:
    assert configured.run("deploy", "nginx", "--also-site", "--whole").exit_code == 2
    assert configured.run("deploy", "nginx", "--api", "secret").exit_code == 2
    assert configured.run("deploy", "caddy", "--certificate", "/c.pem").exit_code == 2
    assert configured.run("deploy", "apache").exit_code == 2


def test_nginx_forwards_below_the_prefix_and_names_the_limits(configured: CommandLine) -> None:
    text = configured.run("deploy", "nginx", "--connections", "50000", "--no-ipv6", "--nginx-version", "1.26").stdout
    assert re.findall(r"location (\S+ ?\S*) \{", text) == [
        "/ws/app/",
        "/ws/apps/",
        "/ws/users/",
        "= /ws/up",
        "= /ws/up/ready",
        "/",
        "/.well-known/acme-challenge/",
        "/",
    ]
    for line in (
        "server 127.0.0.1:9000;",
        "listen 443 ssl;",
        "http2 on;",
        "proxy_read_timeout 120s;",
        "proxy_buffering off;",
        "client_max_body_size 262144;",
        "proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for;",
        "#   worker_connections 100512;",
        "#   net.ipv4.ip_local_port_range = 10240 65535",
        "return 308 https://$host$request_uri;",
    ):
        assert line in text
    assert "[::]" not in text


def test_more_connections_than_ports_are_warned_of(configured: CommandLine) -> None:
    more = ("deploy", "nginx", "--connections", "80000")
    assert "let the server listen on a Unix socket" in configured.run(*more).stderr
    nodes = ("--node", "10.0.0.1:80", "--node", "10.0.0.2:80")
    assert "Unix socket" not in configured.run(*more, *nodes).stderr


def test_supervisor_knows_program_folder_and_user(configured: CommandLine) -> None:
    text = configured.run("deploy", "supervisor", "--user", "www-data", "--connections", "20000").stdout
    directory = configured.directory
    assert re.search(rf"^command=/\S+/soundpost start --config {directory}/soundpost.toml$", text, re.MULTILINE)
    for line in (
        f"directory={directory}",
        "user=www-data",
        "autorestart=true",
        "stopsignal=TERM",
        "stopwaitsecs=25",
        "minfds=21024",
    ):
        assert f"\n{line}\n" in text


def test_a_service_runs_as_the_owner_of_its_configuration_but_not_as_root(configured: CommandLine) -> None:
    text = configured.run("deploy", "systemd").stdout
    owner = (configured.directory / "soundpost.toml").owner()
    assert f"\nUser={'soundpost' if owner == 'root' else owner}\n" in text


def test_systemd_opens_what_a_setting_needs(configured: CommandLine) -> None:
    file = configured.directory / "soundpost.toml"
    text = configured.run("deploy", "systemd").stdout
    assert "\nCapabilityBoundingSet=\n" in text
    assert "ReadWritePaths" not in text
    file.write_text(TOML.replace("port = 9000", "port = 80"))
    assert "\nAmbientCapabilities=CAP_NET_BIND_SERVICE\n" in configured.run("deploy", "systemd").stdout
    file.write_text(TOML.replace("port = 9000", 'unix_socket = "/srv/s/soundpost.sock"'))
    assert "\nReadWritePaths=/srv/s\n" in configured.run("deploy", "systemd").stdout
    file.write_text(TOML + '[scaling]\nredis = "redis://127.0.0.1:6379"\n')
    assert "After=network-online.target redis-server.service" in configured.run("deploy", "systemd").stdout


def test_the_image_has_no_setting_of_this_machine(configured: CommandLine) -> None:
    file = configured.directory / "soundpost.toml"
    own = 'unix_socket = "/run/s.sock"\ntls = { certificate = "/etc/c.pem", key = "/etc/k.pem" }'
    file.write_text(TOML.replace("port = 9000", own))
    result = configured.run("deploy", "docker")
    assert "SOUNDPOST_SERVER_UNIX_SOCKET=null" in result.stdout
    assert "SOUNDPOST_SERVER_TLS_CERTIFICATE=null" in result.stdout
    assert "SOUNDPOST_SERVER_PORT=8080" in result.stdout
    assert "left out in the container" in result.stderr
    for line in ("USER 10001:10001", "STOPSIGNAL SIGTERM", "SOUNDPOST_SERVER_PATH=/ws", 'ENTRYPOINT ["soundpost"]'):
        assert line in result.stdout
