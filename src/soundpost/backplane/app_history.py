"""The histories of one app: its channels with kept events, and notes about all other channels."""

from __future__ import annotations

from collections import deque
from typing import Final

from soundpost.backplane.channel_history import ChannelHistory
from soundpost.backplane.expiry_queue import ExpiryQueue
from soundpost.core.app_settings import HistorySettings
from soundpost.core.history_rules import HistoryRules

_EMPTY_CHANNELS: Final = 10_000
"""Largest number of channels of an app that are remembered without events."""
_EARLIER_RULES: Final = 8
"""Largest number of earlier settings of an app that are remembered."""
_LOOKED_AT_ONCE: Final = 2_000
"""Channels that are looked at together when the earliest settings are forgotten: some 2 ms."""


class AppHistory:
    """The histories of one app."""

    def __init__(self) -> None:
        self.max_size: int | None = None
        """Largest number of bytes; None: only the limit of all apps counts."""
        self.settings: tuple[HistorySettings, ...] | None = None
        """Settings of the histories; None before they are known."""
        self.rules = HistoryRules(())
        self.earlier: deque[tuple[tuple[HistorySettings, ...], HistoryRules, int]] = deque()
        """Earlier settings, the oldest first, each with the offset up to which they held."""
        self._unlooked: list[str] | None = None  # channels to be looked at before the earliest settings are forgotten
        self.channels: dict[str, ChannelHistory] = {}
        self.size = 0
        """Bytes of all kept events."""
        self.floor = 0
        """Floor of channels that are not remembered."""
        self.empty: dict[str, None] = {}
        """Remembered channels without events, the longest empty one first."""
        self.expiry: ExpiryQueue[ChannelHistory] = ExpiryQueue()
        """Channels in the order in which their oldest events expire."""
        self.due = 0

    @property
    def expires(self) -> int:
        """A time before which no event of any channel expires; 0 without events."""
        first = self.expiry.first_due
        return 0 if isinstance(first, float) else first

    def configure(self, settings: tuple[HistorySettings, ...], top: int) -> None:
        """Take other settings, which hold for events after the offset ``top``."""
        if self.settings is not None:
            self.earlier.append((self.settings, self.rules, top))
        self.settings, self.rules = settings, HistoryRules(settings)

    def forget_earliest(self) -> tuple[list[ChannelHistory], int]:
        """Forget the earliest of too many settings; with very many channels that takes several calls.

        Return channels that kept no history by them, and the offset up to which.
        """
        if len(self.earlier) <= _EARLIER_RULES:
            return [], 0
        _, rules, unkept = self.earlier[0]
        if self._unlooked is None:
            self.floor = max(self.floor, unkept)
            self._unlooked = list(self.channels)
        names = self._unlooked[-_LOOKED_AT_ONCE:]
        del self._unlooked[-_LOOKED_AT_ONCE:]
        if not self._unlooked:
            self._unlooked = None
            self.earlier.popleft()
        found = [self.channels[name] for name in names if name in self.channels and rules.of(name) is None]
        return found, unkept

    def not_kept_up_to(self, name: str) -> int:
        """Return the offset up to which a channel kept no history, as settings said then; 0 if it always kept one."""
        for _, rules, top in reversed(self.earlier):
            if rules.of(name) is None:
                return top
        return 0

    def channel(self, name: str) -> ChannelHistory:
        """Return the history of a channel; make it if it has none yet."""
        channel = self.channels.get(name)
        if channel is None:
            channel = self.channels[name] = ChannelHistory(name, self.floor)
        return channel

    def note_empty(self, channel: ChannelHistory) -> None:
        """Note that a channel has no event any more; forget the channel longest empty if there are too many."""
        self.empty.pop(channel.name, None)
        self.empty[channel.name] = None
        if len(self.empty) > _EMPTY_CHANNELS:
            longest = next(iter(self.empty))
            del self.empty[longest]
            self.floor = max(self.floor, self.channels.pop(longest).floor)
