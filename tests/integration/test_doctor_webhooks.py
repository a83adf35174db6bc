"""Faults of the endpoints of webhooks, set up for real: each is named rightly."""

from __future__ import annotations

import json
import socket
import time
from collections.abc import Iterator

import msgspec
import pytest

from soundpost.config.settings import ServerSettings, Settings
from soundpost.core.app_settings import WebhookSettings
from soundpost.tools.doctor import CheckPlan, Examination, webhook_faults
from soundpost.tools.doctor.base_url import parse_base_url
from support.doctor_stage import PAGE, Scene, Stage, codes, examined, place, scene, scenes_of, silent, trusted_stage
from support.harness import DEFAULT_APP
from support.misbehaving_server import answer, answering, misbehaving
from support.webhook_site import running_site

__all__ = ["trusted_stage"]

SITE: list[int] = []
"""Port of the sites of Django and Flask, while they run."""


@pytest.fixture(scope="module", autouse=True)
def _site() -> Iterator[None]:
    with running_site() as port:
        SITE.append(port)
        yield
        SITE.clear()


def told(*urls: str, timeout: int = 10) -> CheckPlan:
    """Return the plan for a machine whose only app has endpoints."""
    webhooks = tuple(WebhookSettings(url=url, timeout=timeout) for url in urls)
    app = msgspec.structs.replace(DEFAULT_APP, webhooks=webhooks)
    return CheckPlan(settings=Settings(apps=(app,)))


def at_site(path: str, host: str = "localhost") -> CheckPlan:
    return told(f"http://{host}:{SITE[0]}/{path}")


def answered(on: Stage, status: int, body: bytes = b"", *headers: str) -> CheckPlan:
    return told(f"http://localhost:{on.http(answer(status, body, *headers))}/hook")


@scene("webhook-host-unknown", "a name that does not exist")
def _(on: Stage) -> CheckPlan:
    return told("https://app.nowhere.invalid/hook")


@scene("webhook-address-refused", "a server with `private_webhooks = false`, and an endpoint at 127.0.0.1")
def _(on: Stage) -> CheckPlan:
    settings = at_site("verified", host="127.0.0.1").settings
    assert settings is not None
    return CheckPlan(settings=Settings(server=ServerSettings(private_webhooks=False), apps=settings.apps))


@scene("webhook-refused", "a port on which nobody listens")
def _(on: Stage) -> CheckPlan:
    return told(f"http://127.0.0.1:{on.closed_port()}/hook")


@scene("webhook-unreachable", "a port whose packets are dropped")
def _(on: Stage) -> CheckPlan:
    on.await_no_event()
    return told(f"http://127.0.0.1:{on.dropping_port()}/hook")


@scene("webhook-tls-failed", "a self-signed certificate")
def _(on: Stage) -> CheckPlan:
    from support.self_signed import self_signed

    chain, key = self_signed(on.folder)
    return told(f"https://localhost:{on.nginx(PAGE, tls=type(on.certificate())(chain, key))}/hook")


@scene("webhook-tls-failed", "a certificate for another name")
def _(on: Stage) -> CheckPlan:
    return told(f"https://localhost:{on.nginx(PAGE, tls=on.authority.certificate('shop.example.com'))}/hook")


@scene("webhook-tls-failed", "https to a server without TLS")
def _(on: Stage) -> CheckPlan:
    return told(f"https://localhost:{SITE[0]}/verified")


@scene("webhook-not-http", "http to a port with TLS")
def _(on: Stage) -> CheckPlan:
    files = on.certificate()
    port = on.start(tls={"certificate": str(files.chain), "key": str(files.key)}).port
    return told(f"http://localhost:{port}/hook")


@scene("webhook-timeout", "an endpoint that takes the request and says nothing")
def _(on: Stage) -> CheckPlan:
    return told(f"http://localhost:{on.raw(silent)}/hook", timeout=1)


@scene("webhook-redirected", "a redirect to https")
def _(on: Stage) -> CheckPlan:
    return answered(on, 301, b"", "Location: https://localhost/hook")


@scene("webhook-redirected", "a redirect to a login")
def _(on: Stage) -> CheckPlan:
    return answered(on, 302, b"", "Location: /accounts/login/?next=/hook")


@scene("webhook-redirected", "Django's redirect to the path with a slash")
def _(on: Stage) -> CheckPlan:
    return at_site("slash")


