"""Events that wait for the commit of a SQLAlchemy session."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any


def after_commit(session: Any, send: Callable[[], None]) -> None:
    """Call ``send`` once the session has committed; never, if it is rolled back."""
    raise NotImplementedError
