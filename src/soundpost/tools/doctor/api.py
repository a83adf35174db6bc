"""Signed requests to the HTTP API, and the faults behind refused ones."""

from __future__ import annotations

import re
from typing import Final, NamedTuple
from urllib.parse import parse_qsl, quote, urlencode

from soundpost.tools.doctor.answered_by import answered_by, is_page, response_text
from soundpost.tools.doctor.base_url import BaseUrl
from soundpost.tools.doctor.exchange import RawResponse, fetch
from soundpost.tools.doctor.faults.server import FROM_OPTIONS, FROM_REVERB_VARIABLES
from soundpost.tools.doctor.findings import FaultFound, one_line
from soundpost.tools.doctor.plan import CheckPlan
from soundpost.tools.doctor.refusals import path_fault, proxy_fault
from soundpost.wire.foreign import object_in, time_in
from soundpost.wire.json_text import encode
from soundpost.wire.signatures import TIMESTAMP_WINDOW, request_text, signed_query

DRIFT: Final = 30
"""Seconds by which two clocks may differ before the doctor warns."""
_SERVER_TIME: Final = re.compile(r"server time \(([0-9]{1,15})\)")
_SIGNED_THERE: Final = re.compile(r'HmacSHA256Hex\("(.{0,4000}?)", your_secret_key\)', re.DOTALL)
_PREFIX: Final = re.compile(r"paths begin with (\S+)")


class AcceptedRequest(NamedTuple):
    """Request that the API answered with 200."""

    response: RawResponse
    skew: float | None
    """Seconds by which this machine's clock is ahead of the server's; None if the answer has no time."""


class Api(NamedTuple):
    """HTTP API of one app at one base URL."""

    base_url: BaseUrl
    plan: CheckPlan

    def request_channels(self) -> AcceptedRequest:
        """Ask for the app's channels. Raises FaultFound."""
        return self._request("GET", "/channels")

    def publish(self, channel: str, name: str, data: str) -> AcceptedRequest:
        """Publish an event. Raises FaultFound."""
        return self._request("POST", "/events", encode({"name": name, "channels": [channel], "data": data}))

    def accepts_requests(self) -> bool:
        """Return whether the API accepts a signed request."""
        try:
            self.request_channels()
        except FaultFound:
            return False
        return True

    def _request(self, method: str, path: str, body: bytes = b"") -> AcceptedRequest:
        plan, base_url = self.plan, self.base_url
        path = f"{base_url.path}/apps/{quote(plan.app_id, safe='')}{path}"
        now = plan.clock()
        query = signed_query(plan.key, plan.secret, method, path, int(now), body=body)
        response = fetch(base_url, method, f"{path}?{urlencode(query)}", body, verify=plan.verify)
        skew = _skew(response, now)
        if response.status == 200 and response.body.lstrip()[:1] == b"{":
            return AcceptedRequest(response, skew)
        raise self._refusal(response, path, request_text(method, path, query.items()), skew)

    def _refusal(self, response: RawResponse, path: str, signed: str, skew: float | None) -> FaultFound:
        base_url, plan = self.base_url, self.plan
        shared = proxy_fault(response, base_url, path)
        if shared is not None and shared.code in ("redirected", "redirect-to-https"):
            return FaultFound("api-redirected", url=base_url.url, location=shared.facts["location"])
        if shared is not None:
            return shared
        status, text = response.status, response_text(response)
        if "No matching application" in text:
            return FaultFound("app-id-unknown", app_id=plan.app_id, source=plan.source_of("app_id"))
        if "is not the key of app" in text:
            return FaultFound("app-key-mismatch", key=plan.key, app_id=plan.app_id, source=plan.source_of("key"))
        if status == 403 and not is_page(response):
            return FaultFound("app-disabled") if "disabled" in text else self._other(response)
        prefix = _PREFIX.search(text)
        if prefix:
            right = prefix[1].rstrip(".,")
            return path_fault(path, f"{right}/apps/{plan.app_id}", right)
        if status in (404, 405) or is_page(response):
            return FaultFound(
                "api-not-forwarded", url=base_url.url, asked=path, status=status, author=answered_by(response)
            )
        if status == 401:
            return self._unauthorized(response, text, signed, skew)
        return self._other(response)

    def _unauthorized(self, response: RawResponse, text: str, signed: str, skew: float | None) -> FaultFound:
        difference = _difference(signed, response)
        if difference:
            return FaultFound("signed-request-changed", difference=difference)
        if skew is not None and ("Timestamp" in text or "auth_timestamp" in text or abs(skew) > TIMESTAMP_WINDOW):
            return clock_fault("clock-skew", skew)
        if "ignature" in text:
            clock = "" if skew is None else f" (it is not the clock, which differs by {_seconds(skew)})"
            location = self.plan.credential_sources.get("secret", "")
            situation = FROM_REVERB_VARIABLES if "REVERB_" in location else ""
            return FaultFound(
                "app-secret-wrong",
                FROM_OPTIONS if self.plan.is_option("secret") else situation,
                app_id=self.plan.app_id,
                clock=clock,
                source=self.plan.source_of("secret"),
                to=f" to {location}" if location else "",
            )
        return self._other(response)

    def _other(self, response: RawResponse) -> FaultFound:
        return FaultFound("api-refused", url=self.base_url.url, status=response.status, shown=response_text(response))


def clock_fault(code: str, skew: float, refused: str = "the signature was refused") -> FaultFound:
    """Return the fault ``clock-skew`` or ``clock-drift`` for a measured ``skew`` in seconds.

    ``refused`` is the beginning of the sentence: what does not work.
    """
    is_ahead = "is ahead of" if skew > 0 else "is behind"
    return FaultFound(code, is_ahead=is_ahead, skew=_seconds(skew), refused=refused)


def _seconds(skew: float) -> str:
    return f"{abs(skew):.0f} s"


def _skew(response: RawResponse, now: float) -> float | None:
    server_time = _SERVER_TIME.search(response.body.decode(errors="replace"))
    if server_time:
        return int(now) - int(server_time[1])
    date = time_in(response.headers.get("date", ""))
    return None if date is None else int(now) - date


def _difference(signed: str, response: RawResponse) -> str:
    """Return how the request changed on its way; empty if unchanged, or if the server does not say."""
    there = _SIGNED_THERE.search(error_text(response))
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
    sent, received = dict(parse_qsl(ours[2])), dict(parse_qsl(theirs[2]))
    added, missing = sorted(received.keys() - sent.keys()), sorted(sent.keys() - received.keys())
    changed = [name for name in sorted(sent.keys() & received.keys()) if sent[name] != received[name]]
    parts = [("added", added), ("missing", missing), ("changed", changed)]
    return "; ".join(f"{word}: {one_line(', '.join(names))}" for word, names in parts if names)


def error_text(response: RawResponse) -> str:
    """Return a JSON error's text, not shortened; empty without one."""
    found = (object_in(response.body) or {}).get("error")
    return found if isinstance(found, str) else ""
