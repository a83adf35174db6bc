"""Histories in memory: what is kept, what is forgotten, and that nothing is missing without a gap."""

from __future__ import annotations

import logging
from itertools import pairwise
from typing import Any, Final

import pytest
from hypothesis import given
from hypothesis import strategies as st

from conformance.protocol.stage import decode_frames
from soundpost.backplane import app_history, history_store
from soundpost.backplane.channel_history import CHANNEL_SIZE
from soundpost.backplane.history_store import HistoryStore
from soundpost.backplane.kept_events import EVENT_SIZE
from soundpost.core.app_settings import AppSettings, HistorySettings
from soundpost.core.history import HistoryPage, HistoryRequest, HistoryState
from soundpost.core.peers import HistoryQuery, OutgoingEvent
from soundpost.wire import messages

SECOND: Final = 1_000_000
RULE: Final = HistorySettings(channels=("*",), events=5, age=10)
UNBOUNDED: Final = 1 << 30


def app(*rules: HistorySettings, id: str = "1", **options: Any) -> AppSettings:
    return AppSettings(id=id, key=f"key {id}", secret="secret", history=rules or (RULE,), **options)


class Histories:
    """A store whose clock is the test's."""

    def __init__(self, *apps: AppSettings, max_size: int = UNBOUNDED) -> None:
        self.now = 1_000 * SECOND
        self.store = HistoryStore(max_size, clock=lambda: self.now * 1_000, generation="g")
        self.apps = {settings.id: settings for settings in apps or (app(),)}
        for settings in self.apps.values():
            self.store.configure(settings)

    def add(
        self, channel: str = "news", *names: str, app_id: str = "1", data: str = "{}", key_id: str | None = None
    ) -> list[str]:
        """Add events; return their positions."""
        positions = []
        rule = self.apps[app_id].history[0]
        for name in names or ("e",):
            frame = messages.event(name, channel, data)
            kept = self.store.add(app_id, rule, OutgoingEvent(channel, frame, None, False, "id", key_id=key_id))
            positions.append(f"g.{kept.offset}")
        return positions

    def change(self, *rules: HistorySettings, **options: Any) -> None:
        self.apps["1"] = settings = AppSettings(id="1", key="k", secret="s", history=rules, **options)
        self.store.configure(settings)

    def state(self, after: str, channel: str = "news", app_id: str = "1", **options: Any) -> HistoryState:
        return self.store.state(app_id, channel, HistoryRequest(after, **options), None)

    def page(self, after: str = "", channel: str = "news", most: int = 1_000, **options: Any) -> HistoryPage:
        options = {"max_bytes": UNBOUNDED} | options
        return self.store.page(HistoryQuery("1", channel, after, most, **options))

    def names(self, after: str = "", channel: str = "news", **options: Any) -> list[str]:
        return [decode_frames(event.frame)[0]["event"] for event in self.page(after, channel, **options).events]


def test_offsets_grow_although_the_clock_goes_back() -> None:
    histories = Histories()
    first = histories.add()
    histories.now -= 100 * SECOND
    second = histories.add()
    assert int(second[0][2:]) == int(first[0][2:]) + 1
    assert histories.state(first[0]).following == 1


def test_the_oldest_events_are_forgotten_in_number() -> None:
    histories = Histories()
    positions = histories.add("news", *"abcdefg")
    assert histories.names() == list("cdefg")
    assert histories.store.number == 5
    assert histories.state(positions[1]) == HistoryState(positions[1], None, 5)
    assert histories.state(positions[0]) == HistoryState(positions[-1], "number")


def test_events_are_forgotten_by_age_at_the_moment_they_are_asked_for() -> None:
    histories = Histories()
    before = histories.store.head
    (a,) = histories.add("news", "a")
    histories.now += 5 * SECOND
    histories.add("news", "b")
    histories.now += 5 * SECOND - 1
    assert histories.names() == ["a", "b"]
    histories.now += 2
    assert histories.state(before).gap == "age"
    assert histories.names(a) == ["b"]


