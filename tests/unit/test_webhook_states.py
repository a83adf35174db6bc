"""States that endpoints are told of: what begins and ends is told once, and a reconnect not at all."""

from __future__ import annotations

import pytest

from soundpost.server.webhooks.states import States, end_of
from soundpost.server.webhooks.waiting_event import WaitingEvent
from support.dispatching import event

OCCUPIED = ("channel_occupied", "room", "")


class Story:
    """Events as they happen, and what is sent of them; ``left_out`` are those that are not sent."""

    def __init__(self) -> None:
        self.states = States()
        self.now = 0.0
        self.sent: list[str] = []
        self.left_out: list[str] = []

    def happens(self, *events: str) -> None:
        for text in events:
            ready, settled = self.states.take(WaitingEvent("1", event(text), text), self.now)
            self.sent += [] if ready is None else [ready.id]
            self.left_out += [each.id for each in settled]

    def passes(self, seconds: float) -> None:
        self.now += seconds
        while (end := self.states.pop_due(self.now)) is not None:
            self.sent.append(end.id)


@pytest.fixture
def story() -> Story:
    return Story()


def test_an_event_of_no_state_is_sent_at_once(story: Story) -> None:
    story.happens("client_event room", "cache_miss room", "subscription_count room", "client_event room")
    assert story.sent == ["client_event room", "cache_miss room", "subscription_count room", "client_event room"]


@pytest.mark.parametrize(
    ("begin", "end"),
    [
        ("channel_occupied room", "channel_vacated room"),
        ("member_added presence-a ann", "member_removed presence-a ann"),
        ("user_online ann", "user_offline ann"),
    ],
)
def test_an_end_is_held_back_for_3_seconds(story: Story, begin: str, end: str) -> None:
    story.happens(begin, end)
    story.passes(2.9)
    assert story.sent == [begin]
    story.passes(0.1)
    assert story.sent == [begin, end]
    assert story.left_out == []
    story.happens(begin)
    assert story.sent == [begin, end, begin]


def test_who_is_back_within_3_seconds_has_never_left(story: Story) -> None:
    story.happens("channel_occupied room")
    for _ in range(3):
        story.happens("channel_vacated room")
        story.passes(2.9)
        story.happens("channel_occupied room")
    story.passes(10)
    assert story.sent == ["channel_occupied room"]
    assert story.left_out == ["channel_vacated room", "channel_occupied room"] * 3
    assert story.states.next_end is None


def test_every_channel_and_user_has_a_state_of_its_own(story: Story) -> None:
    story.happens("member_added presence-a ann", "member_added presence-a bob", "member_added presence-b ann")
    story.happens("member_removed presence-a ann", "member_added presence-b ann", "channel_occupied presence-a")
    story.passes(3)
    assert story.sent == [
        "member_added presence-a ann",
        "member_added presence-a bob",
        "member_added presence-b ann",
        "channel_occupied presence-a",
        "member_removed presence-a ann",
    ]


def test_ends_are_sent_in_the_order_in_which_they_happened(story: Story) -> None:
    story.happens("channel_occupied a", "channel_occupied b", "channel_vacated b", "channel_vacated a")
    story.passes(3)
    assert story.sent[2:] == ["channel_vacated b", "channel_vacated a"]


def test_an_end_that_was_held_back_already_is_sent_at_once(story: Story) -> None:
    story.happens("member_added presence-a ann", "member_removed presence-a ann final")
    assert story.sent == ["member_added presence-a ann", "member_removed presence-a ann final"]
    story.happens("member_added presence-a ann")
    assert story.sent[2:] == ["member_added presence-a ann"]


def test_the_end_of_what_nobody_was_told_is_not_sent(story: Story) -> None:
    story.happens("channel_vacated room", "member_removed presence-a ann final")
    story.passes(3)
    assert story.sent == []
    assert story.left_out == ["channel_vacated room", "member_removed presence-a ann final"]


def test_what_is_told_already_is_not_told_again(story: Story) -> None:
    story.happens("channel_occupied room", "channel_occupied room")
    assert (story.sent, story.left_out) == (["channel_occupied room"], ["channel_occupied room"])


def test_a_second_end_does_not_begin_the_3_seconds_anew(story: Story) -> None:
    story.happens("channel_occupied room", "channel_vacated room")
    story.passes(2)
    story.happens("channel_vacated room")
    story.passes(1)
    assert story.sent == ["channel_occupied room", "channel_vacated room"]
    assert story.left_out == ["channel_vacated room"]


@pytest.mark.parametrize("is_sure", [True, False])
def test_states_of_an_earlier_process_end_unless_they_begin_again(story: Story, is_sure: bool) -> None:
    story.states.take_notified([(OCCUPIED, is_sure), (("user_online", "", "ann"), is_sure)])
    for state in story.states.without_end():
        story.states.hold(state, WaitingEvent("1", end_of(state, 0), "end"), 30.0)
    story.happens("channel_occupied room")
    story.passes(29.9)
    assert story.sent == ([] if is_sure else ["channel_occupied room"])
    story.passes(0.1)
    assert story.sent[-1] == "end"
    assert list(story.states) == [OCCUPIED]


def test_an_end_that_nobody_has_seen_names_what_ends() -> None:
    assert end_of(OCCUPIED, 5).body == b'{"name":"channel_vacated","channel":"room"}'
    member = end_of(("member_added", "presence-a", "ann"), 5)
    assert member.body == b'{"name":"member_removed","channel":"presence-a","user_id":"ann"}'
    assert (member.name, member.channel, member.user_id, member.time_ms) == ("member_removed", "presence-a", "ann", 5)
    assert end_of(("user_online", "", "ann"), 5).body == b'{"name":"user_offline","user_id":"ann"}'
