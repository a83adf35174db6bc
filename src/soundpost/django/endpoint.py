"""The auth endpoint of Django: models as parameters, permissions, denials, synchronous and asynchronous callbacks."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any
from uuid import UUID

from asgiref.sync import async_to_sync, sync_to_async
from django.core.exceptions import ObjectDoesNotExist, PermissionDenied, ValidationError
from django.db.models import Model
from django.http import Http404

from soundpost.broadcasting import broadcast
from soundpost.broadcasting.authorization import AuthEndpoint, Denied, channels


def model_instance(annotation: Any, value: str | int | UUID) -> Any:
    """Return the object with a primary key, for a parameter annotated with a model. Raises Denied, DoesNotExist."""
    if not (isinstance(annotation, type) and issubclass(annotation, Model)):
        return NotImplemented
    model: Any = annotation
    try:
        return model._default_manager.get(pk=value)
    except (ValueError, TypeError, OverflowError, ValidationError):
        raise Denied(f"{value!r} is not a primary key of {model.__name__}") from None


def _has_permission(user: Any, permission: str) -> bool:
    has_perm = getattr(user, "has_perm", None)
    return has_perm is not None and bool(has_perm(permission))


async def _awaited(awaitable: Awaitable[Any]) -> Any:
    return await awaitable


def run_async(awaitable: Awaitable[Any]) -> Any:
    """Return the result of a coroutine, run in the server's event loop if there is one."""
    return async_to_sync(_awaited)(awaitable)


async def run_sync(function: Callable[[], Any]) -> Any:
    """Return the result of a blocking function, called in the thread that synchronous code of Django runs in."""
    return await sync_to_async(function, thread_sensitive=True)()


endpoint = AuthEndpoint(
    routes=channels,
    settings=lambda: broadcast.settings,
    denials=(PermissionDenied, Http404, ObjectDoesNotExist),
    run_async=run_async,
    run_sync=run_sync,
    converters=[model_instance],
    check_permission=_has_permission,
)
"""The auth endpoint for the channel routes in ``channels.py`` of all apps."""
