"""The dispatcher of webhooks: order, batches, filters, failures, memory, and what is told of settled events."""

from __future__ import annotations

import hashlib
import hmac
import itertools
import logging
from email.utils import formatdate
from typing import Any

import pytest

from soundpost.core.app_settings import WebhookSettings
from soundpost.server.webhooks.waiting_event import OVERHEAD
from support.dispatching import BEGIN, URL, Stage, event

OTHER = "http://other.test/hooks"


def hook(url: str = URL, **options: Any) -> WebhookSettings:
    return WebhookSettings(url=url, **options)


@pytest.fixture
def stage() -> Stage:
    return Stage()


# Requests


def test_a_request_is_signed_and_has_the_fields_of_pusher() -> None:
    stage = Stage(hook(headers={"Authorization": "Bearer x"}, timeout=7))
    stage.dispatcher.add("1", event("channel_occupied room"), event_id="abc-1")
    stage.pass_time()
    (sent,) = stage.endpoint.requests
    time_ms = int((BEGIN + 1e9) * 1000)
    assert sent.body == (
        b'{"time_ms":%d,"events":[{"name":"channel_occupied","channel":"room","time_ms":1700000000000,"id":"abc-1"}]}'
        % time_ms
    )
    assert sent.headers["Content-Type"] == "application/json"
    assert sent.headers["X-Pusher-Key"] == "app-key"
    assert sent.headers["X-Pusher-Signature"] == hmac.new(b"app-secret", sent.body, hashlib.sha256).hexdigest()
    assert sent.headers["Authorization"] == "Bearer x"
    assert sent.headers["User-Agent"].startswith("soundpost/")
    assert sent.timeout == 7


def test_ids_are_unique_and_of_this_process(stage: Stage) -> None:
    stage.add("client_event a", "client_event b")
    other = Stage()
    other.add("client_event a")
    stage.pass_time()
    other.pass_time()
    first, second = (each["id"] for each in stage.endpoint.requests[0].events)
    life, _, number = first.rpartition("-")
    assert (second, number) == (f"{life}-2", "1")
    assert other.endpoint.requests[0].events[0]["id"] != first


def test_one_request_at_a_time_with_what_came_meanwhile(stage: Stage) -> None:
    stage.add("client_event a", "client_event b")
    stage.pass_time()
    stage.add("client_event c")
    stage.add("client_event d")
    stage.pass_time(5)
    assert [sent.names for sent in stage.endpoint.requests] == [["client_event a", "client_event b"]]
    stage.endpoint.answer(204)
    stage.pass_time()
    assert stage.endpoint.requests[1].names == ["client_event c", "client_event d"]


def test_a_batch_has_its_largest_number_of_events() -> None:
    stage = Stage(hook(batch_size=3))
    names = [f"client_event {number}" for number in range(7)]
    stage.add(*names)
    assert stage.took() == names
    assert [len(sent.events) for sent in stage.endpoint.requests] == [3, 3, 1]


def test_large_events_are_not_all_in_one_request(stage: Stage) -> None:
    large = event("client_event a", body=b'{"data":"%b"}' % (b"x" * 100_000))
    for _ in range(5):
        stage.dispatcher.add("1", large)
    stage.took()
    assert [len(sent.events) for sent in stage.endpoint.requests] == [2, 2, 1]


def test_an_event_that_is_larger_than_a_request_may_be_is_sent_alone(stage: Stage) -> None:
    stage.add("client_event a")
    stage.dispatcher.add("1", event("client_event b", body=b'{"data":"%b"}' % (b"x" * 1_000_000)))
    stage.add("client_event c")
    stage.took()
    assert [len(sent.events) for sent in stage.endpoint.requests] == [1, 1, 1]


# Filters


@pytest.mark.parametrize(
    ("options", "wanted"),
    [
        ({"events": ("member_added",)}, ["member_added presence-a ann"]),
        ({"channels": ("presence-*", "news")}, ["channel_occupied presence-a", "member_added presence-a ann"]),
        ({"events": ("user_online", "channel_occupied"), "channels": ("x",)}, ["user_online ann"]),
        ({"events": ("connection_opened",)}, ["connection_opened"]),
        (
            {},
            [
                "channel_occupied presence-a",
                "channel_occupied room",
                "member_added presence-a ann",
            ],
        ),
    ],
)
def test_an_endpoint_gets_what_it_wants(options: dict[str, Any], wanted: list[str]) -> None:
    stage = Stage(hook(**options))
    stage.add("channel_occupied presence-a", "channel_occupied room", "member_added presence-a ann")
    stage.add("user_online ann", "connection_opened")
    assert stage.took() == wanted


