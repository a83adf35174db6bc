"""Databases of Django's tests: what a test writes is gone after it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

from asgiref.sync import async_to_sync
from django.contrib.auth import get_user_model
from django.core.management import call_command
from django.db import transaction
from django.test import AsyncClient

from frameworks.django_process import django_state

ALIASES = ("default", "archive")


@contextmanager
def in_transactions() -> Iterator[None]:
    """Run a test within transactions that are rolled back, as Django's ``TestCase`` does."""
    with django_state(), ExitStack() as stack:
        for alias in ALIASES:
            stack.enter_context(transaction.atomic(using=alias))
        yield
        for alias in ALIASES:
            transaction.set_rollback(True, using=alias)


@contextmanager
def with_commits() -> Iterator[None]:
    """Run a test with real commits and empty the tables afterwards, as Django's ``TransactionTestCase`` does."""
    with django_state():
        try:
            yield
        finally:
            for alias in ALIASES:
                call_command("flush", interactive=False, verbosity=0, database=alias)


def user(name: str, **more: Any) -> Any:
    """A new user."""
    return get_user_model().objects.create_user(name, password=f"password of {name}", **more)


def caller(client: Any, method: str = "post") -> Callable[..., Any]:
    """A method of Django's test client, which may be the asynchronous one."""
    send: Callable[..., Any] = getattr(client, method)

    async def asend(*args: Any, **kwargs: Any) -> Any:
        return await send(*args, **kwargs)

    return async_to_sync(asend) if isinstance(client, AsyncClient) else send
