"""What the deployments are made from: addresses, times, sizes."""

from __future__ import annotations

import msgspec
import pytest

from soundpost.config.settings import ServerSettings, Settings, TlsSettings
from soundpost.core.app_settings import AppSettings
from soundpost.errors import ConfigurationError
from soundpost.tools.deploy import DeployPlan
from soundpost.tools.deploy.installed_nginx import http2_is_a_directive, missing_directives
from soundpost.tools.deploy.sizes import (
    kernel_settings,
    open_files,
    open_files_limit,
    proxy_connections,
    proxy_open_files,
)

APP = AppSettings(id="1", key="app-key", secret="app-secret")


def plan(
    *, apps: tuple[AppSettings, ...] = (APP,), server: dict[str, object] | None = None, **more: object
) -> DeployPlan:
    settings = Settings(server=msgspec.convert(server or {}, ServerSettings), apps=apps)
    return DeployPlan(settings=settings, **{"server_name": "ws.example.com", **more})  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("host", "upstream"),
    [
        ("0.0.0.0", "127.0.0.1:8080"),
        ("127.0.0.1", "127.0.0.1:8080"),
        ("::", "[::1]:8080"),
        ("10.1.2.3", "10.1.2.3:8080"),
    ],
)
def test_a_proxy_on_the_same_machine_reaches_the_server_where_it_listens(host: str, upstream: str) -> None:
    assert plan(server={"host": host}).upstreams == (upstream,)


def test_a_unix_socket_takes_the_place_of_the_port() -> None:
    behind = plan(server={"unix_socket": "/run/soundpost/s.sock"})
    assert behind.upstreams == ("unix:/run/soundpost/s.sock",)
    assert behind.backend == ("http", "127.0.0.1", 8080)


def test_nodes_take_the_place_of_the_server_that_is_configured() -> None:
    several = plan(server={"unix_socket": "/s.sock"}, nodes=("10.0.0.1:8080", "10.0.0.2:8080"))
    assert several.upstreams == ("10.0.0.1:8080", "10.0.0.2:8080")
    assert several.unix_socket is None
    assert several.backend == ("http", "10.0.0.1", 8080)


def test_a_server_with_tls_of_its_own_is_reached_over_tls_by_its_name() -> None:
    settings = Settings(server=ServerSettings(hostname="a.example.com", tls=TlsSettings(certificate="/c")), apps=(APP,))
    assert DeployPlan(settings=settings, server_name="b.example.com").backend == ("https", "a.example.com", 8080)


@pytest.mark.parametrize(
    ("public_url", "host"),
    [
        ("https://ws.example.com:8443", "ws.example.com"),
        ("https://ws.example.com", "127.0.0.1"),
        ("", "127.0.0.1"),
        (None, "127.0.0.1"),
    ],
)
def test_the_certificate_is_for_the_public_name_if_browsers_connect_to_the_same_port(
    public_url: str | None, host: str
) -> None:
    server = ServerSettings(public_url=public_url, port=8443, tls=TlsSettings(certificate="/c"))
    assert DeployPlan(settings=Settings(server=server, apps=(APP,)), server_name="a").backend == ("https", host, 8443)
    assert msgspec.structs.replace(server, tls=TlsSettings()).certificate_host is None


def test_the_idle_timeout_is_longer_than_any_silence_of_any_app() -> None:
    patient = AppSettings(id="2", key="k", secret="s", activity_timeout=120, ping_interval=300)
    for apps, silence in (((APP,), 60), ((APP, patient), 300), ((patient, APP), 300)):
        assert plan(apps=apps).longest_idle_time == silence
        assert plan(apps=apps).idle_timeout > silence + 30


def test_whoever_stops_the_server_waits_longer_than_its_own_limits() -> None:
    assert plan(server={"drain_time": 30, "drain_delay": 5, "shutdown_timeout": 7}).stop_seconds > 42
    assert plan().stop_seconds > 15
    assert plan(server={"drain_time": 0, "shutdown_timeout": 1}).stop_seconds > 1


def test_certificates_are_those_of_certbot_unless_others_are_named() -> None:
    assert plan().certificate_file == "/etc/letsencrypt/live/ws.example.com/fullchain.pem"
    assert plan(key="/k.pem").key_file == "/k.pem"


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"server": {"port": 0}}, "port 0 takes another port"),
        ({"connections": 0}, "--connections 0"),
        ({"server_name": "ws.example.com; }"}, "--server-name"),
        ({"server_name": ""}, "--server-name"),
        ({"server_name": "a..b"}, "--server-name"),
        ({"server_name": 64 * "a"}, "--server-name"),
        ({"nodes": ("10.0.0.1",)}, "--node '10.0.0.1'"),
        ({"api_from": ("everybody",)}, "--api-from"),
        ({"certificate": "/a b.pem"}, "--certificate"),
        ({"key": "/k;.pem"}, "--key"),
        ({"tls_port": 0}, "--listen"),
        ({"http_port": 70_000}, "--http-port"),
        ({"server": {"unix_socket": "/a b"}}, "server.unix_socket"),
    ],
)
def test_what_would_break_a_configuration_is_refused(wrong: dict[str, object], said: str) -> None:
    with pytest.raises(ConfigurationError, match=said):
        plan(**wrong)  # type: ignore[arg-type]


@pytest.mark.parametrize("connections", [1, 1_000, 10_000, 100_000, 1_000_000])
def test_sizes_are_enough(connections: int) -> None:
    assert open_files(connections) > connections
    assert open_files_limit(connections) >= open_files(connections)
    assert proxy_connections(connections) > 2 * connections
    assert proxy_open_files(connections) > proxy_connections(connections)


def test_the_kernel_is_asked_only_for_what_is_needed() -> None:
    assert set(kernel_settings(1_000, through_tcp=True)) == {"net.core.somaxconn", "net.ipv4.tcp_max_syn_backlog"}
    assert "net.ipv4.ip_local_port_range" in kernel_settings(30_000, through_tcp=True)
    assert "net.ipv4.ip_local_port_range" not in kernel_settings(30_000, through_tcp=False)
    assert "fs.nr_open" in kernel_settings(1_000_000, through_tcp=True)


@pytest.mark.parametrize(
    ("version", "directive"),
    [("", False), ("1.22.1", False), ("1.25.0", False), ("1.25.1", True), ("1.26", True), ("1.28.0", True)],
)
def test_http2_as_this_nginx_knows_it(version: str, directive: bool) -> None:
    assert http2_is_a_directive(version) is directive


def test_what_nginx_conf_lacks_is_told_as_commands() -> None:
    debian = "user www-data;\nevents {\n\tworker_connections 768; # worker_connections 90000;\n}\n"
    steps = "\n".join(missing_directives(debian, 1_000))
    assert "it is 768, 2512 are needed" in steps
    assert "sed -i 's/worker_connections .*;/worker_connections 2512;/' /etc/nginx/nginx.conf" in steps
    assert "worker_rlimit_nofile 3024;" in steps
    assert "sed -i 's/worker_rlimit_nofile .*;/" in missing_directives("worker_rlimit_nofile 99;", 1_000)[2]
    enough = "worker_rlimit_nofile 9000;worker_shutdown_timeout 1h; events { worker_connections 4096; }"
    assert missing_directives(enough, 1_000) == []
