"""Faults that the server tells of, and of delivery, set up for real: each is named rightly."""

from __future__ import annotations

import socket
import time
from contextlib import suppress
from dataclasses import replace

import msgspec
import pytest
from websockets.exceptions import ConnectionClosed
from websockets.sync.server import ServerConnection, serve

from soundpost.config.settings import ScalingSettings, Settings
from soundpost.core.app_settings import AppSettings
from soundpost.tools.doctor import CheckPlan, Examination
from soundpost.tools.doctor.base_url import BaseUrl
from soundpost.tools.doctor.dotenv import read_env_file
from soundpost.tools.doctor.findings import FaultFound
from soundpost.tools.doctor.hosts import same_host
from support.doctor_stage import (
    FORWARDED,
    PAGE,
    Scene,
    Stage,
    assert_named,
    both,
    codes,
    examined,
    place,
    plan,
    scene,
    scenes_of,
    trusted_stage,
)
from support.harness import DEFAULT_APP
from support.raw_socket import TIMEOUT
from support.redis_process import running_redis

_PUBLISH_ONLY_INSIDE = f"location /app/ {{ proxy_pass http://UPSTREAM; {FORWARDED} }}"


__all__ = ["trusted_stage"]


def app(**changes: object) -> AppSettings:
    return msgspec.structs.replace(DEFAULT_APP, **changes)


HELLO = '{"event":"pusher:connection_established","data":"{\\"socket_id\\":\\"1.1\\",\\"activity_timeout\\":30}"}'
SUBSCRIBED = '{"event":"pusher_internal:subscription_succeeded","channel":"soundpost-doctor","data":"{}"}'


def websocket(on: Stage, *says: str, patience: float = TIMEOUT) -> int:
    """A WebSocket server that says one thing after the other, each to a message, then waits and says goodbye."""

    def handle(connection: ServerConnection) -> None:
        with suppress(TimeoutError, ConnectionClosed):
            for number, text in enumerate(says):
                if number:
                    connection.recv(timeout=patience)
                connection.send(text)
            while True:
                connection.recv(timeout=patience)
        connection.close(4200, "idle")

    running = on.stack.enter_context(serve(handle, "127.0.0.1", 0))
    on.background(running.serve_forever)
    return int(running.socket.getsockname()[1])


@scene("app-key-unknown", "a key that no app has")
def _(on: Stage) -> CheckPlan:
    return plan(place(on.server.port), key="old-key")


@scene("app-disabled", "an app with enabled = false")
def _(on: Stage) -> CheckPlan:
    return plan(place(on.start(app=app(enabled=False)).port))


@scene("app-over-quota", "an app with max_connections = 1, and a client that has it")
def _(on: Stage) -> CheckPlan:
    server = on.start(app=app(max_connections=1))
    on.stack.enter_context(server.connect())
    return plan(place(server.port))


@scene("server-over-capacity", "a server with max_connections = 1, and a client that has it")
def _(on: Stage) -> CheckPlan:
    server = on.start(max_connections=1)
    on.stack.enter_context(server.connect())
    return plan(place(server.port))


@scene("origin-refused", "an app for shop.example.com, and a page of https://www.example.com")
def _(on: Stage) -> CheckPlan:
    return plan(place(on.start(app=app(allowed_origins=("shop.example.com",))).port), origin="https://www.example.com")


@scene("pusher-error", "a server that refuses for a reason of its own")
def _(on: Stage) -> CheckPlan:
    error = '{"event":"pusher:error","data":{"code":4006,"message":"Invalid version string format"}}'
    return plan(place(websocket(on, error)))


@scene("no-connection-established", "a WebSocket server that says nothing")
def _(on: Stage) -> CheckPlan:
    on.await_no_answer()
    return plan(place(websocket(on)))


@scene("not-pusher-protocol", "the WebSocket of another program (Vite's)")
def _(on: Stage) -> CheckPlan:
    return plan(place(websocket(on, '{"type":"connected"}')))


@scene("subscription-failed", "a server that greets, and does not hear what comes after it")
def _(on: Stage) -> CheckPlan:
    on.await_no_answer()
    return plan(place(websocket(on, HELLO)))


@scene("no-pong", "a server that does not answer pings")
def _(on: Stage) -> CheckPlan:
    on.await_no_answer()
    return plan(place(websocket(on, HELLO, SUBSCRIBED)))


@scene("idle-connection-closed", "a server that ends silent connections itself (--slow)")
def _(on: Stage) -> CheckPlan:
    return plan(place(websocket(on, HELLO, SUBSCRIBED, '{"event":"pusher:pong"}', patience=4)), slow=True)


@scene("api-refused", "an API that answers 500")
def _(on: Stage) -> CheckPlan:
    broken = 'default_type application/json; return 500 \'{"error": "broken"}\';'
    return both(place(on.nginx(f"{_PUBLISH_ONLY_INSIDE} location /apps {{ {broken} }}")))


