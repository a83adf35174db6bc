"""The events of one encrypted channel: opened in their order, even while a new secret is being fetched."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable
from typing import Final

from soundpost.client.encryption import DecryptionError, opened
from soundpost.client.event_queue import MOST_BYTES, MOST_WAITING
from soundpost.client.incoming import Frame
from soundpost.client.thinned_log import ThinnedLog
from soundpost.wire.printable import one_line

_SHOWN: Final = 100


class SealedEvents:
    """Opens events and delivers them. One that does not open may be sealed with a new secret: it is fetched once.

    Events that do not open with that either are dropped with a warning, as by pusher-js; the next one fetches again.
    """

    def __init__(
        self,
        channel: str,
        secret: bytes,
        fetch: Callable[[], Awaitable[bytes]],
        deliver: Callable[[Frame], Awaitable[None]],
    ) -> None:
        self.secret = secret
        self._channel = channel
        self._fetch = fetch
        self._deliver = deliver
        self._waiting: deque[Frame] = deque()
        self._fetching: asyncio.Task[None] | None = None
        self._log = ThinnedLog()

    async def receive(self, frame: Frame) -> None:
        """Take an event as the server sent it."""
        if self._fetching is None:
            try:
                await self._deliver(self._open(frame))
                return
            except DecryptionError:
                self._fetching = asyncio.create_task(self._open_with_new_secret())
        if len(self._waiting) < MOST_WAITING and sum(waiting.size for waiting in self._waiting) < MOST_BYTES:
            self._waiting.append(frame)
        else:
            self._drop(frame, "too many wait for a new secret")

    def end(self) -> None:
        """No more events are wanted."""
        if self._fetching is not None:
            self._fetching.cancel()

    async def _open_with_new_secret(self) -> None:
        failed = ""
        try:
            self.secret = await self._fetch()
        except Exception as error:  # an authorizer of the application may raise anything
            failed = f"no new secret: {error}"
        while self._waiting:
            frame = self._waiting.popleft()
            try:
                if failed:
                    raise DecryptionError(failed)
                await self._deliver(self._open(frame))
            except DecryptionError as error:
                self._drop(frame, str(error))
        self._fetching = None

    def _open(self, frame: Frame) -> Frame:
        return Frame(frame.event, frame.channel, opened(frame.content(), self.secret), frame.user_id, frame.size)

    def _drop(self, frame: Frame, why: str) -> None:
        event = one_line(frame.event, _SHOWN)
        self._log.warning(f"{self._channel}: the event {event} could not be decrypted and is dropped: {why}")
