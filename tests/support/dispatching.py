"""A dispatcher of webhooks whose time and endpoints a test plays."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from heapq import heappop, heappush
from typing import Any, NamedTuple

import msgspec

from soundpost.core.app_settings import AppSettings, WebhookSettings
from soundpost.core.webhooks import WebhookEvent
from soundpost.server.webhooks import WebhookDispatcher
from soundpost.server.webhooks.answers import Answer

URL = "http://app.test/hooks"
BEGIN = 1_000_000.0
"""Time of the clock at the start; the time of day is a billion seconds more."""


class Sent(NamedTuple):
    """A request that is under way."""

    body: bytes
    headers: dict[str, str]
    timeout: float
    then: Callable[[Answer], None]

    @property
    def events(self) -> list[dict[str, Any]]:
        """The events in it."""
        found: list[dict[str, Any]] = json.loads(self.body)["events"]
        return found

    @property
    def names(self) -> list[str]:
        """Names and channels of its events."""
        return [shown(event) for event in self.events]


class PlayedEndpoint:
    """The client of one endpoint."""

    def __init__(self) -> None:
        self.requests: list[Sent] = []
        self._answered = 0
        self.is_open = True

    def post(self, body: bytes, headers: dict[str, str], timeout: float, then: Callable[[Answer], None]) -> None:
        """Keep a request."""
        assert self.is_open
        self.requests.append(Sent(body, headers, timeout, then))

    def close(self) -> None:
        """Take no more."""
        self.is_open = False

    @property
    def is_asked(self) -> bool:
        """True while a request is under way."""
        return self._answered < len(self.requests)

    def answer(self, status: int = 200, **fields: str) -> list[str]:
        """Answer the last request; the names of its events."""
        self._answered = len(self.requests)
        self.requests[-1].then(Answer(status, **fields))
        return self.requests[-1].names


class Stage:
    """A dispatcher with two apps, and its endpoints by URL."""

    def __init__(self, *webhooks: WebhookSettings, **options: Any) -> None:
        self.now = BEGIN
        self.endpoints: dict[str, PlayedEndpoint] = {}
        self.done: list[Any] = []
        self._timers: list[tuple[float, int, Callable[[], None]]] = []
        self._number = 0
        self.apps = [app(*(webhooks or (WebhookSettings(url=URL),)))]
        self.dispatcher = WebhookDispatcher(
            self.apps,
            open_client=self._open,
            call_soon=lambda callback: self._call_later(0, callback),
            call_later=self._call_later,
            clock=lambda: self.now,
            wall_clock=lambda: self.now + 1e9,
            random=lambda: 1.0,
            on_done=self._note_done,
            **options,
        )

    def _open(self, url: str) -> PlayedEndpoint:
        self.endpoints[url] = PlayedEndpoint()
        return self.endpoints[url]

    def _note_done(self, app_id: str, tokens: Sequence[Any]) -> None:
        self.done += tokens

    def _call_later(self, seconds: float, callback: Callable[[], None]) -> None:
        self._number += 1
        heappush(self._timers, (self.now + seconds, self._number, callback))

    @property
    def endpoint(self) -> PlayedEndpoint:
        """The one endpoint."""
        return self.endpoints[URL]

    def pass_time(self, seconds: float = 0) -> None:
        """Let time pass, with all that happens meanwhile."""
        until = self.now + seconds
        while self._timers and self._timers[0][0] <= until + 1e-6:
            self.now, _, callback = heappop(self._timers)
            callback()
        self.now = max(self.now, until)

    def add(self, *events: str, token: Any = None, app_id: str = "1") -> None:
        """Add events, such as ``channel_occupied room`` or ``member_added presence-a ann``, at once."""
        for text in events:
            self.dispatcher.add(app_id, event(text), token)

    def took(self, url: str = URL) -> list[str]:
        """Answer all requests of an endpoint with 200, until none is under way; the names of their events."""
        found: list[str] = []
        self.pass_time()
        while self.endpoints[url].is_asked:
            found += self.endpoints[url].answer()
            self.pass_time()
        return found

    def reload(self, *webhooks: WebhookSettings) -> None:
        """Give the app other endpoints."""
        self.apps = [app(*webhooks)]
        self.dispatcher.configure(self.apps)


def app(*webhooks: WebhookSettings) -> AppSettings:
    """The app ``1`` with endpoints."""
    return AppSettings(id="1", key="app-key", secret="app-secret", webhooks=webhooks)


def event(text: str, **changes: Any) -> WebhookEvent:
    """An event; a word ``final`` at the end makes it one whose end was held back already."""
    name, *words = text.split()
    is_final = words[-1:] == ["final"]
    channel, user_id = (*words[: len(words) - is_final], "", "")[:2]
    if name.startswith("user_"):
        channel, user_id = "", channel
    fields = {"name": name, "channel": channel, "user_id": user_id}
    body = msgspec.json.encode({key: value for key, value in fields.items() if value})
    made = WebhookEvent(name, channel, user_id, body, 1_700_000_000_000, is_final)
    return msgspec.structs.replace(made, **changes)


def shown(event: dict[str, Any]) -> str:
    """An event as ``name channel user``."""
    return " ".join(event[key] for key in ("name", "channel", "user_id") if key in event)
