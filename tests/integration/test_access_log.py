"""The log of a whole life as JSON: start, requests, refusals, reload, restart, stop; each line is an object."""

from __future__ import annotations

import json
import re
import signal
from collections.abc import Iterator
from typing import Any

import pytest

from soundpost.core.app_settings import AppSettings
from soundpost.server.access_log import path_without_signature
from support.harness import RawSocket, http_request, running_server, signed_request, until
from support.operated import CALM, Operated, operated

APP = AppSettings(id="1", key="app-key", secret="the-secret-of-app-1")
ALWAYS = {"time", "level", "logger", "process", "message"}
FORGED = "x\n2026-01-01 00:00:00,000 ERROR soundpost.server: forged"


@pytest.fixture(params=[1, 2], ids=["one process", "workers"])
def server(request: pytest.FixtureRequest) -> Iterator[Operated]:
    with operated() as made:
        lines = 'log_format = "json"\naccess_log = true\ntrusted_proxies = ["127.0.0.1"]\n'
        made.configure(f"{CALM}{lines}workers = {request.param}\n", [APP])
        made.shell.environ["SOUNDPOST_NO_SUCH_SETTING"] = "1"
        made.start()
        yield made


def lines_of(server: Operated) -> list[dict[str, Any]]:
    """Return the lines of the log once the server has ended."""
    return [json.loads(line) for line in server.process.rest_of_err()]


def ask_all(server: Operated) -> None:
    """Send one request of each kind, and be refused in each way."""
    query = {"filter_by_prefix": "room", "info": "user_count"}
    requests = [
        signed_request("POST", "/events", b'{"name":"e","channel":"room","data":"{}"}', app=APP),
        signed_request("GET", "/channels", app=APP, query=query),
        signed_request("POST", "/events", b"{", app=APP),
        b"POST /apps/7/events?auth_signature=a-signature HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n",
        b"GET /up HTTP/1.1\r\nHost: x\r\n\r\n",
        b"GET /nowhere HTTP/1.1\r\nHost: x\r\nX-Forwarded-For: 203.0.113.7\r\n\r\n",
        b"nonsense\r\n\r\n",
    ]
    for each in requests:
        http_request(server.port, each)
    with RawSocket(server.port) as client:
        client.handshake("/app/no-such-key?protocol=7", Origin="https://shop.example.com")
        assert client.read_event()["data"]["code"] == 4001
    with RawSocket.open(server.port, APP.key) as client:
        client.send_event("pusher:subscribe", {"channel": "private-orders", "auth": f"{APP.key}:wrong{FORGED}"})
        assert client.read_event()["event"] == "pusher:subscription_error"


