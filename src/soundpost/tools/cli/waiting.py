"""Waiting until a server on this machine has restarted or stopped, for ``--wait``."""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import suppress
from typing import TYPE_CHECKING, Final

from soundpost.errors import RequestError

if TYPE_CHECKING:
    from soundpost.server.processes.control_messages import Command, ControlReply

PAUSE: Final = 0.1
"""Seconds between two questions."""
MAX_WAIT: Final = 15.0
"""Seconds without an answer after which a restart or a stop has failed: the new code takes less to start."""

Ask = Callable[["Command"], "ControlReply | None"]
"""A question to one server; None if it does not run. Raises OSError if it does not answer."""


def wait_for_restart(
    ask: Ask, *, clock: Callable[[], float] = time.monotonic, sleep: Callable[[float], None] = time.sleep
) -> None:
    """Wait until a restart that has begun is done. Raises RequestError if it failed."""
    heard = clock()
    while True:
        reply = None
        with suppress(OSError):  # the process is executing its program again
            reply = ask("restart progress")
        if reply is None:
            if clock() - heard > MAX_WAIT:
                raise RequestError(0, f"the server has not come back within {MAX_WAIT:g} s: its log has the reason")
        elif not reply.ok:
            raise RequestError(0, reply.message)
        elif reply.done:
            return
        else:
            heard = clock()
        sleep(PAUSE)


def wait_for_stop(
    ask: Ask, *, clock: Callable[[], float] = time.monotonic, sleep: Callable[[float], None] = time.sleep
) -> None:
    """Wait until a server that is stopping has ended.

    Raises RequestError for one that runs on and says nothing, and if another one takes its place.
    """
    pid = None
    heard = clock()
    while True:
        try:
            reply = ask("status")
        except PermissionError:  # only another user's server is left
            return
        except ConnectionError:  # the process is ending
            heard = clock()
        except OSError:
            if clock() - heard > MAX_WAIT:
                raise RequestError(
                    0,
                    f"the server has not answered for {MAX_WAIT:g} s, but has not ended: it hangs. End its "
                    "process with kill -9, or let systemd or Supervisor do so",
                ) from None
        else:
            heard = clock()
            if reply is None:
                return
            if reply.status is not None:
                pid = pid or reply.status.pid
                if reply.status.pid != pid:
                    raise RequestError(
                        0,
                        f"the server has ended, but process {reply.status.pid} serves in its place: stop the server "
                        "with the program that keeps it running, such as systemd or Supervisor",
                    )
        sleep(PAUSE)
