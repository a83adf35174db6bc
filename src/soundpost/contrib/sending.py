"""What all task queues have in common: finished messages in, a worker that sends them.

A job carries a list of :meth:`Message.to_dict`, plain values of JSON: the worker needs no models, and what it sends is
what was true when the event was broadcast. Ids of messages stay the same however often a job runs, so a Soundpost
server delivers each once.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Sequence
from typing import Any, ClassVar, Final

from soundpost.broadcasting import broadcast
from soundpost.broadcasting.drivers.sending import Drivers
from soundpost.broadcasting.message import Message
from soundpost.broadcasting.settings import BroadcastSettings
from soundpost.errors import BroadcastError, QueueError, SoundpostError

log = logging.getLogger("soundpost.broadcast")

TASK: Final = "soundpost.send"
"""What the task is called, in queues that name theirs."""
TRIES: Final = 8
LONGEST_BACK_OFF: Final = 60
_OWN_DEFAULT: Final = BroadcastSettings().queue

Payload = list[dict[str, Any]]


def send(payload: Payload) -> None:
    """Send the messages of a job, in order; what a worker does.

    Raises BroadcastError if the server is away, for the queue to run the job again. What no server would take, or this
    one refused for good, is logged: it would be refused again.
    """
    try:
        broadcast.drivers.send([Message.from_dict(each) for each in payload])
    except BroadcastError as error:
        if error.may_pass:
            raise
        log.error("not sent: %s", error)


def back_off(tries: int) -> int:
    """Seconds to wait when a job has failed so many times: 1, 2, 4 … 60."""
    return min(LONGEST_BACK_OFF, 1 << max(0, tries - 1))


class QueueDelivery:
    """A delivery that puts the messages of each broadcast into a task queue, as one job: they keep their order."""

    library: ClassVar[str]
    way_out: ClassVar[str] = "is its broker running, and is this process configured to use it?"

    def __init__(self, drivers: Drivers) -> None:
        pass

    def enqueue(self, payload: Payload, queue: str | None) -> None:
        """Put a job into a queue; None: that which the library uses if nothing is said. Raises whatever it raises."""
        raise NotImplementedError

    def deliver(self, messages: Sequence[Message], queue: str) -> None:
        """Put them into a queue. Raises QueueError if it does not take them."""
        wanted = None if queue == _OWN_DEFAULT else queue
        try:
            self.enqueue([message.to_dict() for message in messages], wanted)
        except SoundpostError:
            raise
        except Exception as error:
            raise self.refused(messages, wanted, error) from error

    async def adeliver(self, messages: Sequence[Message], queue: str) -> None:
        """The same, without blocking the event loop."""
        await asyncio.to_thread(self.deliver, messages, queue)

    def close(self) -> None:
        """Nothing waits here."""

    def refused(self, messages: Sequence[Message], queue: str | None, error: BaseException) -> QueueError:
        """What is raised when the queue takes nothing."""
        where = f"the queue {queue!r}" if queue else "its queue"
        reason = str(error).strip() or type(error).__name__
        return QueueError(f"event {messages[0]}: {self.library} did not take it into {where}: {reason}: {self.way_out}")
