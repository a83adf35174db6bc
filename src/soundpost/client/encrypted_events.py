"""The events of an encrypted channel, decrypted in order, also while a new secret is being fetched."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable
from typing import Final

from soundpost.client.bad_messages import BadMessageLog
from soundpost.client.encryption import DecryptionError, decrypt
from soundpost.client.event_queue import MAX_BYTES, MAX_WAITING
from soundpost.client.incoming import Frame
from soundpost.wire.printable import one_line

_SHOWN: Final = 100


class EncryptedEvents:
    """Decrypts events and delivers them; for an event of an unknown secret, the new secret is fetched once.

    An event that the new secret does not decrypt either is dropped with a warning, as by pusher-js.
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
        self._log = BadMessageLog()

    async def receive(self, frame: Frame) -> None:
        """Take an event as the server sent it."""
        if self._fetching is None:
            try:
                await self._deliver(self._decrypted(frame))
                return
            except DecryptionError:
                self._fetching = asyncio.create_task(self._decrypt_with_new_secret())
        if len(self._waiting) < MAX_WAITING and sum(waiting.size for waiting in self._waiting) < MAX_BYTES:
            self._waiting.append(frame)
        else:
            self._drop(frame, "too many wait for a new secret")

    def end(self) -> None:
        """Stop fetching a secret: no more events are wanted."""
        if self._fetching is not None:
            self._fetching.cancel()

    async def _decrypt_with_new_secret(self) -> None:
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
                await self._deliver(self._decrypted(frame))
            except DecryptionError as error:
                self._drop(frame, str(error))
        self._fetching = None

    def _decrypted(self, frame: Frame) -> Frame:
        return Frame(frame.event, frame.channel, decrypt(frame.content(), self.secret), frame.user_id, frame.size)

    def _drop(self, frame: Frame, why: str) -> None:
        event = one_line(frame.event, _SHOWN)
        self._log.warn(f"{self._channel}: the event {event} could not be decrypted and is dropped: {why}")
