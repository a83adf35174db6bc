"""Transactions of an application whose tests run in a transaction themselves."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from soundpost.broadcasting import Broadcaster


def waiting_in_words(broadcaster: Broadcaster) -> str:
    """Return how many events of this thread wait for a commit, and the way out, as the end of a sentence; or nothing.

    Only Django's transactions tell.
    """
    waiting = getattr(broadcaster.transactions, "waiting", None)
    count = waiting() if waiting is not None else 0
    if not count:
        return ""
    events = "1 event waits" if count == 1 else f"{count} events wait"
    return (
        f"; {events} for a commit: leave the block with transaction.atomic() first. In a test whose transaction is "
        "never committed, use transaction=True (pytest-django), TransactionTestCase, or "
        "django_capture_on_commit_callbacks"
    )


@contextmanager
def ignore_test_transactions(broadcaster: Broadcaster) -> Iterator[None]:
    """Send events of a ``with`` block at once if only the test's own transaction is open, which is never committed."""
    before = broadcaster.transactions
    django: Any = sys.modules.get("soundpost.django.transactions")
    if django is not None and isinstance(before, django.DjangoTransactions):
        broadcaster.transactions = _CommittedTransactions(before)
    try:
        yield
    finally:
        broadcaster.transactions = before


class _CommittedTransactions:
    """The transactions of Django, without the one that a ``TestCase`` opens."""

    def __init__(self, transactions: Any) -> None:
        self._transactions = transactions

    def defer(self, send: Callable[[], None]) -> bool:
        """Call ``send`` once the transaction is committed; return False if none is open that may be committed."""
        return self.is_open() and bool(self._transactions.defer(send))

    def waiting(self) -> int:
        """Return the number of broadcasts of this thread that wait for a commit."""
        return int(self._transactions.waiting())

    def is_open(self) -> bool:
        """Return whether a transaction is open that may be committed."""
        return bool(self._transactions.is_open()) and not self._transactions.is_opened_by_test_case()
