"""Checks that no event of a history is missed: what each beat asks Redis, and which channels are read anew."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any
from unittest.mock import MagicMock

import pytest

from soundpost.backplane.occupancy import Occupancy
from soundpost.backplane.redis import history_checks
from soundpost.backplane.redis.bucket_commands import BucketCommands
from soundpost.backplane.redis.channel import SharedChannel
from soundpost.backplane.redis.generations import Generations
from soundpost.backplane.redis.history_checks import HistoryChecks
from soundpost.backplane.redis.kept_channel import KeptChannel
from soundpost.backplane.redis.open_channels import OpenChannels
from soundpost.core.app_settings import HistorySettings

BUCKET = b"1:0"


class Stage:
    """Checks with a Redis whose answers a test gives."""

    def __init__(self, heard: int, *offsets: int) -> None:
        self.redis = BucketCommands("soundpost")
        self.sent: list[tuple[Any, ...]] = []
        self._then: list[Callable[[Any], None]] = []
        self.redis.send = self._send  # type: ignore[method-assign]
        self.redis.reconnect = MagicMock()  # type: ignore[method-assign]
        self.generations = Generations({}, MagicMock())
        self.generations.heard(BUCKET, "g", heard)
        self.read: list[str] = []
        opened = OpenChannels()
        for number, offset in enumerate(offsets):
            name = f"kept-{number}"
            channel = SharedChannel("1", name, BUCKET, self.redis.topic(BUCKET, name), Occupancy())
            channel.history = KeptChannel(name, HistorySettings(channels=("kept-*",)))
            channel.history.begin("g", offset)
            channel.history.reading = False
            opened.add(channel)
        self._checks = HistoryChecks(
            self.redis,
            self.generations,
            {BUCKET: len(offsets)},
            opened,
            lambda channel: self.read.append(channel.name),
            lambda callback: callback(),
        )

    def _send(self, bucket: bytes, command: tuple[Any, ...], then: Callable[[Any], None]) -> None:
        self.sent.append(command)
        self._then.append(then)

    def beat(self, *answers: list[bytes | None]) -> list[tuple[Any, ...]]:
        """Return the commands of a beat, which are answered."""
        self.sent.clear()
        self._then.clear()
        self._checks.check()
        for then, answer in zip(self._then, answers, strict=True):
            then(answer)
        return list(self.sent)


def test_a_bucket_without_news_takes_one_command() -> None:
    stage = Stage(7, 7, 3)
    stage.beat([b"g", b"7"])
    stage.beat([b"g", b"7"], [b"7 0", b"3 0"])

    assert stage.beat([b"g", b"7"]) == [("MGET", b"{soundpost:1:0}:gen", b"{soundpost:1:0}:top")]
    assert stage.read == []


def test_after_news_some_channels_are_compared_with_each_beat(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(history_checks, "_AT_ONCE", 2)
    stage = Stage(7, 7, 3, 5)
    stage.beat([b"g", b"9"])
    _, first = stage.beat([b"g", b"9"], [b"3 0", b"9 0"])
    _, second = stage.beat([b"g", b"9"], [b"8 0"])

    keys = [b"{soundpost:1:0}:l:kept-%d" % number for number in range(3)]
    assert (first, second) == (("MGET", *keys[1:]), ("MGET", keys[0]))
    assert stage.read == ["kept-2", "kept-0"]  # an event of each has not come


def test_channels_that_are_ahead_of_redis_are_read_anew() -> None:
    stage = Stage(7, 7, 3)
    stage.beat([b"g", b"5"])
    assert stage.read == ["kept-0"]
    assert stage.generations.top(BUCKET) == 5


def test_after_a_new_generation_all_channels_are_read_anew() -> None:
    stage = Stage(7, 7, 3)
    stage.beat([b"h", b"9"])
    assert stage.read == ["kept-0", "kept-1"]
    assert stage.generations.by_bucket[BUCKET] == "h"


def test_redis_without_the_generation_was_emptied() -> None:
    stage = Stage(7, 7)
    stage.beat([None, None])
    assert stage.redis.reconnect.call_args.args == (history_checks.EMPTIED,)  # type: ignore[attr-defined]