@scene("public-address-in-backend", "a backend that publishes to the public name, where Nginx forwards /app only")
def _(on: Stage) -> CheckPlan:
    port = on.nginx(_PUBLISH_ONLY_INSIDE, tls=on.certificate())
    return both(place(port, "https"), inside=place(on.server.port))


@scene("public-address-in-backend", "a backend that publishes to http, which Nginx sends to https")
def _(on: Stage) -> CheckPlan:
    redirecting = on.nginx("return 301 https://$host$request_uri;")
    public = place(on.proxy(tls=on.certificate()), "https")
    return both(public, place(redirecting), inside=place(on.server.port), public_ports=(public.port, redirecting))


@scene("backend-through-proxy", "a backend that publishes to the public name, and gets through")
def _(on: Stage) -> CheckPlan:
    return both(place(on.proxy(tls=on.certificate()), "https"), inside=place(on.server.port))


LARAVEL_UNDER_A_PATH = "BROADCAST_CONNECTION=reverb\nREVERB_SERVER_PATH={path}\n"


def under_a_path(on: Stage, path: str, locations: tuple[str, ...]) -> CheckPlan:
    """A server under /realtime, an Nginx that forwards these, and a Laravel application's ``.env``."""
    server = on.start(path="/realtime")
    port = on.nginx(
        "".join(f"location {each} {{ proxy_pass http://UPSTREAM; {FORWARDED} }}" for each in locations),
        upstream=server.port,
    )
    file = read_env_file(on.file(".env", LARAVEL_UNDER_A_PATH.format(path=path)))
    return replace(both(place(port, path="/realtime")), files=(file,))


@scene("laravel-path-without-slash", "a Laravel `.env` with REVERB_SERVER_PATH=/realtime")
def _(on: Stage) -> CheckPlan:
    return under_a_path(on, "/realtime", ("/realtime/",))


@scene("api-not-forwarded", "an Nginx that forwards /app, but not /apps")
def _(on: Stage) -> CheckPlan:
    return both(place(on.nginx(f"{_PUBLISH_ONLY_INSIDE} location /apps {{ return 404; }}")))


@scene("api-not-forwarded", "an Nginx that gives /apps to the web application")
def _(on: Stage) -> CheckPlan:
    return both(place(on.nginx(f"{_PUBLISH_ONLY_INSIDE} location / {{ {PAGE} }}")))


@scene("api-redirected", "a backend that publishes to http, which Nginx sends to https")
def _(on: Stage) -> CheckPlan:
    public = place(on.proxy(tls=on.certificate()), "https")
    return both(public, place(on.nginx("return 301 https://$host$request_uri;")))


@scene("port-speaks-http", "a backend with the inner port and the public scheme (https to 8080)")
def _(on: Stage) -> CheckPlan:
    return both(place(on.server.port), place(on.server.port, "https"))


@scene("app-id-unknown", "a backend with the id of another app")
def _(on: Stage) -> CheckPlan:
    return both(place(on.server.port), app_id="7")


@scene("app-key-mismatch", "a backend with the id of one app and the key of another")
def _(on: Stage) -> CheckPlan:
    apps = [DEFAULT_APP, AppSettings(id="2", key="second-key", secret="second-secret")]
    return replace(both(place(on.start_all(apps).port)), app_id="2")


@scene("signed-request-changed", "an Nginx that takes the prefix /ws away from signed requests")
def _(on: Stage) -> CheckPlan:
    return both(place(on.nginx(f"location /ws/ {{ proxy_pass http://UPSTREAM/; {FORWARDED} }}"), path="/ws"))


@scene("signed-request-changed", "an Nginx that adds a parameter to signed requests")
def _(on: Stage) -> CheckPlan:
    port = on.nginx(
        f"location /app/ {{ proxy_pass http://UPSTREAM; {FORWARDED} }}"
        f"location /apps {{ set $args $args&via=nginx; proxy_pass http://UPSTREAM; {FORWARDED} }}"
    )
    return both(place(port))


@scene("app-secret-wrong", "a backend with another secret")
def _(on: Stage) -> CheckPlan:
    return both(place(on.server.port), secret="old-secret")


@scene("clock-skew", "a backend whose clock is an hour ahead")
def _(on: Stage) -> CheckPlan:
    return both(place(on.server.port), clock=lambda: time.time() + 3600)


@scene("clock-drift", "a backend whose clock is two minutes behind, behind Nginx")
def _(on: Stage) -> CheckPlan:
    return both(place(on.proxy()), clock=lambda: time.time() - 120)


@scene("event-not-delivered", "browsers and backend at two servers that know nothing of each other")
def _(on: Stage) -> CheckPlan:
    on.await_no_event()
    return both(place(on.server.port), place(on.start().port))