def test_an_endpoint_that_wants_ends_only_gets_no_end_that_is_taken_back() -> None:
    stage = Stage(hook(events=("channel_vacated",)))
    stage.add("channel_occupied room", "channel_vacated room")
    stage.pass_time(2)
    stage.add("channel_occupied room")
    stage.pass_time(2)
    assert stage.took() == []
    stage.add("channel_vacated room")
    stage.pass_time(3)
    assert stage.took() == ["channel_vacated room"]


def test_every_endpoint_has_its_own_queue() -> None:
    stage = Stage(hook(), hook(OTHER, events=("cache_miss",)))
    stage.add("client_event a", "cache_miss a")
    stage.pass_time()
    stage.add("cache_miss b")
    assert stage.took(OTHER) == ["cache_miss a", "cache_miss b"]
    assert [sent.names for sent in stage.endpoints[OTHER].requests] == [["cache_miss a"], ["cache_miss b"]]
    assert len(stage.endpoint.requests) == 1  # hangs, and keeps nobody


def test_events_of_an_app_without_webhooks_are_left_out(stage: Stage) -> None:
    stage.add("client_event a", app_id="2", token=1)
    stage.pass_time()
    assert (stage.endpoint.requests, stage.done) == ([], [1])


# Failures


def attempts(stage: Stage, status: int = 500, **fields: str) -> list[float]:
    """Let all attempts fail; their times after the first one."""
    times: list[float] = []
    stage.pass_time()
    while len(stage.endpoint.requests) > len(times):
        times.append(stage.now - BEGIN)
        stage.endpoint.answer(status, **fields)
        for _ in range(100):
            stage.pass_time(1)
            if len(stage.endpoint.requests) > len(times):
                break
    return times


def test_a_failed_request_is_sent_again_for_5_minutes_and_then_dropped(
    stage: Stage, caplog: pytest.LogCaptureFixture
) -> None:
    stage.add("client_event a", token=1)
    assert attempts(stage) == [0, 1, 3, 7, 15, 31, 63, 123, 183, 243, 300]
    assert len({sent.events[0]["id"] for sent in stage.endpoint.requests}) == 1
    assert stage.done == [1]
    (figures,) = stage.dispatcher.figures()
    assert (figures.failed, figures.failed_attempts, figures.waiting) == (1, 11, 0)
    first, last = (record.getMessage() for record in caplog.records)
    assert first == f"app 1: the webhook endpoint {URL} answered 500; its events are sent again for 5 minutes"
    assert last.endswith(
        "it has not taken this event (client_event) for 5 minutes: the event is dropped, the next ones follow"
    )
    stage.add("client_event b")
    assert stage.took() == ["client_event b"]


def test_what_comes_while_an_endpoint_fails_waits_in_order(stage: Stage) -> None:
    stage.add("client_event a")
    stage.pass_time()
    stage.endpoint.answer(503)
    stage.add("client_event b")
    stage.pass_time(0.5)
    assert len(stage.endpoint.requests) == 1
    stage.pass_time(0.5)
    assert stage.endpoint.requests[1].names == ["client_event a"]
    assert stage.endpoint.answer() == ["client_event a"]
    assert stage.took() == ["client_event b"]


