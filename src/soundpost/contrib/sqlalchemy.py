"""Events that wait for the commit of a SQLAlchemy session.

``broadcast(event, session=session)`` waits for the named session, :class:`SessionTransactions` for a scoped session.
An event is sent once the transaction is committed; a rollback drops the event.
"""

from __future__ import annotations

from typing import Any, Final

from sqlalchemy import event

from soundpost.broadcasting.session_commit import Send, after_commit, plain_session

__all__ = ["SessionTransactions", "after_commit"]

_WRITTEN: Final = "soundpost_written"


class SessionTransactions:
    """The transactions of a scoped session, for whose commit all events wait, without ``session=``.

    ``broadcast.transactions = SessionTransactions(db.session)``, where ``db.session`` is a ``scoped_session``, as that
    of Flask-SQLAlchemy. Events wait only for a transaction that has written: reading begins transactions too, which are
    often never committed.
    """

    def __init__(self, session: Any) -> None:
        self._scoped = session
        event.listen(session, "after_flush", _wrote)
        event.listen(session, "do_orm_execute", _executes)
        event.listen(session, "after_transaction_end", _ended)

    def is_open(self) -> bool:
        """Return whether the session has changes to commit."""
        if not self._scoped.registry.has():
            return False
        session = plain_session(self._scoped)
        changed = session.info.get(_WRITTEN, False) or session.new or session.dirty or session.deleted
        return bool(session.in_transaction() and changed)

    def defer(self, send: Send) -> bool:
        """Have ``send`` called once the session is committed; return False without changes to commit."""
        if not self.is_open():
            return False
        after_commit(self._scoped, send)
        return True


def _wrote(session: Any, context: Any = None) -> None:
    session.info[_WRITTEN] = True


def _executes(state: Any) -> None:
    if not state.is_select:
        _wrote(state.session)


def _ended(session: Any, transaction: Any) -> None:
    if transaction.parent is None:
        session.info.pop(_WRITTEN, None)
