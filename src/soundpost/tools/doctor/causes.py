"""Search for the cause of a fault: the same server at another port, path or address."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from soundpost.tools.doctor.api import Api, clock_fault
from soundpost.tools.doctor.base_url import BaseUrl
from soundpost.tools.doctor.exchange import fetch
from soundpost.tools.doctor.faults.connection import FROM_PUBLIC_VARIABLES, FROM_THE_SERVER, PORT_OF_THE_SITE
from soundpost.tools.doctor.faults.server import FROM_OPTIONS, ORIGIN_IS_CONFIGURED, ORIGINS_KNOWN
from soundpost.tools.doctor.findings import FaultFound, one_line
from soundpost.tools.doctor.hosts import is_this_machine
from soundpost.tools.doctor.nginx_files import lines_about
from soundpost.tools.doctor.plan import CheckPlan
from soundpost.tools.doctor.pusher_connection import open_established
from soundpost.tools.doctor.refusals import MAY_BE_AT_ANOTHER_PATH, path_fault
from soundpost.tools.doctor.renewed_certificate import with_renewed_file
from soundpost.tools.doctor.socket_rights import closed_to, nginx_user
from soundpost.tools.doctor.tls import speaks_tls
from soundpost.wire.foreign import time_in
from soundpost.wire.signatures import TIMESTAMP_WINDOW

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
_NOT_THE_SERVER: Final = frozenset((*_UNREACHED, "dns-unknown", "dns-failed", "port-speaks-tls", "api-not-forwarded"))
_BEHIND_A_PROXY: Final = ("bad-gateway", "http-connection-closed", "upgrade-ignored", "upgrade-refused")
_REACHED_THE_APP: Final = ("origin-refused", "app-over-quota", "server-over-capacity", "app-disabled")
_PREFIXES: Final = ("", "/ws", "/wss", "/socket", "/soundpost", "/reverb", "/websocket", "/realtime", "/broadcasting")
_SHOWN_LINES: Final = 3
_ANSWERED_BY_API: Final = ("app-secret-wrong", "clock-skew", "app-id-unknown", "app-key-mismatch", "app-disabled")


def browser_cause(found: FaultFound, plan: CheckPlan, base_url: BaseUrl) -> FaultFound:
    """Return the cause of a browser's fault if the server is found elsewhere, else the fault itself."""
    cause: FaultFound | None = None
    found = _of_the_site(_of_the_clock(found, plan, base_url) or with_renewed_file(found, plan, base_url), plan)
    if found.code in _UNREACHED:
        cause = _other_port(found, plan, base_url)
    if found.code == "app-key-unknown":
        situation = FROM_OPTIONS if plan.is_option("key") else ""
        found = FaultFound(found.code, situation, **{**found.facts, "source": plan.source_of("key")})
    if found.code == "origin-refused":
        found = _refused_origin(found, plan)
    if cause is None and found.code in _BEHIND_A_PROXY:
        cause = _behind_the_proxy(found, plan, base_url)
    asks_twice = found.code == "app-key-unknown" and base_url.path.endswith("/app")  # wsPath is what comes before /app
    if cause is None and (found.code in MAY_BE_AT_ANOTHER_PATH or asks_twice):
        cause = _other_path(plan, base_url)
    return cause or found


def _of_the_clock(found: FaultFound, plan: CheckPlan, base_url: BaseUrl) -> FaultFound | None:
    """Return the fault of a clock that is wrong, if the certificate is valid at the time that the server tells."""
    if found.code not in ("certificate-expired", "certificate-not-yet-valid"):
        return None
    try:
        response = fetch(base_url, "GET", f"{base_url.path}/up", verify=False)
    except FaultFound:
        return None
    there = time_in(response.headers.get("date", ""))
    if there is None or abs(plan.clock() - there) <= TIMESTAMP_WINDOW:
        return None
    day, end = datetime.fromtimestamp(there, UTC).date().isoformat(), str(found.facts["date"])
    is_expired = found.code == "certificate-expired"
    if (day > end) if is_expired else (day < end):
        return None
    seems = "expired" if is_expired else "not yet valid"
    return clock_fault("clock-skew", plan.clock() - there, f"the certificate of {base_url.host} seems {seems}")


def _of_the_site(found: FaultFound, plan: CheckPlan) -> FaultFound:
    """Return the fault with the way out for a server that is embedded in a site."""
    if not plan.is_embedded or found.code != "tcp-refused":
        return found
    return FaultFound(found.code, PORT_OF_THE_SITE, **found.facts)


def _refused_origin(found: FaultFound, plan: CheckPlan) -> FaultFound:
    """Return the refusal with the whole list of origins that the app needs, if the app is configured here."""
    apps = () if plan.settings is None else plan.settings.apps
    app = next((each for each in apps if each.key == plan.key), None)
    if app is None:
        return found
    host = str(found.facts["host"])
    origins = [*app.allowed_origins, host]
    listed, joined = ", ".join(f'"{origin}"' for origin in origins), ",".join(origins)
    situation = ORIGIN_IS_CONFIGURED if {host, "*"} & set(app.allowed_origins) else ORIGINS_KNOWN
    return FaultFound(found.code, situation, **{**found.facts, "app_id": app.id, "listed": listed, "joined": joined})


