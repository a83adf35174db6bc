"""Check of delivery: subscribe as browsers do, publish as a backend does, expect the event everywhere."""

from __future__ import annotations

import secrets
import time
from contextlib import ExitStack

from soundpost.tools.doctor import timeouts
from soundpost.tools.doctor.api import Api
from soundpost.tools.doctor.browser import BrowserAccess
from soundpost.tools.doctor.examination import Check, Examination
from soundpost.tools.doctor.findings import FaultFound
from soundpost.tools.doctor.plan import CheckPlan
from soundpost.tools.doctor.pusher_connection import open_established, subscribe
from soundpost.tools.doctor.socket_session import ConnectionClosedError, NothingReceivedError, SocketSession

_CONNECTIONS = 4
_EVENT = "check"


def check_delivery(plan: CheckPlan, browser_access: BrowserAccess, api: Api, examination: Examination) -> None:
    """Check that an event arrives at several connections, opened one by one so that a load balancer spreads them."""
    channel = f"soundpost-doctor-{secrets.token_hex(6)}"
    with Check("delivery", examination) as check, ExitStack() as stack:
        with check.step("Connections") as step:
            sessions = _sessions(plan, browser_access, channel, stack)
            step.message = f"{len(sessions)} subscribed to a public channel"
        with check.step("Event") as step:
            began = time.monotonic()
            response = api.publish(channel, _EVENT, "{}").response
            if b'"delivered":"local"' in response.body.replace(b" ", b""):
                step.also_found.append(FaultFound("delivered-locally"))
            first = _hears(sessions[0], channel, timeouts.CONNECT)
            took = time.monotonic() - began
            heard = first + sum(_hears(each, channel, 2.0 if first else 1.0) for each in sessions[1:])
            _judge(heard, len(sessions), browser_access, api)
            step.message = f"arrived at {'all of them' if heard > 1 else 'it'}, at the first after {took * 1000:.0f} ms"


def _sessions(plan: CheckPlan, browser_access: BrowserAccess, channel: str, stack: ExitStack) -> list[SocketSession]:
    """Return subscribed connections: four, or as many as the server accepts. Raises FaultFound without any."""
    sessions: list[SocketSession] = []
    for _ in range(_CONNECTIONS):
        try:
            established = open_established(browser_access.base_url, plan.key, browser_access.origin, verify=plan.verify)
        except FaultFound as found:
            if sessions and found.code in ("app-over-quota", "server-over-capacity", "rate-limited"):
                return sessions
            raise
        sessions.append(stack.enter_context(established.session))
        subscribe(established.session, channel)
    return sessions


def _hears(session: SocketSession, channel: str, seconds: float) -> bool:
    """Return whether the event arrives within ``seconds``."""
    try:
        return any(frame.channel == channel and frame.event == _EVENT for frame in session.messages(seconds))
    except (NothingReceivedError, ConnectionClosedError):
        return False


def _judge(heard: int, count: int, browser_access: BrowserAccess, api: Api) -> None:
    if heard == count:
        return
    if heard:
        raise FaultFound("nodes-not-clustered", heard=heard, all=count, public=browser_access.base_url.url)
    raise FaultFound(
        "event-not-delivered",
        backend=api.base_url.url,
        public=browser_access.base_url.url,
        seconds=f"{timeouts.CONNECT:g}",
    )
