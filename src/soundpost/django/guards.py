"""Who asks: the user of the session, or whom a class of Django REST framework finds by a token."""

from __future__ import annotations

import logging
from collections.abc import Callable
from copy import copy
from typing import Any, Final

from asgiref.sync import sync_to_async

from soundpost.errors import ConfigurationError, RouteError

log = logging.getLogger("soundpost.auth")

SESSION: Final = "session"
"""The guard that is always there: ``request.user``."""


def session_user(request: Any, guard: str | None) -> Any:
    """The user of a request, who may be Django's for nobody. Raises RouteError for a guard that nobody has defined."""
    _check_guard(guard)
    return getattr(request, "user", None)


async def asession_user(request: Any, guard: str | None) -> Any:
    """The same without blocking the event loop."""
    _check_guard(guard)
    auser = getattr(request, "auser", None)  # Django 5.0
    if auser is not None:
        return await auser()
    return await sync_to_async(session_user, thread_sensitive=True)(request, guard)


def drf_guard(*authentication_classes: Any) -> Callable[[Any], Any]:
    """A guard that asks classes of Django REST framework; those of its settings, if none are given.

    ``channels.guard("api")(drf_guard(TokenAuthentication))``, and ``guards="api"`` on the routes it is for. Its
    SessionAuthentication wants a CSRF token, which Echo cannot send: use the guard ``session``.
    """
    try:
        from rest_framework.exceptions import APIException
        from rest_framework.request import Request
        from rest_framework.settings import api_settings
    except ImportError:
        raise ConfigurationError("drf_guard needs Django REST framework: pip install djangorestframework") from None

    def find(request: Any) -> Any:
        classes = authentication_classes or api_settings.DEFAULT_AUTHENTICATION_CLASSES
        try:
            # A copy, as it makes its user that of the request: of the next guards too.
            return Request(copy(request), authenticators=[each() for each in classes]).user
        except APIException as error:
            log.info("the guard of Django REST framework finds no user: %s", error)
            return None

    return find


def _check_guard(guard: str | None) -> None:
    if guard not in (None, SESSION):
        raise RouteError(f'no guard is called {guard!r}: define it with @channels.guard("{guard}")')
