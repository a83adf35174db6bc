"""Causes of webhooks that do not arrive: no connection, or an answer that is none of an endpoint."""

from __future__ import annotations

import re
from typing import Final
from urllib.parse import urljoin, urlsplit

from soundpost.redaction import redacted_url
from soundpost.tools.doctor.answered_by import describe_page, response_text
from soundpost.tools.doctor.base_url import BaseUrl
from soundpost.tools.doctor.exchange import RawResponse
from soundpost.tools.doctor.faults import webhooks
from soundpost.tools.doctor.findings import FaultFound, one_line
from soundpost.tools.doctor.hosts import is_this_machine
from soundpost.tools.doctor.network import connect, look_up_addresses
from soundpost.tools.doctor.refusals import is_plain_to_tls
from soundpost.tools.doctor.webhook_call import WebhookCall

USUAL_PORTS: Final = (8000, 5000, 3000)
"""Ports of development servers: Django and uvicorn, Flask, Node.js."""
_DNS: Final = ("dns-unknown", "dns-failed")
_UNREACHED: Final = ("tcp-timeout", "tcp-unreachable")
_NOT_HTTP: Final = ("port-not-http", "port-speaks-tls", "http-connection-closed")
_OF_CERTIFICATES: Final = {
    "port-speaks-http": webhooks.TLS_IS_MISSING,
    "certificate-self-signed": webhooks.SELF_SIGNED,
    "certificate-untrusted": webhooks.SELF_SIGNED,
    "certificate-name-mismatch": webhooks.ANOTHER_NAME,
    "certificate-expired": webhooks.ENDED,
}
_LOGIN_PATH: Final = re.compile(r"log-?in|sign-?in|oauth|/sso|/auth\b|/cas\b|saml", re.IGNORECASE)
_LOGIN_PAGE: Final = re.compile(rb"type\s*=\s*[\"']?password|<title[^>]*>[^<]*(log ?in|sign ?in|anmeld)", re.IGNORECASE)
_SLASH: Final = re.compile(rb"APPEND_SLASH|doesn.t end in a slash|doesn&#x27;t end in a slash")
_HOST_REFUSED: Final = (
    b"bad request (400)",  # Django's page, if DEBUG is False
    b"invalid http_host header",
    b"disallowedhost",
    b"allowed_hosts",
    b"invalid host header",
    b"is not trusted",
)
_SIGNATURE: Final = re.compile(rb"signature|x-pusher|secret|app key", re.IGNORECASE)
_CLOCK: Final = re.compile(rb"clock|seconds old|too old", re.IGNORECASE)
_PROXY_STATUSES: Final = (502, 503, 504)


def connection_fault(call: WebhookCall, found: FaultFound) -> FaultFound:
    """Return the fault behind a request that got no answer, for the fault that its connection met."""
    base_url = call.base_url
    where: dict[str, object] = {"url": call.shown, "app_id": call.app_id, "host": base_url.host, "port": base_url.port}
    if found.code in _DNS:
        return FaultFound("webhook-host-unknown", **where, reason=found.facts.get("reason", "no such name"))
    if found.code == "tcp-refused":
        other = _open_port(base_url)
        return FaultFound("webhook-refused", webhooks.ANOTHER_PORT if other else "", **where, open=other)
    if found.code in _UNREACHED:
        return FaultFound("webhook-unreachable", **where, reason=found.message)
    if found.code == "http-timeout":
        return FaultFound("webhook-timeout", **where, seconds=f"{call.timeout:g}")
    if found.code in _NOT_HTTP:
        situation = webhooks.TLS_IS_WANTED if found.code == "port-speaks-tls" else ""
        return FaultFound("webhook-not-http", situation, **where, reason=found.message)
    reason = found.message.partition(": browsers ")[0]
    return FaultFound("webhook-tls-failed", _OF_CERTIFICATES.get(found.code, ""), **where, reason=reason)


