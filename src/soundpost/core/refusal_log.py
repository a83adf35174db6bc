"""Warnings of refusals that an installation's mistakes cause, one line of each kind in a minute.

Such mistakes are an unknown key, a wrong secret or signature, and a page without an endpoint for authorization. What a
client does wrong by itself is not in the log. A refused origin, a wrong path, a lost upgrade and an API request with a
wrong signature or time are logged where they are found, with more of their circumstances.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Final

from soundpost.core.inspection import RefusalKind
from soundpost.core.outbox import CallLater
from soundpost.core.refusals import NO_AUTH, OTHER_KEY, WRONG_SIGNATURE
from soundpost.log_fields import fields
from soundpost.log_throttle import MINUTE, LogThrottle
from soundpost.redaction import REDACTED
from soundpost.wire import codes

if TYPE_CHECKING:
    from soundpost.core.app import App

_LOGGERS: Final = {
    "connection": "soundpost.server",
    "subscription": "soundpost.protocol",
    "sign-in": "soundpost.protocol",
    "api": "soundpost.api",
}
_OF_APPLICATIONS: Final = frozenset((NO_AUTH, OTHER_KEY, WRONG_SIGNATURE))
"""Reasons of refused subscriptions that lie with the application, not with the client."""
_UNSERVED_APP: Final = (codes.APP_DOES_NOT_EXIST, codes.APP_DISABLED)
_LONGEST: Final = 100
_SHOWN: Final = 50
"""Characters of a wrong key that a reason shows."""
_SECRET: Final = 8
"""Length from which on a text that is an app's secret is taken for it: somebody gave it in place of the key."""


class RefusalLog:
    """The warnings of one node. ``apps`` are those whose secrets no line may show."""

    def __init__(self, apps: Callable[[], Iterable[App]], clock: Callable[[], float], call_later: CallLater) -> None:
        self._apps = apps
        self._throttles = {
            kind: LogThrottle(logging.getLogger(name), clock, call_later) for kind, name in _LOGGERS.items()
        }

    def add(
        self,
        kind: RefusalKind,
        reason: str,
        code: int,
        app_id: str,
        address: str,
        origin: str,
        channel: str,
    ) -> None:
        """Log a refusal, unless it is a client's own mistake, or one of its kind, code and app was logged just now."""
        if not _is_logged(kind, reason, code, app_id):
            return
        self._throttles[kind].warn(
            f"{kind} {code} {app_id}",
            "%s",
            _Sentence(self._apps, kind, reason, code, app_id, address, origin, channel),
            silence=MINUTE,
            extra=fields(app=app_id, address=address, code=code, origin=origin[:_LONGEST], channel=channel[:_LONGEST]),
        )


def _is_logged(kind: RefusalKind, reason: str, code: int, app_id: str) -> bool:
    if kind == "connection":
        return code in _UNSERVED_APP
    if kind == "subscription":
        return reason in _OF_APPLICATIONS
    if kind == "api":
        return not app_id  # :mod:`soundpost.server.api.authentication` logs those of an app
    return kind == "sign-in"


class _Sentence:
    """The sentence of a line, made only if it is written."""

    __slots__ = ("_address", "_app_id", "_apps", "_channel", "_code", "_kind", "_origin", "_reason")

    def __init__(
        self,
        apps: Callable[[], Iterable[App]],
        kind: RefusalKind,
        reason: str,
        code: int,
        app_id: str,
        address: str,
        origin: str,
        channel: str,
    ) -> None:
        self._apps = apps
        self._kind = kind
        self._reason = reason
        self._code = code
        self._app_id = app_id
        self._address = address
        self._origin = origin
        self._channel = channel

    def __str__(self) -> str:
        of_app = f"app {self._app_id}: " if self._app_id else ""
        what = {
            "connection": "a client",
            "subscription": f"a subscription to {self._channel[:_LONGEST]!a}",
            "sign-in": "a sign-in",
        }.get(self._kind, "a request to the API")
        client = f", from {self._address}" if self._address else ""
        page = f" (Origin: {self._origin[:_LONGEST]!a})" if self._origin else ""
        text = f"{of_app}refused {what} with {self._code}{client}{page}: {self._reason.rstrip('.')}"
        for app in self._apps():
            secret = app.settings.secret[:_SHOWN]
            if len(secret) >= _SECRET:
                text = text.replace(secret, REDACTED)
        return text
