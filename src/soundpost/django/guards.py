"""Guards: finders of a request's user, by the session or by an authentication class of Django REST framework."""

from __future__ import annotations

import logging
from collections.abc import Callable
from copy import copy
from typing import Any, Final

from asgiref.sync import sync_to_async

from soundpost.broadcasting.authorization.users import check_guard
from soundpost.errors import ConfigurationError

log = logging.getLogger("soundpost.auth")

SESSION: Final = "session"
"""Name of the guard that always exists: ``request.user``."""


def session_user(request: Any, guard: str | None) -> Any:
    """Return the user of a request, perhaps an ``AnonymousUser``. Raises RouteError for an undefined guard."""
    check_guard(guard, (SESSION,))
    return getattr(request, "user", None)


async def asession_user(request: Any, guard: str | None) -> Any:
    """Return the user of a request without blocking the event loop. Raises RouteError for an undefined guard."""
    check_guard(guard, (SESSION,))
    auser = getattr(request, "auser", None)  # Django 5.0
    if auser is not None:
        return await auser()
    return await sync_to_async(session_user, thread_sensitive=True)(request, guard)


def drf_guard(*authentication_classes: Any) -> Callable[[Any], Any]:
    """Return a guard that asks authentication classes of Django REST framework; by default those of its settings.

    ``channels.guard("api")(drf_guard(TokenAuthentication))`` defines the guard, ``guards="api"`` uses it in a route.
    ``SessionAuthentication`` wants a CSRF token, which Echo cannot send: use the guard ``session`` instead. Raises
    ConfigurationError if Django REST framework is not installed.
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
            # A copy, as the class sets the user of the request it is given, which the next guards would see.
            return Request(copy(request), authenticators=[each() for each in classes]).user
        except APIException as error:
            log.info("the guard of Django REST framework finds no user: %s", error)
            return None

    return find
