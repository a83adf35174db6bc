"""The metrics of a running server, as Prometheus finds them."""

from __future__ import annotations

import os
import re
import resource
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from soundpost.config.settings import MetricsSettings
from soundpost.core.app_settings import AppSettings
from soundpost.core.figures import AppFigures
from soundpost.server.figures.host_figures import HostFigures, RedisFigures
from soundpost.server.metrics.exposition import metrics_text
from soundpost.server.webhooks.figures import EndpointFigures
from support.harness import DEFAULT_APP, RawSocket, RunningServer, running_server, signed_request, until
from support.operated import CALM, operated
from support.redis_process import free_port
from support.scraped import Metrics, get, lint, metrics_url, scrape, scrape_until

ON = MetricsSettings(port=0)
TOKEN = "a-token-of-the-tests"


@pytest.fixture(scope="module", params=[1, 2], ids=["one process", "workers"])
def server(request: pytest.FixtureRequest) -> Iterator[RunningServer]:
    with running_server(metrics=ON, workers=request.param) as running:
        yield running


def subscribed(server: RunningServer, *channels: str) -> RawSocket:
    client = server.connect()
    for channel in channels:
        client.send_event("pusher:subscribe", {"channel": channel})
        assert client.read_event()["event"] == "pusher_internal:subscription_succeeded"
    return client


def test_promtool_accepts_them(server: RunningServer) -> None:
    assert lint(scrape(server).text) == ""


def test_clients_and_events_of_all_workers_together(server: RunningServer) -> None:
    before = scrape(server)
    clients = [subscribed(server, "news", "cache-news") for _ in range(6)]
    for _ in range(3):
        assert server.publish("news", "e").status == 200
    for client in clients:
        for _ in range(3):
            while client.read_event()["event"] != "e":
                pass
    rises = ("connections", "connections_opened_total", "subscriptions", "events_published_total", "deliveries_total")

    def rise(now: Metrics, name: str) -> float:
        return now.app(name) - (before.app(name) if "soundpost_connections" in before.names() else 0)

    now = scrape_until(server, lambda now: [rise(now, name) for name in rises] == [6, 6, 12, 3, 18])
    assert rise(now, "delivered_bytes_total") > 18 * 30
    assert now.app("channels", kind="public") == now.app("channels", kind="cache") == 1
    assert rise(now, "publish_seconds_count") == 3
    assert now.value("loop_lag_seconds_count") >= before.value("loop_lag_seconds_count")
    for client in clients:
        client.socket.close()
    until(lambda: scrape(server).app("connections") == 0, "all clients have left")


def test_the_time_to_publish_is_counted_by_app() -> None:
    other = AppSettings(id="2", key="other-key", secret="other-secret")
    with running_server(metrics=ON, apps=[DEFAULT_APP, other]) as server, RawSocket(server.port) as application:
        body = b'{"name": "e", "channel": "news", "data": ""}'
        requests = [signed_request("POST", "/events", body, app=app) for app in (DEFAULT_APP, other, other)]
        application.send(b"".join(requests))  # answered together
        assert [application.read_response().status for _ in requests] == [200] * 3
        found = scrape(server)
        assert [found.value("publish_seconds_count", app=app_id) for app_id in "12"] == [1, 2]


def test_what_clients_were_refused_for(server: RunningServer) -> None:
    before = counts_of_faults(scrape(server))
    with RawSocket(server.port) as client:
        client.handshake("/app/app-key?protocol=1")
        client.read_event()
    with RawSocket(server.port) as client:
        client.handshake("/app/nobody?protocol=7")
        client.read_event()
    client = server.connect()
    client.send_event("pusher:subscribe", {"channel": "private-a", "auth": "app-key:wrong"})
    assert [client.read_event()["event"] for _ in range(2)] == ["pusher:subscription_error", "pusher:error"]
    client.socket.close()
    wanted = [count + 1 for count in before]
    scrape_until(server, lambda now: counts_of_faults(now) == wanted)