@scene("webhook-csrf", "a view of Django without @csrf_exempt")
def _(on: Stage) -> CheckPlan:
    return at_site("protected")


@scene("webhook-csrf", "a view of Flask with Flask-WTF's CSRFProtect")
def _(on: Stage) -> CheckPlan:
    return at_site("flask")


@scene("webhook-csrf", "Laravel's 419")
def _(on: Stage) -> CheckPlan:
    return answered(on, 419, b"<title>Page Expired</title>", "Content-Type: text/html")


@scene("webhook-signature-refused", "a view that knows another secret")
def _(on: Stage) -> CheckPlan:
    settings = at_site("verified").settings
    assert settings is not None
    app = msgspec.structs.replace(settings.apps[0], secret="another")
    return CheckPlan(settings=Settings(apps=(app,)))


@scene("webhook-signature-refused", "an application whose clock is wrong")
def _(on: Stage) -> CheckPlan:
    reason = b'{"error": "the webhook is 900 seconds old, 600 are allowed: are both clocks right?"}'
    return answered(on, 401, reason, "Content-Type: application/json")


@scene("webhook-signature-refused", "a proxy that asks for a login (401)")
def _(on: Stage) -> CheckPlan:
    return answered(on, 401, b"login, please", 'WWW-Authenticate: Basic realm="x"')


@scene("webhook-forbidden", "a proxy that refuses the path")
def _(on: Stage) -> CheckPlan:
    return told(f"http://localhost:{on.nginx('location / { deny all; }')}/hook")


@scene("webhook-not-found", "a path that the site does not have")
def _(on: Stage) -> CheckPlan:
    return at_site("nothing")


@scene("webhook-not-found", "the address of the server itself")
def _(on: Stage) -> CheckPlan:
    app = msgspec.structs.replace(
        DEFAULT_APP, webhooks=(WebhookSettings(url=f"http://localhost:{on.server.port}/hook"),)
    )
    return CheckPlan(settings=Settings(apps=(app,)), inside=place(on.server.port))


@scene("webhook-method-refused", "a view that takes GET only")
def _(on: Stage) -> CheckPlan:
    return at_site("get")


@scene("webhook-answered-by-login", "a login page with 200")
def _(on: Stage) -> CheckPlan:
    return answered(on, 200, b'<form><input type="password" name="p"></form>', "Content-Type: text/html")


@scene("webhook-answered-by-page", "a single-page application that answers every path")
def _(on: Stage) -> CheckPlan:
    return told(f"http://localhost:{on.nginx(f'location / {{ {PAGE} }}')}/hook")


@scene("webhook-host-refused", "a name that Django's ALLOWED_HOSTS lacks")
def _(on: Stage) -> CheckPlan:
    return at_site("verified", host="127.0.0.1")


@scene("webhook-failed", "a view that raises an exception")
def _(on: Stage) -> CheckPlan:
    return at_site("failing")


@scene("webhook-failed", "an Nginx whose application does not run")
def _(on: Stage) -> CheckPlan:
    return told(f"http://localhost:{on.nginx('location / { proxy_pass http://UPSTREAM; }', upstream=1)}/hook")


@scene("webhook-gone", "an endpoint that answers 410")
def _(on: Stage) -> CheckPlan:
    return answered(on, 410)


@scene("webhook-refused-request", "an endpoint that answers 422")
def _(on: Stage) -> CheckPlan:
    return answered(on, 422, b'{"error": "events must not be empty"}', "Content-Type: application/json")


@scene("webhook-unsigned-taken", "a view that does not look at the signature")
def _(on: Stage) -> CheckPlan:
    return at_site("trusting")


@scene("webhook-answer-slow", "an endpoint that needs a third of its time")
def _(on: Stage) -> CheckPlan:
    return told(f"http://localhost:{on.raw(late)}/hook", timeout=6)


def late(sock: socket.socket) -> None:
    sock.recv(65_536)
    time.sleep(2)
    sock.sendall(answer(200))