def answer_fault(call: WebhookCall, response: RawResponse, servers: tuple[BaseUrl, ...] = ()) -> FaultFound | None:
    """Return the fault behind an endpoint's answer; None if the endpoint took the events.

    ``servers`` are the addresses of the server itself.
    """
    status, body = response.status, response.body
    where: dict[str, object] = {"url": call.shown, "app_id": call.app_id, "host": call.base_url.host, "status": status}
    shown = answer_text(response)
    if status < 300:
        return _page_fault(response, where)
    if status < 400:
        return _redirect(call, response, where)
    if status == 400 and is_plain_to_tls(response):
        reason = "the port has TLS, and was asked for plain http"
        return FaultFound("webhook-not-http", webhooks.TLS_IS_WANTED, **where, reason=reason)
    if _is_csrf(response):
        return FaultFound("webhook-csrf", _csrf_of(response), **where)
    if status == 400 and any(sign in body.lower() for sign in _HOST_REFUSED):
        return FaultFound("webhook-host-refused", **where)
    if status == 401 or (status in (400, 403) and not _is_page(response) and _SIGNATURE.search(body)):
        return FaultFound("webhook-signature-refused", _refusal(response), **where, shown=shown)
    if status == 404:
        itself = any(call.base_url.is_same_listener(each) for each in servers)
        return FaultFound("webhook-not-found", webhooks.THE_SERVER_ITSELF if itself else "", **where)
    codes = {403: "webhook-forbidden", 405: "webhook-method-refused", 410: "webhook-gone"}
    if status in codes:
        return FaultFound(codes[status], **where, shown=shown)
    if status < 500 and status not in (408, 425, 429):
        return FaultFound("webhook-refused-request", **where, shown=shown)
    situation = webhooks.BEHIND_A_PROXY if status in _PROXY_STATUSES else ""
    return FaultFound("webhook-failed", webhooks.TO_SLASH if _SLASH.search(body) else situation, **where, shown=shown)


def answer_text(response: RawResponse) -> str:
    """Return the content of an answer in one line: a page's title, a JSON error's text, or the body's beginning."""
    if _is_page(response):
        return describe_page(response)
    headers = {name: value for name, value in response.headers.items() if name != "content-type"}
    return response_text(response._replace(headers=headers))


def _is_page(response: RawResponse) -> bool:
    """Return whether a body is a web page: a view of Django that answers with a word calls the word HTML."""
    return response.body.lstrip()[:1] == b"<"


def _refusal(response: RawResponse) -> str:
    """Return the situation in which a request is refused with 401."""
    if _CLOCK.search(response.body):
        return webhooks.ANOTHER_CLOCK
    asks = "www-authenticate" in response.headers and not _SIGNATURE.search(response.body)
    return webhooks.LOGIN if asks else ""


def _page_fault(response: RawResponse, where: dict[str, object]) -> FaultFound | None:
    if not _is_page(response):
        return None
    code = "webhook-answered-by-login" if _LOGIN_PAGE.search(response.body) else "webhook-answered-by-page"
    return FaultFound(code, **where, title=describe_page(response))


def _redirect(call: WebhookCall, response: RawResponse, where: dict[str, object]) -> FaultFound:
    location = urljoin(call.url, one_line(response.headers.get("location", "")))
    here, there = urlsplit(call.url), urlsplit(location)
    if there.path == f"{here.path}/" and there.netloc == here.netloc:
        situation = webhooks.TO_SLASH
    elif (here.scheme, there.scheme) == ("http", "https") and there.path == here.path:
        situation = webhooks.TO_HTTPS
    else:
        situation = webhooks.TO_LOGIN if _LOGIN_PATH.search(f"{there.netloc}{there.path}") else ""
    return FaultFound("webhook-redirected", situation, **where, location=redacted_url(location))


def _is_csrf(response: RawResponse) -> bool:
    return response.status == 419 or (response.status in (400, 403) and b"csrf" in response.body.lower())


def _csrf_of(response: RawResponse) -> str:
    """Return the situation for the framework whose protection answers."""
    if response.status == 419:
        return webhooks.OF_LARAVEL
    return webhooks.OF_FLASK if response.status == 400 else webhooks.OF_DJANGO


def _open_port(base_url: BaseUrl) -> int | None:
    """Return a usual port of development servers that is open on this machine, where an endpoint's own is closed."""
    if not is_this_machine(base_url.host):
        return None
    for port in USUAL_PORTS:
        other = base_url._replace(port=port)
        try:
            connect(other, look_up_addresses(other), 1.0).sock.close()
        except FaultFound:
            continue
        return port
    return None