@pytest.mark.parametrize("retry_after", ["", "100000"])
@pytest.mark.parametrize("bad", ["c", "ah", "cd", "abcdefgh"])
def test_events_that_always_fail_are_parted_from_the_others(
    stage: Stage, bad: str, retry_after: str, caplog: pytest.LogCaptureFixture
) -> None:
    stage.add(*(f"client_event {name}" for name in "abcdefgh"))
    taken: list[str] = []
    tried: dict[str, list[float]] = {}
    stage.pass_time()
    while stage.endpoint.is_asked:
        names = [name[-1] for name in stage.endpoint.requests[-1].names]
        tried.setdefault(names[0], []).append(stage.now)
        is_bad = not set(bad).isdisjoint(names)
        taken += [] if is_bad else names
        stage.endpoint.answer(500 if is_bad else 200, retry_after=retry_after)
        stage.pass_time()
        for _ in range(300):
            stage.pass_time(0 if stage.endpoint.is_asked else 1)
    assert taken == [name for name in "abcdefgh" if name not in bad]
    assert all(tried[name][-1] - tried[name][0] >= 300 for name in bad)
    (figures,) = stage.dispatcher.figures()
    assert (figures.sent, figures.failed, figures.waiting) == (8 - len(bad), len(bad), 0)
    assert caplog.text.count("the event is dropped") == len(bad)


def test_what_is_behind_an_event_that_was_given_up_may_fail_once_more(stage: Stage) -> None:
    stage.add("client_event a", "client_event b")
    stage.pass_time()
    while "client_event a" in stage.endpoint.requests[-1].names:
        stage.endpoint.answer(500)
        stage.pass_time(60)
    stage.endpoint.answer(503)
    stage.pass_time(1)
    assert stage.took() == ["client_event b"]


def test_the_time_of_a_request_that_is_sent_again_is_the_new_one(stage: Stage) -> None:
    stage.add("client_event a")
    stage.pass_time()
    stage.endpoint.answer(500)
    stage.pass_time(1)
    first, second = stage.endpoint.requests
    assert first.body != second.body
    assert first.events == second.events
    assert second.headers["X-Pusher-Signature"] == hmac.new(b"app-secret", second.body, hashlib.sha256).hexdigest()


@pytest.mark.parametrize(
    ("retry_after", "seconds"),
    [
        ("20", 20),
        ("100000", 300),
        ("0", 1),
        (formatdate(BEGIN + 1e9 + 40), 40),
        ("Fri, 31 Dec 9999 23:59:59 GMT", 300),
        (f"Fri, 31 Dec 9{'0' * 30} 23:59:59 GMT", 1),
        ("soon", 1),
        ("-5", 1),
        ("", 1),
    ],
)
def test_retry_after_is_honoured_for_at_most_5_minutes(stage: Stage, retry_after: str, seconds: float) -> None:
    stage.add("client_event a")
    stage.pass_time()
    stage.endpoint.answer(503, retry_after=retry_after)
    stage.pass_time(seconds - 0.1)
    assert len(stage.endpoint.requests) == 1
    stage.pass_time(0.2)
    assert len(stage.endpoint.requests) == 2


@pytest.mark.parametrize(
    ("status", "fields", "words"),
    [
        (
            302,
            {"location": "/login?token=abc"},
            "answered 302: redirects are not followed: write http://app.test/login",
        ),
        (302, {"location": "http://[no-address/"}, "redirects are not followed: write http://***; its events"),
        (404, {}, "answered 404; its events"),
        (0, {"fault": "no answer within 10 s"}, "cannot be reached: no answer within 10 s; its events"),
    ],
)
def test_all_other_answers_are_failures(
    stage: Stage, caplog: pytest.LogCaptureFixture, status: int, fields: dict[str, str], words: str
) -> None:
    stage.add("client_event a")
    stage.pass_time()
    stage.endpoint.answer(status, **fields)
    assert words in caplog.text
    assert "abc" not in caplog.text
    (figures,) = stage.dispatcher.figures()
    assert (figures.failed_attempts, figures.waiting, figures.retry_at) == (1, 1, stage.now + 1e9 + 1)
    stage.pass_time(1)
    assert stage.endpoint.answer() == ["client_event a"]


