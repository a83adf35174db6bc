"""Consequences of faults: one cause is one fault, and further failures name this fault."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Final, NamedTuple

from soundpost.tools.doctor.base_url import BaseUrl
from soundpost.tools.doctor.hosts import same_host

_OF_THE_NAME: Final = ("dns-unknown", "dns-failed", "tcp-unreachable")
_OF_THE_SERVER: Final = ("app-disabled", "app-over-quota", "server-over-capacity")
"""Refusals of the server itself, whichever address leads to it."""
_NOT_BEHIND_THE_PROXY: Final = frozenset(
    ("bad-gateway", "service-unavailable", "gateway-timeout", "http-timeout", "http-connection-closed")
)
_ANSWERED_BY_ANOTHER: Final = _NOT_BEHIND_THE_PROXY | {
    "answered-by-web-page",
    "path-not-forwarded",
    "upgrade-ignored",
    "upgrade-refused",
    "upgrade-invalid",
    "not-pusher-protocol",
    "no-connection-established",
    "login-required",
    "forbidden",
    "redirected",
    "api-not-forwarded",
    "api-redirected",
    "api-refused",
}
_NOT_THE_SERVER_HERE: Final = ("server-not-running", "port-in-use", "configuration-not-loaded")
_ENDED: Final = ("certificate-expired", "certificate-not-yet-valid")
_NO_API_EITHER: Final = frozenset(("api-not-forwarded", "api-redirected", "api-refused", "path-prefix-wrong"))
_WRONG_PORT_OR_SCHEME: Final = frozenset(
    (
        "tcp-refused",
        "tcp-timeout",
        "port-speaks-http",
        "port-speaks-tls",
        "port-not-http",
        "internal-port-in-browser",
        "mixed-content",
        "redirect-to-https",
    )
)
_WRONG_ADDRESS: Final = _WRONG_PORT_OR_SCHEME | {"dns-unknown"}
_WRONG_CREDENTIALS: Final = frozenset(("app-key-unknown", "app-id-unknown", "app-key-mismatch", "app-secret-wrong"))
_NOT_ANSWERED: Final = _NOT_BEHIND_THE_PROXY | {
    "tls-timeout",
    "no-connection-established",
    "subscription-failed",
    "no-pong",
    "event-not-delivered",
    "nodes-not-clustered",
}
"""Faults that show where a server, or a worker of it, hangs."""
_NOT_JOINED: Final = frozenset(("delivered-locally", "nodes-not-clustered", "event-not-delivered"))
_FOLLOW: Final = {
    "redis-unreachable": _NOT_JOINED,
    "redis-login-failed": _NOT_JOINED,
    "server-hangs": _NOT_ANSWERED,
    "worker-hangs": _NOT_ANSWERED,
    "server-has-other-apps": _WRONG_CREDENTIALS | {"app-disabled"},
    "app-key-unknown": frozenset(("app-key-mismatch", "app-id-unknown")),
    "env-credentials-differ": _WRONG_CREDENTIALS,
    "env-quotes": _WRONG_CREDENTIALS | _WRONG_ADDRESS,
    "env-wildcard-host": _WRONG_ADDRESS,
    "env-host-not-a-name": _WRONG_ADDRESS,
    "env-not-a-port": _WRONG_ADDRESS,
    "env-not-a-scheme": _WRONG_ADDRESS,
    "env-ports-swapped": _WRONG_PORT_OR_SCHEME | {"server-not-running"},
}
"""Faults that follow from others, in whichever check they are found."""
_FOLLOW_FOR_BROWSERS: Final = {
    "env-frontend-internal-port": _WRONG_PORT_OR_SCHEME,
    "env-frontend-localhost": _WRONG_ADDRESS,
    "env-frontend-no-scheme": _WRONG_PORT_OR_SCHEME,
    "env-public-differs": _WRONG_PORT_OR_SCHEME,
}
_FOLLOW_FOR_BACKENDS: Final = {"env-backend-https-internal-port": _WRONG_PORT_OR_SCHEME}


class EarlierFault(NamedTuple):
    """Fault that was found before, in the check of one address, and the fault that it follows from."""

    found: str
    """Id of the fault as it showed."""
    cause: str
    """Id of the fault behind it: the one that was reported, or its own cause."""
    base_url: BaseUrl | None
    location: str
    """Setting that the fault names; empty if it names none."""


def cause_of(code: str, check: str, base_url: BaseUrl | None, earlier: Iterable[EarlierFault]) -> str | None:
    """Return the id of the earlier fault from which ``code`` follows at ``base_url``; None if it is a fault itself."""
    for before in earlier:
        if any(rule(code, check, base_url, before) for rule in _RULES):
            return before.cause
    return None


def _is_the_same(code: str, check: str, base_url: BaseUrl | None, before: EarlierFault) -> bool:
    """Return whether one address has one fault, met twice."""
    if before.found != code or base_url is None or before.base_url is None:
        return False
    if code in _OF_THE_NAME:
        return same_host(base_url.host, before.base_url.host)
    return code in _OF_THE_SERVER or base_url.is_same_listener(before.base_url)


def _comes_of_the_server(code: str, check: str, base_url: BaseUrl | None, before: EarlierFault) -> bool:
    """Return whether the server of this machine is missing where a walk arrives, directly or behind a proxy."""
    if before.found not in _NOT_THE_SERVER_HERE or base_url is None:
        return False
    if base_url.is_same_listener(before.base_url):
        return True
    return code in (_NOT_BEHIND_THE_PROXY if before.found == "server-not-running" else _ANSWERED_BY_ANOTHER)


def _has_no_api_either(code: str, check: str, base_url: BaseUrl | None, before: EarlierFault) -> bool:
    """Return whether neither WebSockets nor the API get through at one address."""
    return (
        code in _NO_API_EITHER
        and base_url is not None
        and base_url.is_same_listener(before.base_url)
        and (before.found in _ANSWERED_BY_ANOTHER or before.found in ("path-prefix-wrong", "redirect-to-https"))
    )


def _is_in_the_table(code: str, check: str, base_url: BaseUrl | None, before: EarlierFault) -> bool:
    own = {"browser": _FOLLOW_FOR_BROWSERS, "backend": _FOLLOW_FOR_BACKENDS}.get(check, {})
    return code in _FOLLOW.get(before.found, ()) or code in own.get(before.found, ())


def _comes_of_scheme_and_port(code: str, check: str, base_url: BaseUrl | None, before: EarlierFault) -> bool:
    """Return whether a scheme and a port that do not belong together lead the walk astray."""
    if before.found != "env-scheme-port-mismatch" or code not in _WRONG_PORT_OR_SCHEME:
        return False
    is_public = not before.location.rpartition(": ")[2].startswith(("SOUNDPOST_SCHEME", "REVERB_SCHEME"))
    return check == ("browser" if is_public else "backend")


def _has_the_same_clock(code: str, check: str, base_url: BaseUrl | None, before: EarlierFault) -> bool:
    """Return whether one wrong clock breaks certificates and signatures."""
    return before.cause == "clock-skew" and code in ("clock-skew", "clock-drift", *_ENDED)


_Rule = Callable[[str, str, BaseUrl | None, EarlierFault], bool]
_RULES: Final[tuple[_Rule, ...]] = (
    _is_the_same,
    _comes_of_the_server,
    _has_no_api_either,
    _is_in_the_table,
    _comes_of_scheme_and_port,
    _has_the_same_clock,
)