@scene("nodes-not-clustered", "an Nginx before two servers without a common Redis")
def _(on: Stage) -> CheckPlan:
    on.await_no_event()
    others = [on.server.port, on.start().port]
    servers = " ".join(f"server 127.0.0.1:{port};" for port in others)
    port = on.nginx(f"location / {{ proxy_pass http://nodes; {FORWARDED} }}", http=f"upstream nodes {{ {servers} }}")
    return both(place(port), place(on.server.port))


@scene("delivered-locally", "a server whose Redis is down")
def _(on: Stage) -> CheckPlan:
    scaling = ScalingSettings(redis=f"redis://127.0.0.1:{on.closed_port()}")
    return both(place(on.start(scaling=scaling).port))


@scenes_of(__name__)
def test_a_fault_is_named(on: Stage, set_up: Scene) -> None:
    assert_named(examined(set_up.build(on)), set_up.code)


def test_a_server_without_a_proxy_is_healthy(on: Stage) -> None:
    examination = examined(both(place(on.server.port)))
    assert codes(examination) == []
    assert [(step.check, step.name, step.status) for step in examination.steps] == [
        ("browser", "DNS", "ok"),
        ("browser", "TCP", "ok"),
        ("browser", "TLS", "skipped"),
        ("browser", "WebSocket", "ok"),
        ("browser", "Hello", "ok"),
        ("browser", "Subscription", "ok"),
        ("backend", "DNS", "ok"),
        ("backend", "TCP", "ok"),
        ("backend", "TLS", "skipped"),
        ("backend", "API", "ok"),
        ("backend", "Clock", "skipped"),
        ("delivery", "Connections", "ok"),
        ("delivery", "Event", "ok"),
    ]


def test_nginx_with_tls_and_a_backend_inside_is_healthy(on: Stage) -> None:
    public = place(on.proxy(tls=on.certificate()), "https")
    examination = examined(both(public, place(on.server.port), inside=place(on.server.port)))
    assert codes(examination) == []
    assert {step.status for step in examination.steps} == {"ok", "skipped"}


def test_an_api_that_is_not_forwarded_is_fine_for_a_backend_inside(on: Stage) -> None:
    public = place(on.nginx(_PUBLISH_ONLY_INSIDE + " location /apps { return 404; }"))
    examination = examined(both(public, place(on.server.port)))
    assert codes(examination) == []
    (outside,) = [step for step in examination.steps if step.name == "API outside"]
    assert outside.status == "skipped"


def test_servers_on_one_redis_are_healthy(on: Stage) -> None:
    with running_redis() as redis:
        scaling = ScalingSettings(redis=redis.url)
        nodes = [on.start(scaling=scaling) for _ in range(2)]
        servers = " ".join(f"server 127.0.0.1:{node.port};" for node in nodes)
        for node in nodes:
            node.wait_for_log("connected")
        port = on.nginx(
            f"location / {{ proxy_pass http://nodes; {FORWARDED} }}", http=f"upstream nodes {{ {servers} }}"
        )
        assert codes(examined(both(place(port), place(nodes[0].port)))) == []


def test_a_path_prefix_that_is_right_is_healthy(on: Stage) -> None:
    assert codes(examined(both(place(on.start(path="/ws").port, path="/ws")))) == []


def test_an_origin_is_tried_where_none_is_known(on: Stage) -> None:
    examination = examined(plan(place(on.start(app=app(allowed_origins=("localhost",))).port)))
    assert codes(examination) == []
    assert any("--origin tries yours" in step.message for step in examination.steps)


def test_without_credentials_the_rest_is_left_out(on: Stage) -> None:
    examination = examined(plan(place(on.server.port)))
    assert examination.steps[-1].status == "skipped"
    assert "--secret" in examination.steps[-1].message


def test_what_a_proxy_changed_is_told(on: Stage) -> None:
    public = place(on.nginx(f"location /ws/ {{ proxy_pass http://UPSTREAM/; {FORWARDED} }}"), path="/ws")
    (step,) = examined(both(public)).faults
    assert step.message.endswith("the path /ws/apps/1/channels arrived as /apps/1/channels")


def test_the_skew_of_the_clock_is_measured(on: Stage) -> None:
    (step,) = examined(both(place(on.server.port), clock=lambda: time.time() + 3650)).faults
    assert "is ahead of that of the server by 36" in step.message


def test_no_secret_is_ever_told(on: Stage) -> None:
    wanted = [
        both(place(on.server.port), secret="the-very-secret"),
        both(place(on.server.port), app_id="9", secret="the-very-secret"),
        both(place(on.proxy()), key="nobodys", secret="the-very-secret"),
    ]
    for each in wanted:
        assert "the-very-secret" not in repr([msgspec.structs.asdict(step) for step in examined(each).steps])