def test_one_line_is_logged_for_many_failures_and_one_when_they_end(
    stage: Stage, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    stage.add("client_event a")
    for _ in range(4):
        stage.pass_time(60)
        stage.endpoint.answer(500)
    stage.pass_time(60)
    stage.endpoint.answer()
    assert [record.levelname for record in caplog.records] == ["WARNING", "INFO"]
    assert caplog.records[1].getMessage() == f"app 1: the webhook endpoint {URL} takes events again"


def test_410_stops_an_endpoint_until_a_reload(stage: Stage, caplog: pytest.LogCaptureFixture) -> None:
    stage.add("client_event a", token=1)
    stage.pass_time()
    stage.add("client_event b", token=2)
    stage.endpoint.answer(410)
    stage.add("client_event c", token=3)
    stage.pass_time(1_000)
    assert len(stage.endpoint.requests) == 1
    assert stage.done == [1, 2, 3]
    assert "answered 410: it wants no more events, and 2 that waited are dropped. Nothing is sent" in caplog.text
    (figures,) = stage.dispatcher.figures()
    assert (figures.stopped, figures.dropped, figures.last_status) == (True, 2, 410)
    stage.reload(hook())
    stage.add("client_event d")
    assert stage.took() == ["client_event d"]


def test_a_long_queue_of_an_endpoint_that_stops_is_done_in_several_turns(stage: Stage) -> None:
    stage.dispatcher.turn_clock = itertools.count().__next__  # each look at the clock ends a turn
    for number in range(120):
        stage.add(f"client_event {number}", token=number)
    stage.pass_time()
    stage.endpoint.answer(410)
    assert 0 < len(stage.done) < 120

    stage.pass_time()

    assert stage.done == list(range(120))
    (figures,) = stage.dispatcher.figures()
    assert (figures.dropped, figures.waiting) == (120, 0)


# Beginnings that an endpoint was not told of


def comes_back(stage: Stage, *users: str) -> None:
    for user in users:
        stage.add(f"member_removed presence-a {user}")
        stage.add(f"member_added presence-a {user}")


def test_a_beginning_that_was_dropped_is_told_when_it_happens_again(stage: Stage) -> None:
    stage.add("member_added presence-a ann")
    attempts(stage)
    comes_back(stage, "ann")
    assert stage.took() == ["member_added presence-a ann"]
    comes_back(stage, "ann")
    assert stage.took() == []


def stopped(stage: Stage) -> None:
    """Stop the endpoint by its answer to ann's coming; bob comes while it is stopped."""
    stage.add("member_added presence-a ann")
    stage.pass_time()
    stage.endpoint.answer(410)
    stage.add("member_added presence-a bob")
    stage.pass_time()


def test_who_came_while_an_endpoint_was_stopped_is_told_after_a_reload_when_it_happens_again(stage: Stage) -> None:
    stopped(stage)
    stage.reload(hook())
    comes_back(stage, "ann", "bob")
    assert stage.took() == ["member_added presence-a ann", "member_added presence-a bob"]


def test_who_came_while_an_endpoint_was_stopped_is_told_after_a_restart() -> None:
    before, after = Stage(), Stage()
    stopped(before)
    after.dispatcher.begin(before.dispatcher.as_bytes())
    after.add("member_added presence-a bob")
    assert after.took() == ["member_added presence-a bob"]


def test_a_stopped_endpoint_repeats_nothing_to_the_others() -> None:
    stage = Stage(hook(), hook(OTHER))
    stopped(stage)
    stage.took(OTHER)
    comes_back(stage, "bob")
    assert stage.took(OTHER) == []


def test_a_new_endpoint_is_told_of_a_state_when_it_begins_again() -> None:
    stage = Stage()
    stage.add("member_added presence-a ann")
    stage.took()
    stage.reload(hook(), hook(OTHER))
    comes_back(stage, "ann")
    assert stage.took(OTHER) == ["member_added presence-a ann"]


@pytest.mark.parametrize(("url", "told"), [(URL, []), (OTHER, ["member_added presence-a ann"])])
def test_an_endpoint_that_is_new_since_a_restart_is_told_of_who_comes_back(url: str, told: list[str]) -> None:
    before, after = Stage(), Stage(hook(url))
    before.add("member_added presence-a ann")
    before.took()
    after.dispatcher.begin(before.dispatcher.as_bytes())
    after.add("member_added presence-a ann")
    assert after.took(url) == told


# Memory


def test_the_oldest_of_the_longest_queue_is_dropped(caplog: pytest.LogCaptureFixture) -> None:
    size = OVERHEAD + len(event("client_event 0").body)
    stage = Stage(hook(), hook(OTHER, events=("cache_miss",)), max_queue_size=5 * size)
    stage.add("client_event 0")
    stage.pass_time()  # under way
    stage.add("client_event 1", token=1)
    stage.add("client_event 2", "client_event 3", "client_event 4", "client_event 5", "client_event 6")
    assert stage.done == [1]
    assert stage.endpoint.answer() == ["client_event 0"]
    assert stage.took() == [f"client_event {number}" for number in (3, 4, 5, 6)]
    (record,) = caplog.records
    assert record.getMessage().startswith(f"app 1: the webhook endpoint {URL} is behind: more than max_webhook_queue_")
    assert [figures.dropped for figures in stage.dispatcher.figures()] == [2, 0]


def test_what_is_settled_takes_no_memory() -> None:
    stage = Stage(max_queue_size=2_000)
    for _ in range(100):
        stage.add("client_event a")
        assert stage.took() == ["client_event a"]
    assert stage.dispatcher.figures()[0].dropped == 0


def test_a_crowd_s_ends_are_sent_in_portions(stage: Stage) -> None:
    users = [f"user_online {number}" for number in range(1_000)]
    stage.reload(hook(events=("user_online",), batch_size=1_000))
    stage.add(*users)
    assert len(stage.took()) == 1_000
    stage.add(*(text.replace("online", "offline") for text in users))
    steps: list[int] = []
    ends = stage.dispatcher._held_ends
    send = ends.send

    def noted() -> None:
        before = sum(1 for _ in stage.dispatcher.notified_states("1"))
        send()
        steps.append(before - sum(1 for _ in stage.dispatcher.notified_states("1")))

    ends.send = noted  # type: ignore[method-assign]
    stage.pass_time(3)
    assert max(steps) == 200
    assert stage.dispatcher.notified_states("1") == []


# Done


def test_an_event_is_done_when_the_last_endpoint_has_it() -> None:
    stage = Stage(hook(), hook(OTHER))
    stage.add("client_event a", token=1)
    stage.add("cache_miss a", token=2)
    stage.took()
    assert stage.done == []
    stage.endpoints[OTHER].answer()
    assert stage.done == [1, 2]


def test_a_held_end_is_done_when_it_was_sent_or_taken_back(stage: Stage) -> None:
    stage.add("channel_occupied a", token=1)
    stage.took()
    stage.add("channel_vacated a", token=2)
    stage.pass_time(1)
    assert stage.done == [1]
    stage.add("channel_occupied a", token=3)
    assert sorted(stage.done) == [1, 2, 3]
    stage.add("channel_vacated a", token=4)
    stage.pass_time(3)
    assert 4 not in stage.done
    stage.endpoint.answer()
    assert stage.done[3:] == [4]


def test_what_nobody_wants_is_done_at_once() -> None:
    stage = Stage(hook(events=("cache_miss",)))
    stage.add("client_event a", token=1)
    assert stage.done == [1]


# Owners and reloads


def test_an_owner_takes_over_what_was_told_and_forgets_it_again(stage: Stage) -> None:
    stage.dispatcher.take_notified("1", [(("channel_occupied", "a", ""), True)], end_after=None)
    stage.add("channel_occupied a", "client_event x", token=1)
    stage.add("channel_vacated a", token=2)
    stage.pass_time()
    stage.dispatcher.forget("1")
    assert stage.dispatcher.notified_states("1") == []
    stage.endpoint.answer()
    stage.pass_time(500)
    assert stage.done == [1]
    assert [sent.names for sent in stage.endpoint.requests] == [["client_event x"]]
    stage.add("channel_occupied a")
    assert stage.took() == ["channel_occupied a"]


def test_told_states_without_a_beginning_end_in_time(stage: Stage) -> None:
    stage.dispatcher.take_notified(
        "1", [(("channel_occupied", "a", ""), True), (("channel_occupied", "b", ""), True)], 30
    )
    stage.pass_time(20)
    stage.add("channel_occupied a")
    stage.pass_time(10)
    assert stage.took() == ["channel_vacated b"]
    assert stage.dispatcher.notified_states("1") == [("channel_occupied", "a", "")]


def test_ends_of_very_many_states_are_held_back_over_several_turns(stage: Stage) -> None:
    stage.dispatcher.turn_clock = itertools.count().__next__  # each look at the clock ends a turn
    states = [(("channel_occupied", name, ""), True) for name in "abcd"]
    stage.dispatcher.take_notified("1", states, None)
    unknown = ("channel_occupied", "x", "")
    stage.dispatcher.end_notified("1", [unknown, *(state for state, _ in states)], 30)
    held_at_once, will_send = stage.dispatcher._apps["1"].states.held, stage.dispatcher._held_ends.will_send
    stage.add("channel_occupied c")
    stage.pass_time(30)
    assert (held_at_once, will_send) == (0, True)
    assert stage.took() == ["channel_vacated a", "channel_vacated b", "channel_vacated d"]
    assert stage.dispatcher.notified_states("1") == [("channel_occupied", "c", "")]


def test_an_owner_who_forgets_its_app_holds_no_further_ends_back(stage: Stage) -> None:
    stage.dispatcher.turn_clock = itertools.count().__next__  # each look at the clock ends a turn
    states = [(("channel_occupied", name, ""), True) for name in "abcd"]
    stage.dispatcher.take_notified("1", states, 30)
    stage.dispatcher.forget("1")
    stage.dispatcher.take_notified("1", states, None)
    stage.pass_time(40)
    assert stage.dispatcher.notified_states("1") == [state for state, _ in states]


def test_a_reload_keeps_the_queues_of_endpoints_that_stay() -> None:
    stage = Stage(hook(), hook(OTHER))
    stage.add("client_event a", token=1)
    stage.pass_time()
    stage.add("client_event b", token=2)
    gone = stage.endpoints[OTHER]
    stage.reload(hook(headers={"X-New": "1"}), hook("http://third.test/"))
    assert not gone.is_open
    stage.add("client_event c")
    stage.pass_time()
    assert stage.endpoints["http://third.test/"].requests[0].names == ["client_event c"]
    assert stage.endpoint.answer() == ["client_event a"]
    assert stage.took() == ["client_event b", "client_event c"]
    assert stage.endpoint.requests[-1].headers["X-New"] == "1"
    assert stage.done == [1, 2]


def test_endpoints_may_have_a_url_in_common() -> None:
    stage = Stage(hook(events=("cache_miss",)), hook(events=("client_event",)))
    stage.add("client_event a")
    assert stage.took() == ["client_event a"]
    assert len(stage.dispatcher.figures()) == 2


def test_an_app_that_is_gone_is_forgotten(stage: Stage) -> None:
    stage.add("channel_occupied a", token=1)
    stage.add("client_event b", token=2)
    stage.dispatcher.configure([])
    assert stage.done == [1, 2]
    assert not stage.endpoint.is_open
    assert (stage.dispatcher.notified_states("1"), stage.dispatcher.figures()) == ([], [])


# Stop and restart


def test_a_restart_hands_over_what_waits_and_what_was_told() -> None:
    before = Stage(hook(), hook(OTHER))
    before.add("channel_occupied a", "channel_occupied b", "member_added presence-c ann")
    before.took()
    before.endpoints[OTHER].answer()
    before.pass_time()
    before.add("client_event x")
    before.pass_time()
    before.endpoints[OTHER].answer()
    before.add("client_event y")
    before.dispatcher.hold_ends()
    before.add("channel_vacated a", "channel_vacated b")
    before.pass_time(100)
    ids = [each["id"] for each in before.endpoint.requests[-1].events]

    after = Stage(hook(), hook(OTHER))
    after.dispatcher.begin(before.dispatcher.as_bytes(), present={("1", ("member_added", "presence-c", "ann"))})
    after.add("channel_occupied a")
    after.pass_time()
    assert after.took() == ["client_event x", "client_event y"]
    assert after.endpoint.requests[0].events[0]["id"] == ids[0]
    assert after.took(OTHER) == ["client_event y"]
    after.pass_time(29)
    assert after.took() == []
    after.pass_time(1)
    assert after.took() == ["channel_vacated b"]


def test_a_restart_with_states_that_cannot_be_read_begins_without_them(
    stage: Stage, caplog: pytest.LogCaptureFixture
) -> None:
    stage.dispatcher.begin(b"\xc1")
    assert "are lost, as they cannot be read" in caplog.text
    stage.add("channel_occupied a")
    assert stage.took() == ["channel_occupied a"]
