"""Check of a browser's access, from the host name to an answered ping."""

from __future__ import annotations

from typing import NamedTuple

from soundpost.tools.doctor.base_url import BaseUrl
from soundpost.tools.doctor.causes import browser_cause
from soundpost.tools.doctor.connecting import open_in_steps
from soundpost.tools.doctor.examination import Check, Examination
from soundpost.tools.doctor.findings import FaultFound
from soundpost.tools.doctor.plan import CheckPlan
from soundpost.tools.doctor.pusher_connection import (
    EstablishedConnection,
    open_established,
    ping,
    subscribe,
    wait_until_established,
)
from soundpost.tools.doctor.socket_session import SocketSession, open_session

CHANNEL = "soundpost-doctor"


class BrowserAccess(NamedTuple):
    """Base URL, origin and activity timeout (seconds) with which a browser got in."""

    base_url: BaseUrl
    origin: str | None
    activity_timeout: float


def check_as_browser(plan: CheckPlan, base_url: BaseUrl, examination: Examination) -> BrowserAccess | None:
    """Check as a browser and return the access that worked; None after a fault."""
    with Check("browser", examination, lambda found: browser_cause(found, plan, base_url)) as check:
        if _is_mixed(plan.origin, base_url):
            with check.step("Address"):
                raise FaultFound("mixed-content", origin=plan.origin, url=base_url.url)
        sock = open_in_steps(check, base_url, verify=plan.verify)
        with check.step("WebSocket") as step:
            session = open_session(sock, base_url, plan.key, plan.origin)
            step.message = f"{base_url.socket_path(plan.key)} was upgraded"
        with session:
            with check.step("Hello") as step:
                established, origin = _established(session, plan, base_url)
                page = f" for pages of {origin}" if origin else ""
                if origin != plan.origin:
                    page = f" for pages of {origin}; --origin tries yours"
                step.message = (
                    f"socket {established.socket_id}, ping after {established.activity_timeout:g} s of silence{page}"
                )
            with established.session, check.step("Subscription") as step:
                subscribe(established.session, CHANNEL)
                ping(established.session)
                step.message = "a public channel was subscribed to, a ping answered"
        return BrowserAccess(base_url, origin, established.activity_timeout)
    return None


def _established(
    session: SocketSession, plan: CheckPlan, base_url: BaseUrl
) -> tuple[EstablishedConnection, str | None]:
    """Wait for the established connection; try the server's own origin if one is needed and none is known."""
    try:
        return wait_until_established(session, base_url, plan.key, plan.origin), plan.origin
    except FaultFound as refused:
        if refused.code != "origin-refused" or plan.origin is not None:
            raise
        try:
            return open_established(base_url, plan.key, base_url.origin, verify=plan.verify), base_url.origin
        except FaultFound:
            raise refused from None


def _is_mixed(origin: str | None, base_url: BaseUrl) -> bool:
    return origin is not None and origin.startswith("https:") and not base_url.is_tls and not base_url.is_loopback
