"""The cause behind a fault: the same server, found at another port, path or address."""

from __future__ import annotations

from typing import Final

from soundpost.tools.doctor.api import Api
from soundpost.tools.doctor.base_url import Place
from soundpost.tools.doctor.findings import Found
from soundpost.tools.doctor.greeting import open_and_greet
from soundpost.tools.doctor.plan import Plan
from soundpost.tools.doctor.refusals import ELSEWHERE
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
_AT_THE_APP: Final = ("origin-refused", "app-over-quota", "server-over-capacity", "app-disabled")
_PREFIXES: Final = ("", "/ws", "/wss", "/socket", "/soundpost", "/reverb", "/websocket", "/realtime", "/broadcasting")
_API_ITSELF: Final = ("app-secret-wrong", "clock-skew", "app-id-unknown", "app-key-mismatch", "app-disabled")


def browser_cause(found: Found, plan: Plan, place: Place) -> Found:
    """Look whether browsers would get in elsewhere."""
    cause: Found | None = None
    if found.code in _UNREACHED:
        cause = _other_port(found, plan, place)
    if cause is None and found.code in _BEHIND_A_PROXY:
        cause = _behind_the_proxy(found, plan, place)
    asks_twice = found.code == "app-key-unknown" and place.path.endswith("/app")  # wsPath is what comes before /app
    if cause is None and (found.code in ELSEWHERE or asks_twice):
        cause = _other_path(plan, place)
    return cause or found


def backend_cause(found: Found, plan: Plan, place: Place) -> Found:
    """Look whether a public address was given to a backend that should publish inside."""
    inside = plan.inside
    if (
        inside is None
        or inside.unix_socket
        or not is_public(place, plan)
        or found.code in _API_ITSELF
        or not _publishes(inside, plan)
    ):
        return found
    return Found("public-address-in-backend", url=place.url, problem=found.message, **inside.facts)


def is_public(place: Place, plan: Plan) -> bool:
    """Whether an address is that of browsers, and another one leads to the server inside."""
    if plan.inside is None or place.is_at(plan.inside):
        return False
    return place.is_at(plan.public) or place.port in (443, 80, *plan.public_ports)


def _other_port(found: Found, plan: Plan, place: Place) -> Found | None:
    for port in plan.public_ports:
        other = place._replace(scheme="https", port=port)
        if port != place.port and _lets_in(other, plan):
            problem = _UNREACHED[found.code]
            return Found("internal-port-in-browser", port=place.port, problem=problem, open=port, host=place.host)
    return None


def _behind_the_proxy(found: Found, plan: Plan, place: Place) -> Found | None:
    """The proxy cannot make use of the server behind it: which is where, and speaks what?"""
    author = found.facts.get("author", "The proxy")
    for inside in dict.fromkeys((plan.backend, plan.inside)):
        if inside is None or inside.is_at(place):
            continue
        if speaks_tls(inside):
            return Found("proxy-http-to-tls-server")
        if found.code == "bad-gateway" and _lets_in(inside, plan):
            return Found("proxy-wrong-upstream", author=author, inside=inside.url.removesuffix(inside.path))
    return None


def _other_path(plan: Plan, place: Place) -> Found | None:
    known = [each.path for each in (plan.inside, plan.backend) if each is not None]
    for prefix in dict.fromkeys([*known, place.path.removesuffix("/app"), *_PREFIXES]):
        other = place._replace(path=prefix)
        if prefix != place.path and _lets_in(other, plan):
            return Found(
                "path-prefix-wrong",
                asked=place.socket_path(plan.key),
                right=other.socket_path(plan.key),
                prefix=prefix or "(empty)",
            )
    return None


def _lets_in(place: Place, plan: Plan) -> bool:
    """Whether this app's server is there, even if it refuses this client."""
    try:
        open_and_greet(place, plan.key, plan.origin, verify=plan.verify).session.close()
    except Found as found:
        return found.code in _AT_THE_APP
    return True


def _publishes(place: Place, plan: Plan) -> bool:
    try:
        Api.of(plan, place).check()
    except Found:
        return False
    return True