def test_a_path_with_a_slash_at_its_end_is_no_fault(on: Stage) -> None:
    for path in ("/realtime/", "realtime/"):
        assert codes(examined(under_a_path(on, path, ("/realtime/",)))) == []


def test_a_path_without_a_slash_is_none_where_the_api_answers_without_it(on: Stage) -> None:
    """Whatever answers there: here a rewriting proxy."""
    server = on.start(path="/realtime")
    port = on.nginx(
        f"location /realtime/ {{ proxy_pass http://UPSTREAM; {FORWARDED} }}"
        f"location /apps/ {{ proxy_pass http://127.0.0.1:{on.server.port}; {FORWARDED} }}",
        upstream=server.port,
    )
    file = read_env_file(on.file(".env", LARAVEL_UNDER_A_PATH.format(path="/realtime")))
    assert codes(examined(replace(both(place(port, path="/realtime")), files=(file,)))) == []


def refused_origin(on: Stage, *configured: str) -> str:
    """The way out for a page that the server refuses, while the configuration here allows these."""
    server = on.start(app=app(allowed_origins=("shop.example.com",)))
    settings = Settings(apps=(app(allowed_origins=configured),))
    wanted = both(place(server.port), origin="https://www.example.com", settings=settings)
    (step,) = examined(wanted).faults
    return step.fix or ""


def test_the_whole_list_of_origins_is_told(on: Stage) -> None:
    fix = refused_origin(on, "shop.example.com")
    assert 'allowed_origins = ["shop.example.com", "www.example.com"] of app 1' in fix
    assert "SOUNDPOST_APP_ALLOWED_ORIGINS=shop.example.com,www.example.com" in fix
    assert "'soundpost reload'" in fix


def test_an_origin_that_the_server_has_not_read_yet(on: Stage) -> None:
    assert refused_origin(on, "shop.example.com", "www.example.com").startswith("The configuration here allows")


@pytest.mark.parametrize(
    ("place_of_secret", "told"),
    [
        ("settings.SOUNDPOST", "to settings.SOUNDPOST again"),
        (".env: REVERB_APP_SECRET", "'php artisan config:clear'"),
        ("", "configuration again"),
    ],
)
def test_a_wrong_secret_is_corrected_where_it_is_told(on: Stage, place_of_secret: str, told: str) -> None:
    wanted = both(place(on.server.port), secret="old-secret", credential_sources={"secret": place_of_secret})
    (step,) = examined(wanted).faults
    assert told in (step.fix or "")
    assert ("REVERB" in (step.fix or "")) == ("REVERB" in place_of_secret)


def test_ways_out_name_the_command_that_was_called(on: Stage) -> None:
    examination = Examination(command="manage.py soundpost")
    examination.add_found("machine", "Server", FaultFound("server-not-running", where="port 8080", others="", log=""))
    (step,) = examination.faults
    assert (step.fix or "").startswith(
        "'manage.py soundpost start', or under Supervisor 'supervisorctl start soundpost'"
    )


HOSTS = ["localhost", "LOCALHOST", "localhost.", "127.0.0.1", "127.1.2.3", "::1", "0.0.0.0", "::", "::ffff:127.0.0.1"]


@pytest.mark.parametrize("one", [*HOSTS, socket.gethostname()])
@pytest.mark.parametrize("other", [*HOSTS, socket.gethostname(), "[::1]"])
def test_this_machines_names_are_one_place(one: str, other: str) -> None:
    assert same_host(one, other)
    assert BaseUrl("http", one, 8080).is_same_listener(BaseUrl("https", other, 8080, "/ws"))
    assert not BaseUrl("http", one, 8080).is_same_listener(BaseUrl("http", other, 8081))


@pytest.mark.parametrize("host", ["example.com", "192.0.2.1", "2001:db8::1", "no-such.invalid", "a" * 70, "", "10.1"])
def test_another_machine_is_another_place(host: str) -> None:
    assert not any(same_host(host, each) for each in [*HOSTS, "192.0.2.2"])
    assert same_host(host, host.upper())


def test_an_address_of_an_interface_is_this_machine() -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.connect(("192.0.2.1", 9))  # nothing is sent
        own = sock.getsockname()[0]
    assert same_host(own, "localhost")


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1", socket.gethostname()])
def test_a_backend_that_publishes_to_the_server_itself_by_another_name_is_no_fault(on: Stage, host: str) -> None:
    """As Laravel's untouched .env says it: localhost for applications and for browsers, 127.0.0.1 inside."""
    server = on.start(host="0.0.0.0")
    named, inside = place(server.port, host=host), place(server.port, host="127.0.0.1")
    assert codes(examined(both(named, inside=inside, public_ports=(server.port,)))) == []
