"""The transactions of an application, in tests that have opened one around it."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from soundpost.broadcasting import Broadcaster


@contextmanager
def nothing_waits_for_the_test(broadcaster: Broadcaster) -> Iterator[None]:
    """Events of the block are sent at once where the transaction is the test's own, which is never committed."""
    before = broadcaster.transactions
    django: Any = sys.modules.get("soundpost.django.transactions")
    if django is not None and isinstance(before, django.DjangoTransactions):
        broadcaster.transactions = _WithoutTestCases(before)
    try:
        yield
    finally:
        broadcaster.transactions = before


class _WithoutTestCases:
    """Django's transactions, but for that which a ``TestCase`` opens."""

    def __init__(self, transactions: Any) -> None:
        self._transactions = transactions

    def defer(self, send: Callable[[], None]) -> bool:
        """Have ``send`` called once the transaction is committed; False: none is open that ever will be."""
        return self.is_open() and bool(self._transactions.defer(send))

    def is_open(self) -> bool:
        """Return whether a transaction is open that may be committed."""
        return bool(self._transactions.is_open()) and not self._transactions.is_of_a_test_case()