def test_each_line_of_a_life_is_an_object(server: Operated) -> None:
    ask_all(server)
    until(lambda: any('"private-orders"' in line for line in server.process.err_so_far()), "the refusal is logged")
    assert server.run("reload").returncode == 0
    with server.connect(APP):
        assert server.run("restart", "--wait").returncode == 0
    second = server.run("start")
    assert server.process.stop(signal.SIGTERM) == 0

    lines = lines_of(server)
    assert all(line.keys() >= ALWAYS for line in lines)
    assert all(re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", line["time"]) for line in lines)
    with_workers = lines[0]["process"] == "parent"
    processes = {"parent", "worker 1", "worker 2"} if with_workers else {"server"}
    assert {line["process"] for line in lines} <= processes
    said = [(line["level"], line["message"]) for line in lines]
    for level, beginning in [
        ("WARNING", "environment: SOUNDPOST_NO_SUCH_SETTING is not a setting of soundpost"),
        ("INFO", "soundpost 0.1.0  started in "),
        ("WARNING", "refused a request to the API with 404, from 127.0.0.1: No matching application for ID [7]"),
        ("WARNING", "refused a client with 4001, from 127.0.0.1 (Origin: 'https://shop.example.com'): "),
        ("WARNING", "app 1: refused a subscription to 'private-orders' with 4009"),
        ("INFO", "apps reloaded: nothing changed"),
        ("INFO", "restarting"),
        ("INFO", "restarted in " if with_workers else "soundpost 0.1.0  restarted in "),
        ("INFO", "SIGTERM: stopping"),
        ("INFO", "stopped in "),
    ]:
        assert any(of == level and message.startswith(beginning) for of, message in said), (beginning, said)
    assert all(line["seconds"] >= 0 for line in lines if re.match("stopped in|restarted in", line["message"]))
    away = [
        line["connections"]
        for line in lines
        if re.match(r"executing the new code|worker .* has ended", line["message"])
    ]
    assert sum(away) == 1, "the client that was connected"
    assert not any("the-secret" in line["message"] or "a-signature" in line["message"] for line in lines)
    failed = [json.loads(line) for line in second.stderr.splitlines()]
    assert (failed[-1]["level"], "is in use by another process" in failed[-1]["message"]) == ("ERROR", True)


def test_each_request_to_the_api_is_a_line(server: Operated) -> None:
    ask_all(server)
    assert server.process.stop() == 0

    lines = [line for line in lines_of(server) if line["logger"] == "soundpost.access"]
    assert sorted((line["address"], line["method"], line["path"], line["status"], line["app"]) for line in lines) == [
        ("127.0.0.1", "-", "-", 400, ""),
        ("127.0.0.1", "GET", "/apps/1/channels?filter_by_prefix=room&info=user_count", 400, "1"),
        ("127.0.0.1", "POST", "/apps/1/events", 200, "1"),
        ("127.0.0.1", "POST", "/apps/1/events", 400, "1"),
        ("127.0.0.1", "POST", "/apps/7/events", 404, ""),
        ("203.0.113.7", "GET", "/nowhere", 404, ""),
    ]
    (published,) = [line for line in lines if line["status"] == 200]
    assert published["bytes"] == 2
    assert 0 < published["milliseconds"] < 60_000
    assert published["message"].startswith("127.0.0.1 POST /apps/1/events 200 2 bytes ")


def test_behind_the_proxy_protocol_the_address_is_that_of_the_header() -> None:
    with running_server(proxy_protocol=True, access_log=True, log_level="error") as server:
        for source, path in ("203.0.113.9", "/one"), ("127.0.0.1", "/two"):
            head = f"GET {path} HTTP/1.1\r\nHost: x\r\nX-Forwarded-For: 198.51.100.4\r\n\r\n"
            http_request(server.port, f"PROXY TCP4 {source} 127.0.0.1 1000 2000\r\n{head}".encode())
        one, two = server.wait_for_log("soundpost.access: ", times=2)
        assert " 203.0.113.9 GET /one 404 " in one
        assert " 198.51.100.4 GET /two 404 " in two, "a trusted proxy"


def test_requests_on_one_connection_are_lines_in_their_order() -> None:
    with running_server(workers=2, apps=[APP], access_log=True) as server, RawSocket(server.port) as client:
        asks_the_hub = signed_request("GET", "/channels", app=APP)
        client.send(
            asks_the_hub + b"GET /a HTTP/1.1\r\nHost: x\r\n\r\n" + asks_the_hub + b"GET /b HTTP/1.1\r\nHost: x\r\n\r\n"
        )
        assert [client.read_response().status for _ in range(4)] == [200, 404, 200, 404]
        lines = server.wait_for_log("soundpost.access: ", times=4)
        assert [line.split(" GET ")[1].split(" ")[0] for line in lines] == [
            "/apps/1/channels",
            "/a",
            "/apps/1/channels",
            "/b",
        ]


@pytest.mark.parametrize(
    ("query", "shown"),
    [
        ("", "/apps/1/channels"),
        ("auth_key=k&auth_signature=SIG&body_md5=M&auth_timestamp=1", "/apps/1/channels"),
        ("info=user_count&auth%5fsignature=SIG&b%6fdy_md5=M", "/apps/1/channels?info=user_count"),
        (
            "secret=S&app_secret=S&token=S&password=&info",
            "/apps/1/channels?secret=***&app_secret=***&token=***&password=***&info",
        ),
        ("x=" + "y" * 2_000, f"/apps/1/channels?x={'y' * 981}…"),
    ],
)
def test_a_path_is_shown_without_signature_and_secrets(query: str, shown: str) -> None:
    assert path_without_signature("/apps/1/channels", query) == shown
