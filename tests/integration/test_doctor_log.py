"""Attempts of the doctor in the server's log: no warning, for the doctor says more than the log would."""

from __future__ import annotations

import http.client
import ssl
from collections.abc import Callable

import msgspec
import pytest

from soundpost.tools.doctor import CheckPlan
from support.doctor_stage import Stage, assert_named, examined, place, plan, trusted_stage
from support.harness import DEFAULT_APP, RawSocket, RunningServer, upgrade_request

__all__ = ["trusted_stage"]

SetUp = Callable[[Stage, RunningServer], CheckPlan]


def nginx_without_upgrade(on: Stage, server: RunningServer) -> CheckPlan:
    location = "location / { proxy_pass http://UPSTREAM; proxy_http_version 1.1; }"
    return plan(place(on.nginx(location, upstream=server.port)))


ATTEMPTS: list[tuple[str, SetUp]] = [
    ("port-speaks-http", lambda on, server: plan(place(server.port, "https"))),
    ("upgrade-header-lost", nginx_without_upgrade),
    ("path-prefix-wrong", lambda on, server: plan(place(server.port, path="/nobody"))),
    ("origin-refused", lambda on, server: plan(place(server.port), origin="https://www.example.com")),
]


@pytest.mark.parametrize(("code", "set_up"), ATTEMPTS, ids=[code for code, _ in ATTEMPTS])
def test_an_attempt_is_no_warning(on: Stage, code: str, set_up: SetUp) -> None:
    server = on.start(app=msgspec.structs.replace(DEFAULT_APP, allowed_origins=("shop.example.com",)))
    assert_named(examined(set_up(on, server)), code)
    warn_of_tls(server)
    assert warnings(server) == ["a client speaks TLS to the plain port"]


def test_plain_http_to_a_server_with_a_certificate_is_none(on: Stage) -> None:
    files = on.certificate()
    server = on.start(tls={"certificate": str(files.chain), "key": str(files.key)})
    assert_named(examined(plan(place(server.port))), "port-speaks-tls")
    with RawSocket(server.port) as client:
        client.send(b"GET /up HTTP/1.1\r\nHost: x\r\n\r\n")
        client.read_response()
    server.wait_for_log("a client speaks plain HTTP")
    assert len(server.log().splitlines()) == 1


def test_other_clients_are_warned_of_as_before(on: Stage) -> None:
    server = on.start()
    with RawSocket(server.port) as client:
        client.send(upgrade_request("/nobody/app/app-key"))
        client.read_response()
    server.wait_for_log("refused a WebSocket with")


def warn_of_tls(server: RunningServer) -> None:
    """Be a client whose warning comes after all that the doctor's attempts could have left."""
    with pytest.raises(ssl.SSLError):
        http.client.HTTPSConnection("127.0.0.1", server.port, timeout=20).request("GET", "/")
    server.wait_for_log("a client speaks TLS")


def warnings(server: RunningServer) -> list[str]:
    lines = server.log().splitlines()
    known = "a client speaks TLS to the plain port"
    return [known if known in line else line for line in lines]