def counts_of_faults(metrics: Metrics) -> list[float]:
    wanted = [
        'soundpost_refused_total{app="1",reason="version"}',
        'soundpost_refused_total{app="",reason="app"}',
        'soundpost_failed_authorizations_total{app="1",kind="subscription"}',
        'soundpost_errors_sent_total{app="1",code="4009"}',
    ]
    lines = dict(line.rsplit(" ", 1) for line in metrics.text.splitlines() if not line.startswith("#"))
    return [float(lines.get(name, 0)) for name in wanted]


def test_what_belongs_to_no_app(server: RunningServer) -> None:
    before = scrape(server).text
    already = refused_without_app(before, "api_app")
    with RawSocket(server.port) as client:
        client.send(b"GET /app/app-key HTTP/1.1\r\nHost: x\r\nSec-WebSocket-Version: 13\r\n\r\n")
        assert client.read_response().status == 426
        client.send(b"GET /app/app-key HTTP/1.1\r\nHost: x\r\n\r\n")  # by hand: no refused client
        assert client.read_response().status == 426
    for path in ("/apps/77/events", "/users/5/terminate_connections?auth_key=nobody"):
        with RawSocket(server.port) as client:
            client.send(f"POST {path} HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n".encode())
            assert client.read_response().status in (401, 404)
    after = scrape_until(server, lambda now: refused_without_app(now.text, "api_app") == already + 2).text
    assert refused_without_app(after, "upgrade") - refused_without_app(before, "upgrade") == 1


def refused_without_app(text: str, reason: str) -> float:
    found = re.search(rf'soundpost_refused_total{{app="",reason="{reason}"}} (\S+)', text)
    return 0.0 if found is None else float(found[1])


def test_metrics_have_figures_of_the_processes(server: RunningServer) -> None:
    text = scrape(server).text
    figures = dict(line.rsplit(" ", 1) for line in text.splitlines() if line.startswith("process_"))
    assert float(figures["process_resident_memory_bytes"]) > 20_000_000
    assert float(figures["process_cpu_seconds_total"]) > 0.05
    used, most = float(figures["process_open_fds"]), float(figures["process_max_fds"])
    assert 5 < used < most
    serving = server.workers() or {server.pid}
    assert most <= sum(resource.prlimit(pid, resource.RLIMIT_NOFILE)[0] for pid in serving) + used


def test_nothing_else_is_at_the_listener(server: RunningServer) -> None:
    url = metrics_url(server)
    assert get(url.removesuffix("metrics"))[0] == 404


def test_totals_do_not_fall_when_a_worker_is_killed() -> None:
    with running_server(metrics=ON, workers=2) as server:
        clients = [subscribed(server, "news") for _ in range(8)]
        server.publish("news", "e")
        for client in clients:
            assert client.read_event()["event"] == "e"
        before = scrape(server)
        victim = min(server.workers())
        os.kill(victim, signal.SIGKILL)
        until(lambda: scrape(server).value("workers") == 2 and victim not in server.workers(), "it is started again")
        now = scrape(server)
        for name in ("connections_opened_total", "deliveries_total", "delivered_bytes_total", "events_published_total"):
            assert now.app(name) >= before.app(name), name
        assert now.value("worker_restarts_total", worker="1") + now.value("worker_restarts_total", worker="2") == 1
        assert now.app("connections") == now.app("connections_opened_total") - now.app("connections_closed_total") < 8


def test_totals_do_not_fall_in_a_restart_of_the_workers() -> None:
    port = free_port()
    with operated() as server:
        server.configure(f"{CALM}workers = 2\n", rest=f"[metrics]\nport = {port}\n")
        server.start()
        url = f"http://127.0.0.1:{port}/metrics"
        for _ in range(5):
            server.publish("news", "e")
        assert server.run("restart").returncode == 0
        server.said("all workers are new")
        assert Metrics(get(url)[1]).app("events_published_total") == 5


