"""The HTTP API as a backend asks it: signed requests, and what is wrong when they are refused."""

from __future__ import annotations

import re
from typing import Final, NamedTuple, Self
from urllib.parse import parse_qsl, quote, urlencode

from soundpost.tools.doctor.answered_by import author, is_page, said
from soundpost.tools.doctor.base_url import Place
from soundpost.tools.doctor.exchange import Answer, fetch
from soundpost.tools.doctor.findings import Found, one_line
from soundpost.tools.doctor.plan import Plan
from soundpost.tools.doctor.refusals import read_proxy
from soundpost.wire.foreign import object_in, time_in
from soundpost.wire.json_text import encode
from soundpost.wire.signatures import TIMESTAMP_WINDOW, request_text, signed_query

DRIFT: Final = 30
"""Seconds by which clocks may differ before it is said."""
_SERVER_TIME: Final = re.compile(r"server time \(([0-9]{1,15})\)")
_SIGNED_THERE: Final = re.compile(r'HmacSHA256Hex\("(.{0,4000}?)", your_secret_key\)', re.DOTALL)
_PREFIX: Final = re.compile(r"paths begin with (\S+)")


class Checked(NamedTuple):
    """A request that was answered well."""

    answer: Answer
    skew: float | None
    """Seconds by which our clock is ahead of the server's; None if the server does not tell its time."""


class Api(NamedTuple):
    """The API of one app at one place."""

    place: Place
    plan: Plan

    @classmethod
    def of(cls, plan: Plan, place: Place) -> Self:
        """The API of the plan's app."""
        return cls(place, plan)

    def check(self) -> Checked:
        """Ask for the app's channels. Raises Found."""
        return self._request("GET", "/channels")

    def publish(self, channel: str, name: str, data: str) -> Checked:
        """Publish an event. Raises Found."""
        return self._request("POST", "/events", encode({"name": name, "channels": [channel], "data": data}))

    def _request(self, method: str, path: str, body: bytes = b"") -> Checked:
        plan, place = self.plan, self.place
        path = f"{place.path}/apps/{quote(plan.app_id, safe='')}{path}"
        now = plan.clock()
        query = signed_query(plan.key, plan.secret, method, path, int(now), body=body)
        answer = fetch(place, method, f"{path}?{urlencode(query)}", body, verify=plan.verify)
        skew = _skew(answer, now)
        if answer.status == 200 and answer.body.lstrip()[:1] == b"{":
            return Checked(answer, skew)
        raise self._refusal(answer, path, request_text(method, path, query.items()), skew)

    def _refusal(self, answer: Answer, path: str, signed: str, skew: float | None) -> Found:
        place, plan = self.place, self.plan
        shared = read_proxy(answer, place, path)
        if shared is not None and shared.code in ("redirected", "redirect-to-https"):
            return Found("api-redirected", url=place.url, location=shared.facts["location"])
        if shared is not None:
            return shared
        status, text = answer.status, said(answer)
        if "No matching application" in text:
            return Found("app-id-unknown", app_id=plan.app_id)
        if "is not the key of app" in text:
            return Found("app-key-mismatch", key=plan.key, app_id=plan.app_id)
        if status == 403 and not is_page(answer):
            return Found("app-disabled") if "disabled" in text else self._other(answer)
        prefix = _PREFIX.search(text)
        if prefix:
            right = prefix[1].rstrip(".,")
            return Found("path-prefix-wrong", asked=path, right=f"{right}/apps/{plan.app_id}", prefix=right)
        if status in (404, 405) or is_page(answer):
            return Found("api-not-forwarded", url=place.url, asked=path, status=status, author=author(answer))
        if status == 401:
            return self._unauthorized(answer, text, signed, skew)
        return self._other(answer)

    def _unauthorized(self, answer: Answer, text: str, signed: str, skew: float | None) -> Found:
        difference = _difference(signed, answer)
        if difference:
            return Found("signed-request-changed", difference=difference)
        if skew is not None and ("Timestamp" in text or "auth_timestamp" in text or abs(skew) > TIMESTAMP_WINDOW):
            return clock_fault("clock-skew", skew)
        if "ignature" in text:
            clock = "" if skew is None else f" (it is not the clock, which differs by {_seconds(skew)})"
            return Found("app-secret-wrong", app_id=self.plan.app_id, clock=clock)
        return self._other(answer)

    def _other(self, answer: Answer) -> Found:
        return Found("api-refused", url=self.place.url, status=answer.status, shown=said(answer))


def clock_fault(code: str, skew: float) -> Found:
    """``clock-skew`` or ``clock-drift``, with what was measured."""
    return Found(code, is_ahead="is ahead of" if skew > 0 else "is behind", skew=_seconds(skew))


def _seconds(skew: float) -> str:
    return f"{abs(skew):.0f} s"


def _skew(answer: Answer, now: float) -> float | None:
    told = _SERVER_TIME.search(answer.body.decode(errors="replace"))
    if told:
        return int(now) - int(told[1])
    date = time_in(answer.headers.get("date", ""))
    return None if date is None else int(now) - date


def _difference(signed: str, answer: Answer) -> str:
    """How the request that arrived differs from the one that was sent; empty if it does not, or nobody says."""
    there = _SIGNED_THERE.search(said_whole(answer))
    if not there:
        return ""
    arrived = there[1].replace("\\n", "\n")
    ours, theirs = signed.split("\n"), arrived.split("\n")
    if len(theirs) != len(ours) or ours == theirs:
        return ""
    if ours[0] != theirs[0]:
        return f"the method arrived as {one_line(theirs[0])}"
    if ours[1] != theirs[1]:
        return f"the path {ours[1]} arrived as {one_line(theirs[1])}"
    sent, came = dict(parse_qsl(ours[2])), dict(parse_qsl(theirs[2]))
    added, missing = sorted(came.keys() - sent.keys()), sorted(sent.keys() - came.keys())
    changed = [name for name in sorted(sent.keys() & came.keys()) if sent[name] != came[name]]
    parts = [("added", added), ("missing", missing), ("changed", changed)]
    return "; ".join(f"{word}: {one_line(', '.join(names))}" for word, names in parts if names)


def said_whole(answer: Answer) -> str:
    """The error's text, not shortened."""
    found = (object_in(answer.body) or {}).get("error")
    return found if isinstance(found, str) else ""