def test_a_channel_without_events_has_no_gap_for_who_had_the_last_of_them() -> None:
    histories = Histories()
    (a,) = histories.add("news", "a")
    histories.now += 100 * SECOND
    assert histories.state(a) == HistoryState(a, None, 0)


def test_pages_follow_one_another_in_both_orders() -> None:
    histories = Histories()
    positions = histories.add("news", *"abcde")
    first = histories.page(most=2)
    assert (first.position, first.whole) == (positions[1], False)
    second = histories.page(first.position, most=3)
    assert (second.position, second.whole, len(second.events)) == (positions[4], True, 3)
    assert histories.names(most=2, newest_first=True) == ["e", "d"]
    assert histories.names(positions[2], newest_first=True) == ["e", "d"]
    assert histories.page(positions[2], newest_first=True).whole
    assert not histories.page(positions[1], most=2, newest_first=True).whole


@pytest.mark.parametrize("newest_first", [False, True])
def test_a_page_is_bounded_in_bytes_but_has_at_least_one_event(newest_first: bool) -> None:
    histories = Histories()
    histories.add("news", *"abcde", data="x" * 1_000)
    assert len(histories.page(max_bytes=1, newest_first=newest_first).events) == 1
    assert len(histories.page(max_bytes=2_000, newest_first=newest_first).events) == 2


def test_deleted_events_are_a_gap_for_who_has_not_had_them() -> None:
    histories = Histories()
    a, b = histories.add("news", "a", "b")
    assert histories.store.delete("1", "news") == b
    assert histories.state(a).gap == "deleted"
    assert histories.state(b).gap is None


def test_an_unkept_event_is_a_gap_for_all_positions_before_it() -> None:
    histories = Histories()
    (a,) = histories.add("news", "a")
    histories.store.note_unkept("1", "news")
    assert histories.state(a).gap == "unknown"
    assert histories.state(histories.store.head).gap is None


@pytest.mark.parametrize("other", ["other.1", f"g.{2**53 - 1}"])
def test_positions_of_no_event_of_this_history_are_gaps(other: str) -> None:
    histories = Histories()
    histories.add()
    assert histories.state(other).gap is not None