WAYS_OUT = {
    "a self-signed certificate": "SSL_CERT_FILE",
    "a certificate for another name": "Write a name of the certificate",
    "https to a server without TLS": "Write http://",
    "http to a port with TLS": "Write https://",
    "a redirect to https": "https://localhost/hook",
    "a redirect to a login": "without a login",
    "Django's redirect to the path with a slash": "/slash/",
    "a view of Django without @csrf_exempt": "@csrf_exempt",
    "a view of Flask with Flask-WTF's CSRFProtect": "csrf.exempt",
    "Laravel's 419": "validateCsrfTokens",
    "a proxy that asks for a login (401)": "Authorization =",
    "an application whose clock is wrong": "timedatectl",
    "a view that knows another secret": "Compare key and secret",
    "the address of the server itself": "address of your application",
    "an Nginx whose application does not run": "proxy_pass",
}
"""Words of ways out, by how the fault was set up."""


@scenes_of(__name__)
def test_a_fault_is_named(on: Stage, set_up: Scene) -> None:
    examination = examined(set_up.build(on))
    own = [step for step in examination.steps if step.check == "webhooks" and step.code is not None]
    assert own, [f"{step.name}: {step.message}" for step in examination.steps]
    assert own[0].code == set_up.code
    assert WAYS_OUT.get(set_up.set_up, "") in (own[0].fix or "")


def told_by(examination: Examination) -> list[tuple[str, str]]:
    return [(step.name, step.status) for step in examination.steps if step.check == "webhooks"]


@pytest.mark.parametrize("path", ["verified", "broadcasting/webhooks"])
def test_an_endpoint_as_it_should_be(on: Stage, path: str) -> None:
    examination = examined(at_site(path))
    assert told_by(examination) == [
        ("DNS", "ok"),
        ("TCP", "ok"),
        ("TLS", "skipped"),
        ("View", "ok"),
        ("Signature", "ok"),
    ]
    assert examination.steps[-1].message == "a wrong one is refused with 401"


def test_a_port_of_development_that_is_open_is_named(on: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(webhook_faults, "USUAL_PORTS", (SITE[0],))
    (step,) = [step for step in examined(told(f"http://localhost:{on.closed_port()}/hook")).steps if step.code]
    assert step.fix is not None
    assert f"port {SITE[0]} is open there" in step.fix


def test_the_words_of_an_answer_are_shown_though_they_are_called_html(on: Stage) -> None:
    settings = at_site("verified").settings
    assert settings is not None
    app = msgspec.structs.replace(settings.apps[0], secret="another")
    steps = examined(CheckPlan(settings=Settings(apps=(app,)))).steps
    assert [step.message for step in steps if step.code] == [
        f"http://localhost:{SITE[0]}/verified answered 401: wrong signature"
    ]


def test_one_check_of_each_endpoint(on: Stage) -> None:
    plan = told(f"http://localhost:{SITE[0]}/verified", f"http://localhost:{on.closed_port()}/hook")
    assert codes(examined(plan)) == ["webhook-refused"]


def test_a_request_names_the_app_and_no_event(on: Stage) -> None:
    with misbehaving(answering(answer(204, b""))) as endpoint:
        app = msgspec.structs.replace(
            DEFAULT_APP,
            webhooks=(WebhookSettings(url=f"http://127.0.0.1:{endpoint.port}/hook?a=1", headers={"X-Own": "me"}),),
        )
        examined(CheckPlan(settings=Settings(apps=(app,))))
    head, _, body = endpoint.requests[0].decode().partition("\r\n\r\n")
    assert head.startswith("POST /hook?a=1 HTTP/1.1\r\n")
    assert json.loads(body)["events"] == []
    for line in ("X-Own: me", f"X-Pusher-Key: {DEFAULT_APP.key}"):
        assert f"\r\n{line}" in head


def test_no_secret_is_said(on: Stage) -> None:
    plan = told(f"http://127.0.0.1:{on.closed_port()}/hook?token=t0ken")
    said = " ".join(f"{step.message} {step.fix}" for step in examined(plan).steps)
    assert "127.0.0.1" in said
    for secret in ("t0ken", DEFAULT_APP.secret):
        assert secret not in said


def test_a_fault_of_the_name_is_told_once() -> None:
    """The same name, for browsers and for the application, is one fault."""
    base_url = parse_base_url("https://app.nowhere.invalid")
    plan = told("https://app.nowhere.invalid/hook")
    plan = CheckPlan(settings=plan.settings, public=base_url, key=DEFAULT_APP.key, public_ports=())
    steps = [(step.check, step.status) for step in examined(plan).steps if step.code is not None]
    assert ("webhooks", "follows") in steps
