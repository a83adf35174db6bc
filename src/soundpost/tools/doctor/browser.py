"""The way of a browser, from the name to an answered ping."""

from __future__ import annotations

from typing import NamedTuple

from soundpost.tools.doctor.base_url import Place
from soundpost.tools.doctor.causes import browser_cause
from soundpost.tools.doctor.connecting import reach
from soundpost.tools.doctor.examination import Examination, Walk
from soundpost.tools.doctor.findings import Found
from soundpost.tools.doctor.greeting import Greeted, greet, open_and_greet, ping, subscribe
from soundpost.tools.doctor.plan import Plan
from soundpost.tools.doctor.socket_session import SocketSession, open_session

CHANNEL = "soundpost-doctor"


class Entrance(NamedTuple):
    """Where and how browsers get in."""

    place: Place
    origin: str | None
    activity_timeout: float


def as_a_browser(plan: Plan, place: Place, examination: Examination) -> Entrance | None:
    """Walk; None if a fault was met."""
    with Walk("browser", examination, lambda found: browser_cause(found, plan, place)) as walk:
        if _is_mixed(plan.origin, place):
            with walk.step("Address"):
                raise Found("mixed-content", origin=plan.origin, url=place.url)
        sock = reach(walk, place, verify=plan.verify)
        with walk.step("WebSocket") as step:
            session = open_session(sock, place, plan.key, plan.origin)
            step.message = f"{place.socket_path(plan.key)} was upgraded"
        with session:
            with walk.step("Hello") as step:
                greeted, origin = _greeted(session, plan, place)
                page = f" for pages of {origin}" if origin else ""
                if origin != plan.origin:
                    page = f" for pages of {origin}; --origin tries yours"
                step.message = f"socket {greeted.socket_id}, ping after {greeted.activity_timeout:g} s of silence{page}"
            with greeted.session, walk.step("Subscription") as step:
                subscribe(greeted.session, CHANNEL)
                ping(greeted.session)
                step.message = "a public channel was subscribed to, a ping answered"
        return Entrance(place, origin, greeted.activity_timeout)
    return None


def _greeted(session: SocketSession, plan: Plan, place: Place) -> tuple[Greeted, str | None]:
    """The hello; a server that wants an origin, where none is known, is told its own."""
    try:
        return greet(session, place, plan.key, plan.origin), plan.origin
    except Found as refused:
        if refused.code != "origin-refused" or plan.origin is not None:
            raise
        try:
            return open_and_greet(place, plan.key, place.origin, verify=plan.verify), place.origin
        except Found:
            raise refused from None


def _is_mixed(origin: str | None, place: Place) -> bool:
    return origin is not None and origin.startswith("https:") and not place.is_tls and not place.is_loopback
