"""Callbacks after the commit of a SQLAlchemy session.

Callbacks run once the session's transaction is committed and its connection given back, in the order in which they were
added. A rollback drops them; the rollback of a savepoint drops those added since the savepoint. Callbacks added before
a transaction has begun wait for the next one.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from typing import Any, Final

from sqlalchemy import event
from sqlalchemy.orm import Session
from sqlalchemy.util import concurrency

from soundpost.errors import ConfigurationError

log = logging.getLogger("soundpost.broadcast")

Send = Callable[[], None]
_WAITING: Final = "soundpost_waiting"
_await: Final = getattr(concurrency, "await_only", None) or concurrency.await_  # its name before and since 2.1


def after_commit(session: Any, send: Send) -> None:
    """Call ``send`` once the session has committed; never after a rollback.

    ``session`` is a Session, an AsyncSession, or the scoped form of either. ``await commit()`` of an AsyncSession waits
    for ``send`` without blocking the event loop. Exceptions of ``send`` are logged: the transaction is committed.
    """
    session = plain_session(session)
    if _WAITING not in session.info:
        session.info[_WAITING] = _Waiting(session)
    session.info[_WAITING].add(session, send)


class _Waiting:
    """The callbacks that wait for a session, by the transaction or savepoint in which they were added."""

    def __init__(self, session: Any) -> None:
        self._early: list[Send] = []
        """Callbacks added before a transaction began."""
        self._sends: dict[Any, list[Send]] = {}
        self._committed: list[Any] = []
        event.listen(session, "after_transaction_create", self._begun)
        event.listen(session, "after_commit", self._commit)
        event.listen(session, "after_transaction_end", self._end)

    def add(self, session: Any, send: Send) -> None:
        current = _current(session)
        if current is None:
            self._early.append(send)
        else:
            self._sends.setdefault(current, []).append(send)

    def _begun(self, session: Any, transaction: Any) -> None:
        if transaction.parent is None and self._early:
            self._sends[transaction] = self._early
            self._early = []

    def _commit(self, session: Any) -> None:
        """Take note of a commit; callbacks of a released savepoint go on waiting for the transaction around it."""
        current = _current(session)
        if current not in self._sends:
            return
        if current.nested:
            self._sends.setdefault(_outer(current), []).extend(self._sends.pop(current))
        else:
            self._committed.append(current)

    def _end(self, session: Any, transaction: Any) -> None:
        sends = self._sends.pop(transaction, [])
        if transaction in self._committed:
            self._committed.remove(transaction)
            _call(sends)
        elif sends:
            log.debug("rolled back, with %d event(s) that waited", len(sends))


def plain_session(session: Any) -> Any:
    """Return the plain Session of a Session, an AsyncSession, or the scoped form of either.

    Raises ConfigurationError for any other object.
    """
    if hasattr(session, "registry"):
        session = session.registry()
    found = getattr(session, "sync_session", session)
    if not isinstance(found, Session):
        raise ConfigurationError(f"session is of type {type(session).__name__}: a session of SQLAlchemy is expected")
    return found


def _current(session: Any) -> Any:
    return session.get_nested_transaction() or session.get_transaction()


def _outer(savepoint: Any) -> Any:
    outer = savepoint.parent
    while outer.parent is not None and not outer.nested:
        outer = outer.parent
    return outer


def _call(sends: list[Send]) -> None:
    try:
        loop = asyncio.get_running_loop()
    except RuntimeError:
        _call_all(sends)
        return
    if concurrency.in_greenlet():
        _await(asyncio.to_thread(_call_all, sends))
    else:
        loop.run_in_executor(None, _call_all, sends)


def _call_all(sends: list[Send]) -> None:
    for send in sends:
        try:
            send()
        except Exception:
            log.exception("not sent, after a transaction was committed")
