"""Check of an idle connection: no proxy may cut it before the next ping."""

from __future__ import annotations

import time

from soundpost.tools.doctor.browser import BrowserAccess
from soundpost.tools.doctor.examination import Check, Examination
from soundpost.tools.doctor.findings import FaultFound
from soundpost.tools.doctor.plan import CheckPlan
from soundpost.tools.doctor.pusher_connection import PING, PONG, open_established, ping
from soundpost.tools.doctor.socket_session import (
    NO_CLOSE_FRAME,
    ConnectionClosedError,
    NothingReceivedError,
    SocketSession,
)


def check_idle_connection(plan: CheckPlan, browser_access: BrowserAccess, examination: Examination) -> None:
    """Wait as a browser does: until the server's ping, or until the client's own ping is due."""
    with Check("idle", examination) as check, check.step("Idle connection") as step:
        established = open_established(browser_access.base_url, plan.key, browser_access.origin, verify=plan.verify)
        with established.session as session:
            step.message = _wait_for_ping(session, established.activity_timeout)


def _wait_for_ping(session: SocketSession, activity_timeout: float) -> str:
    began = time.monotonic()
    try:
        # The server's ping is due at the same time: wait a moment longer, or the two pings would cross.
        frame = session.receive(activity_timeout + 1.5)
    except NothingReceivedError:
        ping(session)
        return f"lived through {time.monotonic() - began:.0f} s of silence; our ping was answered"
    except ConnectionClosedError as ended:
        seconds = time.monotonic() - began
        if ended.code == NO_CLOSE_FRAME:
            raise FaultFound("proxy-idle-timeout", seconds=seconds, ping=f"{activity_timeout:g}") from None
        raise FaultFound("idle-connection-closed", seconds=seconds, reason=ended) from None
    if frame.event == PING:
        session.send(PONG, {})
    return f"lived through {time.monotonic() - began:.0f} s of silence, until the server's ping"
