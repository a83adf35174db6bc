"""A channel is stated to Redis with its members, also while joins that waited for Redis run over several loop turns."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any
from unittest.mock import MagicMock

from soundpost.backplane.redis.app_entry import AppEntry
from soundpost.backplane.redis.channel import SharedChannel
from soundpost.backplane.redis.channels import Channels
from soundpost.backplane.redis.member_statements import MEMBERS_AT_ONCE, MemberStatements
from soundpost.backplane.redis.subscription_scripts import ENTER, SILENTLY, SYNC, SYNC_MEMBERS
from soundpost.backplane.redis.subscriptions import Subscriptions
from soundpost.core.app_settings import AppSettings
from soundpost.core.member import Member
from soundpost.core.peers import ChannelSnapshot
from soundpost.core.slices import TurnBudget


class TestWhileJoinsWait:
    def test_those_who_have_joined_are_stated_and_the_others_ask_one_by_one(self) -> None:
        calls: list[tuple[Any, tuple[Any, ...], Callable[[Any], None]]] = []
        turns: list[Callable[[], None]] = []
        apps = {"1": AppEntry(AppSettings(id="1", key="key", secret="secret"))}
        redis = MagicMock(up=True, is_connecting=False, node=b"n", former_node=b"")
        redis.run = lambda script, bucket, *arguments, then: calls.append((script, arguments, then))
        channels = Channels(
            apps, redis, MagicMock(), MagicMock(), MagicMock(), MagicMock(return_value=0.0), turns.append
        )
        channels.turn_clock = iter(range(1_000)).__next__  # each join takes a turn
        answers, node = MagicMock(), MagicMock()
        answers.snapshot = lambda entry, channel, history, clock, then: then(ChannelSnapshot(None, None))
        loop = MagicMock(call_soon=turns.append)
        subscriptions = Subscriptions(
            apps, {node: None}, redis, channels, MagicMock(), answers, MagicMock(), MagicMock(), loop
        )
        for user_id in ("ann", "bob", "eve"):
            subscriptions.join(node, "1", "presence-room", Member(user_id, b"{}"), lambda _: None)
        ((first, arguments, answered),) = calls
        assert (first, arguments[5:]) == (SYNC, ())  # all of them wait

        answered([None, b"0", [], [], 0])
        while calls[-1][0] is not ENTER:
            turns.pop(0)()
        calls[-1][2]([1, b"1", [], 0])
        channels.apply_change(apps["1"].channels["presence-room"], 9, MagicMock())  # a message is missing

        assert calls[-1][0] is SYNC
        assert calls[-1][1][5::2] == ("ann",)


def test_a_statement_in_parts_ends_when_redis_is_back_before_its_last_part() -> None:
    calls: list[tuple[Any, int]] = []
    answers: list[Any] = []
    turns: list[Callable[[], None]] = []
    redis = MagicMock(node=b"before", former_node=b"")
    redis.run = lambda script, bucket, *arguments, then: calls.append((script, len(arguments[3:]) // 2))
    statements = MemberStatements(redis, TurnBudget(turns.append, iter(range(1_000)).__next__), MagicMock())
    channel = SharedChannel("1", "presence-room", b"", b"", MagicMock())
    for number in range(3 * MEMBERS_AT_ONCE):
        channel.count_member(Member(f"user-{number}", b"{}"))

    statements.sync(channel, channel.own_members, SILENTLY, answers.append)
    assert calls == [(SYNC_MEMBERS, MEMBERS_AT_ONCE)] * 2
    redis.node = b"after"
    while turns:
        turns.pop(0)()

    assert len(calls) == 2
    assert [type(answer) for answer in answers] == [ConnectionError]
