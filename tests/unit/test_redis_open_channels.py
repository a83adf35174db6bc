"""The open channels of a host: each is found by its topic, and all are gone through while some come and go."""

from __future__ import annotations

from soundpost.backplane.occupancy import Occupancy
from soundpost.backplane.redis.channel import SharedChannel
from soundpost.backplane.redis.open_channels import OpenChannels


def channel(bucket: int, name: str) -> SharedChannel:
    return SharedChannel("1", name, b"1:%d" % bucket, b"{soundpost:1:%d}:t:%b" % (bucket, name.encode()), Occupancy())


def test_a_channel_is_found_by_its_topic_until_it_is_closed() -> None:
    opened = OpenChannels()
    one, other = channel(1, "room"), channel(2, "room")
    opened.add(one)
    opened.add(other)

    assert (opened.of_topic(one.topic), opened.of_topic(other.topic)) == (one, other)
    opened.remove(one)
    assert (opened.of_topic(one.topic), opened.of_topic(other.topic)) == (None, other)
    assert opened.of_topic(b"a foreign topic") is None


def test_a_bucket_has_its_own_channels_only() -> None:
    opened = OpenChannels()
    channels = [channel(number % 2, f"room-{number}") for number in range(4)]
    for each in channels:
        opened.add(each)

    assert opened.of_bucket(b"{soundpost:1:1}:t:") == channels[1::2]
    assert opened.of_bucket(b"{soundpost:1:7}:t:") == []


def test_a_name_with_a_brace_belongs_to_the_bucket_of_its_topic() -> None:
    opened = OpenChannels()
    user = channel(1, "#server-to-user-a}b")
    opened.add(user)

    assert opened.of_topic(user.topic) is user
    assert opened.of_bucket(b"{soundpost:1:1}:t:") == [user]


def test_channels_come_and_go_while_all_are_gone_through() -> None:
    opened = OpenChannels()
    channels = [channel(number % 3, f"room-{number}") for number in range(9)]
    for each in channels:
        opened.add(each)

    found = list[SharedChannel]()
    for each in opened:
        found.append(each)
        opened.remove(each)
        opened.add(channel(1, f"new-{len(found)}"))

    assert set(channels) <= set(found)
    assert len({each.name for each in found}) == len(found)
