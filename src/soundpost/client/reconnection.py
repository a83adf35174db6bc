"""The rules of reconnection, which are those of pusher-js.

Source: https://pusher.com/docs/channels/library_auth_reference/pusher-websockets-protocol/#error-codes
"""

from __future__ import annotations

import random
from enum import Enum, auto
from typing import Final

_MAX_DELAY: Final = 30.0
"""Seconds between two attempts, at most."""


class Action(Enum):
    """The action that a close code asks of a client."""

    GIVE_UP = auto()
    AT_ONCE = auto()
    AFTER_A_WHILE = auto()


def action_for(code: int) -> Action:
    """Return the action after a connection ended with ``code``; 1006 stands for an end without a close frame."""
    if 4000 <= code < 4100 or 4300 <= code < 4400:
        return Action.GIVE_UP
    if 4200 <= code < 4300:
        return Action.AT_ONCE
    return Action.AFTER_A_WHILE


def delay_before(attempt: int, action: Action) -> float:
    """Return the seconds before the ``attempt``-th reconnection (from 0) since the last stable connection."""
    if action is Action.AT_ONCE and attempt == 0:
        return 0.0
    return min(_MAX_DELAY, float(2 ** min(attempt, 10)) * random.uniform(1.0, 1.5))
