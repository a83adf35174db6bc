"""The common part of all task queues: messages become a job, and a worker sends them.

A job carries a list of :meth:`Message.to_dict`, plain values of JSON: the worker needs no models, and sends the data of
the moment when the event was broadcast. The ids of messages stay the same however often a job runs, so a Soundpost
server delivers each message once.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Sequence
from typing import Any, ClassVar, Final

from msgspec.structs import replace

from soundpost.broadcasting import broadcast
from soundpost.broadcasting.drivers.sending import Drivers
from soundpost.broadcasting.message import Message
from soundpost.broadcasting.settings import BroadcastSettings
from soundpost.errors import BroadcastError, QueueError, SoundpostError

log = logging.getLogger("soundpost.broadcast")

TASK: Final = "soundpost.send"
"""Name of the task, in queues with names of tasks."""
MAX_RETRIES: Final = 8
"""Retries of a job whose server is away."""
MAX_BACKOFF: Final = 60
"""Seconds between two runs of a job, at most."""
_OWN_DEFAULT: Final = BroadcastSettings().queue

Payload = list[dict[str, Any]]


def send(payload: Payload) -> None:
    """Send the messages of a job, in order, in a worker.

    Queues may run a job more than once, so the messages may have been sent before.

    Raises BroadcastError if the server is away, for the queue to retry the job. A message that would be refused again
    is logged.
    """
    try:
        broadcast.drivers.send([replace(Message.from_dict(each), repeated=True) for each in payload])
    except BroadcastError as error:
        if error.may_pass:
            raise
        log.error("not sent: %s", error)


def backoff(failures: int) -> int:
    """Return the seconds to wait after so many failures of a job: 1, 2, 4 … 60."""
    return min(MAX_BACKOFF, 1 << max(0, failures - 1))


class QueueDelivery:
    """A delivery that puts the messages of each broadcast into a task queue, as one job: they keep their order."""

    library: ClassVar[str]
    """Name of the library, for errors."""
    hint: ClassVar[str] = "is its broker running, and is this process configured to use it?"
    """Question that ends the error when the queue takes no job."""

    def __init__(self, drivers: Drivers) -> None:
        pass

    def enqueue(self, payload: Payload, queue: str | None) -> None:
        """Put a job into a queue; None is the library's default queue. Raises the exceptions of the library."""
        raise NotImplementedError

    def deliver(self, messages: Sequence[Message], queue: str) -> None:
        """Put messages into a queue, as one job. Raises QueueError if the queue does not take the job."""
        wanted = None if queue == _OWN_DEFAULT else queue
        try:
            self.enqueue([message.to_dict() for message in messages], wanted)
        except SoundpostError:
            raise
        except Exception as error:
            raise self.refused(messages, wanted, error) from error

    async def adeliver(self, messages: Sequence[Message], queue: str) -> None:
        """Put messages into a queue without blocking the event loop. Raises QueueError."""
        await asyncio.to_thread(self.deliver, messages, queue)

    def close(self) -> None:
        """Do nothing: no message waits in this process."""

    def refused(self, messages: Sequence[Message], queue: str | None, error: BaseException) -> QueueError:
        """Return the error for a job that the queue does not take."""
        where = f"the queue {queue!r}" if queue else "its queue"
        reason = str(error).strip() or type(error).__name__
        return QueueError(f"event {messages[0]}: {self.library} did not take it into {where}: {reason}: {self.hint}")