def test_a_restart_that_could_not_have_its_metrics_is_refused() -> None:
    port = free_port()
    with operated() as server, socket.create_server(("127.0.0.1", 0)) as taken:
        server.configure(rest=f"[metrics]\nport = {port}\n")
        server.start()
        server.configure(rest=f"[metrics]\nport = {taken.getsockname()[1]}\n")
        done = server.run("restart")
        assert done.returncode == 1
        assert f"port {taken.getsockname()[1]} of 127.0.0.1 is in use by another process" in done.stderr
        server.configure(rest=f"[metrics]\nport = {port}\nhost = '0.0.0.0'\ntoken = '{TOKEN}'\n")
        assert server.run("restart").returncode == 0  # the port is held by the server itself
        server.process.wait_for_start()
        assert get(f"http://127.0.0.1:{port}/metrics")[0] == 401


def test_a_restart_of_workers_says_that_the_metrics_stay() -> None:
    port = free_port()
    with operated() as server:
        server.configure(f"{CALM}workers = 2\n", rest=f"[metrics]\nport = {port}\n")
        server.start()
        server.configure(f"{CALM}workers = 2\n", rest=f"[metrics]\nport = {port}\ntoken = '{TOKEN}'\n")
        assert "Not applied, as it needs a stop and a start: [metrics]" in server.run("restart").stdout
        server.said("all workers are new")
        assert get(f"http://127.0.0.1:{port}/metrics")[0] == 200
        assert "[metrics] changed too" in server.run("reload").stdout


def test_only_who_has_the_token_gets_them() -> None:
    with running_server(metrics=MetricsSettings(port=0, token=TOKEN)) as server:
        url = metrics_url(server)
        for token in (None, "wrong", TOKEN[:-1]):
            status, body = get(url, token)
            assert status == 401
            assert "token of [metrics]" in body
            assert "soundpost_" not in body
        assert scrape(server, TOKEN).value("draining") == 0
        assert TOKEN not in server.log()


def test_a_server_without_metrics_does_not_load_the_client_of_prometheus() -> None:
    program = "import sys, soundpost.server.processes.run; print('prometheus_client' in sys.modules)"
    assert subprocess.check_output([sys.executable, "-c", program], text=True) == "False\n"


def test_the_page_has_every_metric() -> None:
    page = (Path(__file__).parents[2] / "docs" / "metrics.md").read_text()
    endpoint = EndpointFigures("1", "http://a/")
    figures = HostFigures(
        name="a",
        node="n",
        version="1",
        started_at=0,
        at=0,
        port=0,
        webhooks=[endpoint],
        redis=RedisFigures("away"),
        certificate_ends_at=0,
    )
    text = metrics_text(figures).decode()
    found = {line.split()[2] for line in text.splitlines() if line.startswith("# TYPE ")}
    assert found == set(re.findall(r"`((?:soundpost|process)_\w+)`", page))


def test_refusals_begin_with_zero_so_that_the_first_one_is_an_increase() -> None:
    page = (Path(__file__).parents[2] / "docs" / "metrics.md").read_text()
    figures = HostFigures(name="a", node="n", version="1", started_at=0, at=0, port=0, apps={"1": AppFigures()})
    text = metrics_text(figures).decode()
    for name in ("refused", "failed_authorizations"):
        (described,) = re.findall(rf"^\| `soundpost_{name}_total` \|.*\|(.*)\|$", page, re.MULTILINE)
        counted = re.findall(rf'^soundpost_{name}_total{{app="1?",(?:reason|kind)="(\w+)"}} 0.0$', text, re.MULTILINE)
        assert set(counted) == set(re.findall(r"`(\w+)`", described))


def test_endpoints_whose_urls_differ_only_in_secrets_are_two() -> None:
    endpoints = [EndpointFigures("1", "http://a/", sent=1), EndpointFigures("1", "http://a/", sent=2)]
    figures = HostFigures(name="a", node="n", version="1", started_at=0, at=0, port=0, webhooks=endpoints)
    text = metrics_text(figures).decode()
    assert lint(text) == ""
    sent = [Metrics(text).app("webhook_sent_events_total", endpoint=number, url="http://a/") for number in ("1", "2")]
    assert sent == [1, 2]
