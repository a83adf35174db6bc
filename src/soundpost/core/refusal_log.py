"""Warnings of refusals that come from mistakes in an installation, one line of each kind in a minute.

Such mistakes are an unknown key, a wrong secret or signature, and a page without an endpoint for authorization. What a
client does wrong by itself is not in the log. A refused origin, a wrong path, a lost upgrade and an API request with a
wrong signature or time are logged where they are found, with more of their circumstances.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable
from typing import Final

from soundpost.core.inspection import RefusalLine
from soundpost.core.outbox import CallLater
from soundpost.core.refusals import NO_AUTH, OTHER_KEY, WRONG_SIGNATURE, without_secrets
from soundpost.log_fields import fields
from soundpost.log_throttle import MINUTE, LogThrottle
from soundpost.wire import codes

_LOGGERS: Final = {
    "connection": "soundpost.server",
    "subscription": "soundpost.protocol",
    "sign-in": "soundpost.protocol",
    "api": "soundpost.api",
}
_OF_APPLICATIONS: Final = frozenset((NO_AUTH, OTHER_KEY, WRONG_SIGNATURE))
"""Reasons of refused subscriptions that lie with the application, not with the client."""
_UNSERVED_APP: Final = (codes.APP_DOES_NOT_EXIST, codes.APP_DISABLED)
_MAX_LENGTH: Final = 100


class RefusalLog:
    """Warnings of one node. ``secrets`` are the apps' secrets, which are removed from each line."""

    def __init__(self, secrets: Callable[[], Iterable[str]], clock: Callable[[], float], call_later: CallLater) -> None:
        self._secrets = secrets
        self._throttles = {
            kind: LogThrottle(logging.getLogger(name), clock, call_later) for kind, name in _LOGGERS.items()
        }

    def add(self, refusal: RefusalLine) -> None:
        """Log a refusal, unless the client alone is at fault, or one of the same kind, code and app was just logged."""
        if not _is_logged(refusal):
            return
        self._throttles[refusal.kind].warn(
            f"{refusal.kind} {refusal.code} {refusal.app_id}",
            "%s",
            _Sentence(refusal, self._secrets),
            interval=MINUTE,
            extra=fields(
                app=refusal.app_id,
                address=refusal.address,
                code=refusal.code,
                origin=refusal.origin[:_MAX_LENGTH],
                channel=refusal.channel[:_MAX_LENGTH],
            ),
        )


def _is_logged(refusal: RefusalLine) -> bool:
    match refusal.kind:
        case "connection":
            return refusal.code in _UNSERVED_APP
        case "subscription":
            return refusal.reason in _OF_APPLICATIONS
        case "api":
            return not refusal.app_id  # :mod:`soundpost.server.api.authentication` logs those of an app
        case kind:
            return kind == "sign-in"


class _Sentence:
    """Sentence of a log line, built only if the line is written."""

    __slots__ = ("_refusal", "_secrets")

    def __init__(self, refusal: RefusalLine, secrets: Callable[[], Iterable[str]]) -> None:
        self._refusal = refusal
        self._secrets = secrets

    def __str__(self) -> str:
        refusal = self._refusal
        of_app = f"app {refusal.app_id}: " if refusal.app_id else ""
        what = {
            "connection": "a client",
            "subscription": f"a subscription to {refusal.channel[:_MAX_LENGTH]!a}",
            "sign-in": "a sign-in",
        }.get(refusal.kind, "a request to the API")
        client = f", from {refusal.address}" if refusal.address else ""
        page = f" (Origin: {refusal.origin[:_MAX_LENGTH]!a})" if refusal.origin else ""
        text = f"{of_app}refused {what} with {refusal.code}{client}{page}: {refusal.reason.rstrip('.')}"
        return without_secrets(text, self._secrets())