class TestBounds:
    def test_of_an_app(self) -> None:
        histories = Histories(app(max_history_size=2_000))
        for number in range(50):
            histories.add(f"channel {number % 7}")
            assert histories.store.size <= 2_000
        assert histories.names(channel="channel 0") == ["e"]

    def test_of_all_apps_the_events_that_expire_first_go_first(self) -> None:
        histories = Histories(app(id="1"), app(id="2"), max_size=3 * (CHANNEL_SIZE + EVENT_SIZE + 110))
        for app_id, channel in (("1", "a"), ("2", "b"), ("1", "c"), ("2", "d")):
            histories.add(channel, app_id=app_id)
            histories.now += 1
        assert [histories.names(channel=name) for name in "ac"] == [[], ["e"]]
        assert histories.state("g.1", "b", "2").gap is None

    def test_a_lowered_limit_is_reached_in_steps(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(history_store, "_DROPPED_AT_ONCE", 10)
        histories = Histories(app(HistorySettings(channels=("*",), events=100)))
        histories.add("news", *["e"] * 100)
        histories.change(HistorySettings(channels=("*",), events=100), max_history_size=1_000)
        sizes = []
        for _ in range(12):
            histories.store.housekeep()
            sizes.append(histories.store.size)
        assert sizes[0] > sizes[1] > 1_000 >= sizes[-1]

    def test_few_of_many_events_are_dropped_at_once(self) -> None:
        histories = Histories(app(id="1"), app(id="2"))
        for number in range(3_000):
            histories.add(f"channel {number}", app_id=f"{1 + number % 2}")

        def kept() -> int:
            return sum(len(each.channels) - len(each.empty) for each in histories.store._apps.values())

        for id in "12":
            histories.store.configure(app(id=id, max_history_size=1))
        histories.add()
        assert 2_900 < kept() < 3_000
        lowered = kept()
        histories.store.housekeep()
        assert kept() == lowered - 500
        histories.now += 20 * SECOND
        histories.store.housekeep()
        assert kept() == lowered - 1_000

    def test_a_large_event_takes_the_room_of_many_small_ones(self) -> None:
        histories = Histories(app(HistorySettings(channels=("*",), events=10_000), max_history_size=100_000))
        for _ in range(1_000):
            histories.add()
        histories.add("news", data="x" * 90_000)
        assert histories.store.size <= 100_000
        assert histories.names()[-1] == "e"

    def test_empty_channels_are_forgotten(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(app_history, "_EMPTY_CHANNELS", 3)
        histories = Histories()
        before = histories.store.head
        for number in range(10):
            histories.add(f"channel {number}")
            histories.now += 20 * SECOND
        histories.store.housekeep()
        known = histories.store._apps["1"]
        assert len(known.channels) == len(known.empty) == 3
        assert histories.store.size == 0
        assert histories.state(before, "channel 0").gap == "age"
        assert len(known.expiry) <= 1

    def test_expired_events_go_when_others_come(self) -> None:
        histories = Histories()
        for number in range(100):
            histories.add(f"channel {number}")
        histories.now += 20 * SECOND
        for _ in range(60):
            histories.add("news")
        assert len(histories.store._apps["1"].empty) == 100

    def test_places_of_deleted_events_are_not_looked_at_all_at_once(self) -> None:
        histories = Histories()
        histories.add("oldest")
        histories.now += 1
        for number in range(10_000):
            histories.add(f"channel {number}")
            histories.store.delete("1", f"channel {number}")
        histories.now += 20 * SECOND
        places = [len(histories.store._apps["1"].expiry)]
        for _ in range(6):
            histories.store.housekeep()
            places.append(len(histories.store._apps["1"].expiry))
        assert places[0] == 10_001
        assert places[-1] == 0
        assert all(before - after <= 2_001 for before, after in pairwise(places))
        assert not histories.names(channel="oldest")

    def test_deleted_events_leave_no_places_in_the_queue(self) -> None:
        histories = Histories()
        for number in range(1_000):
            histories.add(f"channel {number}")
        for number in range(1_000):
            histories.store.delete("1", f"channel {number}")
        assert len(histories.store._apps["1"].expiry) <= 1

    def test_a_channel_has_one_place_in_the_queue(self) -> None:
        histories = Histories()
        for _ in range(1_000):
            histories.add()
            histories.now += 3 * SECOND
            histories.store.housekeep()
        assert len(histories.store._apps["1"].expiry) == 1
        assert len(histories.store._expiry) == 1


class TestOtherSettings:
    def test_fewer_events_are_kept_from_now_on(self) -> None:
        histories = Histories()
        histories.add("news", *"abcde")
        histories.change(HistorySettings(channels=("*",), events=2, age=10))
        assert histories.names() == ["d", "e"]

    def test_a_shorter_age_counts_for_kept_events(self) -> None:
        histories = Histories()
        (a,) = histories.add("news", "a")
        histories.now += 5 * SECOND
        histories.change(HistorySettings(channels=("*",), events=5, age=2))
        assert histories.names() == []
        assert histories.state(a).gap is None
        histories.add("other", "b")
        histories.now += 3 * SECOND
        histories.store.housekeep()
        assert histories.store.size == 0

    @pytest.mark.parametrize("known", [True, False])
    def test_what_was_published_while_a_channel_kept_none_is_a_gap(self, known: bool) -> None:
        histories = Histories()
        position = histories.add("news", "a")[0] if known else histories.store.head
        histories.change()
        histories.change(RULE)
        assert histories.state(position).gap == "unknown"
        assert histories.state(histories.store.head).gap is None
        assert histories.names() == []

    def test_channels_that_kept_theirs_all_the_time_have_no_gap(self) -> None:
        histories = Histories()
        a, _ = histories.add("news", "a", "b")
        quiet = histories.store.head
        histories.change(HistorySettings(channels=("news",), events=5, age=10))
        histories.change(HistorySettings(channels=("n*",), events=5, age=10))
        assert histories.state(a) == HistoryState(a, None, 1)
        assert histories.state(quiet, "never-used").gap == "unknown"

    def test_only_so_many_are_remembered(self) -> None:
        histories = Histories()
        before = histories.store.head
        for number in range(20):
            histories.change(HistorySettings(channels=("*",), events=1 + number, age=10))
        for _ in range(20):
            histories.store.housekeep()
        assert len(histories.store._apps["1"].earlier) == 8
        assert histories.state(before, "quiet").gap == "age"
        assert histories.state(histories.store.head, "quiet").gap is None

    def test_what_was_not_kept_is_a_gap_also_when_the_settings_of_then_are_forgotten(self) -> None:
        histories = Histories()
        a, _ = histories.add("news", "a", "b")
        (quiet,) = histories.add("quiet", "a")
        histories.change(HistorySettings(channels=("quiet",), events=5, age=10))
        for number in range(20):
            histories.change(HistorySettings(channels=("*",), events=2 + number, age=10))
            histories.store.housekeep()
        assert histories.state(a).gap == "unknown"
        assert histories.names() == []
        assert histories.state(quiet, "quiet").gap is None
        assert histories.store.size == histories.store._apps["1"].channels["quiet"].size

    def test_settings_are_forgotten_when_some_channels_after_the_other_were_looked_at(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(app_history, "_LOOKED_AT_ONCE", 2)
        histories = Histories()
        positions = [histories.add(f"channel {number}")[0] for number in range(5)]
        histories.change(HistorySettings(channels=("none",), events=5, age=10))
        for number in range(9):
            histories.change(HistorySettings(channels=("*",), events=2 + number, age=10))
        known, left = histories.store._apps["1"], list[int]()
        late = histories.store.head
        for _ in range(7):
            histories.store.housekeep()
            left.append(sum(bool(channel.events) for channel in known.channels.values()))
            histories.add(f"late {len(left)}")
        assert len(known.earlier) == 8
        assert left == [5, 6, 7, 8, 8, 7, 6]
        assert [histories.state(at, f"channel {number}").gap for number, at in enumerate(positions)] == ["unknown"] * 5
        assert [histories.state(late, f"late {number}").gap for number in range(1, 8)] == [None] * 7


class TestHandover:
    def handed_over(self, histories: Histories) -> Histories:
        other = Histories.__new__(Histories)
        other.now, other.apps = histories.now + SECOND, histories.apps
        other.store = HistoryStore(UNBOUNDED, clock=lambda: other.now * 1_000)
        other.store.take_over(histories.store.as_bytes())
        for settings in other.apps.values():
            other.store.configure(settings)
        return other

    def test_a_new_key_is_noticed_by_the_next_process(self) -> None:
        histories = Histories()
        histories.add("news", "a", key_id="old")
        other = self.handed_over(histories)
        other.add("news", "b", key_id="old")
        assert other.names() == ["a", "b"]
        other.add("news", "c", key_id="new")
        assert other.names() == ["c"]

    def test_everything_goes_on(self) -> None:
        histories = Histories()
        positions = histories.add("news", *"abcdefg")
        deleted = histories.add("deleted", "a")
        histories.store.delete("1", "deleted")
        other = self.handed_over(histories)
        assert other.names() == list("cdefg")
        assert other.state(positions[0]).gap == "number"
        assert other.state(positions[3]).following == 3
        assert other.state(f"g.{int(deleted[0][2:]) - 1}", "deleted").gap == "deleted"
        assert other.store.size == histories.store.size > 0
        other.add("news", "h")
        assert other.names() == list("defgh")
        other.now += 20 * SECOND
        other.store.housekeep()
        assert other.store.size == 0

    def test_other_settings_of_the_next_process_are_noticed(self) -> None:
        histories = Histories()
        (a,) = histories.add("news", "a")
        histories.apps = {"1": app(HistorySettings(channels=("other",)))}
        without = self.handed_over(histories)
        without.apps = {"1": app()}
        again = self.handed_over(without)
        assert again.state(a).gap == "unknown"

    @pytest.mark.parametrize("data", [b"", b"\x93", b"\x93\xa1g\x00\x01"])
    def test_what_cannot_be_read_is_another_generation(self, data: bytes, caplog: pytest.LogCaptureFixture) -> None:
        histories = Histories()
        with caplog.at_level(logging.WARNING):
            histories.store.take_over(data)
        assert "cannot be read" in caplog.text
        assert histories.state(histories.store.head).gap is None


STEPS: Final = st.lists(
    st.tuples(
        st.sampled_from(["add", "add", "add", "add", "wait", "delete", "unkept", "settings", "hand over", "housekeep"]),
        st.integers(0, 99),
    ),
    max_size=60,
)
SETTINGS: Final = (
    (RULE,),
    (HistorySettings(channels=("a*",), events=3, age=4),),
    (HistorySettings(channels=("b*", "c*"), events=8, age=20), RULE),
    (),
)


@given(STEPS)
def test_nothing_is_missing_without_a_gap(steps: list[tuple[str, int]]) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(app_history, "_EARLIER_RULES", 2)
        patch.setattr(app_history, "_LOOKED_AT_ONCE", 1)
        _check(steps)


def _check(steps: list[tuple[str, int]]) -> None:
    histories = Histories(max_size=4_000)
    published: dict[str, list[tuple[int, str]]] = {"a": [], "b": [], "c": []}
    heads = [histories.store.head]
    for number, (step, choice) in enumerate(steps):
        channel = "abc"[choice % 3]
        histories.now += choice
        if step in ("add", "unkept"):
            name = f"event {number}"
            rule = histories.store._apps["1"].rules.of(channel)
            if rule is None or step == "unkept":
                if rule is not None:
                    histories.store.note_unkept("1", channel)
                published[channel].append((max(histories.store.top, histories.now), name))
            else:
                frame = messages.event(name, channel, "x" * choice * 5)
                kept = histories.store.add("1", rule, OutgoingEvent(channel, frame, None, False, "id"))
                published[channel].append((kept.offset, name))
        elif step == "wait":
            histories.now += choice * SECOND // 10
        elif step == "delete":
            histories.store.delete("1", channel)
        elif step == "settings":
            histories.change(*SETTINGS[choice % 4])
        elif step == "hand over":
            data = histories.store.as_bytes()
            histories.store = HistoryStore(4_000, clock=lambda: histories.now * 1_000)
            histories.store.take_over(data)
            histories.store.configure(histories.apps["1"])
        else:
            histories.store.housekeep()
        heads.append(histories.store.head)
        assert histories.store.size <= 4_000
        assert histories.store.size == sum(app.size for app in histories.store._apps.values())
        assert histories.store.size == sum(
            channel.size for app in histories.store._apps.values() for channel in app.channels.values()
        )
        assert histories.store.number == sum(
            len(channel.events) for app in histories.store._apps.values() for channel in app.channels.values()
        )
    for channel, events in published.items():
        if histories.store._apps["1"].rules.of(channel) is None:
            continue
        for head in heads[:: max(1, len(heads) // 10)]:
            state = histories.state(head, channel)
            if state.gap is None:
                after = int(head[2:])
                expected = [name for offset, name in events if offset > after]
                assert histories.names(head, channel) == expected
                assert state.following == len(expected)
