"""Search for the cause of a fault: the same server at another port, path or address."""

from __future__ import annotations

from typing import Final

from soundpost.tools.doctor.api import Api
from soundpost.tools.doctor.base_url import BaseUrl
from soundpost.tools.doctor.findings import FaultFound
from soundpost.tools.doctor.plan import CheckPlan
from soundpost.tools.doctor.pusher_connection import open_established
from soundpost.tools.doctor.refusals import MAY_BE_AT_ANOTHER_PATH
from soundpost.tools.doctor.tls import speaks_tls

_UNREACHED: Final = {
    "tcp-refused": "nothing listens",
    "tcp-timeout": "a firewall drops the packets",
    "tcp-unreachable": "there is no way",
    "port-speaks-http": "there is no TLS",
    "port-not-http": "something else is",
    "tls-timeout": "there is no answer",
    "tls-handshake-failed": "TLS fails",
    "http-timeout": "there is no answer",
    "http-connection-closed": "there is no answer",
}
_BEHIND_A_PROXY: Final = ("bad-gateway", "http-connection-closed", "upgrade-ignored", "upgrade-refused")
_REACHED_THE_APP: Final = ("origin-refused", "app-over-quota", "server-over-capacity", "app-disabled")
_PREFIXES: Final = ("", "/ws", "/wss", "/socket", "/soundpost", "/reverb", "/websocket", "/realtime", "/broadcasting")
_ANSWERED_BY_API: Final = ("app-secret-wrong", "clock-skew", "app-id-unknown", "app-key-mismatch", "app-disabled")


def browser_cause(found: FaultFound, plan: CheckPlan, base_url: BaseUrl) -> FaultFound:
    """Return the cause of a browser's fault if the server is found elsewhere, else the fault itself."""
    cause: FaultFound | None = None
    if found.code in _UNREACHED:
        cause = _other_port(found, plan, base_url)
    if cause is None and found.code in _BEHIND_A_PROXY:
        cause = _behind_the_proxy(found, plan, base_url)
    asks_twice = found.code == "app-key-unknown" and base_url.path.endswith("/app")  # wsPath is what comes before /app
    if cause is None and (found.code in MAY_BE_AT_ANOTHER_PATH or asks_twice):
        cause = _other_path(plan, base_url)
    return cause or found


def backend_cause(found: FaultFound, plan: CheckPlan, base_url: BaseUrl) -> FaultFound:
    """Return the cause of a backend's fault if the backend uses a public address, else the fault itself."""
    inside = plan.inside
    if (
        inside is None
        or inside.unix_socket
        or not is_public(base_url, plan)
        or found.code in _ANSWERED_BY_API
        or not Api(inside, plan).accepts_requests()
    ):
        return found
    return FaultFound("public-address-in-backend", url=base_url.url, problem=found.message, **inside.facts)


def is_public(base_url: BaseUrl, plan: CheckPlan) -> bool:
    """Tell whether a base URL is meant for browsers while another one leads to the server inside."""
    if plan.inside is None or base_url.is_same_listener(plan.inside):
        return False
    return base_url.is_same_listener(plan.public) or base_url.port in (443, 80, *plan.public_ports)


def _other_port(found: FaultFound, plan: CheckPlan, base_url: BaseUrl) -> FaultFound | None:
    for port in plan.public_ports:
        other = base_url._replace(scheme="https", port=port)
        if port != base_url.port and _accepts_browsers(other, plan):
            problem = _UNREACHED[found.code]
            return FaultFound(
                "internal-port-in-browser", port=base_url.port, problem=problem, open=port, host=base_url.host
            )
    return None


def _behind_the_proxy(found: FaultFound, plan: CheckPlan, base_url: BaseUrl) -> FaultFound | None:
    """Return the fault of a proxy that reaches the server behind it at a wrong address or scheme."""
    answered_by = found.facts.get("author", "The proxy")
    for inside in dict.fromkeys((plan.backend, plan.inside)):
        if inside is None or inside.is_same_listener(base_url):
            continue
        if speaks_tls(inside):
            return FaultFound("proxy-http-to-tls-server")
        if found.code == "bad-gateway" and _accepts_browsers(inside, plan):
            return FaultFound("proxy-wrong-upstream", author=answered_by, inside=inside.url.removesuffix(inside.path))
    return None


def _other_path(plan: CheckPlan, base_url: BaseUrl) -> FaultFound | None:
    known = [each.path for each in (plan.inside, plan.backend) if each is not None]
    for prefix in dict.fromkeys([*known, base_url.path.removesuffix("/app"), *_PREFIXES]):
        other = base_url._replace(path=prefix)
        if prefix != base_url.path and _accepts_browsers(other, plan):
            return FaultFound(
                "path-prefix-wrong",
                asked=base_url.socket_path(plan.key),
                right=other.socket_path(plan.key),
                prefix=prefix or "(empty)",
            )
    return None


def _accepts_browsers(base_url: BaseUrl, plan: CheckPlan) -> bool:
    """Tell whether the app's server answers at a base URL, even if this client is refused."""
    try:
        open_established(base_url, plan.key, plan.origin, verify=plan.verify).session.close()
    except FaultFound as found:
        return found.code in _REACHED_THE_APP
    return True
