"""A FastAPI application under a real uvicorn, with laravel-echo: beside a real server, and with the server embedded."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import NamedTuple

import httpx
import pytest

from support.clients_js import EchoJs
from support.harness import DEFAULT_APP, running_server
from support.raw_socket import TIMEOUT
from support.uvicorn_process import UvicornProcess, running_uvicorn


class Site(NamedTuple):
    """The application, and the port that clients connect to."""

    application: UvicornProcess
    port: int

    def post(self, path: str, socket_id: str = "") -> None:
        """Ask the application to do something, as the page of a connection."""
        headers = {"X-Socket-ID": socket_id} if socket_id else {}
        httpx.post(f"{self.application.url}{path}", headers=headers, timeout=TIMEOUT).raise_for_status()


OpenEcho = Callable[[str | None], EchoJs]


@pytest.fixture(scope="module", params=["beside", "embedded"])
def site(request: pytest.FixtureRequest) -> Iterator[Site]:
    environ = {
        "SOUNDPOST_APP_ID": DEFAULT_APP.id,
        "SOUNDPOST_APP_KEY": DEFAULT_APP.key,
        "SOUNDPOST_APP_SECRET": DEFAULT_APP.secret,
    }
    with ExitStack() as stack:
        port = 0
        if request.param == "embedded":
            environ["SOUNDPOST_BROADCAST_DRIVER"] = "embedded"
        else:
            port = stack.enter_context(running_server()).port
            environ["SOUNDPOST_PORT"] = str(port)
        application = stack.enter_context(running_uvicorn("frameworks.fastapi_page:app", environ))
        yield Site(application, port or application.port)
        assert "Traceback" not in application.log()


@pytest.fixture
def echo(site: Site) -> Iterator[OpenEcho]:
    with ExitStack() as stack:

        def open(user: str | None = "ann") -> EchoJs:
            return stack.enter_context(EchoJs(site.port, site.application.url, user)).connected()

        yield open


def test_the_options_lead_to_the_server(site: Site) -> None:
    options = httpx.get(f"{site.application.url}/broadcasting/config", timeout=TIMEOUT).json()
    with EchoJs(0, "", "ann", **options, auth={"headers": {"Authorization": "Bearer ann"}}) as client:
        client.connected()
        assert (options["wsHost"], options["wsPort"]) == ("127.0.0.1", site.port)


@pytest.mark.parametrize("path", ["/orders/7/ship", "/orders/7/ship?late=1", "/orders/7/ship-blocking"])
def test_an_event_reaches_all_but_the_page_that_asked(site: Site, echo: OpenEcho, path: str) -> None:
    asking, other = echo("ann"), echo("ann")
    for client in (asking, other):
        client.listen(client.open("private", "orders.7"), "OrderShipped")
    site.post(path, asking.socket_id)
    site.post("/orders/7/ship")
    carrier = "UPS" if "blocking" in path else "DHL"
    assert other.expect_heard("private-orders.7", "OrderShipped") == {"order_id": 7, "carrier": carrier}
    other.expect_heard("private-orders.7", "OrderShipped")
    asking.expect_heard("private-orders.7", "OrderShipped")
    assert not asking.has("heard")


def test_another_s_channel_is_denied(echo: OpenEcho) -> None:
    for user, name in (("bob", "orders.7"), (None, "orders.7"), ("ann", "orders.x"), ("ann", "unknown")):
        client = echo(user)
        client.run("open", "private", name)
        assert client.expect("error", channel=f"private-{name}")["error"]["status"] == 403


def test_presence_and_whispers(site: Site, echo: OpenEcho) -> None:
    ann, bob = echo("ann"), echo("bob")
    room = ann.open("join", "rooms.blue")
    assert ann.expect_here(room) == [{"name": "Ann"}]
    bob.open("join", "rooms.blue")
    assert ann.expect("joining", channel=room)["member"] == {"name": "Bob"}
    ann.listen(room, ".room.posted")
    ann.run("listenForWhisper", room, "typing")
    site.post("/rooms/blue")
    assert ann.expect_heard(room, ".room.posted") == {"n": 1}
    bob.run("whisper", room, "typing", {"on": True})
    assert ann.expect("whisper", name="typing")["data"] == {"on": True}
    bob.run("leave", "rooms.blue")
    assert ann.expect("leaving", channel=room)["member"] == {"name": "Bob"}


def test_sign_in_and_events_to_a_user(site: Site) -> None:
    authentication = {
        "endpoint": f"{site.application.url}/broadcasting/user-auth",
        "headers": {"Authorization": "Bearer ann"},
    }
    with EchoJs(site.port, site.application.url, "ann", userAuthentication=authentication) as client:
        client.connected().run("signin")
        client.expect("signed-in")
        client.open("channel", "any")  # the server has answered what came before, the user's own channel too
        site.post("/users/ann/tell")
        assert client.expect("user-event", event="Told")["data"] == {"by": "us"}


def test_echo_connects_again_when_an_application_with_an_embedded_server_ends() -> None:
    environ = {
        "SOUNDPOST_APP_ID": DEFAULT_APP.id,
        "SOUNDPOST_APP_KEY": DEFAULT_APP.key,
        "SOUNDPOST_APP_SECRET": DEFAULT_APP.secret,
        "SOUNDPOST_BROADCAST_DRIVER": "embedded",
    }
    with running_uvicorn("frameworks.fastapi_page:app", environ) as application:
        with EchoJs(application.port, application.url, "ann") as client:
            client.connected()
            os.kill(application.process.pid, signal.SIGTERM)
            client.expect("status", status="connecting")
        application.process.wait(10)
        assert "Traceback" not in application.log()