def backend_cause(found: FaultFound, plan: CheckPlan, base_url: BaseUrl) -> FaultFound:
    """Return the cause of a backend's fault if the backend uses another address than the server's, else the fault."""
    inside = plan.inside
    found = _of_the_site(_of_the_clock(found, plan, base_url) or with_renewed_file(found, plan, base_url), plan)
    if (
        inside is None
        or inside.unix_socket
        or found.code in _ANSWERED_BY_API
        or (inside.is_same_listener(base_url) and inside.scheme == base_url.scheme)
        or not Api(inside, plan).accepts_requests()
    ):
        return found
    if not is_public(base_url, plan) and found.code not in _NOT_THE_SERVER:
        return found
    facts = {
        "url": base_url.url,
        "problem": found.message,
        "source": plan.backend_source or "as configured",
        **inside.facts,
    }
    return FaultFound("public-address-in-backend" if is_public(base_url, plan) else "wrong-address-in-backend", **facts)


def _situation(source: str) -> str:
    """Return the situation for the place that tells browsers their address."""
    if "SOUNDPOST_PUBLIC_" in source:
        return FROM_PUBLIC_VARIABLES
    return FROM_THE_SERVER if source.endswith((": public_url", ": [server]")) else ""


def is_public(base_url: BaseUrl, plan: CheckPlan) -> bool:
    """Return whether a base URL is meant for browsers while another one leads to the server inside."""
    if plan.inside is None or base_url.is_same_listener(plan.inside):
        return False
    return base_url.is_same_listener(plan.public) or base_url.port in (443, 80, *plan.public_ports)


def _other_port(found: FaultFound, plan: CheckPlan, base_url: BaseUrl) -> FaultFound | None:
    for port in plan.public_ports:
        other = base_url._replace(scheme="https", port=port)
        if port != base_url.port and _accepts_browsers(other, plan):
            return FaultFound(
                "internal-port-in-browser",
                _situation(plan.public_source),
                port=base_url.port,
                problem=_UNREACHED[found.code],
                open=port,
                host=base_url.host,
                right=other.url,
                source=plan.public_source or "as configured",
            )
    return None


def _behind_the_proxy(found: FaultFound, plan: CheckPlan, base_url: BaseUrl) -> FaultFound | None:
    """Return the fault of a proxy that reaches the server behind it at a wrong address or scheme."""
    answered_by = found.facts.get("author", "the proxy")
    for inside in dict.fromkeys((plan.backend, plan.inside)):
        if inside is None or inside.is_same_listener(base_url):
            continue
        if speaks_tls(inside):
            return FaultFound("proxy-http-to-tls-server")
        if found.code == "bad-gateway" and _accepts_browsers(inside, plan):
            closed = _closed_socket(answered_by, inside, plan, base_url)
            return closed or FaultFound(
                "proxy-wrong-upstream",
                author=answered_by,
                inside=inside.url,
                passed=f"http://{inside.url}" if inside.unix_socket else inside.origin,
                address=f"unix:{inside.unix_socket}" if inside.unix_socket else f"{inside.host}:{inside.port}",
                scheme=inside.scheme,
                host=inside.host,
                seen=_seen_in_nginx(inside, plan, base_url),
            )
    return None


def _closed_socket(answered_by: object, inside: BaseUrl, plan: CheckPlan, base_url: BaseUrl) -> FaultFound | None:
    """Return the fault of a Unix socket that Nginx on this machine has no right to."""
    user = nginx_user(plan.nginx) if inside.unix_socket and is_this_machine(base_url.host) else None
    closed = None if user is None else closed_to(user, Path(inside.unix_socket))
    if user is None or closed is None:
        return None
    return FaultFound(
        "unix-socket-closed",
        author=answered_by,
        user=user.name,
        socket=inside.unix_socket,
        closed=closed,
        command=closed.command,
    )


def _seen_in_nginx(inside: BaseUrl, plan: CheckPlan, base_url: BaseUrl) -> str:
    """Return the lines of Nginx's configuration here with another address than the server's, as a sentence."""
    if not is_this_machine(base_url.host):
        return ""
    right = {f"unix:{inside.unix_socket}"} if inside.unix_socket else {f"{inside.host}:{inside.port}"}
    right |= {f"localhost:{inside.port}"} if inside.is_loopback and not inside.unix_socket else set()
    wrong = [line for line in lines_about(base_url.host, plan.nginx) if line.address not in right]
    shown = "; ".join(f"{line.file}, line {line.number}: '{one_line(line.text)}'" for line in wrong[:_SHOWN_LINES])
    return f" Another address is in {shown}." if shown else ""


def _other_path(plan: CheckPlan, base_url: BaseUrl) -> FaultFound | None:
    known = [each.path for each in (plan.inside, plan.backend) if each is not None]
    for prefix in dict.fromkeys([*known, base_url.path.removesuffix("/app"), *_PREFIXES]):
        other = base_url._replace(path=prefix)
        if prefix != base_url.path and _accepts_browsers(other, plan):
            return path_fault(base_url.socket_path(plan.key), other.socket_path(plan.key), prefix)
    return None


def _accepts_browsers(base_url: BaseUrl, plan: CheckPlan) -> bool:
    """Return whether the app's server answers at a base URL, even if this client is refused."""
    try:
        open_established(base_url, plan.key, plan.origin, verify=plan.verify).session.close()
    except FaultFound as found:
        return found.code in _REACHED_THE_APP
    return True
