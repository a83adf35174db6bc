"""Events wait for the commit of the transaction they are broadcast in, and are dropped with one that is rolled back."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar

from django.db import connections, transaction

from soundpost.django.settings import own_settings

_alias: ContextVar[str | None] = ContextVar("soundpost_database", default=None)


@contextmanager
def commit_of(using: str) -> Iterator[None]:
    """Events of this block wait for the transaction of another database than ``settings.SOUNDPOST["DATABASE"]``."""
    token = _alias.set(using)
    try:
        yield
    finally:
        _alias.reset(token)


class DjangoTransactions:
    """Knows whether ``transaction.atomic()`` is around us."""

    def defer(self, send: Callable[[], None]) -> bool:
        """Have ``send`` called once the outermost ``atomic`` is committed; False: there is none."""
        alias = _current_alias()
        if not connections[alias].in_atomic_block:
            return False
        transaction.on_commit(send, using=alias, robust=True)
        return True

    def is_open(self) -> bool:
        """Whether there is one; always in a ``TestCase``."""
        return bool(connections[_current_alias()].in_atomic_block)

    def is_of_a_test_case(self) -> bool:
        """Return whether a ``TestCase``, or pytest-django's ``db``, has opened it: it will be rolled back."""
        blocks = connections[_current_alias()].atomic_blocks
        return any(getattr(block, "_from_testcase", False) for block in blocks)


def _current_alias() -> str:
    return _alias.get() or own_settings().database
