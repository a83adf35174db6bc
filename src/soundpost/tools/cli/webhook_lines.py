"""Received webhooks as lines: for people, or for programs."""

from __future__ import annotations

import sys
import time
from collections import OrderedDict
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, Final, NamedTuple

import typer

from soundpost.server.admin_http import AdminRequest, AdminResponse
from soundpost.wire.foreign import object_in
from soundpost.wire.json_text import encode
from soundpost.wire.printable import one_line, printable
from soundpost.wire.webhook_request import KEY_HEADER, SIGNATURE_HEADER, is_signature

_KNOWN_IDS: Final = 10_000
_NOT_SHOWN: Final = ("name", "channel", "time_ms", "id")


class KnownApp(NamedTuple):
    """App whose webhooks are expected."""

    id: str
    secret: str


class WebhookLines:
    """Reader of requests: verifies each, prints its events to stdout, and faults to stderr.

    ``apps`` are the expected apps by their keys. ``seen`` is the number of printed events.
    """

    def __init__(self, apps: Mapping[str, KnownApp], *, as_json: bool) -> None:
        self.seen = 0
        self._apps = apps
        self._as_json = as_json
        self._ids: OrderedDict[str, None] = OrderedDict()
        self._width = 16
        self._coloured = sys.stdout.isatty()

    def handle(self, request: AdminRequest) -> AdminResponse:
        """Print a request, and return the answer for its sender."""
        if request.method != "POST":
            return self._refused(405, f"{request.method} {one_line(request.path, 80)}: a webhook is a POST request")
        key, signature = (request.headers.get(name.lower()) for name in (KEY_HEADER, SIGNATURE_HEADER))
        if not key or not signature:
            missing = " and ".join(
                name for name, value in ((KEY_HEADER, key), (SIGNATURE_HEADER, signature)) if not value
            )
            return self._refused(401, f"without {missing}: not sent by a Pusher server, or a proxy took it")
        app = self._apps.get(key)
        if app is None:
            expected = ", ".join(self._apps)
            return self._refused(401, f"signed for the key {one_line(key, 80)!r}: the apps here have {expected}")
        if not is_signature(signature, app.secret, request.body):
            return self._refused(
                401,
                f"wrong signature for the key of app {app.id}: the sender has another secret than the one here, "
                "or something on the way has changed the body",
            )
        content = object_in(request.body)
        events = None if content is None else content.get("events")
        if not isinstance(events, list) or not all(isinstance(event, dict) for event in events):
            return self._refused(400, f"app {app.id}: the body has no list of events")
        if not events:
            self._say(f"app {app.id}: a signed request without events: the doctor's")
        for event in events:
            typer.echo(self._line(app, event))
        self.seen += len(events)
        sys.stdout.flush()
        return AdminResponse(200, b"ok")

    def _refused(self, status: int, reason: str) -> AdminResponse:
        self._say(f"refused ({status}): {reason}")
        return AdminResponse(status, reason.encode())

    def _line(self, app: KnownApp, event: dict[str, Any]) -> str:
        is_repeated = self._is_repeated(event.get("id"))
        now = time.time()
        if self._as_json:
            stamp = datetime.fromtimestamp(now, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
            return printable(
                encode({"time": stamp, "app_id": app.id, "repeated": is_repeated, "event": event}).decode()
            )
        stamp = f"{time.strftime('%H:%M:%S', time.localtime(now))}.{int(now % 1 * 1000):03d}"
        who = f"{app.id}  " if len(self._apps) > 1 else ""
        channel = printable(str(event.get("channel", "")))
        self._width = max(self._width, len(channel))
        fields = " ".join(
            f"{field}={value if isinstance(value, str) else encode(value).decode()}"
            for field, value in event.items()
            if field not in _NOT_SHOWN
        )
        name = f"{printable(str(event.get('name'))):<18}"
        again = "  (sent again)" if is_repeated else ""
        return (
            f"{self._style(stamp, dim=True)}  {who}"
            f"{self._style(name, bold=True)}  "
            f"{self._style(channel.ljust(self._width), fg='cyan')}  {printable(fields)}{again}"
        ).rstrip()

    def _is_repeated(self, event_id: object) -> bool:
        if not isinstance(event_id, str):
            return False
        is_repeated = event_id in self._ids
        self._ids[event_id] = None
        if len(self._ids) > _KNOWN_IDS:
            self._ids.popitem(last=False)
        return is_repeated

    def _say(self, text: str) -> None:
        typer.secho(printable(text), dim=True, err=True)

    def _style(self, text: str, *, fg: str | None = None, bold: bool | None = None, dim: bool | None = None) -> str:
        return typer.style(text, fg=fg, bold=bold, dim=dim) if self._coloured else text
