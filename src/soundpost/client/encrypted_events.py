"""The events of an encrypted channel, decrypted in order, also while a new secret is being fetched."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable
from typing import Final

import msgspec

from soundpost.client.bad_messages import BadMessageLog
from soundpost.client.encryption import DecryptionError, decrypt
from soundpost.client.event_queue import MAX_BYTES, MAX_WAITING
from soundpost.client.gap import DECRYPTION
from soundpost.client.incoming import GAP, Frame
from soundpost.wire.printable import one_line

_SHOWN: Final = 100


class EncryptedEvents:
    """Decrypts events and delivers them; for an event of an unknown secret, the new secret is fetched once.

    An event that the new secret does not decrypt either is dropped with a warning, as by pusher-js. On a channel with a
    history a gap takes its place.
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
        """Take an event, or a gap, as the server sent it."""
        if self._fetching is None:
            try:
                await self._deliver(self._decrypted(frame))
                return
            except DecryptionError:
                self._fetching = asyncio.create_task(self._decrypt_with_new_secret())
        if len(self._waiting) < MAX_WAITING and sum(waiting.size for waiting in self._waiting) < MAX_BYTES:
            self._waiting.append(frame)
            return
        self._warn(frame, "too many wait for a new secret")
        gap = _gap_for(frame)
        if gap is not None:
            if _is_gap(self._waiting[-1]):
                self._waiting.pop()
            self._waiting.append(gap)

    def forget(self) -> None:
        """Forget the events that wait for a secret: the server sends them again, or no more are wanted."""
        self._waiting.clear()
        if self._fetching is not None:
            self._fetching.cancel()
            self._fetching = None

    async def _decrypt_with_new_secret(self) -> None:
        failed = ""
        try:
            self.secret = await self._fetch()
        except Exception as error:  # an authorizer of the application may raise anything
            failed = f"no new secret: {error}"
        gap: Frame | None = None
        while self._waiting:
            frame = self._waiting.popleft()
            try:
                if failed and not _is_gap(frame):
                    raise DecryptionError(failed)
                decrypted = self._decrypted(frame)
            except DecryptionError as error:
                self._warn(frame, str(error))
                gap = _gap_for(frame) or gap  # one for all that are dropped in a row
            else:
                if gap is not None:
                    await self._deliver(gap)
                    gap = None
                await self._deliver(decrypted)
            if gap is not None and not self._waiting:
                await self._deliver(gap)
                gap = None
        self._fetching = None

    def _decrypted(self, frame: Frame) -> Frame:
        return frame if _is_gap(frame) else msgspec.structs.replace(frame, data=decrypt(frame.content(), self.secret))

    def _warn(self, frame: Frame, why: str) -> None:
        event = one_line(frame.event, _SHOWN)
        self._log.warn(f"{self._channel}: the event {event} could not be decrypted and is dropped: {why}")


def _is_gap(frame: Frame) -> bool:
    return frame.event == GAP


def _gap_for(frame: Frame) -> Frame | None:
    """Return a gap in place of an event; None where the channel has no history."""
    if frame.parsed_position is None:
        return None
    return Frame(GAP, frame.channel, {"reason": DECRYPTION}, position=frame.position)
