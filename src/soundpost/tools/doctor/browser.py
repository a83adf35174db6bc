"""Check of a browser's access, from the host name to an answered ping."""

from __future__ import annotations

from dataclasses import replace
from typing import NamedTuple

from soundpost.tools.doctor.base_url import BaseUrl
from soundpost.tools.doctor.causes import browser_cause
from soundpost.tools.doctor.connecting import open_in_steps
from soundpost.tools.doctor.examination import Check, Examination, PendingStep
from soundpost.tools.doctor.findings import FaultFound
from soundpost.tools.doctor.plan import CheckPlan, UnknownPublic
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
    with Check("browser", examination, base_url, lambda found: browser_cause(found, plan, base_url)) as check:
        if plan.unknown_public is not None:
            with check.step("Address") as step:
                _note_unknown_address(step, plan.unknown_public, base_url)
        if _is_mixed(plan.origin, base_url):
            with check.step("Address"):
                raise FaultFound("mixed-content", origin=plan.origin, url=base_url.url)
        sock = open_in_steps(check, base_url, plan)
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


def with_likely_public(plan: CheckPlan) -> CheckPlan:
    """Return the plan with the likely address for browsers, if nothing says the right one and the likely one works."""
    unknown = plan.unknown_public
    if unknown is None or unknown.guess is None or not plan.key:
        return plan
    trial = Examination()
    if check_as_browser(replace(plan, unknown_public=None), unknown.guess, trial) is None:
        return replace(plan, unknown_public=unknown._replace(tried=trial.faults[0].message))
    return replace(plan, public=unknown.guess)


def _note_unknown_address(step: PendingStep, unknown: UnknownPublic, base_url: BaseUrl) -> None:
    if base_url == unknown.guess:
        step.message = f'assumed: {unknown.reason}; public_url = "{base_url.url}" under [server] says it'
        return
    guess = unknown.guess or BaseUrl("https", "ws.example.com", 443)
    tried = f"; {guess.url} was tried: {unknown.tried}" if unknown.tried else ""
    step.also_found.append(FaultFound("public-address-unknown", reason=unknown.reason, tried=tried, guess=guess.url))


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
