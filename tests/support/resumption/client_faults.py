"""What can break between clients and servers while clients resume, or is done to a history.

Each takes a trial under load, and waits for the end of what it does.
"""

from __future__ import annotations

from support.resumption.stages import LARGE, ORDERS, ROOM
from support.resumption.trial import Trial


def nothing(trial: Trial) -> None:
    """Let nothing break."""
    trial.load_for(3)


def clients_cut(trial: Trial) -> None:
    """Cut connections in the middle of a message, again before all are back, and again."""
    for pause in (1.0, 0.1, 1.0):
        trial.proxy.do("cut")
        trial.load_for(pause)


def clients_unreachable(trial: Trial) -> None:
    """Lose all that is on its way to clients for a while; neither side is told."""
    trial.proxy.do("hold", True)
    trial.load_for(4)
    trial.proxy.do("hold", False)


def clients_frozen(trial: Trial, seconds: float = 8) -> None:
    """Stop clients in the middle of what they do. Those that are sent much are closed meanwhile."""
    stopped = [crowd for crowd in trial.crowds if crowd is not trial.steady]
    for crowd in stopped:
        crowd.freeze()
    for _ in range(3):
        trial.burst(LARGE, 300, 9_000)
    trial.load_for(seconds)
    for crowd in stopped:
        crowd.thaw()


def clients_frozen_for_a_minute(trial: Trial) -> None:
    """Stop clients for so long that all are closed, while less is published than usual."""
    trial.publishing.slow_down(4)
    clients_frozen(trial, 60)
    trial.publishing.slow_down(1)


def clients_slow(trial: Trial) -> None:
    """Let clients not read while much is published, until the server closes them, and read slowly after that."""
    trial.slow.do("stall", True)
    for _ in range(3):
        trial.burst(LARGE, 300, 9_000)
    trial.load_for(1)
    trial.slow.do("trickle", 3)


def pages_reloaded(trial: Trial) -> None:
    """Replace all pages by new ones, rendered from positions that were read a moment before."""
    for _ in range(3):
        trial.reload()
        trial.load_for(1)


def chromium_reloaded(trial: Trial) -> None:
    """Reload pages in Chromium in the middle of what they are given."""
    trial.open_pages(2)
    for _ in range(4):
        trial.load_for(1)
        trial.reload()


def channels_left(trial: Trial) -> None:
    """Let clients unsubscribe from a channel and subscribe again, at once and after a while."""
    for pause in (0.0, 0.5):
        trial.afflicted.do("churn", pause)
        trial.load_for(1)


def answers_lost(trial: Trial) -> None:
    """Take a publisher the answers to its requests; it sends them again, to another host if there is one."""
    for _ in range(10):
        trial.answers.do("drop_answers", 2)
        trial.load_for(0.5)
    assert trial.answers.do("drop_answers", 0) > 0, "no answer was dropped"


def history_deleted(trial: Trial) -> None:
    """Delete histories, while some clients are away and others have everything."""
    trial.proxy.do("hold", True)
    trial.load_for(1)
    for channel in (ORDERS[0], ROOM):
        trial.delete_history(channel)
    trial.load_for(1)
    trial.proxy.do("hold", False)
    trial.settle()
    trial.delete_history(ORDERS[1])


def master_key_rotated(trial: Trial) -> None:
    """Take another master key, and delete what the old one sealed: while clients are away, and while all are here."""
    trial.proxy.do("hold", True)
    trial.load_for(1)
    trial.rotate_master_key()
    trial.load_for(1)
    trial.proxy.do("hold", False)
    trial.settle()
    trial.load_for(1)
    trial.rotate_master_key()
