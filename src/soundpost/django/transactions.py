"""Transactions of Django: events wait for the commit, and are dropped by a rollback."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar

from django.db import connections, transaction

from soundpost.django.settings import own_settings

_alias: ContextVar[str | None] = ContextVar("soundpost_database", default=None)


@contextmanager
def commit_of(using: str) -> Iterator[None]:
    """Let events of a ``with`` block wait for a commit of the database ``using``, not of ``SOUNDPOST["DATABASE"]``."""
    token = _alias.set(using)
    try:
        yield
    finally:
        _alias.reset(token)


class DjangoTransactions:
    """The transactions of Django's databases, opened by ``transaction.atomic()``."""

    def defer(self, send: Callable[[], None]) -> bool:
        """Call ``send`` once the outermost ``atomic`` block is committed; return False if no such block is open."""
        alias = _current_alias()
        if not connections[alias].in_atomic_block:
            return False
        transaction.on_commit(_DeferredSend(send), using=alias, robust=True)
        return True

    def waiting(self) -> int:
        """Return the number of broadcasts of this thread that wait for a commit, over all databases."""
        opened = connections.all(initialized_only=True)
        return sum(isinstance(entry[1], _DeferredSend) for each in opened for entry in each.run_on_commit)

    def is_open(self) -> bool:
        """Return whether an ``atomic`` block is open; in a ``TestCase``, always."""
        return bool(connections[_current_alias()].in_atomic_block)

    def is_opened_by_test_case(self) -> bool:
        """Return whether a ``TestCase`` or pytest-django's ``db`` opened the transaction, which will be rolled back."""
        blocks = connections[_current_alias()].atomic_blocks
        return any(getattr(block, "_from_testcase", False) for block in blocks)


class _DeferredSend:
    """A function to call after the commit; its class distinguishes it from other functions that wait."""

    def __init__(self, send: Callable[[], None]) -> None:
        self._send = send

    def __call__(self) -> None:
        self._send()


def _current_alias() -> str:
    return _alias.get() or own_settings().database
