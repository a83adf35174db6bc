"""A Django site as real processes, WSGI and ASGI, with a real Soundpost server and raw clients of it."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

import httpx
import pytest

from soundpost.wire.signatures import sign
from support.cli_process import Process
from support.harness import DEFAULT_APP, RawSocket, RunningServer
from support.uvicorn_process import running_uvicorn

SITE: Final = "frameworks.django_site"
MANAGE: Final = str(Path(__file__).parent / "django_site" / "manage.py")


@contextmanager
def running(environ: Mapping[str, str], *arguments: str, cwd: Path | None = None) -> Iterator[Process]:
    """A Python process; it is ended by its pid."""
    with subprocess.Popen(
        [sys.executable, "-u", *arguments],
        env=environ,
        cwd=cwd,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as popen:
        try:
            yield Process(popen)
        finally:
            popen.terminate()
            try:
                popen.wait(20)
            except subprocess.TimeoutExpired:
                popen.kill()


@pytest.fixture(scope="module")
def environ(server: RunningServer, tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """The environment of a site that publishes to the server, with a database."""
    tests = str(Path(__file__).parents[1])
    made = {name: value for name, value in os.environ.items() if not name.startswith("SOUNDPOST_")} | {
        "DJANGO_SETTINGS_MODULE": f"{SITE}.settings",
        "PYTHONPATH": os.pathsep.join([tests, os.environ.get("PYTHONPATH", "")]),
        "SITE_DATABASE": str(tmp_path_factory.mktemp("site") / "site.sqlite3"),
        "SITE_SOUNDPOST_PORT": str(server.port),
    }
    for alias in ("default", "archive"):
        manage(made, "migrate", "--run-syncdb", "--verbosity=0", f"--database={alias}")
    return made


@pytest.fixture(scope="module", params=["wsgi", "wsgi with atomic requests", "asgi"])
def site(request: pytest.FixtureRequest, environ: dict[str, str]) -> Iterator[str]:
    """The address of the running site."""
    if request.param == "asgi":
        with running_uvicorn(f"{SITE}.asgi:application", environ) as process:
            yield process.url
    else:
        atomic = {"SITE_ATOMIC_REQUESTS": "1"} if "atomic" in request.param else {}
        with running({**environ, **atomic}, "-m", f"{SITE}.serve") as process:
            yield f"http://127.0.0.1:{process.wait_for(r'^[0-9]+$')[0]}"


@pytest.fixture
def ann(site: str) -> Iterator[httpx.Client]:
    """A browser of somebody who is logged in and has the order 7."""
    with httpx.Client(base_url=site, timeout=20) as client:
        client.get("/login/ann").raise_for_status()
        client.post("/orders/7/ship").raise_for_status()
        yield client


def manage(environ: Mapping[str, str], *arguments: str, stdin: str = "") -> str:
    done = subprocess.run(
        [sys.executable, MANAGE, *arguments], env=environ, input=stdin, capture_output=True, text=True, timeout=60
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def subscribe(socket: RawSocket, browser: httpx.Client, channel: str) -> Any:
    """Ask the site, then the server, as pusher-js does."""
    form = {"socket_id": socket.socket_id, "channel_name": channel}
    answer = browser.post("/broadcasting/auth", data=form)
    assert answer.status_code == 200, answer.text
    socket.send_event("pusher:subscribe", {"channel": channel, **answer.json()})
    return socket.read_event()


def test_an_event_from_a_view_reaches_who_was_authorized_by_the_site(server: RunningServer, ann: httpx.Client) -> None:
    with server.connect() as mine, server.connect() as other:
        for socket in (mine, other):
            assert subscribe(socket, ann, "private-orders.7")["event"] == "pusher_internal:subscription_succeeded"
        ann.post("/orders/7/ship", headers={"X-Socket-ID": mine.socket_id}).raise_for_status()
        updated = {"event": "OrderUpdated", "channel": "private-orders.7"}
        model = '{"model":{"id":7,"status":"shipped","customer":1,"total":"0.00"}}'
        assert other.read_event() == {**updated, "data": model}
        assert other.read_event() == {
            "event": "OrderShipped",
            "channel": "private-orders.7",
            "data": '{"order_id":7,"carrier":"DHL"}',
        }
        assert mine.read_event()["event"] == "OrderUpdated"  # which is for all
        server.publish("private-orders.7", "last")
        assert mine.read_event()["event"] == "last"


def test_what_was_rolled_back_is_never_sent(server: RunningServer, ann: httpx.Client) -> None:
    with server.connect() as socket:
        subscribe(socket, ann, "private-orders.7")
        ann.post("/orders/7/ship-and-fail").raise_for_status()
        server.publish("private-orders.7", "last")
        assert socket.read_event()["event"] == "last"


def test_presence_and_denials(server: RunningServer, ann: httpx.Client) -> None:
    with server.connect() as socket:
        here = json.loads(subscribe(socket, ann, "presence-rooms.den")["data"])["presence"]
        assert here["hash"]["1"]["name"] == "ann"
        form = {"socket_id": socket.socket_id, "channel_name": "private-orders.999"}
        denied = ann.post("/broadcasting/auth", data=form)
        assert (denied.status_code, denied.text) == (403, '{"message":""}')
        assert ann.post("/broadcasting/auth", data=form, headers={"Origin": "https://evil.example"}).status_code == 403


def test_answers_are_byte_for_byte_those_that_echo_expects(ann: httpx.Client) -> None:
    form = {"socket_id": "1.2", "channel_name": "private-orders.7"}
    answer = ann.post("/broadcasting/auth", data=form, headers={"X-CSRF-TOKEN": "as Echo names it"})
    signature = sign(DEFAULT_APP.secret, "1.2:private-orders.7")
    assert answer.text == f'{{"auth":"app-key:{signature}"}}'
    assert answer.headers["content-type"] == "application/json"
    data = '{"id":"1"}'
    signature = sign(DEFAULT_APP.secret, f"1.2::user::{data}")
    signed_in = ann.post("/broadcasting/user-auth", data={"socket_id": "1.2"})
    assert signed_in.text == json.dumps({"auth": f"app-key:{signature}", "user_data": data}, separators=(",", ":"))


def test_the_page_says_where_the_server_is(server: RunningServer, ann: httpx.Client) -> None:
    found = re.search(r'type="application/json">(.*?)</script>', ann.get("/").text)
    assert found is not None
    options = json.loads(found[1])
    with RawSocket.open(options["wsPort"], options["key"]) as socket:
        assert socket.socket_id
    assert options["wsHost"] == "127.0.0.1"


# Django has no asynchronous views with ATOMIC_REQUESTS.
@pytest.mark.parametrize("site", ["wsgi", "asgi"], indirect=True)
def test_an_asynchronous_view_publishes(server: RunningServer, ann: httpx.Client) -> None:
    with server.connect() as socket:
        subscribe(socket, ann, "private-orders.7")
        ann.post("/orders/7/ship-async").raise_for_status()
        assert json.loads(socket.read_event()["data"])["carrier"] == "UPS"


def test_trigger_publishes_from_the_shell(server: RunningServer, environ: dict[str, str]) -> None:
    with server.connect() as socket:
        socket.subscribe("orders")
        manage(environ, "soundpost", "trigger", "orders", "Shipped", "-", stdin='{"id": 7}')
        assert socket.read_event() == {"event": "Shipped", "channel": "orders", "data": '{"id":7}'}


def test_start_serves_the_app_of_the_settings(environ: dict[str, str], tmp_path: Path) -> None:
    with running(environ, MANAGE, "soundpost", "start", "--dev", "--port", "0", cwd=tmp_path) as server:
        port = int(server.wait_for_start(r"listening on http://127\.0\.0\.1:(\d+)")[1])
        there = {**environ, "SITE_SOUNDPOST_PORT": str(port)}
        with running(there, MANAGE, "soundpost", "listen", "private-orders", "--count", "1", "--json") as listener:
            listener.wait_for("^listening on", err=True)
            manage(there, "soundpost", "trigger", "private-orders", "Shipped", '{"id": 8}')
            assert json.loads(listener.wait_for(".").string)["event"] == "Shipped"


def test_history_prints_what_a_channel_of_the_settings_keeps(environ: dict[str, str], tmp_path: Path) -> None:
    keeping = {**environ, "SOUNDPOST_APP_HISTORY": "private-*"}
    with running(keeping, MANAGE, "soundpost", "start", "--dev", "--port", "0", cwd=tmp_path) as server:
        port = int(server.wait_for_start(r"listening on http://127\.0\.0\.1:(\d+)")[1])
        there = {**environ, "SITE_SOUNDPOST_PORT": str(port)}
        manage(there, "soundpost", "trigger", "private-orders", "Shipped", '{"id": 8}')
        kept = manage(there, "soundpost", "history", "private-orders", "--json")
        assert json.loads(kept)["data"] == '{"id":8}'
