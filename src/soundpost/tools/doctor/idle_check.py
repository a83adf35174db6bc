"""A connection on which nothing is said: does something on the way cut it before the next ping?"""

from __future__ import annotations

import time

from soundpost.tools.doctor.browser import Entrance
from soundpost.tools.doctor.examination import Examination, Walk
from soundpost.tools.doctor.findings import Found
from soundpost.tools.doctor.greeting import PING, PONG, open_and_greet, ping
from soundpost.tools.doctor.plan import Plan
from soundpost.tools.doctor.socket_session import NO_CLOSE_FRAME, EndedError, SilentError, SocketSession


def stay_silent(plan: Plan, entrance: Entrance, examination: Examination) -> None:
    """Wait as a browser does: until the server's ping, or until it is time for its own."""
    with Walk("silence", examination) as walk, walk.step("Idle connection") as step:
        greeted = open_and_greet(entrance.place, plan.key, entrance.origin, verify=plan.verify)
        with greeted.session as session:
            step.message = _silence(session, greeted.activity_timeout)


def _silence(session: SocketSession, activity_timeout: float) -> str:
    began = time.monotonic()
    try:
        # The server's ping is due at the same time: a moment longer, not to cross it.
        frame = session.receive(activity_timeout + 1.5)
    except SilentError:
        ping(session)
        return f"lived through {time.monotonic() - began:.0f} s of silence; our ping was answered"
    except EndedError as ended:
        seconds = time.monotonic() - began
        if ended.code == NO_CLOSE_FRAME:
            raise Found("proxy-idle-timeout", seconds=seconds, ping=f"{activity_timeout:g}") from None
        raise Found("idle-connection-closed", seconds=seconds, reason=ended) from None
    if frame.event == PING:
        session.send(PONG, {})
    return f"lived through {time.monotonic() - began:.0f} s of silence, until the server's ping"
