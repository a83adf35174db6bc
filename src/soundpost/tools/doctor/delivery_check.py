"""The full circle: subscribe as browsers do, publish as a backend does, see the event arrive everywhere."""

from __future__ import annotations

import secrets
import time
from contextlib import ExitStack

from soundpost.tools.doctor import timeouts
from soundpost.tools.doctor.api import Api
from soundpost.tools.doctor.browser import Entrance
from soundpost.tools.doctor.examination import Examination, Walk
from soundpost.tools.doctor.findings import Found
from soundpost.tools.doctor.greeting import open_and_greet, subscribe
from soundpost.tools.doctor.plan import Plan
from soundpost.tools.doctor.socket_session import EndedError, SilentError, SocketSession

_CONNECTIONS = 4
_EVENT = "check"


def full_circle(plan: Plan, entrance: Entrance, api: Api, examination: Examination) -> None:
    """Walk; connections are opened one after the other, so a load balancer spreads them."""
    channel = f"soundpost-doctor-{secrets.token_hex(6)}"
    with Walk("circle", examination) as walk, ExitStack() as stack:
        with walk.step("Connections") as step:
            sessions = _sessions(plan, entrance, channel, stack)
            step.message = f"{len(sessions)} subscribed to a public channel"
        with walk.step("Event") as step:
            began = time.monotonic()
            answer = api.publish(channel, _EVENT, "{}").answer
            if b'"delivered":"local"' in answer.body.replace(b" ", b""):
                step.others.append(Found("delivered-locally"))
            first = _hears(sessions[0], channel, timeouts.CONNECT)
            took = time.monotonic() - began
            heard = first + sum(_hears(each, channel, 2.0 if first else 1.0) for each in sessions[1:])
            _judge(heard, len(sessions), entrance, api)
            step.message = f"arrived at {'all of them' if heard > 1 else 'it'}, at the first after {took * 1000:.0f} ms"


def _sessions(plan: Plan, entrance: Entrance, channel: str, stack: ExitStack) -> list[SocketSession]:
    """Subscribed connections: several, or as many as there is room for. Raises Found if there is none."""
    sessions: list[SocketSession] = []
    for _ in range(_CONNECTIONS):
        try:
            greeted = open_and_greet(entrance.place, plan.key, entrance.origin, verify=plan.verify)
        except Found as found:
            if sessions and found.code in ("app-over-quota", "server-over-capacity", "rate-limited"):
                return sessions
            raise
        sessions.append(stack.enter_context(greeted.session))
        subscribe(greeted.session, channel)
    return sessions


def _hears(session: SocketSession, channel: str, seconds: float) -> bool:
    """Whether the event arrives."""
    try:
        return any(frame.channel == channel and frame.event == _EVENT for frame in session.messages(seconds))
    except (SilentError, EndedError):
        return False


def _judge(heard: int, count: int, entrance: Entrance, api: Api) -> None:
    if heard == count:
        return
    if heard:
        raise Found("nodes-not-clustered", heard=heard, all=count, public=entrance.place.url)
    raise Found(
        "event-not-delivered", backend=api.place.url, public=entrance.place.url, seconds=f"{timeouts.CONNECT:g}"
    )
